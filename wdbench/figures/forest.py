"""Forest: estimate and interval of each data set, the margin, and the overall verdict in the last row."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from pandas import DataFrame, Series

from wdbench import frames
from wdbench.config.claims import Claim
from wdbench.figures import data, labels, style, words
from wdbench.figures.registry import Tables, register, table
from wdbench.figures.rows import task

ROW_IN, WRAPPED_ROW_IN, ABOVE_IN, BELOW_IN, LINE_IN = 0.27, 0.33, 0.36, 0.30, 0.14
NAME_LETTERS, FOOT_LETTERS = 25, 78
LEFT, RIGHT = 0.245, 0.54  # of the width: data set names to the left, numbers and verdicts to the right
# where the columns begin, in inches from the figure's left edge, and how many letters an estimate may have
N_IN, ESTIMATE_IN, VERDICT_IN, ESTIMATE_LETTERS = 3.85, 4.19, 6.0, 28
COLUMNS = ("claim_id", "dataset", "estimate", "ci_low", "ci_high", "margin", "n", "verdict")


def rows_of(claim: Claim, tables: Tables) -> DataFrame:
    """The claim's rows of verdicts, data sets in table order and `all` last."""
    verdicts = table(tables, "verdicts", COLUMNS)
    rows = verdicts[verdicts["claim_id"] == claim.id]
    overall = rows["dataset"].eq("all")
    return pd.concat([rows[~overall], rows[overall]], ignore_index=True)


def effects_of(claim: Claim, tables: Tables) -> DataFrame:
    """The claim's rows of effects that its estimates are means of: dataset, effect, one a block (and
    component).
    """
    effects = table(tables, "effects", ("claim_id", "dataset", "effect"))
    mine = effects[effects["claim_id"] == claim.id]
    return mine[mine["used"].astype(bool)] if "used" in mine else mine


def row_height(rows: DataFrame, claim: Claim) -> float:
    """Inches of one row: more where a name takes two lines, which would stand close to those above and below it."""
    names = labels.strata(list(rows["dataset"]), claim.by).values()
    return WRAPPED_ROW_IN if any("\n" in _wrapped(name, NAME_LETTERS) for name in names) else ROW_IN


def height(rows: DataFrame, claim: Claim, foot: str) -> float:
    """Inches that a forest of these rows takes with this text below it (see `foot`)."""
    return ABOVE_IN + BELOW_IN + row_height(rows, claim) * max(len(rows), 1) + LINE_IN * len(foot.split("\n"))


def foot(claim: Claim, rows: DataFrame, task: str | None = None) -> str:
    """What the estimates are, with their unit, and how their sign is read, in lines; `task` as in `labels.axis`."""
    shaded = " Shaded: smaller than the margin δ." if rows["margin"].notna().any() else ""
    return f"{_balanced(words.effect_name(claim, task), FOOT_LETTERS)}\n{words.reading(claim)}{shaded}"


def axes_in(figure: Figure, rows: DataFrame, claim: Claim) -> Axes:
    """Axes of a forest of these rows at the upper edge of the figure."""
    total, tall = figure.get_figheight(), row_height(rows, claim) * max(len(rows), 1)
    return figure.add_axes((LEFT, (total - ABOVE_IN - tall) / total, RIGHT - LEFT, tall / total))


def _limits(rows: DataFrame) -> tuple[float, float]:
    """Room for every estimate and margin; an interval may reach beyond (it then ends in an arrow)."""
    estimates, margins = rows["estimate"].dropna().to_numpy(float), rows["margin"].dropna().to_numpy(float)
    core = np.concatenate([estimates, margins, -margins, [0.0]])
    ends = rows[["ci_low", "ci_high"]].to_numpy(float).ravel()
    ends = ends[np.isfinite(ends)]
    core = core[np.isfinite(core)]
    low, high = core.min(), core.max()
    span = max(high - low, 1e-12)
    if ends.size:
        low, high = max(min(low, ends.min()), low - span), min(max(high, ends.max()), high + span)
    pad = 0.06 * max(high - low, 1e-12)
    return low - pad, high + pad


