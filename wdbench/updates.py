"""One page of equations: optimiser x coupling, elementwise, per-cell numbers.

With g the gradient of the data loss, eta_t the learning rate of step t, s_t = eta_t / eta_max, lambda2 and lambda1 the penalties:

    gradient    g~ = g + a2 w + a1 sign(w)                             a2, a1: what the coupling puts into the gradient
    sgd         u = g~,                          P = 1
    momentum    m <- mu m + g~,  u = m,          P = 1 / (1 - mu)      (torch.optim.SGD without dampening)
    nesterov    m <- mu m + g~,  u = g~ + mu m,  P = 1 / (1 - mu)
    adam        m <- b1 m + (1-b1) g~, v <- b2 v + (1-b2) g~^2, u = m^ / (sqrt(v^) + eps), P = 1 / (sqrt(v^) + eps)
    step        w' = (1 - eta_t d2 - s_t i2 - s_t eta_t c2 - eta_t k2 [u w >= 0]) w - eta_t u
    prox        w'' = soft(w', eta_t (q1 + p1 P))                      soft(w, t) = w - clamp(w, -t, t)

Couplings, as the numbers that they set:

    coupled                 a2 = lambda2, p1 = lambda1   L2 joins the gradient; L1 is the prox in the optimiser's own metric P,
                                                         so that a fixed point minimises the penalised objective
    decoupled               d2 = lambda2, q1 = lambda1   Loshchilov & Hutter 2019 (arXiv 1711.05101) as torch multiplies it by eta
    independent             i2 = lambda2, q1 = lambda1 / eta_max       the original form: decay does not scale with eta_max
    coupled_subgradient     a2 = lambda2, a1 = lambda1   what autograd of the penalised loss does: no exact zeros (the trap)
    decoupled_subgradient   d2 = lambda2, and w' also loses eta_t lambda1 sign(w)
    corrected               c2 = lambda2, q1 = lambda1   decay eta_t^2 / eta_max: AdamC (Defazio 2025, arXiv 2506.02285)
    cautious                k2 = lambda2, q1 = lambda1   decoupled decay only where it agrees with the step u, or u = 0
                                                         (Chen et al. 2025, arXiv 2510.12402)
    moment_split_m          m2 = lambda2, p1 = lambda1   L2 enters Adam's first moment and not its second; coupled elsewhere
    moment_split_v          v2 = lambda2, p1 = lambda1   L2 enters Adam's second moment and not its first; no decay elsewhere
                                                         (for the question of Bjorck et al. 2021, arXiv 2012.13841)
    scheduled               d2 = lambda2 / sqrt(mean v^), q1 = lambda1         stable decay: Xie et al. 2023 (arXiv 2011.11152);
                                                         the mean is over a cell's tensors, so that the engine divides (stack.py)
    norm_replay, lr_replay  none of them                 no decay; what a decayed run does to norms or rates is done (follow.py)

With lambda = 0 all of these numbers are 0, so every coupling is the unpenalised run bit for bit. `form` (cells.FORMS) says which
operations a coupling needs beside the plain ones; it has to be that of the coupling whose numbers are passed.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from wdbench import rules
from wdbench.cells import FOLLOWERS, FORMS
from wdbench.precision import Precision, nearest, stochastic

MOMENTS = {"sgd": (), "momentum": ("m",), "nesterov": ("m",), "adam": ("m", "v")}
OPTIMISERS = tuple(MOMENTS)
COUPLINGS = tuple(FORMS)


@dataclass(frozen=True)
class Optimiser:
    """Constants of an optimiser; defaults are torch's. `beta1` is the momentum of momentum and nesterov."""

    name: str
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    @property
    def gain(self) -> float:
        """Sum of the weights with which one gradient enters all later steps: 1/(1-mu) for heavy-ball momentum."""
        return 1.0 / (1.0 - self.beta1) if self.name in ("momentum", "nesterov") else 1.0


@dataclass(frozen=True)
class Decay:
    """Numbers of the module's equations; each a tensor that broadcasts against the weights, or a float."""

    a2: torch.Tensor | float = 0.0
    a1: torch.Tensor | float = 0.0
    d2: torch.Tensor | float = 0.0
    d1: torch.Tensor | float = 0.0
    i2: torch.Tensor | float = 0.0
    c2: torch.Tensor | float = 0.0
    k2: torch.Tensor | float = 0.0
    m2: torch.Tensor | float = 0.0
    v2: torch.Tensor | float = 0.0
    q1: torch.Tensor | float = 0.0
    p1: torch.Tensor | float = 0.0

    def map(self, function: Callable[[Any], Any]) -> "Decay":
        return Decay(**{f.name: function(getattr(self, f.name)) for f in fields(self)})


def decay(coupling: str, lambda1: torch.Tensor | float, lambda2: torch.Tensor | float, lr_max: torch.Tensor | float) -> Decay:
    """Numbers that `coupling` sets. Raises ValueError for an unknown coupling."""
    if coupling == "coupled":
        return Decay(a2=lambda2, p1=lambda1)
    if coupling == "decoupled":
        return Decay(d2=lambda2, q1=lambda1)
    if coupling == "independent":
        return Decay(i2=lambda2, q1=lambda1 / lr_max)
    if coupling == "coupled_subgradient":
        return Decay(a2=lambda2, a1=lambda1)
    if coupling == "decoupled_subgradient":
        return Decay(d2=lambda2, d1=lambda1)
    if coupling == "corrected":
        return Decay(c2=lambda2, q1=lambda1)
    if coupling == "cautious":
        return Decay(k2=lambda2, q1=lambda1)
    if coupling == "moment_split_m":
        return Decay(m2=lambda2, p1=lambda1)
    if coupling == "moment_split_v":
        return Decay(v2=lambda2, p1=lambda1)
    if coupling == "scheduled":
        return Decay(d2=lambda2, q1=lambda1)
    if coupling in FOLLOWERS:
        return Decay()
    if coupling in rules.couplings:
        return Decay(**rules.couplings[coupling].numbers(lambda1, lambda2, lr_max))
    raise ValueError(f"unknown coupling {coupling!r}; one of {', '.join(COUPLINGS)}")


