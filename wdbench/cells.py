"""A cell resolved to numbers, as the engine takes it."""

from dataclasses import dataclass

import numpy as np

# lambda of the bias in units of the weights', by decay mask
BIAS_SHARE = {"weights": 0.0, "all": 1.0, "bias_hundredth": 0.01}
# couplings whose L1 part is a subgradient, an operation that the others do without
SUBGRADIENT = ("coupled_subgradient", "decoupled_subgradient")


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
