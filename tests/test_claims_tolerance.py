"""Kind tolerance: closed forms against brute force, planted grids, verdicts from the published tables."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest

from wdbench.claims import judge
from wdbench.claims.tolerance import best_of, share_within, windowed
from wdbench.config.claimparts import Window
from wdbench.config.claims import Claim

RATES = (0.001, 0.004, 0.016)
LAMBDAS = tuple(float(v) for v in np.geomspace(1e-3, 10, 9))


def grid(coupling, width, bottom, best=0.1, replicates=10, seed=0, lambdas=LAMBDAS) -> pd.DataFrame:
    """A bowl over log lambda, `width` decades to a rise of 1, the same at every rate but for noise; lowest value `bottom`."""
    rng = np.random.default_rng([seed, len(coupling)])
    rows = []
    for replicate, lr, lam in itertools.product(range(replicates), RATES, lambdas):
        rise = (np.log10(lam / best) / width) ** 2 + 0.01 * rng.random()
        rows.append({"study": "s", "dataset": "alpha", "dataset_base": "alpha", "replicate": replicate, "status": "ok",
                     "penalty": "l2", "coupling": coupling, "lr": lr, "lambda": lam, "n_classes": 10.0, "fidelity": 1.0,
                     "val_loss": bottom * (1 + rise), "test_loss": bottom * (1.1 + rise)})
    return pd.DataFrame(rows)


def world(*grids) -> pd.DataFrame:
    runs = pd.concat(grids, ignore_index=True)
    runs.insert(0, "cell_id", [f"c{i:05d}" for i in range(len(runs))])
    return runs


def claim(tolerance, **changes) -> Claim:
    arms = {side: {"where": f'coupling == "{name}"', "select": {"rule": "grid", "over": ["lambda", "lr"],
                                                                 "edge": {"lr.low": "flat", "lr.high": "flat"}}}
            for side, name in (("treatment", "decoupled"), ("control", "coupled"))}
    fields = {"id": "T1", "sentence": "s", "source": "planted", "family": "T", "kind": "tolerance", "study": "s", "arms": arms,
              "metric": "test_loss", "direction": "higher", "margin": 0.05, "tolerance": tolerance}
    return Claim.model_validate(fields | changes)


def judged(runs, one):
    found = judge(runs, [one], runs[["cell_id", "study", "dataset", "dataset_base", "replicate", "penalty", "coupling"]])
    return [pd.read_csv(io.StringIO(t.to_csv(index=False)), keep_default_na=False, na_values=[""])
            for t in (found.verdicts, found.selected, found.effects)]


@pytest.mark.parametrize("k", [1, 2, 3, 6, 7])
def test_expected_best_is_the_mean_over_all_draws(k):
    rng = np.random.default_rng(0)
    val, loss = rng.standard_normal(7), rng.standard_normal(7)
    draws = [loss[min(draw, key=lambda i: val[i])] for draw in itertools.combinations(range(7), k)]
    assert best_of(k, val, loss) == pytest.approx(np.mean(draws), rel=1e-12)


def test_expected_best_with_ties_is_the_mean_over_all_draws_and_all_ways_to_break_them():
    val, loss = np.array([2.0, 1.0, 1.0, np.inf, np.inf, 2.0]), np.array([3.0, 1.0, 5.0, 9.0, 9.5, 4.0])
    found = []
    for draw in itertools.combinations(range(6), 3):
        least = min(val[i] for i in draw)
        found.append(np.mean([loss[i] for i in draw if val[i] == least]))
    assert best_of(3, val, loss) == pytest.approx(np.mean(found), rel=1e-12)


def test_ends_of_the_number_of_draws():
    val, loss = np.arange(90.0), np.linspace(2.0, 5.0, 90)
    assert best_of(1, val, loss) == pytest.approx(loss.mean()) and best_of(90, val, loss) == 2.0
    assert np.isnan(best_of(91, val, loss))
    assert np.isnan(share_within(0.1, 0.0, loss)) and share_within(0.5, 2.0, loss) == pytest.approx((loss <= 3).mean())


def test_a_window_is_the_exact_surface_where_that_is_linear():
    window = Window(column="lambda", decades=2.0, points=5)
    log = np.linspace(-3, 1, 9)
    bowl = pd.concat([pd.DataFrame({"lambda": 10.0**log, "lr": lr, "val": abs(log + 1), "loss": lr + 2 * log}) for lr in (1.0, 2.0)])
    found = windowed(bowl.reset_index(drop=True), ("lambda", "lr"), window)
    at = np.linspace(-2, 0, 5)
    np.testing.assert_allclose(found["loss"], np.concatenate([1.0 + 2 * at, 2.0 + 2 * at]), atol=1e-9)
    np.testing.assert_allclose(found["val"], np.tile(abs(at + 1), 2), atol=1e-9)
    between = windowed(bowl.reset_index(drop=True), ("lambda", "lr"), Window(column="lambda", decades=1.5, points=7))
    np.testing.assert_allclose(between["loss"][:7], 1.0 + 2 * np.linspace(-1.75, -0.25, 7), atol=1e-9)


def test_a_window_that_reaches_beyond_the_grid_is_none_and_a_divergent_cell_stays_infinite():
    cells = pd.DataFrame({"lambda": [0.01, 0.1, 1.0], "lr": 1.0, "val": [0.5, 1.0, np.inf], "loss": [1.0, 2.0, 9.0]})
    window = Window(column="lambda", decades=2.0, points=3)
    assert windowed(cells, ("lambda", "lr"), window) is None
    found = windowed(cells.assign(val=[1.0, 0.5, np.inf]), ("lambda", "lr"), window)
    assert found["val"].tolist() == [1.0, 0.5, np.inf] and found["loss"].tolist() == [1.0, 2.0, 9.0]


def test_a_wider_bowl_is_more_forgiving_and_a_bad_one_only_relative_to_itself():
    wide, narrow = grid("decoupled", 3.0, 0.5), grid("coupled", 1.0, 0.5)
    own = claim({"within": [0.05, 0.09], "of": "own"})
    verdicts, _, effects = judged(world(wide, narrow), own)
    assert verdicts["verdict"].tolist() == ["supported", "supported"]
    assert set(effects["component"]) == {"within 0.05", "within 0.09"}
    worse = world(grid("decoupled", 3.0, 0.8), narrow)
    assert judged(worse, own)[0]["verdict"][0] == "supported"
    verdicts, _, effects = judged(worse, claim({"within": [0.05, 0.09], "of": "common"}))
    assert verdicts["verdict"][0] == "refuted" and (effects["treatment"] == 0).all()


def test_a_finer_grid_is_not_a_more_forgiving_one_within_a_window():
    coarse = grid("coupled", 2.0, 0.5, lambdas=tuple(np.geomspace(1e-6, 10, 15)))
    fine = grid("decoupled", 2.0, 0.5, lambdas=tuple(np.geomspace(1e-2, 1, 9)))
    own = {"within": [0.05], "of": "own"}
    naive = judged(world(fine, coarse), claim(own))[0].iloc[0]
    assert naive["verdict"] == "supported" and naive["estimate"] > 0.2
    fair = judged(world(fine, coarse), claim(own | {"window": {"column": "lambda", "decades": 1.0, "points": 9}}))[0].iloc[0]
    assert abs(fair["estimate"]) < 0.1 < naive["estimate"]


@pytest.mark.parametrize("tolerance, effect, direction", [
    ({"within": [0.01, 0.05], "of": "own"}, "difference", "higher"),
    ({"within": [0.03], "of": "common"}, "difference", "higher"),
    ({"draws": [4, 8, 16]}, "relative", "lower"),
])
def test_effects_from_the_runs_themselves(tolerance, effect, direction):
    runs = world(grid("decoupled", 2.0, 0.5), grid("coupled", 1.5, 0.45, seed=3))
    one = claim(tolerance, effect=effect, direction=direction, margin=0.02)
    verdicts, selected, effects = judged(runs, one)
    assert len(selected) == len(runs)
    rng = np.random.default_rng(1)
    for (component, block), row in effects.set_index(["component", "block"]).iterrows():
        here = runs[runs["replicate"] == int(block.rpartition("/")[2])]
        arms = [here[here["coupling"] == name] for name in ("decoupled", "coupled")]
        chosen = [arm.sort_values("val_loss")["test_loss"].iloc[0] for arm in arms]
        if component.startswith("best of"):
            k = int(component.split()[-1])
            drawn = [np.mean([arm.iloc[rng.choice(len(arm), k, replace=False)].sort_values("val_loss")["test_loss"].iloc[0]
                              for _ in range(300)]) for arm in arms]
            assert [row["treatment"], row["control"]] == pytest.approx(drawn, rel=0.05)
            assert row["effect"] == pytest.approx((row["control"] - row["treatment"]) / row["control"])
            continue
        best = [min(chosen)] * 2 if tolerance["of"] == "common" else chosen
        shares = [(arm["test_loss"] <= b * (1 + float(component.split()[-1]))).mean() for arm, b in zip(arms, best, strict=True)]
        assert [row["treatment"], row["control"]] == pytest.approx(shares)
        assert row["effect"] == pytest.approx(shares[0] - shares[1])
    row = verdicts.iloc[0]
    means = effects.groupby("component")["effect"].mean()
    assert row["estimate"] == pytest.approx(means[row["component"]] if len(means) > 1 else means.iloc[0])


def test_a_divergent_cell_is_as_bad_as_any_and_the_analysis_without_it_is_beside():
    runs = world(grid("decoupled", 3.0, 0.5), grid("coupled", 1.0, 0.5))
    lost = (runs["coupling"] == "decoupled") & (runs["lr"] == RATES[-1])
    runs.loc[lost, ["val_loss", "test_loss"]] = np.nan
    runs.loc[lost, "status"] = "diverged"
    one = claim({"within": [0.05], "of": "own"})
    verdicts, selected, effects = judged(runs, one)
    arm = runs[(runs["coupling"] == "decoupled") & (runs["replicate"] == 0)]
    best = arm.sort_values("val_loss")["test_loss"].iloc[0]
    assert effects["treatment"][0] == pytest.approx((arm["test_loss"] <= 1.05 * best).sum() / len(arm))
    assert selected["imputed"].sum() == lost.sum()
    assert verdicts["estimate_secondary"][0] > verdicts["estimate"][0]


def test_an_optimum_at_the_end_of_the_grid_gives_no_verdict():
    edge = world(grid("decoupled", 3.0, 0.5, best=1e-3), grid("coupled", 1.0, 0.5))
    row = judged(edge, claim({"within": [0.05], "of": "own"}))[0].iloc[0]
    assert row["verdict"] == "inconclusive" and row["selection_edge_share"] == 1.0
    window = {"window": {"column": "lambda", "decades": 2.0, "points": 5}}
    row = judged(edge, claim({"within": [0.05], "of": "own"} | window))[0].iloc[0]
    assert row["verdict"] == "not_tested" and "no block has a defined effect" in row["reason"]


@pytest.mark.parametrize("change, message", [
    ({"tolerance": None}, "kind tolerance needs tolerance"),
    ({"tolerance": {"within": [0.1], "of": "own", "draws": [3]}}, "one of them"),
    ({"tolerance": {"within": [0.1]}}, "go together"),
    ({"tolerance": {"draws": [0]}}, "greater than or equal to 1"),
    ({"tolerance": {"draws": [4], "window": {"column": "lambda", "decades": 2.0, "points": 4}}}, "points 4 is even; valid: odd"),
    ({"tolerance": {"draws": [4], "window": {"column": "lambda_rel", "decades": 2.0, "points": 5}}}, "must be one that arms.treatment"),
    ({"arms": {"treatment": {}, "control": {}}}, "with rule: grid"),
    ({"kind": "superiority"}, "kind superiority has no tolerance"),
])
def test_misfits(change, message):
    with pytest.raises(ValueError, match=message):
        claim(**({"tolerance": {"draws": [4]}} | change))


def test_words():
    from wdbench.claims import describe

    assert describe.effect_unit(claim({"within": [0.01, 0.02], "of": "common"})) == \
        "share of cells with test_loss within 1, 2 % of the better arm's best"
    assert describe.effect_unit(claim({"draws": [4, 8]}, effect="relative")) == \
        "expected test_loss of the best of 4, 8 cells drawn at random, relative"


def test_figures_and_words_of_a_whole_grid():
    from wdbench.figures import draw, registry, words  # noqa: F401 (draw registers the kinds)

    runs = world(grid("decoupled", 3.0, 0.5), grid("coupled", 1.0, 0.5))
    one = claim({"draws": [4, 8]}, effect="relative", direction="lower", id="T2")
    verdicts, selected, effects = judged(runs, one)
    figure = registry.draw(one, {"runs": runs, "verdicts": verdicts, "selected": selected, "effects": effects})
    shown = " ".join(text.get_text() for axes in figure.axes for text in (*axes.texts, axes.xaxis.label))
    assert "expected test loss of the best of 4, 8" in " ".join(shown.split()) and "%" in shown
    own = claim({"within": [0.01, 0.05], "of": "own"})
    assert words.effect_name(own) == "difference of share of the grid's cells within 1, 5 % of its own best (share)"
