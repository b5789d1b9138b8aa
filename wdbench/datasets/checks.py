"""Reference checks: a loader is right when a known model on its data gives a known number.

Each function returns the found values in the order of the entry's registered ones. None uses the package's
own splits, scalers or solvers, so a check fails for the data's sake only. Sources of the numbers are the
entries' citations and metrics.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wdbench.datasets import registry, values
from wdbench.datasets.context_model import context_model_curve
from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.datasets.records import Dataset


@dataclass(frozen=True)
class CheckResult:
    """A reference check that was run; ok where every found value is within tolerance of the expected one."""

    name: str
    metric: str
    expected: tuple[float, ...]
    found: tuple[float, ...]
    tolerance: float
    ok: bool
    kind: str


def run(name: str) -> CheckResult:
    """Run the reference check of a real data set.

    Raises UserError for a data set without one and DatasetUnavailable where the data were not fetched.
    """
    check = registry.entry(name).check
    if check is None or name not in CHECKS:
        raise UserError(f"reference check: data set {name!r} has none; valid: {' '.join(CHECKS)}")
    found = tuple(float(value) for value in CHECKS[name](registry.load(name)))
    # half a unit in the last place of double precision, for a tolerance of 0 on counts
    ok = len(found) == len(check.value) and all(
        abs(f - v) <= check.tolerance + 1e-15 for f, v in zip(found, check.value, strict=True)
    )
    return CheckResult(name, check.metric, check.value, found, check.tolerance, ok, check.kind)


def _zscored(X: NDArray[Any], fitted: NDArray[Any]) -> NDArray[np.float64]:
    return (X - fitted.mean(axis=0)) / fitted.std(axis=0)


def _least_squares_r2(data: "Dataset") -> list[float]:
    raw, y = values.dense(data)
    X = np.column_stack([np.ones(len(y)), _zscored(raw, raw)])
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return [1 - residual.var() / y.var()]


def _hitters_ridge(data: "Dataset") -> list[float]:
    """Norms of ridge coefficients on the original scale in glmnet's convention, alpha = n lambda / sd(y)."""
    X, raw = values.dense(data)
    sd, Z, y = X.std(axis=0), _zscored(X, X), raw - raw.mean()
    n, d = Z.shape
    ridge = [
        np.linalg.solve(Z.T @ Z + n * lam / raw.std() * np.eye(d), Z.T @ y) / sd for lam in (11498, 705)
    ]
    return [float(np.linalg.norm(w)) for w in ridge]


def _breast_cancer(data: "Dataset") -> list[float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return [cross_val_score(model, *values.dense(data), cv=folds).mean()]


def _khan(data: "Dataset") -> list[float]:
    from sklearn.svm import SVC

    (X, y), (train, test) = values.dense(data), values.parts(data)
    Z = _zscored(X, X[train])
    model = SVC(kernel="linear", C=10).fit(Z[train], y[train])
    return [(model.predict(Z[part]) != y[part]).sum() for part in (train, test)]


def _caravan(data: "Dataset") -> list[float]:
    from sklearn.neighbors import KNeighborsClassifier

    (X, y), (train, test) = values.dense(data), values.parts(data)
    # the book standardises over all rows
    Z = _zscored(X, X)
    found: list[float] = []
    for k in (1, 5):
        predicted = KNeighborsClassifier(k).fit(Z[train], y[train]).predict(Z[test])
        found += [predicted.sum(), (predicted * y[test]).sum()]
    return found


def _digits(data: "Dataset") -> list[float]:
    from sklearn.svm import SVC

    X, y = values.dense(data)
    half = len(y) // 2
    return [SVC(gamma=0.001).fit(X[:half], y[:half]).score(X[half:], y[half:])]


def _mnist_5k(data: "Dataset") -> list[float]:
    from sklearn.linear_model import LogisticRegression

    X, y = values.dense(data)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order] / 255, y[order]
    return [LogisticRegression(C=0.1, max_iter=1000).fit(X[:4000], y[:4000]).score(X[4000:], y[4000:])]


def _reuters(data: "Dataset") -> list[float]:
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.svm import LinearSVC

    (X, y), (train, test) = values.counts(data), values.parts(data)
    frequent = np.bincount(X[train].indices, minlength=X.shape[1]) >= 2
    counts = X[:, np.flatnonzero(frequent)]
    weights = TfidfTransformer(sublinear_tf=True).fit(counts[train])
    model = LinearSVC(C=1, random_state=0).fit(weights.transform(counts[train]), y[train])
    return [model.score(weights.transform(counts[test]), y[test])]


def _fashion_mnist(data: "Dataset") -> list[float]:
    from sklearn.linear_model import RidgeClassifier

    (X, y), (train, test) = values.dense(data), values.parts(data)
    X = X / 255
    return [RidgeClassifier(alpha=1).fit(X[train], y[train]).score(X[test], y[test])]


def _shakespeare(data: "Dataset") -> list[float]:
    # the registered figures are of about 100,000 sampled positions, hence their tolerance; these are of all
    X, _ = values.dense(data)
    cut = int(0.9 * len(X))
    bits = context_model_curve(X[:cut], X[cut:], 5)
    return [bits[0], bits[3], bits[5]]


CHECKS = {
    "diabetes": _least_squares_r2,
    "hitters": _hitters_ridge,
    "college": _least_squares_r2,
    "breast_cancer": _breast_cancer,
    "khan": _khan,
    "caravan": _caravan,
    "reuters_r8": _reuters,
    "reuters_r52": _reuters,
    "digits": _digits,
    "mnist_5k": _mnist_5k,
    "fashion_mnist": _fashion_mnist,
    "shakespeare": _shakespeare,
}
