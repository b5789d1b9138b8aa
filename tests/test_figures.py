"""Every kind of figure: it draws with one, few and many data sets, says its units and n, and gives the same
bytes twice.
"""

import re

import numpy as np
import pandas as pd
import planted
import pytest
from matplotlib.figure import Figure

from wdbench.claims import selection
from wdbench.config import claims as claim_config
from wdbench.errors import UserError
from wdbench.figures import (
    draw,
    fidelity,
    labels,
    overview,
    path,
    points,
    registry,
    rows,
    slope,
    style,
    words,
)

CLAIMS = {claim.id: claim for claim in planted.claim_list()}
MANY = tuple(f"sparse:p={p},rho={rho}" for p in (50, 200) for rho in (0, 0.5, 0.9)) + planted.REAL
SIZES = {"one": planted.REAL[:1], "few": planted.REAL[:3], "many": MANY}


@pytest.fixture(scope="module", params=SIZES)
def tables(request):
    return planted.tables(SIZES[request.param], replicates=2, grid=6)


@pytest.fixture(scope="module")
def few():
    return planted.tables(SIZES["few"], replicates=3, grid=6)


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for legend in figure.legends:
        found += [text.get_text() for text in legend.get_texts()]
    for axes in figure.axes:
        parts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        found += [part.get_text() for part in parts] + [tick.get_text() for tick in axes.get_yticklabels()]
    return "\n".join(found)


def smallest_font(figure: Figure) -> float:
    sizes = [
        text.get_fontsize()
        for text in figure.findobj(match=lambda a: hasattr(a, "get_fontsize"))
        if text.get_text().strip()
    ]
    return min(sizes)


@pytest.mark.parametrize("name", [claim_id for claim_id, claim in CLAIMS.items() if not claim.not_tested])
def test_every_claim_draws_at_every_size(tables, name):
    figure = registry.draw(CLAIMS[name], tables)
    assert figure.get_figwidth() == style.WIDTH_IN and smallest_font(figure) >= 8
    assert len(style.svg(figure)) < 400_000
    shown = texts(figure)
    assert re.search(r"n = \d|\d of \d|^n$", shown, re.M), shown


@pytest.mark.parametrize("kind", ["paired", "forest", "path"])
def test_kinds_that_no_planted_claim_names(tables, kind):
    claim = CLAIMS["A2"].model_copy(update={"figure": claim_config.Figure(name=kind)})
    assert smallest_font(registry.draw(claim, tables)) >= 8


def test_overviews_draw(tables):
    for figure in (function(tables) for needed, function in draw.OVERVIEWS.values() if needed in tables):
        assert smallest_font(figure) >= 8
    assert "%" in texts(overview.grid(tables)) and "trained cells" in texts(overview.grid(tables))


def test_units_stand_on_the_axes(few):
    shown = texts(registry.draw(CLAIMS["A2"], few))
    assert "½r² ÷ var(y)" in shown and "in units of the data set's anchor" in shown and "(%)" in shown


def test_a_column_without_a_label_is_refused():
    with pytest.raises(UserError, match="nonsense"):
        labels.axis("nonsense")
    assert labels.axis("test_loss - train_loss", "classification") == "test loss − training loss (nats)"
    assert labels.axis("test_loss", "regression").endswith("(½r² ÷ var(y))")


def test_svg_and_png_have_the_same_bytes_every_time(few):
    for name in ("A2", "I5", "C2"):
        first, second = (registry.draw(CLAIMS[name], few) for _ in range(2))
        assert style.svg(first) == style.svg(second)
        assert style.png(first) == style.png(second)
        assert b"Date" not in style.svg(first) and b"<text" not in style.svg(first)


def test_compacted_svg_is_well_formed(few):
    import xml.etree.ElementTree as tree

    content = style.svg(registry.draw(CLAIMS["A2"], few))
    root = tree.fromstring(content)
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    used = {reference.decode() for reference in re.findall(rb'href="#([^"]+)"', content)}
    assert used and used <= ids


def test_draw_all_writes_every_figure_and_names_what_has_none(few, tmp_path):
    drawn = draw.draw_all(few, tuple(CLAIMS.values()), tmp_path)
    index = pd.read_csv(tmp_path / "index.csv", keep_default_na=False).set_index("figure")
    assert set(index.index) == {one.name for one in drawn} >= set(CLAIMS)
    assert "needs networks" in index.loc["C8", "reason"] and not (tmp_path / "C8.svg").exists()
    for name in set(CLAIMS) - {"C8"}:
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000 and (
            tmp_path / f"{name}.png"
        ).stat().st_size > 1000
    assert set(draw.load(tmp_path)) == {one.name for one in drawn if one.content}
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_claim_without_verdict_gets_its_reason(few):
    without = {**few, "verdicts": few["verdicts"].query("claim_id != 'A2'")}
    assert "no row of this claim" in draw.reason_not_drawn(CLAIMS["A2"], without)
    assert draw.reason_not_drawn(CLAIMS["A2"], few) == ""


