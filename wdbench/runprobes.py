"""Probes of training itself, read while a stack trains at a few of its steps; what is trained does not feel them.

Most of them look at the stationary part of a run, its *window*: the second half of the steps at the large learning rate (those
before a drop, or the whole run where the schedule has no drop).

    rotation   angle of a step at ROTATION_STEPS steps of the window, hidden and head weights; its ratio to the equilibrium that
               Kosson et al. 2024 predict, and its spread over neurons               (dynamics/rotation.py)
    noise      covariance trace of the gradient from half-batches, at NOISE_STEPS steps of the window; NaN for batch norm, where a
               row's gradient depends on the others                                   (dynamics/noise.py)
    path       gradient norms of the hidden weights over the twentieths of the run that end at its half and at its end; distance
               from the start                                                         (dynamics/path.py)
    plateau    slope of the training loss over the window, in eval mode; at PLATEAU_STEPS steps, for at a large learning rate the
               loss of one iterate says little                                         (dynamics/plateau.py)
    spikes     of the minibatch losses of all steps                                   (dynamics/spikes.py)
    ball       of decoupled Adam: how much of the network sits on the ball that decay keeps to  (dynamics/ball.py)
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wdbench import schedules
from wdbench.cells import DECAY_SHARE
from wdbench.dynamics import ball, noise, path, plateau, rotation, spikes
from wdbench.dynamics.stackwise import groups

if TYPE_CHECKING:
    from wdbench.cells import Program
    from wdbench.stack import Network, Stack
    from wdbench.updates import Decay, Optimiser

PROBES = ("ball", "noise", "path", "plateau", "rotation", "spikes")
ROTATION_STEPS, NOISE_STEPS, PATH_STEPS, PLATEAU_STEPS = 100, 32, 16, 20
ROTATED = ("hidden", "head")


def evenly(after: int, last: int, count: int) -> frozenset[int]:
    """Up to `count` evenly spaced steps of after + 1 .. last, the last one among them."""
    return frozenset(int(t) for t in np.linspace(last, after, min(count, last - after), endpoint=False).round())


def probe_steps(names: set[str], turn: int, steps: int) -> dict[str, Collection[int]]:
    """What is read at which steps of 1..steps, for the probes asked for; `turn`: last step at the large learning rate."""
    half, window = steps // 2, turn // 2
    spaced = np.geomspace(window + 1, turn, min(PLATEAU_STEPS, turn - window)).round()
    found = {
        "rotation": evenly(window, turn, ROTATION_STEPS),
        "noise": evenly(window, turn, NOISE_STEPS),
        "plateau": frozenset(int(t) for t in spaced),
        "half": evenly(half - max(1, steps // 20), half, PATH_STEPS) if half else frozenset(),
        "end": evenly(steps - max(1, steps // 20), steps, PATH_STEPS),
        "ball": frozenset({steps}),
        "spikes": range(1, steps + 1),
    }
    return {name: at for name, at in found.items() if ("path" if name in ("half", "end") else name) in names}


class Monitor:
    """The probes of one stack. Call `before` with each step's gradients, `after` once its weights are in place, `columns` at the end.

    train_loss() -> [R, C] training loss of the network as it stands. Numbers of the stack are [R, C].
    """

    def __init__(self, program: "Program", stack: "Stack", network: "Network", optimiser: "Optimiser", options: Mapping[str, Any],
                 train_loss: Callable[[], torch.Tensor]) -> None:
        names = set(program.probes.split("+")) & set(PROBES)
        self.at = probe_steps(names, schedules.turn(program.schedule, program.steps), program.steps)
        self.stack, self.network, self.optimiser, self.train_loss = stack, network, optimiser, train_loss
        self.mixes_rows = options.get("norm") == "bn"
        self.turns, self.predicted, self.observed = None, {}, 0
        self.noise = noise.NoiseScale()
        self.paths = {part: path.Path(self._weights) for part in ("half", "end") if part in self.at}
        self.start = {n: w.clone() for n, w in network.params.items()} if self.paths else {}
        self.plateau: list[tuple[int, torch.Tensor]] = []
        self.losses: list[torch.Tensor] = []
        self.ball: dict[str, torch.Tensor] = {}
        self.radii = self._radii() if "ball" in self.at else {}

    def _weights(self, name: str) -> str | None:
        """Group of a trained weight; None for biases, gains and what is frozen."""
        group = self.network.group(name)
        return None if group in ("bias", "norm") or self.network.frozen(name) else group

    def _rotated(self, name: str) -> str | None:
        group = self._weights(name)
        return group if group in ROTATED else None

    def _at(self, name: str, t: int) -> bool:
        return t in self.at.get(name, ())

    def before(self, t: int, schedule: float, x: torch.Tensor, y: torch.Tensor, loss: torch.Tensor, grads: dict[str, torch.Tensor],
               numbers: "dict[str, Decay]", lr: torch.Tensor) -> None:
        """Before the update of step t = 1, 2, ...: schedule s_t, the step's batch, its loss [R, C], the gradients of the data loss,
        each tensor's decay numbers, eta_max [R, C].
        """
        if self._at("spikes", t):
            self.losses.append(loss)
        if self._at("noise", t) and not self.mixes_rows:
            self.noise.observe(self.network.gradient, x, y)
        for part in self.paths:
            if t in self.at[part]:
                self.paths[part].observe(self.network.params, grads, lr * schedule, torch.zeros_like(lr))
        if self._at("rotation", t):
            self._expect(schedule, numbers, lr)
        if self._at("ball", t) and self.radii:
            self.ball["linf_residual"] = ball.residual(self.network.params, grads, self.radii)

    def after(self, t: int) -> None:
        """After the update of step t."""
        if self._at("rotation", t):
            self.turns.observe(self.network.params)
        if self._at("plateau", t):
            self.plateau.append((t, self.train_loss()))

    def columns(self) -> dict[str, torch.Tensor]:
        """Columns of the probes asked for, each [R, C]; what a stack has no part of is NaN."""
        found: dict[str, torch.Tensor] = {}
        empty = torch.full(self.stack.shape, float("nan"), dtype=torch.float64)
        if self.turns is not None:
            found |= self._rotation()
        if "noise" in self.at:
            measured = self.noise.columns() if self.noise.count else dict.fromkeys(("gradient_noise", "noise_scale"), empty)
            found |= {name: measured[name] for name in ("gradient_noise", "noise_scale")}
        for part, track in self.paths.items():
            values = track.columns()
            found |= {f"{name}_{part}": values.get(name, empty) for name in ("grad_norm_hidden", "grad_ratio_hidden", "radial_hidden")}
        if self.paths:
            apart = path.displacement(self.network.params, self.start, self._weights)
            found |= {"init_distance": apart["distance_total"], "init_cosine": apart["cosine_total"]}
        if "plateau" in self.at:
            found["loss_slope"] = plateau.slope(*(list(v) for v in zip(*self.plateau, strict=True)))
        if "spikes" in self.at:
            found |= spikes.count(torch.stack(self.losses))
        if "ball" in self.at:
            found |= {"linf_share": empty, "linf_excess": empty, "linf_residual": empty}
            if self.radii:
                found |= ball.columns(self.network.params, self.radii) | self.ball
        return found

    def _expect(self, schedule: float, numbers: "dict[str, Decay]", lr: torch.Tensor) -> None:
        """Open a step of rotation: keep the weights, and add up the square of the angle that Kosson et al. predict for it."""
        if self.turns is None:
            self.turns = rotation.Rotation.start(self.network.params, self._rotated)
        for name, kept in self.turns.last.items():
            kept.copy_(self.network.params[name])
        for kind, (name, *_) in groups(self.turns.last, self._rotated).items():
            # tensors of a group share their numbers
            decay = numbers[name].map(lambda v, lr=lr: v.reshape(lr.shape).double() if isinstance(v, torch.Tensor) else v)
            # the formulas are for the decay that momentum will multiply by its gain, in the form of L2
            rate = path.decay_rate(lr.double(), schedule, decay, self.optimiser.gain) / self.optimiser.gain
            if self.optimiser.name == "adam":
                rate = torch.where(decay.a2 == 0.0, rate, 0.0)
            self.predicted[kind] = self.predicted.get(kind, 0.0) + rotation.predicted(self.optimiser, rate).square()
        self.observed += 1

    def _rotation(self) -> dict[str, torch.Tensor]:
        measured, found = self.turns.columns(), {}
        for kind in ROTATED:
            if kind not in self.predicted:
                continue
            expected = (self.predicted[kind] / self.observed).sqrt()
            found |= {f"{name}_{kind}": measured[f"{name}_{kind}"] for name in ("rotation", "rotation_neuron", "rotation_cv")}
            ratio = found[f"rotation_neuron_{kind}"] / expected
            found[f"rotation_ratio_{kind}"] = torch.where(expected > 0, ratio, float("nan"))
        return found

    def _radii(self) -> dict[str, torch.Tensor]:
        """Radius [R, C] of each weight's ball; empty where nothing has one. NaN for cells of which some weight has none."""
        if self.optimiser.name != "adam":
            return {}
        found = {}
        for name, w in self.network.params.items():
            group = self._weights(name)
            if group is not None:
                share = lambda run, group=group: DECAY_SHARE[run.decay_mask].get(group, 0.0)  # noqa: E731
                found[name] = self.stack.numbers(lambda run, s=share: ball.radius(run.coupling, run.lambda2 * s(run), run.lr)).to(w.device)
        return found
