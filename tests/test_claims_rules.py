"""Decision rules R1-R7 on planted worlds: one truth, one verdict."""

import numpy as np
import pandas as pd
import pytest
from claims_planted import DATASETS, LAMBDAS, claim, plan, world

from wdbench.claims import judge, vote
from wdbench.claims.kinds import Ruling


def judged(runs, *claims, **options):
    return judge(runs, claims, plan(runs), **options).verdicts.set_index(["claim_id", "dataset"])


def verdict(runs, one, stratum="all"):
    row = judged(runs, one).loc[(one.id, stratum)]
    return row["verdict"], row["reason"]


@pytest.mark.parametrize(
    ("effect", "expected", "says"),
    [(-0.1, "supported", "supported on alpha, beta, gamma"), (0.0, "refuted", ""), (0.1, "refuted", "")],
)
def test_superiority(effect, expected, says):
    found, reason = verdict(world(effect), claim())
    assert found == expected
    assert says in reason


@pytest.mark.parametrize(("effect", "reason"), [(0.1, "opposite"), (0.0, "null"), (-0.015, "real but negligible")])
def test_refuted_says_which(effect, reason):
    found, why = verdict(world(effect, noise=0.005), claim(), "alpha")
    assert found == "refuted"
    assert why.startswith(reason)


def test_effect_of_exactly_the_margin_is_supported():
    assert verdict(world(-0.03, noise=0.0), claim(), "beta")[0] == "supported"
    assert verdict(world(-0.02999, noise=0.0), claim(), "beta")[0] == "refuted"


def test_estimate_and_orientation():
    row = judged(world(-0.1), claim()).loc[("T1", "alpha")]
    assert row["estimate"] == pytest.approx(0.1, abs=0.02)
    assert row["ci_low"] < row["estimate"] < row["ci_high"]
    assert (row["n"], row["method"], row["margin"]) == (10, "t", 0.03)
    assert row["equation"] == "-mean over blocks of [(t - c)/|c|]"
    flipped = judged(world(-0.1), claim(direction="higher")).loc[("T1", "alpha")]
    assert flipped["estimate"] == pytest.approx(-row["estimate"])
    assert flipped["verdict"] == "refuted"


def test_noise_gives_inconclusive_with_what_could_have_been_found():
    runs = world(-0.04, noise=0.2, seed=1)
    row = judged(runs, claim()).loc[("T1", "alpha")]
    assert row["verdict"] == "inconclusive"
    assert row["mde"] > 0.1
    assert f"{row['mde']:.3g}" in row["reason"]


@pytest.mark.parametrize("replicates", [1, 2, 5])
def test_few_replicates(replicates):
    row = judged(world(-0.1, replicates=replicates, datasets=("alpha",)), claim()).loc[("T1", "alpha")]
    assert row["n"] == replicates
    if replicates == 1:
        assert row["verdict"] == "inconclusive"
        assert "no interval" in row["reason"]
    else:
        assert row["method"] == "t"
    if replicates == 5:
        assert row["verdict"] == "supported"


def test_conditional_names_both_sides():
    found, reason = verdict(world({"alpha": -0.1, "beta": 0.1, "gamma": -0.1}), claim())
    assert found == "conditional"
    assert reason == "supported on alpha, gamma; refuted on beta"


