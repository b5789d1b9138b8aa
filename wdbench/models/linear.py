"""Affine models: linear, logistic and softmax regression."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wdbench.models.families import Family, group, register
from wdbench.models.losses import logistic_loss, softmax_loss, squared_loss


class Affine(nn.Module):
    """x [n, d] -> x W' + b [n, k]: linear, logistic (k = 1) and softmax models."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(n_features, n_outputs)

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        return self.out(x)


def _build(options: Mapping[str, Any], n_features: int, n_outputs: int) -> nn.Module:
    return Affine(n_features, n_outputs)


def _initial(options: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[str, float]:
    """N(0, 1) weights, which a run's init_scale multiplies; zero bias."""
    return ("constant", 0.0) if group(name) == "bias" else ("normal", 1.0)


for _name, _task, _loss in (("linear", "regression", squared_loss), ("logistic", "binary", logistic_loss),
                            ("softmax", "multiclass", softmax_loss)):
    register(Family(_name, (_task,), _build, _loss, _initial, affine=True))