def draw_on(axes: Axes, claim: Claim, rows: DataFrame, effects: DataFrame, below: str) -> None:
    """Draw `rows` (from `rows_of`) on `axes`, one tick a block of `effects` (dataset, effect) below each
    interval, and the text `below` (from `foot`).
    """
    data.keep(axes.figure, "estimate", rows, COLUMNS[1:])
    data.keep(axes.figure, "effect of a block", effects, ("dataset", "metric", "component", "block", "effect"))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(False, axis="y")
    names = labels.strata(list(rows["dataset"]), claim.by)
    axes.set_yticks(range(len(rows)), [_wrapped(names[d], NAME_LETTERS) for d in rows["dataset"]], linespacing=0.95)
    axes.tick_params(axis="y", length=0)
    scale = 100.0 if words.is_percent(claim) else 1.0
    low, high = _limits(rows)
    empty = rows["estimate"].isna().all()
    blocks = dict(tuple(effects.groupby("dataset", sort=False)["effect"])) if len(effects) else {}
    if np.nanmax(np.abs(rows["estimate"].to_numpy(float)), initial=0) > 30 * _typical(rows):
        low, high = low * (2 if low < 0 else 1), high * (2 if high > 0 else 1)
        _symmetric_log(axes, scale * _typical(rows), scale * max(abs(low), abs(high)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if not 1e-3 <= scale * max(abs(low), abs(high)) < 1e4:
            # a power of ten at the axis' end would stand in the text below
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.short(value)))
    if empty:
        axes.set_xticks([])
    axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
    for place, row in enumerate(frames.records(rows)):
        _row(axes, place, row, scale, (low, high), claim, blocks.get(row["dataset"]))
    axes.set_xlim(scale * low, scale * high)
    if rows["dataset"].eq("all").any() and len(rows) > 1:
        axes.axhline(len(rows) - 1.5, color="#9a9a9a", linewidth=0.7)
    transform = axes.get_yaxis_transform()
    for inches, word in ((N_IN, "n"), (ESTIMATE_IN, "estimate [interval]"), (VERDICT_IN, "verdict")):
        axes.text(_offset(inches), -0.75, word, transform=transform, fontsize=8, color=style.GREY, va="center")
    axes.set_xlabel(below, fontsize=8, linespacing=1.2)


def _offset(inches: float) -> float:
    """A place in inches from the figure's left edge as a share of the axes' width."""
    return (inches / style.WIDTH_IN - LEFT) / (RIGHT - LEFT)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width))


