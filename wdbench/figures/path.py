"""Path: the metric against λ for each arm, one panel a data set, and both: path with forest."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.figures import forest, labels, panels, rows, style
from wdbench.figures.registry import Tables, register, table
from wdbench.figures.view import ClaimView

NEEDS = ("dataset", "replicate", "val_loss")


def _curves(claim: ClaimView, tables: Tables, metric: str, x: str) -> tuple[dict[str, DataFrame], DataFrame]:
    runs = table(tables, "runs", (*NEEDS, metric, x))
    arms = rows.arms(claim, runs)
    return {name: rows.curve(part, x, metric) for name, part in arms.items() if len(part)}, runs


def draw_on(figure: Figure, claim: ClaimView, tables: Tables, metric: str, x: str, top_in: float = 0.0) -> int:
    """Panels of the claim's paths in `figure` from `top_in` inches down; returns how many data sets were drawn."""
    curves, runs = _curves(claim, tables, metric, x)
    found = pd.concat([c["dataset"] for c in curves.values()]).unique() if curves else []
    datasets = rows.datasets_in_order(claim, tables, found)
    axes = panels.grid(figure, len(datasets), top_in)
    selected = rows.chosen_lambda(claim, table(tables, "selected", ("claim_id", "dataset", "arm", "replicate", "metric")), runs, x)
    lost = False
    for axis, dataset in zip(axes, datasets, strict=True):
        values = []
        for place, (name, points) in enumerate(curves.items()):
            mine = points[points["dataset"] == dataset]
            chosen = selected[(selected["dataset"] == dataset) & (selected["arm"] == name)]
            values.append(_arm(axis, mine, chosen, panels.arm_style(place)))
            lost |= bool((mine["n_lost"] > 0).any())
        _finish(axis, dataset, np.concatenate(values) if values else np.array([]), labels.of(metric).share)
    names = [panels.handle(*panels.arm_style(place), claim_arm(name)) for place, name in enumerate(curves)]
    names.append(panels.handle(style.INK, "", "v", "λ chosen on validation (each replicate)", markersize=4))
    if lost:
        names.append(panels.handle(style.VERMILION, "", "x", "λ at which a replicate diverged"))
    panels.legend(figure, names, top_in)
    if axes:
        task = rows.task_of(runs[runs["dataset"].isin(datasets)])
        n = max((int(c["n"].max()) for c in curves.values() if len(c)), default=0)
        panels.y_label(figure, axes, labels.axis(metric, task))
        panels.x_label(figure, f"{labels.axis(x)}, log scale. Lines: mean of n = {n} replicates, 95 % t band.")
    return len(datasets)


def claim_arm(name: str) -> str:
    return str(name).replace("_", " ")


def _arm(axis, points: DataFrame, chosen: DataFrame, look) -> np.ndarray:
    """One arm in one panel; returns the values that the y axis must hold."""
    colour, line, marker = look
    points = points.sort_values("x")
    flat = points[~(points["x"] > 0)]
    slope = points[points["x"] > 0]
    for row in flat.itertuples():  # λ = 0 has no place on a log axis: a level line
        axis.axhline(row.mean, color=colour, linestyle=line, linewidth=1.2)
        if np.isfinite(row.low):
            axis.axhspan(row.low, row.high, color=colour, alpha=0.12, linewidth=0)
    if len(slope):
        x = slope["x"].to_numpy(float)
        axis.plot(x, slope["mean"], color=colour, linestyle=line, marker=marker, markersize=3)
        axis.fill_between(x, slope["low"].to_numpy(float), slope["high"].to_numpy(float), color=colour, alpha=0.18, linewidth=0)
        lost = slope[slope["n_lost"] > 0]
        axis.plot(lost["x"], np.full(len(lost), 0.96), linestyle="", marker="x", color=style.VERMILION, markersize=4, clip_on=False,
                  transform=axis.get_xaxis_transform())
    x_chosen = rows.finite(chosen["x"])
    x_chosen = x_chosen[x_chosen > 0]
    if x_chosen.size:
        places, counts = np.unique(x_chosen, return_counts=True)
        axis.scatter(places, np.full(places.size, 0.05), s=8 + 22 * counts / counts.max(), marker="v", color=colour, clip_on=False,
                     transform=axis.get_xaxis_transform(), zorder=5, linewidths=0.4, edgecolors="white")
    return points[["mean", "low", "high"]].to_numpy(float).ravel()


def _finish(axis, dataset: str, values: np.ndarray, share: bool) -> None:
    panels.title(axis, labels.dataset(dataset))
    panels.log_x(axis)
    panels.scale_y(axis, values, share)


@register("path")
def path(claim: ClaimView, tables: Tables, metric: str | None = None, x: str = "lambda_rel") -> Figure:
    """Metric against λ (log) for each arm: mean over replicates, 95 % t band, chosen λ marked, one panel a data set.

    At each λ the learning rate (and whatever else an arm leaves open) is the one with the lowest validation loss of that replicate, as in
    the selection itself. A λ with diverged replicates carries a cross; its mean is over the others. Needs runs (dataset, replicate,
    val_loss, `metric`, `x`, the columns of the arms' filters); selected (claim_id, dataset, replicate, arm, cell_id) adds the marks.
    """
    metric = metric or claim.metric or "test_loss"
    curves, _ = _curves(claim, tables, metric, x)
    n = len(pd.concat([c["dataset"] for c in curves.values()]).unique()) if curves else 0
    if n == 0:
        return style.message_figure(f"{claim.id}: no run fits the arms of this claim")
    figure = style.new_figure(panels.height(n))
    draw_on(figure, claim, tables, metric, x)
    return figure


@register("path_and_forest")
def path_and_forest(claim: ClaimView, tables: Tables, metric: str | None = None, x: str = "lambda_rel") -> Figure:
    """`forest` above `path`; needs the tables of both."""
    metric = metric or claim.metric or "test_loss"
    verdicts = forest.rows_of(claim, tables)
    curves, _ = _curves(claim, tables, metric, x)
    n = len(pd.concat([c["dataset"] for c in curves.values()]).unique()) if curves else 0
    if verdicts.empty or n == 0:
        return forest.forest(claim, tables) if n == 0 else path(claim, tables, metric, x)
    above = forest.height(len(verdicts)) + 0.12
    figure = style.new_figure(above + panels.height(n))
    effects = table(tables, "effects", ("claim_id", "dataset", "effect"))
    forest.draw_on(forest.axes_in(figure, len(verdicts)), claim, verdicts, effects[effects["claim_id"] == claim.id])
    draw_on(figure, claim, tables, metric, x, top_in=above)
    return figure
