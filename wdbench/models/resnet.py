"""Residual networks for small images (He et al. 2016, arXiv 1512.03385, section 4.2): 6 * depth + 2 layers.

Shortcuts have no parameters ("option A": every second pixel, new channels zero), so that every convolution feeds a norm:
`resnet:affine=no,head=frozen` is scale-invariant in all that is trained.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from wdbench.datasets.options import count
from wdbench.models import norms
from wdbench.models.cnn import Stem, side
from wdbench.models.families import Family, Setting, register
from wdbench.models.losses import softmax_loss

STAGES = 3


class Block(nn.Module):
    """x [n, a, s, s] -> relu(shortcut + norm(conv(relu(norm(conv x))))) [n, b, s / stride, s / stride]."""

    def __init__(self, a: int, b: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.stride, self.grown = stride, b - a
        self.conv1 = nn.Conv2d(a, b, 3, stride, padding=1, bias=False)
        self.norm1 = norm(b)
        self.conv2 = nn.Conv2d(b, b, 3, padding=1, bias=False)
        self.norm2 = norm(b)

    def forward(self, x: torch.Tensor, reference: int | None) -> torch.Tensor:
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.grown))
        x = self.norm1(self.conv1(x), reference).relu()
        return (shortcut + self.norm2(self.conv2(x), reference)).relu()


class ResNet(nn.Module):
    """x [n, channels*s*s] -> [n, channels, s, s] -> convolution, 3 stages of `depth` blocks, mean over pixels, linear [n, k]."""

    def __init__(self, options: Mapping[str, Any], n_features: int, n_outputs: int) -> None:
        super().__init__()
        width, norm = options["width"], norms.maker(options)
        self.channels = options["channels"]
        self.side = side("resnet", n_features, self.channels)
        self.conv = Stem(self.channels, width, bias=False)
        self.norm = norm(width)
        widths = [width] + [width * 2**stage for stage in range(STAGES) for _ in range(options["depth"])]
        self.blocks = nn.ModuleList(Block(a, b, 2 if b > a else 1, norm) for a, b in zip(widths, widths[1:], strict=False))
        self.head = nn.Linear(widths[-1], n_outputs)

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        x = x.reshape(x.shape[0], self.channels, self.side, self.side)
        x = self.norm(self.conv(x), reference).relu()
        for block in self.blocks:
            x = block(x, reference)
        return self.head(x.flatten(2).mean(-1))


OPTIONS = {
    "width": Setting(count("channels of the first stage; doubled by each further one", high=4096), 16),
    "depth": Setting(count("blocks of a stage: 1 is ResNet-8, 3 ResNet-20", high=64), 1),
    "channels": Setting(count("colours of the images", high=64), 1),
} | norms.settings("bn", "gn")

register(Family("resnet", ("multiclass",), ResNet, softmax_loss, options=OPTIONS, frozen=norms.frozen,
                conflict=norms.conflict(OPTIONS)))
