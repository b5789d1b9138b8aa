"""Cautious decay and its fixed points (I29); what corrected and independent decay keep constant (I33).

Chen et al. 2025 (arXiv 2510.12402, algorithm 1); Defazio 2025 (arXiv 2506.02285); Loshchilov & Hutter 2019 (arXiv 1711.05101).
"""

import math
from collections.abc import Iterator

import torch

from wdbench import schedules, updates
from wdbench.identities.problems import FP64, SGD, tensor, trajectory
from wdbench.identities.registry import Result, check, counter, generator, relative

LR, LAMBDA = 0.05, 0.4
SCHEDULES = ("constant", "linear", "cosine")


def _step(w: torch.Tensor, g: torch.Tensor, optimiser: updates.Optimiser, coupling: str, lam: float = LAMBDA,
          form: str = "plain") -> torch.Tensor:
    state = updates.initial_state(w, optimiser, FP64)
    return updates.step(w, g, state, 1, LR, 1.0, optimiser, updates.decay(coupling, 0.0, lam, LR), FP64, form)[0]


@check("I29", "w' = w - lr (u + lambda 1[u w >= 0] w), u = 0 included", tolerance=1e-15)
def _() -> Iterator[Result]:
    rng = generator("I29")
    w, g = tensor(rng.standard_normal(10_000)), tensor(rng.standard_normal(10_000))
    g[::10], w[5::10] = 0.0, 0.0
    for name in updates.OPTIMISERS:
        optimiser = updates.Optimiser(name)
        u = updates.direction(w, g, updates.initial_state(w, optimiser, FP64), 1, optimiser, updates.Decay())[0]
        towards_zero = (u == 0) | (w == 0) | (u.sign() == w.sign())
        expected = torch.where(towards_zero, w - LR * (u + LAMBDA * w), w - LR * u)
        yield Result(len(w), relative(_step(w, g, optimiser, "cautious", form="cautious"), expected), name)


@check("I29", "where u moves w away from 0 the step is the undecayed one", tolerance=0, unit="weights that differ")
def _() -> Iterator[Result]:
    rng = generator("I29", 1)
    w = tensor(rng.standard_normal(10_000))
    for name in updates.OPTIMISERS:
        g = -w.sign() * tensor(rng.uniform(0.01, 1, len(w)))
        found = _step(w, g, updates.Optimiser(name), "cautious", form="cautious")
        yield Result(len(w), int((found != _step(w, g, updates.Optimiser(name), "cautious", 0.0)).sum()), name)


def _separable() -> tuple[torch.Tensor, torch.Tensor]:
    """Curvatures h [50] and minimiser [50] of the loss sum_i 1/2 h_i (w_i - w*_i)^2."""
    rng = generator("I29", 2)
    return tensor(rng.uniform(0.2, 2.0, 50)), tensor(rng.standard_normal(50) + 2 * rng.choice([-1, 1], 50))


def _ends(coupling: str, form: str = "plain", start: float = 0.0, steps: int = 3000) -> torch.Tensor:
    """The last 20 iterates [20, 50] of gradient descent from start times the minimiser."""
    h, best = _separable()
    decay = updates.decay(coupling, 0.0, LAMBDA, LR)
    return trajectory(start * best, lambda w, t: h * (w - best), steps, LR, SGD, decay, form=form)[-20:]


@check("I29", "gradient descent ends within one decay of the unpenalised minimiser", tolerance=1.0, unit="lr lambda |w|")
def _() -> Iterator[Result]:
    _, best = _separable()
    for start in (0.0, 0.5, 3.0):
        apart = ((_ends("cautious", "cautious", start) - best).abs() / (LR * LAMBDA * best.abs())).max()
        yield Result(len(best), float(apart), f"from {start:g} w*")


@counter("I29", "decoupled decay ends at the penalised minimiser", tolerance=5.0, unit="lr lambda |w|")
def _() -> Result:
    h, best = _separable()
    apart = ((_ends("decoupled") - best).abs() / (LR * LAMBDA * best.abs())).max()
    return Result(len(best), float(apart), note=f"{relative(_ends('decoupled')[-1], h * best / (h + LAMBDA)):.1g} from the penalised one")


