"""Loss spikes: steps whose loss stands out of what came before.

Step t is a spike where, with m the median and MAD the median absolute deviation from it of the WINDOW losses before t,

    loss_t > m + max(5 * 1.48 MAD, 0.1 nat)

(1.48 MAD estimates a normal standard deviation.) A loss that is not finite counts as infinite. The first WINDOW steps have no verdict.
"""

import numpy as np
import torch

WINDOW, WIDTH, SCALE, FLOOR = 50, 5.0, 1.48, 0.1
_CHUNK_VALUES = 1 << 21


def limits(history: np.ndarray) -> np.ndarray:
    """Loss above which steps WINDOW, WINDOW + 1, ... are spikes: history [T, cells] gives [T - WINDOW, cells]; NaN: none is."""
    before = np.lib.stride_tricks.sliding_window_view(history, WINDOW, 0)[:-1]
    with np.errstate(invalid="ignore"):
        middle = np.median(before, -1)
        spread = np.median(abs(before - middle[..., None]), -1)
        return middle + np.maximum(WIDTH * SCALE * spread, FLOOR)


def _describe(loss: np.ndarray, limit: np.ndarray) -> tuple[int, int, int, float]:
    """(runs, steps, longest run, share of runs recovered) of one cell's losses [T] and limits [T - WINDOW]."""
    late = loss[WINDOW:]
    marks = np.diff((late > limit).astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(marks == 1), np.flatnonzero(marks == -1)
    lengths = ends - starts
    if not len(starts):
        return 0, 0, 0, float("nan")
    back = [bool((late[start:] <= limit[start]).any()) for start in starts]
    return len(starts), int(lengths.sum()), int(lengths.max()), float(np.mean(back))


def count(history: torch.Tensor) -> dict[str, torch.Tensor]:
    """Spikes of the losses [T, R, C] of T successive steps; each [R, C], fp64.

    spikes: runs of successive spike steps; spike_steps: such steps; spike_longest: steps of the longest run; spike_recovered: share of
    the runs after which some loss is back under the limit that held when the run began (NaN without spikes). All NaN where
    T <= WINDOW.
    """
    names = ("spikes", "spike_steps", "spike_longest", "spike_recovered")
    steps, *shape = history.shape
    cells = history.detach().double().cpu().reshape(steps, -1).numpy()
    cells = np.where(np.isfinite(cells), cells, np.inf)
    found = np.full((cells.shape[1], len(names)), np.nan)
    if steps > WINDOW:
        width = max(1, _CHUNK_VALUES // (steps * WINDOW))
        for first in range(0, cells.shape[1], width):
            part = cells[:, first : first + width]
            found[first : first + width] = [_describe(a, b) for a, b in zip(part.T, limits(part).T, strict=True)]
    return {name: torch.from_numpy(found[:, i].reshape(shape).copy()) for i, name in enumerate(names)}
