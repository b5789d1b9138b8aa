"""Small multiples of fixed size in inches: no layout engine, so that every figure is quick to draw and the
same each time.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from wdbench.figures import style, words

if TYPE_CHECKING:
    from matplotlib.axis import Axis

COLUMNS, PANEL_IN, GAP_Y_IN = 3, 1.32, 0.50
LEFT_IN, RIGHT_IN, GAP_X_IN = 0.86, 0.12, 0.50
LEGEND_LINE_IN, TITLE_IN, TITLE_LINE_IN, FOOT_IN = 0.17, 0.24, 0.13, 0.50
FOOT_LINE_IN, FOOT_LETTERS = 0.14, 92
_LETTER_IN, _HANDLE_IN = 0.064, 0.52  # width of a letter at 8 pt, of a legend's handle with its spaces


def sheet(
    titles: Sequence[str], handles: list[Line2D], above_in: float = 0.0, notes: bool = False, foot_lines: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure with a legend and an axes for each of `titles`, three to a row (fewer: wider), below `above_in`
    free inches.

    `notes`: leave room for a line of numbers above each panel (see `title`); foot_lines: lines of `x_label`.
    """
    n_panels = len(titles)
    most = max(len(_title_lines(text, _panel_in(n_panels))) for text in titles)
    note_in = (0.16 if notes else 0.0) + TITLE_LINE_IN * (most - 1)
    foot_in = FOOT_IN + FOOT_LINE_IN * (foot_lines - 1)
    columns_of_legend = _legend_columns(handles)
    gap_in = GAP_Y_IN + note_in
    head = above_in + TITLE_IN + note_in + LEGEND_LINE_IN * math.ceil(len(handles) / columns_of_legend)
    lines = math.ceil(n_panels / COLUMNS)
    total = head + lines * PANEL_IN + (lines - 1) * gap_in + foot_in
    figure = style.new_figure(total)
    width, columns = figure.get_figwidth(), min(COLUMNS, n_panels)
    panel = _panel_in(n_panels)
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


def _panel_in(n_panels: int) -> float:
    """Width of one panel in inches."""
    columns = min(COLUMNS, n_panels)
    return min((style.WIDTH_IN - LEFT_IN - RIGHT_IN - (columns - 1) * GAP_X_IN) / columns, 3.6)


def _title_lines(text: str, width_in: float) -> list[str]:
    """`text` in lines that a panel of this width holds."""
    return textwrap.wrap(text, max(int(width_in / _LETTER_IN), 8)) or [""]


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


def foot_lines(text: str) -> list[str]:
    """`text` in lines as wide as a figure, for `x_label`."""
    return textwrap.wrap(text, FOOT_LETTERS)


def x_label(figure: Figure, text: str, bottom_in: float = 0.06) -> None:
    """One x label below the last line of panels, in as many lines as it takes (see `sheet`, foot_lines)."""
    figure.text(
        LEFT_IN / figure.get_figwidth(),
        bottom_in / figure.get_figheight(),
        "\n".join(foot_lines(text)),
        fontsize=8.5,
        va="bottom",
        ha="left",
        linespacing=1.1,
    )


def y_label(figure: Figure, axes: list[Axes], text: str) -> None:
    """One y label at the left of a block of panels."""
    boxes = [axis.get_position() for axis in axes]
    top, bottom = max(box.y1 for box in boxes), min(box.y0 for box in boxes)
    room_in = (top - bottom) * figure.get_figheight() + 0.62
    text = _in_two(text, int(room_in / _LETTER_IN))
    place: dict[str, Any] = {"va": "center", "ha": "left", "ma": "center", "linespacing": 1.1}
    figure.text(0.012, (top + bottom) / 2, text, rotation=90, fontsize=8, **place)


def _in_two(text: str, letters: int) -> str:
    """`text`, where it is longer than this, broken before its unit or else at its middle blank."""
    if len(text) <= letters:
        return text
    head, unit = text.split(" (", 1) if " (" in text else (text, "")
    if unit and max(len(head), len(unit) + 1) <= letters:
        return f"{head}\n({unit}"
    return "\n".join(textwrap.wrap(text, max(math.ceil(len(text) / 2) + 4, 8)))


def log_x(axes: Axes) -> None:
    """A log x axis with two to four labels whatever its range, no minor labels."""
    axes.set_xscale("log")
    _log_ticks(axes.xaxis, *axes.get_xlim())


def _log_ticks(axis: "Axis", low: float, high: float) -> None:
    """Labels at decades; at 1, 2 and 5 times a decade, or finer, where fewer than two decades lie in the range."""
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10)), tuple(n / 10 for n in range(10, 100))):
        ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) > 1:
            break
    if len(steps) == 1:
        axis.set_major_locator(LogLocator(numticks=5 if last - first < 12 else 4))
        return
    axis.set_major_locator(FixedLocator(inside[:: math.ceil(len(inside) / 4)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words.short(value)))


def scale_y(axes: Axes, values: np.ndarray, share: bool = False) -> None:
    """Log y where all values are positive and span more than a factor of 30 (never for shares); else linear
    with few ticks.
    """
    values = values[np.isfinite(values)]
    if not share and values.size and values.min() > 0 and values.max() > 30 * values.min():
        log_y(axes)
        return
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if values.size and not 1e-3 <= np.abs(values).max() < 1e4:
        # a power of ten over the axis would stand in the panel's title
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.short(value)))
    else:
        axes.ticklabel_format(axis="y", useOffset=False, style="plain")


def log_y(axes: Axes) -> None:
    """A log y axis with two to four labels whatever its range."""
    axes.set_yscale("log")
    _log_ticks(axes.yaxis, *axes.get_ylim())


def title(axes: Axes, text: str, note: str = "") -> None:
    """Left-aligned panel title, in lines where it would leave its panel, and a line of numbers below it."""
    whole = axes.get_figure(root=True)
    assert whole is not None, "a panel without a figure has no width"
    width_in = axes.get_position().width * whole.get_figwidth()
    lines = _title_lines(text, width_in)
    text, size = "\n".join(lines), 8.5 if len(lines) == 1 else 8
    if not note:
        axes.set_title(text, loc="left", fontsize=size, pad=3)
        return
    above = axes.annotate(
        note, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", fontsize=8
    )
    above.set_color(style.GREY)
    axes.set_title(text, loc="left", fontsize=size, pad=15)


def handle(colour: str, line: Any, marker: str, text: str, **more: Any) -> Line2D:
    return Line2D([], [], color=colour, linestyle=line, marker=marker, label=text, **more)


def arm_style(place: int) -> tuple[str, str | tuple[int, tuple[int, ...]], str]:
    """Colour, line and marker of the arm at this place in a claim."""
    return style.ARM_STYLE[place % len(style.ARM_STYLE)]
