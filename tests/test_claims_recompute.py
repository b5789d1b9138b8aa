"""Verdicts recomputed from the published tables with pandas, numpy and scipy, and none of our code."""

import io

import numpy as np
import pandas as pd
import pytest
from claims_planted import claim, plan, world
from scipy import stats as scipy_stats

from wdbench.claims import judge
from wdbench.claims.tables import EFFECT_COLUMNS, SELECTED_COLUMNS, VERDICT_COLUMNS

CONTRACT = [
    "claim_id", "sentence", "source", "family", "kind", "dataset", "estimate", "ci_low", "ci_high", "margin",
    "p_value", "p_holm", "n", "mde", "verdict", "reason", "registered", "post_hoc",
]  # fmt: skip


def published(runs, one, **options):
    """The tables as they are read back from disk."""
    found = judge(runs, [one], plan(runs), **options)
    return [
        pd.read_csv(io.StringIO(table.to_csv(index=False)), keep_default_na=False, na_values=[""])
        for table in (found.verdicts, found.selected, found.effects)
    ]


def sign_flip_p(effects):
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(effects))).reshape(len(effects), -1)
    return np.mean(np.abs(effects @ signs) >= abs(effects.sum()) - 1e-9)


def holm(p):
    order, running, adjusted = np.argsort(p), 0.0, np.empty(len(p))
    for rank, position in enumerate(order):
        running = max(running, (len(p) - rank) * p[position])
        adjusted[position] = min(1.0, running)
    return adjusted


def interval(effects, level):
    return scipy_stats.t.interval(level, len(effects) - 1, effects.mean(), scipy_stats.sem(effects))


def decide(effects, margin, p_holm):
    low, high = interval(effects, 0.95)
    if low > 0 and effects.mean() >= margin:
        return "supported" if p_holm < 0.05 else "inconclusive"
    return "refuted" if high < margin else "inconclusive"


def compare(row, effects, margin, p_holm):
    low, high = interval(effects, 0.95)
    assert row["estimate"] == pytest.approx(effects.mean())
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([low, high])
    assert row["p_value"] == pytest.approx(sign_flip_p(effects))
    assert row["p_holm"] == pytest.approx(p_holm)
    assert row["verdict"] == decide(effects, margin, p_holm)


def test_columns_are_those_of_the_contract():
    verdicts, selected, effects = published(world(), claim())
    assert verdicts.columns[: len(CONTRACT)].tolist() == CONTRACT
    assert tuple(verdicts) == VERDICT_COLUMNS
    assert tuple(selected) == SELECTED_COLUMNS
    assert tuple(effects) == EFFECT_COLUMNS


def strata_rows(verdicts):
    rows = verdicts[verdicts["dataset"] != "all"].set_index("dataset")
    p_holm = pd.Series(holm(rows["p_value"].to_numpy()), index=rows.index)
    return rows, p_holm


def test_superiority_from_the_runs_themselves():
    runs = world({"alpha": -0.1, "beta": 0.0, "gamma": 0.1})
    verdicts, selected, effects = published(runs, claim())
    rows, p_holm = strata_rows(verdicts)
    for dataset, row in rows.iterrows():
        here = runs[runs["dataset"] == dataset]
        none = here[here["penalty"] == "none"].set_index("replicate")["test_loss"]
        ridge = here[here["penalty"] == "l2"].sort_values("val_loss").groupby("replicate").first()["test_loss"]
        compare(row, ((none - ridge) / none).to_numpy(), 0.03, p_holm[dataset])
        listed = effects[(effects["dataset"] == dataset) & effects["used"]]
        np.testing.assert_allclose(listed["effect"].mean(), row["estimate"])
    picked = selected[selected["arm"] == "treatment"].merge(runs, on="cell_id", suffixes=("", "_run"))
    np.testing.assert_allclose(picked["value"], picked["test_loss"])
    np.testing.assert_allclose(picked["selected_value"], picked["val_loss"])
    overall = verdicts.set_index("dataset").loc["all"]
    assert overall["estimate"] == pytest.approx(rows["estimate"].mean())
    assert overall["verdict"] == "conditional"


