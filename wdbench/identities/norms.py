"""What lambda does to exact minimisers: norms fall (I9), to zero in the limit (I10)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from wdbench import penalties, updates
from wdbench.identities.problems import data_loss, labels, minimise, quadratic, regression, tensor, trajectory
from wdbench.identities.registry import Result, check, counter, relative

if TYPE_CHECKING:
    from wdbench.oracle.path import Solution

CASES = (
    ("linear", "l2", 200),
    ("linear", "l1", 200),
    ("linear", "elastic", 200),
    ("logistic", "l2", 200),
    ("softmax", "l2", 40),
)


def _data(model: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = regression("I9")
    if model == "linear":
        return x, y
    return x, labels(x, 2 if model == "logistic" else 3, "I9")


def _path(model: str, penalty: str, count: int) -> "tuple[np.ndarray, np.ndarray, np.ndarray, list[Solution]]":
    """(lambdas ascending, data losses, penalty values at unit strength, solutions) of exact minimisers."""
    x, y = _data(model)
    lambdas = np.geomspace(1e-4, 3.0, count)
    solutions = minimise(model, x, y, penalty, lambdas)
    losses = np.array([data_loss(model, x, y, s.W, s.b) for s in solutions])
    values = np.array([float(penalties.value(s.W, *penalties.split(penalty, 0.5, 1.0))) for s in solutions])
    return lambdas, losses, values, solutions


def _rise(values: np.ndarray) -> float:
    """Largest step upwards, over the largest value."""
    return float(max(0.0, np.diff(values).max()) / np.abs(values).max())


@check(
    "I9",
    "exact minimisers: the penalty falls and the data loss rises with lambda",
    tolerance=1e-9,
    unit="largest violation, relative",
)
def _() -> Iterator[Result]:
    for model, penalty, count in CASES:
        _, losses, values, _ = _path(model, penalty, count)
        yield Result(
            count,
            max(_rise(values), _rise(-losses)),
            f"{model}, {penalty}",
            f"penalty {values[0]:.3g} to {values[-1]:.3g}, loss {losses[0]:.3g} to {losses[-1]:.3g}",
        )


@check("I9", "|w*|^2 <= 2 (L(0) - L(w*)) / lambda", tolerance=1e-9, unit="excess over the bound, relative")
def _() -> Iterator[Result]:
    for model, penalty, count in CASES:
        if penalty == "l2":
            x, y = _data(model)
            lambdas, losses, values, _ = _path(model, penalty, count)
            (zero,) = minimise(model, x, y, "l2", [1e12])
            bound = 2 * (data_loss(model, x, y, 0 * zero.W, zero.b) - losses) / lambdas
            yield Result(count, float(max(0.0, (2 * values / bound - 1).max())), model, "L(0): w = 0, best bias")


@counter("I9", "on the way there the bound does not hold", tolerance=1.1, unit="|w_t|^2 over the bound")
def _() -> Result:
    x, y = regression("I9")
    x, y, lam = (x - x.mean(0)) / x.std(0), y - y.mean(), 100.0
    (solution,) = minimise("linear", x, y, "l2", [lam])
    zero = np.zeros_like(solution.W)
    bound = 2 * (data_loss("linear", x, y, zero, np.zeros(1)) - data_loss("linear", x, y, solution.W, solution.b)) / lam
    lr = 1.9 / (lam + np.linalg.eigvalsh(x.T @ x / len(y))[-1])
    decay = updates.decay("coupled", 0.0, lam, lr)
    track = trajectory(tensor(zero[:, 0]), quadratic(tensor(x), tensor(y)), 5, lr, decay=decay)
    return Result(
        5,
        float(track.square().sum(1).max()) / bound,
        note="gradient descent from 0 near its largest stable step: lambda restricts the end only",
    )


def _constant(model: str, y: np.ndarray) -> np.ndarray:
    """The bias that a model without weights learns; softmax's up to a common shift."""
    if model == "linear":
        return np.array([y.mean()])
    if model == "logistic":
        return np.array([np.log(y.mean() / (1 - y.mean()))])
    shares = np.log(np.bincount(y) / len(y))
    return shares - shares.mean()


@check("I10", "lambda to infinity: w to 0, the prediction to the mean or the class shares", tolerance=1e-10)
def _() -> Iterator[Result]:
    for model in ("linear", "logistic", "softmax"):
        x, y = _data(model)
        (solution,) = minimise(model, x, y, "l2", [1e12])
        b = solution.b - solution.b.mean() if model == "softmax" else solution.b
        yield Result(
            1, max(float(np.abs(solution.W).max()), relative(b, _constant(model, y))), model, "L2, lambda = 1e12"
        )


def _largest_lambda(model: str, x: np.ndarray, y: np.ndarray) -> float:
    """Least lambda1 with w = 0: max over entries of |x'(y - prediction of the bias alone)| / n."""
    if model == "softmax":
        residual = np.eye(y.max() + 1)[y] - np.bincount(y) / len(y)
    else:
        residual = (y - y.mean())[:, None]
    return float(np.abs(x.T @ residual).max() / len(y))


@check("I10", "L1: w is exactly 0 from lambda_max on, and not below it", tolerance=0, unit="solutions that disagree")
def _() -> Iterator[Result]:
    for model in ("linear", "logistic", "softmax"):
        x, y = _data(model)
        factors = np.array([1.0 + 1e-6, 1.1, 10.0, 0.999, 0.9])
        solutions = minimise(model, x, y, "l1", factors * _largest_lambda(model, x, y))
        wrong = [s for s, factor in zip(solutions, factors, strict=True) if bool(np.any(s.W != 0)) != (factor < 1)]
        yield Result(len(factors), len(wrong), model)


@check("I10", "L2: no weight is ever exactly 0", tolerance=0, unit="weights that are 0")
def _() -> Iterator[Result]:
    for model in ("linear", "logistic", "softmax"):
        x, y = _data(model)
        solutions = minimise(model, x, y, "l2", lambdas := np.geomspace(1e-3, 1e9, 13))
        yield Result(len(lambdas) * solutions[0].W.size, sum(int((s.W == 0).sum()) for s in solutions), model)


@counter("I10", "with a free bias the limit is not the zero function", tolerance=0.1, unit="|prediction|")
def _() -> Result:
    x, y = regression("I9")
    (free,) = minimise("linear", x, y, "l2", [1e12])
    (penalised,) = minimise("linear", x, y, "l2", [1e12], decay_mask="all")
    return Result(
        1,
        float(np.abs(x @ free.W + free.b).min()),
        note=f"the mean of y; with a penalised bias {np.abs(penalised.b).max():.1g}",
    )
