"""A proximal Newton step: the quadratic model of the loss plus the L1 part, minimised exactly by LARS.

Where features are strongly correlated and few rows decide between them, the signs at the minimum are a
matter of combinatorics, and a method that guesses a face at a time may cycle through many. The homotopy
follows them all (Efron et al. 2004; for the step: Lee, Sun & Saunders 2014).
"""

import warnings
from typing import Any

import numpy as np
from scipy import sparse

from wdbench.oracle.problem import Problem, assemble, objective

LARGEST = 500


def step(problem: Problem, theta: np.ndarray, z: np.ndarray, value: float, pulled: np.ndarray, state: Any, pull: np.ndarray,
         lambda1: np.ndarray, lambda2: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(theta, scores) after one step from theta [k, d + 1] with scores z [k, n] and objective `value`.

    pulled: gradient of the mean loss; pull: smallest subgradient of F. Only the weights that are not 0 or
    are pulled away from 0 move. None where the data are CSR, more than `LARGEST` weights would move, or no
    progress is made.
    """
    free = (theta != 0) | (lambda1 == 0) | (pull != 0)
    if sparse.issparse(problem.rows) or free.sum() > LARGEST:
        return None
    target = np.zeros_like(theta)
    target[free] = _minimise_model(problem, theta, pulled, state, free, lambda1, lambda2)
    move = target - theta
    moved = move @ problem.rows
    smooth = ((pulled + lambda2 * theta) * move).sum()
    expected = smooth + ((np.abs(target) - np.abs(theta)) @ lambda1).sum()
    fraction = 1.0
    while fraction > 1e-3:
        candidate = target if fraction == 1 else theta + fraction * move
        new_z = z + fraction * moved
        loss = problem.loss.slope(new_z, problem.target)[0]
        if objective(loss, candidate, lambda1, lambda2) <= value + 1e-4 * fraction * min(expected, 0.0):
            return candidate, new_z
        fraction /= 2
    return None


def _minimise_model(problem: Problem, theta: np.ndarray, pulled: np.ndarray, state: Any, free: np.ndarray, lambda1: np.ndarray,
                    lambda2: np.ndarray) -> np.ndarray:
    """argmin over the free weights v of pulled'(v - theta) + 1/2 (v - theta)'H(v - theta) + penalty(v).

    Flat, in C order. Weights without lambda1 are eliminated; those with a share of it are rescaled to the
    whole.
    """
    from sklearn.linear_model import lars_path_gram

    matrix = assemble(problem.loss, problem.rows, state, free)
    matrix = np.tril(matrix) + np.tril(matrix, -1).T
    here = theta[free]
    l1, l2 = (np.broadcast_to(coefficient, theta.shape)[free] for coefficient in (lambda1, lambda2))
    linear = matrix @ here - pulled[free]
    diagonal = np.diag(matrix)
    matrix[np.diag_indices_from(matrix)] += l2 + 1e-12 * diagonal.max()
    loose = l1 == 0
    inverse = np.linalg.pinv(matrix[np.ix_(loose, loose)], hermitian=True)
    across = inverse @ matrix[np.ix_(loose, ~loose)]
    scale = l1[~loose] / l1.max()
    gram = (matrix[np.ix_(~loose, ~loose)] - matrix[np.ix_(~loose, loose)] @ across) / np.outer(scale, scale)
    right = (linear[~loose] - across.T @ linear[loose]) / scale
    found = np.zeros_like(here)
    if (~loose).any():
        with warnings.catch_warnings():
            # LARS warns of degenerate sets; what it finds is a direction only, which the caller checks
            warnings.simplefilter("ignore")
            _, _, path = lars_path_gram(
                right, gram, n_samples=1, alpha_min=l1.max(), method="lasso", max_iter=5000)
        found[~loose] = path[:, -1] / scale
    found[loose] = inverse @ linear[loose] - across @ found[~loose]
    return found