def test_equivalence():
    verdicts, _, effects = published(
        world({"alpha": 0.0, "beta": -0.02, "gamma": 0.3}), claim(kind="equivalence", direction=None)
    )
    rows, p_holm = strata_rows(verdicts)
    for dataset, row in rows.iterrows():
        listed = effects[(effects["dataset"] == dataset) & effects["used"]]
        values = ((listed["treatment"] - listed["control"]) / listed["control"]).to_numpy()
        p = max(
            scipy_stats.ttest_1samp(values, -0.03, alternative="greater").pvalue,
            scipy_stats.ttest_1samp(values, 0.03, alternative="less").pvalue,
        )
        low, high = interval(values, 0.90)
        assert row["p_value"] == pytest.approx(p)
        assert (row["ci_tost_low"], row["ci_tost_high"]) == (
            pytest.approx(low, abs=1e-3),
            pytest.approx(high, abs=1e-3),
        )
        inside = -0.03 < low and high < 0.03 and p_holm[dataset] < 0.05
        beyond = interval(values, 0.95)[0] > 0.03 or interval(values, 0.95)[1] < -0.03
        assert row["verdict"] == ("equivalent" if inside else "refuted" if beyond else "inconclusive")
    assert set(rows["verdict"]) == {"equivalent", "refuted"}


@pytest.mark.parametrize("statistic", ["slope", "kendall"])
def test_slope(statistic):
    runs = world()
    runs["weight_norm"] += np.random.default_rng(4).normal(0, 1.0, len(runs))
    one = claim(
        kind="slope", statistic=statistic, metric="weight_norm", effect="difference", x="lambda_rel",
        x_transform="log10", arms={"treatment": {"where": 'penalty == "l2"'}}, margin=0.5,
    )  # fmt: skip
    verdicts, selected, _ = published(runs, one)
    rows, p_holm = strata_rows(verdicts)
    for dataset, row in rows.iterrows():
        points = selected[selected["dataset"] == dataset].groupby("block")
        if statistic == "slope":
            values = np.array([-np.polyfit(p["x"], p["value_used"], 1)[0] for _, p in points])
        else:
            values = np.array([-scipy_stats.kendalltau(p["x"], p["value_used"]).statistic for _, p in points])
        compare(row, values, 0.5, p_holm[dataset])


def test_ushape():
    runs = world()
    runs["test_loss"] += np.random.default_rng(5).normal(0, 0.1, len(runs))
    one = claim(
        kind="ushape", effect="difference", x="lambda_rel", x_transform="log10", margin=0.02,
        arms={"treatment": {"where": 'penalty == "l2"'}},
    )  # fmt: skip
    verdicts, selected, effects = published(runs, one)
    rows, p_holm = strata_rows(verdicts)
    for dataset, row in rows.iterrows():
        ends = []
        for _, points in selected[selected["dataset"] == dataset].groupby("block"):
            a, b, _ = np.polyfit(points["x"], points["value_used"], 2)
            ends.append((-(b + 2 * a * points["x"].min()), b + 2 * a * points["x"].max()))
        ends = np.array(ends)
        assert [decide(side, 0.02, p_holm[dataset]) for side in ends.T] == ["supported", "supported"]
        assert row["p_value"] == pytest.approx(max(sign_flip_p(side) for side in ends.T))
        assert row["verdict"] == "supported"
        listed = effects[(effects["dataset"] == dataset) & effects["used"]].groupby("component")["effect"].mean()
        np.testing.assert_allclose(listed[["left end", "right end"]], ends.mean(axis=0))
        assert row["estimate"] == pytest.approx(listed[row["component"]])


