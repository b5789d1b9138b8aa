"""Slope and U-shape: each block as a thin line, their mean in bold, the fitted slope or turning point in words."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.figures import forest, labels, panels, points, rows, style, words
from wdbench.figures.registry import Tables, register
from wdbench.figures.view import ClaimView


def _panel(axes: Axes, mine: DataFrame, names: list[str], log_x: bool) -> None:
    for place, name in enumerate(names):
        part = mine[(mine["arm"] == name) & ((mine["x"] > 0) | (not log_x))].sort_values("x")
        if part.empty:
            continue
        colour, line, marker = panels.arm_style(place)
        for _, block in part.groupby("block", sort=True):
            axes.plot(block["x"], block["y"], color=colour, linewidth=0.5, alpha=0.3, zorder=2)
        mean = points.mean_line(part)
        axes.plot(mean["x"], mean["mean"], color=colour, linestyle=line, marker=marker, markersize=3.5, linewidth=2, zorder=4)
        axes.fill_between(mean["x"].to_numpy(float), mean["low"].to_numpy(float), mean["high"].to_numpy(float), color=colour, alpha=0.16, linewidth=0, zorder=3)
        lost = mean[mean["n_lost"] > 0]
        axes.plot(lost["x"], np.full(len(lost), 0.96), linestyle="", marker="x", color=style.VERMILION, markersize=4, clip_on=False,
                  transform=axes.get_xaxis_transform())


def _note(claim: ClaimView, verdicts: DataFrame, panel: str, mine: DataFrame, log_x: bool) -> str:
    """The registered estimate of this panel's data set, else the slope fitted to what is shown."""
    row = verdicts[verdicts["dataset"].eq(panel) | verdicts["dataset"].isin(mine["dataset"].unique())]
    if len(row) == 1 and not words.missing(row.iloc[0]["estimate"]):
        found = row.iloc[0]
        return f"{labels.VERDICTS.get(found['verdict'], found['verdict'])}: {words.estimate(found, claim.effect)}"
    notes = []
    for name, part in mine.groupby("arm", sort=False):
        line = rows.fitted_line(part[(part["x"] > 0) | (not log_x)], log_x)
        if line["n"]:
            unit = " a decade" if log_x else ""
            lead = "" if mine["arm"].nunique() == 1 else f"{name}: "
            notes.append(f"{lead}slope {words.signed(line['slope'])}{unit} {words.interval(line['low'], line['high'], None)}, n = {line['n']}")
    return "\n".join(notes)


def _small_multiples(claim: ClaimView, tables: Tables, x: str, metric: str, y: str | None, log_x: bool, notes) -> Figure:
    found, what = points.of(claim, tables, x, metric, y)
    if found.empty:
        return forest.forest(claim, tables)
    verdicts = forest.rows_of(claim, tables)
    names = list(dict.fromkeys(found["arm"]))
    order = rows.datasets_in_order(claim, tables, found["panel"].unique())
    lines = max(len(names) if what == "metric" else 1, 1)
    figure = style.new_figure(panels.height(len(order)))
    axes = panels.grid(figure, len(order))
    for axis, panel in zip(axes, order, strict=True):
        mine = found[found["panel"] == panel]
        _panel(axis, mine, names, log_x)
        panels.title(axis, labels.dataset(panel))
        if log_x:
            panels.log_x(axis)
        panels.scale_y(axis, mine["y"].to_numpy(float), labels.of(metric).share or what == "effect")
        if what == "effect":
            axis.axhline(0, color=style.INK, linewidth=0.7, zorder=1)
        notes(axis, claim, verdicts, panel, mine, log_x)
    handles = [panels.handle(*panels.arm_style(place), str(name).replace("_", " ") + ": mean, 95 % band") for place, name in enumerate(names)]
    handles.append(panels.handle(style.GREY, "-", "", "one block", linewidth=0.6))
    if found["y"].isna().any():
        handles.append(panels.handle(style.VERMILION, "", "x", "a block diverged"))
    panels.legend(figure, handles)
    task = None if what == "effect" else rows.task_of(rows.matching(tables["runs"], {"dataset": list(found["dataset"].unique())}))
    panels.y_label(figure, axes, words.effect_name(claim.effect, metric) if what == "effect" else labels.axis(metric, task))
    n = found.groupby("panel")["block"].nunique()
    span = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
    panels.x_label(figure, f"{labels.axis(x)}{', log scale' if log_x else ''}. n = {span} blocks a panel, {lines} curve{'s' if lines > 1 else ''}.")
    return figure


def _slope_note(axis, claim, verdicts, panel, mine, log_x) -> None:
    axis.text(0.02, 0.97, _note(claim, verdicts, panel, mine, log_x), transform=axis.transAxes, fontsize=8, va="top", color=style.INK,
              bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}, zorder=6)


def _turn_note(axis, claim, verdicts, panel, mine, log_x) -> None:
    """Marks each block's quadratic turning point in log x; says how many lie inside the grid."""
    turning = []
    for _, block in mine.groupby(["arm", "block"], sort=True):
        block = block[np.isfinite(block["y"]) & (block["x"] > 0)]
        if block["x"].nunique() < 3:
            continue
        curvature, tilt, _ = np.polyfit(np.log10(block["x"]), block["y"], 2)
        if curvature != 0:
            turning.append(10 ** np.clip(-tilt / (2 * curvature), -30, 30))
    if turning:
        low, high = mine.loc[mine["x"] > 0, "x"].min(), mine["x"].max()
        inside = np.array([t for t in turning if low < t < high])
        axis.plot(inside, np.full(inside.size, 0.04), linestyle="", marker="^", markersize=3.5, color=style.ORANGE, transform=axis.get_xaxis_transform(), clip_on=False, zorder=5)
        axis.text(0.02, 0.97, f"turns inside the grid in {inside.size} of {len(turning)}", transform=axis.transAxes, fontsize=8, va="top",
                  bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}, zorder=6)


@register("slope")
def slope(claim: ClaimView, tables: Tables, x: str = "lambda_rel", metric: str | None = None, y: str | None = None, log_x: bool = True) -> Figure:
    """Metric (or effect) against `x`, one panel a data set: blocks thin, mean bold with 95 % band, fitted slope with interval.

    For an `x` that varies between cells (λ, η) needs runs (dataset, replicate, val_loss, `metric`, `x`); for a property of the data set
    (n_train, n_true, ...) runs (dataset, `x`) with effects (claim_id, dataset, block, effect) or selected (claim_id, dataset, replicate,
    arm, metric). The slope written is the verdict's own where one verdict stands for the panel.
    """
    return _small_multiples(claim, tables, x, metric or claim.metric or "test_loss", y, log_x, _slope_note)


@register("ushape")
def ushape(claim: ClaimView, tables: Tables, x: str = "lambda_rel", metric: str | None = None) -> Figure:
    """Metric against λ as in `slope`, with each block's turning point of a quadratic in log λ marked at the lower edge."""
    return _small_multiples(claim, tables, x, metric or claim.metric or "test_loss", "metric", True, _turn_note)
