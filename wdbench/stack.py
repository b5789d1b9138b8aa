"""The stacked form of a program's cells: a rectangle of per-cell numbers, and parameters that broadcast against them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wdbench import affine, apart, lone, schedules, seeds, stacked, updates
from wdbench import precision as precisions
from wdbench.cells import DECAY_SHARE, FOLLOWERS

if TYPE_CHECKING:
    from wdbench.cells import Data, Run
    from wdbench.models.families import Family


def padded(arms: int, precision: str, family: "Family", task: str, lone: bool = False, device: str = "cpu") -> int:
    """Arms that a stack is filled up to. A language model's products and sums run within a cell, and so do those of a model that is
    trained alone (`lone.py`) or apart (`apart.py`): they need no company.
    """
    if task == "language" or lone or apart.is_apart(family.name, device):
        return arms
    master = precisions.make(precision, "kahan" if precision == "bf16_weights" else "none").master
    multiple = affine.ARMS_MULTIPLE[master] if family.affine else stacked.ARMS_MULTIPLE
    return -(-arms // multiple) * multiple


class Stack:
    """Numbers [R, C] of a chunk, padded by repeating each replicate's first cell."""

    def __init__(self, runs: "Sequence[Run]", chunk: Mapping[int, list[int]], precision: str, dtype: torch.dtype,
                 family: "Family", task: str, alone: bool = False, device: str = "cpu") -> None:
        self.replicates = list(chunk)
        arms = padded(max(len(members) for members in chunk.values()), precision, family, task, alone, device)
        self.positions = [members + members[:1] * (arms - len(members)) for members in chunk.values()]
        self.runs = [[runs[p] for p in row] for row in self.positions]
        self.dtype, self.lone = dtype, alone
        self.shape = (len(self.replicates), arms)

    def numbers(self, function: "Callable[[Run], float]") -> torch.Tensor:
        return torch.tensor([[function(run) for run in row] for row in self.runs], dtype=self.dtype)

    def shares(self, group: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(lambda1, lambda2), each [R, C] fp64, of a group of parameters under each cell's mask."""
        share = [[DECAY_SHARE[run.decay_mask].get(group, 0.0) for run in row] for row in self.runs]
        values = [[(0.0, 0.0) if run.coupling in FOLLOWERS else (run.lambda1, run.lambda2) for run in row] for row in self.runs]
        both = torch.tensor(values, dtype=torch.float64) * torch.tensor(share, dtype=torch.float64)[..., None]
        return both[..., 0], both[..., 1]


def input_type(task: str, dtype: torch.dtype) -> torch.dtype:
    """The type a model's inputs are held in: `dtype`; the symbols of a language are integers."""
    return torch.int64 if task == "language" else dtype


def inputs(array: np.ndarray, task: str, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Rows as a model takes them: in `dtype`; the symbols of a language as integers."""
    return torch.as_tensor(array).to(device=device, dtype=input_type(task, dtype))


@dataclass
class Network:
    """Stacked parameters with the layout-dependent operations on them.

    gradient(x, y) -> (mean data loss [R, C], gradients keyed and shaped like params); in_place is the same function for training, whose
    gradients may lie in memory that the next call of it writes to.
    """

    params: dict[str, torch.Tensor]
    cell_axis: int
    group: Callable[[str], str]
    frozen: Callable[[str], bool] = lambda name: False  # noqa: E731
    gradient: Callable | None = None
    in_place: Callable | None = None
    predict: Callable | None = None
    outputs: int = 1
    module: torch.nn.Module | None = None

    def spread(self, numbers: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """[R, C] numbers shaped so that they broadcast against w."""
        shape = [1] * w.ndim
        shape[0], shape[self.cell_axis] = numbers.shape
        return numbers.reshape(shape)


def build(family: "Family", options: Mapping[str, Any], features: int, outputs: int, stack: Stack, data: "Mapping[int, Data]",
          precision: precisions.Precision, device: str) -> Network:
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
        params = _placed(affine.initial(init, scale), precision, device)
        return Network(params, affine.CELL_AXIS, family.group, outputs=outputs,
                       gradient=affine.Gradient(params, family.tasks[0], precision.compute),
                       in_place=affine.Gradient(params, family.tasks[0], precision.compute, in_place=True),
                       predict=lambda params, x, compute, reference=None: affine.predict(params, x, compute))
    params = _placed(stacked.initial(family, options, module, normals, scale), precision, device)
    if stack.lone:
        gradient = lambda x, y: lone.gradient(module, family.loss, params, x, y, precision.compute)  # noqa: E731
        predict = lambda params, x, compute, reference=None: lone.predict(module, params, x, compute, reference)  # noqa: E731
    elif apart.is_apart(family.name, device):
        gradient = apart.Cells(module, family.loss, params, precision.compute).gradient
        predict = lambda params, x, compute, reference=None: apart.predict(module, params, x, compute, reference)  # noqa: E731
    else:
        forward = None
        if family.stacked is not None:
            forward = lambda params, x, reference: family.stacked(options, params, x, reference)  # noqa: E731
        gradient = lambda x, y: stacked.gradient(module, family.loss, params, x, y, precision.compute, forward)  # noqa: E731
        predict = lambda params, x, compute, reference=None: stacked.predict(  # noqa: E731
            module, params, x, compute, reference, forward)
    fast = None if stack.lone or family.training is None else family.training(options, params, precision.compute)
    return Network(params, stacked.CELL_AXIS, family.group, lambda name: family.frozen(options, name), gradient, fast or gradient, predict,
                   outputs, module)


def _placed(params: dict[str, torch.Tensor], precision: precisions.Precision, device: str) -> dict[str, torch.Tensor]:
    """Start values as the precision stores them, on the device."""
    if precision.name == "bf16_weights":
        params = {name: precisions.nearest(value) for name, value in params.items()}
    return {name: value.to(device).contiguous() for name, value in params.items()}


def coefficients(stack: Stack, network: Network, device: str) -> dict[str, updates.Decay]:
    """Each tensor's decay numbers: the mask's share for its group of its cell's lambda."""
    groups = {network.group(name) for name in network.params}
    numbers = {group: [stack.numbers(values).to(device) for values in _fields(stack, group)] for group in groups}
    return {name: updates.Decay(*(network.spread(field, w) for field in numbers[network.group(name)]))
            for name, w in network.params.items()}


def _fields(stack: Stack, group: str) -> Iterator[Callable[..., Any]]:
    """For each field of `updates.Decay` a function of a run that gives its number for a group of parameters."""
    found = {}
    for run in {id(run): run for row in stack.runs for run in row}.values():
        share = DECAY_SHARE[run.decay_mask].get(group, 0.0)
        found[id(run)] = updates.decay(run.coupling, run.lambda1 * share, run.lambda2 * share, run.lr)
    for field in fields(updates.Decay):
        yield lambda run, name=field.name: getattr(found[id(run)], name)


def noise(network: Network, stack: Stack, data: "Mapping[int, Data]", t: int) -> dict[str, torch.Tensor]:
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

    def __init__(self, stack: Stack, steps: int) -> None:
        self.shapes = [[schedules.phase(run.decay_phase) for run in row] for row in stack.runs]
        self.always = all(run.decay_phase == "all" for row in stack.runs for run in row)
        self.steps, self.dtype = steps, stack.dtype

    def at(self, t: int, numbers: dict[str, updates.Decay], network: Network) -> dict[str, updates.Decay]:
        """The decay numbers of step t: those given, times 0 for the cells whose penalty rests."""
        if self.always:
            return numbers
        acting = torch.tensor([[shape(t, self.steps) for shape in row] for row in self.shapes], dtype=self.dtype)
        return {
            name: decay.map(lambda v, w=network.params[name]: v * network.spread(acting, w).to(w.device)
                            if isinstance(v, torch.Tensor) else v)
            for name, decay in numbers.items()
        }


def clip(grads: dict[str, torch.Tensor], numbers: dict[str, updates.Decay], network: Network,
         limits: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, updates.Decay]]:
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


def scheduled(grads: dict[str, torch.Tensor], numbers: dict[str, updates.Decay], states: dict[str, updates.State], t: int, network: Network,
              optimiser: updates.Optimiser) -> dict[str, updates.Decay]:
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
