"""Exact minimisers for a whole path of lambdas of one block, model, penalty and decay mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from wdbench.oracle import newton, unpenalised
from wdbench.oracle.losses import TASKS
from wdbench.oracle.problem import BIAS_SHARE, Problem, build, duality_gap, masked, objective, violation
from wdbench.penalties import split


@dataclass(frozen=True)
class Solution:
    """A minimiser of F(W, b) = mean loss + lambda1 ||W||_1 + lambda2 1/2 ||W||^2.

    W [d, k], b [k]; objective F. certificate: an upper bound on F - min F (beyond rounding of about 1e-15
    F), from `kind`: "duality gap"; "projection" (least squares, distance to the column space; logistic
    without penalty, dual point projected); "loss" (no better bound than min F >= 0). violation: largest
    entry of the smallest subgradient of F, 0 at a minimum. converged: certificate <= tol F, or where no
    minimum exists the gradient tolerance of `unpenalised.GRADIENT_TOLERANCE`. iterations: Newton steps (0:
    closed form) or L-BFGS iterations.
    """

    lam: float
    W: np.ndarray
    b: np.ndarray
    objective: float
    certificate: float
    kind: str
    violation: float
    iterations: int
    converged: bool


def solve(block, model: str, penalty: str, l1_ratio: float, lambdas: Sequence[float],
          decay_mask: str = "weights", tol: float = 1e-9) -> list[Solution]:
    """Minimisers of F on the training split of `block`, one for each of `lambdas`, in their order.

    model: linear, logistic or softmax; penalty, l1_ratio, lambdas: see `penalties.split`; decay_mask:
    "weights" (free bias), "all" (bias penalised too) or "bias_hundredth" (with lambda / 100). tol:
    certificate over F to reach, and no violation above sqrt(tol) / 100, unless rounding stops it first.
    Squared loss without L1 part is solved by one singular value decomposition, the rest by Newton's method
    from the largest lambda down, each from the solution before. Without any penalty: the solution of least
    norm for squared loss, else see `unpenalised.fit`. Raises ValueError for a model that does not fit the
    block's task, an unknown penalty or mask, or data that are not finite.
    """
    if TASKS.get(model) != block.task:
        raise ValueError(f"model {model!r} does not fit a {block.task} task; models are {TASKS}")
    X, y = block.X["train"], block.y["train"]
    if sparse.issparse(X) and model == "linear":
        X = X.toarray()
    problem = build(X, y, model, block.n_outputs)
    solutions: dict[float, Solution] = {}
    theta = np.zeros(problem.shape)
    decomposed = None
    for lam in sorted({float(value) for value in lambdas}, reverse=True):
        lambda1, lambda2 = masked(X.shape[1], *split(penalty, l1_ratio, lam), decay_mask)
        if model == "linear" and not lambda1.any():
            decomposed = decomposed or _decompose(X, y, BIAS_SHARE[decay_mask])
            solutions[lam] = _least_squares(problem, decomposed, lam, lambda1, lambda2, tol)
        elif not lambda1.any() and not lambda2.any():
            found = unpenalised.fit(problem, tol)
            solutions[lam] = _solution(lam, *found)
        else:
            point = newton.minimise(problem, theta, lambda1, lambda2, tol)
            theta = point.theta
            solutions[lam] = _solution(lam, theta, point.objective, point.gap, "duality gap", point.violation,
                                       point.steps, point.gap <= tol * point.objective)
    return [solutions[float(lam)] for lam in lambdas]


def _solution(lam, theta, value, certificate, kind, worst, steps, converged) -> Solution:
    return Solution(lam, np.ascontiguousarray(theta[:, :-1].T), theta[:, -1].copy(), float(value),
                    float(certificate), kind, float(worst), int(steps), bool(converged))


def _decompose(X: np.ndarray, y: np.ndarray, bias_share: float):
    """What ridge needs of the data: (U, s, V', centre of X, centre of y, value of the bias column or None).

    A free bias is eliminated by centring. A bias with lambda2 times c is a column of 1 / sqrt(c), whose
    weight is sqrt(c) bias.
    """
    if bias_share == 0:
        x_mean, y_mean, column = X.mean(0), y.mean(), None
        centred = X - x_mean
    else:
        x_mean, y_mean, column = np.zeros(X.shape[1]), 0.0, 1.0 / np.sqrt(bias_share)
        centred = np.column_stack([X, np.full(len(X), column)])
    return *np.linalg.svd(centred, full_matrices=False), x_mean, y_mean, column


def _least_squares(problem: Problem, decomposed, lam: float, lambda1, lambda2, tol: float) -> Solution:
    U, s, Vt, x_mean, y_mean, column = decomposed
    y, n = problem.target[0], problem.target.shape[1]
    kept = s > s[0] * max(U.shape[0], Vt.shape[1]) * np.finfo(float).eps
    strength = lambda2[0]
    gain = np.where(kept, s / np.where(kept, s**2 + n * strength, 1.0), 0.0)
    w = Vt.T @ (gain * (U.T @ (y - y_mean)))
    if column is None:
        bias = y_mean - x_mean @ w
    else:
        w, bias = w[:-1], w[-1] * column
    theta = np.append(w, bias)[None]
    loss, slope, _ = problem.loss.slope(problem.scores(theta), problem.target)
    value, pulled = objective(loss, theta, lambda1, lambda2), problem.pull(slope)
    worst = np.abs(violation(theta, pulled + lambda2 * theta, lambda1)).max()
    if strength > 0:
        certificate, kind = duality_gap(problem, value, slope, pulled, lambda1, lambda2), "duality gap"
    else:
        certificate, kind = 0.5 * np.square(U[:, kept].T @ slope[0]).sum() / n, "projection"
    converged = certificate <= max(tol * value, 1e-28 * (y @ y))
    return _solution(lam, theta, value, certificate, kind, worst, 0, converged)
