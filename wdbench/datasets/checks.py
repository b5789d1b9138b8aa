"""Reference checks: a loader is right when a known model on its data gives a known number.

Each function returns the found values in the order of the entry's registered ones. None uses the package's
own splits, scalers or solvers, so a check fails for the data's sake only. Sources of the numbers are the
entries' citations and metrics.
"""

from dataclasses import dataclass

import numpy as np

from wdbench.datasets import registry
from wdbench.datasets.context_model import context_model_curve
from wdbench.errors import UserError


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


def _zscored(X: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    return (X - fitted.mean(axis=0)) / fitted.std(axis=0)


def _least_squares_r2(data) -> list[float]:
    X = np.column_stack([np.ones(len(data.y)), _zscored(data.X, data.X)])
    residual = data.y - X @ np.linalg.lstsq(X, data.y, rcond=None)[0]
    return [1 - residual.var() / data.y.var()]


def _hitters_ridge(data) -> list[float]:
    """Norms of ridge coefficients on the original scale in glmnet's convention, alpha = n lambda / sd(y)."""
    sd, Z, y = data.X.std(axis=0), _zscored(data.X, data.X), data.y - data.y.mean()
    n, d = Z.shape
    ridge = [
        np.linalg.solve(Z.T @ Z + n * lam / data.y.std() * np.eye(d), Z.T @ y) / sd for lam in (11498, 705)
    ]
    return [np.linalg.norm(w) for w in ridge]


def _breast_cancer(data) -> list[float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return [cross_val_score(model, data.X, data.y, cv=folds).mean()]


def _parts(data) -> tuple[np.ndarray, np.ndarray]:
    test = data.given_test
    return np.setdiff1d(np.arange(len(data.y)), test), test


def _khan(data) -> list[float]:
    from sklearn.svm import SVC

    train, test = _parts(data)
    Z = _zscored(data.X, data.X[train])
    model = SVC(kernel="linear", C=10).fit(Z[train], data.y[train])
    return [(model.predict(Z[part]) != data.y[part]).sum() for part in (train, test)]


def _caravan(data) -> list[float]:
    from sklearn.neighbors import KNeighborsClassifier

    train, test = _parts(data)
    # the book standardises over all rows
    Z = _zscored(data.X, data.X)
    found = []
    for k in (1, 5):
        predicted = KNeighborsClassifier(k).fit(Z[train], data.y[train]).predict(Z[test])
        found += [predicted.sum(), (predicted * data.y[test]).sum()]
    return found


def _digits(data) -> list[float]:
    from sklearn.svm import SVC

    half = len(data.y) // 2
    return [SVC(gamma=0.001).fit(data.X[:half], data.y[:half]).score(data.X[half:], data.y[half:])]


def _mnist_5k(data) -> list[float]:
    from sklearn.linear_model import LogisticRegression

    order = np.random.default_rng(0).permutation(len(data.y))
    X, y = data.X[order] / 255, data.y[order]
    return [LogisticRegression(C=0.1, max_iter=1000).fit(X[:4000], y[:4000]).score(X[4000:], y[4000:])]


def _reuters(data) -> list[float]:
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.svm import LinearSVC

    train, test = _parts(data)
    frequent = np.bincount(data.X[train].indices, minlength=data.X.shape[1]) >= 2
    counts = data.X[:, np.flatnonzero(frequent)]
    weights = TfidfTransformer(sublinear_tf=True).fit(counts[train])
    model = LinearSVC(C=1, random_state=0).fit(weights.transform(counts[train]), data.y[train])
    return [model.score(weights.transform(counts[test]), data.y[test])]


def _fashion_mnist(data) -> list[float]:
    from sklearn.linear_model import RidgeClassifier

    train, test = _parts(data)
    X = data.X / 255
    return [RidgeClassifier(alpha=1).fit(X[train], data.y[train]).score(X[test], data.y[test])]


def _shakespeare(data) -> list[float]:
    # the registered figures are of about 100,000 sampled positions, hence their tolerance; these are of all
    cut = int(0.9 * len(data.X))
    bits = context_model_curve(data.X[:cut], data.X[cut:], 5)
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
