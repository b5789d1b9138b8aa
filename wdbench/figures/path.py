"""Path: the metric against λ for each arm, one panel a stratum, alone or below a forest."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench import frames
from wdbench.config.claims import Claim
from wdbench.figures import data, forest, labels, panels, rows, style, words
from wdbench.figures.registry import Tables, register, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Paths:
    """What the panels show: curves (see `rows.curve`), chosen x, order of strata, and the axes' names."""

    curves: DataFrame
    chosen: DataFrame
    strata: list[str]
    metric: str
    x: str
    task: str | None


def paths_of(claim: Claim, tables: Tables, metric: str | None, x: str | None) -> Paths:
    """Curves of a claim's arms along x; a claim on several metrics shows the first unless `metric` asks for
    another.
    """
    metric = metric or (claim.metric[0] if claim.metric else "test_loss")
    runs = table(tables, "runs", ("cell_id", "study", *claim.block))
    x = x or rows.lambda_column(claim, runs)
    long = rows.measured(claim, runs, x, metric)
    curves = rows.curve(long)
    chosen = rows.chosen_x(claim, table(tables, "selected", ("claim_id", "cell_id")), long)
    return Paths(
        curves,
        chosen,
        rows.in_order(claim, tables, curves["stratum"].unique()),
        metric,
        x,
        rows.task_of(long),
    )


