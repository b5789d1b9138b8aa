"""Sums over a cell's coordinates, tensor groups, and running a function over the cells of a stack."""

from collections.abc import Callable, Iterable

import torch
from torch.func import functional_call

from wdbench import affine, stacked

Params = dict[str, torch.Tensor]
Group = Callable[[str], str | None]
TOTAL = "total"


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """<a, b> of each cell: [R, C, *shape] twice -> [R, C], products and sum in fp64."""
    return affine.total(a.double() * b.double(), stacked.CELL_AXIS)


def groups(names: Iterable[str], group: Group) -> dict[str, list[str]]:
    """Tensor names by group, in the order of `names`; `total` holds all. `group(name)` None leaves a tensor out."""
    found: dict[str, list[str]] = {}
    for name in names:
        kind = group(name)
        if kind is not None:
            found.setdefault(kind, []).append(name)
            found.setdefault(TOTAL, []).append(name)
    return found


def add_up(values: Params, members: dict[str, list[str]]) -> dict[str, torch.Tensor]:
    """Sum over the tensors of each group, in the order listed; values name -> [R, C]."""
    return {kind: sum((values[n] for n in names[1:]), values[names[0]]) for kind, names in members.items()}


def over_cells(function: Callable[..., torch.Tensor], params: Params, *shared: torch.Tensor) -> torch.Tensor:
    """function(a cell's own copy of its parameters [*shape], *shared[r]) -> [...], for every cell, joined to [..., R, C].

    shared: tensors [R, ...] such as the probe batch. Shapes and alignment are those of one cell, so that its bits are its own.
    """
    replicates, arms = next(iter(params.values())).shape[:2]
    found = [function({n: w[r, c].detach().clone() for n, w in params.items()}, *(s[r].clone() for s in shared))
             for r in range(replicates) for c in range(arms)]
    return torch.stack(found, -1).unflatten(-1, (replicates, arms))


def squares(values: Iterable[torch.Tensor], leading: int = 0) -> torch.Tensor:
    """Sum of squares over one cell's tensors and their coordinates, in fp64: [*leading axes, *shape] each gives [*leading axes]."""
    return sum(torch.linalg.vector_norm(v.reshape(*v.shape[:leading], -1), dim=-1, dtype=torch.float64).square() for v in values)


def run(module: torch.nn.Module, params: Params, x: torch.Tensor) -> torch.Tensor:
    """Outputs [n, k] of one cell (parameters [*shape]) on rows x [n, ...]."""
    return functional_call(module, params, (x,))
