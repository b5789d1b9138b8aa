"""Logistic and softmax models without any penalty, where a minimum may not exist."""

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from wdbench.oracle import newton
from wdbench.oracle.problem import Problem

GRADIENT_TOLERANCE = 1e-4
MAX_ITERATIONS = 20_000
POLISH_SIZE = 2_000_000
POLISH_STEPS = 40


def fit(problem: Problem, tol: float) -> tuple[np.ndarray, float, float, str, float, int, bool]:
    """(theta [k, d + 1], loss, certificate, its kind, largest gradient entry, iterations, converged).

    L-BFGS from 0 until no entry of the gradient exceeds 1e-4, which is what scikit-learn's
    LogisticRegression does without penalty. Where the classes are then separated the loss has no minimum but
    the infimum 0, and this is the answer, certificate = loss. Otherwise, in problems of moderate size,
    Newton's method goes on to the minimum; its certificate is a duality gap, of the slopes projected on the
    space where the dual is feasible.
    """
    shape = problem.shape

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        loss, slope, _ = problem.loss.slope(problem.scores(flat.reshape(shape)), problem.target)
        return loss, problem.pull(slope).ravel()

    found = minimize(value_and_gradient, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={
        "gtol": GRADIENT_TOLERANCE, "ftol": 0.0, "maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS})
    theta, worst = found.x.reshape(shape), float(np.abs(found.jac).max())
    loss, converged = float(found.fun), worst <= GRADIENT_TOLERANCE
    answer = (theta, loss, loss, "loss", worst, int(found.nit), converged)
    if separates(problem, theta) or problem.target.size * shape[1] > POLISH_SIZE:
        return answer
    zero = np.zeros(shape[1])
    point = newton.minimise(problem, theta, zero, zero, tol, POLISH_STEPS)
    gap = _projected_gap(problem, point.theta)
    if gap > point.objective:
        return answer
    return (point.theta, point.objective, gap, "projection", point.violation, int(found.nit) + point.steps,
            gap <= tol * point.objective)


def separates(problem: Problem, theta: np.ndarray) -> bool:
    """Whether every training row is on the right side, so that scaling theta up takes the loss to 0."""
    z = problem.scores(theta)
    if len(z) == 1:
        return bool(((2.0 * problem.target - 1.0) * z > 0).all())
    own = (z * problem.target).sum(0)
    return bool((own > np.where(problem.target > 0, -np.inf, z).max(0)).all())


def _projected_gap(problem: Problem, theta: np.ndarray) -> float:
    """Upper bound on the excess loss; infinite where the projected slopes are no dual point, or the data CSR."""
    if sparse.issparse(problem.A):
        return np.inf
    loss, slope, _ = problem.loss.slope(problem.scores(theta), problem.target)
    slope = slope - (problem.A @ np.linalg.lstsq(problem.A, slope.T, rcond=None)[0]).T
    q = slope + problem.target
    if q.min() < 0 or q.max() > 1:
        return np.inf
    return max(loss + problem.loss.conjugate(slope, problem.target), 0.0)
