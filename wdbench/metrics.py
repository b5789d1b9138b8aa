"""What a model is measured by, for a stack of C solutions at once, in fp64.

Outputs (logits or predictions) come as z [n, C, k], what X @ W gives: k = 1 for regression and for binary
data (the logit of class 1), k classes otherwise. Every function gives arrays [C]. A solution with a
non-finite value is NaN throughout; whatever its neighbours hold, a solution's numbers are the same to the
last bit.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

N_BINS = 15
_CHUNK_BYTES = 1 << 20
_T_RANGE = (1e-3, 1e3)


def _slices(n_solutions: int, values_each: int) -> Iterator[slice]:
    """Pieces of the stack that stay in the cache."""
    step = max(1, _CHUNK_BYTES // (8 * values_each))
    for start in range(0, n_solutions, step):
        yield slice(start, min(start + step, n_solutions))


def _chunks(z: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(slice of solutions, their outputs [k, c, n] with zeros for the non-finite ones, finite [c])."""
    if z.ndim != 3 or len(z) != len(y) or len(y) == 0:
        raise ValueError(f"outputs [n, C, k] and targets [n] do not fit: {z.shape}, {np.shape(y)}")
    for part in _slices(z.shape[1], z.shape[0] * z.shape[2]):
        out = np.array(z[:, part].transpose(2, 1, 0), dtype=np.float64, order="C")
        finite = np.isfinite(out).all((0, 2))
        out[:, ~finite] = 0.0
        yield part, out, finite


def _log_likelihood(out: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log-likelihood [c, n] of y, probabilities [k, c, n]) of logits [k, c, n]; k = 1: of class 1."""
    if len(out) == 1:
        log_likelihood = -np.logaddexp(0.0, np.where(y > 0, -out[0], out[0]))
        return log_likelihood, np.exp(-np.logaddexp(0.0, -out))
    top = out.max(0)
    true = np.take_along_axis(out, np.broadcast_to(y, (1, *top.shape)), 0)[0] - top
    probability = np.exp(out - top)
    total = probability.sum(0)
    probability /= total
    return true - np.log(total), probability


def _predicted(out: np.ndarray) -> np.ndarray:
    """Predicted class [c, n] of logits [k, c, n]: the first of tied ones (k = 1: logit 0 is class 0)."""
    if len(out) == 1:
        return out[0] > 0
    top, prediction = out[0].copy(), np.zeros(out.shape[1:], np.int64)
    for j in range(1, len(out)):
        better = out[j] > top
        np.copyto(top, out[j], where=better)
        np.copyto(prediction, j, where=better)
    return prediction


def data_loss(z: np.ndarray, y: np.ndarray, task: str) -> np.ndarray:
    """Mean of 1/2 (z - y)^2 (task "regression") or of the cross-entropy in nats; without penalty. [C]."""
    loss = np.full(z.shape[1], np.nan)
    for part, out, finite in _chunks(z, y):
        if task == "regression":
            with np.errstate(over="ignore"):
                value = 0.5 * np.square(out[0] - y).mean(-1)
        else:
            value = -_log_likelihood(out, y)[0].mean(-1)
        loss[part][finite] = value[finite]
    return loss


def error(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of rows whose predicted class is wrong. [C]."""
    share = np.full(z.shape[1], np.nan)
    for part, out, finite in _chunks(z, y):
        share[part][finite] = (_predicted(out) != y).mean(-1)[finite]
    return share


def rarest_class(y_train: np.ndarray) -> int:
    """The class with the fewest training rows, the lowest number where several tie. Classes are 0 ... max."""
    return int(np.bincount(y_train.astype(np.int64)).argmin())


