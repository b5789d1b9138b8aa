"""How the learning rate and the decay move over a run: s_t = eta_t / eta_max, and p_t in {0, 1}, for t = 1..T.

A schedule is written `name` or `name:option=value,...`:

    constant                1
    linear                  falls from 1 to 0
    cosine:floor=f          half a cosine from 1 to f (default 0)
    drop:at=a,to=f          1 until the share a of the run (default 0.5), then f (default 0.01)

and any of them with warmup=w: for the share w of the run, times t / (w T). A decay phase says when the penalty acts: `all`,
`first:share` or `last:share` of the run.
"""

import math
from collections.abc import Callable
from functools import cache

from wdbench.errors import UserError

Shape = Callable[[int, int], float]


def _drop(t: int, total: int, at: float, to: float) -> float:
    return 1.0 if t <= at * total else to


_SHAPES: dict[str, tuple[Callable[..., float], dict[str, float]]] = {
    "constant": (lambda t, total: 1.0, {}),
    "linear": (lambda t, total: 1.0 - (t - 1) / total, {}),
    "cosine": (lambda t, total, floor: floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * (t - 1) / total)), {"floor": 0.0}),
    "drop": (_drop, {"at": 0.5, "to": 0.01}),
}
_PHASES = ("all", "first", "last")


def _options(text: str) -> tuple[str, dict[str, float]]:
    """Name and options, defaults filled in; UserError for what is not known."""
    name, _, tail = text.partition(":")
    if name not in _SHAPES:
        raise UserError(f"schedule: value {text!r}: unknown; valid: {', '.join(_SHAPES)}")
    known = {**_SHAPES[name][1], "warmup": 0.0}
    found = {}
    for item in filter(None, tail.split(",")):
        key, _, value = item.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if key not in known or key in found or not 0 <= number <= 1:
            valid = ", ".join(f"{option}=0..1" for option in known)
            raise UserError(f"schedule: value {text!r}: option {item!r}: valid, each at most once: {valid}")
        found[key] = number
    return name, {**known, **found}


@cache
def shape(text: str) -> Shape:
    """(t, T) -> s_t of a schedule. Raises UserError for one that is not known."""
    name, options = _options(text)
    function, warmup = _SHAPES[name][0], options.pop("warmup")

    def value(t: int, total: int) -> float:
        rise = min(1.0, t / (warmup * total)) if warmup > 0 else 1.0
        return rise * function(t, total, **options)

    return value


def canonical(text: str) -> str:
    """The one spelling of a schedule: options that are not at their default, in alphabetical order."""
    name, options = _options(text)
    defaults = {**_SHAPES[name][1], "warmup": 0.0}
    kept = [f"{key}={value:g}" for key, value in sorted(options.items()) if value != defaults[key]]
    return f"{name}:{','.join(kept)}" if kept else name


def turn(text: str, total: int) -> int:
    """Last step before a drop, T for a schedule without one: where the large learning rate ends."""
    name, options = _options(text)
    return int(options["at"] * total) if name == "drop" else total


@cache
def phase(text: str) -> Shape:
    """(t, T) -> 1 while the penalty acts, else 0. Raises UserError for a phase that is not known."""
    name, _, tail = text.partition(":")
    try:
        share = (math.nan if tail else 1.0) if name == "all" else float(tail)
    except ValueError:
        share = math.nan
    if name not in _PHASES or not 0 < share <= 1:
        raise UserError(f"decay_phases: value {text!r}: valid: all, first:SHARE, last:SHARE with 0 < SHARE <= 1")
    if name == "last":
        return lambda t, total: float(t > (1.0 - share) * total)
    return lambda t, total: float(t <= share * total)
