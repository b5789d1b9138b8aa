"""One step of an optimiser: the update equation (I5, I6), coupled against decoupled decay (I16, I17)."""

from collections.abc import Iterator

import numpy as np
import torch

from wdbench import affine, models, penalties, updates
from wdbench.identities.problems import FP32, FP64, SGD, descend, quadratic, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

LR, LAMBDA, BATCH = 0.05, 0.3, 16
ROUTES = ("autograd of the penalised loss", "coupled", "decoupled", "coupled, stacked")


def _problem(steps: int):
    """Raw data, start values and batches of I5; fp32 numbers, so that every precision starts from the same."""
    x, y = regression("I5")
    rng = generator("I5", steps)
    batches = rng.integers(0, len(y), (steps, BATCH))
    start = rng.standard_normal(x.shape[1] + 1)
    return tuple(np.float32(a).astype(np.float64) for a in (x / 4, y, start)) + (batches,)


def _formula(x, y, start, batches) -> np.ndarray:
    """w <- (1 - lr lambda) w - lr/|B| sum x (w x + b - y), b <- b - lr/|B| sum (w x + b - y); (w, b) in fp64."""
    w, b = start[:-1].copy(), start[-1]
    for rows in batches:
        residual = x[rows] @ w + b - y[rows]
        w, b = (1 - LR * LAMBDA) * w - LR / BATCH * (x[rows].T @ residual), b - LR / BATCH * residual.sum()
    return np.append(w, b)


def _gradients(route: str, w, b, x, y):
    """Gradients of one batch with respect to w [d] and b [1]."""
    if route == "coupled, stacked":
        stack = {affine.WEIGHT: w.reshape(1, -1, 1, 1).repeat(1, 1, 16, 1), affine.BIAS: b.reshape(1, 1, 1, 1).repeat(1, 1, 16, 1)}
        grads = affine.gradient(stack, x[None], y[None], "regression", x.dtype)[1]
        return grads[affine.WEIGHT][0, :, 0, 0], grads[affine.BIAS][0, 0, 0]
    w, b = w.clone().requires_grad_(), b.clone().requires_grad_()
    loss = models.squared_loss((x @ w + b)[:, None], y)
    if route == ROUTES[0]:
        loss = loss + penalties.value(w, 0.0, LAMBDA)
    return torch.autograd.grad(loss, (w, b))


def _run(route: str, arithmetic, x, y, start, batches, decay=None) -> np.ndarray:
    x, y, start = (tensor(a, arithmetic.master) for a in (x, y, start))
    w, b, state = start[:-1], start[-1:], updates.State()
    if decay is None:
        decay = updates.Decay() if route == ROUTES[0] else updates.decay(route.split(",")[0], 0.0, LAMBDA, LR)
    for t, rows in enumerate(torch.as_tensor(batches), start=1):
        grad_w, grad_b = _gradients(route, w, b, x[rows], y[rows])
        w, _ = updates.step(w, grad_w, state, t, LR, 1.0, SGD, decay, arithmetic)
        b, _ = updates.step(b, grad_b, state, t, LR, 1.0, SGD, updates.Decay(), arithmetic)
    return torch.cat([w, b]).double().numpy()


def _against_formula(arithmetic, steps: int, scale: float = 1.0) -> Iterator[Result]:
    problem = _problem(steps)
    expected = _formula(*problem)
    for route in ROUTES:
        yield Result(steps, relative(_run(route, arithmetic, *problem), expected) / scale, route)


@check("I5", "1 step, fp64", tolerance=1e-15)
def _():
    return _against_formula(FP64, 1)


@check("I5", "1 step, fp32", tolerance=4, unit="ulp")
def _():
    return _against_formula(FP32, 1, scale=2.0**-23)


@check("I5", "300 steps, fp64", tolerance=1e-13)
def _():
    return _against_formula(FP64, 300)


@check("I5", "300 steps, fp32", tolerance=1e-6)
def _():
    return _against_formula(FP32, 300)


@counter("I5", "penalty inside the sum over examples", tolerance=1e-2)
def _():
    x, y, start, batches = _problem(1)
    one_step = (FP64, x, y, start, batches)
    decay = updates.decay("coupled", 0.0, BATCH * LAMBDA, LR)
    wrong = _run("coupled", *one_step, decay=decay)[:-1]
    return Result(1, relative(wrong, _formula(x, y, start, batches)[:-1]), note=f"each of {BATCH} rows brings the whole penalty")


@counter("I5", "torch SGD decays the bias too", tolerance=1e-3)
def _():
    x, y, start, batches = _problem(1)
    module = models.Affine(x.shape[1], 1).double()
    with torch.no_grad():
        module.out.weight.copy_(tensor(start[None, :-1]))
        module.out.bias.copy_(tensor(start[-1:]))
    optimiser = torch.optim.SGD(module.parameters(), lr=LR, weight_decay=LAMBDA)
    models.squared_loss(module(tensor(x)[batches[0]]), tensor(y)[batches[0]]).backward()
    optimiser.step()
    return Result(1, relative(module.out.bias.detach().numpy(), _formula(x, y, start, batches)[-1:]),
                  note="torch.optim.SGD(weight_decay) without parameter groups")


