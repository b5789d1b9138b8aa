"""wdbench's engine: all cells at once, with all that it measures on the way (loss and norm at 12 steps, divergence, outputs)."""

import time

from benchmarks.cases import Case
from wdbench import engine, memory, models


def train(case: Case):
    memory.reuse()
    started = time.perf_counter()
    pairs = [pair for chunk in engine.train(case.runs, case.data) for pair in chunk]
    seconds = time.perf_counter() - started
    affine = models.parse(case.model)[0].affine
    # a convex model's weight is [d, k], a module's [k, d]
    return seconds, len(pairs), {i: (o.weight.T if affine else o.weight).ravel() for i, o in pairs}