@pytest.mark.parametrize(
    ("sides", "p", "expected"),
    [
        ("sss", 0.01, "supported"),
        ("ssi", 0.01, "supported"),
        ("ssi", 0.2, "inconclusive"),
        ("sii", 0.01, "inconclusive"),
        ("sssii", 0.01, "inconclusive"),
        ("ssr", 0.01, "conditional"),
        ("sri", 0.9, "conditional"),
        ("rri", 0.9, "refuted"),
        ("rii", 0.9, "inconclusive"),
        ("ri", 0.9, "inconclusive"),
        ("ssn", 0.01, "supported"),
        ("nnn", 0.01, "not_tested"),
        ("ee", 0.01, "equivalent"),
        ("er", 0.01, "conditional"),
        ("s", 0.01, "supported"),
    ],
)
def test_overall_vote(sides, p, expected):
    words = {"s": "supported", "r": "refuted", "i": "inconclusive", "n": "not_tested", "e": "equivalent"}
    strata = {f"set{i}": Ruling(words[side], "why") for i, side in enumerate(sides)}
    ruling = vote.overall(strata, p, 0.05)
    assert ruling.verdict == expected
    for name, part in strata.items():
        if part.verdict == "not_tested" or len(set(sides)) > 1:
            assert name in ruling.reason


def test_holm_within_the_family_and_not_across_families():
    runs = world(-0.1, replicates=6, datasets=("alpha",))
    same = [claim(id=f"T{i}", sentence=str(i)) for i in range(4)]
    alone = judged(runs, same[0]).loc[("T0", "all")]
    together = judged(runs, *same).loc[("T0", "all")]
    apart = judged(runs, *[claim(id=f"T{i}", family=f"F{i}") for i in range(4)]).loc[("T0", "all")]
    assert alone["p_holm"] == alone["p_value"] == pytest.approx(2 / 2**6)
    assert together["p_holm"] == pytest.approx(4 * alone["p_value"])
    assert apart["p_holm"] == alone["p_holm"]
    assert (alone["verdict"], together["verdict"]) == ("supported", "inconclusive")
    assert "Holm" in together["reason"]


def test_holm_within_a_claim():
    found = judged(world(-0.1), claim())
    strata = found.loc["T1"].drop("all")
    np.testing.assert_allclose(strata["p_value"], 2 / 2**10)
    np.testing.assert_allclose(strata["p_holm"], 3 * 2 / 2**10)


@pytest.mark.parametrize(
    ("effect", "noise", "expected"),
    [(0.0, 0.005, "equivalent"), (-0.1, 0.01, "refuted"), (0.1, 0.01, "refuted"), (0.0, 0.2, "inconclusive")],
)
def test_equivalence(effect, noise, expected):
    one = claim(kind="equivalence", direction=None)
    found = judged(world(effect, noise), one)
    assert set(found.loc["T1"]["verdict"]) == {expected}
    row = found.loc[("T1", "alpha")]
    assert row["ci_low"] <= row["ci_tost_low"] < row["ci_tost_high"] <= row["ci_high"]
    assert np.sign(row["estimate"]) == np.sign(effect) or effect == 0


def curve(**changes):
    fields = {
        "arms": {"treatment": {"where": 'penalty == "l2"'}},
        "effect": "difference",
        "x": "lambda_rel",
        "x_transform": "log10",
    }
    return claim(**(fields | changes))


def test_slope_of_a_line_is_found_exactly():
    runs = world()
    one = curve(kind="slope", metric="weight_norm", margin=0.5)
    # weight_norm = 5 - log10(λ + .001); λ = 0 has no place on a log axis
    row = judged(runs, one).loc[("T1", "alpha")]
    x = np.log10([lam for lam in LAMBDAS if lam > 0])
    y = 5 - np.log10(np.array([lam for lam in LAMBDAS if lam > 0]) + 1e-3)
    assert row["estimate"] == pytest.approx(-np.polyfit(x, y, 1)[0])
    assert row["verdict"] == "supported"
    assert verdict(runs, curve(kind="slope", metric="weight_norm", margin=0.5, direction="higher"))[0] == "refuted"


def test_kendall_slope_keeps_lambda_zero():
    row = judged(
        world(), curve(kind="slope", metric="weight_norm", margin=0.9, statistic="kendall", x_transform="none")
    ).loc[("T1", "all")]
    assert row["estimate"] == pytest.approx(1.0)
    assert row["verdict"] == "supported"


