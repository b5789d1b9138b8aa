"""Controls that tell what decay does by: a cell without a penalty that follows, step by step, a run that has one.

Beside a follower two hidden runs are trained, which share its start, batches and learning rate: w', with decoupled decay at the
cell's lambda, and one without decay. In each weight tensor (hidden, head, embedding) to which the cell's mask gives a share of lambda

    norm_replay     after each step    w <- w |w'| / |w|
    lr_replay       in each step       eta_t <- eta_t (|w| / |w'|)^p / (1 - eta_t lambda),    p = 2, for adam 1

Where a norm follows the tensor, f(a w) = f(w), so that all that counts is how far a step turns it. A gradient step turns w by
eta g(w) / |w| with g(a w) = g(w) / a, hence p = 2; a step whose size does not depend on that of the gradient turns it by eta / |w|,
hence p = 1 (D'Angelo et al. 2024, arXiv 2310.04415, section 4). The last factor is there because w' takes its gradient step from
(1 - eta_t lambda) w'. For SGD without momentum the two runs then are one function at every step: |w| / |w'| = (1 - eta lambda)^-t
before step t + 1, so that its rate is eta (1 - eta lambda)^(-2t - 1) (Li & Arora 2020, arXiv 1910.07454). With momentum, and for
Adam, whose averages hold gradients of earlier norms, it is an approximation; so it is for a tensor that no norm follows.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from wdbench.cells import DECAY_SHARE, FOLLOWERS, WEIGHTS, Run

if TYPE_CHECKING:
    from wdbench.stack import Network, Stack

WINDOW = 100


def partners(run: Run) -> tuple[Run, Run]:
    """(decayed, plain) run beside which a follower is trained; of its program, so that the three are stacked."""
    plain = replace(run, coupling="decoupled", lambda1=0.0, lambda2=0.0, decay_mask="weights", decay_phase="all")
    return replace(run, coupling="decoupled"), plain


def with_partners(runs: list[Run]) -> list[Run]:
    """`runs`, then the hidden runs that its followers need, each of them once."""
    hidden = dict.fromkeys(partner for run in runs if run.coupling in FOLLOWERS for partner in partners(run))
    return runs + list(hidden)


def norm(w: torch.Tensor, cell_axis: int) -> torch.Tensor:
    """Euclidean norm [R, C], fp64, of each cell's part of a stacked tensor."""
    # one pass that widens as it goes; the sums run along contiguous rows, so that a cell's bits are its own
    return torch.linalg.vector_norm(w.movedim(cell_axis, 1).flatten(2).contiguous(), dim=-1, dtype=torch.float64)


class Follow:
    """The followers of a stack, and the slots of the runs that they follow; cells of other couplings are left as they are."""

    def __init__(self, stack: "Stack", network: "Network", optimiser: str, device: str) -> None:
        slots = [{run: j for j, run in reversed(list(enumerate(row)))} for row in stack.runs]
        pairs = [[tuple(slots[i][p] for p in partners(run)) if run.coupling in FOLLOWERS else (j, j) for j, run in enumerate(row)]
                 for i, row in enumerate(stack.runs)]
        self.decayed, self.plain = (torch.tensor([[pair[k] for pair in row] for row in pairs], device=device) for k in (0, 1))
        self.square = optimiser != "adam"
        self.axis, self.shape = network.cell_axis, stack.shape
        self.following = torch.tensor([[run.coupling in FOLLOWERS for run in row] for row in stack.runs])
        self.masks = {}
        for name in network.params:
            group = network.group(name)
            if group in WEIGHTS and not network.frozen(name):
                masks = (torch.tensor([[run.coupling == coupling and group in DECAY_SHARE[run.decay_mask] for run in row]
                                       for row in stack.runs], device=device) for coupling in ("lr_replay", "norm_replay"))
                self.masks[name] = tuple(mask if mask.any() else None for mask in masks)
        self.losses: list[np.ndarray] = []

    def see(self, loss: torch.Tensor) -> None:
        """Note a step's batch losses [R, C]."""
        self.losses.append(loss.detach().double().cpu().numpy())

    def rates(self, name: str, w: torch.Tensor, lr: torch.Tensor, schedule: float, d2: torch.Tensor) -> torch.Tensor:
        """eta_max [R, C] with which tensor `name` takes its next step; d2: its decoupled lambda, as in `updates.Decay`."""
        mask, _ = self.masks.get(name, (None, None))
        if mask is None:
            return lr
        own = norm(w, self.axis)
        ratio = own / own.gather(1, self.decayed)
        keep = 1.0 - (lr * schedule * d2.reshape(self.shape)).double().gather(1, self.decayed)
        # written out: a power rounds differently at the end of a vector than inside it
        factor = (ratio * ratio if self.square else ratio) / keep
        return torch.where(mask, lr * factor.to(lr.dtype), lr)

    def factors(self, name: str, w: torch.Tensor) -> torch.Tensor | None:
        """Factor [R, C], fp64, by which tensor `name` is rescaled after a step; None where no cell's is."""
        _, mask = self.masks.get(name, (None, None))
        if mask is None:
            return None
        own = norm(w, self.axis)
        return torch.where(mask, own.gather(1, self.decayed) / own, 1.0)

    def columns(self) -> dict[str, torch.Tensor]:
        """curve_gap, curve_gap_plain [R, C]: distance of the loss curve of the cell, and of the run without decay, from that of
        the decayed run; NaN for cells that follow none.
        """
        gap, plain = (np.full(self.shape, np.nan) for _ in range(2))
        curves = np.ascontiguousarray(np.moveaxis(np.stack(self.losses), 0, -1))
        for i, j in zip(*np.nonzero(self.following.numpy()), strict=True):
            decayed = curves[i, int(self.decayed[i, j])]
            gap[i, j] = distance(curves[i, j], decayed)
            plain[i, j] = distance(curves[i, int(self.plain[i, j])], decayed)
        return {"curve_gap": torch.tensor(gap), "curve_gap_plain": torch.tensor(plain)}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of two loss curves [T], each smoothed by a moving average over WINDOW steps (at most T)."""
    window = min(WINDOW, len(a))
    with np.errstate(invalid="ignore", over="ignore"):
        summed = np.concatenate([[0.0], np.cumsum(a - b)])
        return float(np.sqrt(np.mean(np.square((summed[window:] - summed[:-window]) / window))))
