"""Does the training loss still fall? The slope of its logarithm over the logarithm of time.

Without decay the cross-entropy of a separable problem falls as a power of time, a straight line on these axes (Soudry et al. 2018,
arXiv 1710.10345: as 1/t, slope -1); where a noisy equilibrium holds it up the slope is 0.
"""

import math

import torch

FLOOR = 1e-12


def slope(steps: list[int], losses: list[torch.Tensor]) -> torch.Tensor:
    """Least-squares slope of log10(loss) on log10(step), decades a decade, [R, C] fp64; losses: one [R, C] a step, FLOOR at least.

    NaN with fewer than two steps, and where a loss is not finite.
    """
    if len(steps) < 2:
        return torch.full_like(losses[0], float("nan"), dtype=torch.float64) if losses else torch.tensor(float("nan"))
    x = [math.log10(t) for t in steps]
    centre = math.fsum(x) / len(x)
    y = [torch.where(v.isfinite(), v.double().clamp_min(FLOOR), float("nan")).log10() for v in losses]
    # a written-out sum over the steps: no cell's bits depend on the others
    return sum((a - centre) * v for a, v in zip(x, y, strict=True)) / math.fsum((a - centre) ** 2 for a in x)
