"""Scales of a block that make lambda and the step size comparable across data sets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from wdbench.oracle.losses import LOSSES, TASKS
from wdbench.oracle.problem import compact

if TYPE_CHECKING:
    from wdbench.datasets.records import Block


@dataclass(frozen=True)
class Anchors:
    """What lambda and the step size are measured in.

    l1: least lambda1 at which all weights are 0 (elastic: l1 / l1_ratio). l2: largest eigenvalue of the
    Hessian bound of the mean loss over the weights, the bias being free. curvature: the same over weights
    and bias, the smoothness constant L of the full-batch loss, below 2 / L of which gradient descent is
    stable.
    """

    l1: float
    l2: float
    curvature: float


def anchors(block: "Block") -> Anchors:
    """Anchors of the training split of `block` for the model of its task (linear, logistic or softmax).

    l1 = max |X'(y - mean y)| / n, for softmax with the indicators of classes as y: the gradient at W = 0
    where the free bias is optimal. l2 = h lambda_top(Xc'Xc / n) with Xc the centred X and h = 1, 1/4, 1/2
    (the last: Boehning 1992), curvature likewise with the columns of [X, 1] as they are.
    """
    X, target, smoothness = _parts(block)
    residual = target - target.mean(0)
    steepest = np.abs(X.T @ residual).max() / X.shape[0]
    centre = np.asarray(X.mean(0)).ravel()
    l2, curvature = _top(X, centre, bias=False), _top(X, None, bias=True)
    return Anchors(float(steepest), smoothness * l2, smoothness * curvature)


def expected_smoothness(block: "Block", batch_size: int) -> float:
    """Expected smoothness of gradients on batches without replacement (Gower et al. 2019, proposition 3.8).

    n (b - 1) / (b (n - 1)) L + (n - b) / (b (n - 1)) max_i L_i, with L the curvature of `anchors` and L_i =
    h (||x_i||^2 + 1). Raises ValueError for a batch size outside 1 ... n.
    """
    X, _, smoothness = _parts(block)
    n, b = X.shape[0], batch_size
    if not 1 <= b <= n:
        raise ValueError(f"batch size must lie in 1 ... {n}, not {b}")
    square = X.multiply(X) if sparse.issparse(X) else np.square(X)
    largest = smoothness * (float(np.asarray(square.sum(1)).max()) + 1.0)
    if n == 1:
        return largest
    full = smoothness * _top(X, None, bias=True)
    return n * (b - 1) / (b * (n - 1)) * full + (n - b) / (b * (n - 1)) * largest


def _parts(block: "Block") -> tuple[np.ndarray | sparse.csr_array | sparse.csr_matrix, np.ndarray, float]:
    X, y = compact(block.X["train"]), block.y["train"]
    model = next(name for name, task in TASKS.items() if task == block.task)
    if model == "softmax":
        target = np.eye(block.n_outputs)[y.astype(np.int64)]
    else:
        target = np.asarray(y, np.float64)[:, None]
    return X, target, LOSSES[model].smoothness


def _top(X: np.ndarray | sparse.csr_array | sparse.csr_matrix, centre: np.ndarray | None, bias: bool) -> float:
    """Largest eigenvalue of A'A / n for A = X - 1 centre', or [X, 1] with `bias`; CSR stays CSR."""
    n, d = X.shape
    if not sparse.issparse(X):
        A = X - centre if centre is not None else X
        gram = A.T @ A if d <= n else A @ A.T
        if bias and d <= n:
            gram = np.block([[gram, A.sum(0)[:, None]], [A.sum(0)[None], np.array([[float(n)]])]])
        elif bias:
            gram = gram + 1.0
        return float(np.linalg.eigvalsh(gram)[-1]) / n

    def gram(v: np.ndarray) -> np.ndarray:
        v = v.ravel()
        weights, shift = (v[:-1], v[-1]) if bias else (v, 0.0)
        score = X @ weights + shift - (centre @ weights if centre is not None else 0.0)
        pulled = X.T @ score - (centre * score.sum() if centre is not None else 0.0)
        return np.append(pulled, score.sum()) if bias else pulled

    size = d + bias
    start = np.ones(size) / np.sqrt(size)
    operator = LinearOperator((size, size), matvec=gram, dtype=np.float64)
    return float(eigsh(operator, k=1, which="LA", v0=start, return_eigenvectors=False)[0]) / n
