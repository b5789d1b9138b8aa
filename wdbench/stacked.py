"""Losses and gradients of any stacked torch module: torch.func.vmap over arms, then over replicates.

Parameters are [R, C, *shape]; arms of a replicate share its batch x [R, B, ...], y [R, B, ...].
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.func import functional_call, grad_and_value, vmap

from wdbench import precision
from wdbench.models.losses import FEW_CLASSES, softmax_loss, softmax_loss_and_slope

if TYPE_CHECKING:
    from wdbench.models.families import Family

CELL_AXIS = 1
# a batch of one product takes another kernel than a batch of several; found by trial, held by tests/test_engine.py
ARMS_MULTIPLE = 4
# rows of a forward pass are padded to a multiple of this: a product's bits depend on whether its matrices start at 16 bytes
ROWS_MULTIPLE = 16


def initial(family: "Family", options: Mapping[str, Any], module: torch.nn.Module, normals: dict[str, torch.Tensor],
            scale: torch.Tensor) -> dict[str, torch.Tensor]:
    """Stack of start values [R, C, *shape]: the family's std times normals[name] [R, *shape] times scale [R, C], or its constant."""
    params = {}
    for name, value in module.named_parameters():
        kind, number = family.initial(options, name, tuple(value.shape))
        factor = scale.reshape(*scale.shape, *(1,) * value.ndim)
        draws = normals[name][:, None] * factor
        params[name] = draws * number if kind == "normal" else torch.full_like(draws, number)
    return params


def predict(module: torch.nn.Module, params: dict[str, torch.Tensor], x: torch.Tensor, compute: torch.dtype, reference: int | None = None,
            forward: Callable[..., Any] | None = None) -> torch.Tensor:
    """Outputs [R, B, C, *k], forward pass in `compute`, result in the parameters' type.

    `reference`: batch norms take their statistics from the first `reference` rows of x alone. forward(params, x, reference) ->
    [R, C, B, *k] is the family's own way for a whole stack; without it the module runs under vmap.
    """
    master = next(iter(params.values())).dtype
    rows = x.shape[1]
    x = torch.cat([x, x[:, :1].expand(-1, -rows % ROWS_MULTIPLE, *x.shape[2:])], 1)
    reference = rows if reference is None else reference
    if forward is not None:
        cast = {n: v.to(compute) for n, v in params.items()}
        return forward(cast, precision.inputs(x, compute), reference).to(master).transpose(1, 2)[:, :rows]
    keywords = {"reference": reference}

    def one(p: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        cast = {n: v.to(compute) for n, v in p.items()}
        return functional_call(module, cast, (precision.inputs(inputs, compute),), keywords).to(master)

    return vmap(vmap(one, in_dims=(0, None), out_dims=1), in_dims=(0, 0))(params, x)[:, :rows]


def gradient(module: torch.nn.Module, loss: Callable[..., Any], params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor,
             compute: torch.dtype, forward: Callable[..., Any] | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Mean data loss [R, C] and its gradient, keyed and shaped like `params`; `forward` as in `predict`."""
    master = next(iter(params.values())).dtype
    if forward is not None:
        leaves = {n: v.detach().requires_grad_() for n, v in params.items()}
        z = forward({n: v.to(compute) for n, v in leaves.items()}, precision.inputs(x, compute), None).to(master)
        if loss is softmax_loss and z.shape[-1] <= FEW_CLASSES:
            losses, slope = softmax_loss_and_slope(z.detach(), y)
            return losses, dict(zip(leaves, torch.autograd.grad(z, list(leaves.values()), slope), strict=True))
        losses = vmap(vmap(loss, in_dims=(0, None)), in_dims=(0, 0))(z, y)
        # a cell's loss depends on its own parameters alone, so the gradient of the sum is each cell's own
        grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
        return losses.detach(), dict(zip(leaves, grads, strict=True))

    def one(p: dict[str, torch.Tensor], rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        outputs = functional_call(module, {n: v.to(compute) for n, v in p.items()}, (precision.inputs(rows, compute),))
        return loss(outputs.to(master), targets)

    grads, losses = vmap(vmap(grad_and_value(one), in_dims=(0, None, None)), in_dims=(0, 0, 0))(params, x, y)
    return losses, grads
