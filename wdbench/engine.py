"""Trains cells, thousands at a time: one stacked computation for every program.

A program is what stacked cells share (data set, model, optimiser, precision, steps, batch size); all else is a number per cell.
The stack is a rectangle [R replicates, C arms]: arms of one replicate share split, start values, batches and rounding noise.

Contract: what a cell yields is a pure function of the cell (and of code, data and platform), bit for bit, whatever it is
stacked with. Hence: arms are padded to a multiple (`stack.padded`), because other products take other kernels;
randomness comes from `seeds`, keyed by replicate and step; nothing is ever reduced over cells; one thread.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wdbench import endprobes, lone, models, probes, runprobes, schedules, seeds, updates
from wdbench import precision as precisions
from wdbench.advance import stepper
from wdbench.cells import FOLLOWERS, Data, Run
from wdbench.divergence import Watch
from wdbench.feed import Feed
from wdbench.follow import Follow, partners, with_partners
from wdbench.measure import Outcome, held_rows, mean_loss, outcomes, trace
from wdbench.sphere import Sphere
from wdbench.stack import Phases, Stack, build, clip, coefficients, input_type, noise, padded, scheduled

if TYPE_CHECKING:
    from wdbench.cells import Program
    from wdbench.stack import Network

# a stack's parameters should stay in the second-level cache: the update walks over them several times a step
CACHE_COORDINATES = 400_000
CHECKPOINTS = 12


def checkpoint_steps(steps: int) -> list[int]:
    """Up to CHECKPOINTS log-spaced steps from 1 to `steps`."""
    return sorted({int(round(v)) for v in np.geomspace(1, steps, min(CHECKPOINTS, steps))})


def batches(base: str, replicate: int, rows: int, steps: int, size: int) -> np.ndarray:
    """Row numbers [steps, size] int32: epochs of fresh permutations, the incomplete last batch of an epoch dropped."""
    generator = seeds.generator(base, replicate, "batches")
    per_epoch = rows // size
    # 400,000 steps of 128 rows would be 400 MB in 64 bits
    epochs = [generator.permutation(rows)[: per_epoch * size].astype(np.int32) for _ in range(-(-steps // per_epoch))]
    return np.concatenate(epochs).reshape(-1, size)[:steps]


def train(runs: list[Run], data: dict[int, Data], device: str = "cpu") -> Iterator[list[tuple[int, Outcome]]]:
    """Train `runs` on `data[replicate]`; yields finished chunks as (position in runs, outcome).

    All replicates must have the same number of features and outputs.
    """
    asked, runs = len(runs), with_partners(runs)
    programs: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for position, run in enumerate(runs):
        programs[run.program, min(run.program.batch_size, len(data[run.replicate].y))].append(position)
    for (program, batch), positions in programs.items():
        first = data[runs[positions[0]].replicate]
        alone = lone.is_lone(program.model, first.x.shape[1], first.outputs)
        if alone:
            for position in (p for p in positions if p < asked):
                chunk = {runs[position].replicate: [position, *_followed(runs, position)]}
                yield _train_chunk(program, batch, runs, chunk, data, device, alone)[:1]
            continue
        for chunk in _chunks(runs, positions, data, program, device):
            yield [pair for pair in _train_chunk(program, batch, runs, chunk, data, device) if pair[0] < asked]


def _followed(runs: list[Run], position: int) -> list[int]:
    """Positions of the runs that a follower is trained beside, of any other run none."""
    return [runs.index(run) for run in partners(runs[position])] if runs[position].coupling in FOLLOWERS else []


def _chunks(runs: list[Run], positions: list[int], data: Mapping[int, Data], program: "Program",
            device: str) -> Iterator[dict[int, list[int]]]:
    """Rectangles {replicate: positions}, replicates with equally many arms side by side while they fit the cache."""
    family, _ = models.parse(program.model)
    by_replicate: dict[int, list[int]] = defaultdict(list)
    for position in positions:
        by_replicate[runs[position].replicate].append(position)
    chunk: dict[int, list[int]] = {}
    for replicate, members in sorted(by_replicate.items(), key=lambda item: (len(item[1]), item[0])):
        arms = padded(max(len(members), max((len(m) for m in chunk.values()), default=0)), program.precision, family, data[replicate].task,
                      device=device)
        width = data[replicate].x.shape[1] * data[replicate].outputs
        # language models are large: one replicate at a time
        if chunk and ((len(chunk) + 1) * arms * width > CACHE_COORDINATES or data[replicate].task == "language"):
            yield chunk
            chunk = {}
        chunk[replicate] = members
    if chunk:
        yield chunk


def _train_chunk(program: "Program", batch: int, runs: list[Run], chunk: dict[int, list[int]], data: Mapping[int, Data], device: str,
                 alone: bool = False) -> list[tuple[int, Outcome]]:
    family, options = models.parse(program.model)
    precision = precisions.make(program.precision, program.rounding)
    optimiser = updates.Optimiser(program.optimiser, program.beta1, program.beta2)
    first = data[next(iter(chunk))]
    stack = Stack(runs, chunk, program.precision, precision.master, family, first.task, alone, device)
    order = [batches(data[r].base, r, len(data[r].y), program.steps, batch) for r in stack.replicates]
    feed = Feed([(data[r].x, data[r].y) for r in stack.replicates], order,
                (input_type(first.task, precision.compute), precision.master), device)
    network = build(family, options, first.x.shape[1], first.outputs, stack, data, precision, device)
    watched = [held_rows(data[r], family.affine, precision.master, device) for r in stack.replicates]
    lr = stack.numbers(lambda run: run.lr).to(device)
    limits = stack.numbers(lambda run: run.clip).to(device)
    clipped = bool(torch.isfinite(limits).any())
    numbers = coefficients(stack, network, device)
    states = {name: updates.initial_state(w, optimiser, precision) for name, w in network.params.items()}
    schedule, turn = schedules.shape(program.schedule), schedules.turn(program.schedule, program.steps)
    if first.task == "language" and turn == program.steps:
        turn = program.steps // 2
    phases = Phases(stack, program.steps)
    follow = Follow(stack, network, program.optimiser, device) if program.form == "replay" else None
    sphere = Sphere(program.sphere, stack, network, [len(data[r].y) for r in stack.replicates], batch, device)
    average = {name: w.clone() for name, w in network.params.items()} if program.ema else None
    probed, checked = probes.probe_steps(program.steps), set(checkpoint_steps(program.steps))
    sums = probes.Sums.zeros(*stack.shape)
    steppers = {name: stepper(w, states[name], network.cell_axis, optimiser, precision, program.form, program.prox)
                for name, w in network.params.items() if not network.frozen(name)}
    watch = Watch(stack.shape, network.cell_axis)
    trajectory, iterates = [], {}
    monitor = runprobes.Monitor(program, stack, network, optimiser, options, lambda: mean_loss(network, first.task, watched, 0))
    for t in range(1, program.steps + 1):
        x, y = feed.at(t)
        loss, grads = network.in_place(x, y)
        watch.see(t, loss, network.params)
        if follow is not None:
            follow.see(loss)
        s = schedule(t, program.steps)
        bits = noise(network, stack, data, t) if precision.rounding == "stochastic" else dict.fromkeys(network.params)
        acting = phases.at(t, numbers, network)
        monitor.before(t, s, x, y, loss, grads, acting, lr)
        if clipped:
            grads, acting = clip(grads, acting, network, limits)
        if program.form == "scheduled":
            acting = scheduled(grads, acting, states, t, network, optimiser)
        for name, take in steppers.items():
            w = network.params[name]
            rate = lr if follow is None else follow.rates(name, w, lr, s, acting[name].d2)
            if t in probed and network.group(name) not in ("bias", "norm"):
                probes.observe(sums, w, grads[name], states[name], t, network.spread(rate, w), s, optimiser, acting[name], precision,
                               program.form, program.prox, bits[name], network.cell_axis)
            take.take(grads[name], t, rate, s, acting[name], bits[name])
            if follow is not None:
                _rescale(w, states[name], follow.factors(name, w), network, precision)
            _rescale(w, states[name], sphere.factors(name, w, t), network, precision)
            if average is not None:
                average[name].lerp_(w, 1.0 - program.ema)
        monitor.after(t)
        if t in checked:
            trajectory.append((t, *trace(network, first.task, watched)))
        if t == turn < program.steps and not family.affine:
            iterates |= _iterates("mid", network.params, average)
    watch.close(program.steps, network.params)
    iterates |= {} if family.affine else _iterates("", network.params, average)
    extra = endprobes.columns(program.probes, family, options, network, stack, data) if program.probes else {}
    extra |= monitor.columns()
    extra |= {} if follow is None else follow.columns()
    return outcomes(stack, chunk, data, network, iterates, sums.columns() | extra, watch, trajectory, order)


def _iterates(name: str, params: dict[str, torch.Tensor], average: dict[str, torch.Tensor] | None) -> dict[str, dict[str, torch.Tensor]]:
    """Copies of the weights, and of their average where there is one, under the names that their columns begin with."""
    found = {name: {key: w.clone() for key, w in params.items()}}
    if average is not None:
        found[f"{name}_ema".lstrip("_")] = {key: w.clone() for key, w in average.items()}
    return found


def _rescale(w: torch.Tensor, state: updates.State, factor: torch.Tensor | None, network: "Network",
             precision: precisions.Precision) -> None:
    """Multiply each cell's part of w by its factor [R, C], in place; stored as the precision stores weights, to the nearest."""
    if factor is None:
        return
    factor = network.spread(factor, w).to(w.dtype)
    target = (w if state.remainder is None else w - state.remainder) * factor
    stored = precisions.nearest(target) if precision.name == "bf16_weights" else target
    if state.remainder is not None:
        # a cell that is not rescaled keeps its pair of numbers, of which rounding the sum again could make another
        state.remainder.copy_(torch.where(factor == 1, state.remainder, precisions.nearest(stored - target)))
        stored = torch.where(factor == 1, w, stored)
    w.copy_(stored)
