"""Identity: the largest error that each check found, against its tolerance, both on a log axis."""

import textwrap

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.figures import panels, style
from wdbench.figures.registry import Tables, register, table
from wdbench.figures.view import ClaimView

COLUMNS = ("identity", "check", "max_error", "tolerance", "holds")
WRAP = 46


def checks_of(claim_id: str, tables: Tables) -> DataFrame:
    """Rows of identities.csv of one identity, in its order; `counter` True for checks that must find a difference."""
    identities = table(tables, "identities", COLUMNS)
    mine = identities[identities["identity"] == claim_id]
    return mine.assign(counter=is_counter(mine))


def is_counter(checks: DataFrame):
    """Checks that hold when the error is *above* the tolerance: positive controls and counter-examples."""
    if "role" in checks:
        return checks["role"].astype(str).eq("counter")
    above = checks["max_error"].astype(float) > checks["tolerance"].astype(float)
    return checks["holds"].astype(bool) & above


@register("identity")
def identity(claim: ClaimView, tables: Tables, identity: str | None = None) -> Figure:
    """One line a check: every case's largest error (dots), the tolerance (bar), pass or fail by shape and colour.

    A statement must stay left of its bar; a counter-example must lie right of it. An error of exactly 0 sits at the left edge.
    Needs identities (identity, check, max_error, tolerance, holds; role or the relation of error and tolerance marks counter-examples).
    """
    checks = checks_of(identity or claim.id, tables)
    if checks.empty:
        return style.message_figure(f"{claim.id}: no check in identities.csv")
    order = list(dict.fromkeys(checks["check"]))
    names = ["\n".join(textwrap.wrap(str(name), WRAP)[:2]) for name in order]
    height = 0.95 + 0.34 * len(order)
    figure = style.new_figure(height)
    axes = figure.add_axes((0.46, 0.5 / height, 0.41, 1 - 0.9 / height))
    floor, ceiling = _range(checks)
    axes.set_xscale("log")
    axes.set_xlim(floor / 3, ceiling * 3)
    for place, name in enumerate(order):
        _line(axes, place, checks[checks["check"] == name], floor)
    axes.set_yticks(range(len(order)), names, fontsize=8)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.grid(False, axis="y")
    units = sorted({str(u) for u in checks.get("unit", DataFrame(dtype=str)).dropna().unique() if str(u)}) if "unit" in checks else []
    axes.set_xlabel(f"largest error found{' (' + ', '.join(units) + ')' if len(units) in (1, 2) else ''}; at the left edge: exactly 0", fontsize=8)
    handles = [panels.handle(style.BLUE, "", "o", "holds"), panels.handle(style.VERMILION, "", "X", "fails"), panels.handle(style.INK, "", "|", "tolerance", markersize=9)]
    if checks["counter"].any():
        handles.insert(1, panels.handle(style.ORANGE, "", "D", "counter-example: must lie right of it"))
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1.0), ncols=4, columnspacing=1.2)
    return figure


def _range(checks: DataFrame) -> tuple[float, float]:
    values = np.abs(np.concatenate([checks["max_error"].to_numpy(float), checks["tolerance"].to_numpy(float)]))
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return 1e-17, 1e-11
    return min(values.min(), 1e-16) if (checks["max_error"] == 0).any() else values.min(), values.max()


def _line(axes, place: int, rows: DataFrame, floor: float) -> None:
    for row in rows.to_dict("records"):
        holds, counter, error = bool(row["holds"]), bool(row["counter"]), float(row["max_error"])
        colour, marker = (style.VERMILION, "X") if not holds else (style.ORANGE, "D") if counter else (style.BLUE, "o")
        at = axes.get_xlim()[1] if np.isinf(error) else max(error, floor / 2)
        axes.plot([at], [place], marker=marker, color=colour, markersize=5.5, linestyle="", zorder=4, clip_on=False, markeredgewidth=0.4, markeredgecolor="white")
        if row["tolerance"] > 0:
            axes.plot([row["tolerance"]] * 2, [place - 0.32, place + 0.32], color=style.INK, linewidth=1.6, zorder=3)
    held = int(rows["holds"].astype(bool).sum())
    axes.text(1.03, place, f"{held} of {len(rows)} hold", transform=axes.get_yaxis_transform(), va="center", fontsize=8,
              color=style.INK if held == len(rows) else style.VERMILION)
