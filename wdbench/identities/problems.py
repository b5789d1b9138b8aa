"""Small problems for the checks, and loops that run the production code over them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from wdbench import datasets, models, oracle, precision, updates
from wdbench.datasets.records import digest
from wdbench.identities.registry import generator

FP64 = precision.make("fp64")
FP32 = precision.make("fp32")
BF16_SPLIT = precision.make("bf16_weights", "nearest_split")
TOLERANCE = 1e-18
SGD = updates.Optimiser("sgd")


def regression(identity: str, n: int = 60, d: int = 8, counter: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x [n, d], not standardised, and y [n] with a mean far from 0."""
    rng = generator(identity, n, d, counter)
    x = rng.standard_normal((n, d)) * rng.uniform(0.5, 2.0, d) + rng.standard_normal(d)
    return x, x @ rng.standard_normal(d) + 3.0 + 0.5 * rng.standard_normal(n)


def labels(x: np.ndarray, classes: int, identity: str, spread: float = 1.5) -> np.ndarray:
    """Class numbers [n] (int64) of a noisy linear rule on x, every class present."""
    rng = generator(identity, *x.shape, classes)
    score = (x - x.mean(0)) / x.std(0) @ rng.standard_normal((x.shape[1], classes))
    y = np.argmax(score + spread * rng.gumbel(size=score.shape), axis=1)
    if len(np.unique(y)) != classes:
        raise ValueError(f"the draw for {identity} lacks a class")
    return y


def tensor(x: ArrayLike | torch.Tensor, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.as_tensor(np.asarray(x)).to(dtype)


def iterates(
    w: torch.Tensor,
    gradient: Callable[..., Any],
    steps: int,
    lr: float | torch.Tensor,
    optimiser: updates.Optimiser = SGD,
    decay: updates.Decay | None = None,
    arithmetic: precision.Precision = FP64,
    schedule: Callable[[int], float] = lambda t: 1.0,
    form: str = "plain",
    noise: np.random.Generator | None = None,
) -> Iterator[torch.Tensor]:
    """w and what each of `steps` production updates makes of it; gradient(w, t) is that of the data loss."""
    decay = updates.Decay() if decay is None else decay
    state = updates.initial_state(w, optimiser, arithmetic)
    yield w
    for t in range(1, steps + 1):
        bits = None if noise is None else torch.as_tensor(noise.integers(0, 1 << 16, w.shape, dtype=np.int32))
        w, state = updates.step(
            w, gradient(w, t), state, t, lr, schedule(t), optimiser, decay, arithmetic, form, True, bits
        )
        yield w


def descend(*arguments: Any, **options: Any) -> torch.Tensor:
    """The last of `iterates`."""
    return deque(iterates(*arguments, **options), maxlen=1).pop()


def trajectory(*arguments: Any, **options: Any) -> torch.Tensor:
    """All of `iterates`, [steps + 1, *w.shape]."""
    return torch.stack(list(iterates(*arguments, **options)))


def quadratic(x: torch.Tensor, y: torch.Tensor) -> Callable[..., Any]:
    """gradient(w, t) of mean 1/2 (x w - y)^2 without a bias, for w [d]."""
    return lambda w, t: x.T @ (x @ w - y) / len(y)


def minimise(
    model: str,
    x: np.ndarray,
    y: np.ndarray,
    penalty: str,
    lambdas: Iterable[float],
    l1_ratio: float = 0.5,
    decay_mask: str = "weights",
) -> list[oracle.Solution]:
    """The oracle's exact minimisers on training data x [n, d], y [n], one for each of `lambdas`, in their order.

    The oracle is asked for more than fp64 can give, so that it stops where rounding stops it.
    """
    task = models.FAMILIES[model].task
    outputs = int(y.max()) + 1 if task == "multiclass" else 1
    splits = {split: (x, y) for split in ("train", "val", "test")}
    block = datasets.Block(
        spec="identity",
        replicate=0,
        X={s: a for s, (a, _) in splits.items()},
        y={s: a for s, (_, a) in splits.items()},
        task=task,
        n_outputs=outputs,
        truth=None,
        descriptors={},
        sha256=digest(x, y),
    )
    ratio = {"none": 0.0, "l1": 1.0, "l2": 0.0, "elastic": l1_ratio}[penalty]
    return list(oracle.solve(block, model, penalty, ratio, [float(v) for v in lambdas], decay_mask, TOLERANCE))


def data_loss(model: str, x: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> float:
    """Mean data loss of a solution W [d, k], b [k], by the model's own loss."""
    return float(models.FAMILIES[model].loss(tensor(x) @ tensor(W) + tensor(b), tensor(y)))
