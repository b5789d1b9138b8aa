"""Numbers and effects as a reader sees them: one form for figures, report and terminal. No matplotlib here."""

import math

import pandas as pd

from wdbench.figures import labels

MINUS, EXPONENT = "−", str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def missing(value) -> bool:
    """True for None, NaN, NA and NaT."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT


def number(value, digits: int = 3) -> str:
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


def plain(value, digits: int = 6) -> str:
    """ASCII form for a pipe: shortest with `digits` significant digits, empty where missing."""
    if missing(value):
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)) and not hasattr(value, "dtype"):
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def percent(value, digits: int = 3) -> str:
    """A share as per cent with its sign kept."""
    return "–" if missing(value) else f"{number(100 * float(value), digits)} %"


def signed(value, digits: int = 3) -> str:
    """`number` with a plus sign where positive."""
    return ("+" if not missing(value) and float(value) > 0 else "") + number(value, digits)


# in which form an effect is read: (words before the metric's label, unit; None = the metric's own unit, shown as per cent)
_EFFECTS = {
    "difference": ("difference of", None, False),
    "relative": ("relative difference of", "%", True),
    "log_ratio": ("log ratio of", "natural log", False),
    "ratio": ("ratio of", "×", False),
    "slope": ("slope of", "per unit of x", False),
    "tau": ("Kendall τ of λ and", "−1 to 1", False),
    "correlation": ("Kendall τ with", "−1 to 1", False),
    "interaction": ("difference of differences of", None, False),
    "risk_difference": ("difference in rates of", "share", False),
}


def is_percent(effect: str | None) -> bool:
    """Whether effects of this form are stored as shares and read as per cent."""
    return bool(effect) and _EFFECTS.get(effect, ("", None, False))[2]


def effect_name(effect: str | None, metric: str | None) -> str:
    """What the effect is, with its unit: `relative difference of test loss (%)`."""
    if not metric:
        return "effect"
    label = labels.of(metric)
    words, unit, _ = _EFFECTS.get(effect or "difference", (f"{effect} of".replace("_", " "), None, False))
    if unit is None:
        unit = label.unit if not label.regression_unit else "nats or ½ squared error ÷ var(y)"
    return f"{words} {label.text} ({unit})" if unit else f"{words} {label.text}"


def effect_value(value, effect: str | None, digits: int = 3) -> str:
    """One effect with its sign and, where it is read so, its per cent sign."""
    if missing(value):
        return "–"
    return f"{signed(100 * float(value), digits)} %" if is_percent(effect) else signed(value, digits)


def interval(low, high, effect: str | None, digits: int = 3) -> str:
    """`[low, high]`, per cent sign inside where effects are read so; empty where both are missing."""
    if missing(low) and missing(high):
        return ""
    scale = 100 if is_percent(effect) else 1
    ends = [number(end if missing(end) else scale * float(end), digits) for end in (low, high)]
    return f"[{ends[0]}, {ends[1]}]"


def estimate(row, effect: str | None) -> str:
    """`+3.2 % [1.1, 5.3]` of a row of verdicts.csv; empty where it holds no number."""
    if missing(row.get("estimate")):
        return ""
    return f"{effect_value(row['estimate'], effect)} {interval(row.get('ci_low'), row.get('ci_high'), effect)}".strip()


def count(value) -> str:
    """An n as an integer; `–` where missing."""
    return "–" if missing(value) else f"{int(value):,}".replace(",", " ")


def p_value(value) -> str:
    """`< 0.0001` or three decimals."""
    if missing(value):
        return "–"
    return "< 0.0001" if float(value) < 1e-4 else f"{float(value):.4f}".rstrip("0").rstrip(".") or "0"
