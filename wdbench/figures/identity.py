"""Identity: the largest error that each check found, against its tolerance, both on a log axis."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from pandas import DataFrame

from wdbench.config.claims import Claim
from wdbench.figures import data, panels, style
from wdbench.figures.registry import Tables, register, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("identity", "check", "kind", "relation", "max_error", "tolerance", "holds")
WRAP = 46


def checks_of(name: str, tables: Tables) -> DataFrame:
    """Rows of identities.csv of one identity, in its order; holds as True, False or NA."""
    identities = table(tables, "identities", COLUMNS)
    mine = identities[identities["identity"] == name]
    return mine.assign(holds=mine["holds"].astype("boolean"))


@register("identity")
def identity(claim: Claim, tables: Tables, identity: str | None = None) -> Figure:
    """One line a check: every case's largest error (dots), the tolerance (bar), pass or fail by shape and
    colour.

    A statement must stay left of its bar (relation <=); a counter-example lies right of it (>=). An error of
    exactly 0 sits at the left edge. Needs identities (identity, check, kind, relation, max_error, tolerance,
    holds; unit).
    """
    checks = checks_of(identity or claim.identity or claim.id, tables)
    if checks.empty:
        return style.message_figure(f"{claim.id}: no check in identities.csv")
    order = list(dict.fromkeys(checks["check"]))
    lines = ["\n".join(textwrap.wrap(str(name).replace("_", " "), WRAP)[:2]) for name in order]
    height = 1.05 + 0.36 * len(order)
    figure = style.new_figure(height)
    axes = figure.add_axes((0.45, 0.5 / height, 0.39, 1 - 1.0 / height))
    data.keep(figure, "check", checks)
    floor, ceiling = _range(checks)
    axes.set_xscale("log")
    axes.set_xlim(floor / 3, ceiling * 3)
    for place, name in enumerate(order):
        _line(axes, place, checks[checks["check"] == name], floor / 2)
    axes.set_yticks(range(len(order)), lines, fontsize=8)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.set_xlabel("measured, each in its check's unit; left edge: exactly 0", fontsize=8)
    _legend(figure, checks)
    return figure


def _legend(figure: Figure, checks: DataFrame) -> None:
    handles = [
        panels.handle(style.BLUE, "", "o", "statement holds"),
        panels.handle(style.VERMILION, "", "X", "fails"),
        panels.handle(style.INK, "", "|", "tolerance", markersize=9, markeredgewidth=1.6),
    ]
    if (checks["kind"] == "counter").any():
        text = "counter-example, as it should be (→: right of its bar)"
        handles.append(panels.handle(style.ORANGE, "", "D", text))
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1.0), ncols=4, columnspacing=1.2)


def _range(checks: DataFrame) -> tuple[float, float]:
    values = np.abs(
        np.concatenate([checks["max_error"].to_numpy(float), checks["tolerance"].to_numpy(float)])
    )
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return 1e-17, 1e-11
    low = min(values.min(), 1e-17) if (checks["max_error"] == 0).any() else values.min()
    return low, max(values.max(), 100 * low)


def _line(axes: "Axes", place: int, rows: DataFrame, zero: float) -> None:
    tried = rows[rows["holds"].notna()]
    for row in tried.to_dict("records"):
        holds, counter, error = bool(row["holds"]), row["kind"] == "counter", float(row["max_error"])
        colour, marker = (
            (style.VERMILION, "X") if not holds else (style.ORANGE, "D") if counter else (style.BLUE, "o")
        )
        at = axes.get_xlim()[1] if not np.isfinite(error) else max(error, zero)
        axes.plot(
            [at],
            [place],
            marker=marker,
            color=colour,
            markersize=5.5,
            linestyle="",
            zorder=4,
            clip_on=False,
            markeredgewidth=0.4,
            markeredgecolor="white",
        )
        if row["tolerance"] > 0:
            bar = [place - 0.32, place + 0.32]
            axes.plot([row["tolerance"]] * 2, bar, color=style.INK, linewidth=1.6, zorder=3)
            if row["relation"] == ">=":
                axes.annotate(
                    "",
                    (row["tolerance"] * _nudge(axes), place - 0.28),
                    (row["tolerance"], place - 0.28),
                    arrowprops={"arrowstyle": "->", "color": style.INK, "linewidth": 0.8},
                )
    held, failed = int(tried["holds"].sum()), int((~tried["holds"].astype(bool)).sum())
    text = "not tried" if tried.empty else f"{held} of {len(tried)} hold"
    colour = style.VERMILION if failed else style.INK if len(tried) else style.GREY
    axes.text(1.03, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=colour)


def _nudge(axes: "Axes") -> float:
    """Factor that moves a point a sixteenth of the log axis to the right."""
    low, high = axes.get_xlim()
    return (high / low) ** (1 / 16)
