"""Networks that a CPU computes faster one after another than stacked: convolutions and language models.

Each cell of a stack has a module of its own, whose parameters are the cell's part of the stack's memory: a step taken there in place
is the module's. What a cell yields cannot depend on a neighbour, so that its stack needs no padding.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.func import functional_call

from wdbench import precision

Params = Mapping[str, torch.Tensor]
# first part of a family's name; elsewhere than on a CPU all are stacked
FAMILIES = ("cnn", "resnet", "vgg", "gpt")


def is_apart(family: str, device: str | torch.device) -> bool:
    """Whether the cells of a family's stack are computed one after another."""
    return family in FAMILIES and torch.device(device).type == "cpu"


class Cells:
    """The modules of a stack: params {name: [R, C, *shape]}, forward pass in `compute`, results in the parameters' type."""

    def __init__(self, module: torch.nn.Module, loss: Callable[..., Any], params: Params, compute: torch.dtype) -> None:
        self.module, self.loss, self.params, self.compute = module, loss, params, compute
        first = next(iter(params.values()))
        self.shape, self.master = first.shape[:2], first.dtype
        self.places = [(i, j) for i in range(self.shape[0]) for j in range(self.shape[1])]
        self.own = [self._module(i, j) for i, j in self.places] if compute == self.master else []

    def _module(self, i: int, j: int) -> torch.nn.Module:
        """A copy of the module whose parameters lie in the stack."""
        module = copy.deepcopy(self.module)
        for name, w in self.params.items():
            layer, _, last = name.rpartition(".")
            owner = module.get_submodule(layer)
            owner._parameters[last] = torch.nn.Parameter(w[i, j])
        return module

    def gradient(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean data loss [R, C] and its gradient, keyed and shaped like the parameters; x [R, n, ...], y [R, n, ...]."""
        losses = torch.empty(self.shape, dtype=self.master)
        grads = {name: torch.empty_like(w) for name, w in self.params.items()}
        for k, (i, j) in enumerate(self.places):
            inputs = precision.inputs(x[i], self.compute)
            if self.own:
                leaves = list(self.own[k].parameters())
                value = self.loss(self.own[k](inputs), y[i])
            else:
                parts = {name: w[i, j].detach().requires_grad_() for name, w in self.params.items()}
                leaves = list(parts.values())
                cast = {name: w.to(self.compute) for name, w in parts.items()}
                value = self.loss(functional_call(self.module, cast, (inputs,)).to(self.master), y[i])
            losses[i, j] = value.detach()
            # a frozen tensor that feeds nothing trained still has a gradient; the engine passes over it
            for name, part in zip(self.params, torch.autograd.grad(value, leaves), strict=True):
                grads[name][i, j] = part
        return losses, grads


@torch.no_grad()
def predict(module: torch.nn.Module, params: Params, x: torch.Tensor, compute: torch.dtype, reference: int | None = None) -> torch.Tensor:
    """Outputs [R, n, C, ...] of params {name: [R, C, *shape]} on x [R, n, ...]; `reference` as in `stacked.predict`."""
    first = next(iter(params.values()))
    keywords = {} if reference is None else {"reference": reference}
    outputs = [
        torch.stack([functional_call(module, {name: w[i, j].to(compute) for name, w in params.items()},
                                     (precision.inputs(x[i], compute),), keywords).to(first.dtype) for j in range(first.shape[1])], 1)
        for i in range(first.shape[0])
    ]
    return torch.stack(outputs)
