"""Trains cells, thousands at a time: one stacked computation for every program.

A program is what stacked cells share (data set, model, optimiser, precision, steps, batch size); all else is a number per cell.
The stack is a rectangle [R replicates, C arms]: arms of one replicate share split, start values, batches and rounding noise.

Contract: what a cell yields is a pure function of the cell (and of code, data and platform), bit for bit, whatever it is
stacked with. Hence: arms are padded to a multiple of `affine.ARMS_MULTIPLE`, because other products take other kernels; randomness comes from
`seeds`, keyed by replicate and step; nothing is ever reduced over cells; one thread.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from wdbench import affine, models, precision as precisions, probes, seeds, stacked, updates
from wdbench.schedules import SCHEDULES

# a stack's parameters should stay in the second-level cache: the update walks over them several times a step
CACHE_COORDINATES = 400_000
CACHE_SLICE = 65_536
DIVERGED_FACTOR = 1e4
CHECKPOINTS = 12
TRAJECTORY_ROWS = 512


@dataclass(frozen=True)
class Program:
    """What the cells of one stack share; `subgradient` because it adds an operation to every step."""

    model: str
    optimiser: str
    precision: str
    rounding: str
    schedule: str
    steps: int
    batch_size: int
    subgradient: bool


@dataclass(frozen=True)
class Run:
    """One cell resolved to numbers: learning rate and penalties absolute."""

    program: Program
    coupling: str
    lambda1: float
    lambda2: float
    lr: float
    bias_factor: float
    init_scale: float
    replicate: int


@dataclass(frozen=True)
class Data:
    """A replicate's training data and streams: x [n, d] fp64, y [n] fp64, outputs k, task; val likewise."""

    base: str
    task: str
    outputs: int
    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What training leaves of one cell.

    weight [d, k] and bias [k] (fp64 copies of the stored values; Kahan's remainder is not part of a stored weight), the probes'
    columns, the divergence record and the trajectory rows.
    """

    weight: np.ndarray
    bias: np.ndarray
    diverged_step: int | None
    last_finite_loss: float
    max_abs_weight: float
    probe: dict[str, float]
    trajectory: list[tuple[int, float, float, float]]


def checkpoint_steps(steps: int) -> list[int]:
    """Up to CHECKPOINTS log-spaced steps from 1 to `steps`."""
    return sorted({int(round(v)) for v in np.geomspace(1, steps, min(CHECKPOINTS, steps))})


def batches(base: str, replicate: int, rows: int, steps: int, size: int) -> np.ndarray:
    """Row numbers [steps, size]: epochs of fresh permutations, the incomplete last batch of an epoch dropped."""
    generator = seeds.generator(base, replicate, "batches")
    per_epoch = rows // size
    epochs = [generator.permutation(rows)[: per_epoch * size] for _ in range(-(-steps // per_epoch))]
    return np.concatenate(epochs).reshape(-1, size)[:steps]


def train(runs: list[Run], data: dict[int, Data], device: str = "cpu") -> Iterator[list[tuple[int, Outcome]]]:
    """Train `runs` on `data[replicate]`; yields finished chunks as (position in runs, outcome).

    All replicates must have the same number of features and outputs.
    """
    programs: dict[tuple, list[int]] = defaultdict(list)
    for position, run in enumerate(runs):
        programs[run.program, min(run.program.batch_size, len(data[run.replicate].y))].append(position)
    for (program, batch), positions in programs.items():
        for chunk in _chunks(runs, positions, data, program.precision):
            yield _train_chunk(program, batch, runs, chunk, data, device)


def _chunks(runs, positions, data, precision) -> Iterator[dict[int, list[int]]]:
    """Rectangles {replicate: positions}, replicates with equally many arms side by side while they fit the cache."""
    by_replicate: dict[int, list[int]] = defaultdict(list)
    for position in positions:
        by_replicate[runs[position].replicate].append(position)
    chunk: dict[int, list[int]] = {}
    for replicate, members in sorted(by_replicate.items(), key=lambda item: (len(item[1]), item[0])):
        arms = _padded(max(len(members), max((len(m) for m in chunk.values()), default=0)), precision)
        width = data[replicate].x.shape[1] * data[replicate].outputs
        if chunk and (len(chunk) + 1) * arms * width > CACHE_COORDINATES:
            yield chunk
            chunk = {}
        chunk[replicate] = members
    if chunk:
        yield chunk


def _padded(arms: int, precision: str) -> int:
    multiple = affine.ARMS_MULTIPLE[precisions.make(precision, "kahan" if precision == "bf16_weights" else "none").master]
    return -(-arms // multiple) * multiple


class _Stack:
    """Numbers [R, C] of a chunk, padded by repeating each replicate's first cell."""

    def __init__(self, runs, chunk, precision, dtype):
        self.replicates = list(chunk)
        arms = _padded(max(len(members) for members in chunk.values()), precision)
        self.positions = [members + members[:1] * (arms - len(members)) for members in chunk.values()]
        self.runs = [[runs[p] for p in row] for row in self.positions]
        self.dtype = dtype
        self.shape = (len(self.replicates), arms)

    def numbers(self, function) -> torch.Tensor:
        return torch.tensor([[function(run) for run in row] for row in self.runs], dtype=self.dtype)


def _train_chunk(program, batch, runs, chunk, data, device) -> list[tuple[int, Outcome]]:
    family = models.FAMILIES[program.model]
    precision = precisions.make(program.precision, program.rounding)
    optimiser = updates.Optimiser(program.optimiser)
    stack = _Stack(runs, chunk, program.precision, precision.master)
    first = data[stack.replicates[0]]
    features, outputs = first.x.shape[1], first.outputs
    order = [batches(d.base, r, len(d.y), program.steps, batch) for r, d in ((r, data[r]) for r in stack.replicates)]
    to = lambda array, dtype: torch.as_tensor(array).to(device=device, dtype=dtype)  # noqa: E731
    x_all = [to(data[r].x, precision.compute) for r in stack.replicates]
    y_all = [to(data[r].y, precision.master) for r in stack.replicates]
    network = _network(family, features, outputs, stack, data, precision, device)
    held = _held(stack, data, precision, device)
    lr = stack.numbers(lambda run: run.lr).to(device)
    coefficients = _coefficients(stack, family, network, device)
    states = {name: updates.initial_state(w, optimiser, precision) for name, w in network.params.items()}
    schedule = SCHEDULES[program.schedule]
    probed, checked = probes.probe_steps(program.steps), set(checkpoint_steps(program.steps))
    sums = probes.Sums.zeros(*stack.shape)
    watch = _Watch(stack.shape, network.cell_axis)
    trajectory = []
    for t in range(1, program.steps + 1):
        rows = [torch.as_tensor(o[t - 1]) for o in order]
        x = torch.stack([x_all[i][rows[i]] for i in range(len(rows))])
        y = torch.stack([y_all[i][rows[i]] for i in range(len(rows))])
        loss, grads = network.gradient(x, y)
        watch.see(t, loss, network.params)
        s = schedule(t, program.steps)
        bits = _bits(network, stack, data, t) if precision.rounding == "stochastic" else dict.fromkeys(network.params)
        for name, w in network.params.items():
            decay = coefficients[name]
            rate = network.spread(lr, w)
            arguments = (w, grads[name], states[name], t, rate, s, optimiser, decay, precision, program.subgradient, bits[name])
            if t in probed and not family.is_bias(name):
                probes.observe(sums, *arguments, network.cell_axis)
            _update(*arguments)
        if t in checked:
            trajectory.append((t, *_measure(network, first.task, held, precision)))
    watch.see(program.steps, torch.zeros(stack.shape), network.params, final=True)
    return _outcomes(stack, chunk, network, sums, watch, trajectory)


def _update(w, g, state, t, lr, s, optimiser, decay, precision, subgradient, bits) -> None:
    """Take the step in place, in slices along axis 1 whose temporaries stay in the second-level cache."""
    rows = max(1, CACHE_SLICE * w.shape[1] // w.numel())
    for start in range(0, w.shape[1], rows):
        part = slice(start, start + rows)
        cut = lambda tensor: None if tensor is None else tensor[:, part]  # noqa: B023 (used at once)
        new, after = updates.step(
            cut(w), cut(g), updates.State(cut(state.m), cut(state.v), cut(state.remainder)), t, lr, s, optimiser,
            decay, precision, subgradient, cut(bits),
        )
        w[:, part] = new
        for old, fresh in ((state.m, after.m), (state.v, after.v), (state.remainder, after.remainder)):
            if old is not None:
                old[:, part] = fresh


@dataclass
class _Network:
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


def _network(family, features, outputs, stack, data, precision, device) -> _Network:
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
        network = _Network(params, affine.CELL_AXIS, family.is_bias)
        network.gradient = lambda x, y: affine.gradient(network.params, x, y, family.task, precision.compute)
        network.predict = affine.predict
    else:
        params = stacked.initial(module, {n: v.to(precision.master) for n, v in normals.items()}, scale)
        network = _Network(params, stacked.CELL_AXIS, family.is_bias)
        network.gradient = lambda x, y: stacked.gradient(module, family.loss, network.params, x, y, precision.compute)
        network.predict = lambda params, x, compute: stacked.predict(module, params, x, compute).transpose(2, 3)
    if precision.name == "bf16_weights":
        params = {name: precisions.nearest(value) for name, value in params.items()}
    network.params = {name: value.to(device) for name, value in params.items()}
    return network


def _coefficients(stack, family, network, device) -> dict[str, updates.Decay]:
    """Each tensor's decay numbers; a bias gets the mask's share of its cell's."""
    result = {}
    for name, w in network.params.items():
        share = (lambda run: run.bias_factor) if family.is_bias(name) else (lambda run: 1.0)

        def numbers(run, share=share):
            return updates.decay(run.coupling, run.lambda1 * share(run), run.lambda2 * share(run), run.lr)

        result[name] = updates.Decay(**{
            field: network.spread(stack.numbers(lambda run, f=field: getattr(numbers(run), f)).to(device), w)
            for field in updates.Decay.__dataclass_fields__
        })
    return result


def _bits(network, stack, data, t) -> dict[str, torch.Tensor]:
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


class _Watch:
    """Notices divergence: a batch loss that is not finite or exceeds DIVERGED_FACTOR times (1 + the first one)."""

    def __init__(self, shape, cell_axis):
        self.cell_axis = cell_axis
        self.step = torch.zeros(shape, dtype=torch.int64)
        self.last = torch.full(shape, float("nan"), dtype=torch.float64)
        self.largest = torch.full(shape, float("nan"), dtype=torch.float64)
        self.limit = None

    def see(self, t, loss, params, final=False) -> None:
        loss = loss.detach().double().cpu()
        if self.limit is None:
            self.limit = DIVERGED_FACTOR * (1.0 + loss)
        fine = torch.isfinite(loss) & (loss <= self.limit)
        if final:
            fine = torch.isfinite(self._largest(params, self.cell_axis))
        alive = self.step == 0
        new = alive & ~fine
        if new.any():
            self.step[new] = t
            self.largest[new] = self._largest(params, self.cell_axis)[new]
        if not final:
            self.last = torch.where(alive & fine, loss, self.last)

    @staticmethod
    def _largest(params, cell_axis) -> torch.Tensor:
        def peak(w):
            return w.abs().double().amax([a for a in range(1, w.ndim) if a != cell_axis]).cpu()

        return torch.stack([peak(w) for w in params.values()]).amax(0)


def _held(stack, data, precision, device) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Per replicate, (x, y) of train and val rows on which the trajectory is measured: up to TRAJECTORY_ROWS, evenly spaced."""
    held = []
    for replicate in stack.replicates:
        d = data[replicate]
        pairs = []
        for x, y in ((d.x, d.y), (d.x_val, d.y_val)):
            rows = np.unique(np.linspace(0, len(y) - 1, min(TRAJECTORY_ROWS, len(y))).round().astype(int))
            pairs.append(tuple(torch.as_tensor(a[rows]).to(device, precision.master)[None] for a in (x, y)))
        held.append(pairs)
    return held


def _measure(network, task, held, precision):
    """(train loss, val loss, weight norm), each [R, C]; products in the master type, whatever the run computes in."""
    losses = [[], []]
    for i, pairs in enumerate(held):
        part = {name: w[i : i + 1] for name, w in network.params.items()}
        for split, (x, y) in enumerate(pairs):
            losses[split].append(affine.loss(task, network.predict(part, x, precision.master), y))
    squares = [affine.total(w.double().square(), network.cell_axis) for name, w in network.params.items()
               if not network.is_bias(name)]
    return torch.cat(losses[0]), torch.cat(losses[1]), torch.stack(squares).sum(0).sqrt()


def _outcomes(stack, chunk, network, sums, watch, trajectory) -> list[tuple[int, Outcome]]:
    columns = {name: value.tolist() for name, value in sums.columns().items()}
    weight, bias = network.params[affine.WEIGHT].double().cpu(), network.params[affine.BIAS].double().cpu()
    if network.cell_axis == stacked.CELL_AXIS:
        weight, bias = weight.permute(0, 3, 2, 1), bias[:, None].transpose(2, 3)
    track = [(t, *(v.double().tolist() for v in values)) for t, *values in trajectory]
    found = []
    for i, replicate in enumerate(stack.replicates):
        for j, position in enumerate(chunk[replicate]):
            step = int(watch.step[i, j])
            found.append((position, Outcome(
                weight=weight[i, :, :, j].numpy().copy(),
                bias=bias[i, 0, :, j].numpy().copy(),
                diverged_step=step or None,
                last_finite_loss=float(watch.last[i, j]),
                max_abs_weight=float(watch.largest[i, j]),
                probe={name: value[i][j] for name, value in columns.items()},
                trajectory=[(t, a[i][j], b[i][j], c[i][j]) for t, a, b, c in track],
            )))
    return found
