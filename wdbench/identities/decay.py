"""What the decay does by itself (I7) and to the norm of the weights (I8)."""

from collections.abc import Iterator

import numpy as np
import torch

from wdbench import updates
from wdbench.identities.problems import BF16_SPLIT, FP64, SGD, descend, quadratic, regression, tensor, trajectory
from wdbench.identities.registry import Result, check, counter, generator, relative

STEPS = 500


def _idle(w: torch.Tensor, t: int) -> torch.Tensor:
    return torch.zeros_like(w)


def _start(size: int = 1000) -> torch.Tensor:
    """Weights of either sign with 1 <= |w| <= 3."""
    rng = generator("I7", size)
    return tensor(rng.uniform(1, 3, size) * rng.choice([-1, 1], size))


@check("I7", "SGD: w_T = (1 - lr lambda)^T w_0", tolerance=1e-12)
def _() -> Iterator[Result]:
    w = _start()
    for rate in (1e-4, 1e-2, 0.5, 1.5):
        lr = 0.05
        for coupling in ("coupled", "decoupled", "independent"):
            decay = updates.decay(coupling, 0.0, rate if coupling == "independent" else rate / lr, lr)
            found = descend(w, _idle, STEPS, lr, decay=decay)
            yield Result(len(w), relative(found, (1 - rate) ** STEPS * w), f"{coupling}, lr lambda = {rate}")


@check("I7", "Adam, decoupled: w_T = (1 - lr lambda)^T w_0", tolerance=1e-12)
def _() -> Result:
    w, lr, lam = _start(), 0.05, 0.2
    found = descend(w, _idle, STEPS, lr, updates.Optimiser("adam"), updates.decay("decoupled", 0.0, lam, lr))
    return Result(len(w), relative(found, (1 - lr * lam) ** STEPS * w))


def _momentum_matrix(name: str, lr: float, lam: float, mu: float) -> np.ndarray:
    """(w, m) -> (w', m') of coupled momentum without data gradient: m' = mu m + lam w, w' = w - lr u."""
    through_m = np.array([[0.0, 0.0], [lam, mu]])
    u = through_m[1] if name == "momentum" else np.array([lam, 0.0]) + mu * through_m[1]
    return np.array([np.array([1.0, 0.0]) - lr * u, through_m[1]])


@check("I7", "momentum, coupled: second-order recurrence", tolerance=1e-12)
def _() -> Iterator[Result]:
    w = _start()
    for name in ("momentum", "nesterov"):
        for lr, lam in ((0.05, 0.01), (0.05, 0.2), (0.5, 0.5)):
            found = descend(w, _idle, 200, lr, updates.Optimiser(name), updates.decay("coupled", 0.0, lam, lr))
            factor = np.linalg.matrix_power(_momentum_matrix(name, lr, lam, 0.9), 200)[0, 0]
            yield Result(len(w), relative(found, factor * w), f"{name}, lr lambda = {lr * lam:g}")


@check("I7", "momentum, coupled: slow rate lr lambda / (1 - mu)", tolerance=0.02)
def _() -> Iterator[Result]:
    lr, lam = 0.01, 0.01
    for name in ("momentum", "nesterov"):
        optimiser, decay = updates.Optimiser(name), updates.decay("coupled", 0.0, lam, lr)
        norms = trajectory(_start(10), _idle, 400, lr, optimiser, decay).norm(dim=1)
        rate = 1 - float(norms[400] / norms[300]) ** 0.01
        yield Result(100, abs(rate / (lr * lam * optimiser.gain) - 1), name, "to first order in lr lambda")


@check("I7", "Adam, coupled: every step is lr sign(w), whatever lambda is", tolerance=1e-6)
def _() -> Iterator[Result]:
    w, lr = _start(), 1e-3
    for lam in (0.01, 1.0, 100.0):
        found = descend(w, _idle, 1, lr, updates.Optimiser("adam"), updates.decay("coupled", 0.0, lam, lr))
        yield Result(
            len(w),
            float(((w - found) / (lr * w.sign()) - 1).abs().max()),
            f"step 1, lambda = {lam:g}",
            "off by eps / (lambda |w|)",
        )
    decay = updates.decay("coupled", 0.0, 1.0, 1e-7)
    found = descend(w, _idle, 10, 1e-7, updates.Optimiser("adam"), decay)
    yield Result(len(w), float(((w - found) / (10 * 1e-7 * w.sign()) - 1).abs().max()), "10 steps, lr = 1e-7")


@check(
    "I7",
    "SGD: monotone below lr lambda = 1, alternating up to 2, diverging above",
    tolerance=0,
    unit="inputs that disagree",
)
def _() -> Result:
    rates = tensor(np.linspace(0.005, 2.995, 300))
    w = torch.ones(300, dtype=torch.float64)
    decay = updates.Decay(d2=rates)
    once, twice = (descend(w, _idle, t, 1.0, decay=decay) for t in (1, 2))
    wrong = [(once > 0) != (rates < 1), (once.abs() < 1) != (rates < 2), (twice.abs() < once.abs()) != (rates < 2)]
    return Result(300, sum(int(disagree.sum()) for disagree in wrong))


