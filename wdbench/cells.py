"""A cell resolved to numbers, as the engine takes it."""

import math
from dataclasses import dataclass

import numpy as np

# lambda of a group of parameters in units of the cell's, by decay mask; a group that is not named has none
WEIGHTS = {"hidden": 1.0, "head": 1.0, "embedding": 1.0}
DECAY_SHARE = {
    "weights": WEIGHTS,
    "all": WEIGHTS | {"norm": 1.0, "bias": 1.0},
    "bias_hundredth": WEIGHTS | {"norm": 0.01, "bias": 0.01},
    "hidden": {"hidden": 1.0},
    "head": {"head": 1.0},
}
BIAS_SHARE = {mask: DECAY_SHARE[mask].get("bias", 0.0) for mask in ("weights", "all", "bias_hundredth")}
# which operations a coupling needs in a step; couplings of one form differ from each other in numbers alone
FORMS = dict.fromkeys(("coupled", "decoupled", "independent", "corrected"), "plain") | {
    "coupled_subgradient": "subgradient",
    "decoupled_subgradient": "subgradient",
    "cautious": "cautious",
    "moment_split_m": "moment_split",
    "moment_split_v": "moment_split",
    "scheduled": "scheduled",
    "norm_replay": "replay",
    "lr_replay": "replay",
}
# couplings of cells that have no penalty themselves and are trained beside one that has (follow.py)
FOLLOWERS = tuple(name for name, form in FORMS.items() if form == "replay")


@dataclass(frozen=True)
class Program:
    """What the cells of one stack share; form (see FORMS) and prox because they add operations to every step.

    prox: the cells have an L1 part that the proximal step takes. beta1, beta2: see `updates.Optimiser`. ema: decay of the average
    of the weights, 0 for none. probes: those asked for beside the cheap ones, joined by + (`endprobes`, `runprobes`).
    sphere: see `sphere.py`.
    """

    model: str
    optimiser: str
    precision: str
    rounding: str
    schedule: str
    steps: int
    batch_size: int
    form: str = "plain"
    prox: bool = True
    ema: float = 0.0
    probes: str = ""
    beta1: float = 0.9
    beta2: float = 0.999
    sphere: str = "none"


@dataclass(frozen=True)
class Run:
    """One cell resolved to numbers: learning rate and penalties absolute. clip: largest gradient norm, infinite for none.

    The penalties of a cell whose coupling is one of FOLLOWERS are those of the run that it follows.
    """

    program: Program
    coupling: str
    lambda1: float
    lambda2: float
    lr: float
    decay_mask: str
    init_scale: float
    replicate: int
    decay_phase: str = "all"
    clip: float = math.inf


@dataclass(frozen=True)
class Data:
    """A replicate's training data and streams: x [n, d] fp64, y [n] fp64, outputs k, task; val likewise; rows of the test split.

    Where rows are many x may be anything with a shape whose rows can be taken by number. Of a language x and y are [n, context]
    symbol numbers, and y_test is needed: its models are scored where they are trained.
    """

    base: str
    task: str
    outputs: int
    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray | None = None
