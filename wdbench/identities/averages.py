"""Decoupled decay as an average of past updates (I20), and the box that it keeps the weights in (I21).

Wang & Aitchison 2024 (arXiv 2405.13698) for I20; Xie & Li 2024 (arXiv 2404.04454) for I21.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from wdbench import updates
from wdbench.identities.problems import FP64, quadratic, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

if TYPE_CHECKING:
    from wdbench.updates import Optimiser

LR, LAMBDA, STEPS = 0.01, 2.0, 400
SCHEDULES = (("constant", lambda t: 1.0), ("linear", lambda t: 1 - (t - 1) / STEPS))


def _record(coupling: str, optimiser: "Optimiser", schedule: Callable[[int], float] = lambda t: 1.0, lr: float = LR, lam: float = LAMBDA,
            identity: str = "I20", start: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(w_0, w_T, updates u [STEPS, 8]) of minibatch training; w_t is from `updates.step`, u_t from `updates.direction`."""
    x, y = (tensor(a) for a in regression(identity))
    order = torch.as_tensor(generator(identity, 1).integers(0, len(y), (STEPS, 16)))
    first = w = start * tensor(generator(identity, 2).standard_normal(x.shape[1]))
    decay, state, taken = updates.decay(coupling, 0.0, lam, lr), updates.initial_state(w, optimiser, FP64), []
    for t, rows in enumerate(order, 1):
        g = quadratic(x[rows], y[rows])(w, t)
        taken.append(updates.direction(w, g, state, t, optimiser, updates.Decay())[0])
        w, state = updates.step(w, g, state, t, lr, schedule(t), optimiser, decay, FP64)
    return first, w, torch.stack(taken)


def average(first: torch.Tensor, taken: torch.Tensor, rates: torch.Tensor, lam: float) -> torch.Tensor:
    """w_T = prod_t (1 - r_t) w_0 + sum_t r_t prod_{s>t} (1 - r_s) (-u_t / lambda), r_t = lr_t lambda = `rates` [T], u `taken` [T, d].

    With a constant rate the weights are r (1 - r)^(T - t): an exponential average with time scale 1 / (lr lambda) steps.
    """
    kept = torch.cat([(1 - rates).flip(0).cumprod(0).flip(0), torch.ones(1, dtype=rates.dtype)])
    return kept[0] * first - ((rates * kept[1:])[:, None] * taken).sum(0) / lam


def _rates(schedule: Callable[[int], float], lr: float = LR, lam: float = LAMBDA) -> torch.Tensor:
    return tensor([lr * schedule(t) * lam for t in range(1, STEPS + 1)])


@check("I20", "w_T is the exponential average of -u_t / lambda, time scale 1 / (lr lambda)", tolerance=1e-12)
def _() -> Iterator[Result]:
    for name in updates.OPTIMISERS:
        lr = LR if name == "adam" else LR / 10
        for shape, schedule in SCHEDULES:
            first, last, taken = _record("decoupled", updates.Optimiser(name), schedule, lr)
            yield Result(STEPS, relative(average(first, taken, _rates(schedule, lr), LAMBDA), last), f"{name}, {shape}")


@counter("I20", "coupled decay of Adam is not that average", tolerance=1e-2)
def _() -> Result:
    first, last, taken = _record("coupled", updates.Optimiser("adam"))
    return Result(STEPS, relative(average(first, taken, _rates(SCHEDULES[0][1]), LAMBDA), last))


def box(first: torch.Tensor, largest: torch.Tensor | float, rate: float, lam: float, steps: int) -> torch.Tensor:
    """Bound on |w_T|: (1 - lr lambda)^T |w_0| + (1 - (1 - lr lambda)^T) max|u| / lambda."""
    kept = (1 - rate) ** steps
    return kept * first.abs() + (1 - kept) * largest / lam


@check(
    "I21",
    "|w_T| <= (1 - lr lambda)^T |w_0| + (1 - (1 - lr lambda)^T) max|u| / lambda",
    tolerance=0,
    unit="excess over the bound, relative",
)
def _() -> Iterator[Result]:
    for name, optimiser in (("adam", updates.Optimiser("adam")), ("sign steps", _signs())):
        for coupling, lam in (("decoupled", LAMBDA), ("independent", LAMBDA * LR)):
            for start in (0.1, 100.0):
                first, last, taken = _record(coupling, optimiser, lam=lam, identity="I21", start=start)
                bound = box(first, taken.abs().amax(0), LR * LAMBDA, LAMBDA, STEPS)
                used = float((last.abs() / bound).max())
                note = f"{used:.3g} of the bound; max|u| = {float(taken.abs().max()):.3g}"
                yield Result(len(last), max(0.0, used - 1.0), f"{name}, {coupling}, |w_0| ~ {start:g}", note)


