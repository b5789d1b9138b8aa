"""What a model's weights are measured by, for a stack of C solutions at once, in fp64; see `outputs.py` for how stacks are treated."""

from typing import TYPE_CHECKING

import numpy as np

from wdbench.metrics.chunks import slices

if TYPE_CHECKING:
    from scipy import sparse


def weights(W: np.ndarray, b: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Statistics of weights W [C, d, k] (and biases b [C, k]: bias_norm); each [C].

    weight_norm (L2), weight_norm_1, weight_norm_inf; zero_fraction: share of exact zeros;
    participation_ratio: (sum w^2)^2 / sum w^4, how many weights carry the norm, NaN for W = 0;
    max_sq_weight, mean_sq_weight.
    """
    names = ("weight_norm", "weight_norm_1", "weight_norm_inf", "zero_fraction", "participation_ratio",
             "max_sq_weight", "mean_sq_weight")
    result = {name: np.full(len(W), np.nan) for name in names}
    for part in slices(len(W), W[0].size):
        size = np.abs(np.ascontiguousarray(W[part], np.float64).reshape(part.stop - part.start, -1))
        finite = np.isfinite(size).all(-1)
        size[~finite] = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            largest, total = size.max(-1), size.sum(-1)
            zeros = (size == 0).mean(-1)
            size /= np.where(largest > 0, largest, 1.0)[:, None]
            size *= size
            mass = size.sum(-1)
            ratio = np.square(mass) / np.square(size).sum(-1)
            found = (largest * np.sqrt(mass), total, largest, zeros, ratio, np.square(largest),
                     np.square(largest) * (mass / size.shape[1]))
        for name, value in zip(names, found, strict=True):
            result[name][part][finite] = value[finite]
    if b is not None:
        result["bias_norm"] = np.where(np.isfinite(b).all(-1), np.linalg.norm(b, axis=-1), np.nan)
    return result


def class_norms(W: np.ndarray) -> np.ndarray:
    """Norm of the weights of each class, [C, k], of the last layer's weights W [C, k, p]."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(np.square(np.ascontiguousarray(W, np.float64)).sum(-1))


def norm_ratio(norms: np.ndarray) -> np.ndarray:
    """Smallest over largest of the classes' norms [C, k]; [C]. 1 is balanced; NaN where one is not finite or all are 0."""
    finite = np.isfinite(norms).all(-1)
    safe = np.where(finite[:, None], norms, 0.0)
    largest = safe.max(-1)
    return np.where(largest > 0, safe.min(-1) / np.where(largest > 0, largest, 1.0), np.nan)


def marginal_score(X: "np.ndarray | sparse.csr_matrix", y: np.ndarray, task: str) -> np.ndarray:
    """|correlation| of each column of X [n, d] (dense or CSR) with y, or the largest with a class. [d].

    Multiclass: the largest over the indicators of the classes. 0 for a column that is constant to rounding.
    """
    targets = (y[:, None] == np.unique(y) if task == "multiclass" else y[:, None]).astype(np.float64)
    targets = targets - targets.mean(0)
    square = X.multiply(X) if hasattr(X, "multiply") else X * X
    mean, mean_square = np.asarray(X.mean(0)).ravel(), np.asarray(square.mean(0)).ravel()
    variance = mean_square - mean**2
    usable = variance > 1e-12 * mean_square
    covariance = abs(X.T @ targets) / len(y)
    sd = np.sqrt(np.where(usable, variance, 1.0))
    return np.where(usable, (covariance / targets.std(0)).max(1) / sd, 0.0)


def support(W: np.ndarray, true: np.ndarray, marginal: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """How well the features in use are the true ones; W [C, d, k], true: mask [d] or indices; each [C].

    A feature is in use where any of its weights is not exactly 0: support_tpr: share of true ones found;
    support_fdp: share of used ones that are false, 0 where none is used; support_f1. support_f1_topk: F1 of
    the |true| features of largest weight (L2 over outputs, the first of ties). support_f1_marginal: F1 of
    the |true| features of largest `marginal` [d] (see `marginal_score`), the same for all. NaN where nothing
    is true.
    """
    mask = np.zeros(W.shape[1], bool)
    true = np.asarray(true)
    mask[true if true.dtype == bool else true.astype(np.int64)] = True
    finite = np.isfinite(W).all((1, 2))
    used = (W != 0).any(-1)
    hits, size = (used & mask).sum(-1), used.sum(-1)
    strength = np.linalg.norm(np.where(finite[:, None, None], W, 0.0), axis=-1)
    n_true = int(mask.sum())
    result = {"support_tpr": hits / max(n_true, 1), "support_fdp": (size - hits) / np.maximum(size, 1),
              "support_f1": 2.0 * hits / np.maximum(n_true + size, 1),
              "support_f1_topk": _top_share(strength, mask)}
    if marginal is not None:
        result["support_f1_marginal"] = np.repeat(_top_share(marginal[None], mask), len(W))
    for value in result.values():
        value[~finite | (n_true == 0)] = np.nan
    return result


def _top_share(strength: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share of true features among the |true| strongest [C], the F1 of two sets of one size; NaN if none."""
    if not mask.any():
        return np.full(len(strength), np.nan)
    return mask[np.argsort(-strength, -1, kind="stable")[:, :mask.sum()]].mean(-1)
