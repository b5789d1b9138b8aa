"""Squared loss without L1 part: every lambda at once, by one singular value decomposition."""

from dataclasses import dataclass

import numpy as np

from wdbench.cells import BIAS_SHARE
from wdbench.oracle.problem import Problem, duality_gap, objective, violation


@dataclass(frozen=True)
class Decomposition:
    """X less the means of its columns = U diag(s) Vt; with a penalised bias X as it is, and one column more.

    U [n, r], s [r], Vt [r, d] or [r, d + 1]; x_mean [d], y_mean; column: value of the bias column, None for
    a free bias.
    """

    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray
    x_mean: np.ndarray
    y_mean: float
    column: float | None


def decompose(X: np.ndarray, y: np.ndarray, decay_mask: str) -> Decomposition:
    """What ridge needs of dense X [n, d], y [n].

    A free bias is eliminated by centring. A bias whose lambda2 is c times that of the weights is a column of
    1 / sqrt(c), the weight of which is sqrt(c) times the bias.
    """
    share = BIAS_SHARE[decay_mask]
    if share == 0:
        mean = X.mean(0)
        return Decomposition(*np.linalg.svd(X - mean, full_matrices=False), mean, float(y.mean()), None)
    column = 1.0 / np.sqrt(share)
    extended = np.column_stack([X, np.full(len(X), column)])
    return Decomposition(*np.linalg.svd(extended, full_matrices=False), np.zeros(X.shape[1]), 0.0, column)


def minimise(
    problem: Problem, parts: Decomposition, lambda2: np.ndarray,
) -> tuple[np.ndarray, float, float, str, float]:
    """(theta [1, d + 1], F, certificate, its kind, largest violation) at lambda2 [d + 1].

    Where lambda2 is 0 it is the minimiser of least norm. The certificate is the duality gap, or without
    penalty half the mean square of the residual's part in the column space.
    """
    y, n = problem.target[0], problem.target.shape[1]
    kept = parts.s > parts.s[0] * max(parts.U.shape[0], parts.Vt.shape[1]) * np.finfo(float).eps
    gain = np.where(kept, parts.s / np.where(kept, parts.s**2 + n * lambda2[0], 1.0), 0.0)
    w = parts.Vt.T @ (gain * (parts.U.T @ (y - parts.y_mean)))
    if parts.column is None:
        theta = np.append(w, parts.y_mean - parts.x_mean @ w)[None]
    else:
        theta = np.append(w[:-1], w[-1] * parts.column)[None]
    nothing = np.zeros_like(lambda2)
    loss, slope, _ = problem.loss.slope(problem.scores(theta), problem.target)
    value, pulled = objective(loss, theta, nothing, lambda2), problem.pull(slope)
    worst = float(np.abs(violation(theta, pulled + lambda2 * theta, nothing)).max())
    if lambda2[0] > 0:
        return theta, value, duality_gap(problem, value, slope, pulled, nothing, lambda2), "duality gap", worst
    return theta, value, 0.5 * float(np.square(parts.U[:, kept].T @ slope[0]).sum()) / n, "projection", worst
