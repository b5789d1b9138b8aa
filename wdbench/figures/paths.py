"""Paths of an SVG with relative coordinates: shorter numbers, and none that drift."""

import re
from collections.abc import Callable

_STEP = re.compile(r"([MLQCz])([^MLQCz]*)")


def relative(path: str, per_unit: float = 10, written: Callable[[int], str] | None = None) -> str:
    """`path`, of M, L, Q, C and z in absolute coordinates, as one of relative steps on a grid of 1/per_unit.

    Every step ends on the grid's point nearest to its own end, so that roundings do not add up. written: a number of grid steps as
    text; the default gives tenths. A path with another command is returned as it is.
    """
    if re.search(r"[^MLQCz\d\s.\-]", path):
        return path
    written = written or _tenths
    found, last, start, before = [], (0, 0), (0, 0), ""
    for command, numbers in _STEP.findall(path):
        if command == "z":
            found.append("z")
            last, before = start, ""
            continue
        flat = [round(float(n) * per_unit) for n in numbers.split()]
        points = list(zip(flat[::2], flat[1::2], strict=True))
        away = [(x - last[0], y - last[1]) for x, y in points]
        last = points[-1]
        if command == "M":
            start = last
        name, steps = command.lower(), [n for point in away for n in point]
        if command == "L" and 0 in away[0]:
            name, steps = ("v", [away[0][1]]) if away[0][0] == 0 else ("h", [away[0][0]])
        # a command stands for those of its kind that follow; numbers after m would be lines
        text = "".join(f" {n}" if n[0] != "-" else n for n in map(written, steps))
        found.append(text if name == before and name != "m" else name + text.lstrip())
        before = name
    return "".join(found)


def _tenths(n: int) -> str:
    whole, tenth = divmod(abs(n), 10)
    text = f"{whole or ''}.{tenth}" if tenth else str(whole)
    return f"-{text}" if n < 0 else text
