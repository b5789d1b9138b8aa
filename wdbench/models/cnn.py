"""A small convolutional network: conv16-conv32, 3x3, with ReLU and max pooling."""

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from wdbench.datasets.options import count
from wdbench.errors import UserError
from wdbench.models import norms
from wdbench.models.families import Family, Setting, register
from wdbench.models.losses import softmax_loss

LEAST_SIDE = 4


def side(name: str, n_features: int, channels: int = 1) -> int:
    """Side s of the images that rows of n_features = channels * s * s are; raises UserError where they are none."""
    found = isqrt(n_features // channels)
    if found < LEAST_SIDE or channels * found * found != n_features:
        raise UserError(f"model {name!r}: rows of {n_features} features are no square images of {channels} channels; "
                        f"valid: data of {channels} * s * s features, s at least {LEAST_SIDE}")
    return found


class Stem(nn.Conv2d):
    """A 3x3 convolution of the input itself, x [n, a, s, s] -> [n, b, s, s], written as one product.

    Cells of a stack share that input. torch's convolution would then fold the cells into channels and take another kernel, with
    other bits, where there is one replicate; a product is batched the same way for any number of them.
    """

    def __init__(self, a: int, b: int, bias: bool) -> None:
        super().__init__(a, b, 3, padding=1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, _, height, width = x.shape
        z = self.weight.flatten(1) @ F.unfold(x, 3, padding=1).transpose(0, 1).flatten(1)
        z = z if self.bias is None else z + self.bias[:, None]
        return z.reshape(-1, n, height, width).transpose(0, 1)


class CNN(nn.Module):
    """x [n, s*s] -> [n, 1, s, s] -> twice (3x3 convolution, norm, ReLU, 2x2 max pool) -> linear [n, k]."""

    def __init__(self, options: Mapping[str, Any], n_features: int, n_outputs: int) -> None:
        super().__init__()
        width, norm, bias = options["width"], norms.maker(options), options["norm"] == "none"
        self.side = side("cnn", n_features)
        self.conv = nn.ModuleList((Stem(1, width, bias), nn.Conv2d(width, 2 * width, 3, padding=1, bias=bias)))
        self.norms = nn.ModuleList((norm(width), norm(2 * width)))
        self.head = nn.Linear(2 * width * (self.side // 4) ** 2, n_outputs)

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        x = x.reshape(x.shape[0], 1, self.side, self.side)
        for conv, norm in zip(self.conv, self.norms, strict=True):
            x = F.max_pool2d(norm(conv(x), reference).relu(), 2)
        return self.head(x.flatten(1))


OPTIONS = {"width": Setting(count("channels of the first convolution; the second has twice as many", high=4096), 16)} \
    | norms.settings("none", "bn", "gn")

register(Family("cnn", ("multiclass",), CNN, softmax_loss, options=OPTIONS, frozen=norms.frozen, conflict=norms.conflict(OPTIONS)))
