"""Around the penalty: free biases (I24), feature scales (I25), degrees of freedom (I26), noisy inputs (I28)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq

from wdbench import datasets, models, penalties, updates
from wdbench.datasets import values
from wdbench.datasets.truth import Truth
from wdbench.identities.problems import data_loss, descend, labels, minimise, quadratic, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

LAMBDA = 0.3
SHIFT = 7.5


@check("I24", "free bias: y + c moves the bias by c and nothing else", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, y = regression("I24")
    for penalty in ("none", "l1", "l2", "elastic"):
        before, after = (minimise("linear", x, target, penalty, [LAMBDA])[0] for target in (y, y + SHIFT))
        error = max(relative(after.W, before.W), relative(after.b - SHIFT, before.b))
        yield Result(1, error, penalty)


@check("I24", "free bias: centring the features changes no weight", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, y = regression("I24")
    for model, target in (("linear", y), ("logistic", labels(x, 2, "I24")), ("softmax", labels(x, 3, "I24"))):
        before, after = (minimise(model, rows, target, "l2", [LAMBDA])[0] for rows in (x, x - x.mean(0)))
        yield Result(1, relative(after.W, before.W), model)


@check("I24", "class priors: an offset of one class's logit moves its free bias", tolerance=1e-10)
def _() -> Result:
    x, _ = regression("I24")
    y = labels(x, 3, "I24")
    (solution,) = minimise("softmax", x, y, "l2", [LAMBDA])
    offset = np.zeros(3)
    offset[1] = SHIFT
    z = tensor(x) @ tensor(solution.W) + tensor(solution.b)
    moved = tensor(x) @ tensor(solution.W) + tensor(solution.b - offset) + tensor(offset)
    error = abs(float(models.softmax_loss(moved, tensor(y)) - models.softmax_loss(z, tensor(y))))
    # a minimiser of the offset problem: no direction goes down
    W, b = (tensor(solution.W).requires_grad_(), tensor(solution.b - offset).requires_grad_())
    loss = models.softmax_loss(tensor(x) @ W + b + tensor(offset), tensor(y)) + penalties.value(W, 0.0, LAMBDA)
    return Result(
        1,
        max(error, *(float(slope.abs().max()) for slope in torch.autograd.grad(loss, (W, b)))),
        note="loss and gradient at the moved solution",
    )


@counter("I24", "penalised bias: y + c changes the weights", tolerance=1e-3)
def _() -> Iterator[Result]:
    x, y = regression("I24")
    for mask in ("all", "bias_hundredth"):
        before, after = (minimise("linear", x, target, "l2", [LAMBDA], decay_mask=mask)[0] for target in (y, y + SHIFT))
        yield Result(1, relative(after.W, before.W), mask)


def _scaled() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and x D with feature scales D from 1/100 to 100."""
    x, y = regression("I25")
    scale = np.logspace(-2, 2, x.shape[1])
    return x, y, scale


@check("I25", "least squares: rescaled features, the same predictions", tolerance=1e-9)
def _() -> Result:
    x, y, scale = _scaled()
    plain, scaled = (minimise("linear", rows, y, "none", [0.0])[0] for rows in (x, x * scale))
    return Result(len(y), relative(x * scale @ scaled.W + scaled.b, x @ plain.W + plain.b))


@check("I25", "the penalty lambda/2 |D w|^2 on rescaled features restores the ridge", tolerance=1e-9)
def _() -> Result:
    x, y, scale = _scaled()
    (plain,) = minimise("linear", x, y, "l2", [LAMBDA])
    z = (x - x.mean(0)) * scale
    w = np.linalg.solve(z.T @ z / len(y) + LAMBDA * np.diag(scale**2), z.T @ (y - y.mean()) / len(y))
    return Result(1, relative(scale * w, plain.W[:, 0]))


@check(
    "I25",
    "the penalty lambda |D w|_1 on rescaled features restores the lasso",
    tolerance=1e-9,
    unit="violation over lambda",
)
def _() -> Result:
    x, y, scale = _scaled()
    (plain,) = minimise("linear", x, y, "l1", [LAMBDA])
    w, z = plain.W[:, 0] / scale, x * scale
    pull = z.T @ (y - z @ w - plain.b) / len(y) / scale
    off = np.where(w != 0, np.abs(pull - LAMBDA * np.sign(w)), np.maximum(np.abs(pull) - LAMBDA, 0.0))
    return Result(len(w), float(off.max() / LAMBDA))


