"""Hessian of the mean data loss (the penalty is not part of it): trace, top eigenvalue, scale-free sharpness.

H is taken with respect to the tensors that the probe or start vector names; the others are held. The graph of a cell's gradient g is
kept, and each product H v is one pass back through it, d<g, v>/dw (Pearlmutter 1994), on a fixed probe batch x [R, n, ...],
y [R, n], in the parameters' type. Units: nats (or the loss's) per squared weight.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from wdbench.dynamics.stackwise import Params, over_cells, run, squares

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Vector = list[torch.Tensor]


def rademacher(generator: np.random.Generator, shapes: dict[str, tuple[int, ...]], probes: int, dtype: torch.dtype) -> Params:
    """`probes` vectors of independent fair signs, name -> [P, *shape]."""
    return {name: torch.as_tensor(2 * generator.integers(0, 2, (probes, *shape)) - 1).to(dtype) for name, shape in shapes.items()}


def _product(module: torch.nn.Module, loss: Loss, cell: Params, x: torch.Tensor, y: torch.Tensor,
             names: Iterable[str]) -> Callable[[Vector], Vector]:
    """v -> H v of one cell (parameters [*shape]), over the tensors `names` in their order."""
    active = [cell[n].requires_grad_() for n in names]
    with torch.enable_grad():
        slope = torch.autograd.grad(loss(run(module, cell, x), y), active, create_graph=True)
    return lambda v: list(torch.autograd.grad(slope, active, v, retain_graph=True, materialize_grads=True))


def _dot(a: Vector, b: Vector) -> torch.Tensor:
    return sum((u.double() * v.double()).reshape(-1).sum() for u, v in zip(a, b, strict=True))


def quadratic_forms(module: torch.nn.Module, loss: Loss, params: Params, x: torch.Tensor, y: torch.Tensor, probes: Params) -> torch.Tensor:
    """v' H v for each probe v: probes name -> [P, *shape] gives [P, R, C]."""
    vectors = [list(v) for v in zip(*probes.values(), strict=True)]

    def one(cell: Params, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        product = _product(module, loss, cell, rows, targets, probes)
        return torch.stack([_dot(product(v), v) for v in vectors])

    return over_cells(one, params, x, y)


def trace(module: torch.nn.Module, loss: Loss, params: Params, x: torch.Tensor, y: torch.Tensor, probes: Params) -> torch.Tensor:
    """Hutchinson's estimate (1990) of tr H, [R, C]: mean of v' H v over sign vectors v, name -> [P, *shape].

    Unbiased, with variance 2 sum_{i != j} H_ij^2 / P: exact for a diagonal H, and over all sign vectors.
    """
    forms = quadratic_forms(module, loss, params, x, y, probes)
    return forms.movedim(0, -1).contiguous().mean(-1)


def top_eigenvalue(module: torch.nn.Module, loss: Loss, params: Params, x: torch.Tensor, y: torch.Tensor, start: Params,
                   iterations: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """(eigenvalue of H of largest modulus, signed; |H v - value v| / |value|), each [R, C], by power iteration.

    start: name -> [*shape], shared by all cells. The first is the Rayleigh quotient v' H v of the last unit v; some eigenvalue lies
    within the second, relative, of it. A saddle with a dominant negative eigenvalue shows as a negative value.
    """

    def one(cell: Params, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        product = _product(module, loss, cell, rows, targets, start)
        curved = list(start.values())
        for _ in range(iterations):
            size = squares(curved).sqrt()
            v = [u / torch.where(size > 0, size, 1.0).to(u.dtype) for u in curved]
            curved = product(v)
        value = _dot(curved, v) / squares(v)
        rest = [u.double() - value * w.double() for u, w in zip(curved, v, strict=True)]
        return torch.stack([value, squares(rest).sqrt() / value.abs()])

    value, residual = over_cells(one, params, x, y)
    return value, residual


def scale_free(trace: torch.Tensor, norm: torch.Tensor, coordinates: int) -> torch.Tensor:
    """Scale-free sharpness tr(H) |w|^2 / d, [R, C], in nats.

    Where f(a w) = f(w), tr H falls as 1 / |w|^2 however flat the minimum is (van Laarhoven 2017, arXiv 1706.05350); this does not.
    norm: |w| [R, C] over the d = `coordinates` that H is taken over.
    """
    return trace * norm.square() / coordinates
