"""When a run has diverged, and what is kept of it."""

import numpy as np
import torch

from wdbench.kernels.compiled import jit

DIVERGED_FACTOR = 1e4


class Watch:
    """Notices divergence: a batch loss that is not finite or exceeds DIVERGED_FACTOR times (1 + the first one).

    step [R, C] int64: where it did, 0 for nowhere; last: the last batch loss before, largest: the largest absolute weight then; fp64.
    """

    def __init__(self, shape: tuple[int, int], cell_axis: int) -> None:
        self.cell_axis = cell_axis
        self.step = np.zeros(shape, np.int64)
        self.last, self.largest, self.limit = (np.full(shape, np.nan) for _ in range(3))

    def see(self, t: int, loss: torch.Tensor, params: dict[str, torch.Tensor]) -> None:
        """Note the batch losses [R, C] of step t = 1, 2, ..., and the weights that they are of."""
        found = loss.detach().cpu().numpy()
        if t == 1:
            self.limit = DIVERGED_FACTOR * (1.0 + found.astype(np.float64))
        if _see(t, found, self.limit, self.step, self.last):
            self._keep(self.step == t, params)

    def close(self, t: int, params: dict[str, torch.Tensor]) -> None:
        """Note the weights after the last step t."""
        new = (self.step == 0) & ~np.isfinite(self._largest(params, self.cell_axis).numpy())
        self.step[new] = t
        self._keep(new, params)

    def _keep(self, new: np.ndarray, params: dict[str, torch.Tensor]) -> None:
        self.largest[new] = self._largest(params, self.cell_axis).numpy()[new]

    @staticmethod
    def _largest(params: dict[str, torch.Tensor], cell_axis: int) -> torch.Tensor:
        def peak(w: torch.Tensor) -> torch.Tensor:
            return w.abs().double().amax([a for a in range(1, w.ndim) if a != cell_axis]).cpu()

        return torch.stack([peak(w) for w in params.values()]).amax(0)


@jit
def _see(t: int, loss: np.ndarray, limit: np.ndarray, step: np.ndarray, last: np.ndarray) -> bool:
    """Whether a cell diverges at step t; the losses of those that run on are kept."""
    found = False
    for r in range(loss.shape[0]):
        for c in range(loss.shape[1]):
            if step[r, c] == 0:
                if np.isfinite(loss[r, c]) and loss[r, c] <= limit[r, c]:
                    last[r, c] = loss[r, c]
                else:
                    step[r, c], found = t, True
    return found
