"""Numbers and effects as a reader sees them: one form for figures, report and terminal. No matplotlib here."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from wdbench.config.claims import Claim
from wdbench.figures import labels

ROUNDING = 1e-13  # an effect or a slope below it is a rounding error
MINUS, EXPONENT = "−", str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def missing(value: object) -> bool:
    """True for None, NaN, NA and NaT."""
    return (
        value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT
    )


def number(value: Any, digits: int = 3) -> str:
    """`value` to `digits` significant digits, scientific outside 1e-3..1e5, `–` where missing."""
    if missing(value):
        return "–"
    value = float(value)
    if value == 0:
        return "0"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if size < 1e-3 or size >= 1e5:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        return f"{mantissa.replace('-', MINUS)}×10{str(int(exponent)).translate(EXPONENT)}"
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    return f"{value:.{decimals}f}".replace("-", MINUS)


def short(value: float) -> str:
    """A tick's number without zeros at its end: `0.05`, `20`, `3×10⁶`."""
    mantissa, times, power = number(value, 3).partition("×")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}{times}{power}"


def plain(value: object, digits: int = 6) -> str:
    """ASCII form for a pipe: shortest with `digits` significant digits, empty where missing."""
    if missing(value):
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)) and not hasattr(value, "dtype"):
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def signed(value: Any, digits: int = 3) -> str:
    """`number` with a plus sign where positive."""
    return ("+" if not missing(value) and float(value) > 0 else "") + number(value, digits)


_EFFECTS = {"difference": "difference of", "relative": "relative difference of", "log_ratio": "log ratio of"}


def is_percent(claim: Claim) -> bool:
    """Whether the claim's estimates are shares to be read as per cent."""
    return claim.effect == "relative" and claim.kind in ("superiority", "equivalence", "interaction", "share", "tolerance")


def brief_estimate(row: Any, claim: Claim, letters: int) -> str:
    """`estimate` in at most so many letters, by fewer decimals as long as the value keeps its first digit; numbers that are
    rounding errors of 0 are shown as 0.
    """
    sizes = [abs(float(row.get(name))) for name in ("estimate", "ci_low", "ci_high") if not missing(row.get(name))]
    if sizes and max(sizes) < ROUNDING and claim.kind != "identity":
        row = {"estimate": 0.0, "ci_low": 0.0, "ci_high": 0.0}
    texts = [estimate(row, claim, fewer) for fewer in range(4)]
    kept = [text for text in texts if text.strip("+−").split(" ")[0].strip("0.") or not texts[0].strip("+−").split(" ")[0].strip("0.")]
    return next((text for text in kept if len(text) <= letters), kept[-1])


def effect_name(claim: Claim, task: str | None = None) -> str:
    """What the claim's estimate is, with its unit: `relative difference of test loss (%)`; task as in `labels.axis`."""
    if claim.kind == "event":
        return "difference in the share of blocks with the event"
    if not claim.metric:
        return "effect"
    if claim.tolerance is not None and claim.tolerance.within:
        shares = ", ".join(f"{100 * share:g}" for share in claim.tolerance.within)
        whose = "its own" if claim.tolerance.of == "own" else "the better arm's"
        return f"{_EFFECTS[claim.effect]} share of the grid's cells within {shares} % of {whose} best (share)"
    label = labels.of(claim.metric[0])
    if claim.tolerance is not None:
        draws = ", ".join(map(str, claim.tolerance.draws))
        label = replace(label, text=f"expected {label.text} of the best of {draws} random cells")
    more = f" and {len(claim.metric) - 1} more" if len(claim.metric) > 1 else ""
    unit = (
        "%"
        if is_percent(claim)
        else ""
        if claim.effect == "relative"
        else "natural log"
        if claim.effect == "log_ratio"
        else label.unit
    )
    if claim.effect == "difference" and label.regression_unit:
        unit = labels.unit(label, task)
    paired = "control" in claim.arms or claim.threshold is not None
    text = (
        f"{_EFFECTS[claim.effect]} {label.text}{more}"
        if paired
        else f"{'log ' if claim.effect == 'log_ratio' else ''}{label.text}{more}"
    )
    if claim.kind in ("slope", "ushape") and claim.x is not None:
        x = (
            labels.of(claim.x).text
            + {"none": "", "log": ", e-fold", "log2": ", doubling", "log10": ", decade"}[claim.x_transform]
        )
        if claim.statistic == "kendall":
            return f"Kendall τ of {text} and {labels.of(claim.x).text} (−1 to 1)"
        return f"slope of {text} ({unit + ' ' if unit else ''}per unit of {x})"
    if claim.kind == "interaction":
        text = (
            f"difference of differences of {label.text}{more}"
            if claim.effect == "difference"
            else f"difference of {text}"
        )
    if claim.kind == "share":
        text = f"{text}, less half of the treatment's own"
    return f"{text} ({unit})" if unit else text