@check("I25", "ridge and lasso: rescaled features, other predictions", tolerance=1e-2, relation=">=")
def _() -> Iterator[Result]:
    x, y, scale = _scaled()
    for penalty in ("l1", "l2", "elastic"):
        plain, scaled = (minimise("linear", rows, y, penalty, [LAMBDA])[0] for rows in (x, x * scale))
        yield Result(len(y), relative(x * scale @ scaled.W + scaled.b, x @ plain.W + plain.b), penalty)


def _adam_pair(decay: updates.Decay, eps: float, scale_lr: bool) -> float:
    """How far D times Adam's weights on features x D is from those on x, after 50 steps from a start / D."""
    x, y, scale = _scaled()
    start, adam, lr = generator("I25").standard_normal(len(scale)), updates.Optimiser("adam", eps=eps), 0.01
    plain = descend(tensor(start), quadratic(tensor(x), tensor(y)), 50, lr, adam, decay)
    rate = tensor(lr / scale) if scale_lr else lr
    scaled = descend(tensor(start / scale), quadratic(tensor(x * scale), tensor(y)), 50, rate, adam, decay)
    return relative(scaled * tensor(scale), plain)


@check(
    "I25", "Adam follows a rescaling: lambda = 0, eps = 0, start and learning rate divided by the scale", tolerance=1e-9
)
def _() -> Iterator[Result]:
    yield Result(50, _adam_pair(updates.Decay(), 0.0, True), "lambda = 0")
    yield Result(50, _adam_pair(updates.decay("independent", 0.0, 0.01, 0.01), 0.0, True), "independent decay too")


@counter("I25", "Adam does not follow a rescaling otherwise", tolerance=1e-2)
def _() -> Iterator[Result]:
    yield Result(
        50,
        _adam_pair(updates.Decay(), 0.0, False),
        "same learning rate for all features",
        "its step does not see scales",
    )
    yield Result(
        50,
        _adam_pair(updates.decay("decoupled", 0.0, 0.5, 0.01), 0.0, True),
        "decoupled decay, lr divided by the scale",
    )
    yield Result(50, _adam_pair(updates.decay("coupled", 0.0, 10.0, 0.01), 0.0, True), "coupled decay")
    yield Result(50, _adam_pair(updates.Decay(), 1.0, True), "eps = 1")


def _degrees(x: np.ndarray, lam: float) -> float:
    """Effective degrees of freedom sum d^2 / (d^2 + n lambda) of ridge on x, its mean removed.

    d: singular values (Hastie, Tibshirani & Friedman 2009, equation 3.50).
    """
    squares = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    squares = squares[squares > 1e-10 * squares.max()]
    return float((squares / (squares + len(x) * lam)).sum())


