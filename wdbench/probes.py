"""What a run does to its decay, measured: applied against intended, and updates lost to rounding.

At a probed step the update is taken four times from the same weights, gradient and state: with and without the penalty, in the
run's own precision and in fp64 without rounding. The difference that the penalty makes is

    applied  = fl(step with decay) - fl(step without)         intended = the same in fp64

summed over the probed steps. `fidelity` = sum <applied, intended> / sum |intended|^2 is the share of the intended decay that
arrives in its own direction: rounding noise of zero mean does not count as decay, as it would in
`fidelity_norm` = sum |applied| / sum |intended|.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from wdbench import precision as precisions
from wdbench import updates
from wdbench.kernels import fidelity

if TYPE_CHECKING:
    from wdbench.precision import Precision

MAX_COORDINATES = 1024
POINTS = 12
FP64 = precisions.make("fp64")


def probe_steps(steps: int) -> frozenset[int]:
    """Up to POINTS steps, evenly spread over 1..steps, first and last included."""
    return frozenset(int(t) for t in torch.linspace(1, steps, min(POINTS, steps)).round())


@dataclass
class Sums:
    """Sums over probed steps and coordinates, each [R, C], fp64."""

    dot: torch.Tensor
    intended_squared: torch.Tensor
    applied_norm: torch.Tensor
    intended_norm: torch.Tensor
    lost: torch.Tensor
    moved: torch.Tensor

    @classmethod
    def zeros(cls, replicates: int, arms: int) -> "Sums":
        return cls(*(torch.zeros(replicates, arms, dtype=torch.float64) for _ in range(6)))

    def columns(self) -> dict[str, torch.Tensor]:
        """fidelity, fidelity_norm (NaN where no decay is intended), updates_lost (share; NaN where nothing moves)."""
        return {
            "fidelity": self.dot / self.intended_squared,
            "fidelity_norm": self.applied_norm / self.intended_norm,
            "updates_lost": self.lost / self.moved,
        }


def _subset(tensor: Any, axis: int, stride: int) -> Any:
    """Every stride-th entry along the axis, of a tensor that is not merely broadcast along it."""
    long = isinstance(tensor, torch.Tensor) and tensor.ndim > axis and tensor.shape[axis] > 1
    return tensor.movedim(axis, 0)[::stride].movedim(0, axis) if long else tensor


def observe(sums: Sums, w: torch.Tensor, g: torch.Tensor, state: updates.State, t: int, lr: torch.Tensor | float, schedule: float,
            optimiser: updates.Optimiser, decay: updates.Decay, precision: "Precision", form: str, prox: bool, bits: torch.Tensor | None,
            cell_axis: int) -> None:
    """Add one step's measurement of one tensor, shaped as in `updates.step`, to `sums`.

    Tensors with more than MAX_COORDINATES coordinates a cell are measured on evenly spaced features of the affine layout
    [R, d, k, C], or rows of a network's [R, C, rows, ...].
    """
    axis = 1 if cell_axis == 3 else 2
    coordinates = w[0].numel() // w.shape[cell_axis]
    if coordinates > MAX_COORDINATES:
        stride = -(-coordinates // MAX_COORDINATES)
        w, g, bits = (_subset(value, axis, stride) for value in (w, g, bits))
        state = updates.State(*(_subset(s, axis, stride) for s in (state.m, state.v, state.remainder)))
    nothing = decay.map(lambda value: value * 0)

    def rounded(numbers: updates.Decay) -> torch.Tensor:
        new, after = updates.step(w, g, state, t, lr, schedule, optimiser, numbers, precision, form, prox, bits)
        return (new if after.remainder is None else new - after.remainder).double()

    start = (w if state.remainder is None else w - state.remainder).double()
    wide = updates.State(*(None if s is None else s.double() for s in (state.m, state.v)))

    def ideal(numbers: updates.Decay) -> torch.Tensor:
        wider = numbers.map(lambda v: v.double() if isinstance(v, torch.Tensor) else v)
        rate = lr.double() if isinstance(lr, torch.Tensor) else lr
        return updates.step(start, g.double(), wide, t, rate, schedule, optimiser, wider, FP64, form, prox)[0]

    dot, intended, applied, moved, lost = fidelity.sums(rounded(decay), rounded(nothing), ideal(decay), ideal(nothing), start, cell_axis)
    sums.dot += dot
    sums.intended_squared += intended
    sums.applied_norm += applied.sqrt()
    sums.intended_norm += intended.sqrt()
    sums.moved += moved
    sums.lost += lost
