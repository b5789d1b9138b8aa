"""The stacked form of a program's cells: a rectangle of per-cell numbers, and parameters that broadcast against them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from wdbench import affine, seeds, stacked, updates
from wdbench import precision as precisions


def padded(arms: int, precision: str) -> int:
    multiple = affine.ARMS_MULTIPLE[precisions.make(precision, "kahan" if precision == "bf16_weights" else "none").master]
    return -(-arms // multiple) * multiple


class Stack:
    """Numbers [R, C] of a chunk, padded by repeating each replicate's first cell."""

    def __init__(self, runs, chunk, precision, dtype):
        self.replicates = list(chunk)
        arms = padded(max(len(members) for members in chunk.values()), precision)
        self.positions = [members + members[:1] * (arms - len(members)) for members in chunk.values()]
        self.runs = [[runs[p] for p in row] for row in self.positions]
        self.dtype = dtype
        self.shape = (len(self.replicates), arms)

    def numbers(self, function) -> torch.Tensor:
        return torch.tensor([[function(run) for run in row] for row in self.runs], dtype=self.dtype)


@dataclass
class Network:
    """Stacked parameters with the layout-dependent operations on them."""

    params: dict[str, torch.Tensor]
    cell_axis: int
    is_bias: Callable[[str], bool]
    gradient: Callable | None = None
    predict: Callable | None = None

    def spread(self, numbers: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """[R, C] numbers shaped so that they broadcast against w."""
        shape = [1] * w.ndim
        shape[0], shape[self.cell_axis] = numbers.shape
        return numbers.reshape(shape)


def build(family, features, outputs, stack, data, precision, device) -> Network:
    scale = stack.numbers(lambda run: run.init_scale)
    module = family.build(features, outputs)
    normals = {
        name: torch.tensor(np.stack([
            seeds.generator(data[r].base, r, "init", i).standard_normal(tuple(value.shape)) for r in stack.replicates
        ]))
        for i, (name, value) in enumerate(module.named_parameters())
    }
    if family.affine:
        init = normals[affine.WEIGHT].transpose(1, 2)
        params = affine.initial(init.to(precision.master), scale)
        network = Network(params, affine.CELL_AXIS, family.is_bias)
        network.gradient = lambda x, y: affine.gradient(network.params, x, y, family.task, precision.compute)
        network.predict = affine.predict
    else:
        params = stacked.initial(module, {n: v.to(precision.master) for n, v in normals.items()}, scale)
        network = Network(params, stacked.CELL_AXIS, family.is_bias)
        network.gradient = lambda x, y: stacked.gradient(module, family.loss, network.params, x, y, precision.compute)
        network.predict = lambda params, x, compute: stacked.predict(module, params, x, compute).transpose(2, 3)
    if precision.name == "bf16_weights":
        params = {name: precisions.nearest(value) for name, value in params.items()}
    network.params = {name: value.to(device) for name, value in params.items()}
    return network


def coefficients(stack, form, family, network, device) -> dict[str, updates.Decay]:
    """Each tensor's decay numbers; a bias gets the mask's share of its cell's. Fields that no coupling of `form` sets stay 0.0."""
    result, fields = {}, updates.numbers(form)
    for name, w in network.params.items():
        share = (lambda run: run.bias_factor) if family.is_bias(name) else (lambda run: 1.0)

        def numbers(run, share=share):
            return updates.decay(run.coupling, run.lambda1 * share(run), run.lambda2 * share(run), run.lr)

        result[name] = updates.Decay(**{
            field: network.spread(stack.numbers(lambda run, f=field: getattr(numbers(run), f)).to(device), w)
            for field in sorted(fields)
        })
    return result


def noise(network, stack, data, t) -> dict[str, torch.Tensor]:
    """Noise of step t for stochastic rounding, shared by the arms of a replicate."""
    bits = {}
    for i, (name, w) in enumerate(network.params.items()):
        shape = [size for axis, size in enumerate(w.shape) if axis not in (0, network.cell_axis)]
        draws = np.stack([
            seeds.generator(data[r].base, r, "rounding", i, t).integers(0, 1 << 16, size=shape, dtype=np.int32)
            for r in stack.replicates
        ])
        bits[name] = torch.as_tensor(draws).unsqueeze(network.cell_axis).to(w.device)
    return bits
