"""The update equation of stochastic gradient descent with decay (I5), and its data part (I6)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from wdbench import affine, models, penalties, updates
from wdbench.identities.problems import FP32, FP64, SGD, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

if TYPE_CHECKING:
    from wdbench.precision import Precision

LR, LAMBDA, BATCH = 0.05, 0.3, 16
ROUTES = ("autograd of the penalised loss", "coupled", "decoupled", "coupled, stacked")


def _problem(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Raw data, start values and batches of I5; fp32 numbers, so that every precision starts from the same."""
    x, y = regression("I5")
    rng = generator("I5", steps)
    batches = rng.integers(0, len(y), (steps, BATCH))
    start = rng.standard_normal(x.shape[1] + 1)
    x, y, start = (a.astype(np.float32).astype(np.float64) for a in (x / 4, y, start))
    return x, y, start, batches


def _formula(x: np.ndarray, y: np.ndarray, start: np.ndarray, batches: np.ndarray) -> np.ndarray:
    """w <- (1 - lr lambda) w - lr/|B| sum x (w x + b - y), b <- b - lr/|B| sum (w x + b - y); (w, b) in fp64."""
    w, b = start[:-1].copy(), start[-1]
    for rows in batches:
        residual = x[rows] @ w + b - y[rows]
        w, b = (1 - LR * LAMBDA) * w - LR / BATCH * (x[rows].T @ residual), b - LR / BATCH * residual.sum()
    return np.append(w, b)


