"""The ball |w|_inf <= R that decoupled decay of Adam keeps to, and how nearly its end solves min L on it.

Where an update of Adam is at most 1 in each coordinate, decay by eta_t lambda holds a weight within R = 1 / lambda, and within
R = eta_max / lambda for the independent form. (It can exceed 1 while a gradient grows, by up to (1 - b1) / sqrt(1 - b2).) Xie & Li
2024 (arXiv 2404.04454): with full batches and a learning rate that falls to 0 AdamW can only converge to a point where the conditions
of min L(w), |w|_inf <= R hold, which are |w|_inf <= R and

    <g, w> + R |g|_1 = 0         g the gradient of L: where g_i is not 0, w_i = -R sign(g_i)

Divided by R |g|_1 it is `residual`: 0 where the conditions hold, 1 where g has nothing to do with w, 2 at the opposite corner; below
0 only outside of the ball.
"""

from collections.abc import Iterable

import torch

from wdbench import affine, stacked
from wdbench.dynamics.stackwise import Params, dot

NEAR = 0.9


def radius(coupling: str, lambda2: float, lr: float) -> float:
    """R of a cell; NaN where there is no ball: no decay, or one that is not in proportion to the weight alone."""
    if lambda2 == 0.0 or coupling not in ("decoupled", "independent"):
        return float("nan")
    return (lr if coupling == "independent" else 1.0) / lambda2


def residual(params: Params, grads: Params, radii: dict[str, torch.Tensor]) -> torch.Tensor:
    """(<g, w> + sum R_i |g_i|) / sum R_i |g_i| over the tensors that `radii` names, each R [R, C]; the result too, fp64."""
    inner = _add(dot(params[n], grads[n]) for n in radii)
    reach = _add(r.double() * affine.total(grads[n].double().abs(), stacked.CELL_AXIS) for n, r in radii.items())
    return inner / reach + 1.0


def columns(params: Params, radii: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """linf_share: share of the coordinates with |w| > NEAR R; linf_excess: largest |w| / R, less 1; each [R, C], fp64."""
    near, count, peaks = [], 0, []
    for name, r in radii.items():
        size = params[name].double().flatten(2).abs() / r.double()[..., None]
        near.append((size > NEAR).double().sum(-1))
        peaks.append(size.amax(-1))
        count += size.shape[-1]
    known = ~torch.stack(list(radii.values())).isnan().any(0)
    share = torch.where(known, _add(near) / count, float("nan"))
    return {"linf_share": share, "linf_excess": torch.stack(peaks).amax(0) - 1.0}


def _add(values: Iterable[torch.Tensor]) -> torch.Tensor:
    first, *rest = values
    return sum(rest, first)
