"""Slope, U-shape and pairs: each block as a thin line, their mean in bold, the fitted slope or turning point
in words.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.config.claims import Claim
from wdbench.figures import data, forest, labels, panels, points, rows, style, words
from wdbench.figures.registry import Tables, register

if TYPE_CHECKING:
    import pandas as pd

NOTE_LETTERS = 26  # what the line of numbers above the narrowest panel holds

Note = Callable[[Axes, Claim, DataFrame, str, DataFrame], str]


def _panel(axes: Axes, mine: DataFrame, logged: bool = False) -> None:
    """Blocks, mean and band; logged: y is a logarithm, shown as what it is the logarithm of."""
    colour = style.BLUE
    xs, ys = points.broken_lines(mine)
    mean = points.mean_line(mine)
    if logged:
        ys = np.exp(ys)
        mean = mean.assign(**{name: np.exp(mean[name]) for name in ("mean", "low", "high")})
    data.keep(axes.figure, "block", mine.assign(y=np.exp(mine["y"])) if logged else mine, ("stratum", "arm", "block", "x", "y"))
    data.keep(axes.figure, "mean", mean.assign(stratum=mine["stratum"].iloc[0]), ("stratum", "x", "mean", "low", "high", "n", "n_lost"))
    axes.plot(xs, ys, color=colour, linewidth=0.5, alpha=0.4, zorder=2)
    axes.plot(mean["x"], mean["mean"], color=colour, marker="o", markersize=3.5, linewidth=2, zorder=4)
    axes.fill_between(
        mean["x"].to_numpy(float),
        mean["low"].to_numpy(float),
        mean["high"].to_numpy(float),
        color=colour,
        alpha=0.16,
        linewidth=0,
        zorder=3,
    )
    style.mark_lost(axes, mean)


def _small_multiples(claim: Claim, tables: Tables, x: str, metric: str, log_x: bool, note: Note) -> Figure:
    found = points.of(claim, tables, x, metric)
    found = found[(found["x"] > 0) if log_x else np.isfinite(found["x"])]
    if found.empty:
        return forest.forest(claim, tables)
    verdicts = forest.rows_of(claim, tables)
    order = rows.in_order(claim, tables, found["stratum"].unique())
    compared = bool(found["arm"].eq("effect").all())
    logged = claim.effect == "log_ratio" and not compared
    titles = labels.strata(order, claim.by)
    n = found.groupby("stratum")["block"].nunique()
    span = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
    foot = f"{labels.axis(x, rows.task_of(found))}{', log scale' if log_x else ''}. n = {span} blocks a panel."
    if claim.kind == "slope":
        foot += f" {words.course(claim, metric, x)}"
    elif note is _slope_note:
        foot += " Above each panel: slope a decade, 95 % t interval."
    figure, axes = panels.sheet(
        [titles[stratum] for stratum in order],
        _handles(claim, found, compared, logged, note is _turn_note),
        notes=True,
        foot_lines=len(panels.foot_lines(foot)),
    )
    for axis, stratum in zip(axes, order, strict=True):
        mine = found[found["stratum"] == stratum]
        _panel(axis, mine, logged)
        if log_x:
            panels.log_x(axis)
        if logged:
            panels.log_y(axis)
        else:
            panels.scale_y(axis, mine["y"].to_numpy(float), compared or labels.is_share(metric))
        if compared:
            axis.axhline(0, color=style.INK, linewidth=0.7, zorder=1)
        panels.title(axis, titles[stratum], note(axis, claim, verdicts, stratum, mine))
    task = rows.task_of(found)
    text = words.contrast_name(claim, metric, task) if compared else labels.axis(metric, task)
    if words.chooses(claim, metric):
        text = text.replace(" (", " chosen on validation (", 1)
    panels.y_label(figure, axes, f"{text}, log scale" if logged else text)
    panels.x_label(figure, foot)
    return figure


def _handles(claim: Claim, found: DataFrame, compared: bool, logged: bool, turns: bool) -> list[Any]:
    names = rows.arm_names(claim)
    shown = names.get("treatment", "runs")
    if compared:
        shown = f"{shown} against {names.get('control', claim.threshold)}"
    handles = [
        panels.handle(style.BLUE, "-", "o", f"{shown}: {'geometric mean' if logged else 'mean'}, 95 % t band", linewidth=2),
        panels.handle(style.BLUE, "-", "", "one block", linewidth=0.6),
    ]
    if found["y"].isna().any():
        handles.append(panels.handle(style.VERMILION, "", "x", "a block diverged"))
    if turns:
        handles.append(panels.handle(style.ORANGE, "", "^", "turning point inside the grid"))
    return handles


def _slope_note(axis: Axes, claim: Claim, verdicts: DataFrame, stratum: str, mine: DataFrame) -> str:
    """The registered estimate of this stratum, else the slope fitted to what is shown."""
    row = verdicts[verdicts["dataset"] == stratum]
    if len(row) == 1 and not words.missing(row.iloc[0]["estimate"]) and claim.kind == "slope":
        return estimate_note(claim, row.iloc[0])
    line = points.fitted_line(mine, "log10")
    ends = ", ".join(words.number(line[end], 2) for end in ("low", "high"))
    return f"{words.signed(line['slope'], 2)} [{ends}]" if line["n"] else ""


def estimate_note(claim: Claim, row: "pd.Series") -> str:
    """`slope +0.1 [0.0, 0.2]` of a row of verdicts; without its first word where a panel has no room for it."""
    text = words.brief_estimate(row, claim, NOTE_LETTERS)
    whole = f"{'τ' if claim.statistic == 'kendall' else 'slope'} {text}"
    return whole if len(whole) <= NOTE_LETTERS else text


def _turn_note(axis: Axes, claim: Claim, verdicts: DataFrame, stratum: str, mine: DataFrame) -> str:
    inside, blocks = points.turning(mine)
    height = np.full(inside.size, 0.05)
    data.keep(axis.figure, "turning point", DataFrame({"stratum": stratum, "x": inside}))
    edge: dict[str, Any] = {"transform": axis.get_xaxis_transform(), "clip_on": False, "zorder": 5}
    axis.plot(inside, height, linestyle="", marker="^", markersize=4, color=style.ORANGE, **edge)
    return f"turns in {inside.size} of {blocks} blocks"


@register("slope")
def slope(
    claim: Claim, tables: Tables, x: str | None = None, metric: str | None = None, log_x: bool = True
) -> Figure:
    """Metric against the claim's x, one panel a stratum: blocks thin, mean bold with 95 % band, slope with
    interval.

    A claim with a control shows the effect at each x. In a block, at each x, the row with the lowest
    validation loss stands. The slope written is the verdict's own ("turned" where the claim says that it
    falls: then positive agrees). Needs runs (cell_id, study, the block's columns, val_loss, `metric`, `x`,
    the columns of the filters) and verdicts.
    """
    return _small_multiples(
        claim, tables, x or claim.x or "lambda_rel", metric or claim.metric[0], log_x, _slope_note
    )


@register("ushape")
def ushape(claim: Claim, tables: Tables, x: str | None = None, metric: str | None = None) -> Figure:
    """As `slope`, with each block's turning point of a quadratic in log x marked at the lower edge and
    counted.
    """
    return _small_multiples(
        claim, tables, x or claim.x or "lambda_rel", metric or claim.metric[0], True, _turn_note
    )


@register("paired")
def paired(claim: Claim, tables: Tables) -> Figure:
    """Each block's control and treatment joined by a line, one panel a stratum, mean bold.

    Needs effects (claim_id, dataset, block, treatment, control).
    """
    found = points.pairs(claim, tables)
    if found.empty:
        return forest.forest(claim, tables)
    order = rows.in_order(claim, tables, found["dataset"].unique())
    names = rows.arm_names(claim)
    handles = [
        panels.handle(style.BLUE, "-", "", "block that falls"),
        panels.handle(style.VERMILION, (0, (3, 2)), "", "block that rises"),
        panels.handle(style.INK, "-", "o", "mean", linewidth=2),
    ]
    short, n = labels.strata(order, claim.by), found["dataset"].value_counts()
    titles = {stratum: f"{short[stratum]}, n = {n[stratum]}" for stratum in order}
    figure, axes = panels.sheet(list(titles.values()), handles)
    data.keep(figure, "block", found, ("dataset", "block", "control", "treatment"))
    for axis, stratum in zip(axes, order, strict=True):
        mine = found.loc[found["dataset"] == stratum, ["control", "treatment"]].to_numpy(float)
        better = mine[:, 1] < mine[:, 0]
        for pair, fell in zip(mine, better, strict=True):
            axis.plot(
                [0, 1],
                pair,
                color=style.BLUE if fell else style.VERMILION,
                linestyle="-" if fell else (0, (3, 2)),
                linewidth=0.7,
                alpha=0.6,
            )
        axis.plot([0, 1], mine.mean(axis=0), color=style.INK, linewidth=2, marker="o", markersize=4)
        axis.set_xlim(-0.25, 1.25)
        axis.set_xticks([0, 1], [names.get("control", "control"), names.get("treatment", "treatment")])
        panels.scale_y(axis, mine.ravel(), labels.is_share(claim.metric[0]) if claim.metric else True)
        panels.title(axis, titles[stratum])
    panels.y_label(figure, axes, labels.axis(claim.metric[0], rows.task(claim, tables)) if claim.metric else "")
    return figure