def test_slope_of_a_contrast():
    """The relative gain over no penalty, as it moves with λ beyond the best one."""
    one = claim(
        kind="slope",
        arms={"treatment": {"where": 'penalty == "l2" and lambda_rel >= 1'}, "control": {"where": 'penalty == "none"'}},
        x="lambda_rel",
        x_transform="log10",
        direction="higher",
        margin=0.1,
    )
    runs = world()
    none = runs[runs["penalty"] == "none"].assign(lambda_rel=1.0)
    copies = [none.assign(cell_id=none["cell_id"] + f"_{lam}", lambda_rel=lam) for lam in (1.0, 10.0, 100.0)]
    runs = pd.concat([runs[runs["penalty"] == "l2"], *copies], ignore_index=True)
    row = judged(runs, one).loc[("T1", "alpha")]
    assert row["estimate"] == pytest.approx(0.2)
    assert row["verdict"] == "supported"


def test_ushape():
    valley = curve(kind="ushape", metric="test_loss", margin=0.05)
    assert verdict(world(best=1.0), valley)[0] == "supported"
    # monotone on its grid: one end slope has the wrong sign
    found, reason = verdict(world(best=100.0), valley)
    assert found == "refuted"
    assert "right end" in judged(world(best=100.0), valley).loc[("T1", "alpha")]["reason"]
    assert (
        verdict(world(best=1.0), curve(kind="ushape", metric="test_loss", margin=0.05, direction="higher"))[0]
        == "refuted"
    )


def test_interaction():
    # l2 gains .1 where precision is fp64, nothing where it is bf16
    low = world(0.0, seed=0).assign(precision="bf16")
    low["cell_id"] = "b" + low["cell_id"]
    runs = pd.concat([world(-0.1), low], ignore_index=True)
    sides = {"claimed": 'precision == "fp64"', "other": 'precision == "bf16"'}
    found = judged(runs, claim(kind="interaction", conditions=sides)).loc["T1"]
    assert set(found["verdict"]) == {"supported"}
    assert found.loc["alpha", "estimate"] == pytest.approx(0.1, abs=0.03)
    same = {"claimed": 'precision == "bf16"', "other": 'precision == "fp64"'}
    assert set(judged(runs, claim(kind="interaction", conditions=same)).loc["T1"]["verdict"]) == {"refuted"}


@pytest.mark.parametrize(
    ("control", "whole", "expected", "says"),
    [(-0.1, -0.1, "supported", "% of an effect of"), (-0.07, -0.1, "supported", "% of an effect of"), (-0.02, -0.1, "refuted", "% of"),
     (0.05, -0.1, "refuted", ""), (-0.1, 0.0, "inconclusive", "nothing to have a share of"),
     (-0.1, 0.1, "inconclusive", "nothing to have a share of")],
)  # fmt: skip
def test_share(control, whole, expected, says):
    """`whole` is what decay does to the loss, `control` what the replay of its norms does."""
    replay = world(control, seed=3)
    replay = replay[replay["penalty"] == "l2"].assign(coupling="norm_replay")
    replay["cell_id"] = "r" + replay["cell_id"]
    runs = pd.concat([world(whole, seed=3).assign(coupling="decoupled"), replay], ignore_index=True)
    runs["test_loss"] += np.random.default_rng(8).normal(0, 0.01, len(runs))
    sides = {side: f'penalty == "none" or coupling == "{name}"'
             for side, name in (("claimed", "norm_replay"), ("other", "decoupled"))}  # fmt: skip
    one = claim(kind="share", conditions=sides, effect="difference", margin=0.0)
    found = judged(runs, one)
    assert set(found.loc["T1"]["verdict"]) == {expected}
    assert says in found.loc[("T1", "alpha")]["reason"]
    wide = {c: runs[runs["coupling"] == c] for c in ("norm_replay", "decoupled")}
    mean = lambda part, penalty, lam: part[(part["penalty"] == penalty) & (part["lambda_rel"] == lam)  # noqa: E731
                                           & (part["dataset"] == "alpha")]["test_loss"].mean()  # fmt: skip
    plain = mean(wide["decoupled"], "none", 0.0)
    gains = [plain - mean(wide[c], "l2", 1.0) for c in ("norm_replay", "decoupled")]
    assert found.loc[("T1", "alpha"), "estimate"] == pytest.approx(gains[0] - gains[1] / 2)
    if says.startswith("% of an"):
        assert f"{gains[0] / gains[1]:.0%} of" in found.loc[("T1", "alpha")]["reason"]