def _looks(claim: Claim) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(arm label, condition) -> colour, line, marker, text: colour by arm; in an interaction the line tells
    the conditions apart.
    """
    looks = {}
    for place, label in enumerate(rows.arm_names(claim).values()):
        colour, line, marker = panels.arm_style(place)
        if not claim.conditions:
            looks[label, ""] = (colour, line, marker, label)
            continue
        for condition, (dash, mark) in zip(claim.conditions, (("-", "o"), (":", "^")), strict=True):
            looks[label, condition] = (
                colour,
                dash,
                mark,
                f"{label}; {words.condition(claim.conditions[condition])}",
            )
    return looks


def draw_below(claim: Claim, paths: Paths, above_in: float = 0.0) -> Figure:
    """A figure with the panels of `paths` below `above_in` free inches."""
    looks = _looks(claim)
    present = set(zip(paths.curves["arm"], paths.curves["condition"], strict=True))
    looks = {key: look for key, look in looks.items() if key in present}
    titles = labels.strata(paths.strata, claim.by)
    n = int(paths.curves["n"].max())
    foot = f"{labels.axis(paths.x)}, log scale. Mean of n = {n} replicates, 95 % t band."
    lines = len(panels.foot_lines(foot))
    figure, axes = panels.sheet([titles[stratum] for stratum in paths.strata], _handles(paths, looks), above_in, foot_lines=lines)
    data.keep(figure, f"mean {paths.metric}", paths.curves.rename(columns={"x": paths.x}))
    data.keep(figure, "chosen on validation", paths.chosen.rename(columns={"x": paths.x}))
    for axis, stratum in zip(axes, paths.strata, strict=True):
        held = [
            _arm(
                axis,
                _of(paths.curves, stratum, *key),
                _of(paths.chosen, stratum, *key),
                look[:3],
                bool(key[1]),
            )
            for key, look in looks.items()
        ]
        panels.title(axis, titles[stratum])
        panels.log_x(axis)
        panels.scale_y(axis, np.concatenate(held), labels.is_share(paths.metric))
    panels.y_label(figure, axes, labels.axis(paths.metric, paths.task))
    panels.x_label(figure, foot)
    return figure


def _handles(paths: Paths, looks: dict[tuple[str, str], tuple[Any, ...]]) -> list[Any]:
    handles = [panels.handle(*look) for look in looks.values()]
    if len(paths.chosen):
        handles.append(panels.handle(style.INK, "", "v", "chosen on validation"))
    if (paths.curves["n_lost"] > 0).any():
        handles.append(panels.handle(style.VERMILION, "", "x", "a replicate diverged"))
    return handles


def _of(frame: DataFrame, stratum: str, arm: str, condition: str) -> DataFrame:
    return frame[(frame["stratum"] == stratum) & (frame["arm"] == arm) & (frame["condition"] == condition)]


def _arm(axis: "Axes", points: DataFrame, chosen: DataFrame, look: tuple[str, str | tuple[int, tuple[int, ...]], str],
         faint: bool) -> np.ndarray:
    """One arm in one panel; returns the values that the y axis must hold."""
    colour, line, marker = look
    points = points.sort_values("x")
    along = points[points["x"] > 0]
    for row in frames.records(points[~(points["x"] > 0)]):  # λ = 0 has no place on a log axis: a level line
        axis.axhline(row["mean"], color=colour, linestyle=line, linewidth=1.2)
        if np.isfinite(row["low"]):
            axis.axhspan(row["low"], row["high"], color=colour, alpha=0.06 if faint else 0.12, linewidth=0)
    if len(along):
        x = along["x"].to_numpy(float)
        axis.plot(x, along["mean"], color=colour, linestyle=line, marker=marker, markersize=3)
        axis.fill_between(
            x,
            along["low"].to_numpy(float),
            along["high"].to_numpy(float),
            color=colour,
            alpha=0.08 if faint else 0.18,
            linewidth=0,
        )
        style.mark_lost(axis, along)
    places, counts = np.unique(rows.finite(chosen["x"]), return_counts=True)
    counts, places = counts[places > 0], places[places > 0]
    if places.size:
        axis.scatter(
            places,
            np.full(places.size, 0.05),
            s=8 + 22 * counts / counts.max(),
            marker="v",
            color=colour,
            clip_on=False,
            transform=axis.get_xaxis_transform(),
            zorder=5,
            linewidths=0.4,
            edgecolors="white",
        )
    # a band of two far replicates must not flatten the curves: limits follow the means, and bands that leave
    # them by more are cut
    means = points["mean"].to_numpy(float)
    return (
        means
        if not np.isfinite(means).any()
        else np.concatenate([means, np.clip(points[["low", "high"]].to_numpy(float).ravel(), *_room(means))])
    )


def _room(means: np.ndarray) -> tuple[float, float]:
    low, high = np.nanmin(means), np.nanmax(means)
    spread = max(high - low, 0.05 * abs(high))
    return (low / 2 if low > 0 else low - spread), high + spread


@register("path")
def path(claim: Claim, tables: Tables, metric: str | None = None, x: str | None = None) -> Figure:
    """Metric against λ (log) for each arm: mean over blocks, 95 % t band, chosen λ marked, one panel a data
    set.

    At each λ the learning rate (and whatever else an arm leaves open) is the one with the lowest validation
    loss of that block, as in the selection itself. A λ with diverged replicates carries a cross; its mean is
    over the others. Needs runs (cell_id, study, the block's columns, val_loss, `metric`, `x`, the columns of
    the claim's filters); selected (claim_id, cell_id) adds the marks.
    """
    paths = paths_of(claim, tables, metric, x)
    if not paths.strata:
        return style.message_figure(f"{claim.id}: no run fits the arms of this claim")
    return draw_below(claim, paths)


@register("path_and_forest")
def path_and_forest(claim: Claim, tables: Tables, metric: str | None = None, x: str | None = None) -> Figure:
    """`forest` above `path`; needs the tables of both. Arms that do not vary along x leave the forest alone."""
    verdicts = forest.rows_of(claim, tables)
    paths = paths_of(claim, tables, metric, x)
    if verdicts.empty:
        return path(claim, tables, metric, x)
    if not paths.strata or paths.curves.groupby(["stratum", "arm", "condition"])["x"].nunique().max() < 2:
        return forest.forest(claim, tables)
    below = forest.foot(claim, verdicts, rows.task(claim, tables))
    above = forest.height(verdicts, claim, below) + 0.12
    figure = draw_below(claim, paths, above)
    axes = forest.axes_in(figure, verdicts, claim)
    forest.draw_on(axes, claim, verdicts, forest.effects_of(claim, tables), below)
    return figure
