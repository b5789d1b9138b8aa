"""Laws of a design matrix: mean zero, known covariance, n rows are the first of any larger draw."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Design:
    """x ~ N(0, Sigma), Sigma [d, d]; groups [d] is the group number of each column, -1 for none; draw(rng, n)
    -> [n, d].
    """

    Sigma: np.ndarray
    groups: np.ndarray
    draw: Callable[[np.random.Generator, int], np.ndarray]


def isotropic(p: int) -> Design:
    """Independent N(0, 1) columns."""
    return Design(np.eye(p), np.full(p, -1), lambda rng, n: rng.standard_normal((n, p)))


def ar1(p: int, rho: float) -> Design:
    """corr(x_i, x_j) = rho^|i-j|, unit variances."""
    lag = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        columns = np.ascontiguousarray(rng.standard_normal((n, p)).T)
        for j in range(1, p):
            columns[j] = rho * columns[j - 1] + np.sqrt(1 - rho**2) * columns[j]
        return np.ascontiguousarray(columns.T)

    return Design(np.power(float(rho), lag), np.full(p, -1), draw)


def factors(groups: np.ndarray, shared_sd: float, own_sd: float) -> Design:
    """Column j is shared_sd * F_g + own_sd * Z_j for its group g = groups[j], or N(0, 1) where g is -1."""
    groups = np.asarray(groups)
    p, k = len(groups), int(groups.max()) + 1
    grouped = groups >= 0
    same = np.equal.outer(groups, groups) & np.logical_and.outer(grouped, grouped)
    own = np.where(grouped, own_sd, 1.0)

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        # one draw a row, so that more rows leave the first ones as they are
        normal = rng.standard_normal((n, k + p))
        return (
            np.where(grouped, shared_sd * normal[:, :k][:, np.maximum(groups, 0)], 0.0) + own * normal[:, k:]
        )

    return Design(shared_sd**2 * same + np.diag(own**2), groups, draw)


def gaussian(Sigma: np.ndarray) -> Design:
    """Any small covariance, by its Cholesky factor."""
    root = np.linalg.cholesky(Sigma)

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.einsum("nk,dk->nd", rng.standard_normal((n, len(Sigma))), root)

    return Design(np.asarray(Sigma, float), np.full(len(Sigma), -1), draw)
