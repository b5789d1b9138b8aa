"""What torch's own optimisers do with weight_decay in bf16, flag by flag, beside this project's equations.

A practitioner writes AdamW(weight_decay=...), and torch takes one of three ways through it: a loop over tensors (foreach=False), one call
for all of them (foreach=True), or one kernel (fused=True). Each trains the same small network on the same batches, with decay and
without, in fp32 and in bf16 parameters. Fidelity is that of `wdbench.probes`: at a probed step the optimiser takes its step four times
from the same weights, gradient and state, with and without decay, as it is and in fp64, and

    fidelity = sum <applied, intended> / sum |intended|^2,      applied, intended: what decay changed, as it is and in fp64.

Torch keeps moments in the type of the parameters, in bf16 too; wdbench keeps them in fp32 in every arithmetic. What moves at all is
measured too: up to torch 2.13 fused SGD on a CPU leaves 16-bit parameters as they are (pytorch issue 191763).
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from wdbench import datasets, precision, probes, seeds, updates

STEPS, BATCH, WIDTH, REPLICATE = 100, 32, 32, 0
DATASET = "digits"
DECAYS = (0.0, 2.0**-11, 2.0**-9, 2.0**-8, 2.0**-6)
"""Decay of a step, ηλ, for the ones that are decoupled; coupled ones get the same λ."""
FLAGS = {"loop": {"foreach": False, "fused": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
COLUMNS = ("optimiser", "coupling", "implementation", "dtype", "lr", "decay_per_step", "lambda", "fidelity", "unchanged_share",
           "norm_ratio", "moved_share", "train_loss", "steps")


@dataclass(frozen=True)
class Recipe:
    """An optimiser: torch's class, its name and coupling in wdbench, and η."""

    torch_class: Callable[..., torch.optim.Optimizer]
    name: str
    coupling: str
    lr: float


RECIPES = (
    Recipe(torch.optim.AdamW, "adam", "decoupled", 1e-3),
    Recipe(torch.optim.Adam, "adam", "coupled", 1e-3),
    Recipe(torch.optim.SGD, "sgd", "coupled", 0.05),
)
ROUNDINGS = ("nearest_split", "nearest_once", "stochastic", "kahan")


