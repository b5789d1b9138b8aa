"""The sums over coordinates that `probes.py` takes of a step: one pass, coordinate by coordinate, fp64."""

import numpy as np
import torch

from wdbench.kernels.compiled import jit


@jit
def _sums(rounded: np.ndarray, without: np.ndarray, ideal: np.ndarray, idle: np.ndarray, start: np.ndarray, found: np.ndarray) -> None:
    """found [5, A, K or 1]: <applied, intended>, |intended|^2, |applied|^2, moved, lost, all over axis 1 (and 2 where the last is 1)."""
    A, J, K = start.shape
    single = found.shape[2] == 1
    for a in range(A):
        for j in range(J):
            for k in range(K):
                applied = rounded[a, j, k] - without[a, j, k]
                intended = ideal[a, j, k] - idle[a, j, k]
                moved = 1.0 if ideal[a, j, k] != start[a, j, k] else 0.0
                i = 0 if single else k
                found[0, a, i] += applied * intended
                found[1, a, i] += intended * intended
                found[2, a, i] += applied * applied
                found[3, a, i] += moved
                found[4, a, i] += moved if rounded[a, j, k] == start[a, j, k] else 0.0


def sums(rounded: torch.Tensor, without: torch.Tensor, ideal: torch.Tensor, idle: torch.Tensor, start: torch.Tensor,
         cell_axis: int) -> torch.Tensor:
    """[5, R, C] fp64 of tensors [R, C, ...] (cell_axis 1) or [R, d, k, C] (3): see `_sums`."""
    replicates, cells = start.shape[0], start.shape[cell_axis]
    shape = (replicates, -1, cells) if cell_axis != 1 else (replicates * cells, 1, -1)
    parts = [tensor.cpu().reshape(shape).contiguous().numpy() for tensor in (rounded, without, ideal, idle, start)]
    found = np.zeros((5, shape[0], cells if cell_axis != 1 else 1))
    _sums(*parts, found)
    return torch.from_numpy(found).reshape(5, replicates, cells)
