"""Multilayer perceptrons with ReLU, optionally with batch norm.

`mlp:norm=bn,affine=no,head=frozen` is the scale-invariant network: every trained weight feeds a norm, so that f(a w) = f(w) for
a > 0, exactly where eps=0 (van Laarhoven 2017, arXiv 1706.05350; Li & Arora 2020, arXiv 1910.07454).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wdbench import precision
from wdbench.datasets.options import count
from wdbench.models import norms
from wdbench.models.families import Family, Setting, register
from wdbench.models.losses import softmax_loss
from wdbench.models.mlp_training import training


class MLP(nn.Module):
    """x [n, d] -> `depth` times (linear, norm, ReLU), then linear, [n, k]; a layer that feeds a norm has no bias."""

    def __init__(self, options: Mapping[str, Any], n_features: int, n_outputs: int) -> None:
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


def stacked(options: Mapping[str, Any], params: dict[str, torch.Tensor], x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
    """Outputs [R, C, n, k] of a stack of `MLP`s whose cells share x [R, n, d]; params [R, C, *shape], in the type of x.

    Rows are innermost, [R, C, width, n], so that the first layer of all cells is one product and a norm sums along a contiguous
    axis. It does what vmap over `MLP.forward` does; a test holds one to the other.
    """
    replicates, cells, width, features = params["hidden.0.weight"].shape
    flat = params["hidden.0.weight"].reshape(replicates, cells * width, features)
    z = torch.bmm(flat, x.transpose(1, 2)).reshape(replicates * cells, width, -1)
    for i in range(options["depth"]):
        if i > 0:
            z = torch.bmm(params[f"hidden.{i}.weight"].flatten(0, 1), z)
        if f"hidden.{i}.bias" in params:
            z = z + params[f"hidden.{i}.bias"].flatten(0, 1)[..., None]
        if options["norm"] == "bn":
            gain, bias = (params[f"norms.{i}.{name}"].flatten(0, 1)[..., None] if options["affine"] == "yes" else None
                          for name in ("gain", "bias"))
            z = precision.widened(norms.normalise, z, gain, bias, options["eps"], reference)
        z = z.relu()
    z = torch.bmm(params["head.weight"].flatten(0, 1), z) + params["head.bias"].flatten(0, 1)[..., None]
    return z.transpose(1, 2).contiguous().unflatten(0, (replicates, cells))


OPTIONS = {
    "width": Setting(count("units of a hidden layer", high=65_536), 64),
    "depth": Setting(count("hidden layers", high=256), 2),
} | norms.settings("none", "bn")

register(Family("mlp", ("multiclass",), MLP, softmax_loss, options=OPTIONS, frozen=norms.frozen, conflict=norms.conflict(OPTIONS),
                stacked=stacked, training=training))
