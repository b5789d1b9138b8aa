"""When a run has diverged, and what is kept of it."""

import torch

DIVERGED_FACTOR = 1e4


class Watch:
    """Notices divergence: a batch loss that is not finite or exceeds DIVERGED_FACTOR times (1 + the first one)."""

    def __init__(self, shape, cell_axis):
        self.cell_axis = cell_axis
        self.step = torch.zeros(shape, dtype=torch.int64)
        self.last = torch.full(shape, float("nan"), dtype=torch.float64)
        self.largest = torch.full(shape, float("nan"), dtype=torch.float64)
        self.limit = None

    def see(self, t, loss, params, final=False) -> None:
        loss = loss.detach().double().cpu()
        if self.limit is None:
            self.limit = DIVERGED_FACTOR * (1.0 + loss)
        fine = torch.isfinite(loss) & (loss <= self.limit)
        if final:
            fine = torch.isfinite(self._largest(params, self.cell_axis))
        alive = self.step == 0
        new = alive & ~fine
        if new.any():
            self.step[new] = t
            self.largest[new] = self._largest(params, self.cell_axis)[new]
        if not final:
            self.last = torch.where(alive & fine, loss, self.last)

    @staticmethod
    def _largest(params, cell_axis) -> torch.Tensor:
        def peak(w):
            return w.abs().double().amax([a for a in range(1, w.ndim) if a != cell_axis]).cpu()

        return torch.stack([peak(w) for w in params.values()]).amax(0)
