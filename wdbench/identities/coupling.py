"""Decay inside or outside the gradient: the same for SGD (I16), not for adaptive methods (I17).

Loshchilov & Hutter 2019 (arXiv 1711.05101), propositions 1 and 2.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from wdbench import penalties, updates
from wdbench.identities.problems import FP64, SGD, descend, quadratic, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

LR, LAMBDA, BATCH = 0.05, 0.3, 16


def _final(identity: str, coupling: str, optimiser: updates.Optimiser, lam: float, lr: float = LR, steps: int = 300,
           schedule: Callable[[int], float] = lambda t: 1.0, batch: int = BATCH) -> torch.Tensor:
    """w after minibatch training without a bias."""
    x, y = (tensor(a) for a in regression(identity))
    x = x / 4
    order = torch.as_tensor(generator(identity, 7).integers(0, len(y), (steps, batch)))
    w = tensor(generator(identity, 8).standard_normal(x.shape[1]))

    def gradient(w: torch.Tensor, t: int) -> torch.Tensor:
        return quadratic(x[order[t - 1]], y[order[t - 1]])(w, t)

    return descend(w, gradient, steps, lr, optimiser, updates.decay(coupling, 0.0, lam, lr), schedule=schedule)


@check("I16", "SGD: coupled is decoupled, 300 steps", tolerance=1e-13)
def _() -> Result:
    return Result(300, relative(_final("I16", "decoupled", SGD, LAMBDA), _final("I16", "coupled", SGD, LAMBDA)))


@counter("I16", "momentum: coupled is not decoupled at the same lambda", tolerance=1e-2)
def _() -> Iterator[Result]:
    for name in ("momentum", "nesterov"):
        optimiser = updates.Optimiser(name)
        lr = LR / 10
        coupled, decoupled = (_final("I16", c, optimiser, LAMBDA, lr) for c in ("coupled", "decoupled"))
        yield Result(300, relative(decoupled, coupled), name)


@check("I16", "independent decay is decoupled at lr_max lambda", tolerance=1e-13)
def _() -> Iterator[Result]:
    for name in updates.OPTIMISERS:
        for shape, schedule in (
            ("constant", lambda t: 1.0),
            ("linear", lambda t: 1 - (t - 1) / 300),
            ("cosine", lambda t: 0.5 * (1 + np.cos(np.pi * (t - 1) / 300))),
        ):
            optimiser, lr = updates.Optimiser(name), 0.01
            strength = penalties.to_convention("independent", 0.0, LAMBDA, lr_max=lr)["weight_decay"]
            decoupled = _final("I16", "decoupled", optimiser, LAMBDA, lr, schedule=schedule)
            independent = _final("I16", "independent", optimiser, strength, lr, schedule=schedule)
            yield Result(300, relative(independent, decoupled), f"{name}, {shape}")


@check("I16", "decay before or after the step: lr^2 lambda u apart", tolerance=1e-15)
def _() -> Result:
    rng = generator("I16", 1)
    w, u = tensor(rng.standard_normal(1000)), tensor(rng.standard_normal(1000))
    decay, none, state = updates.decay("decoupled", 0.0, LAMBDA, LR), updates.Decay(), updates.State()
    with_same_w, _ = updates.step(w, u, state, 1, LR, 1.0, SGD, decay, FP64)
    moved, _ = updates.step(w, u, state, 1, LR, 1.0, SGD, none, FP64)
    after, _ = updates.step(moved, torch.zeros_like(u), state, 1, LR, 1.0, SGD, decay, FP64)
    return Result(1000, relative(after, with_same_w + LR**2 * LAMBDA * u))


@check("I16", "momentum: full-batch fixed points agree at lambda / (1 - mu)", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, y = (tensor(a) for a in regression("I16", 60, 4))
    x = x / 2
    exact = torch.linalg.solve(x.T @ x / len(y) + LAMBDA * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y / len(y))
    for name in ("momentum", "nesterov"):
        optimiser = updates.Optimiser(name)
        for coupling, lam in (("coupled", LAMBDA), ("decoupled", LAMBDA * optimiser.gain)):
            decay = updates.decay(coupling, 0.0, lam, LR)
            w = descend(torch.zeros_like(exact), quadratic(x, y), 3000, LR, optimiser, decay)
            yield Result(1, relative(w, exact), f"{name}, {coupling}", "against the exact minimiser at lambda")


@counter("I16", "torch SGD(momentum, weight_decay) is coupled, not decoupled", tolerance=1e-2)
def _() -> Result:
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


def _fixed_scale(v: torch.Tensor) -> tuple[updates.Optimiser, updates.State, int]:
    """Adam whose second moment stays v: no first moment, beta2 within one ulp of 1, bias correction long over."""
    return (
        updates.Optimiser("adam", beta1=0.0, beta2=1 - 2.0**-52, eps=0.0),
        updates.State(torch.zeros_like(v), v),
        2**60,
    )


def _preconditioned(v: torch.Tensor, coupling: str, lam: float, w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    optimiser, state, t = _fixed_scale(v)
    return updates.step(w, g, state, t, LR, 1.0, optimiser, updates.decay(coupling, 0.0, lam, LR), FP64)[0]


@check("I17", "fixed v: coupled decay shrinks w_i by lr lambda / sqrt(v_i)", tolerance=1e-12)
def _() -> Result:
    rng = generator("I17")
    w, g, v = (
        tensor(rng.standard_normal(1000)),
        tensor(rng.standard_normal(1000)),
        tensor(np.exp(2 * rng.standard_normal(1000))),
    )
    expected = _preconditioned(v, "coupled", 0.0, w, g) - LR * LAMBDA * w / v.sqrt()
    return Result(1000, relative(_preconditioned(v, "coupled", LAMBDA, w, g), expected))


@check("I17", "all v_i equal: coupled is decoupled at lambda / sqrt(v)", tolerance=1e-13)
def _() -> Iterator[Result]:
    rng = generator("I17", 1)
    w, g = tensor(rng.standard_normal(1000)), tensor(rng.standard_normal(1000))
    for v in (0.01, 1.0, 7.3):
        scale = torch.full_like(w, v)
        coupled = _preconditioned(scale, "coupled", LAMBDA, w, g)
        yield Result(1000, relative(_preconditioned(scale, "decoupled", LAMBDA / v**0.5, w, g), coupled), f"v = {v}")


@check("I17", "v_i differ: no lambda makes decoupled equal to coupled", tolerance=1e-2, relation=">=")
def _() -> Result:
    rng = generator("I17", 2)
    w, g, v = (
        tensor(rng.standard_normal(1000)),
        tensor(rng.standard_normal(1000)),
        tensor(np.exp(2 * rng.standard_normal(1000))),
    )
    coupled = _preconditioned(v, "coupled", LAMBDA, w, g) - _preconditioned(v, "coupled", 0.0, w, g)
    unit = _preconditioned(v, "decoupled", 1.0, w, g) - _preconditioned(v, "decoupled", 0.0, w, g)
    best = float(unit @ coupled / (unit @ unit))
    return Result(
        1000, float((coupled - best * unit).norm() / coupled.norm()), note=f"best decoupled lambda {best:.3g}"
    )


@check("I17", "Adam, positive control: coupled differs from decoupled", tolerance=1e-2, relation=">=")
def _() -> Iterator[Result]:
    rng = generator("I17", 3)
    adam = updates.Optimiser("adam")
    w, scales = tensor(rng.standard_normal(1000)), tensor(np.exp(2 * rng.standard_normal(1000)))
    noise = tensor(rng.standard_normal((50, 1000)))
    for steps in (1, 10, 50):
        coupled, decoupled = (
            descend(w, lambda w, t: scales * noise[t - 1], steps, LR, adam, updates.decay(c, 0.0, LAMBDA, LR))
            for c in ("coupled", "decoupled")
        )
        yield Result(1000, float((coupled - decoupled).norm() / (coupled - w).norm()), f"{steps} steps")
