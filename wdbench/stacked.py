"""Losses and gradients of any stacked torch module: torch.func.vmap over arms, then over replicates.

Parameters are [R, C, *shape]; arms of a replicate share its batch x [R, B, ...], y [R, B].
"""

from collections.abc import Callable

import torch
from torch.func import functional_call, grad_and_value, vmap

CELL_AXIS = 1


def initial(module: torch.nn.Module, init: dict[str, torch.Tensor], scale: torch.Tensor) -> dict[str, torch.Tensor]:
    """Stack of start values: init[name] [R, *shape] times scale [R, C]."""
    return {
        name: value[:, None] * scale.reshape(*scale.shape, *(1,) * (value.ndim - 1))
        for name, value in ((n, init[n]) for n, _ in module.named_parameters())
    }


def predict(module: torch.nn.Module, params, x: torch.Tensor, compute: torch.dtype) -> torch.Tensor:
    """Outputs [R, B, C, k], forward pass in `compute`, result in the parameters' type."""
    master = next(iter(params.values())).dtype

    def one(p, rows):
        return functional_call(module, {n: v.to(compute) for n, v in p.items()}, (rows.to(compute),)).to(master)

    return vmap(vmap(one, in_dims=(0, None), out_dims=1), in_dims=(0, 0))(params, x)


def gradient(module, loss: Callable, params, x, y, compute: torch.dtype):
    """Mean data loss [R, C] and its gradient, keyed and shaped like `params`."""
    master = next(iter(params.values())).dtype

    def one(p, rows, targets):
        outputs = functional_call(module, {n: v.to(compute) for n, v in p.items()}, (rows.to(compute),))
        return loss(outputs.to(master), targets)

    grads, losses = vmap(vmap(grad_and_value(one), in_dims=(0, None, None)), in_dims=(0, 0, 0))(params, x, y)
    return losses, grads
