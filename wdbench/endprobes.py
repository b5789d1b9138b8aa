"""The costly probes of `dynamics`, taken once, at a network's last weights, on fixed training rows of each replicate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wdbench import seeds
from wdbench.dynamics import curvature, jacobian, spectrum

if TYPE_CHECKING:
    from wdbench.cells import Data
    from wdbench.models.families import Family
    from wdbench.stack import Network, Stack

CURVATURE_ROWS, JACOBIAN_ROWS, SIGN_VECTORS = 256, 32, 10


def columns(names: str, family: "Family", options: Mapping[str, Any], network: "Network", stack: "Stack",
            data: "Mapping[int, Data]") -> dict[str, torch.Tensor]:
    """Columns [R, C] of the probes in `names` (joined by +).

    curvature: hessian_trace (Hutchinson, SIGN_VECTORS sign vectors, hidden and head weights) and its scale-free form; jacobian: norms
    of the derivative of logits and probabilities by weights and inputs, NaN for batch norm, where a row's outputs depend on the
    others; spectrum: stable and effective rank of the hidden weights.
    """
    found: dict[str, list[torch.Tensor]] = {}
    for i, replicate in enumerate(stack.replicates):
        own = {name: w[i : i + 1] for name, w in network.params.items()}
        d = data[replicate]
        part: dict[str, torch.Tensor] = {}
        if "curvature" in names.split("+"):
            x, y = _rows(d, CURVATURE_ROWS, own)
            weights = [name for name in own if network.group(name) not in ("bias", "norm")]
            shapes = {name: tuple(own[name].shape[2:]) for name in weights}
            signs = curvature.rademacher(seeds.generator(d.base, replicate, "probes"), shapes, SIGN_VECTORS, x.dtype)
            part["hessian_trace"] = curvature.trace(network.module, family.loss, own, x, y, signs)
            squares = [own[name].double().flatten(2).square().sum(-1) for name in weights]
            norm = sum(squares).sqrt()
            part["sharpness"] = curvature.scale_free(part["hessian_trace"], norm, sum(int(np.prod(s)) for s in shapes.values()))
        if "jacobian" in names.split("+"):
            x, _ = _rows(d, JACOBIAN_ROWS, own)
            if options.get("norm") == "bn":
                part |= dict.fromkeys(NAMES, torch.full((1, stack.shape[1]), float("nan"), dtype=torch.float64))
            else:
                part |= jacobian.columns(network.module, own, x)
        if "spectrum" in names.split("+"):
            part |= spectrum.ranks([w for name, w in own.items() if network.group(name) == "hidden"])
        for name, value in part.items():
            found.setdefault(name, []).append(value.double())
    return {name: torch.cat(parts) for name, parts in found.items()}


NAMES = tuple(f"{form}jacobian_{of}_{link}" for link in jacobian.LINKS for of in "wx" for form in ("", "relative_"))


def _rows(d: "Data", count: int, params: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """(x [1, n, ...], y [1, n]) of up to `count` training rows, evenly spaced."""
    like = next(iter(params.values()))
    rows = np.unique(np.linspace(0, len(d.y) - 1, min(count, len(d.y))).round().astype(int))
    return tuple(torch.as_tensor(a[rows]).to(like.device, like.dtype)[None] for a in (d.x, d.y))
