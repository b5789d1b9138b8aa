"""Look of every figure: seaborn's colour-blind palette, dark on white, fonts of 8 pt or more at 7 in width,
fixed bytes.
"""

import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import matplotlib
import seaborn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wdbench.figures import compact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

WIDTH_IN = 7.0
INK, GREY = "#222222", "#6b6b6b"
PALETTE = tuple(seaborn.color_palette("colorblind").as_hex())
BLUE, ORANGE, GREEN, VERMILION = PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[3]

# (colour, marker, filled): shape and fill carry the verdict where colour cannot be seen
VERDICT_STYLE = {
    "supported": (BLUE, "o", True),
    "refuted": (VERMILION, "X", True),
    "equivalent": (GREEN, "s", True),
    "conditional": (ORANGE, "D", True),
    "inconclusive": (GREY, "o", False),
    "not_tested": (GREY, "|", False),
    "holds": (BLUE, "o", True),
    "fails": (VERMILION, "X", True),
}
# one (colour, line, marker) an arm, in the order in which a claim lists its arms
ARM_STYLE = (
    (PALETTE[0], "-", "o"),
    (PALETTE[3], "--", "s"),
    (PALETTE[2], "-.", "^"),
    (PALETTE[4], ":", "D"),
    (PALETTE[5], (0, (5, 1, 1, 1)), "v"),
    (PALETTE[9], (0, (3, 1)), "P"),
    (PALETTE[7], (0, (1, 1)), "X"),
)

_RC = {
    **seaborn.axes_style("whitegrid"),
    **seaborn.plotting_context("paper"),
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "axes.edgecolor": "#9a9a9a",
    "axes.linewidth": 0.7,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.unicode_minus": True,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 1.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "wdbench",
    # outlines, not text: the same picture whatever fonts the reader's machine has
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` run inside this module's rcParams, which are restored after it."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_RC):
            return function(*args, **kwargs)

    return wrapper


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty Figure of the given size that belongs to no window and no pyplot state."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    return figure


def message_figure(text: str) -> Figure:
    """A figure that says in words why there is nothing to draw."""
    figure = new_figure(1.0)
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True, color=GREY)
    return figure


@styled
def svg(figure: Figure) -> bytes:
    """SVG of `figure`: the same figure gives the same bytes (fixed ids, no date, coordinates to 1/10 pt)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return compact.svg(buffer.getvalue().decode("utf-8")).encode("utf-8")


@styled
def pdf(figure: Figure) -> bytes:
    """PDF of `figure`, its text as text in embedded fonts (type 42, which journals take); without dates, so that bytes are fixed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


@styled
def png(figure: Figure, dpi: int = 160) -> bytes:
    """PNG of `figure` without software or date metadata."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def mark_lost(axes: "Axes", line: "DataFrame") -> None:
    """A cross near the top edge at every x of `line` (columns x, n_lost) where some replicates have no value."""
    lost = line[line["n_lost"] > 0]
    axes.plot(
        lost["x"],
        [0.95] * len(lost),
        linestyle="",
        marker="x",
        color=VERMILION,
        markersize=4,
        clip_on=False,
        transform=axes.get_xaxis_transform(),
    )
