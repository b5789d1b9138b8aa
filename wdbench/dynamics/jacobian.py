"""Jacobians of a network's outputs: with respect to its parameters and to its inputs. Two different things share the name.

With f_i in R^k the outputs on row i of the probe batch, |J| = sqrt(mean_i |df_i|_F^2): the Frobenius norm of the batch's Jacobian over
sqrt(n), a number that does not depend on how many rows the probe has. Exact for k <= EXACT outputs, by one vjp per output; for more,
Hutchinson's estimate over sign vectors s [P, k] that the caller gives: E |J_i' s|^2 = |J_i|_F^2. Rows must not act on one another (norm
layers in eval mode).
"""

import torch
from torch.func import grad, vmap

from wdbench.dynamics.stackwise import Params, over_cells, run, squares

EXACT = 64
ROWS = 32
LINKS = ("logits", "softmax")


def _outputs(module: torch.nn.Module, params: Params, x: torch.Tensor, link: str) -> torch.Tensor:
    """f [n, k]; `softmax`: class probabilities, for k = 1 that of class 1."""
    z = run(module, params, x)
    if link == "logits":
        return z
    if link != "softmax":
        raise ValueError(f"unknown link {link!r}; one of {', '.join(LINKS)}")
    if z.shape[-1] > 1:
        return torch.softmax(z, -1)
    return torch.softmax(torch.cat([torch.zeros_like(z), z], -1), -1)[..., 1:]


def _directions(module: torch.nn.Module, params: Params, x: torch.Tensor, signs: torch.Tensor | None) -> tuple[torch.Tensor, float]:
    """(cotangents [P, k], weight of each in the sum of squares)."""
    if signs is not None:
        return signs, 1.0 / len(signs)
    k = run(module, {n: w[0, 0] for n, w in params.items()}, x[0, :1]).shape[-1]
    if k > EXACT:
        raise ValueError(f"{k} outputs: exact up to {EXACT}, give signs [P, {k}] for an estimate")
    return torch.eye(k, dtype=next(iter(params.values())).dtype, device=x.device), 1.0


def parameter_norm(module: torch.nn.Module, params: Params, x: torch.Tensor, link: str = "logits", signs: torch.Tensor | None = None,
                   names: frozenset[str] | None = None) -> torch.Tensor:
    """sqrt(mean_i |df_i/dw|_F^2), [R, C], over all parameters or those in `names`; x [R, n, ...].

    The gradients of ROWS rows are held at a time, of one cell and one direction.
    """
    cotangents, weight = _directions(module, params, x, signs)

    def slope(active: Params, held: Params, row: torch.Tensor, cotangent: torch.Tensor) -> Params:
        return grad(lambda p: (_outputs(module, {**held, **p}, row[None], link)[0] * cotangent).sum())(active)

    def one(cell: Params, rows: torch.Tensor) -> torch.Tensor:
        active = {n: w for n, w in cell.items() if names is None or n in names}
        held = {n: w for n, w in cell.items() if n not in active}
        of_rows = vmap(slope, in_dims=(None, None, 0, None))
        found = [sum(squares(of_rows(active, held, chunk, s).values(), 1) for s in cotangents) for chunk in rows.split(ROWS)]
        return (torch.cat(found).mean() * weight).sqrt()

    return over_cells(one, params, x)


def input_norm(module: torch.nn.Module, params: Params, x: torch.Tensor, link: str = "logits",
               signs: torch.Tensor | None = None) -> torch.Tensor:
    """sqrt(mean_i |df_i/dx_i|_F^2), [R, C]; x [R, n, ...] of a floating type."""
    cotangents, weight = _directions(module, params, x, signs)

    def one(cell: Params, rows: torch.Tensor) -> torch.Tensor:
        slope = lambda s: grad(lambda inputs: (_outputs(module, cell, inputs, link) * s).sum())(rows)
        return (sum(squares([slope(s)]) for s in cotangents) * (weight / len(rows))).sqrt()

    return over_cells(one, params, x)


def output_norm(module: torch.nn.Module, params: Params, x: torch.Tensor, link: str = "logits") -> torch.Tensor:
    """sqrt(mean_i |f_i|^2), [R, C], by which the other two are divided: |J| / |f| does not grow with the scale of the outputs."""

    def one(cell: Params, rows: torch.Tensor) -> torch.Tensor:
        return (squares([_outputs(module, cell, rows, link)]) / len(rows)).sqrt()

    return over_cells(one, params, x)


def columns(module: torch.nn.Module, params: Params, x: torch.Tensor, signs: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """jacobian_{w,x}_{logits,softmax} and their ratios to |f|, relative_jacobian_...; each [R, C]."""
    found = {}
    for link in LINKS:
        size = output_norm(module, params, x, link)
        for kind, norm in (("w", parameter_norm), ("x", input_norm)):
            value = norm(module, params, x, link, signs)
            found[f"jacobian_{kind}_{link}"], found[f"relative_jacobian_{kind}_{link}"] = value, value / size
    return found
