"""A stack's batches: the rows of every replicate's next step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# bytes of a replicate's training rows that are held in the type they are computed in; of more, each batch is converted by itself
HELD_BYTES = 2**28
# steps whose row numbers are made ready at once
AHEAD = 1024


class Feed:
    """x [R, B, ...] and y [R, B, ...] of step t = 1, 2, ...

    parts: (x, y) of each replicate, x anything whose rows can be taken by number; order: row numbers [steps, B] of each; types: those
    that x and y are computed in.
    """

    def __init__(self, parts: Sequence[tuple[Any, Any]], order: Sequence[np.ndarray], types: tuple[torch.dtype, torch.dtype],
                 device: str | torch.device) -> None:
        self.order, self.types, self.device, self.parts = order, types, device, parts
        held = [_held([pair[i] for pair in parts], types[i], device) for i in (0, 1)]
        self.rows = None if held[0] is None or held[1] is None else held
        self.starts = np.cumsum([0, *(len(y) for _, y in parts)])[:-1, None]
        self.index = torch.empty(0)

    def at(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batches of step t; steps are asked for in turn."""
        if self.rows is None:
            x, y = (torch.stack([_converted(pair[i], rows[t - 1], kind, self.device)
                                 for pair, rows in zip(self.parts, self.order, strict=True)])
                    for i, kind in enumerate(self.types))
            return x, y
        step = (t - 1) % AHEAD
        if step == 0:
            rows = np.stack([rows[t - 1 : t - 1 + AHEAD] for rows in self.order], 1) + self.starts
            self.index = torch.as_tensor(rows).to(self.device)
        # every step's rows are a tensor of their own: products depend on where in memory a matrix begins
        index = self.index[step].reshape(-1)
        x, y = (kept.index_select(0, index).reshape(*self.index.shape[1:], *kept.shape[1:]) for kept in self.rows)
        return x, y


def _held(arrays: Sequence[Any], dtype: torch.dtype, device: str | torch.device) -> torch.Tensor | None:
    """Rows of all replicates, one under the other, in the type that they are computed in; None where they are too many to hold."""
    largest = max(np.prod(array.shape, dtype=float) for array in arrays) * dtype.itemsize
    if largest > HELD_BYTES or not all(isinstance(array, np.ndarray) for array in arrays):
        return None
    rows = torch.empty((sum(len(array) for array in arrays), *arrays[0].shape[1:]), dtype=dtype, device=device)
    start = 0
    for array in arrays:
        # a file that is mapped read-only is copied: torch knows no tensor that must not be written to
        rows[start : start + len(array)] = torch.as_tensor(np.require(array, requirements="W")).to(device)
        start += len(array)
    return rows


def _converted(array: Any, rows: np.ndarray, dtype: torch.dtype, device: str | torch.device) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(array[rows])).to(device=device, dtype=dtype)
