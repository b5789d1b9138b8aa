"""Newton's method for F on the orthant of the current signs, down to rounding.

A step solves the Newton system over the weights that are not 0 or that the gradient pulls away from 0, then
follows the path projected on the orthant: a weight that would change sign stops at exactly 0. It is the
two-metric projection of Bertsekas (1982) with the orthants of OWL-QN (Andrew & Gao 2007); a free bias is
minimised exactly after every step. Where that has not ended after `PATIENCE` steps, every so many are
followed by one of `quadratic.step`. Without an L1 part it is plain Newton with backtracking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg, sparse

from wdbench.oracle import quadratic
from wdbench.oracle.problem import Problem, assemble, duality_gap, objective, times, violation

if TYPE_CHECKING:
    from wdbench.oracle.losses import Loss

MAX_STEPS, MAX_CG, MAX_HALVINGS = 500, 250, 30
NOISE = 2e-15
PATIENCE = 16
DIRECT_WORK = 3e8
GROWTH, FIRST_GROWTH = 0.25, 20
DAMPING = (1e-8, 1e-2, 1e3)


@dataclass(frozen=True)
class Point:
    """Where the method stopped: theta [k, d + 1], F, a bound on F - min F, the largest violation, steps."""

    theta: np.ndarray
    objective: float
    gap: float
    violation: float
    steps: int


def minimise(problem: Problem, theta: np.ndarray, lambda1: np.ndarray, lambda2: np.ndarray, tol: float,
             max_steps: int = MAX_STEPS) -> Point:
    """Minimise F from theta [k, d + 1] until gap <= tol F and no violation exceeds sqrt(tol) / 100.

    It stops earlier where rounding leaves no step that helps. lambda1, lambda2 are [d + 1]. The gap is a
    bound only where every weight has one of them above 0.
    """
    free_bias = lambda1[-1] == lambda2[-1] == 0
    theta = theta.copy()
    z = problem.scores(theta)
    damping, refused, stalled, least = DAMPING[1], 0, 0, (np.inf, np.inf)
    for step in range(max_steps + 1):
        if free_bias:
            z, theta[:, -1] = centre_bias(problem, z, theta[:, -1])
        loss, slope, state = problem.loss.slope(z, problem.target)
        value = objective(loss, theta, lambda1, lambda2)
        pulled = problem.pull(slope)
        gap = duality_gap(problem, value, slope, pulled, lambda1, lambda2)
        pull = violation(theta, pulled + lambda2 * theta, lambda1)
        worst = np.abs(pull).max()
        stalled = stalled + 1 if value >= least[0] * (1 - 1e-15) and gap >= 0.5 * least[1] else 0
        least = (min(value, least[0]), min(gap, least[1]))
        solved = gap <= tol * value and worst <= 0.01 * np.sqrt(tol)
        if solved or refused > 3 or stalled > 3 or step == max_steps:
            return Point(theta, value, gap, worst, step)
        if lambda1.any() and step % PATIENCE == PATIENCE - 1:
            found = quadratic.step(problem, theta, z, value, pulled, state, pull, lambda1, lambda2)
            if found is not None:
                theta, z = found
                continue
        free = _free(theta, pull, lambda1)
        pull = np.where(free, pull, 0.0)
        extra = min(damping, worst / lambda1.max()) if lambda1.any() else 0.0
        accuracy = float(np.clip(np.sqrt(gap / value), 1e-8, 0.1))
        columns = np.flatnonzero(free.any(0))
        rows = problem.rows if len(columns) > 0.7 * free.shape[1] else problem.rows[columns]
        columns = columns if rows is not problem.rows else np.arange(free.shape[1])
        move = _newton_step(
            problem, rows, state, pull[:, columns], free[:, columns], lambda2[columns], extra, accuracy)
        moved = times(move, rows)
        fraction = 1.0
        for _ in range(MAX_HALVINGS):
            candidate, change = _project(theta, pull, lambda1, columns, fraction * move)
            new_z = z + (fraction * moved if change is None else times(change, rows))
            new_loss = problem.loss.slope(new_z, problem.target)[0]
            new_value = objective(new_loss, candidate, lambda1, lambda2)
            if new_value <= value + 1e-4 * (pull * (candidate - theta)).sum() + NOISE * value:
                theta, z, refused = candidate, new_z, 0
                break
            fraction /= 2
        else:
            refused += 1
        growth = 16.0 if refused else 4.0 if fraction < 0.3 else 0.25 if fraction == 1 else 1.0
        damping = float(np.clip(damping * growth, DAMPING[0], DAMPING[2]))
    raise AssertionError("the loop returns at its last step")


def _free(theta: np.ndarray, pull: np.ndarray, lambda1: np.ndarray) -> np.ndarray:
    """Mask of the weights a step may move: all that are not 0, and of those pulled away from 0 the most so.

    To let in a quarter of the present number at a time keeps out most of those that would have to leave
    again.
    """
    active = (theta != 0) | (lambda1 == 0)
    waiting = np.where(active, 0.0, np.abs(pull))
    limit = int(max(FIRST_GROWTH, GROWTH * active.sum()))
    if np.count_nonzero(waiting) <= limit:
        return active | (waiting > 0)
    return active | (waiting >= np.partition(waiting, -limit, axis=None)[-limit])


def _project(theta: np.ndarray, pull: np.ndarray, lambda1: np.ndarray, columns: np.ndarray, move: np.ndarray) -> tuple[np.ndarray,
             np.ndarray | None]:
    """(theta + move, changes of sign stopped at 0; the change at `columns`, None if none was stopped)."""
    candidate = theta.copy()
    candidate[:, columns] += move
    orthant = np.where(theta != 0, np.sign(theta), -np.sign(pull))
    stopped = (lambda1 > 0) & (candidate * orthant <= 0) & (candidate != 0)
    if not stopped.any():
        return candidate, None
    candidate[stopped] = 0.0
    return candidate, candidate[:, columns] - theta[:, columns]


def _newton_step(problem: Problem, rows: np.ndarray | sparse.csr_array, state: Any, pull: np.ndarray, free: np.ndarray, lambda2: np.ndarray,
                 extra: float, accuracy: float) -> np.ndarray:
    """Solve (Hessian + extra its diagonal) step = -pull over the `free` weights [k, c].

    rows [c, n]: their columns of A, transposed. Small systems by Cholesky, the rest by conjugate gradients.
    """
    n = rows.shape[1]
    square = rows.multiply(rows).tocsr() if sparse.issparse(rows) else rows * rows
    diagonal = times(problem.loss.diagonal(state, problem.target.shape), square.T) / n + lambda2
    diagonal = np.maximum(diagonal, 1e-12 * diagonal.max())
    shift = lambda2 + max(extra, 1e-11) * diagonal
    if not sparse.issparse(rows) and n * float(free.sum()) ** 2 <= DIRECT_WORK:
        try:
            return _solve_directly(problem.loss, rows, state, pull, free, shift)
        except linalg.LinAlgError:
            pass  # singular to rounding: conjugate gradients leave the null space alone

    def hessian(v: np.ndarray) -> np.ndarray:
        image = times(problem.loss.curvature(state, times(v, rows)), rows.T) / n + shift * v
        return np.where(free, image, 0.0)

    inverse_diagonal = np.where(free, 1.0 / (diagonal + shift - lambda2), 0.0)
    return _conjugate_gradients(hessian, -pull, inverse_diagonal, accuracy)


def _solve_directly(loss: "Loss", rows: np.ndarray | sparse.csr_array, state: Any, pull: np.ndarray, free: np.ndarray,
                    shift: np.ndarray) -> np.ndarray:
    """The Newton step by Cholesky. Raises LinAlgError."""
    step = np.zeros_like(pull)
    matrix = assemble(loss, rows, state, free)
    matrix[np.diag_indices_from(matrix)] += shift[free]
    factor = linalg.cho_factor(matrix, lower=True, check_finite=False)
    step[free] = -linalg.cho_solve(factor, pull[free], check_finite=False)
    return step


def _conjugate_gradients(hessian: Callable[[np.ndarray], np.ndarray], right: np.ndarray, inverse_diagonal: np.ndarray,
                         accuracy: float) -> np.ndarray:
    """hessian(x) = right until the residual fell by `accuracy` (Nocedal & Wright 2006, algorithm 5.3)."""
    x, residual = np.zeros_like(right), right.copy()
    goal = accuracy * np.sqrt(np.vdot(right, right))
    scaled = inverse_diagonal * residual
    direction, product = scaled, np.vdot(residual, scaled)
    for _ in range(MAX_CG):
        image = hessian(direction)
        length = product / max(np.vdot(direction, image), 1e-300)
        x += length * direction
        residual -= length * image
        if np.sqrt(np.vdot(residual, residual)) <= goal:
            break
        scaled = inverse_diagonal * residual
        previous, product = product, np.vdot(residual, scaled)
        direction = scaled + (product / previous) * direction
    return x


def centre_bias(problem: Problem, z: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(scores, bias) after exact minimisation over a free bias: then the slopes of every output sum to 0."""
    least = np.inf
    for _ in range(30):
        loss, slope, state = problem.loss.slope(z, problem.target)
        mean = slope.mean(1)
        worst = np.abs(mean).max()
        # below 1e-13 what is left is rounding, once a step no longer halves it
        if worst < 1e-16 or (worst < 1e-13 and worst > 0.5 * least):
            break
        least = min(least, worst)
        matrix = problem.loss.mean_curvature(state)
        step = np.clip(-np.linalg.lstsq(matrix, mean, rcond=1e-13)[0], -3.0, 3.0)
        z, bias = z + step[:, None], bias + step
    return z, bias
