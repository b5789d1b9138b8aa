"""Trains cells, thousands at a time: one stacked computation for every program.

A program is what stacked cells share (data set, model, optimiser, precision, steps, batch size); all else is a number per cell.
The stack is a rectangle [R replicates, C arms]: arms of one replicate share split, start values, batches and rounding noise.

Contract: what a cell yields is a pure function of the cell (and of code, data and platform), bit for bit, whatever it is
stacked with. Hence: arms are padded to a multiple of `affine.ARMS_MULTIPLE`, because other products take other kernels;
randomness comes from `seeds`, keyed by replicate and step; nothing is ever reduced over cells; one thread.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from wdbench import affine, models, probes, seeds, stacked, updates
from wdbench import precision as precisions
from wdbench.cells import Data, Run
from wdbench.divergence import Watch
from wdbench.schedules import SCHEDULES
from wdbench.stack import Stack, build, coefficients, noise, padded

# a stack's parameters should stay in the second-level cache: the update walks over them several times a step
CACHE_COORDINATES = 400_000
CACHE_SLICE = 65_536
CHECKPOINTS = 12
TRAJECTORY_ROWS = 512


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
        arms = padded(max(len(members), max((len(m) for m in chunk.values()), default=0)), precision)
        width = data[replicate].x.shape[1] * data[replicate].outputs
        if chunk and (len(chunk) + 1) * arms * width > CACHE_COORDINATES:
            yield chunk
            chunk = {}
        chunk[replicate] = members
    if chunk:
        yield chunk


def _train_chunk(program, batch, runs, chunk, data, device) -> list[tuple[int, Outcome]]:
    family = models.FAMILIES[program.model]
    precision = precisions.make(program.precision, program.rounding)
    optimiser = updates.Optimiser(program.optimiser)
    stack = Stack(runs, chunk, program.precision, precision.master)
    first = data[stack.replicates[0]]
    features, outputs = first.x.shape[1], first.outputs
    order = [batches(d.base, r, len(d.y), program.steps, batch) for r, d in ((r, data[r]) for r in stack.replicates)]
    to = lambda array, dtype: torch.as_tensor(array).to(device=device, dtype=dtype)  # noqa: E731
    x_all = [to(data[r].x, precision.compute) for r in stack.replicates]
    y_all = [to(data[r].y, precision.master) for r in stack.replicates]
    network = build(family, features, outputs, stack, data, precision, device)
    held = _held(stack, data, precision, device)
    lr = stack.numbers(lambda run: run.lr).to(device)
    numbers = coefficients(stack, program.form, family, network, device)
    states = {name: updates.initial_state(w, optimiser, precision) for name, w in network.params.items()}
    schedule = SCHEDULES[program.schedule]
    probed, checked = probes.probe_steps(program.steps), set(checkpoint_steps(program.steps))
    sums = probes.Sums.zeros(*stack.shape)
    watch = Watch(stack.shape, network.cell_axis)
    trajectory = []
    for t in range(1, program.steps + 1):
        rows = [torch.as_tensor(o[t - 1]) for o in order]
        x = torch.stack([x_all[i][rows[i]] for i in range(len(rows))])
        y = torch.stack([y_all[i][rows[i]] for i in range(len(rows))])
        loss, grads = network.gradient(x, y)
        watch.see(t, loss, network.params)
        s = schedule(t, program.steps)
        bits = noise(network, stack, data, t) if precision.rounding == "stochastic" else dict.fromkeys(network.params)
        for name, w in network.params.items():
            decay = numbers[name]
            rate = network.spread(lr, w)
            arguments = (w, grads[name], states[name], t, rate, s, optimiser, decay, precision, program.form, bits[name])
            if t in probed and not family.is_bias(name):
                probes.observe(sums, *arguments, network.cell_axis)
            _update(*arguments, network.cell_axis)
        if t in checked:
            trajectory.append((t, *_measure(network, first.task, held, precision)))
    watch.see(program.steps, torch.zeros(stack.shape), network.params, final=True)
    return _outcomes(stack, chunk, network, sums, watch, trajectory)


def _update(w, g, state, t, lr, s, optimiser, decay, precision, form, bits, cell_axis) -> None:
    """Take the step in place, in slices along axis 1 whose temporaries stay in the second-level cache."""
    # axis 1 of a generic stack is the cells, along which the per-cell numbers would have to be cut too
    rows = w.shape[1] if cell_axis == 1 else max(1, CACHE_SLICE * w.shape[1] // w.numel())
    for start in range(0, w.shape[1], rows):
        part = slice(start, start + rows)
        cut = lambda tensor: None if tensor is None else tensor[:, part]  # noqa: B023 (used at once)
        new, after = updates.step(
            cut(w), cut(g), updates.State(cut(state.m), cut(state.v), cut(state.remainder)), t, lr, s, optimiser,
            decay, precision, form, cut(bits),
        )
        w[:, part] = new
        for old, fresh in ((state.m, after.m), (state.v, after.v), (state.remainder, after.remainder)):
            if old is not None:
                old[:, part] = fresh


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
