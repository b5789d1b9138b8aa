"""The ridge and lasso labs of An Introduction to Statistical Learning on Hitters, with this project's exact solver.

The labs fit glmnet on columns that it standardises itself (sd with ddof 0), along 100 lambdas from 1e10 to 1e-2, and ask for predictions
at lambdas in between, which glmnet answers by linear interpolation of the coefficients.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wdbench import datasets, oracle, penalties
from wdbench.datasets import values
from wdbench.published.rsample import Stream

GRID = 10.0 ** np.linspace(10, -2, 100)
"""The labs' lambdas, in glmnet's unit."""

_ALPHA = {"l1": 1.0, "l2": 0.0}


@cache
def hitters() -> datasets.Dataset:
    return datasets.load("hitters")


def halves(edition: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers (train, test) of the labs' split: R's sampler changed between the editions (3.6.0)."""
    n = len(values.dense(hitters())[1])
    train = Stream(1, rejection=edition > 1).sample(n, n // 2)
    return train, np.setdiff1d(np.arange(n), train)


def coefficients(
    X: NDArray[np.float64], y: NDArray[np.float64], penalty: str, lambdas: Iterable[float]
) -> NDArray[np.float64]:
    """Exact coefficients on the original scale, bias last [lambdas, d + 1]; lambdas in glmnet's unit."""
    mean, sd = X.mean(0), X.std(0)
    block = datasets.Block("hitters", 0, {"train": (X - mean) / sd}, {"train": y}, "regression", 1, None, {}, "")
    ours = [sum(penalties.from_convention("glmnet_gaussian", {"lambda": value, "alpha": _ALPHA[penalty]}, y_sd=y.std()))
            for value in lambdas]
    found = []
    for solution in oracle.solve(block, "linear", penalty, 1.0, ours):
        w = solution.W[:, 0] / sd
        found.append(np.append(w, solution.b[0] - mean @ w))
    return np.array(found)


def interpolated(X: NDArray[np.float64], y: NDArray[np.float64], penalty: str, lam: float) -> NDArray[np.float64]:
    """What predict(..., s = lam) of glmnet takes: between the coefficients at the two neighbours in GRID, linear in lambda [d + 1]."""
    above, below = GRID[GRID >= lam].min(), GRID[GRID <= lam].max()
    if above == below:
        return coefficients(X, y, penalty, [lam])[0]
    upper, lower = coefficients(X, y, penalty, [above, below])
    share = (lam - below) / (above - below)
    return share * upper + (1 - share) * lower


def norm(position: int) -> float:
    """Norm of the ridge coefficients without the bias on all rows at the lambda of that position (from 1) in GRID."""
    return float(np.linalg.norm(coefficients(*values.dense(hitters()), "l2", [GRID[position - 1]])[0][:-1]))


def test_error(edition: int, penalty: str, lam: float | None) -> float:
    """Mean squared error on the test half; lam in glmnet's unit: 0 for least squares, None for the mean of the training rows."""
    (X, y), (train, test) = values.dense(hitters()), halves(edition)
    if lam is None:
        prediction = y[train].mean()
    else:
        found = interpolated(X[train], y[train], penalty, lam) if lam > 0 else coefficients(X[train], y[train], "l2", [0.0])[0]
        prediction = X[test] @ found[:-1] + found[-1]
    return float(np.mean((prediction - y[test]) ** 2))


def variables(lam: float, exact: bool) -> float:
    """Number of variables of the lasso on all rows: at lam itself, or of glmnet's interpolated coefficients."""
    X, y = values.dense(hitters())
    found = coefficients(X, y, "l1", [lam])[0] if exact else interpolated(X, y, "l1", lam)
    return float((found[:-1] != 0).sum())