def test_interaction():
    low = world(0.0, seed=1).assign(precision="bf16")
    low["cell_id"] = "b" + low["cell_id"]
    runs = pd.concat([world(-0.1), low], ignore_index=True)
    one = claim(kind="interaction", conditions={"claimed": 'precision == "fp64"', "other": 'precision == "bf16"'})
    verdicts, selected, effects = published(runs, one)
    rows, p_holm = strata_rows(verdicts)
    wide = selected.pivot(index=["dataset", "block"], columns=["condition", "arm"], values="value_used")
    gain = {side: 1 - wide[side]["treatment"] / wide[side]["control"] for side in ("claimed", "other")}
    for dataset, row in rows.iterrows():
        values = (gain["claimed"] - gain["other"])[dataset].to_numpy()
        compare(row, values, 0.03, p_holm[dataset])
        listed = effects[effects["dataset"] == dataset]
        again = (listed["control_other"] - listed["treatment_other"]) / listed["control_other"]
        np.testing.assert_allclose(
            (listed["control"] - listed["treatment"]) / listed["control"] - again, listed["effect"]
        )


def test_share():
    """Half of the treatment's gain, subtracted from the control's: 80 %, 50 % and 10 % of a gain of 0.1."""
    other = world(-0.1, seed=1).assign(precision="bf16")
    other["cell_id"] = "b" + other["cell_id"]
    runs = pd.concat([world({"alpha": -0.08, "beta": -0.05, "gamma": -0.01}), other], ignore_index=True)
    one = claim(kind="share", margin=0.0, conditions={"claimed": 'precision == "fp64"', "other": 'precision == "bf16"'})
    verdicts, selected, _ = published(runs, one)
    rows, p_holm = strata_rows(verdicts)
    wide = selected.pivot(index=["dataset", "block"], columns=["condition", "arm"], values="value_used")
    gain = {side: 1 - wide[side]["treatment"] / wide[side]["control"] for side in ("claimed", "other")}
    for dataset, row in rows.iterrows():
        compare(row, (gain["claimed"] - 0.5 * gain["other"])[dataset].to_numpy(), 0.0, p_holm[dataset])
    assert rows["verdict"].to_dict() == {"alpha": "supported", "beta": "inconclusive", "gamma": "refuted"}


def test_event():
    runs = world(replicates=20, datasets=("alpha",), lambdas=(1.0,))
    lost = ((runs["penalty"] == "none") & (runs["replicate"] < 12)) | (
        (runs["penalty"] == "l2") & (runs["replicate"] < 2)
    )
    runs.loc[lost, "status"] = "diverged"
    one = claim(
        kind="event", event='status == "diverged"', metric=None, effect=None, margin=0.3,
        arms={"treatment": {"where": 'penalty == "l2"'}, "control": {"where": 'penalty == "none"'}},
    )  # fmt: skip
    verdicts, selected, _ = published(runs, one)
    wide = selected.assign(lost=selected["status"] == "diverged").pivot(index="block", columns="arm", values="lost")
    only_control = int((wide["control"] & ~wide["treatment"]).sum())
    only_treatment = int((wide["treatment"] & ~wide["control"]).sum())
    row = verdicts.set_index("dataset").loc["alpha"]
    assert row["p_value"] == pytest.approx(scipy_stats.binomtest(only_control, only_control + only_treatment).pvalue)
    assert row["estimate"] == pytest.approx((only_control - only_treatment) / 20)
    assert (only_control, only_treatment, row["verdict"]) == (10, 0, "supported")


def test_identity():
    checks = pd.DataFrame({"identity": "I5", "check": "step", "case": ["a", "b"], "kind": "statement", "inputs": 1,
                           "max_error": [1e-13, 2e-13], "relation": "<=", "tolerance": 1e-12})
    nothing = dict.fromkeys(("study", "arms", "metric", "effect", "direction", "margin"))
    verdicts, _, _ = published(world(), claim(kind="identity", identity="I5", **nothing), identities=checks)
    row = verdicts.iloc[0]
    worst = checks.loc[(checks["max_error"] / checks["tolerance"]).idxmax()]
    assert (row["estimate"], row["margin"]) == (worst["max_error"], worst["tolerance"])
    assert row["verdict"] == ("holds" if (checks["max_error"] <= checks["tolerance"]).all() else "fails")
