"""One penalised linear model: data, loss, penalty, and how far from its minimum a point can be.

Parameters are theta [k, d + 1], one row an output, the bias last: the data carry a column of ones. lambda1
and lambda2 are [d + 1], so that a bias is free (0), penalised like a weight or at a hundredth.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from wdbench.cells import BIAS_SHARE
from wdbench.oracle.losses import LOSSES

if TYPE_CHECKING:
    from wdbench.oracle.losses import Loss


@dataclass(frozen=True)
class Problem:
    """F(theta) = mean loss(theta A') + sum_j lambda1_j |theta_j| + lambda2_j theta_j^2 / 2.

    A is [n, d + 1], dense in Fortran order or CSR; rows is A' (CSR where A is); target [k, n].
    """

    A: np.ndarray | sparse.csr_array
    rows: np.ndarray | sparse.csr_array
    target: np.ndarray
    loss: object

    @property
    def shape(self) -> tuple[int, int]:
        """(k, d + 1) of theta."""
        return len(self.target), self.A.shape[1]

    def scores(self, theta: np.ndarray) -> np.ndarray:
        """theta A' [k, n]."""
        return times(theta, self.rows)

    def pull(self, slope: np.ndarray) -> np.ndarray:
        """Gradient of the mean loss [k, d + 1] from the slopes [k, n]."""
        return times(slope, self.A) / self.target.shape[1]

    def mean_square(self) -> float:
        """Largest mean square of a column of A."""
        square = self.A.multiply(self.A) if sparse.issparse(self.A) else self.A * self.A
        return float(np.asarray(square.mean(0)).max())


def times(left: np.ndarray, right: np.ndarray | sparse.csr_array) -> np.ndarray:
    """left @ right for dense left [k, m] and right [m, p] dense or CSR; dense [k, p]."""
    if sparse.issparse(right):
        return np.ascontiguousarray((right.T @ np.ascontiguousarray(left.T)).T)
    return left @ right


def compact(X: np.ndarray | sparse.csr_array | sparse.csr_matrix) -> np.ndarray | sparse.csr_array | sparse.csr_matrix:
    """X as CSR where it is large and nearly all 0 (word counts kept dense); otherwise X itself."""
    if sparse.issparse(X) or X.size < 1_000_000 or np.count_nonzero(X) > 0.1 * X.size:
        return X
    return sparse.csr_array(X)


def build(X: np.ndarray | sparse.csr_array | sparse.csr_matrix, y: np.ndarray, model: str, n_outputs: int) -> Problem:
    """The problem of training data X [n, d] (dense or CSR), y [n].

    Raises ValueError for an unknown model or values that are not finite.
    """
    if model not in LOSSES:
        raise ValueError(f"no exact solver for model {model!r}; one of {', '.join(LOSSES)}")
    values = X.data if sparse.issparse(X) else X
    if not np.isfinite(values).all():
        raise ValueError("training data hold values that are not finite")
    n = X.shape[0]
    if sparse.issparse(X):
        A = sparse.hstack([sparse.csr_array(X), sparse.csr_array(np.ones((n, 1)))]).tocsr()
        rows = A.T.tocsr()
    else:
        A = np.ones((n, X.shape[1] + 1), order="F")
        A[:, :-1] = X
        rows = A.T
    if model == "softmax":
        target = np.eye(n_outputs)[:, y.astype(np.int64)]
    else:
        target = np.array(y, np.float64)[None]
    return Problem(A, rows, target, LOSSES[model])


def masked(
    n_features: int, lambda1: float, lambda2: float, decay_mask: str,
) -> tuple[np.ndarray, np.ndarray]:
    """(lambda1, lambda2), each [d + 1], of a decay mask. Raises ValueError for an unknown mask."""
    if decay_mask not in BIAS_SHARE:
        raise ValueError(f"unknown decay_mask {decay_mask!r}; one of {', '.join(BIAS_SHARE)}")
    share = np.append(np.ones(n_features), BIAS_SHARE[decay_mask])
    return lambda1 * share, lambda2 * share


def objective(loss: float, theta: np.ndarray, lambda1: np.ndarray, lambda2: np.ndarray) -> float:
    """F from the mean loss at theta."""
    return loss + (np.abs(theta) @ lambda1).sum() + 0.5 * (np.square(theta) @ lambda2).sum()


def duality_gap(problem: Problem, value: float, slope: np.ndarray, pulled: np.ndarray, lambda1: np.ndarray, lambda2: np.ndarray) -> float:
    """Upper bound on F(theta) - min F, from Fenchel's dual at theta's slopes [k, n]; pulled: their `Problem.pull`.

    -F* <= mean l*(a) + sum_j (|v_j| - lambda1_j)_+^2 / (2 lambda2_j) for slopes a with pull v (Rockafellar
    1970, theorem 31.1). Where lambda2_j = 0 the dual asks |v_j| <= lambda1_j: a is scaled down to that, as
    for the lasso (Fercoq et al. 2015); and for a free bias v_j = 0, which the caller sees to
    (`newton.centre_bias`), is taken as exact. Rounding adds about 1e-16 F.
    """
    size = np.abs(pulled)
    bound = (lambda2 == 0) & (lambda1 > 0)
    scale = 1.0
    if bound.any():
        scale = min(1.0, float((lambda1[bound] / np.maximum(size[:, bound], 1e-300)).min()))
    curved = lambda2 > 0
    excess = np.maximum(scale * size[:, curved] - lambda1[curved], 0.0)
    penalty = (np.square(excess) @ (0.5 / lambda2[curved])).sum()
    return max(value + problem.loss.conjugate(scale * slope, problem.target) + penalty, 0.0)


def violation(theta: np.ndarray, gradient: np.ndarray, lambda1: np.ndarray) -> np.ndarray:
    """The element of least size of the subdifferential of F [k, d + 1]: 0 exactly at a minimum.

    gradient is that of the loss plus the L2 part.
    """
    resting = np.sign(gradient) * np.maximum(np.abs(gradient) - lambda1, 0.0)
    return np.where(theta != 0, gradient + lambda1 * np.sign(theta), resting)


def assemble(loss: "Loss", rows: np.ndarray | sparse.csr_array, state: Any, free: np.ndarray) -> np.ndarray:
    """Lower triangle (at least) of the Hessian of the mean loss over the `free` weights [k, c], in C order."""
    members = [np.flatnonzero(mask) for mask in free]
    ends = np.cumsum([0, *map(len, members)])
    parts = [slice(*ends[i:i + 2]) for i in range(len(members))]
    matrix = np.zeros((ends[-1], ends[-1]))
    for a, part in enumerate(parts):
        for b in range(a + 1):
            weighted = rows[members[b]] * (loss.block(state, a, b) / rows.shape[1])
            matrix[part, parts[b]] = rows[members[a]] @ weighted.T
    return matrix
