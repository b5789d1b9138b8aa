"""Estimates and intervals as places on an axis, in per cent of its length: the forest plots that are drawn with CSS."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wdbench.config.claims import Claim
from wdbench.figures import words

Row = Mapping[str, Any]
_SPAN = 3.0  # in margins: half the axis of the small plots on the board


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, in units of the effect."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """0 at the left end, 100 at the right one; what lies outside is put at its end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def mark(row: Row, axis: Axis) -> dict[str, Any] | None:
    """`at`, `left`, `width` in per cent; whether the interval goes on beyond an end of the axis, and beyond which the estimate lies
    (`far`). None without an estimate.
    """
    value: Any = row.get("estimate")
    if words.missing(value) or math.isinf(float(value)):
        return None
    low, high = (_finite(row.get(name), float(value), side) for name, side in (("ci_low", -math.inf), ("ci_high", math.inf)))
    left, right = axis.place(low), axis.place(high)
    far = "left" if float(value) < axis.low else "right" if float(value) > axis.high else ""
    return {"at": axis.place(float(value)), "far": far, "left": left, "width": round(right - left, 2),
            "beyond_left": low < axis.low, "beyond_right": high > axis.high}


def _finite(value: Any, fallback: float, infinite: float) -> float:
    if words.missing(value):
        return fallback
    return infinite if math.isinf(float(value)) else float(value)


def in_margins(row: Row, claim: Claim) -> float | None:
    """The estimate over the margin: effects of all claims on one scale. None where a claim has no margin above 0."""
    margin: Any = row.get("margin")
    if not claim.tested or words.missing(margin) or words.missing(row.get("estimate")) or not float(margin):
        return None
    found = float(row["estimate"]) / float(margin)
    return found if math.isfinite(found) else None


def small(row: Row, claim: Claim) -> dict[str, Any] | None:
    """The overall interval on an axis of three margins to either side of 0."""
    if in_margins(row, claim) is None:
        return None
    margin = float(row["margin"])
    return mark(row, Axis(-_SPAN * margin, _SPAN * margin))


def forest(rows: Sequence[Row], claim: Claim) -> dict[str, Any] | None:
    """An axis that holds 0, ±margin and the intervals of all rows, with its ticks, and a mark a row; None where there is nothing to show.

    One interval many times as wide as the others does not squeeze them: the axis ends at twice what the middle ones need.
    """
    ends = [float(row[name]) for row in rows for name in ("ci_low", "estimate", "ci_high")
            if not words.missing(row.get(name)) and math.isfinite(float(row[name]))]
    if not claim.tested or not ends:
        return None
    margin = max((float(row["margin"]) for row in rows if not words.missing(row.get("margin"))), default=0.0)
    sizes = sorted(abs(end) for end in ends)
    most = max(4 * sizes[int(0.75 * (len(sizes) - 1))], 1.5 * margin) or 1.0
    low, high = max(min(*ends, -margin, 0.0), -most), min(max(*ends, margin, 0.0), most)
    pad = 0.05 * (high - low) or 1.0
    axis = Axis(low - pad, high + pad)
    ticks = [{"at": axis.place(value), "text": words.effect_value(value, claim, 2).removeprefix("+") if value else "0"}
             for value in ticks_of(axis)]
    both = claim.kind == "equivalence"
    return {
        "zero": axis.place(0.0), "margin": axis.place(margin), "margin_low": axis.place(-margin) if both else axis.place(0.0),
        "has_margin": margin > 0, "both": both, "ticks": ticks, "marks": [mark(row, axis) for row in rows],
    }


def ticks_of(axis: Axis) -> list[float]:
    """Three to six round numbers on the axis, 0 among them where it lies on it."""
    rough = (axis.high - axis.low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.9)
    first = math.ceil(axis.low / step)
    return [round(place * step, 12) for place in range(first, math.floor(axis.high / step) + 1)]