def _signs() -> updates.Optimiser:
    """Adam without memory: u = sign(g)."""
    return updates.Optimiser("adam", beta1=0.0, beta2=0.0, eps=0.0)


@check("I21", "a constant gradient reaches max|u| / lambda, which is max|u| eta_max / lambda for independent decay", tolerance=1e-9)
def _() -> Iterator[Result]:
    g = tensor(generator("I21", 3).standard_normal(20))
    for coupling, lam, radius in (("decoupled", LAMBDA, 1 / LAMBDA), ("independent", 0.05, LR / 0.05)):
        w, state = torch.zeros_like(g), updates.initial_state(g, _signs(), FP64)
        decay = updates.decay(coupling, 0.0, lam, LR)
        for t in range(1, 2001):
            w, state = updates.step(w, g, state, t, LR, 1.0, _signs(), decay, FP64)
        yield Result(len(g), relative(w.abs(), torch.full_like(w, radius)), f"{coupling}, radius {radius:g}")


def largest_update(beta1: float, beta2: float) -> float:
    """sup |u| of Adam long after its start, by Cauchy-Schwarz: (1-b1) / sqrt((1-b2) (1 - b1^2/b2)); 7.27 at the defaults."""
    return (1 - beta1) / ((1 - beta2) * (1 - beta1**2 / beta2)) ** 0.5


def _growing(beta1: float, beta2: float, steps: int = 400) -> float:
    """|u| of Adam after `steps` gradients that grow by beta2 / beta1 a step, bias correction long over."""
    optimiser, late = updates.Optimiser("adam", beta1, beta2, 0.0), 10**6
    w = torch.zeros(1, dtype=torch.float64)
    state = updates.initial_state(w, optimiser, FP64)
    for t in range(steps):
        g = torch.full_like(w, (beta2 / beta1) ** (t - steps))
        u, _, state = updates.direction(w, g, state, late, optimiser, updates.Decay())
    return float(u)


@check("I21", "Adam's |u| is at most (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)), and rising gradients reach that", tolerance=1e-9)
def _() -> Iterator[Result]:
    for beta1, beta2 in ((0.9, 0.999), (0.9, 0.95), (0.5, 0.99)):
        expected = largest_update(beta1, beta2)
        yield Result(1, relative(_growing(beta1, beta2), expected), f"beta = {beta1:g}, {beta2:g}", f"|u| = {expected:.3g}")
    rng, optimiser = generator("I21", 4), updates.Optimiser("adam", eps=0.0)
    g = tensor(rng.standard_normal((500, 2000)) * rng.lognormal(0, 3, (500, 2000)))
    state, largest = updates.initial_state(g[0], optimiser, FP64), 0.0
    for t, row in enumerate(g, 1):
        u, _, state = updates.direction(row, row, state, t, optimiser, updates.Decay())
        largest = max(largest, float(u.abs().max()))
    excess = max(0.0, largest / largest_update(0.9, 0.999) - 1)
    yield Result(g.numel(), excess, "heavy-tailed gradients", f"largest |u| = {largest:.3g}")


@counter("I21", "(1 - b1) / sqrt(1 - b2), often quoted as Adam's largest |u|, is exceeded", tolerance=2.0, unit="times that number")
def _() -> Result:
    return Result(1, _growing(0.9, 0.999) / (0.1 / 0.001**0.5))


@counter("I21", "coupled decay of Adam keeps no such box", tolerance=2.0, unit="times max|u| / lambda")
def _() -> Result:
    g, adam = torch.full((1,), -10.0, dtype=torch.float64), updates.Optimiser("adam")
    w, state, decay = torch.zeros_like(g), updates.initial_state(g, adam, FP64), updates.decay("coupled", 0.0, 1.0, LR)
    for t in range(1, 1501):
        w, state = updates.step(w, g, state, t, LR, 1.0, adam, decay, FP64)
    return Result(1, float(w.abs()), note="g = -10, lambda = 1; the penalised minimiser is w = 10")