def contrast_name(claim: Claim, metric: str, task: str | None = None) -> str:
    """Name and unit of treatment against control at one x, before any slope is taken."""
    label = labels.of(metric)
    unit = {"difference": labels.unit(label, task), "relative": "share of control", "log_ratio": "natural log"}[
        claim.effect
    ]
    return f"{_EFFECTS[claim.effect]} {label.text}" + (f" ({unit})" if unit else "")


def reading(claim: Claim) -> str:
    """How the sign of an estimate is read."""
    if claim.kind == "equivalence":
        return "0: the two arms do not differ."
    return "> 0 agrees with the claim."


def course(claim: Claim, metric: str, x: str) -> str:
    """What a positive slope or τ of the claim says, in words: `τ > 0, as claimed: test loss falls as λ grows.`"""
    lead = "τ" if claim.statistic == "kendall" else "Slope"
    what = "the chosen λ" if chooses(claim, metric) else labels.of(metric).text
    if "control" in claim.arms or claim.threshold is not None:
        what = "the effect"
    return f"{lead} > 0, as claimed: {what} {'falls' if claim.direction == 'lower' else 'rises'} as {labels.of(x).text} grows."


def chooses(claim: Claim, metric: str) -> bool:
    """Whether the claim is on the λ that its treatment chose on validation rows."""
    select = claim.arms["treatment"].select if "treatment" in claim.arms else None
    return select is not None and metric in select.over and metric.startswith("lambda")


def effect_value(value: Any, claim: Claim, digits: int = 3) -> str:
    """One effect with its sign and, where the claim is read so, its per cent sign; `–` where missing."""
    if missing(value):
        return "–"
    return f"{signed(100 * float(value), digits)} %" if is_percent(claim) else signed(value, digits)


def _decimals(half_width: float) -> int:
    """Decimals that give an interval's half width two significant digits."""
    return min(max(1 - math.floor(math.log10(half_width)), 0), 6)


def interval(low: Any, high: Any) -> str:
    """`[low, high]` in plain numbers; empty where both are missing."""
    return "" if missing(low) and missing(high) else f"[{number(low)}, {number(high)}]"


def _fixed(value: Any, scale: float, decimals: int | None) -> str:
    if missing(value):
        return "–"
    value = float(value) * scale
    if decimals is None or math.isinf(value):
        return number(value)
    text = f"{value:.{decimals}f}".replace("-", MINUS)
    return text if text.strip("−0.") or value == 0 else text.removeprefix(MINUS)


def estimate(row: Any, claim: Claim, fewer: int = 0) -> str:
    """`+3.2 % [1.1, 5.3]` of a row of verdicts.csv, to two digits of the interval's half width; empty where
    it has none. fewer: so many decimals less, where there is no room.

    Very small or large numbers share one power of ten: `+1.5 [0.7, 2.3] ×10⁻⁶ %`. An identity's is what
    was measured, and the bound that it had to keep to: from below (≥) where two things must differ.
    """
    value, low, high = (row.get(name) for name in ("estimate", "ci_low", "ci_high"))
    if missing(value):
        return ""
    if claim.kind == "identity":
        side = {"measured <= bound": "≤", "measured >= bound": "≥"}.get(row.get("equation"))
        return f"measured {number(value)}" + (f" {side} {number(row['margin'])}" if side else "")
    scale, unit = (100.0, " %") if is_percent(claim) else (1.0, "")
    finite = [float(end) * scale for end in (low, high) if not missing(end) and math.isfinite(end)]
    half = max((abs(float(value) * scale - end) for end in finite), default=0.0)
    size = max([abs(float(value)) * scale, *map(abs, finite)])
    power, tail = 0, unit
    if size and not 1e-3 <= size < 1e5:
        power = math.floor(math.log10(size))
        tail = f" ×10{str(power).translate(EXPONENT)}{unit}"
        half, scale = half / 10.0**power, scale / 10.0**power
    decimals = max(_decimals(half) - fewer, 0) if half > 0 else None
    plus = "+" if float(value) > 0 else ""
    ends = (
        ""
        if missing(low) and missing(high)
        else f"[{_fixed(low, scale, decimals)}, {_fixed(high, scale, decimals)}]"
    )
    head = f"{plus}{_fixed(value, scale, decimals)}"
    return f"{head} {ends}{tail}".strip() if power else f"{head}{unit} {ends}".strip()


def condition(text: str) -> str:
    """A filter as a reader says it: `precision == "fp32"` -> `precision fp32`."""
    return text.replace(" == ", " ").replace('"', "").replace("'", "").replace("_", " ")


def count(value: Any) -> str:
    """An n as an integer; `–` where missing."""
    return "–" if missing(value) else f"{int(value):,}".replace(",", " ")


def p_value(value: Any) -> str:
    """`< 0.0001` or three decimals."""
    if missing(value):
        return "–"
    return "< 0.0001" if float(value) < 1e-4 else f"{float(value):.4f}".rstrip("0").rstrip(".") or "0"
