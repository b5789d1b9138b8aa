"""Rows of train, validation and test: stratified, seeded by the replicate, never by the treatment."""

import numpy as np


def stratified(y: np.ndarray, shares: tuple[float, ...], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Split row numbers by `shares` (sum 1) within every class of y; a single row goes to the first part."""
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        cuts = np.floor(np.cumsum(shares)[:-1] * len(rows) + 0.5).astype(int)
        for part, piece in zip(parts, np.split(rows, cuts), strict=True):
            part.append(piece)
    return tuple(np.sort(np.concatenate(part)) for part in parts)


def uniform(n: int, shares: tuple[float, ...], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Split row numbers 0..n-1 by `shares` (sum 1) at random, for regression."""
    cuts = np.floor(np.cumsum(shares)[:-1] * n + 0.5).astype(int)
    return tuple(np.sort(part) for part in np.split(rng.permutation(n), cuts))


def rows(
    y: np.ndarray,
    task: str,
    given_test: np.ndarray | None,
    shares: tuple[float, ...],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Row numbers of train, val and test.

    shares has two entries (train, val of the published training part) where given_test is set, otherwise
    three.
    """
    pool = np.arange(len(y)) if given_test is None else np.setdiff1d(np.arange(len(y)), given_test)
    parts = uniform(len(pool), shares, rng) if task == "regression" else stratified(y[pool], shares, rng)
    train, val, *rest = (pool[part] for part in parts)
    return {"train": train, "val": val, "test": rest[0] if given_test is None else np.sort(given_test)}


def nested_order(y: np.ndarray, task: str, rng: np.random.Generator) -> np.ndarray:
    """Order of the rows of y such that the first m rows are a random subsample for every m.

    For classes the order is stratified: a prefix holds every class in its share, up to rounding, and the
    first rows of a class in any longer prefix are those of a shorter one.
    """
    order = rng.permutation(len(y))
    if task == "regression":
        return order
    place = np.empty(len(y))
    for label in np.unique(y):
        members = order[y[order] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return order[np.argsort(place[order], kind="stable")]


def place_in_class(y: np.ndarray) -> np.ndarray:
    """Number of earlier rows of the same class, [n]."""
    place = np.empty(len(y), dtype=int)
    for label in np.unique(y):
        members = y == label
        place[members] = np.arange(members.sum())
    return place


def long_tail(largest: int, n_classes: int, factor: float) -> np.ndarray:
    """Rows of each class, largest class first: round(largest * factor^(-c / (n_classes - 1))), [n_classes].

    Cui et al. (2019), Class-balanced loss based on effective number of samples, CVPR; factor is their imbalance factor.
    """
    return np.floor(largest * factor ** (-np.arange(n_classes) / (n_classes - 1)) + 0.5).astype(int)
