"""How long a run takes on so many cores: its jobs as the workflow starts them, and what comes after the last.

The prices below were read off the accepted run (2 cores). They are what is left when cells cost nothing, and the smaller part of any run
that is not tiny.
"""

import heapq
from collections.abc import Iterable, Mapping

START = 4.5
"""Core-seconds a job: Python, its libraries, the data."""
CLOSING = 15.0
CLOSING_CELL = 4e-4
CLOSING_CLAIM = 0.35
"""Seconds after the last pack: fixed, a cell (gather, judge), a claim (figures, report)."""


def order(pack: str, convex: bool) -> int:
    """When the workflow starts a pack: networks, exact solutions, and last the trained convex ones, which wait for an oracle."""
    return 3 if convex else 1 if pack.endswith("~exact") else 0


def makespan(jobs: Iterable[tuple[int, float]], cores: int) -> float:
    """Seconds until the last of the jobs (order, seconds) has ended: each core takes the next one when it is free."""
    free = [0.0] * cores
    for _, seconds in sorted(jobs, key=lambda job: job[0]):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def seconds(packs: Mapping[str, float], convex: Mapping[str, bool], oracles: Mapping[str, float], cells: int, claims: int,
            cores: int) -> float:
    """Wall seconds of a run that trains packs (name -> core-seconds) and solves what `oracles` (data set -> core-seconds) need."""
    jobs = [(order(pack, convex[pack]), START + cost) for pack, cost in packs.items()]
    jobs += [(2, START + cost) for cost in oracles.values()]
    return makespan(jobs, cores) + CLOSING + CLOSING_CELL * cells + CLOSING_CLAIM * claims
