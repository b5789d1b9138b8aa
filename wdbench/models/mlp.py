"""Multilayer perceptrons with ReLU, optionally with batch norm.

`mlp:norm=bn,affine=no,head=frozen` is the scale-invariant network: every trained weight feeds a norm, so that f(a w) = f(w) for
a > 0, exactly where eps=0 (van Laarhoven 2017, arXiv 1706.05350; Li & Arora 2020, arXiv 1910.07454).
"""

import torch
from torch import nn

from wdbench.datasets.options import count
from wdbench.models import norms
from wdbench.models.families import Family, Setting, register
from wdbench.models.losses import softmax_loss


class MLP(nn.Module):
    """x [n, d] -> `depth` times (linear, norm, ReLU), then linear, [n, k]; a layer that feeds a norm has no bias."""

    def __init__(self, options, n_features: int, n_outputs: int):
        super().__init__()
        width, depth, norm = options["width"], options["depth"], norms.maker(options)
        sizes = [n_features] + [width] * depth
        self.hidden = nn.ModuleList(nn.Linear(a, width, bias=options["norm"] == "none") for a in sizes[:-1])
        self.norms = nn.ModuleList(norm(width) for _ in range(depth))
        self.head = nn.Linear(width, n_outputs)

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            x = norm(linear(x), reference).relu()
        return self.head(x)


OPTIONS = {
    "width": Setting(count("units of a hidden layer"), 64),
    "depth": Setting(count("hidden layers"), 2),
} | norms.settings("none", "bn")

register(Family("mlp", ("multiclass",), MLP, softmax_loss, options=OPTIONS, frozen=norms.frozen, conflict=norms.conflict(OPTIONS)))
