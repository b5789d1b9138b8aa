"""A step of one tensor of a stack, in place: compiled on a CPU, in PyTorch elsewhere."""

import torch

from wdbench import updates
from wdbench.kernels.update import Update
from wdbench.precision import Precision


class Equations:
    """`updates.step` written into place; takes what `kernels.update.Update` takes."""

    def __init__(self, w: torch.Tensor, state: updates.State, cell_axis: int, optimiser: updates.Optimiser, precision: Precision,
                 form: str, prox: bool) -> None:
        self.w, self.state, self.optimiser, self.precision, self.form, self.prox = w, state, optimiser, precision, form, prox
        self.shape = [size if axis in (0, cell_axis) else 1 for axis, size in enumerate(w.shape)]

    def take(self, g: torch.Tensor, t: int, rate: torch.Tensor, schedule: float, decay: updates.Decay, bits: torch.Tensor | None) -> None:
        new, after = updates.step(self.w, g, self.state, t, rate.reshape(self.shape), schedule, self.optimiser, decay, self.precision,
                                  self.form, self.prox, bits)
        self.w.copy_(new)
        for old, fresh in ((self.state.m, after.m), (self.state.v, after.v), (self.state.remainder, after.remainder)):
            if old is not None and fresh is not None:
                old.copy_(fresh)


def stepper(w: torch.Tensor, state: updates.State, cell_axis: int, optimiser: updates.Optimiser, precision: Precision, form: str,
            prox: bool) -> Update | Equations:
    """What takes the steps of tensor w [R, C, ...] (cell_axis 1) or [R, d, k, C] (cell_axis 3) and of its state, both in place."""
    kind = Update if w.device.type == "cpu" and optimiser.name in updates.OPTIMISERS else Equations
    return kind(w, state, cell_axis, optimiser, precision, form, prox)
