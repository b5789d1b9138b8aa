"""Angular updates: how far a step turns each weight tensor and each neuron, against the equilibrium of Kosson et al. 2024.

theta_t = arccos(<w_t, w_t+1> / (|w_t| |w_t+1|)) in radians a step, computed as 2 atan2(|a - b|, |a + b|) of the unit vectors a, b (Kahan
2006), which keeps its relative accuracy down to angles of 1e-16 where arccos loses everything below 1e-8. A neuron is a row of
a weight [out, ...]; tensors of one axis (biases, gains) have no neurons.
"""

from dataclasses import dataclass, field

import torch

from wdbench.dynamics.stackwise import Group, Params, groups
from wdbench.updates import Optimiser

VECTOR = 64


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle between vectors along the last axis, [..., m] twice -> [...], fp64; NaN where one of them is 0."""
    unit = [v / v.square().sum(-1, keepdim=True).sqrt() for v in (a.double().contiguous(), b.double().contiguous())]
    norm = lambda v: v.square_().sum(-1).sqrt_()
    return 2.0 * _arctan2(norm(unit[0] - unit[1]), norm(unit[0] + unit[1]))


def _arctan2(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """arctan(y / x) in whole vectors: the last few of a row go through another arctan, with other bits."""
    count = y.numel()
    padded = [torch.nn.functional.pad(value.flatten(), (0, -count % VECTOR), value=1.0) for value in (y, x)]
    return torch.atan2(*padded)[:count].reshape(y.shape)


def predicted(optimiser: Optimiser, rate: torch.Tensor) -> torch.Tensor:
    """RMS angle of a step at equilibrium, for a scale-invariant or noise-dominated tensor; rate: eta_t lambda [R, C].

    Kosson et al. 2024 (arXiv 2305.17212), table 1: sgd sqrt(2 r), momentum sqrt(2 r / (1 + mu)), adam with decoupled decay
    sqrt(2 r (1 - b1) / (1 + b1)). nesterov by the same argument (ours): its step has the variance
    ((1 + mu)^2 + mu^4 / (1 - mu^2)) eta^2 |g|^2 at the norm that momentum has, |w|^2 = eta |g|^2 / (2 lambda (1 - mu)). NaN for an
    optimiser that they say nothing of.
    """
    b = optimiser.beta1
    factor = {
        "sgd": 1.0,
        "momentum": 1.0 / (1.0 + b),
        "nesterov": ((1.0 + b) ** 3 * (1.0 - b) + b**4) / (1.0 + b),
        "adam": (1.0 - b) / (1.0 + b),
    }.get(optimiser.name, float("nan"))
    return (2.0 * rate * factor).sqrt()


@dataclass
class Rotation:
    """Sums of theta^2 over the steps of a window: by tensor [R, C] and by neuron [R, C, out], with how often it was defined."""

    group: Group
    last: Params
    tensors: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    neurons: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    @classmethod
    def start(cls, params: Params, group: Group) -> "Rotation":
        """Open a window at `params` (copied); group(name) None leaves a tensor out."""
        return cls(group, {n: w.clone() for n, w in params.items() if group(n) is not None})

    def observe(self, params: Params) -> None:
        """Add the turn from the last parameters seen to `params`: one step, if called after each."""
        for name, before in self.last.items():
            after = params[name]
            _add(self.tensors, name, angle(before.flatten(2), after.flatten(2)))
            if after.ndim > 3:
                _add(self.neurons, name, angle(before.flatten(3), after.flatten(3)))
            before.copy_(after)

    def columns(self) -> dict[str, torch.Tensor]:
        """Of each group and of `total`, [R, C]: rotation_G, rotation_neuron_G, rotation_cv_G.

        rotation: RMS over steps and tensors. rotation_neuron: RMS over steps and neurons. rotation_cv: standard deviation over mean,
        over the group's neurons, of a neuron's RMS angle (0: balanced). Neurons that were 0 at each step are not counted.
        """
        found = {}
        for kind, names in groups(self.last, self.group).items():
            found[f"rotation_{kind}"] = _rms(*_joined(self.tensors, names))
            with_neurons = [n for n in names if n in self.neurons]
            if with_neurons:
                squares, seen = _joined(self.neurons, with_neurons)
                found[f"rotation_neuron_{kind}"] = _rms(squares, seen)
                alive = seen > 0
                each = torch.where(alive, squares / seen.clamp_min(1), 0.0).sqrt()
                number = alive.double().sum(-1)
                mean = each.sum(-1) / number
                apart = torch.where(alive, each - mean[..., None], 0.0)
                found[f"rotation_cv_{kind}"] = (apart.square().sum(-1) / number).sqrt() / mean
        return found


def _add(sums: dict[str, list[torch.Tensor]], name: str, theta: torch.Tensor) -> None:
    known = ~theta.isnan()
    squares = torch.where(known, theta.square(), 0.0)
    if name not in sums:
        sums[name] = [torch.zeros_like(squares), torch.zeros_like(squares)]
    sums[name][0] += squares
    sums[name][1] += known


def _joined(sums: dict[str, list[torch.Tensor]], names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """(sums of squares, counts) of several tensors side by side, [R, C, m]."""
    pairs = [[value if value.ndim > 2 else value[..., None] for value in sums[name]] for name in names]
    return torch.cat([p[0] for p in pairs], -1), torch.cat([p[1] for p in pairs], -1)


def _rms(squares: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return (squares.contiguous().sum(-1) / seen.contiguous().sum(-1)).sqrt()
