"""What is kept of a stack: the trajectory while it trains, and each cell's outcome at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wdbench import affine, metrics, tokens
from wdbench.stack import inputs

if TYPE_CHECKING:
    from wdbench.cells import Data
    from wdbench.divergence import Watch
    from wdbench.stack import Network, Stack

TRAJECTORY_ROWS = 256
TRAJECTORY_CHUNKS = 64
# rows of a split that go through a network at once; of more, ROWS_AT_ONCE do, and norms see so many of the training rows
WHOLE = 4096
ROWS_AT_ONCE = 1024
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Outcome:
    """What training leaves of one cell.

    weight, bias: fp64 copies of the stored values (Kahan's remainder is not part of a stored weight). Convex models: weight
    [d, k], bias [k]. Networks: all weights that the default mask penalises, flat, and all that it does not; `penalty` of the
    cell at its last weights, and `outputs`: iterate -> split -> [n, k]. Iterates are "" (the last weights), ema (their running
    average), mid and mid_ema (the same at the end of a drop schedule's first part; of language models always there, half way
    without a drop). Language models have `scores` in the place of outputs: column -> loss or error.
    head_norms: see `rows.measure_network`. trajectory: (step, train, val and test loss, weight norm); no test loss of convex models.
    """

    weight: np.ndarray
    bias: np.ndarray
    diverged_step: int | None
    last_finite_loss: float
    max_abs_weight: float
    probe: dict[str, float]
    trajectory: list[tuple[int, float, float, float | None, float]]
    penalty: float = 0.0
    outputs: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    head_norms: np.ndarray | None = None


def held_rows(data: "Data", convex: bool, dtype: torch.dtype, device: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(x, y) of the train and val rows, and of networks the test rows, on which the trajectory is measured, evenly spaced; [1, n, ...].

    Up to TRAJECTORY_ROWS, TRAJECTORY_CHUNKS of a language.
    """
    pairs = []
    most = TRAJECTORY_CHUNKS if data.task == "language" else TRAJECTORY_ROWS
    splits = [(data.x, data.y), (data.x_val, data.y_val)]
    if not convex and data.y_test is not None:
        splits.append((data.x_test, data.y_test))
    for x, y in splits:
        rows = np.unique(np.linspace(0, len(y) - 1, min(most, len(y))).round().astype(int))
        pairs.append((inputs(x[rows], data.task, dtype, device)[None], torch.as_tensor(y[rows]).to(device, dtype)[None]))
    return pairs


def predict(network: "Network", params: dict[str, torch.Tensor], reference: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Outputs [1, n, ...] in the master type, whatever the run computes in; norms take their statistics from `reference` rows."""
    dtype = next(iter(params.values())).dtype
    if x is reference:
        return network.predict(params, x, dtype)
    return network.predict(params, torch.cat([reference, x], 1), dtype, reference.shape[1])[:, reference.shape[1]:]


def mean_loss(network: "Network", task: str, held: list[list[tuple[torch.Tensor, torch.Tensor]]], split: int) -> torch.Tensor:
    """Data loss [R, C] of the weights as they stand on the held rows of train (split 0), val (1) or test (2)."""
    if task != "language" and len({(pairs[0][0].shape, pairs[split][0].shape) for pairs in held}) == 1:
        reference, x, y = (torch.cat([pairs[i][part] for pairs in held]) for i, part in ((0, 0), (split, 0), (split, 1)))
        return _loss(network, task, network.params, reference if split else x, x, y)
    losses = []
    for i, pairs in enumerate(held):
        part = {name: w[i : i + 1] for name, w in network.params.items()}
        if task == "language":
            losses.append(tokens.score(network, part, *pairs[split])[0].to(pairs[split][1].dtype))
        else:
            losses.append(_loss(network, task, part, pairs[0][0], *pairs[split]))
    return torch.cat(losses)


def _loss(network: "Network", task: str, params: dict[str, torch.Tensor], reference: torch.Tensor, x: torch.Tensor,
          y: torch.Tensor) -> torch.Tensor:
    z = predict(network, params, reference, x)
    return affine.loss(task, z if network.cell_axis == affine.CELL_AXIS else z.transpose(2, 3), y)


def trace(network: "Network", task: str, held: list[list[tuple[torch.Tensor, torch.Tensor]]]) -> tuple[torch.Tensor | None, ...]:
    """(train loss, val loss, test loss or None, weight norm), each [R, C]."""
    squares = [affine.total(w.double().square(), network.cell_axis) for name, w in network.params.items()
               if network.group(name) not in ("bias", "norm")]
    losses = [mean_loss(network, task, held, split) for split in range(len(held[0]))]
    return *losses, *[None] * (len(SPLITS) - len(losses)), reduce(torch.add, squares).sqrt()


def outcomes(stack: "Stack", chunk: Mapping[int, list[int]], data: "Mapping[int, Data]", network: "Network",
             iterates: Mapping[str, dict[str, torch.Tensor]], probed: Mapping[str, torch.Tensor], watch: "Watch",
             trajectory: list[tuple[Any, ...]], order: list[np.ndarray]) -> list[tuple[int, Outcome]]:
    """(position in the runs, outcome) of every cell of a trained chunk; probed: column -> [R, C]; order: see `engine.batches`."""
    columns = {name: value.tolist() for name, value in probed.items()}
    track = [(t, *(None if v is None else v.double().tolist() for v in values)) for t, *values in trajectory]
    if iterates:
        weight, bias = (_flat(network, kept) for kept in (lambda g: g not in ("bias", "norm"), lambda g: g in ("bias", "norm")))
        penalty = _penalty(network, stack).tolist()
        heads = _head_norms(network)
    else:
        weight = network.params[affine.WEIGHT].double().cpu().movedim(3, 1)
        bias = network.params[affine.BIAS].double().cpu()[:, 0].movedim(2, 1)
    found = []
    for i, replicate in enumerate(stack.replicates):
        language = data[replicate].task == "language"
        outputs = {} if language else _outputs(network, iterates, i, data[replicate])
        scores = tokens.scores(network, iterates, i, data[replicate], order[i]) if language else {}
        for j, position in enumerate(chunk[replicate]):
            step = int(watch.step[i, j])
            found.append((position, Outcome(
                weight=weight[i, j].numpy().copy(),
                bias=bias[i, j].numpy().copy(),
                diverged_step=step or None,
                last_finite_loss=float(watch.last[i, j]),
                max_abs_weight=float(watch.largest[i, j]),
                probe={name: value[i][j] for name, value in columns.items()},
                trajectory=[(t, *(None if v is None else v[i][j] for v in values)) for t, *values in track],
                penalty=penalty[i][j] if iterates else 0.0,
                outputs={name: {split: z[:, j] for split, z in parts.items()} for name, parts in outputs.items()},
                scores={name: float(value[j]) for name, value in scores.items()},
                head_norms=heads[i, j].copy() if iterates and heads is not None else None,
            )))
    return found


def _flat(network: "Network", kept: Callable[[str], bool]) -> torch.Tensor:
    """Parameters of the groups that are kept, side by side: [R, C, p] fp64."""
    parts = [w.double().cpu().flatten(2) for name, w in network.params.items() if kept(network.group(name))]
    if not parts:
        first = next(iter(network.params.values()))
        return torch.zeros(*first.shape[:2], 0, dtype=torch.float64)
    return torch.cat(parts, 2)


def _head_norms(network: "Network") -> np.ndarray | None:
    """Norm of each class's row of the last layer, [R, C, k] fp64; None where no layer of its own gives the outputs."""
    heads = [w for name, w in network.params.items() if network.group(name) == "head" and w.ndim == 4]
    if len(heads) != 1:
        return None
    head = heads[0].double().cpu().numpy()
    return metrics.class_norms(head.reshape(-1, *head.shape[2:])).reshape(head.shape[:3])


def _penalty(network: "Network", stack: "Stack") -> torch.Tensor:
    """lambda1 |w|_1 + lambda2 1/2 |w|^2 of each cell at its last weights, with the shares of its mask; [R, C] fp64."""
    total = torch.zeros(stack.shape, dtype=torch.float64)
    for name, w in network.params.items():
        lambda1, lambda2 = stack.shares(network.group(name))
        flat = w.double().cpu().flatten(2)
        total += lambda1 * flat.abs().sum(-1) + lambda2 * 0.5 * flat.square().sum(-1)
    return total


def _outputs(network: "Network", iterates: Mapping[str, dict[str, torch.Tensor]], i: int, data: "Data") -> dict[str, dict[str, np.ndarray]]:
    """iterate -> split -> outputs [n, C, k] of replicate i."""
    found = {}
    whole = all(len(x) <= WHOLE for x in (data.x, data.x_val, data.x_test))
    for name, params in iterates.items():
        part = {key: w[i : i + 1] for key, w in params.items()}
        like = next(iter(part.values()))
        if not whole:
            found[name] = {split: _in_parts(network, part, data.x, x, like)
                           for split, x in zip(SPLITS, (data.x, data.x_val, data.x_test), strict=True)}
            continue
        rows = [torch.as_tensor(np.asarray(x)).to(like.device, like.dtype)[None] for x in (data.x, data.x_val, data.x_test)]
        found[name] = {split: predict(network, part, rows[0], x)[0].double().cpu().numpy()
                       for split, x in zip(SPLITS, rows, strict=True)}
    return found


def _in_parts(network: "Network", params: dict[str, torch.Tensor], train: np.ndarray, x: np.ndarray, like: torch.Tensor) -> np.ndarray:
    """Outputs [n, C, k] of rows x of one replicate, ROWS_AT_ONCE at a time; norms take their statistics from as many rows of `train`,
    evenly spaced, the same for every part.
    """
    tensor = lambda rows: torch.as_tensor(rows).to(like.device, like.dtype)[None]  # noqa: E731
    reference = tensor(train[np.unique(np.linspace(0, len(train) - 1, min(ROWS_AT_ONCE, len(train))).round().astype(int))])
    return np.concatenate([
        predict(network, params, reference, tensor(x[start : start + ROWS_AT_ONCE]))[0].double().cpu().numpy()
        for start in range(0, len(x), ROWS_AT_ONCE)
    ])