def _balanced(text: str, width: int) -> str:
    """`text` in as few lines as it takes, about equally long: no word is left alone on the last."""
    lines = len(textwrap.wrap(text, width))
    return _wrapped(text, next(w for w in range(-(-len(text) // lines), width + 1) if len(textwrap.wrap(text, w)) <= lines))


def _symmetric_log(axes: Axes, typical: float, largest: float) -> None:
    """Linear within the decade of `typical`, logarithmic beyond, at most two labels on each side of 0."""
    first, last = math.floor(math.log10(typical)), math.floor(math.log10(largest))
    axes.set_xscale("symlog", linthresh=10.0**first, linscale=0.6)
    powers = [10.0**first, 10.0**last] if last > first else [10.0**first]
    ticks = [-p for p in reversed(powers)] + [0.0] + powers
    axes.set_xticks(ticks, [words.number(tick, 1) for tick in ticks])
    axes.minorticks_off()


def _typical(rows: DataFrame) -> float:
    """Median size of the estimates and margins that are not 0, the linear range of a symmetric log axis."""
    sizes = np.abs(rows[["estimate", "margin"]].to_numpy(float)).ravel()
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(sizes)) if sizes.size else 1.0


def _row(axes: Axes, place: float, row: Mapping[str, Any], scale: float, limits: tuple[float, float], claim: Claim,
         block_effects: Series | None) -> None:
    colour, marker, filled = style.VERDICT_STYLE.get(row["verdict"], (style.GREY, "o", False))
    margin = row["margin"]
    if not words.missing(margin):
        start = -abs(margin)
        axes.add_patch(
            Rectangle(
                (scale * start, place - 0.5),
                2 * scale * abs(margin),
                1,
                color="#efefef",
                linewidth=0,
                zorder=0,
            )
        )
    if block_effects is not None:
        # one line broken by NaN: a rug of a thousand blocks stays a short path
        at = scale * np.clip(np.sort(block_effects.dropna().to_numpy(float)), *limits)
        rug = np.column_stack([at, at, np.full_like(at, np.nan)]).ravel()
        ends = np.tile([place + 0.2, place + 0.4, np.nan], at.size)
        axes.plot(rug, ends, color=colour, linewidth=0.7, alpha=0.6, zorder=2, solid_capstyle="butt")
    size = 7 if row["dataset"] == "all" else 5.5
    if not words.missing(row["estimate"]):
        _interval(axes, place, row["ci_low"], row["ci_high"], scale, limits, colour)
        axes.plot(
            [scale * row["estimate"]],
            [place],
            marker=marker,
            markersize=size,
            color=colour,
            zorder=4,
            markerfacecolor=colour if filled else "white",
            markeredgewidth=1.2,
            linestyle="",
        )
    transform = axes.get_yaxis_transform()
    axes.text(_offset(N_IN), place, words.count(row["n"]), transform=transform, va="center", fontsize=8)
    text = words.brief_estimate(row, claim, ESTIMATE_LETTERS)
    axes.text(_offset(ESTIMATE_IN), place, text, transform=transform, va="center", fontsize=8)
    axes.text(
        _offset(VERDICT_IN),
        place,
        f"{labels.VERDICT_SYMBOLS.get(row['verdict'], '')} {labels.VERDICTS.get(row['verdict'], row['verdict'])}",
        transform=transform,
        va="center",
        fontsize=8,
        color=colour if filled else style.GREY,
        fontweight="bold" if row["dataset"] == "all" else "normal",
    )


def _interval(axes: Axes, place: float, low: Any, high: Any, scale: float, limits: tuple[float, float],
              colour: str) -> None:
    if words.missing(low) and words.missing(high):
        return
    low = limits[0] if words.missing(low) else float(low)
    high = limits[1] if words.missing(high) else float(high)
    axes.plot(
        [scale * max(low, limits[0]), scale * min(high, limits[1])],
        [place, place],
        color=colour,
        linewidth=1.6,
        zorder=3,
        solid_capstyle="butt",
    )
    if low < limits[0]:
        axes.plot(
            [scale * limits[0]], [place], marker="<", color=colour, markersize=5, clip_on=False, zorder=3
        )
    if high > limits[1]:
        axes.plot(
            [scale * limits[1]], [place], marker=">", color=colour, markersize=5, clip_on=False, zorder=3
        )


@register("forest")
def forest(claim: Claim, tables: Tables) -> Figure:
    """Estimate, interval and n of each data set, margin shaded, overall last; marker shape and colour give
    the verdict.

    Needs verdicts (claim_id, dataset, estimate, ci_low, ci_high, margin, n, verdict); effects (claim_id,
    dataset, effect) adds the blocks.
    """
    rows = rows_of(claim, tables)
    if rows.empty:
        return style.message_figure(f"{claim.id}: no verdict in verdicts.csv")
    below = foot(claim, rows, task(claim, tables))
    figure = style.new_figure(height(rows, claim, below))
    draw_on(axes_in(figure, rows, claim), claim, rows, effects_of(claim, tables), below)
    return figure
