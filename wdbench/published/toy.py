"""The 20 rows and 200 columns of Dive into Deep Learning, section 3.7, trained as the book trains them, its initialisation as an axis.

The book prints one run without a seed; here it is a hundred draws of data, initialisation and batch order, of which it may be one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from wdbench import datasets, engine, oracle
from wdbench.cells import Data, Program, Run

REPLICATES = 100


@dataclass(frozen=True)
class Protocol:
    """init: standard deviation of the initial weights; lr; batch size; epochs; half: whether the book's loss has its 1/2."""

    init: float
    lr: float
    batch: int
    epochs: int
    half: bool = True


PROTOCOLS = {
    # version 1.0.3, from scratch, and with torch's optimiser. There the layer is lazy: what the book's class draws for its weights comes
    # before they exist, and they get torch's own U(-1/sqrt(200), 1/sqrt(200)); nn.MSELoss has no 1/2
    "scratch": Protocol(0.01, 0.01, 5, 10),
    "concise": Protocol((1 / 600) ** 0.5, 0.01, 5, 10, half=False),
    # the first edition in Chinese (MXNet; its PyTorch translation)
    "first_edition": Protocol(1.0, 0.003, 1, 100),
}


@cache
def _blocks() -> tuple[Any, ...]:
    return tuple(datasets.block("d2l", r) for r in range(REPLICATES))


@cache
def trained(protocol: str, lam: float) -> tuple[np.ndarray, np.ndarray]:
    """(norm of the weights, exact risk with the 1/2) of each replicate, [REPLICATES] both."""
    asked, blocks = PROTOCOLS[protocol], _blocks()
    # without the 1/2 the gradient of the data doubles: the same steps at twice the rate and half the penalty
    lr, lambda2 = (asked.lr, lam) if asked.half else (2 * asked.lr, lam / 2)
    steps = asked.epochs * (len(blocks[0].y["train"]) // asked.batch)
    program = Program("linear", "sgd", "fp32", "none", "constant", steps, asked.batch, prox=False)
    data = {r: Data("d2l", "regression", 1, b.X["train"], b.y["train"], b.X["val"], b.y["val"], b.X["train"]) for r, b in enumerate(blocks)}
    runs = [Run(program, "coupled", 0.0, lambda2, lr, "weights", asked.init, r) for r in range(REPLICATES)]
    found = dict(pair for chunk in engine.train(runs, data) for pair in chunk)
    return _measured([(found[r].weight, found[r].bias) for r in range(REPLICATES)])


@cache
def solved(lam: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of the exact minimisers, at lam = 0 the one of least norm: no initialisation is left in them."""
    found = [oracle.solve(block, "linear", "l2", 0.0, [lam])[0] for block in _blocks()]
    return _measured([(one.W, one.b) for one in found])


def _measured(solutions: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    norms = np.array([np.linalg.norm(w) for w, _ in solutions])
    risks = np.array([block.truth.risk(w, b)[0] for block, (w, b) in zip(_blocks(), solutions, strict=True)])
    return norms, risks
