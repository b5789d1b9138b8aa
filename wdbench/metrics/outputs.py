"""What a model's outputs are measured by, for a stack of C solutions at once, in fp64.

Outputs (logits or predictions) come as z [n, C, k], what X @ W gives: k = 1 for regression and for binary
data (the logit of class 1), k classes otherwise. Every function gives arrays [C]. A solution with a
non-finite value is NaN throughout; whatever its neighbours hold, a solution's numbers are the same to the
last bit.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from wdbench.metrics.chunks import slices

N_BINS = 15
_T_RANGE = (1e-3, 1e3)


def _chunks(z: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(slice of solutions, their outputs [k, c, n] with zeros for the non-finite ones, finite [c])."""
    if z.ndim != 3 or len(z) != len(y) or len(y) == 0:
        raise ValueError(f"outputs [n, C, k] and targets [n] do not fit: {z.shape}, {np.shape(y)}")
    for part in slices(z.shape[1], z.shape[0] * z.shape[2]):
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
