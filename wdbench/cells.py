"""A cell resolved to numbers, as the engine takes it."""

from dataclasses import dataclass

import numpy as np

# lambda of the bias in units of the weights', by decay mask
BIAS_SHARE = {"weights": 0.0, "all": 1.0, "bias_hundredth": 0.01}
# coupling -> form of its update: what cells of one stack share, because a form is an operation that the others do without, and
# whether an operation runs may not depend on what else is stacked (g + 0 w is not always g)
FORMS = {
    "coupled": "plain",
    "decoupled": "plain",
    "independent": "plain",
    "coupled_subgradient": "subgradient",
    "decoupled_subgradient": "subgradient",
    "corrected": "plain",
    "cautious": "cautious",
    "moment_split_m": "moment_split",
    "moment_split_v": "moment_split",
}
SUBGRADIENT = tuple(coupling for coupling, form in FORMS.items() if form == "subgradient")


@dataclass(frozen=True)
class Program:
    """What the cells of one stack share; `form`: one of FORMS' values."""

    model: str
    optimiser: str
    precision: str
    rounding: str
    schedule: str
    steps: int
    batch_size: int
    form: str


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
