"""VGG with 16 layers (Simonyan & Zisserman 2015, arXiv 1409.1556, configuration D) for images of 32 x 32 pixels.

Thirteen 3x3 convolutions in five stages, each ended by a 2x2 max pool that leaves one pixel of 512 channels, then one linear layer, as
usual for small images, or three of 512 units. D'Angelo et al. 2024 (arXiv 2310.04415; github.com/tml-epfl/why-weight-decay,
overparameterized_nets/models/get_models.py) take three and leave batch norm out. Start values as in `preact`.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from wdbench.datasets.options import choice, count
from wdbench.errors import UserError
from wdbench.models import norms
from wdbench.models.cnn import Stem, side
from wdbench.models.families import Family, Setting, register
from wdbench.models.losses import softmax_loss
from wdbench.models.preact import initial

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
SIDE = 2 ** len(STAGES)


class VGG(nn.Module):
    """x [n, channels*32*32] -> [n, channels, 32, 32] -> stages of (convolution, norm, ReLU) and 2x2 max pool -> linear layers [n, k]."""

    def __init__(self, options: Mapping[str, Any], n_features: int, n_outputs: int) -> None:
        super().__init__()
        width, norm, bias, self.channels = options["width"], norms.maker(options), options["norm"] == "none", options["channels"]
        if side("vgg", n_features, self.channels) != SIDE:
            raise UserError(f"model 'vgg': rows of {n_features} features are no images of {self.channels} channels of {SIDE} x {SIDE} "
                            f"pixels; valid: data of {self.channels * SIDE * SIDE} features")
        widths = [width * factor for stage in STAGES for factor in stage]
        self.conv = nn.ModuleList([Stem(self.channels, widths[0], bias)] + [
            nn.Conv2d(a, b, 3, padding=1, bias=bias) for a, b in zip(widths, widths[1:], strict=False)])
        self.norms = nn.ModuleList(norm(b) for b in widths)
        self.linear = nn.ModuleList(nn.Linear(widths[-1], widths[-1]) for _ in range(int(options["classifier"]) - 1))
        self.head = nn.Linear(widths[-1], n_outputs)

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        x = x.reshape(x.shape[0], self.channels, SIDE, SIDE)
        layers = zip(self.conv, self.norms, strict=True)
        for stage in STAGES:
            for _ in stage:
                conv, norm = next(layers)
                x = norm(conv(x), reference).relu()
            x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        for linear in self.linear:
            x = linear(x).relu()
        return self.head(x)


OPTIONS = {
    "width": Setting(count("channels of the first stage; the last has eight times as many", high=4096), 64),
    "channels": Setting(count("colours of the images", high=64), 3),
    "classifier": Setting(choice("linear layers after the convolutions", "1", "3"), "1"),
} | norms.settings("none", "bn")

register(Family("vgg", ("multiclass",), VGG, softmax_loss, initial, options=OPTIONS, frozen=norms.frozen,
                conflict=norms.conflict(OPTIONS)))
