"""Stacks taken some solutions at a time, so that what is made on the way stays in the cache."""

from collections.abc import Iterator

CHUNK_BYTES = 1 << 20


def slices(n_solutions: int, values_each: int) -> Iterator[slice]:
    """Pieces of the stack that stay in the cache."""
    step = max(1, CHUNK_BYTES // (8 * values_each))
    for start in range(0, n_solutions, step):
        yield slice(start, min(start + step, n_solutions))