RESIDUAL_SCALES = (0.5, 2.0, -3.0, 10.0)


def _data_part(residual_scale: float, optimiser, decay) -> np.ndarray:
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
def _():
    for coupling in updates.COUPLINGS[:3]:
        decay = updates.decay(coupling, 0.0, LAMBDA, LR)
        unit = _data_part(1.0, SGD, decay)
        error = max(relative(_data_part(c, SGD, decay), c * unit) for c in RESIDUAL_SCALES)
        yield Result(len(RESIDUAL_SCALES), error, coupling)


@check("I6", "residuals 0: the step is the decay", tolerance=1e-15)
def _():
    w = tensor(generator("I6", 1).standard_normal(1000))
    for coupling in updates.COUPLINGS[:3]:
        decay = updates.decay(coupling, 0.0, LAMBDA if coupling != "independent" else LR * LAMBDA, LR)
        moved, _ = updates.step(w, torch.zeros_like(w), updates.State(), 1, LR, 1.0, SGD, decay, FP64)
        yield Result(len(w), relative(moved, (1 - LR * LAMBDA) * w), coupling)


@check("I6", "cross-entropy: the residual is p - onehot", tolerance=1e-14)
def _():
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
def _():
    adam = updates.Optimiser("adam")
    unit = _data_part(1.0, adam, updates.Decay())
    return Result(1, relative(_data_part(10.0, adam, updates.Decay()), 10 * unit), note="residuals times 10: the same step")


def _final(identity, coupling, optimiser, lam, lr=LR, steps=300, schedule=lambda t: 1.0, batch=BATCH):
    """w after minibatch training without a bias."""
    x, y = (tensor(a) for a in regression(identity))
    x = x / 4
    order = torch.as_tensor(generator(identity, 7).integers(0, len(y), (steps, batch)))
    w = tensor(generator(identity, 8).standard_normal(x.shape[1]))

    def gradient(w, t):
        return quadratic(x[order[t - 1]], y[order[t - 1]])(w, t)

    return descend(w, gradient, steps, lr, optimiser, updates.decay(coupling, 0.0, lam, lr), schedule=schedule)


@check("I16", "SGD: coupled is decoupled, 300 steps", tolerance=1e-13)
def _():
    return Result(300, relative(_final("I16", "decoupled", SGD, LAMBDA), _final("I16", "coupled", SGD, LAMBDA)))


@check("I16", "momentum: full-batch fixed points agree at lambda / (1 - mu)", tolerance=1e-10)
def _():
    x, y = (tensor(a) for a in regression("I16", 60, 4))
    x = x / 2
    exact = torch.linalg.solve(x.T @ x / len(y) + LAMBDA * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y / len(y))
    for name in ("momentum", "nesterov"):
        optimiser = updates.Optimiser(name)
        for coupling, lam in (("coupled", LAMBDA), ("decoupled", LAMBDA * optimiser.gain)):
            decay = updates.decay(coupling, 0.0, lam, LR)
            w = descend(torch.zeros_like(exact), quadratic(x, y), 3000, LR, optimiser, decay)
            yield Result(1, relative(w, exact), f"{name}, {coupling}", "against the exact minimiser at lambda")


@counter("I16", "momentum: coupled is not decoupled at the same lambda", tolerance=1e-2)
def _():
    for name in ("momentum", "nesterov"):
        optimiser = updates.Optimiser(name)
        lr = LR / 10
        coupled, decoupled = (_final("I16", c, optimiser, LAMBDA, lr) for c in ("coupled", "decoupled"))
        yield Result(300, relative(decoupled, coupled), name)


@check("I16", "independent decay is decoupled at lr_max lambda", tolerance=1e-13)
def _():
    for name in updates.OPTIMISERS:
        for shape, schedule in (("constant", lambda t: 1.0), ("linear", lambda t: 1 - (t - 1) / 300),
                                ("cosine", lambda t: 0.5 * (1 + np.cos(np.pi * (t - 1) / 300)))):
            optimiser, lr = updates.Optimiser(name), 0.01
            strength = penalties.to_convention("independent", 0.0, LAMBDA, lr_max=lr)["weight_decay"]
            decoupled = _final("I16", "decoupled", optimiser, LAMBDA, lr, schedule=schedule)
            independent = _final("I16", "independent", optimiser, strength, lr, schedule=schedule)
            yield Result(300, relative(independent, decoupled), f"{name}, {shape}")


