"""Networks of a million weights and more: trained one cell at a time, without vmap, a batch in parts where it would not fit.

Stacking pays where a step's arithmetic is small beside the calls that start it. A large network fills the machine by itself, and what
a stack pads and copies would not fit; each cell is then computed on its own, so that its bits cannot depend on a neighbour.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch.func import functional_call

from wdbench import models, precision

if TYPE_CHECKING:
    from wdbench.models.families import Family

LEAST_WEIGHTS = 1_000_000
# tokens a part of a language model's batch holds: its logits are 3.3 GB in fp32 at GPT-2's vocabulary
TOKENS_AT_ONCE = 16_384


@cache
def is_lone(model: str, features: int, outputs: int) -> bool:
    """Whether a model of data with so many features and outputs is trained alone."""
    family, options = models.parse(model)
    return not family.affine and weights(family, options, features, outputs) >= LEAST_WEIGHTS


def weights(family: "Family", options: Mapping[str, Any], features: int, outputs: int) -> int:
    """Number of a model's parameters, found without making them."""
    with torch.device("meta"):
        return sum(p.numel() for p in family.build(options, features, outputs).parameters())


def emptied(module: torch.nn.Module) -> None:
    """Give up the storage of a module's own parameters, which may be half a gigabyte: every call brings others."""
    for layer in module.modules():
        for name, value in layer._parameters.items():
            if value is not None:
                layer._parameters[name] = torch.nn.Parameter(value.to("meta"))


def predict(module: torch.nn.Module, params: dict[str, torch.Tensor], x: torch.Tensor, compute: torch.dtype,
            reference: int | None = None) -> torch.Tensor:
    """Outputs [1, n, C, ...] of params {name: [1, C, *shape]} on x [1, n, ...], cell by cell: forward pass in `compute`, result in the
    parameters' type. `reference` as in `stacked.predict`.
    """
    master = next(iter(params.values())).dtype
    keywords = {} if reference is None else {"reference": reference}
    outputs = []
    for j in range(next(iter(params.values())).shape[1]):
        cast = {name: w[0, j].to(compute) for name, w in params.items()}
        outputs.append(functional_call(module, cast, (precision.inputs(x[0], compute),), keywords).to(master))
    return torch.stack(outputs, 1)[None]


def gradient(module: torch.nn.Module, loss: Callable[..., Any], params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor,
             compute: torch.dtype) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Mean data loss [1, C] and its gradient, keyed and shaped like `params`; x [1, n, ...], y [1, n, ...].

    Tokens go through in parts of up to TOKENS_AT_ONCE: a row's loss does not depend on the others', so that the mean over the batch
    is the mean of the parts' means weighted by their rows. Other batches go through whole: a batch norm looks at all of its rows.
    """
    master = next(iter(params.values())).dtype
    rows = x.shape[1] if x.is_floating_point() else max(1, TOKENS_AT_ONCE // x.shape[2])
    losses, grads = [], {name: torch.zeros_like(w) for name, w in params.items()}
    for j in range(next(iter(params.values())).shape[1]):
        leaves = {name: w[0, j].detach().requires_grad_() for name, w in params.items()}
        total = torch.zeros((), dtype=master, device=x.device)
        for start in range(0, x.shape[1], rows):
            inputs, targets = x[0, start : start + rows], y[0, start : start + rows]
            cast = {name: w.to(compute) for name, w in leaves.items()}
            value = loss(functional_call(module, cast, (precision.inputs(inputs, compute),)).to(master), targets)
            share = len(targets) / x.shape[1]
            # a frozen tensor that feeds nothing trained still has a gradient; the engine passes over it
            for name, part in zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True):
                grads[name][0, j].add_(part, alpha=share)
            total += share * value.detach()
        losses.append(total)
    return torch.stack(losses)[None], grads