@counter("I29", "u = 0, a stationary point, is no fixed point: w decays there", tolerance=1.0, unit="share of weights that move")
def _() -> Iterator[Result]:
    w = tensor(generator("I29", 3).standard_normal(1000))
    for name in updates.OPTIMISERS:
        moved = _step(w, torch.zeros_like(w), updates.Optimiser(name), "cautious", form="cautious")
        note = f"by lr lambda |w|, to {relative(moved, (1 - LR * LAMBDA) * w):.1g}"
        yield Result(len(w), float((moved != w).double().mean()), name, note)


@counter("I29", "a run that hits the minimiser exactly leaves it again, every second step", tolerance=0.5, unit="share of steps")
def _() -> Result:
    _, best = _separable()
    decay = updates.decay("cautious", 0.0, 0.25, 1.0)
    track = trajectory(0 * best, lambda w, t: w - best, 40, 1.0, SGD, decay, form="cautious")[1:]
    return Result(track.numel(), float((track != best).double().mean()), note="curvature 1, lr = 1")


STEPS = 100


def _decays(coupling: str, lam: float, schedule: str) -> torch.Tensor:
    """Share of w that each of STEPS steps without a gradient takes, [STEPS]."""
    one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    decay = updates.decay(coupling, 0.0, lam, LR)
    shares = [schedules.shape(schedule)(t, STEPS) for t in range(1, STEPS + 1)]
    return torch.cat([one - updates.step(one, none, updates.State(), 1, LR, s, SGD, decay, FP64)[0] for s in shares])


def _rates(schedule: str) -> torch.Tensor:
    """lr_t, [STEPS]."""
    return LR * tensor([schedules.shape(schedule)(t, STEPS) for t in range(1, STEPS + 1)])


@check("I33", "corrected: sqrt(2 lambda_t / lr_t) is constant", tolerance=1e-8)
def _() -> Iterator[Result]:
    for schedule in SCHEDULES:
        # read off as 1 - w', so that half an ulp of 1 is 2e-9 of the last step of a cosine, even at a large lambda
        lr = _rates(schedule)
        ratio = (2 * _decays("corrected", 10.0, schedule) / lr.square()).sqrt()
        yield Result(STEPS, relative(ratio, torch.full_like(ratio, math.sqrt(2 * 10.0 / LR))), schedule)


@check("I33", "sum_t s_t lambda_ind = sum_t lr_t lambda at lambda_ind = eta_max lambda", tolerance=1e-12)
def _() -> Iterator[Result]:
    for schedule in SCHEDULES:
        expected = LAMBDA * _rates(schedule).sum()
        for coupling, lam in (("independent", LR * LAMBDA), ("decoupled", LAMBDA)):
            yield Result(STEPS, relative(_decays(coupling, lam, schedule).sum(), expected), f"{coupling}, {schedule}")


@check("I33", "corrected decays by lambda sum_t lr_t^2 / eta_max in all", tolerance=1e-12)
def _() -> Iterator[Result]:
    for schedule in SCHEDULES:
        lr = _rates(schedule)
        found, decoupled = _decays("corrected", LAMBDA, schedule).sum(), LAMBDA * lr.sum()
        note = f"{float(found / decoupled):.3f} of decoupled"
        yield Result(STEPS, relative(found, LAMBDA * lr.square().sum() / LR), schedule, note)


@counter("I33", "decoupled: sqrt(2 lambda / lr_t) rises as lr_t falls", tolerance=5.0, unit="times its first value")
def _() -> Iterator[Result]:
    for schedule in ("linear", "cosine"):
        ratio = (2 * _decays("decoupled", 10.0, schedule) / _rates(schedule).square()).sqrt()
        yield Result(STEPS, float(ratio[-1] / ratio[0]), schedule)


@counter("I33", "independent at the same number is another decay", tolerance=0.9)
def _() -> Result:
    total = {c: _decays(c, LAMBDA, "linear").sum() for c in ("independent", "decoupled")}
    return Result(STEPS, relative(total["decoupled"], total["independent"]), note="lambda_ind = lambda, eta_max = 0.05")
