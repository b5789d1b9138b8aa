"""Learning-rate schedules: s_t = eta_t / eta_max for t = 1..T."""

import math
from collections.abc import Callable

SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": lambda t, total: 1.0,
    "linear": lambda t, total: 1.0 - (t - 1) / total,
    "cosine": lambda t, total: 0.5 * (1.0 + math.cos(math.pi * (t - 1) / total)),
}
