"""Exact minimisers for a whole path of lambdas of one block, model, penalty and decay mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from wdbench.oracle import newton, ridge, unpenalised
from wdbench.oracle.losses import TASKS
from wdbench.oracle.problem import Problem, build, compact, masked
from wdbench.penalties import split

if TYPE_CHECKING:
    from wdbench.datasets.records import Block


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


class Continuation:
    """Where Newton's method starts: rough solutions on a grid of lambdas that depends on the data alone.

    So the start at a lambda is the same whatever else is asked for. The grid falls by `RATIO` from a lambda
    that leaves little or no weight; its points are found as far down as is needed, and kept.
    """

    RATIO, TOLERANCE = 10**-0.5, 0.1

    def __init__(self, problem: Problem, penalty: str, l1_ratio: float, decay_mask: str) -> None:
        self._problem = problem
        self._lambdas = lambda lam: masked(
            problem.shape[1] - 1, *split(penalty, l1_ratio, lam), decay_mask)
        self._points = [np.zeros(problem.shape)]
        share1, share2 = split(penalty, l1_ratio, 1.0)
        _, slope, state = problem.loss.slope(np.zeros_like(problem.target), problem.target)
        if share1 > 0:
            self._top = np.abs(problem.pull(slope)).max() / share1
        else:
            self._top = np.abs(problem.loss.diagonal(state, slope.shape)).max() * problem.mean_square()

    def start(self, lam: float) -> np.ndarray:
        """theta [k, d + 1] to start from at lam > 0."""
        steps = int(np.ceil(np.log(lam / self._top) / np.log(self.RATIO))) - 1 if lam < self._top else 0
        while len(self._points) <= steps:
            lambda1, lambda2 = self._lambdas(self._top * self.RATIO ** len(self._points))
            found = newton.minimise(self._problem, self._points[-1], lambda1, lambda2, self.TOLERANCE)
            self._points.append(found.theta)
        return self._points[steps]


def solve(block: "Block", model: str, penalty: str, l1_ratio: float, lambdas: Sequence[float],
          decay_mask: str = "weights", tol: float = 1e-9) -> list[Solution]:
    """Minimisers of F on the training split of `block`, one for each of `lambdas`, in their order.

    model: linear, logistic or softmax; penalty, l1_ratio, lambdas: see `penalties.split`; decay_mask:
    "weights" (free bias), "all" (bias penalised too) or "bias_hundredth" (with lambda / 100). tol:
    certificate over F to reach, and no violation above sqrt(tol) / 100, unless rounding stops it first.
    Squared loss without L1 part is solved by one singular value decomposition, the rest by Newton's method,
    warm. Without any penalty: the solution of least norm for squared loss, else see `unpenalised.fit`. A
    solution is a function of the data and its own lambda: which other lambdas are asked for changes no bit.

    Raises ValueError for a model that does not fit the block's task, an unknown penalty or mask, or data
    that are not finite.
    """
    if TASKS.get(model) != block.task:
        raise ValueError(f"model {model!r} does not fit a {block.task} task; models are {TASKS}")
    X, y = block.X["train"], block.y["train"]
    if model == "linear":
        X = X.toarray() if sparse.issparse(X) else X
    else:
        X = compact(X)
    problem = build(X, y, model, block.n_outputs)
    parts = None
    continuation = Continuation(problem, penalty, l1_ratio, decay_mask)
    solutions: dict[float, Solution] = {}
    for lam in sorted({float(value) for value in lambdas}, reverse=True):
        lambda1, lambda2 = masked(X.shape[1], *split(penalty, l1_ratio, lam), decay_mask)
        if model == "linear" and not lambda1.any():
            parts = parts or ridge.decompose(X, y, decay_mask)
            theta, value, bound, kind, worst = ridge.minimise(problem, parts, lambda2)
            converged = bound <= max(tol * value, 1e-28 * (y @ y))
            solutions[lam] = _solution(lam, theta, value, bound, kind, worst, 0, converged)
        elif not lambda1.any() and not lambda2.any():
            found = unpenalised.fit(problem, tol)
            solutions[lam] = _solution(lam, *found)
        else:
            point = newton.minimise(problem, continuation.start(lam), lambda1, lambda2, tol)
            solutions[lam] = _solution(lam, point.theta, point.objective, point.gap, "duality gap", point.violation,
                                       point.steps, point.gap <= tol * point.objective)
    return [solutions[float(lam)] for lam in lambdas]


def _solution(lam: float, theta: np.ndarray, value: float, certificate: float, kind: str, worst: float, steps: int,
              converged: bool) -> Solution:
    return Solution(lam, np.ascontiguousarray(theta[:, :-1].T), theta[:, -1].copy(), float(value),
                    float(certificate), kind, float(worst), int(steps), bool(converged))