@check("I26", "df(lambda) = sum d^2 / (d^2 + n lambda) is the trace of the ridge smoother", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, _ = regression("I26", 30, 6)
    for lam in (1e-3, 0.1, 1.0, 10.0):
        trace = 0.0
        for i, unit in enumerate(np.eye(30)):
            (solution,) = minimise("linear", x, unit, "l2", [lam])
            trace += x[i] @ solution.W[:, 0] + solution.b[0]
        yield Result(30, abs(float(trace) - 1 - _degrees(x, lam)) / 6, f"lambda = {lam}", "less 1 for the bias")


@check("I26", "df falls strictly from the rank to 0", tolerance=0, unit="steps upwards")
def _() -> Iterator[Result]:
    x, _ = regression("I26", 30, 6)
    deficient = np.column_stack([x, x[:, :2].sum(1)])
    for name, rows in (("full rank", x), ("a column is a sum", deficient)):
        values = np.array([_degrees(rows, lam) for lam in np.geomspace(1e-12, 1e12, 400)])
        ends = int(abs(values[0] - 6) > 1e-8) + int(values[-1] > 1e-8)
        yield Result(400, int((np.diff(values) >= 0).sum()) + ends, name, f"{values[0]:.6g} to {values[-1]:.1g}")


@check("I26", "every df between is reached", tolerance=1e-6)
def _() -> Result:
    x, _ = regression("I26", 30, 6)
    wanted = np.linspace(0.1, 5.9, 59)
    reached = [
        _degrees(x, np.exp(brentq(lambda t, d=d: _degrees(x, np.exp(t)) - d, -40, 40, xtol=1e-12))) for d in wanted
    ]
    return Result(59, relative(reached, wanted))


@check("I26", "w*(lambda) is smooth: its derivative is -(H + lambda)^-1 w*", tolerance=1e-6)
def _() -> Iterator[Result]:
    x, y = regression("I26", 30, 6)
    hessian = np.cov(x.T, ddof=0)
    for lam in (0.01, 0.3, 10.0):
        here, ahead, behind = minimise("linear", x, y, "l2", [lam, lam * (1 + 1e-5), lam * (1 - 1e-5)])
        slope = -np.linalg.solve(hessian + lam * np.eye(6), here.W)
        yield Result(6, relative((ahead.W - behind.W) / (2e-5 * lam), slope), f"lambda = {lam}")


def _diabetes_path(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lasso on diabetes: (z-scored x, lambdas falling, weights [count, 10])."""
    raw, y = values.dense(datasets.load("diabetes"))
    x = (raw - raw.mean(0)) / raw.std(0)
    largest = np.abs(x.T @ (y - y.mean())).max() / len(y)
    lambdas = largest * np.geomspace(1, 1e-4, count)
    return x, lambdas, np.array([s.W[:, 0] for s in minimise("linear", x, y, "l1", lambdas)])


@counter("I26", "lasso: the active set does not grow steadily", tolerance=1, unit="features that leave as lambda falls")
def _() -> Result:
    if not datasets.status("diabetes").available:
        return Result(0, np.nan, note=f"unavailable; run: {datasets.status('diabetes').how_to_get}")
    _, _, w = _diabetes_path(150)
    active = w != 0
    left = np.flatnonzero((active[:-1] & ~active[1:]).any(0))
    names = datasets.load("diabetes").features
    return Result(len(w), len(left), note="diabetes: " + ", ".join(names[j] for j in left) + " leaves and comes back")


@check(
    "I26", "lasso: fitted values are continuous in lambda all the same", tolerance=1 + 1e-4, unit="share of the bound"
)
def _() -> Result:
    if not datasets.status("diabetes").available:
        return Result(0, np.nan, note=f"unavailable; run: {datasets.status('diabetes').how_to_get}")
    x, lambdas, w = _diabetes_path(50)
    jumps = np.linalg.norm(np.diff(w @ x.T, axis=0), axis=1) ** 2 / len(x)
    # from optimality at both ends: |X(w - w')|^2 / n <= (lambda - lambda') (|w'|_1 - |w|_1)
    bound = -np.diff(lambdas) * np.diff(np.abs(w).sum(1))
    return Result(
        len(jumps), float((jumps / bound).max()), note="|X(w - w')|^2 / n <= (lambda - lambda') (|w'|_1 - |w|_1)"
    )


@check("I28", "noise of variance t^2 on a test feature costs 1/2 w_j^2 t^2", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, y = regression("I28")
    (solution,) = minimise("linear", x, y, "l2", [LAMBDA])
    clean, (nodes, weights) = data_loss("linear", x, y, solution.W, solution.b), np.polynomial.hermite_e.hermegauss(5)
    for j in (0, 3):
        shifted = [x + 0.7 * node * np.eye(x.shape[1])[j] for node in nodes]
        noisy = np.dot(
            weights / weights.sum(), [data_loss("linear", rows, y, solution.W, solution.b) for rows in shifted]
        )
        yield Result(5, relative(noisy, clean + 0.5 * solution.W[j, 0] ** 2 * 0.49), f"feature {j}", "Gauss-Hermite")


@check("I28", "Truth.risk counts noise in the inputs as 1/2 w' S w", tolerance=1e-12)
def _() -> Result:
    rng = generator("I28")
    W, root = rng.standard_normal((5, 3)), rng.standard_normal((5, 5))
    truth: dict[str, Any] = {
        "w": rng.standard_normal(5),
        "b": 0.3,
        "sigma": 1.1,
        "Sigma": np.eye(5),
        "support": np.arange(5),
        "groups": -np.ones(5),
    }
    noise = root @ root.T
    extra = Truth(**truth, noise_cov=noise).risk(W, np.zeros(3)) - Truth(**truth).risk(W, np.zeros(3))
    return Result(3, relative(extra, 0.5 * np.einsum("dc,de,ec->c", W, noise, W)))


@check("I28", "training noise of covariance lambda I is the ridge", tolerance=1e-8)
def _() -> Iterator[Result]:
    x, y = regression("I28")
    n, d = x.shape
    for lam in (0.03, 0.3, 3.0):
        (ridge,) = minimise("linear", x, y, "l2", [lam])
        # 2 d points a row, x +- sqrt(d lambda) e_j: the second moments of the noise are exact
        offsets = np.sqrt(d * lam) * np.vstack([np.eye(d), -np.eye(d)])
        noisy = (x[:, None] + offsets).reshape(-1, d)
        (plain,) = minimise("linear", noisy, np.repeat(y, 2 * d), "none", [0.0])
        yield Result(len(noisy), relative(plain.W, ridge.W), f"lambda = {lam}")
