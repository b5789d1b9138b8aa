"""What stands in a figure can be read: inside its edges, not over another text, at least two labels on a log axis."""

import numpy as np
import planted
import pytest
from matplotlib.text import Text

from wdbench.config import claims as claim_config
from wdbench.figures import draw, forest, labels, panels, registry, rows, slope, style, words

assert draw.KINDS  # whose import registers every kind
CLAIMS = {claim.id: claim for claim in planted.claim_list()}


@pytest.fixture(scope="module")
def tables():
    many = tuple(f"sparse:p={p},rho={rho},snr=0.5" for p in (50, 200) for rho in (0, 0.9)) + planted.REAL
    return planted.tables(many, replicates=3, grid=6)


def seen(figure) -> list[tuple[str, object]]:
    """Text and box of all that is drawn; ticks beyond an axis' ends are not."""
    figure.canvas.draw()
    hidden = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * max(abs(low), abs(high))
        for tick in axis.get_major_ticks() + axis.get_minor_ticks():
            if not low - slack <= tick.get_loc() <= high + slack:
                hidden |= {id(tick.label1), id(tick.label2)}
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and id(text) not in hidden]
    return [(text.get_text(), text.get_window_extent(figure.canvas.get_renderer())) for text in found]


def unreadable(figure) -> list:
    """Texts beyond the figure's edges, and pairs of which one lies over the other."""
    found, size = seen(figure), figure.bbox
    beyond = [text for text, box in found if box.x0 < -1 or box.y0 < -1 or box.x1 > size.width + 1 or box.y1 > size.height + 1]
    over = [
        (text, other)
        for place, (text, box) in enumerate(found)
        for other, third in found[place + 1 :]
        if min(box.x1, third.x1) - max(box.x0, third.x0) > 1.5 and min(box.y1, third.y1) - max(box.y0, third.y0) > 2.5
        and box.bounds != third.bounds
    ]
    return beyond + over


@pytest.mark.parametrize("name", [claim.id for claim in CLAIMS.values() if not claim.not_tested and claim.kind != "identity"])
def test_nothing_is_cut_or_overprinted(tables, name):
    assert unreadable(registry.draw(CLAIMS[name], tables)) == []


def test_the_check_itself_sees_what_is_cut_and_what_is_over():
    figure = style.new_figure(1.0)
    figure.text(0.9, 0.5, "a text that leaves the figure")
    figure.text(0.1, 0.5, "one text")
    figure.text(0.12, 0.5, "another")
    assert unreadable(figure) == ["a text that leaves the figure", ("one text", "another")]


@pytest.mark.parametrize(("low", "high"), [(0.004, 0.064), (1.2, 1.9), (1e-3, 1e3), (1e-28, 30), (0.3, 20), (150, 1200)])
@style.styled
def test_a_log_axis_has_two_to_five_labels(low, high):
    figure = style.new_figure(2.0)
    axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
    axes.plot([low, high], [low, high])
    panels.log_x(axes)
    panels.log_y(axes)
    figure.canvas.draw()
    for axis in (axes.xaxis, axes.yaxis):
        first, last = axis.get_view_interval()
        shown = [t.label1.get_text() for t in axis.get_major_ticks() if first <= t.get_loc() <= last]
        assert 2 <= len(shown) <= 5 and len(set(shown)) == len(shown) and all(shown)


def test_a_log_ratio_without_control_is_shown_as_what_it_is_the_logarithm_of(tables):
    claim = CLAIMS["C2"].model_copy(
        update={"effect": "log_ratio", "arms": {"treatment": CLAIMS["C2"].arms["treatment"]}, "threshold": None, "x": "lambda_rel"}
    )
    figure = slope.slope(claim, tables, metric="lambda_rel", x="lambda_rel")
    line = max(figure.axes[0].lines, key=lambda one: one.get_linewidth())
    assert figure.axes[0].get_yscale() == "log" and np.allclose(line.get_xdata(), line.get_ydata())


