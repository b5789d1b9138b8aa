"""One lambda in several objectives: sums against means (I3)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wdbench import datasets, penalties
from wdbench.datasets import values
from wdbench.identities.problems import labels, minimise, regression
from wdbench.identities.registry import Result, check, counter, relative

LAMBDA = 0.3


@check("I3", "sum r^2 + L |w|^2 is the mean form at L = n lambda", tolerance=1e-8)
def _() -> Iterator[Result]:
    for name, x, y in _regressions():
        design = np.column_stack([x, np.ones(len(y))])
        solutions = minimise("linear", x, y, "l2", lambdas := (0.01, 1.0, 30.0))
        error = 0.0
        for lam, solution in zip(lambdas, solutions, strict=True):
            strength = penalties.to_convention("sum_ridge", 0.0, lam, n=len(y))["Lambda"]
            ridge = np.diag(np.append(np.full(x.shape[1], strength), 0.0))
            error = max(
                error,
                relative(
                    np.append(solution.W[:, 0], solution.b), np.linalg.solve(design.T @ design + ridge, design.T @ y)
                ),
            )
        yield Result(len(lambdas), error, name)


@check("I3", "sum r^2 + L |w|_1 is the mean form at L = 2 n lambda", tolerance=1e-8, unit="share of L")
def _() -> Iterator[Result]:
    for name, x, y in _regressions():
        largest = np.abs(x.T @ (y - y.mean())).max() / len(y)
        solutions = minimise("linear", x, y, "l1", lambdas := (0.01 * largest, 0.1 * largest, 0.5 * largest))
        error = 0.0
        for lam, solution in zip(lambdas, solutions, strict=True):
            strength = penalties.to_convention("sum_lasso", lam, 0.0, n=len(y))["Lambda"]
            # optimality of the sum form: 2 x_j'r = L sign(w_j), or |2 x_j'r| <= L where w_j = 0
            w, residual = solution.W[:, 0], y - x @ solution.W[:, 0] - solution.b[0]
            pull = 2 * x.T @ residual
            off = np.where(w != 0, np.abs(pull - strength * np.sign(w)), np.maximum(np.abs(pull) - strength, 0.0))
            error = max(error, off.max() / strength)
        yield Result(len(lambdas), error, name)


def _regressions() -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    yield "synthetic", *regression("I3")
    if datasets.status("hitters").available:
        yield "hitters", *_hitters()


def _hitters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hitters, features z-scored with ddof 0, salaries in thousand dollars."""
    x, y = values.dense(datasets.load("hitters"))
    return (x - x.mean(0)) / x.std(0), y


@check("I3", "hitters: norms that glmnet reports, 6.36 and 57.1", tolerance=1e-3)
def _() -> Iterator[Result]:
    status = datasets.status("hitters")
    for reported, norm in ((11498.0, 6.36), (705.0, 57.1)):
        case = f"glmnet lambda = {reported:g}"
        if not status.available:
            yield Result(0, np.nan, case, f"unavailable; run: {status.how_to_get}")
            continue
        x, y = _hitters()
        _, lambda2 = penalties.from_convention("glmnet_gaussian", {"lambda": reported, "alpha": 0.0}, y_sd=y.std())
        (solution,) = minimise("linear", x, y, "l2", [lambda2])
        found = float(np.linalg.norm(solution.W[:, 0] / values.dense(datasets.load("hitters"))[0].std(0)))
        yield Result(1, abs(found / norm - 1), case, f"norm on the original scale {found:.5g}")


@counter("I3", "the same number in both objectives: another minimiser", tolerance=0.1)
def _() -> Result:
    x, y = regression("I3")
    (mean_form, sum_form) = minimise("linear", x, y, "l2", [LAMBDA, LAMBDA / len(y)])
    return Result(1, relative(sum_form.W, mean_form.W), note=f"a factor n = {len(y)} in lambda")


@check("I3", "scikit-learn minimises the same objective at the converted numbers", tolerance=1e-6)
def _() -> Iterator[Result]:
    from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

    x, y = regression("I3")
    exact = {"tol": 1e-14, "max_iter": 1_000_000}
    for name, penalty, estimator in (
        ("sklearn_ridge", "l2", Ridge),
        ("sklearn_lasso", "l1", Lasso),
        ("sklearn_elasticnet", "elastic", ElasticNet),
    ):
        context = {"n": len(y)} if penalty == "l2" else {}
        numbers = penalties.to_convention(name, *penalties.split(penalty, 0.5, LAMBDA), **context)
        fitted = estimator(**numbers, **({} if penalty == "l2" else exact)).fit(x, y)
        (solution,) = minimise("linear", x, y, penalty, [LAMBDA])
        yield Result(1, relative(fitted.coef_, solution.W[:, 0]), name)
    classes = labels(x, 2, "I3")
    strength = penalties.to_convention("sklearn_logistic", 0.0, LAMBDA, n=len(y))["C"]
    fitted = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(x, classes)
    (solution,) = minimise("logistic", x, classes, "l2", [LAMBDA])
    yield Result(1, relative(fitted.coef_[0], solution.W[:, 0]), "sklearn_logistic")
