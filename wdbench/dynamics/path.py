"""The path of the weights, step by step: norms, radial share of the gradient, effective learning rates, the decay's clock.

Every step: with w, g of a tensor group before step t and eta_t its learning rate,

    grad_ratio   |g| / |w|                 sqrt(2 lambda / eta) at the equilibrium of a scale-invariant group (Defazio 2025, 2506.02285)
    radial       cos(g, w)                 0 for a scale-invariant group (van Laarhoven 2017, 1706.05350)
    elr_sgd      eta_t / |w|^2             effective learning rate of SGD on a scale-invariant group (van Laarhoven 2017)
    elr_sign     eta_t / |w|               the same for steps of fixed size: Adam, sign descent
    shrinking    1 where |w'| < |w|        w' the weights after the step
    clock        sum_t 2 eta_t lambda      elapsed time constants of |w|^2; an equilibrium needs several

g is the gradient of the data loss, without the penalty.
"""

from dataclasses import dataclass, field

import torch

from wdbench import affine
from wdbench.dynamics.stackwise import Group, Params, add_up, dot, groups
from wdbench.updates import Decay

MEANS = ("weight_norm", "grad_norm", "grad_ratio", "radial", "elr_sgd", "elr_sign")


def decay_rate(lr: torch.Tensor, schedule: float, decay: Decay, gain: float = 1.0) -> torch.Tensor:
    """Share of w that a step's L2 decay takes, eta_t lambda in each coupling: lr, `decay`: [R, C] numbers; schedule: s_t.

    gain: `Optimiser.gain`, if a coupled decay's later echoes through momentum are to count.
    """
    return lr * schedule * (gain * decay.a2 + decay.d2 + schedule * decay.c2) + schedule * decay.i2


@dataclass
class Path:
    """Sums over the steps of a window, group by group; each [R, C], fp64.

    Call `observe` before every step and `close` after the last one: the norm after a step is the one before the next.
    """

    group: Group
    steps: int = 0
    clock: torch.Tensor | float = 0.0
    squares: dict[str, torch.Tensor] | None = None
    sums: dict[str, torch.Tensor] = field(default_factory=dict)

    def observe(self, params: Params, grads: Params, lr: torch.Tensor, rate: torch.Tensor) -> None:
        """Add a step from `params` with data gradient `grads`; lr: eta_t, rate: eta_t lambda (`decay_rate`), each [R, C].

        Where w or g is 0, what is divided by it is 0 for that step.
        """
        members = groups(params, self.group)
        names = members["total"]
        w2, g2, wg = ({}, {}, {})
        for n in names:
            w2[n], g2[n], wg[n] = _products(params[n], grads[n])
        self._norms(add_up(w2, members))
        gradient, inner = add_up(g2, members), add_up(wg, members)
        lr = lr.double()
        for kind, square in self.squares.items():
            w, g = square.sqrt(), gradient[kind].sqrt()
            over = lambda a, b: torch.where(b == 0, 0.0, a / b)
            values = (w, g, over(g, w), over(inner[kind], w * g), over(lr, square), over(lr, w))
            for name, value in zip(MEANS, values, strict=True):
                key = f"{name}_{kind}"
                self.sums[key] = self.sums.get(key, 0.0) + value
        self.clock = self.clock + 2.0 * rate.double()
        self.steps += 1

    def close(self, params: Params) -> None:
        """End the window after its last step, at `params`."""
        members = groups(params, self.group)
        self._norms(add_up({n: dot(params[n], params[n]) for n in members["total"]}, members))

    def _norms(self, squares: dict[str, torch.Tensor]) -> None:
        for kind, square in squares.items():
            key = f"shrinking_{kind}"
            smaller = 0.0 if self.squares is None else (square < self.squares[kind]).double()
            self.sums[key] = self.sums.get(key, torch.zeros_like(square)) + smaller
        self.squares = squares

    def columns(self) -> dict[str, torch.Tensor]:
        """Means over the steps of each quantity of each group G, as weight_norm_G, and clock, the sum; each [R, C]."""
        return {**{key: value / self.steps for key, value in self.sums.items()}, "clock": self.clock}


def _products(w: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """(|w|^2, |g|^2, <w, g>), each [R, C]."""
    w, g = w.double(), g.double()
    return tuple(affine.total(p, 1) for p in (w * w, g * g, w * g))


def displacement(params: Params, init: Params, group: Group) -> dict[str, torch.Tensor]:
    """distance_G = |w - w_0| and cosine_G = cos(w, w_0) of each group, [R, C]; init broadcasts against params. NaN where w_0 = 0."""
    members = groups(params, group)
    found = {}
    start = {n: init[n].expand_as(params[n]) for n in members["total"]}
    apart = add_up({n: dot(d, d) for n, d in ((n, params[n].double() - start[n].double()) for n in start)}, members)
    inner, own, first = (add_up({n: dot(a[n], b[n]) for n in start}, members)
                         for a, b in ((params, start), (params, params), (start, start)))
    for kind in members:
        found[f"distance_{kind}"] = apart[kind].sqrt()
        found[f"cosine_{kind}"] = inner[kind] / (own[kind].sqrt() * first[kind].sqrt())
    return found