def events(treatment: int, control: int, n: int = 20) -> pd.DataFrame:
    """One data set; so many of the n blocks' runs diverged in each arm, the control's blocks first."""
    runs = world(replicates=n, datasets=("alpha",), lambdas=(1.0,))
    for penalty, count in (("l2", treatment), ("none", control)):
        lost = (runs["penalty"] == penalty) & (runs["replicate"] < count)
        runs.loc[lost, "status"] = "diverged"
        runs.loc[lost, ["val_loss", "test_loss"]] = np.nan
    return runs


EVENT = {
    "kind": "event",
    "event": 'status == "diverged"',
    "metric": None,
    "effect": None,
    "margin": 0.3,
    "arms": {"treatment": {"where": 'penalty == "l2"'}, "control": {"where": 'penalty == "none"'}},
}


@pytest.mark.parametrize(
    ("treatment", "control", "expected"),
    [(0, 12, "supported"), (12, 12, "refuted"), (12, 2, "refuted"), (0, 4, "inconclusive"), (0, 1, "not_tested")],
)
def test_events(treatment, control, expected):
    row = judged(events(treatment, control), claim(**EVENT)).loc[("T1", "all")]
    assert row["verdict"] == expected
    if expected != "not_tested":
        assert row["estimate"] == pytest.approx((control - treatment) / 20)
        assert row["ci_low"] <= row["estimate"] <= row["ci_high"]


def test_one_sample_against_a_threshold():
    runs = world()
    runs.loc[runs["lambda_rel"] > 0, "fidelity"] = 0.02
    one = claim(
        arms={"treatment": {"where": "lambda_rel > 0", "select": {"rule": "mean", "over": ["lambda_rel"]}}},
        metric="fidelity",
        effect="difference",
        threshold=0.5,
        margin=0.1,
    )
    row = judged(runs, one).loc[("T1", "all")]
    assert (row["verdict"], row["estimate"]) == ("supported", pytest.approx(0.48))


def test_every_metric_of_a_list_must_bear_the_claim_out():
    runs = world(-0.1)
    runs["nll"] = np.where(runs["penalty"] == "l2", 1.0, 0.9) + 0.01 * np.random.default_rng(0).random(len(runs))
    row = judged(runs, claim(metric=["test_loss", "nll"])).loc[("T1", "alpha")]
    assert (row["verdict"], row["component"]) == ("refuted", "nll")
    runs["nll"] = np.where(runs["penalty"] == "l2", 0.8, 0.9) + 0.01 * np.random.default_rng(0).random(len(runs))
    assert judged(runs, claim(metric=["test_loss", "nll"])).loc[("T1", "alpha")]["verdict"] == "supported"


def test_identities():
    checks = pd.DataFrame(
        {
            "identity": ["I5", "I5", "I6", "I7"],
            "check": "update",
            "case": ["sgd", "adam", "fp64", "empty"],
            "kind": "statement",
            "inputs": 1,
            "max_error": [1e-13, 9e-13, 3e-12, np.nan],
            "relation": "<=",
            "tolerance": [1e-12, 1e-12, 1e-12, 1e-12],
        }
    )
    ones = [
        claim(
            id=name,
            kind="identity",
            identity=name,
            **dict.fromkeys(("study", "arms", "metric", "effect", "direction", "margin")),
        )
        for name in ("I5", "I6", "I7", "I8")
    ]
    found = judge(world(), ones, plan(world()), identities=checks).verdicts.set_index("claim_id")
    assert found["verdict"].to_dict() == {"I5": "holds", "I6": "fails", "I7": "fails", "I8": "not_tested"}
    assert (found.loc["I5", "estimate"], found.loc["I5", "margin"], found.loc["I5", "n"]) == (9e-13, 1e-12, 2)
    assert "adam" in found.loc["I5", "reason"]