def test_unknown_kind_and_unknown_option_are_refused(few):
    for figure, part in (
        ({"name": "nonsense"}, "valid: .*forest"),
        ({"name": "path", "options": {"y": 1}}, "valid: metric, x"),
    ):
        claim = CLAIMS["A2"].model_copy(update={"figure": claim_config.Figure(**figure)})
        with pytest.raises(UserError, match=part):
            registry.draw(claim, few)


def test_a_missing_column_is_named(few):
    with pytest.raises(UserError, match="'verdict'"):
        registry.draw(CLAIMS["A2"], {**few, "verdicts": few["verdicts"].drop(columns="verdict")})


def test_curve_is_the_mean_of_what_validation_picks_with_a_t_interval():
    columns = {"stratum": "d", "arm": "a", "condition": "", "x": 1.0, "model": "linear"}
    blocks = {
        "block": [0, 0, 0, 1, 2],
        "y": [np.nan, 9.0, 1.0, 2.0, np.nan],
        "by": [np.nan, 5.0, 1.0, 1.0, np.nan],
    }
    long = pd.DataFrame({**blocks, "cell_id": list("abcde")}).assign(**columns)
    found = rows.curve(long).iloc[0]
    assert (found["mean"], found["n"], found["n_lost"]) == (1.5, 2, 1)
    half = 12.706204736432095 * np.std([1, 2], ddof=1) / np.sqrt(2)  # t(0.975, 1 degree of freedom)
    assert found["high"] - found["mean"] == pytest.approx(half, rel=1e-9)


def test_curve_of_one_block_has_no_interval(few):
    one = {**few, "runs": few["runs"].query("replicate == 0")}
    found = path.paths_of(CLAIMS["A2"], one, None, "lambda_rel").curves
    assert found["low"].isna().all() and found["mean"].notna().all()
    assert registry.draw(CLAIMS["A2"], one) is not None


def test_all_diverged_still_draws(few):
    lost = few["runs"].assign(
        status="diverged", test_loss=np.nan, val_loss=np.nan, weight_norm=np.nan, fidelity=np.nan
    )
    for name in ("A2", "C2", "C3u", "L17"):
        figure = registry.draw(CLAIMS[name], {**few, "runs": lost})
        assert "diverged" in texts(figure)
    assert "no cell" in texts(registry.draw(CLAIMS["L17f"], {**few, "runs": lost}))


def test_chosen_cells_are_found_by_their_id(few):
    runs = few["runs"]
    long = rows.measured(CLAIMS["A2"], runs, "lambda_rel", "test_loss")
    chosen = rows.chosen_x(CLAIMS["A2"], few["selected"], long)
    wanted = few["selected"].query("claim_id == 'A2'")
    assert sorted(chosen["x"]) == sorted(wanted["lambda_rel"]) and set(chosen["arm"]) == {"L2"}


def test_measured_reads_the_rows_that_the_verdict_reads(few):
    claim = CLAIMS["L17"]
    long = rows.measured(claim, few["runs"], "lambda_rel", "test_loss")
    assert set(long["cell_id"]) == set(selection.claim_rows(claim, few["runs"])["cell_id"])
    assert set(long["condition"]) == {"claimed", "other"}


def test_slope_points_are_effects_where_there_is_a_control(few):
    claim = CLAIMS["A2"].model_copy(update={"kind": "slope", "x": "lambda_rel"})
    found = points.of(claim, few, "lambda_rel", "test_loss")
    runs = few["runs"].query("optimiser == 'exact' and dataset == 'hitters' and replicate == 1")
    none = runs.query("penalty == 'none'")["test_loss"].item()
    l2 = runs.query("penalty == 'l2'").sort_values("lambda_rel")["test_loss"].to_numpy()
    blocks = found.query("stratum == 'hitters'").sort_values("x")
    mine = blocks[blocks["y"].isin((l2 - none) / none)]
    assert len(mine) == len(l2)


def test_fitted_line_and_turning_point_of_known_curves():
    x = np.geomspace(1e-3, 1e3, 7)
    line = pd.DataFrame(
        {
            "block": np.repeat([0, 1, 2], 7),
            "x": np.tile(x, 3),
            "y": np.concatenate([k * np.log10(x) for k in (1, 2, 3)]),
        }
    )
    fit = points.fitted_line(line)
    assert (fit["slope"], fit["n"]) == (pytest.approx(2), 3)
    assert fit["high"] - fit["slope"] == pytest.approx(4.302652729911275 / np.sqrt(3))
    bowl = line.assign(y=(np.log10(line["x"]) - 1) ** 2)
    inside, blocks = points.turning(bowl)
    assert blocks == 3 and inside == pytest.approx([10, 10, 10])
    assert points.turning(line.assign(y=(np.log10(line["x"]) - 9) ** 2))[0].size == 0


