"""Weights held on a sphere: every hidden matrix is brought back to its initial norm, after each step or once an epoch.

Where a norm follows a matrix its length is without effect on the function and only slows the step down, which turns it by eta |g| / |w|;
on the sphere |w| stays, and eta alone decides (D'Angelo et al. 2024, arXiv 2310.04415, figure 2). Decay then has nothing left to do
but to make that step a little longer: the direction of (1 - eta lambda) w - eta g is that of w - eta / (1 - eta lambda) g.
`epoch` is what the paper's own code does, and lets the norm drift in between.
"""

from typing import TYPE_CHECKING

import torch

from wdbench.follow import norm

if TYPE_CHECKING:
    from wdbench.stack import Network, Stack


class Sphere:
    """Initial norms of a stack's hidden matrices, and when they are restored."""

    def __init__(self, kind: str, stack: "Stack", network: "Network", rows: list[int], batch: int, device: str) -> None:
        """kind: none, step or epoch; rows: training rows of each replicate, of which an epoch takes rows // batch batches."""
        every = {"none": [0] * len(rows), "step": [1] * len(rows), "epoch": [count // batch for count in rows]}[kind]
        self.every = torch.tensor(every, device=device)[:, None]
        self.axis = network.cell_axis
        self.radius = {} if kind == "none" else {
            name: norm(w, self.axis) for name, w in network.params.items() if network.group(name) == "hidden"
        }

    def factors(self, name: str, w: torch.Tensor, t: int) -> torch.Tensor | None:
        """Factor [R, C], fp64, that brings tensor `name` back after step t; None where nothing is due."""
        if name not in self.radius:
            return None
        due = t % self.every == 0
        return torch.where(due, self.radius[name] / norm(w, self.axis), 1.0) if due.any() else None
