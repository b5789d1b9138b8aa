"""Small multiples of fixed size in inches: no layout engine, so that every figure is quick to draw and the
same each time.
"""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from wdbench.figures import style

COLUMNS, PANEL_IN, GAP_Y_IN = 3, 1.32, 0.50
LEFT_IN, RIGHT_IN, GAP_X_IN = 0.68, 0.10, 0.52
LEGEND_LINE_IN, TITLE_IN, FOOT_IN = 0.17, 0.24, 0.50
_LETTER_IN, _HANDLE_IN = 0.064, 0.52  # width of a letter at 8 pt, of a legend's handle with its spaces


def sheet(
    n_panels: int, handles: list[Line2D], above_in: float = 0.0, notes: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with a legend and `n_panels` axes, three to a row (fewer: wider), below `above_in` free
    inches.

    `notes`: leave room for a second line above each panel (see `title`).
    """
    note_in = 0.16 if notes else 0.0
    columns_of_legend = _legend_columns(handles)
    gap_in = GAP_Y_IN + note_in
    head = above_in + TITLE_IN + note_in + LEGEND_LINE_IN * math.ceil(len(handles) / columns_of_legend)
    lines = math.ceil(n_panels / COLUMNS)
    total = head + lines * PANEL_IN + (lines - 1) * gap_in + FOOT_IN
    figure = style.new_figure(total)
    width, columns = figure.get_figwidth(), min(COLUMNS, n_panels)
    panel = min((width - LEFT_IN - RIGHT_IN - (columns - 1) * GAP_X_IN) / columns, 3.6)
    axes = []
    for place in range(n_panels):
        line, column = divmod(place, columns)
        left, top = LEFT_IN + column * (panel + GAP_X_IN), head + line * (PANEL_IN + gap_in)
        box = (left / width, (total - top - PANEL_IN) / total, panel / width, PANEL_IN / total)
        axes.append(figure.add_axes(box))
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=((LEFT_IN - 0.08) / width, (total - above_in) / total),
        ncols=columns_of_legend,
        handlelength=2.4,
        columnspacing=1.4,
        borderaxespad=0.1,
        labelspacing=0.25,
        fontsize=8,
    )
    return figure, axes


def _legend_columns(handles: list[Line2D]) -> int:
    """How many columns of a legend fit the width, each as wide as its longest text."""
    for columns in range(min(len(handles), 4), 1, -1):
        widest = [
            max(len(handles[i].get_label()) for i in part)
            for part in np.array_split(range(len(handles)), columns)
        ]
        if sum(_HANDLE_IN + _LETTER_IN * n for n in widest) <= style.WIDTH_IN - LEFT_IN - RIGHT_IN:
            return columns
    return 1


def x_label(figure: Figure, text: str, bottom_in: float = 0.14) -> None:
    """One x label below the last line of panels."""
    figure.text(
        LEFT_IN / figure.get_figwidth(),
        bottom_in / figure.get_figheight(),
        text,
        fontsize=8.5,
        va="center",
        ha="left",
    )


def y_label(figure: Figure, axes: list[Axes], text: str) -> None:
    """One y label at the left of a block of panels."""
    boxes = [axis.get_position() for axis in axes]
    top, bottom = max(box.y1 for box in boxes), min(box.y0 for box in boxes)
    # a label longer than its panels, and the free space around them, is broken before its unit
    room_in = (top - bottom) * figure.get_figheight() + 0.7
    if len(text) * _LETTER_IN > room_in:
        text = text.replace(" (", "\n(", 1)
    place = {"va": "center", "ha": "left", "ma": "center", "linespacing": 1.1}
    figure.text(0.012, (top + bottom) / 2, text, rotation=90, fontsize=8, **place)


def log_x(axes: Axes) -> None:
    """Decades on x, labelled at most four times, no minor labels."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_minor_locator(NullLocator())


def scale_y(axes: Axes, values: np.ndarray, share: bool = False) -> None:
    """Log y where all values are positive and span more than a factor of 30 (never for shares); else linear
    with few ticks.
    """
    values = values[np.isfinite(values)]
    if not share and values.size and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.ticklabel_format(
        axis="y",
        useOffset=False,
        style="plain" if not values.size or np.abs(values).max() < 1e4 else "sci",
        scilimits=(-3, 4),
    )


def title(axes: Axes, text: str, note: str = "") -> None:
    """Left-aligned panel title, cut with an ellipsis where it would leave its panel, and a line of numbers
    below it.
    """
    text = text if len(text) <= 34 else text[:33] + "…"
    size = 8.5 if len(text) <= 30 else 8
    if not note:
        axes.set_title(text, loc="left", fontsize=size, pad=3)
        return
    above = axes.annotate(
        note, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", fontsize=8
    )
    above.set_color(style.GREY)
    axes.set_title(text, loc="left", fontsize=size, pad=15)


def handle(colour: str, line, marker: str, text: str, **more) -> Line2D:
    return Line2D([], [], color=colour, linestyle=line, marker=marker, label=text, **more)


def arm_style(place: int) -> tuple[str, object, str]:
    """Colour, line and marker of the arm at this place in a claim."""
    return style.ARM_STYLE[place % len(style.ARM_STYLE)]
