"""What is timed: cells of one program, the data they are trained on, and the start that every way of training begins from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from wdbench import engine, models, seeds
from wdbench.cells import Data, Program, Run


@dataclass(frozen=True)
class Case:
    """arms x replicates cells of a program. plain, processes: how many of them the slower ways train.

    tolerance: distance |a - b| / |a| of two ways' weights that rounding accounts for: what it changes in the first steps, hundreds of
    steps with ReLU and Adam multiply.
    """

    name: str
    model: str
    optimiser: str
    precision: str
    features: int
    outputs: int
    rows: int
    batch: int
    steps: int
    arms: int
    replicates: int
    lr: float
    plain: int
    processes: int
    tolerance: float

    @property
    def cells(self) -> int:
        return self.arms * self.replicates

    @cached_property
    def task(self) -> str:
        return models.parse(self.model)[0].task

    @cached_property
    def program(self) -> Program:
        return Program(self.model, self.optimiser, self.precision, "none", "constant", self.steps, self.batch, prox=False)

    @cached_property
    def runs(self) -> list[Run]:
        """Replicates vary fastest; lambda2 differs from arm to arm; decoupled decay."""
        scale = 0.0 if models.parse(self.model)[0].affine else 1.0
        return [Run(self.program, "decoupled", 0.0, 0.1 * (i + 1) / self.arms, self.lr, "weights", scale, r)
                for i in range(self.arms) for r in range(self.replicates)]

    @cached_property
    def data(self) -> dict[int, Data]:
        rng = np.random.default_rng(0)
        return {r: Data("bench", self.task, self.outputs, *(part for n in (self.rows, 64) for part in self._draw(rng, n)),
                        *self._draw(rng, 64)) for r in range(self.replicates)}

    def _draw(self, rng, rows: int) -> tuple[np.ndarray, np.ndarray]:
        if self.task == "language":
            text = rng.integers(0, self.outputs, (rows, self.features + 1))
            return text[:, :-1], text[:, 1:].astype(float)
        x = rng.standard_normal((rows, self.features))
        y = x[:, 0] if self.task == "regression" else rng.integers(0, self.outputs, rows).astype(float)
        return x, y

    def order(self, replicate: int) -> np.ndarray:
        """Row numbers [steps, batch], the engine's own."""
        return engine.batches("bench", replicate, self.rows, self.steps, self.batch)

    def start(self, replicate: int) -> dict[str, np.ndarray]:
        """Parameter name -> start values fp32 of a replicate's cells, the engine's own."""
        family, options = models.parse(self.model)
        found = {}
        for i, (name, value) in enumerate(self.module().named_parameters()):
            kind, number = family.initial(options, name, tuple(value.shape))
            normals = seeds.generator("bench", replicate, "init", i).standard_normal(tuple(value.shape))
            scale = 0.0 if family.affine else number
            found[name] = (normals * scale if kind == "normal" else np.full(value.shape, number)).astype(np.float32)
        return found

    def decayed(self, name: str) -> bool:
        """Whether a parameter is decayed: weights are, biases and norms are not."""
        return models.parse(self.model)[0].group(name) not in ("bias", "norm")

    def module(self) -> torch.nn.Module:
        family, options = models.parse(self.model)
        return family.build(options, self.features, self.outputs)

    def flops(self) -> int:
        """Floating-point operations of a cell's matrix products: 6 a weight and row (forward 2, backward 4)."""
        weights = sum(np.prod(value.shape) for _, value in self.module().named_parameters() if value.ndim >= 2)
        return int(6 * weights * self.batch * (self.features if self.task == "language" else 1) * self.steps)


# steps and batches are those of the studies that the default run spends its time on (config.yaml: 100 x 64 for softmax, 500 x 64 for
# perceptrons); of the language model a sixth of the gpt profile's
CASES = {case.name: case for case in (
    #    name                  model                optimiser   precision       d    k   rows  B   steps arms  R   lr    plain proc tol
    Case("linear",            "linear",            "sgd",      "fp32",         200,  1, 1000,  5, 200, 128, 16, 0.003, 8, 2, 1e-4),
    Case("softmax",           "softmax",           "sgd",      "fp32",          64, 10, 1078, 64, 100,  64,  8, 0.1,   4, 2, 1e-4),
    Case("softmax, Adam",     "softmax",           "adam",     "fp32",          64, 10, 1078, 64, 100,  64,  8, 0.01,  4, 2, 1e-3),
    Case("MLP, AdamW",        "mlp",               "adam",     "fp32",          64, 10, 1078, 64, 500,  16,  8, 0.002, 4, 2, 1e-1),
    Case("MLP, AdamW, bf16",  "mlp",               "adam",     "bf16_compute",  64, 10, 1078, 64, 500,  16,  8, 0.002, 4, 2, 2e-1),
    Case("MLP, SGD",          "mlp",               "sgd",      "fp32",          64, 10, 1078, 64, 500,  16,  8, 0.1,   4, 2, 1e-1),
    Case("CNN",               "cnn",               "sgd",      "fp32",          64, 10, 1078, 32, 300,   4,  2, 0.05,  4, 1, 1e-1),
    Case("GPT",               "gpt:vocab=96",      "adam",     "fp32",          64, 96,  256, 16, 240,   4,  1, 0.001, 2, 1, 1e-1),
    Case("GPT, bf16",         "gpt:vocab=96",      "adam",     "bf16_compute",  64, 96,  256, 16, 240,   4,  1, 0.001, 2, 1, 3e-1),
)}
