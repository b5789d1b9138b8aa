"""Gradient noise: trace of the covariance of per-example gradients, noise scale, SGD temperature.

McCandlish et al. 2018 (arXiv 1812.06162), app. A.1, from mean gradients over b and B rows: E|g_b|^2 = |G|^2 + tr(Sigma) / b, hence

    tr Sigma = (|g_b|^2 - |g_B|^2) / (1/b - 1/B)        |G|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b)

Both are unbiased and may be negative; their ratio is not unbiased, so that they are averaged over steps before it is taken. Where a
batch B is split into halves, the mean over all splits of the first is the batch's covariance trace with divisor B - 1, exactly.
Rows must not act on one another. Units: squared loss per squared weight; the noise scale is in examples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.func import grad, vmap

from wdbench.dynamics.stackwise import Params, dot, over_cells, run, squares

ROWS = 32


def two_batches(small: torch.Tensor, large: torch.Tensor, b: int, B: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(tr Sigma, |G|^2), each [R, C], from |g_b|^2 and |g_B|^2 [R, C]."""
    return (small - large) / (1.0 / b - 1.0 / B), (B * large - b * small) / (B - b)


def half_batches(gradient: Callable[..., Any], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """(mean of the halves' |g_b|^2, |g_B|^2, b, B): gradient(x, y) -> (loss, grads) on the two halves of x [R, B, ...], y [R, B].

    `gradient` as `Network.gradient`. The batch's gradient is the mean of the halves'; the last row of an odd batch is left out.
    """
    b = x.shape[1] // 2
    halves = [gradient(x[:, part], y[:, part])[1] for part in (slice(0, b), slice(b, 2 * b))]
    first, second = ({n: g.double() for n, g in half.items()} for half in halves)
    small = [sum(dot(half[n], half[n]) for n in half) for half in (first, second)]
    both = sum(dot(first[n] + second[n], first[n] + second[n]) for n in first) / 4.0
    return (small[0] + small[1]) / 2.0, both, b, 2 * b


@dataclass
class NoiseScale:
    """Sums over the observed batches of tr Sigma and |G|^2, each [R, C]."""

    trace: torch.Tensor | float = 0.0
    signal: torch.Tensor | float = 0.0
    count: int = 0

    def observe(self, gradient: Callable[..., Any], x: torch.Tensor, y: torch.Tensor) -> None:
        """Add one batch, split into halves; see `half_batches`."""
        trace, signal = two_batches(*half_batches(gradient, x, y))
        self.trace, self.signal, self.count = self.trace + trace, self.signal + signal, self.count + 1

    def columns(self) -> dict[str, torch.Tensor]:
        """gradient_noise: tr Sigma; gradient_signal: |G|^2; noise_scale: B_simple = tr Sigma / |G|^2; each [R, C]."""
        return {"gradient_noise": self.trace / self.count, "gradient_signal": self.signal / self.count,
                "noise_scale": self.trace / self.signal}


def temperature(lr: torch.Tensor, trace: torch.Tensor, batch: int) -> torch.Tensor:
    """Temperature of SGD eta tr(Sigma) / B, [R, C] (Mandt et al. 2017, arXiv 1704.04289, up to the number of parameters)."""
    return lr * trace / batch


def per_example(module: torch.nn.Module, loss: Callable[..., Any], params: Params, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Exact trace [R, C] of the covariance (divisor n - 1) of the n per-example gradients on the probe x [R, n, ...], y [R, n].

    sum_i |g_i - g|^2 / (n - 1) about the mean gradient g, ROWS examples of one cell at a time.
    """

    def slope(cell: Params, rows: torch.Tensor, targets: torch.Tensor) -> Params:
        return grad(lambda p: loss(run(module, p, rows), targets))(cell)

    def apart(cell: Params, centre: Params, row: torch.Tensor, target: torch.Tensor) -> Params:
        own = slope(cell, row[None], target[None])
        return {n: own[n] - centre[n] for n in own}

    def one(cell: Params, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        centre = slope(cell, rows, targets)
        each = vmap(apart, in_dims=(None, None, 0, 0))
        found = [squares(each(cell, centre, xs, ys).values(), 1)
                 for xs, ys in zip(rows.split(ROWS), targets.split(ROWS), strict=True)]
        return torch.cat(found).sum() / (len(rows) - 1)

    return over_cells(one, params, x, y)
