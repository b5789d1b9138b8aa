"""The models: ordinary torch modules of one model each, and the data loss that goes with it.

A model says nothing of stacks, penalties or precision. `Family` adds what the engine must know: how to build it for a data set,
its loss, and which of its parameters a weight penalty is for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


class Affine(nn.Module):
    """x [n, d] -> x W' + b [n, k]: linear, logistic (k = 1) and softmax models."""

    def __init__(self, n_features: int, n_outputs: int):
        super().__init__()
        self.out = nn.Linear(n_features, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


def squared_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean of 1/2 (z - y)^2; z [n, 1], y [n]."""
    return 0.5 * (z.squeeze(-1) - y).square().mean()


def logistic_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood, nats; z [n, 1] logits, y [n] in {0, 1}."""
    return F.binary_cross_entropy_with_logits(z.squeeze(-1), y)


def softmax_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, nats; z [n, k] logits, y [n] class numbers."""
    return -torch.log_softmax(z, -1).gather(-1, y.long().unsqueeze(-1)).mean()


@dataclass(frozen=True)
class Family:
    """A model as the engine sees it.

    build(n_features, n_outputs) -> module; loss(outputs, targets) -> mean data loss; is_bias(parameter name) -> not a weight;
    task: what data it is for; affine: whether the two-GEMM path of `affine.py` computes its gradient.
    """

    name: str
    task: str
    build: Callable[[int, int], nn.Module]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    is_bias: Callable[[str], bool]
    affine: bool = False


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a model family, also from a plugin. Raises ValueError where the name is taken."""
    if family.name in FAMILIES:
        raise ValueError(f"model {family.name!r} is registered already")
    FAMILIES[family.name] = family
    return family


def _bias(name: str) -> bool:
    return name.endswith("bias")


register(Family("linear", "regression", Affine, squared_loss, _bias, affine=True))
register(Family("logistic", "binary", Affine, logistic_loss, _bias, affine=True))
register(Family("softmax", "multiclass", Affine, softmax_loss, _bias, affine=True))