def test_identities_that_must_differ_and_counter_cases():
    row = {"identity": "I5", "check": "c", "case": "", "kind": "statement", "inputs": 1, "relation": ">=", "tolerance": 0.01}
    one = claim(id="I5", kind="identity", identity="I5",
                **dict.fromkeys(("study", "arms", "metric", "effect", "direction", "margin")))
    for error, expected in ((0.5, "holds"), (0.001, "fails")):
        counter = {**row, "kind": "counter", "max_error": 0.0}
        checks = pd.DataFrame([{**row, "max_error": error}, counter])
        assert judge(world(), [one], plan(world()), identities=checks).verdicts["verdict"].tolist() == [expected]


def test_naive_analysis_beside():
    """Selecting λ on the test rows finds a gain where there is none."""
    runs = world(0.0, noise=0.0)
    generator = np.random.default_rng(3)
    penalised = runs["penalty"] == "l2"
    runs["test_loss"] = np.where(penalised, 1.0, 1.0) + 0.1 * generator.standard_normal(len(runs))
    runs["val_loss"] = 1.0 + 0.1 * generator.standard_normal(len(runs))
    wrong = {"treatment": {"where": 'penalty == "l2"', "select": {"over": ["lambda_rel"], "by": "test_loss"}}}
    row = judged(runs, claim(naive={"trap": "λ chosen on the test rows", "arms": wrong})).loc[("T1", "all")]
    assert row["naive_verdict"] == "supported"
    assert row["verdict"] != "supported"
    assert row["naive_estimate"] > row["estimate"] + 0.05
    assert row["naive_trap"] == "λ chosen on the test rows"


def test_cases_and_columns_as_strata():
    runs = world({"alpha": -0.1, "beta": 0.1, "gamma": -0.1})
    cases = claim(cases={"real": 'dataset in ["alpha", "gamma"]', "made": 'dataset == "beta"'})
    found = judged(runs, cases).loc["T1"]
    assert found.index.tolist() == ["all", "real", "made"]
    assert found["verdict"].tolist() == ["conditional", "supported", "refuted"]
    assert found.loc["real", "n"] == 20
    by = judged(runs, claim(by=["dataset_base", "optimiser"])).loc["T1"]
    assert by.index.tolist() == ["all", *[f"{name} / exact" for name in DATASETS]]
    assert judged(runs, claim(by=[])).loc["T1"].index.tolist() == ["all", "pooled"]


def test_verdicts_are_the_same_bits_each_time_and_whatever_the_order_of_rows():
    runs = world(-0.04, noise=0.1)
    first = judge(runs, [claim()], plan(runs))
    shuffled = runs.sample(frac=1, random_state=0)
    again = judge(shuffled, [claim()], plan(shuffled))
    pd.testing.assert_frame_equal(first.verdicts, again.verdicts)
    pd.testing.assert_frame_equal(first.selected, again.selected)
    pd.testing.assert_frame_equal(first.effects, again.effects)


@pytest.mark.parametrize(
    "change", [pd.DataFrame.convert_dtypes, lambda t: t.astype({"dataset": "category", "penalty": "category"})]
)
def test_verdicts_do_not_depend_on_how_pandas_holds_a_column(change):
    runs = world(-0.04, noise=0.1)
    pd.testing.assert_frame_equal(
        judge(runs, [claim()], plan(runs)).verdicts, judge(change(runs), [claim()], plan(runs)).verdicts
    )
