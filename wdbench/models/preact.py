"""Residual networks whose norms and ReLUs come before the convolutions (He et al. 2016, arXiv 1603.05027), for images of 32 x 32 pixels.

As in D'Angelo et al. 2024 (arXiv 2310.04415; github.com/tml-epfl/why-weight-decay, overparameterized_nets/models/get_models.py): a
batch norm of the pixels themselves, a 3x3 convolution at stride 1, four stages of two-layer blocks, norm, ReLU, mean over pixels,
linear. Shortcuts of blocks that halve the image are 1x1 convolutions of the normed input. Start values are those of that code too.
"""

from collections.abc import Callable, Mapping
from math import prod, sqrt
from typing import Any

import torch
from torch import nn

from wdbench.datasets.options import choice, count
from wdbench.models import norms
from wdbench.models.cnn import Stem, side
from wdbench.models.families import UNPENALISED, Family, Setting, group, register
from wdbench.models.losses import softmax_loss

BLOCKS = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3)}


class Block(nn.Module):
    """x [n, a, s, s] -> shortcut + conv(relu(norm(conv(relu(norm x))))) [n, b, s / stride, s / stride]."""

    def __init__(self, a: int, b: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(a), norm(b)
        self.conv1 = nn.Conv2d(a, b, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(b, b, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(a, b, 1, stride, bias=False) if stride > 1 or a != b else None

    def forward(self, x: torch.Tensor, reference: int | None) -> torch.Tensor:
        z = self.norm1(x, reference).relu()
        x = x if self.shortcut is None else self.shortcut(z)
        return x + self.conv2(self.norm2(self.conv1(z), reference).relu())


class PreActResNet(nn.Module):
    """x [n, channels*s*s] -> [n, channels, s, s] -> norm, convolution, stages, norm, ReLU, mean over pixels, linear [n, k]."""

    def __init__(self, options: Mapping[str, Any], n_features: int, n_outputs: int) -> None:
        super().__init__()
        width, norm, self.channels = options["width"], norms.maker(options), options["channels"]
        self.side = side("preact", n_features, self.channels)
        self.norm = norm(self.channels)
        self.conv = Stem(self.channels, width, bias=False)
        blocks, a = [], width
        for stage, repeats in enumerate(BLOCKS[options["layers"]]):
            for place in range(repeats):
                b = width * 2**stage
                blocks.append(Block(a, b, 2 if stage and not place else 1, norm))
                a = b
        self.blocks = nn.ModuleList(blocks)
        self.norm_out = norm(a)
        self.head = nn.Linear(a, n_outputs)

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        x = x.reshape(x.shape[0], self.channels, self.side, self.side)
        x = self.conv(self.norm(x, reference))
        for block in self.blocks:
            x = block(x, reference)
        return self.head(self.norm_out(x, reference).relu().flatten(2).mean(-1))


def initial(options: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[str, float]:
    """Convolutions N(0, 2 / fan-out) (He et al. 2015, arXiv 1502.01852, eq. 14); linear layers with the variance of torch's default,
    1 / (3 fan-in), drawn from a normal distribution; gains 1 and biases 0.
    """
    if group(name) in UNPENALISED:
        return "constant", float(name.endswith("gain"))
    return "normal", sqrt(1 / (3 * shape[1])) if len(shape) == 2 else sqrt(2 / (shape[0] * prod(shape[2:])))


OPTIONS = {
    "layers": Setting(choice("layers with weights, as the model is named after", *BLOCKS), "18"),
    "width": Setting(count("channels of the first stage; doubled by each further one", high=4096), 64),
    "channels": Setting(count("colours of the images", high=64), 3),
} | norms.settings("bn")

register(Family("preact", ("multiclass",), PreActResNet, softmax_loss, initial, options=OPTIONS, frozen=norms.frozen,
                conflict=norms.conflict(OPTIONS)))