def rarest_classes(y_train: np.ndarray, n_classes: int) -> np.ndarray:
    """The rarer third of the classes 0 ... n_classes - 1, rounded down, by training rows; of equally rare ones the lowest numbers."""
    counts = np.bincount(y_train.astype(np.int64), minlength=n_classes)
    return np.sort(np.argsort(counts, kind="stable")[: n_classes // 3])


def classification(z: np.ndarray, y: np.ndarray, minority: int, tail: np.ndarray | tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """All metrics of classifiers with logits z [n, C, k] and classes y [n]; each [C].

    - nll: cross-entropy, nats; error: share wrong; confidence_gap: mean highest probability minus accuracy.
    - brier: mean squared error of the probability of class 1 (k = 1), or summed over classes (Brier 1950).
    - ece: expected calibration error of the highest probability (Guo et al. 2017, eq. 3) over 15 bins of
      equal mass (Nixon et al. 2019), rows sorted by confidence, equal confidences sharing their mean
      accuracy. ece_debiased: 2 ece minus the mean of ece when each bin's accuracy a is drawn from N(a, a (1
      - a) / rows) (Kumar, Liang & Ma 2019, by resampling; here the mean of the folded normal in closed
      form); it may be negative.
    - balanced_accuracy: mean recall over the classes in y; minority_recall: recall of class `minority`, at
      argmax; minority_confidence_gap: confidence_gap over the rows of that class. NaN where y has no such
      row. tail_recall: mean recall of the classes `tail`, NaN where there are none or y lacks one of them.
    - auc, average_precision: of the logit, tied rows share a threshold; NaN for k > 1 or where y has one
      class.
    """
    names = ("nll", "error", "confidence_gap", "brier", "ece", "ece_debiased", "balanced_accuracy",
             "minority_recall", "minority_confidence_gap", "tail_recall", "auc", "average_precision")
    result = {name: np.full(z.shape[1], np.nan) for name in names}
    y = y.astype(np.int64)
    classes, counts = np.unique(y, return_counts=True)
    member = (y[:, None] == classes).astype(np.float64)
    rare = y == minority
    in_tail = np.flatnonzero(np.isin(classes, tail))
    for part, out, finite in _chunks(z, y):
        log_likelihood, probability = _log_likelihood(out, y)
        correct = (_predicted(out) == y).astype(np.float64)
        if len(out) == 1:
            confidence = np.exp(-np.logaddexp(0.0, -abs(out[0])))
            brier = np.square(np.expm1(log_likelihood))
        else:
            confidence = probability.max(0)
            brier = np.square(probability).sum(0) - 2.0 * np.exp(log_likelihood) + 1.0
        gap = confidence - correct
        recall = (correct @ member) / counts
        found = {"nll": -log_likelihood.mean(-1), "error": 1.0 - correct.mean(-1), "brier": brier.mean(-1),
                 "confidence_gap": gap.mean(-1), "balanced_accuracy": recall.mean(-1)}
        if 0 < len(in_tail) == len(tail):
            found["tail_recall"] = np.ascontiguousarray(recall[:, in_tail]).mean(-1)
        found["ece"], found["ece_debiased"] = _calibration_error(confidence, correct)
        if rare.any():
            found["minority_recall"] = np.ascontiguousarray(correct[:, rare]).mean(-1)
            found["minority_confidence_gap"] = np.ascontiguousarray(gap[:, rare]).mean(-1)
        if len(out) == 1 and len(classes) == 2:
            found["auc"], found["average_precision"] = _ranking(out[0], y)
        for name, value in found.items():
            result[name][part][finite] = value[finite]
    return result


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = confidence.shape[-1]
    bins = min(N_BINS, n)
    starts = np.arange(bins) * n // bins
    rows = np.diff(starts, append=n)
    order = np.argsort(confidence, -1)
    ranked, hits = np.take_along_axis(confidence, order, -1), np.take_along_axis(correct, order, -1)
    first = np.ones(ranked.shape, bool)
    first[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    run = np.cumsum(first).reshape(ranked.shape) - 1
    shared = np.bincount(run.ravel(), hits.ravel()) / np.bincount(run.ravel())
    accuracy = np.add.reduceat(shared[run], starts, -1) / rows
    gap = abs(np.add.reduceat(ranked, starts, -1) / rows - accuracy)
    spread = np.sqrt(accuracy * (1.0 - accuracy) / rows)
    scaled = gap / np.where(spread > 0, spread, 1.0)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-0.5 * scaled**2) + gap * (1.0 - 2.0 * ndtr(-scaled))
    expected = np.where(spread > 0, folded, gap)
    return (gap * rows).sum(-1) / n, ((2.0 * gap - expected) * rows).sum(-1) / n


def _ranking(score: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(area under the ROC curve, average precision) of scores [c, n]; a run of ties is one threshold."""
    order = np.argsort(-score, -1)
    ranked = np.take_along_axis(score, order, -1)
    hits = np.cumsum(y[order], -1)
    rank = np.arange(1, score.shape[1] + 1)
    end = np.ones(score.shape, bool)
    end[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    hits_before, rank_before = np.zeros_like(hits), np.zeros_like(hits)
    hits_before[:, 1:] = np.maximum.accumulate(np.where(end, hits, 0), -1)[:, :-1]
    rank_before[:, 1:] = np.maximum.accumulate(np.where(end, rank, 0), -1)[:, :-1]
    positives, negatives = hits[0, -1], score.shape[1] - hits[0, -1]
    new_hits = hits - hits_before
    new_alarms = rank - rank_before - new_hits
    doubled_area = np.where(end, new_alarms * (hits + hits_before), 0).sum(-1)
    precision = np.where(end, new_hits * (hits / rank), 0.0).sum(-1)
    return doubled_area / (2.0 * positives * negatives), precision / positives


def temperature(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """T [C] that minimises the cross-entropy of a validation split's logits z / T (Guo et al. 2017, 4.2).

    Searched between 1e-3 and 1e3; an end says that no finite T is best (all rows right, or no better than
    chance).
    """
    best = np.full(z.shape[1], np.nan)
    y = y.astype(np.int64)
    for part, out, finite in _chunks(z, y):
        for c in np.flatnonzero(finite):
            logits = out[:, [c]]
            found = minimize_scalar(
                lambda log_t, logits=logits: -_log_likelihood(logits * np.exp(-log_t), y)[0].mean(),
                bounds=np.log(_T_RANGE), method="bounded", options={"xatol": 1e-8})
            best[part.start + c] = np.exp(found.x)
    return best


def tempered_nll(z: np.ndarray, y: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Cross-entropy of logits z / T, nats, with the `temperature` T [C] of another split. [C]; NaN where T is not finite."""
    return data_loss(z / T[:, None], y, "classification")


def classwise_ece(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean over the classes of the calibration error of each class's probability (Kull et al. 2019, arXiv 1910.12656, sec. 2). [C].

    Unlike `ece` it sees every probability and not the highest alone. For each class the bins are those of `ece`: 15 of equal mass, equal
    probabilities sharing the mean of their rows. Both classes count where k = 1.
    """
    result = np.full(z.shape[1], np.nan)
    y = y.astype(np.int64)
    for part, out, finite in _chunks(z, y):
        if len(out) == 1:
            probability = [np.exp(-np.logaddexp(0.0, out[0])), np.exp(-np.logaddexp(0.0, -out[0]))]
        else:
            probability = _log_likelihood(out, y)[1]
        errors = [
            _calibration_error(p, np.broadcast_to((y == j).astype(np.float64), p.shape))[0] for j, p in enumerate(probability)
        ]
        result[part][finite] = (sum(errors) / len(errors))[finite]
    return result


def weights(W: np.ndarray, b: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Statistics of weights W [C, d, k] (and biases b [C, k]: bias_norm); each [C].

    weight_norm (L2), weight_norm_1, weight_norm_inf; zero_fraction: share of exact zeros;
    participation_ratio: (sum w^2)^2 / sum w^4, how many weights carry the norm, NaN for W = 0;
    max_sq_weight, mean_sq_weight.
    """
    names = ("weight_norm", "weight_norm_1", "weight_norm_inf", "zero_fraction", "participation_ratio",
             "max_sq_weight", "mean_sq_weight")
    result = {name: np.full(len(W), np.nan) for name in names}
    for part in _slices(len(W), W[0].size):
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


def marginal_score(X, y: np.ndarray, task: str) -> np.ndarray:
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