@dataclass(frozen=True)
class State:
    """Optimiser state of one tensor: moments m and v (or None) and the Kahan remainder (or None); shapes of the weights."""

    m: torch.Tensor | None = None
    v: torch.Tensor | None = None
    remainder: torch.Tensor | None = None


def initial_state(w: torch.Tensor, optimiser: Optimiser, precision: Precision) -> State:
    """Zero moments where the optimiser has them."""
    kept = MOMENTS[optimiser.name] if optimiser.name in MOMENTS else rules.optimisers[optimiser.name].moments
    return State(
        m=torch.zeros_like(w) if "m" in kept else None,
        v=torch.zeros_like(w) if "v" in kept else None,
        remainder=torch.zeros_like(w) if precision.rounding == "kahan" else None,
    )


def agrees(u: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """1[u w >= 0], the mask of cautious decay: where the step does not move w away from 0. It is 1 where u = 0."""
    return (u * w >= 0).type_as(w)


def direction(w: torch.Tensor, g: torch.Tensor, state: State, t: int, optimiser: Optimiser, decay: Decay,
              form: str = "plain") -> tuple[torch.Tensor, torch.Tensor | float, State]:
    """(u, P, new state) of step t = 1, 2, ...; P is a float, or a tensor for adam."""
    # one rounding an operation: PyTorch's fused forms (lerp, addcmul, alpha) round once where the compiled pass rounds twice
    g = g + decay.a2 * w
    second = g
    if form == "subgradient":
        second = g = g + decay.a1 * torch.sign(w)
    elif form == "moment_split":
        g, second = g + decay.m2 * w, g + decay.v2 * w
    if optimiser.name == "sgd":
        return g, 1.0, state
    if optimiser.name in rules.optimisers:
        u, m, v = rules.optimisers[optimiser.name].step(w, g, state.m, state.v, t, optimiser)
        return u, 1.0, replace(state, m=m, v=v)
    if optimiser.name == "adam":
        m = state.m * optimiser.beta1 + g * (1.0 - optimiser.beta1)
        v = state.v * optimiser.beta2 + second * (1.0 - optimiser.beta2) * second
        # the order of torch.optim.Adam: sqrt(v)/sqrt(1-b2^t) + eps
        root = v.sqrt().div_((1.0 - optimiser.beta2**t) ** 0.5).add_(optimiser.eps)
        scale = root.reciprocal_()
        return m.mul(scale).div_(1.0 - optimiser.beta1**t), scale, replace(state, m=m, v=v)
    m = g + state.m * optimiser.beta1
    u = g + m * optimiser.beta1 if optimiser.name == "nesterov" else m
    return u, optimiser.gain, replace(state, m=m)


def soft(w: torch.Tensor, threshold: torch.Tensor | float) -> torch.Tensor:
    """Soft threshold; exactly w where the threshold is 0."""
    threshold = torch.as_tensor(threshold, dtype=w.dtype, device=w.device)
    return w - w.clamp(-threshold, threshold)


def step(w: torch.Tensor, g: torch.Tensor, state: State, t: int, lr: torch.Tensor | float,
         schedule: torch.Tensor | float, optimiser: Optimiser,
         decay: Decay, precision: Precision, form: str = "plain", prox: bool = True,
         bits: torch.Tensor | None = None) -> tuple[torch.Tensor, State]:
    """Weights and state after step t = 1, 2, ... (module docstring).

    w, g: same shape; lr: eta_max, broadcasting against w; schedule: s_t in [0, 1]; form: which operations the coupling adds
    (`cells.FORMS`); prox: whether there is an L1 part to take by it; bits: int32 noise for stochastic rounding.
    """
    u, scale, state = direction(w, g, state, t, optimiser, decay, form)
    lr_t = lr * schedule
    keep = 1.0 - lr_t * decay.d2 - schedule * decay.i2 - schedule * lr_t * decay.c2
    exact = w if state.remainder is None else w - state.remainder
    if form == "cautious":
        keep = keep - lr_t * decay.k2 * agrees(u, exact)
    threshold = lr_t * (decay.q1 + decay.p1 * scale) if prox else None
    rounding = precision.rounding
    kept = exact * keep
    if form == "subgradient":
        kept -= lr_t * decay.d1 * torch.sign(w)
    if rounding == "nearest_split":
        w = nearest(nearest(kept) - lr_t * u)
        return (nearest(soft(w, threshold)) if prox else w), state
    target = kept.sub_(lr_t * u)
    if prox:
        target = soft(target, threshold)
    if rounding == "nearest_once":
        target = nearest(target)
    elif rounding == "stochastic":
        target = stochastic(target, bits)
    elif rounding == "kahan":
        w = nearest(target)
        return w, replace(state, remainder=nearest(w - target))
    return target, state