def test_broken_lines_never_join_two_blocks():
    frame = pd.DataFrame({"block": [0, 0, 1, 1], "x": [2.0, 1.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0, 4.0]})
    x, y = points.broken_lines(frame)
    assert np.isnan(x[2]) and np.isnan(y[2]) and x.size == 5 and x[0] == 1.0 and y[0] == 2.0


@pytest.mark.parametrize(("events", "n"), [(0, 10), (3, 10), (10, 10)])
def test_clopper_pearson_against_scipy(events, n):
    from scipy.stats import binomtest

    wanted = binomtest(events, n).proportion_ci(method="exact")
    assert points.clopper_pearson(events, n) == pytest.approx((wanted.low, wanted.high))


def test_events_count_pairs(few):
    from wdbench.figures import events

    found = events.counts(CLAIMS["E1c"], few).set_index(["dataset", "arm"])
    mine = few["effects"].query("claim_id == 'E1c' and dataset == 'diabetes'")
    assert found.loc[("diabetes", "coupled"), "events"] == int(mine["control"].sum())
    assert found.loc[("diabetes", "decoupled"), "n"] == len(mine)


def test_fidelity_points_are_medians_by_decay_of_a_step(few):
    found = fidelity.points(few["runs"], "fidelity")
    lost = found[
        (found["precision"] == "bf16_weights") & (found["coupling"] == "decoupled") & (found["at"] < 1e-4)
    ]
    assert len(lost) and lost["middle"].abs().max() < 0.1
    assert found[found["precision"] == "fp32"]["middle"].min() > 0.9


def test_slope_note_is_the_verdicts_own_estimate(few):
    row = few["verdicts"].query("claim_id == 'C2' and dataset == 'hitters'").iloc[0]
    assert words.estimate(row, CLAIMS["C2"]) in texts(slope.slope(CLAIMS["C2"], few))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.05, "0.0500"),
        (-1234.5, "−1234"),
        (1.5e-7, "1.5×10⁻⁷"),
        (float("nan"), "–"),
        (None, "–"),
        (np.inf, "∞"),
    ],
)
def test_numbers_as_a_reader_sees_them(value, shown):
    assert words.number(value) == shown


def test_estimates_have_the_digits_of_their_interval():
    row = {"estimate": 0.0673, "ci_low": 0.0158, "ci_high": 0.1191}
    assert words.estimate(row, CLAIMS["A2"]) == "+6.7 % [1.6, 11.9]"
    assert words.estimate(row, CLAIMS["C2"]) == "+0.067 [0.016, 0.119]"
    tiny = {"estimate": -2e-7, "ci_low": -3e-7, "ci_high": -1e-7}
    assert words.estimate(tiny, CLAIMS["C2"]) == "−2.0 [−3.0, −1.0] ×10⁻⁷"
    assert words.estimate({"estimate": 3e-9, "ci_low": np.nan}, CLAIMS["I5"]) == "measured 3.0×10⁻⁹"
    bounded = {"estimate": 0.5, "margin": 0.25, "equation": "measured >= bound", "ci_low": np.nan}
    assert words.estimate(bounded, CLAIMS["I5"]) == f"measured {words.number(0.5)} ≥ {words.number(0.25)}"
    assert words.estimate({"estimate": np.nan}, CLAIMS["A2"]) == ""


def test_verdicts_differ_by_shape_as_well_as_by_colour():
    looks = {
        name: style.VERDICT_STYLE[name]
        for name in ("supported", "refuted", "equivalent", "conditional", "inconclusive")
    }
    assert len({(marker, filled) for _, marker, filled in looks.values()}) == len(looks)
    assert set(style.VERDICT_STYLE) == set(labels.VERDICTS) == set(labels.VERDICT_SYMBOLS)


def test_a_plugin_registers_its_own_kind(few):
    @registry.register("planted_kind")
    def kind(claim, tables, size: float = 1.0):
        return style.message_figure(f"{claim.id} {size}")

    claim = CLAIMS["A2"].model_copy(
        update={"figure": claim_config.Figure(name="planted_kind", options={"size": 2.0})}
    )
    assert "A2 2.0" in texts(registry.draw(claim, few))
    del registry._KINDS["planted_kind"]


def test_strata_of_one_figure_are_named_by_what_differs():
    noisy = "digits:label_noise=0.1,n=300"
    found = labels.strata([f"{noisy} / mlp:depth=1", f"{noisy} / mlp:depth=1,norm=bn", "khan / mlp:depth=1", "all"])
    assert list(found.values()) == [f"{labels.dataset('digits')}, mlp", f"{labels.dataset('digits')}, mlp norm=bn",
                                    f"{labels.dataset('khan')}, mlp", labels.dataset("all")]
    assert list(labels.strata(["khan / 0.03", "all"], ["dataset", "lr"]).values())[0].endswith("η 0.03")
    apart = ["gauss:n=50", "gauss:n=80"]
    assert labels.strata(apart) == {spec: labels.dataset(spec) for spec in apart}