@counter(
    "I7", "bf16 weights, decay rounded by itself: nothing decays", tolerance=1.0, unit="share of weights unchanged"
)
def _() -> Iterator[Result]:
    w = _start().float().bfloat16().float()
    for rate in (1e-4, 1e-3, 2.0**-9):
        found = descend(
            w, _idle, 1000, 0.01, decay=updates.decay("decoupled", 0.0, rate / 0.01, 0.01), arithmetic=BF16_SPLIT
        )
        yield Result(
            len(w), float((found == w).double().mean()), f"lr lambda = {rate:.4g}", "1,000 steps; I15 has all values"
        )


@counter("I7", "Adam, coupled: chatters about 0", tolerance=0.1, unit="share of steps on which |w| grows")
def _() -> Result:
    lr, adam = 0.1, updates.Optimiser("adam")
    sizes = trajectory(_start(50), _idle, 400, lr, adam, updates.decay("coupled", 0.0, 1.0, lr)).abs()
    grown = (sizes[1:] > sizes[:-1]).double()
    return Result(grown.numel(), float(grown.mean()), note="the decay is constant, not proportional to w")


def _random_steps(count: int = 100_000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """w, g [count, 3] and lr, lambda [count, 1] with 0 < lr lambda < 1."""
    rng = generator("I8")
    w = tensor(rng.standard_normal((count, 3)))
    g = tensor(rng.standard_normal((count, 3)) * np.exp(rng.standard_normal((count, 1))))
    lr = tensor(np.exp(rng.uniform(-6, 0, (count, 1))))
    return w, g, lr, tensor(rng.uniform(0.001, 1, (count, 1))) / lr


def _norms(w: torch.Tensor, g: torch.Tensor, lr: torch.Tensor, lam: torch.Tensor, coupling: str) -> torch.Tensor:
    decay = updates.decay(coupling, 0.0, lam, lr)
    return updates.step(w, g, updates.State(), 1, lr, 1.0, SGD, decay, FP64)[0].norm(dim=1)


@check(
    "I8",
    "the decayed step is shorter than the undecayed one iff 2 lr <w,g> < (2 - lr lambda) |w|^2",
    tolerance=0,
    unit="inputs that disagree",
)
def _() -> Iterator[Result]:
    w, g, lr, lam = _random_steps()
    predicted = (2 * lr * (w * g).sum(1, keepdim=True) < (2 - lr * lam) * w.square().sum(1, keepdim=True)).squeeze(1)
    for coupling in ("coupled", "decoupled"):
        shorter = _norms(w, g, lr, lam, coupling) < _norms(w, g, lr, torch.zeros_like(lam), coupling)
        yield Result(
            len(w), int((shorter != predicted).sum()), coupling, f"true for {float(predicted.double().mean()):.1%}"
        )


@check(
    "I8",
    "|w| falls iff lr^2 |g|^2 - 2 (1 - lr lambda) lr <w,g> < lr lambda (2 - lr lambda) |w|^2",
    tolerance=0,
    unit="inputs that disagree",
)
def _() -> Iterator[Result]:
    w, g, lr, lam = _random_steps()
    rate = lr * lam
    left = lr**2 * g.square().sum(1, keepdim=True) - 2 * (1 - rate) * lr * (w * g).sum(1, keepdim=True)
    predicted = (left < rate * (2 - rate) * w.square().sum(1, keepdim=True)).squeeze(1)
    for coupling in ("coupled", "decoupled"):
        falls = _norms(w, g, lr, lam, coupling) < w.norm(dim=1)
        yield Result(
            len(w), int((falls != predicted).sum()), coupling, f"true for {float(predicted.double().mean()):.1%}"
        )


@check("I8", "the decay term alone always shrinks |w|", tolerance=0, unit="inputs that disagree")
def _() -> Iterator[Result]:
    w, g, lr, lam = _random_steps()
    for coupling in ("coupled", "decoupled"):
        yield Result(len(w), int((_norms(w, torch.zeros_like(g), lr, lam, coupling) >= w.norm(dim=1)).sum()), coupling)


@counter("I8", "|w| grows in spite of the decay", tolerance=0.05, unit="share of steps")
def _() -> Iterator[Result]:
    w, g, lr, lam = _random_steps()
    yield Result(len(w), float((_norms(w, g, lr, lam, "coupled") > w.norm(dim=1)).double().mean()), "random (w, g)")
    x, y = (tensor(a) for a in regression("I8"))
    start, decay = torch.zeros(x.shape[1], dtype=torch.float64), updates.decay("coupled", 0.0, 0.1, 0.01)
    norms = trajectory(start, quadratic(x, y), 100, 0.01, decay=decay).norm(dim=1)
    yield Result(100, float((norms[1:] > norms[:-1]).double().mean()), "least squares from 0", "lambda = 0.1")