def _gradients(route: str, w: torch.Tensor, b: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Gradients of one batch with respect to w [d] and b [1]."""
    if route == "coupled, stacked":
        stack = affine.initial(w[None, :, None], w.new_ones(1, 24))
        stack[affine.BIAS] = stack[affine.BIAS] + b
        grads = affine.gradient(stack, x[None], y[None], "regression", x.dtype)[1]
        return tuple(grads[name].movedim(affine.CELL_AXIS, 0)[0].flatten() for name in (affine.WEIGHT, affine.BIAS))
    w, b = w.clone().requires_grad_(), b.clone().requires_grad_()
    loss = models.squared_loss((x @ w + b)[:, None], y)
    if route == ROUTES[0]:
        loss = loss + penalties.value(w, 0.0, LAMBDA)
    return torch.autograd.grad(loss, (w, b))


def _run(route: str, arithmetic: "Precision", x: np.ndarray, y: np.ndarray, start: np.ndarray, batches: np.ndarray,
         decay: updates.Decay | None = None) -> np.ndarray:
    inputs, targets, parameters = (tensor(a, arithmetic.master) for a in (x, y, start))
    w, b, state = parameters[:-1], parameters[-1:], updates.State()
    if decay is None:
        decay = updates.Decay() if route == ROUTES[0] else updates.decay(route.split(",")[0], 0.0, LAMBDA, LR)
    for t, rows in enumerate(torch.as_tensor(batches), start=1):
        grad_w, grad_b = _gradients(route, w, b, inputs[rows], targets[rows])
        w, _ = updates.step(w, grad_w, state, t, LR, 1.0, SGD, decay, arithmetic)
        b, _ = updates.step(b, grad_b, state, t, LR, 1.0, SGD, updates.Decay(), arithmetic)
    return torch.cat([w, b]).double().numpy()


def _against_formula(arithmetic: "Precision", steps: int, scale: float = 1.0) -> Iterator[Result]:
    problem = _problem(steps)
    expected = _formula(*problem)
    for route in ROUTES:
        yield Result(steps, relative(_run(route, arithmetic, *problem), expected) / scale, route)


@check("I5", "1 step, fp64", tolerance=1e-15)
def _() -> Iterator[Result]:
    return _against_formula(FP64, 1)


@check("I5", "1 step, fp32", tolerance=4, unit="ulp")
def _() -> Iterator[Result]:
    return _against_formula(FP32, 1, scale=2.0**-23)


@check("I5", "300 steps, fp64", tolerance=1e-13)
def _() -> Iterator[Result]:
    return _against_formula(FP64, 300)


@check("I5", "300 steps, fp32", tolerance=1e-6)
def _() -> Iterator[Result]:
    return _against_formula(FP32, 300)


@counter("I5", "penalty inside the sum over examples", tolerance=1e-2)
def _() -> Result:
    x, y, start, batches = _problem(1)
    one_step = (FP64, x, y, start, batches)
    decay = updates.decay("coupled", 0.0, BATCH * LAMBDA, LR)
    wrong = _run("coupled", *one_step, decay=decay)[:-1]
    return Result(
        1, relative(wrong, _formula(x, y, start, batches)[:-1]), note=f"each of {BATCH} rows brings the whole penalty"
    )


@counter("I5", "torch SGD decays the bias too", tolerance=1e-3)
def _() -> Result:
    x, y, start, batches = _problem(1)
    module = models.Affine(x.shape[1], 1).double()
    with torch.no_grad():
        module.out.weight.copy_(tensor(start[None, :-1]))
        module.out.bias.copy_(tensor(start[-1:]))
    optimiser = torch.optim.SGD(module.parameters(), lr=LR, weight_decay=LAMBDA)
    models.squared_loss(module(tensor(x)[batches[0]]), tensor(y)[batches[0]]).backward()
    optimiser.step()
    return Result(
        1,
        relative(module.out.bias.detach().numpy(), _formula(x, y, start, batches)[-1:]),
        note="torch.optim.SGD(weight_decay) without parameter groups",
    )


RESIDUAL_SCALES = (0.5, 2.0, -3.0, 10.0)


def _data_part(residual_scale: float, optimiser: updates.Optimiser, decay: updates.Decay) -> np.ndarray:
    """Change of w in one step, without its decay, when every residual is multiplied by `residual_scale`."""
    x, y = (tensor(a) for a in regression("I6"))
    w = tensor(generator("I6").standard_normal(x.shape[1]))
    z = x @ w
    target = z - residual_scale * (z - y)
    w_leaf = w.clone().requires_grad_()
    gradient = torch.autograd.grad(models.squared_loss((x @ w_leaf)[:, None], target), w_leaf)[0]
    state = updates.initial_state(w, optimiser, FP64)
    moved, _ = updates.step(w, gradient, state, 1, LR, 1.0, optimiser, decay, FP64)
    idle, _ = updates.step(w, torch.zeros_like(w), state, 1, LR, 1.0, optimiser, decay, FP64)
    return (moved - idle).numpy()


@check("I6", "data part of the step scales with the residuals", tolerance=1e-14)
def _() -> Iterator[Result]:
    for coupling in updates.COUPLINGS[:3]:
        decay = updates.decay(coupling, 0.0, LAMBDA, LR)
        unit = _data_part(1.0, SGD, decay)
        error = max(relative(_data_part(c, SGD, decay), c * unit) for c in RESIDUAL_SCALES)
        yield Result(len(RESIDUAL_SCALES), error, coupling)


@check("I6", "residuals 0: the step is the decay", tolerance=1e-15)
def _() -> Iterator[Result]:
    w = tensor(generator("I6", 1).standard_normal(1000))
    for coupling in updates.COUPLINGS[:3]:
        decay = updates.decay(coupling, 0.0, LAMBDA if coupling != "independent" else LR * LAMBDA, LR)
        moved, _ = updates.step(w, torch.zeros_like(w), updates.State(), 1, LR, 1.0, SGD, decay, FP64)
        yield Result(len(w), relative(moved, (1 - LR * LAMBDA) * w), coupling)


@check("I6", "cross-entropy: the residual is p - onehot", tolerance=1e-14)
def _() -> Iterator[Result]:
    rng = generator("I6", 2)
    x, w = tensor(rng.standard_normal((50, 6))), tensor(rng.standard_normal((6, 4)))
    y = torch.as_tensor(rng.integers(0, 4, 50))
    leaf = w.clone().requires_grad_()
    found = torch.autograd.grad(models.softmax_loss(x @ leaf, y), leaf)[0]
    residual = torch.softmax(x @ w, -1) - torch.nn.functional.one_hot(y, 4)
    yield Result(w.numel(), relative(found, x.T @ residual / len(y)), "softmax")
    leaf = w[:, :1].clone().requires_grad_()
    found = torch.autograd.grad(models.logistic_loss(x @ leaf, (y > 1).double()), leaf)[0]
    residual = torch.sigmoid(x @ w[:, :1]) - (y > 1).double()[:, None]
    yield Result(6, relative(found, x.T @ residual / len(y)), "logistic")


@counter("I6", "Adam's first step does not scale with the residuals", tolerance=0.5)
def _() -> Result:
    adam = updates.Optimiser("adam")
    unit = _data_part(1.0, adam, updates.Decay())
    return Result(
        1, relative(_data_part(10.0, adam, updates.Decay()), 10 * unit), note="residuals times 10: the same step"
    )
