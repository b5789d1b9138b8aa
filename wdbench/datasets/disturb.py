"""Controlled damage to data: measurement error, noise columns, column scales, label noise.

Each draw comes from its own stream and for all rows of the data set, so it does not depend on the split, on
the number of rows in use, or on the strength asked for.
"""

from typing import Any

import numpy as np

from wdbench import seeds


def corrupt(name: str, replicate: int, X: dict[str, Any], sd: np.ndarray, tau: float, errors: dict[str, Any]) -> dict[str, Any]:
    """X with errors of sd tau, in units of sd [d], added to one random column of X["train"] and X["val"].

    errors[split] [n_split] are N(0, 1) draws, see `errors`. A column with sd 0 is never chosen.
    """
    order = seeds.generator(name, replicate, "corruption").permutation(len(sd))
    column = order[np.flatnonzero(sd[order] > 0)[0]]
    damaged = dict(X)
    for part in ("train", "val"):
        damaged[part] = X[part].copy()
        damaged[part][:, column] += tau * sd[column] * errors[part]
    return damaged


def errors(name: str, replicate: int, n: int, counter: int = 1) -> np.ndarray:
    """[n] draws of N(0, 1) for `corrupt`; `counter` tells apart samples whose rows are not rows of one data
    set.
    """
    return seeds.generator(name, replicate, "corruption", counter).standard_normal(n)


def noise_columns(name: str, replicate: int, n: int, k: int, counter: int = 1) -> np.ndarray:
    """[n, k] of N(0, 1); the columns of a smaller k are the first of a larger one. counter: see `errors`."""
    columns = [
        seeds.generator(name, replicate, "sample", 100, counter, j).standard_normal(n) for j in range(k)
    ]
    return np.stack(columns, axis=1)


def column_scales(name: str, replicate: int, d: int, c: float) -> np.ndarray:
    """[d] factors 10^U(-c, c)."""
    return 10.0 ** (c * seeds.generator(name, replicate, "scales").uniform(-1, 1, size=d))


def flip_labels(y: np.ndarray, n_classes: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Labels y [n], each moved to another class with probability `rate`; nested in rate."""
    moved = rng.uniform(size=len(y)) < rate
    steps = rng.integers(1, n_classes, size=len(y))
    return np.where(moved, (y + steps) % n_classes, y)
