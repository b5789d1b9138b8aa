"""Equilibrium of decay and noise on scale-invariant weights: angle a step (I22), gradient over weight (I23).

Kosson, Messmer & Jaggi 2024 (arXiv 2305.17212) for I22; van Laarhoven 2017 (arXiv 1706.05350) and Defazio 2025 (arXiv 2506.02285)
for I23. The system is pure noise: every neuron w [d] gets at each step a fresh random gradient, orthogonal to w and of length
about c / |w|, as the gradient of any function of w / |w| is; c is the neuron's own scale. These are quasi-identities: exact to
first order in lr lambda, and up to the sampling error of a window of steps.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from wdbench import updates
from wdbench.cells import FORMS
from wdbench.identities.problems import FP64, tensor
from wdbench.identities.registry import Result, check, counter, generator

DIM, NEURONS, WINDOW = 128, 48, 600
MOMENTUM, ADAM = updates.Optimiser("momentum"), updates.Optimiser("adam")


@dataclass(frozen=True)
class Found:
    """Root mean squares over the last WINDOW steps, each [NEURONS]: angle of a step (radians), and |g| / |w|."""

    angle: np.ndarray
    ratio: np.ndarray

    @staticmethod
    def mean(values: np.ndarray) -> float:
        return float(np.sqrt(np.square(values).mean()))

    @property
    def spread(self) -> float:
        """Coefficient of variation of the angle over neurons."""
        return float(self.angle.std() / self.angle.mean())


def noise(optimiser: updates.Optimiser, coupling: str, lr: float | torch.Tensor, lam: float | torch.Tensor, steps: int,
          scales: float | torch.Tensor = 1.0, start: float | torch.Tensor = 1.0, schedule: float | torch.Tensor = 1.0,
          window: int = WINDOW) -> Found:
    """Run the noise system with `updates.step`; lr, lam, scales, start, schedule: a number, or one for each neuron [NEURONS, 1]."""
    draw = torch.Generator().manual_seed(int(generator("I22").integers(1 << 31)))

    def normal() -> torch.Tensor:
        return torch.randn((NEURONS, DIM), generator=draw, dtype=torch.float64)

    w = normal()
    w = start * w / w.norm(dim=1, keepdim=True)
    decay, state = updates.decay(coupling, 0.0, lam, lr), updates.initial_state(w, optimiser, FP64)
    size = scales / math.sqrt(DIM - 1)
    angles, ratios = torch.zeros(NEURONS, dtype=w.dtype), torch.zeros(NEURONS, dtype=w.dtype)
    for t in range(1, steps + 1):
        g, norm2 = normal(), w.square().sum(1, keepdim=True)
        g = (g - (g * w).sum(1, keepdim=True) / norm2 * w) * (size / norm2.sqrt())
        new, state = updates.step(w, g, state, t, lr, schedule, optimiser, decay, FP64, FORMS[coupling])
        if t > steps - window:
            cosine = (new * w).sum(1) / (new.norm(dim=1) * norm2[:, 0].sqrt())
            angles += torch.arccos(cosine.clamp(max=1.0)).square()
            ratios += g.square().sum(1) / norm2[:, 0]
        w = new
    return Found((angles / window).sqrt().numpy(), (ratios / window).sqrt().numpy())


def _lognormal() -> torch.Tensor:
    """Gradient scales of the neurons [NEURONS, 1]: lognormal(0, 1), a factor of about 100 from the least to the largest."""
    return tensor(generator("I22", 1).lognormal(0, 1, (NEURONS, 1)))


def angle(name: str, rate: float) -> float:
    """Kosson's equilibrium angle of a step at lr lambda = rate; momentum coupled, as torch's SGD, Adam decoupled."""
    beta = 0.9
    share = {"sgd": 1.0, "momentum": 1 / (1 + beta), "adam": (1 - beta) / (1 + beta)}[name]
    return math.sqrt(2 * rate * share)


# optimiser, coupling, lr, lambda, steps: 20 time scales of |w|^2, which are (1 - mu) / (2 lr lambda) steps; Adam's |w| starts near its end
RUNS = (
    (updates.Optimiser("sgd"), "coupled", 0.1, 0.03, 3400),
    (MOMENTUM, "coupled", 0.01, 0.03, 3400),
    (ADAM, "decoupled", 0.002, 0.5, 6000),
)


def _runs() -> Iterator[tuple[str, float, Found]]:
    for optimiser, coupling, lr, lam, steps in RUNS:
        # |w|^2 of Adam settles at lr d / (2 lambda), whatever the gradient's scale is
        start = math.sqrt(1.5 * lr * DIM / (2 * lam)) if optimiser is ADAM else 1.0
        yield optimiser.name, lr * lam, noise(optimiser, coupling, lr, lam, steps, _lognormal(), start)


@check(
    "I22",
    "the angle of a step is Kosson's formula, the same for all neurons",
    tolerance=0.01,
    unit="relative; coefficient of variation",
)
def _() -> Iterator[Result]:
    for name, rate, found in _runs():
        note = f"measured {found.mean(found.angle):.5f}, formula {angle(name, rate):.5f}"
        yield Result(NEURONS, abs(found.mean(found.angle) / angle(name, rate) - 1), f"{name}, mean angle", note)
        yield Result(NEURONS, found.spread, f"{name}, spread over neurons", "gradient scales lognormal(0, 1)")


@check("I22", "Adam with L2: each neuron has its own angle", tolerance=0.2, relation=">=", unit="coefficient of variation")
def _() -> Result:
    return Result(NEURONS, noise(ADAM, "coupled", 0.002, 0.5, 3000, _lognormal()).spread, note="gradient scales lognormal(0, 1)")


@counter("I22", "momentum, decoupled: smaller by sqrt(1 - mu)", tolerance=0.5, unit="relative distance from the formula")
def _() -> Result:
    found = noise(MOMENTUM, "decoupled", 0.1, 0.03, 2000, start=2.0)
    measured = found.mean(found.angle) / angle("momentum", 0.003)
    return Result(NEURONS, abs(measured - 1), note=f"measured over formula {measured:.3f}, sqrt(1 - mu) = {0.1**0.5:.3f}")


def gradient_over_weight(lr: float, lam: float) -> float:
    """Equilibrium |g| / |w| of SGD."""
    return math.sqrt(2 * lam / lr)


PAIRS = ((0.1, 0.03), (0.01, 0.3), (1.0, 0.003))


def _of_each(values: Sequence[float]) -> torch.Tensor:
    """[NEURONS, 1]: equally many neurons of each value."""
    return tensor(np.repeat(values, NEURONS // len(values)))[:, None]


@check("I23", "SGD: |g| / |w| = sqrt(2 lambda / lr)", tolerance=0.02)
def _() -> Iterator[Result]:
    lr, lam = (_of_each(column) for column in zip(*PAIRS, strict=True))
    found = noise(updates.Optimiser("sgd"), "coupled", lr, lam, 3400, _lognormal()).ratio.reshape(len(PAIRS), -1)
    for (one, other), ratios in zip(PAIRS, found, strict=True):
        note = f"measured {Found.mean(ratios):.4f}, formula {gradient_over_weight(one, other):.4f}"
        error = abs(Found.mean(ratios) / gradient_over_weight(one, other) - 1)
        yield Result(len(ratios), error, f"lr = {one:g}, lambda = {other:g}", note)


@counter("I23", "before 2 lr lambda T is large the ratio is another", tolerance=0.05, unit="relative distance from the formula")
def _() -> Result:
    found = noise(updates.Optimiser("sgd"), "coupled", 0.1, 0.03, 330, start=5.0, window=50)
    return Result(NEURONS, abs(Found.mean(found.ratio) / gradient_over_weight(0.1, 0.03) - 1), note="2 lr lambda T = 2, from |w| = 5")


SHARES = (1.0, 0.75, 0.5)


def _at_shares(coupling: str) -> list[float]:
    """|g| / |w| at s_t held at each of SHARES, over sqrt(2 lambda / eta_max)."""
    found = noise(updates.Optimiser("sgd"), coupling, 0.1, 0.1, 2000, start=0.8, schedule=_of_each(SHARES))
    return [Found.mean(r) / gradient_over_weight(0.1, 0.1) for r in found.ratio.reshape(len(SHARES), -1)]


@check("I33", "corrected: |g| / |w| settles at sqrt(2 lambda / eta_max) whatever lr_t is", tolerance=0.02)
def _() -> Iterator[Result]:
    for share, ratio in zip(SHARES, _at_shares("corrected"), strict=True):
        yield Result(NEURONS // len(SHARES), abs(ratio - 1), f"s = {share:g}", "pure noise, SGD")


@counter("I33", "decoupled: |g| / |w| rises as lr_t falls", tolerance=1.3, unit="times its value at eta_max")
def _() -> Result:
    ratio = _at_shares("decoupled")
    return Result(NEURONS, ratio[-1] / ratio[0], note=f"s = {SHARES[-1]:g}; formula {SHARES[-1] ** -0.5:.3f}")
