"""Fidelity: how much of the intended decay reached the weights, against the decay of one step."""

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.cells import FORMS
from wdbench.claims import selection
from wdbench.config.claims import Claim
from wdbench.figures import data, labels, panels, style, words
from wdbench.figures.registry import Tables, register, table

# below it, rounding to nearest gives every weight back unchanged (claim I15)
THRESHOLDS = (("2⁻⁹ (bf16)", 2.0**-9), ("2⁻²⁵ (fp32)", 2.0**-25))
SHOWN = (-0.25, 1.5)
ORDER = (
    ("fp64", "none"),
    ("fp32", "none"),
    ("bf16_compute", "none"),
    ("bf16_weights", "nearest_split"),
    ("bf16_weights", "nearest_once"),
    ("bf16_weights", "stochastic"),
    ("bf16_weights", "kahan"),
)


def points(runs: DataFrame, column: str) -> DataFrame:
    """Median of `column` by coupling, precision, rounding and ηλ (rounded to a quarter of a decade), with
    quartiles and n cells.
    """
    decay = runs["lr"].astype(float) * runs["lambda"].astype(float)
    usable = np.isfinite(decay) & (decay > 0) & np.isfinite(runs[column].astype(float))
    kept = runs[usable].assign(at=10 ** (np.round(4 * np.log10(decay[usable])) / 4))
    grouped = kept.groupby(["coupling", "precision", "rounding", "at"], sort=True, dropna=False)[column]
    return (
        grouped.quantile(np.array([0.25, 0.5, 0.75]))
        .unstack()
        .rename(columns={0.25: "low", 0.5: "middle", 0.75: "high"})
        .join(grouped.size().rename("n"))
        .reset_index()
    )


def draw(runs: DataFrame, metric: str) -> Figure:
    """The figure of `fidelity` for these rows, whatever claim they serve."""
    found = points(runs, metric)
    couplings = [c for c in FORMS if c in set(found["coupling"])]
    if not couplings:
        return style.message_figure("no cell has both a learning rate and a measured fidelity")
    shown = [
        p for p in ORDER if ((found["precision"] == p[0]) & (found["rounding"].fillna("none") == p[1])).any()
    ]
    handles = [panels.handle(*panels.arm_style(ORDER.index(p)), labels.arithmetic(*p)) for p in shown]
    titles = {}
    for coupling in couplings:
        n = words.count(found.loc[found["coupling"] == coupling, "n"].sum())
        titles[coupling] = f"{coupling.replace('_', ' ')}, n = {n}"
    foot = "ηλ, share of w that one step should remove, log scale. Line: median of n cells; band: quartiles."
    figure, axes = panels.sheet(list(titles.values()), handles, foot_lines=len(panels.foot_lines(foot)))
    data.keep(figure, f"quartiles of {metric}", found.rename(columns={"at": "lr x lambda"}))
    low, high = SHOWN if metric.startswith("fidelity") else (0.0, 1.0)
    for axis, coupling in zip(axes, couplings, strict=True):
        for place, (precision, rounding) in enumerate(ORDER):
            line = found[
                (found["coupling"] == coupling)
                & (found["precision"] == precision)
                & (found["rounding"].fillna("none") == rounding)
            ]
            if line.empty:
                continue
            colour, dash, marker = panels.arm_style(place)
            axis.plot(
                line["at"],
                line["middle"].clip(low, high),
                color=colour,
                linestyle=dash,
                marker=marker,
                markersize=3.5,
                clip_on=False,
            )
            axis.fill_between(
                line["at"].to_numpy(float),
                line["low"].clip(low, high).to_numpy(float),
                line["high"].clip(low, high).to_numpy(float),
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        panels.log_x(axis)
        left, right = axis.get_xlim()
        for height, (name, threshold) in zip((0.6, 0.3), THRESHOLDS, strict=True):
            if left < threshold < right:
                axis.axvline(threshold, color=style.INK, linewidth=0.9, linestyle=(0, (2, 2)))
                # into the panel: to the left of its line where that stands in the right half
                side = "right" if threshold**2 > left * right else "left"
                axis.text(threshold, low + height * (high - low), f" {name} ", fontsize=8, va="center", ha=side)
        axis.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))
        panels.title(axis, titles[coupling])
    panels.y_label(figure, axes, labels.of(metric).text)
    panels.x_label(figure, foot)
    return figure


@register("fidelity")
def fidelity(claim: Claim, tables: Tables, metric: str = "fidelity") -> Figure:
    """Fidelity against ηλ, one panel a coupling, one line a precision and rounding; the
    thresholds of bf16 and fp32 marked.

    Lines are medians over cells in a quarter of a decade of ηλ, bands their quartiles. Needs runs (lr,
    lambda, coupling, precision, rounding, `metric`, study, the columns of the claim's `where`).
    """
    runs = table(tables, "runs", ("lr", "lambda", "coupling", "precision", "rounding", metric))
    return draw(selection.claim_rows(claim, runs), metric)
