"""The stacked form of a program's cells: a rectangle of per-cell numbers, and parameters that broadcast against them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch

from wdbench import affine, lone, schedules, seeds, stacked, updates
from wdbench import precision as precisions
from wdbench.cells import DECAY_SHARE, FOLLOWERS


def padded(arms: int, precision: str, family, task: str, lone: bool = False) -> int:
    """Arms that a stack is filled up to. A language model's products and sums run within a cell, and so do those of a model that is
    trained alone (`lone.py`): they need no company.
    """
    if task == "language" or lone:
        return arms
    master = precisions.make(precision, "kahan" if precision == "bf16_weights" else "none").master
    multiple = affine.ARMS_MULTIPLE[master] if family.affine else stacked.ARMS_MULTIPLE
    return -(-arms // multiple) * multiple


class Stack:
    """Numbers [R, C] of a chunk, padded by repeating each replicate's first cell."""

    def __init__(self, runs, chunk, precision, dtype, family, task, alone: bool = False):
        self.replicates = list(chunk)
        arms = padded(max(len(members) for members in chunk.values()), precision, family, task, alone)
        self.positions = [members + members[:1] * (arms - len(members)) for members in chunk.values()]
        self.runs = [[runs[p] for p in row] for row in self.positions]
        self.dtype, self.lone = dtype, alone
        self.shape = (len(self.replicates), arms)

    def numbers(self, function) -> torch.Tensor:
        return torch.tensor([[function(run) for run in row] for row in self.runs], dtype=self.dtype)

    def shares(self, group: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(lambda1, lambda2), each [R, C] fp64, of a group of parameters under each cell's mask."""
        share = [[DECAY_SHARE[run.decay_mask].get(group, 0.0) for run in row] for row in self.runs]
        values = [[(0.0, 0.0) if run.coupling in FOLLOWERS else (run.lambda1, run.lambda2) for run in row] for row in self.runs]
        both = torch.tensor(values, dtype=torch.float64) * torch.tensor(share, dtype=torch.float64)[..., None]
        return both[..., 0], both[..., 1]


# bytes of the training rows of a replicate that are held in the type they are computed in; of more, each batch is converted by itself
HELD_BYTES = 2**28


def held(array, dtype: torch.dtype, device):
    """Rows [n, ...] as one tensor where it is no larger than HELD_BYTES, else the array itself; `taken` reads from either."""
    if np.prod(array.shape, dtype=float) * dtype.itemsize > HELD_BYTES or not isinstance(array, np.ndarray):
        return array
    # a file that is mapped read-only is copied: torch knows no tensor that must not be written to
    return torch.as_tensor(np.require(array, requirements="W")).to(device=device, dtype=dtype)


def taken(kept, rows: np.ndarray, dtype: torch.dtype, device) -> torch.Tensor:
    """The rows numbered `rows` of what `held` kept."""
    if isinstance(kept, torch.Tensor):
        return kept[torch.as_tensor(rows)]
    return torch.as_tensor(np.ascontiguousarray(kept[rows])).to(device=device, dtype=dtype)


def input_type(task: str, dtype: torch.dtype) -> torch.dtype:
    """The type a model's inputs are held in: `dtype`; the symbols of a language are integers."""
    return torch.int64 if task == "language" else dtype


def inputs(array: np.ndarray, task: str, dtype: torch.dtype, device) -> torch.Tensor:
    """Rows as a model takes them: in `dtype`; the symbols of a language as integers."""
    return torch.as_tensor(array).to(device=device, dtype=input_type(task, dtype))


@dataclass
class Network:
    """Stacked parameters with the layout-dependent operations on them."""

    params: dict[str, torch.Tensor]
    cell_axis: int
    group: Callable[[str], str]
    frozen: Callable[[str], bool] = lambda name: False  # noqa: E731
    gradient: Callable | None = None
    predict: Callable | None = None
    outputs: int = 1
    module: torch.nn.Module | None = None

    def spread(self, numbers: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """[R, C] numbers shaped so that they broadcast against w."""
        shape = [1] * w.ndim
        shape[0], shape[self.cell_axis] = numbers.shape
        return numbers.reshape(shape)


def build(family, options, features, outputs, stack, data, precision, device) -> Network:
    scale = stack.numbers(lambda run: run.init_scale)
    module = family.build(options, features, outputs)
    if stack.lone:
        lone.emptied(module)
    normals = {
        name: torch.tensor(np.stack([
            seeds.generator(data[r].base, r, "init", i).standard_normal(tuple(value.shape)) for r in stack.replicates
        ]), dtype=precision.master)
        for i, (name, value) in enumerate(module.named_parameters())
    }
    if family.affine:
        init = normals[affine.WEIGHT].transpose(1, 2)
        params = affine.initial(init, scale)
        network = Network(params, affine.CELL_AXIS, family.group, outputs=outputs)
        network.gradient = lambda x, y: affine.gradient(network.params, x, y, family.tasks[0], precision.compute)
        network.predict = lambda params, x, compute, reference=None: affine.predict(params, x, compute)
    else:
        params = stacked.initial(family, options, module, normals, scale)
        network = Network(params, stacked.CELL_AXIS, family.group, lambda name: family.frozen(options, name), outputs=outputs,
                          module=module)
        forward = None
        if family.stacked is not None:
            forward = lambda params, x, reference: family.stacked(options, params, x, reference)  # noqa: E731
        network.gradient = lambda x, y: stacked.gradient(module, family.loss, network.params, x, y, precision.compute, forward)
        network.predict = lambda params, x, compute, reference=None: stacked.predict(module, params, x, compute, reference, forward)
        if stack.lone:
            network.gradient = lambda x, y: lone.gradient(module, family.loss, network.params, x, y, precision.compute)
            network.predict = lambda params, x, compute, reference=None: lone.predict(module, params, x, compute, reference)
    if precision.name == "bf16_weights":
        params = {name: precisions.nearest(value) for name, value in params.items()}
    network.params = {name: value.to(device) for name, value in params.items()}
    return network


def coefficients(stack, network, device) -> dict[str, updates.Decay]:
    """Each tensor's decay numbers: the mask's share for its group of its cell's lambda."""
    result = {}
    for name, w in network.params.items():

        group = network.group(name)

        def numbers(run, group=group):
            share = DECAY_SHARE[run.decay_mask].get(group, 0.0)
            return updates.decay(run.coupling, run.lambda1 * share, run.lambda2 * share, run.lr)

        result[name] = updates.Decay(**{
            field: network.spread(stack.numbers(lambda run, f=field: getattr(numbers(run), f)).to(device), w)
            for field in updates.Decay.__dataclass_fields__
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


class Phases:
    """When each cell's penalty acts; most stacks hold cells whose penalty always does."""

    def __init__(self, stack, steps: int):
        self.shapes = [[schedules.phase(run.decay_phase) for run in row] for row in stack.runs]
        self.always = all(run.decay_phase == "all" for row in stack.runs for run in row)
        self.steps, self.dtype = steps, stack.dtype

    def at(self, t: int, numbers: dict[str, updates.Decay], network) -> dict[str, updates.Decay]:
        """The decay numbers of step t: those given, times 0 for the cells whose penalty rests."""
        if self.always:
            return numbers
        acting = torch.tensor([[shape(t, self.steps) for shape in row] for row in self.shapes], dtype=self.dtype)
        return {
            name: decay.map(lambda v, w=network.params[name]: v * network.spread(acting, w).to(w.device)
                            if isinstance(v, torch.Tensor) else v)
            for name, decay in numbers.items()
        }


def clip(grads, numbers, network, limits: torch.Tensor):
    """(gradients, decay numbers) scaled so that no cell's gradient, its coupled L2 part included, is longer than its limit [R, C].

    The L2 part joins the gradient before the clipping, as it does where a loss with a penalty is differentiated; the norm is over
    all parameters of the cell.
    """
    squares = []
    for name, w in network.params.items():
        if not network.frozen(name):
            whole = grads[name] + numbers[name].a2 * w
            squares.append(affine.total(whole.square(), network.cell_axis))
    # in a written-out order: a sum over a stacked axis takes another one at the end of a vector
    norm = reduce(torch.add, squares).sqrt()
    factor = (limits / norm).clamp(max=1.0)
    scaled = {name: g * network.spread(factor, g) for name, g in grads.items()}
    return scaled, {name: replace(d, a2=d.a2 * network.spread(factor, network.params[name])) for name, d in numbers.items()}


def scheduled(grads, numbers, states, t: int, network, optimiser) -> dict[str, updates.Decay]:
    """Decay numbers with each cell's d2 over sqrt(mean v^), the mean over all its trained coordinates, v^ that of step t.

    Stable weight decay, Xie et al. 2023 (arXiv 2011.11152, AdamS). As in their code nothing is added to the root, so that the decay
    grows without bound as the gradient vanishes; where it has been 0 in every coordinate so far there is none. An optimiser without
    second moment keeps its numbers.
    """
    if optimiser.name != "adam":
        return numbers
    sums, count = [], 0
    for name, g in grads.items():
        if not network.frozen(name):
            v = states[name].v.double() * optimiser.beta2 + (1.0 - optimiser.beta2) * g.double().square()
            sums.append(affine.total(v, network.cell_axis))
            count += g.numel() // sums[-1].numel()
    root = (reduce(torch.add, sums) / (count * (1.0 - optimiser.beta2**t))).sqrt()
    factor = torch.where(root > 0, 1.0 / root, 0.0)
    return {name: replace(d, d2=d.d2 * network.spread(factor, d.d2).to(d.d2.dtype)) for name, d in numbers.items()}