def test_scatter_has_a_dot_a_cell(tables):
    claim = CLAIMS["C2"].model_copy(
        update={
            "figure": claim_config.Figure(name="scatter"), "statistic": "kendall", "x": "lambda_rel", "by": ("dataset",),
            "arms": {"treatment": CLAIMS["C2"].arms["treatment"]}, "threshold": None,
        }
    )
    figure = registry.draw(claim, tables)
    dots = sum(len(axes.lines[0].get_xdata()) for axes in figure.axes)
    note = next(text for text, _ in seen(figure) if "cells a panel" in text.replace("\n", " ")).replace("\n", " ")
    assert dots > 20 and "τ > 0, as claimed" in note and labels.of(claim.metric[0]).text in note
    assert unreadable(figure) == []


def test_scatter_of_a_claim_without_x_is_drawn_against_lambda(tables):
    claim = CLAIMS["C2"].model_copy(update={"figure": claim_config.Figure(name="scatter"), "x": None, "by": ("dataset",)})
    figure = registry.draw(claim, tables)
    assert any(labels.axis("lambda_rel") in text.replace("\n", " ") for text, _ in seen(figure))


def test_an_estimate_loses_decimals_but_not_its_first_digit():
    claim = CLAIMS["C2"]
    row = {"estimate": 0.25, "ci_low": 0.2499999, "ci_high": 0.2500001}
    assert words.brief_estimate(row, claim, 99) == words.estimate(row, claim)
    assert words.brief_estimate(row, claim, 26) == "+0.2500 [0.2500, 0.2500]"
    assert words.brief_estimate({"estimate": -2e-16, "ci_low": -3e-16, "ci_high": 1e-16}, claim, 26) == "0 [0, 0]"
    assert words.brief_estimate({"estimate": -0.0021, "ci_low": -0.04, "ci_high": 0.04}, claim, 5).startswith("−0.002")


def test_the_unit_of_a_loss_is_that_of_the_tasks_drawn(tables):
    label = labels.LABELS["test_loss"]
    assert labels.unit(label, "classification") == "nats" and labels.unit(label, "regression") == label.regression_unit
    assert labels.unit(label) == f"nats; regression: {label.regression_unit}"
    # a claim on the loss of both kinds of task, then on the same of classifiers only
    claim = CLAIMS["A2"].model_copy(update={"effect": "difference"})
    runs = tables["runs"]
    classifiers = {**tables, "runs": runs[runs["model"] != "linear"]}
    assert 0 < len(classifiers["runs"]) < len(runs) and rows.task(claim, classifiers) == "classification"
    assert "regression" in forest.foot(claim, forest.rows_of(claim, tables), rows.task(claim, tables))
    assert "regression" not in forest.foot(claim, forest.rows_of(claim, tables), rows.task(claim, classifiers))


@pytest.mark.parametrize(("value", "shown"), [(0.05, "0.05"), (20.0, "20"), (3e6, "3×10⁶"), (-0.5, "−0.5"), (0.0, "0"), (1e-12, "1×10⁻¹²")])
def test_ticks_have_no_zeros_at_their_end(value, shown):
    assert words.short(value) == shown


def test_a_wrapped_name_gets_a_taller_row_and_no_word_is_left_alone(tables):
    claim = next(claim for claim in planted.claim_list() if claim.id == "A2")
    rows_ = forest.rows_of(claim, tables)
    options = ("n=300,scale=zscore,svd=50,label_noise=0.1", "n=100")
    long = rows_.iloc[:2].assign(dataset=[f"reuters_r8:{text}" for text in options])
    assert forest.row_height(rows_, claim) == forest.ROW_IN < forest.row_height(long, claim)
    assert forest.height(long, claim, "") > forest.height(rows_.iloc[:2], claim, "")
    text = "difference of distance from the loss curve with decay ÷ that without decay (ratio)"
    lines = forest._balanced(text, 78).split("\n")
    assert " ".join(lines) == text and len(lines) == 2 and min(map(len, lines)) > 0.8 * max(map(len, lines))
    assert forest._balanced("short", 78) == "short"