@check("I16", "decay before or after the step: lr^2 lambda u apart", tolerance=1e-15)
def _():
    rng = generator("I16", 1)
    w, u = tensor(rng.standard_normal(1000)), tensor(rng.standard_normal(1000))
    decay, none, state = updates.decay("decoupled", 0.0, LAMBDA, LR), updates.Decay(), updates.State()
    with_same_w, _ = updates.step(w, u, state, 1, LR, 1.0, SGD, decay, FP64)
    moved, _ = updates.step(w, u, state, 1, LR, 1.0, SGD, none, FP64)
    after, _ = updates.step(moved, torch.zeros_like(u), state, 1, LR, 1.0, SGD, decay, FP64)
    return Result(1000, relative(after, with_same_w + LR**2 * LAMBDA * u))


@counter("I16", "torch SGD(momentum, weight_decay) is coupled, not decoupled", tolerance=1e-2)
def _():
    x, y = (tensor(a) for a in regression("I16"))
    x, lr = x / 4, LR / 10
    order = torch.as_tensor(generator("I16", 7).integers(0, len(y), (300, BATCH)))
    w = tensor(generator("I16", 8).standard_normal(x.shape[1])).requires_grad_()
    optimiser = torch.optim.SGD([w], lr=lr, momentum=0.9, weight_decay=LAMBDA)
    for rows in order:
        w.grad = quadratic(x[rows], y[rows])(w.detach(), 0)
        optimiser.step()
    momentum = updates.Optimiser("momentum")
    coupled, decoupled = (_final("I16", c, momentum, LAMBDA, lr) for c in ("coupled", "decoupled"))
    return Result(300, relative(w.detach(), decoupled), note=f"from coupled: {relative(w.detach(), coupled):.1g}")


def _fixed_scale(v: torch.Tensor):
    """Adam whose second moment stays v: no first moment, beta2 within one ulp of 1, bias correction long over."""
    return updates.Optimiser("adam", beta1=0.0, beta2=1 - 2.0**-52, eps=0.0), updates.State(torch.zeros_like(v), v), 2**60


def _preconditioned(v, coupling, lam, w, g):
    optimiser, state, t = _fixed_scale(v)
    return updates.step(w, g, state, t, LR, 1.0, optimiser, updates.decay(coupling, 0.0, lam, LR), FP64)[0]


@check("I17", "fixed v: coupled decay shrinks w_i by lr lambda / sqrt(v_i)", tolerance=1e-12)
def _():
    rng = generator("I17")
    w, g, v = tensor(rng.standard_normal(1000)), tensor(rng.standard_normal(1000)), tensor(np.exp(2 * rng.standard_normal(1000)))
    expected = _preconditioned(v, "coupled", 0.0, w, g) - LR * LAMBDA * w / v.sqrt()
    return Result(1000, relative(_preconditioned(v, "coupled", LAMBDA, w, g), expected))


@check("I17", "all v_i equal: coupled is decoupled at lambda / sqrt(v)", tolerance=1e-13)
def _():
    rng = generator("I17", 1)
    w, g = tensor(rng.standard_normal(1000)), tensor(rng.standard_normal(1000))
    for v in (0.01, 1.0, 7.3):
        scale = torch.full_like(w, v)
        coupled = _preconditioned(scale, "coupled", LAMBDA, w, g)
        yield Result(1000, relative(_preconditioned(scale, "decoupled", LAMBDA / v**0.5, w, g), coupled), f"v = {v}")


@check("I17", "v_i differ: no lambda makes decoupled equal to coupled", tolerance=1e-2, relation=">=")
def _():
    rng = generator("I17", 2)
    w, g, v = tensor(rng.standard_normal(1000)), tensor(rng.standard_normal(1000)), tensor(np.exp(2 * rng.standard_normal(1000)))
    coupled = _preconditioned(v, "coupled", LAMBDA, w, g) - _preconditioned(v, "coupled", 0.0, w, g)
    unit = _preconditioned(v, "decoupled", 1.0, w, g) - _preconditioned(v, "decoupled", 0.0, w, g)
    best = float(unit @ coupled / (unit @ unit))
    return Result(1000, float((coupled - best * unit).norm() / coupled.norm()), note=f"best decoupled lambda {best:.3g}")


@check("I17", "Adam, positive control: coupled differs from decoupled", tolerance=1e-2, relation=">=")
def _():
    rng = generator("I17", 3)
    adam = updates.Optimiser("adam")
    w, scales = tensor(rng.standard_normal(1000)), tensor(np.exp(2 * rng.standard_normal(1000)))
    noise = tensor(rng.standard_normal((50, 1000)))
    for steps in (1, 10, 50):
        coupled, decoupled = (
            descend(w, lambda w, t: scales * noise[t - 1], steps, LR, adam, updates.decay(c, 0.0, LAMBDA, LR))
            for c in ("coupled", "decoupled"))
        yield Result(1000, float((coupled - decoupled).norm() / (coupled - w).norm()), f"{steps} steps")