def _flat(weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([w.detach().double().flatten() for w in weights])


class Torch:
    """An optimiser of torch over a list of parameters, which hold the weights."""

    def __init__(self, recipe: Recipe, weights: list[torch.Tensor], weight_decay: float, flags: dict[str, Any], dtype: torch.dtype) -> None:
        self.recipe, self.flags, self.weight_decay = recipe, flags, weight_decay
        self.weights = [w.to(dtype, copy=True).requires_grad_() for w in weights]
        self.optimiser = self._make(self.weights, weight_decay, flags)

    def _make(self, weights: list[torch.Tensor], weight_decay: float, flags: dict[str, bool]) -> torch.optim.Optimizer:
        return self.recipe.torch_class(weights, lr=self.recipe.lr, weight_decay=weight_decay, **flags)

    def step(self, gradients: list[torch.Tensor]) -> None:
        for w, g in zip(self.weights, gradients, strict=True):
            w.grad = g
        self.optimiser.step()

    def tried(self, gradients: list[torch.Tensor], weight_decay: float, wide: bool) -> torch.Tensor:
        """Weights after a step from here, in fp64 and flat; nothing here changes. wide: the step in fp64, torch's loop."""
        dtype = torch.float64 if wide else self.weights[0].dtype
        weights = [w.detach().to(dtype, copy=True).requires_grad_() for w in self.weights]
        made = self._make(weights, weight_decay, FLAGS["loop"] if wide else self.flags)
        # the moments are cast to the type of the weights; settings stay those of the new optimiser
        made.load_state_dict(deepcopy(self.optimiser.state_dict()) | {"param_groups": made.state_dict()["param_groups"]})
        for w, g in zip(weights, gradients, strict=True):
            w.grad = g.to(dtype)
        made.step()
        return _flat(weights)

    def values(self) -> list[torch.Tensor]:
        return [w.detach() for w in self.weights]


class Ours:
    """The same through `wdbench.updates.step`, weights on the grid of the arithmetic in fp32."""

    def __init__(self, recipe: Recipe, weights: list[torch.Tensor], weight_decay: float, rounding: str) -> None:
        self.recipe, self.weight_decay, self.rounding, self.t = recipe, weight_decay, rounding, 0
        self.precision = precision.make("fp32" if rounding == "none" else "bf16_weights", rounding)
        self.optimiser = updates.Optimiser(recipe.name)
        self.weights = [w.clone() if rounding == "none" else precision.nearest(w) for w in weights]
        self.states = [updates.initial_state(w, self.optimiser, self.precision) for w in self.weights]

    def _bits(self, number: int, shape: tuple[int, ...]) -> torch.Tensor | None:
        if self.rounding != "stochastic":
            return None
        rng = seeds.generator(DATASET, REPLICATE, "rounding", self.t + 1, number)
        return torch.from_numpy(rng.integers(0, 1 << 16, size=tuple(shape), dtype=np.int32))

    def _steps(self, gradients: list[torch.Tensor], weight_decay: float, wide: bool) -> Iterator[tuple[torch.Tensor, updates.State]]:
        decay = updates.decay(self.recipe.coupling, 0.0, weight_decay, self.recipe.lr)
        for number, (w, g, state) in enumerate(zip(self.weights, gradients, self.states, strict=True)):
            arithmetic, bits = self.precision, self._bits(number, w.shape)
            if wide:
                w = w.double() if state.remainder is None else (w - state.remainder).double()
                state = updates.State(*(None if s is None else s.double() for s in (state.m, state.v)))
                arithmetic, bits = probes.FP64, None
            yield updates.step(w, g.to(w.dtype), state, self.t + 1, self.recipe.lr, 1.0, self.optimiser, decay, arithmetic, prox=False,
                               bits=bits)

    def step(self, gradients: list[torch.Tensor]) -> None:
        self.weights, self.states = map(list, zip(*self._steps(gradients, self.weight_decay, False), strict=True))
        self.t += 1

    def tried(self, gradients: list[torch.Tensor], weight_decay: float, wide: bool) -> torch.Tensor:
        found = self._steps(gradients, weight_decay, wide)
        return _flat([new if state.remainder is None else new - state.remainder for new, state in found])

    def values(self) -> list[torch.Tensor]:
        return self.weights


def weights_at_start(n_features: int, n_classes: int) -> list[torch.Tensor]:
    """Weight matrices of a perceptron with one hidden layer and no biases, fp32, N(0, 2/fan-in) and N(0, 1/fan-in)."""
    rng = seeds.generator(DATASET, REPLICATE, "init")
    first = rng.standard_normal((WIDTH, n_features)) * np.sqrt(2 / n_features)
    last = rng.standard_normal((n_classes, WIDTH)) * np.sqrt(1 / WIDTH)
    return [torch.from_numpy(w.astype(np.float32)) for w in (first, last)]


def loss(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of rows x [n, d] with classes y [n]; products in the type of the weights, the loss in fp32."""
    first, last = weights
    return torch.nn.functional.cross_entropy(((x.to(first.dtype) @ first.T).relu() @ last.T).float(), y)


def gradients(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, dtype: torch.dtype) -> list[torch.Tensor]:
    """Gradient of `loss`, products in `dtype`, each in the type of its weights."""
    leaves = [w.detach().to(dtype).requires_grad_() for w in weights]
    found = torch.autograd.grad(loss(leaves, x, y), leaves)
    return [g.to(w.dtype) for g, w in zip(found, weights, strict=True)]


class Trained(NamedTuple):
    """Fidelity (NaN without decay), loss of all training rows, and the last weights, flat in fp64."""

    fidelity: float
    train_loss: float
    weights: torch.Tensor


def train(run: Torch | Ours, dtype: torch.dtype, x: torch.Tensor, y: torch.Tensor, order: NDArray[np.int64]) -> Trained:
    """Train `run` on batches `order` [steps, batch] of rows of x, y."""
    dot = squared = 0.0
    probed = probes.probe_steps(len(order)) if run.weight_decay else frozenset()
    for t, rows in enumerate(order, start=1):
        g = gradients(run.values(), x[rows], y[rows], dtype)
        if t in probed:
            applied, intended = (run.tried(g, run.weight_decay, wide) - run.tried(g, 0.0, wide) for wide in (False, True))
            dot += float(applied @ intended)
            squared += float(intended @ intended)
        run.step(g)
    final = _flat(run.values())
    with torch.no_grad():
        value = float(loss([w.float() for w in run.values()], x, y))
    return Trained(dot / squared if squared else np.nan, value, final)


def runs(recipe: Recipe, weights: list[torch.Tensor], weight_decay: float) -> Iterator[tuple[str, str, torch.dtype, Torch | Ours]]:
    """(implementation, dtype's name, dtype, run) of everything that is compared."""
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for flag, settings in FLAGS.items():
            yield f"torch {flag}", name, dtype, Torch(recipe, weights, weight_decay, settings, dtype)
        for rounding in ("none",) if name == "fp32" else ROUNDINGS:
            yield f"wdbench {rounding}" if name == "bf16" else "wdbench", name, dtype, Ours(recipe, weights, weight_decay, rounding)


def measure(steps: int = STEPS, recipes: tuple[Recipe, ...] = RECIPES, decays: tuple[float, ...] = DECAYS) -> pd.DataFrame:
    """torch_flags.csv: one row an optimiser, implementation, type of the parameters and decay; COLUMNS.

    decays: ηλ, the first of them 0, which the others are compared with.
    """
    block = datasets.block(DATASET, REPLICATE)
    x, y = torch.from_numpy(block.X["train"]).float(), torch.from_numpy(block.y["train"]).long()
    order = seeds.generator(DATASET, REPLICATE, "batches").integers(0, len(x), size=(steps, BATCH))
    start = weights_at_start(x.shape[1], block.n_outputs)
    at_start = {"fp32": _flat(start), "bf16": _flat([precision.nearest(w) for w in start])}
    rows: list[dict[str, Any]] = []
    without: dict[tuple[Recipe, str, str], torch.Tensor] = {}
    for recipe in recipes:
        for decay in decays:
            for implementation, name, dtype, run in runs(recipe, start, decay / recipe.lr):
                found = train(run, dtype, x, y, order)
                plain = without.setdefault((recipe, implementation, name), found.weights)
                final = found.weights
                rows.append({"optimiser": f"torch.optim.{recipe.torch_class.__name__}", "coupling": recipe.coupling, "dtype": name,
                             "implementation": implementation, "lr": recipe.lr, "decay_per_step": decay, "lambda": decay / recipe.lr,
                             "unchanged_share": float((final == plain).double().mean()),
                             "norm_ratio": float(final.norm() / plain.norm()),
                             "moved_share": float((final != at_start[name]).double().mean()), "steps": steps,
                             "fidelity": found.fidelity, "train_loss": found.train_loss})
    return pd.DataFrame(rows)[list(COLUMNS)]
