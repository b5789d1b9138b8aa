"""What the penalty does to classes at the softmax optimum (I27)."""

from collections.abc import Iterator

import numpy as np
import torch

from wdbench import penalties
from wdbench.identities.problems import minimise, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

LAMBDA = 0.02


def _imbalanced() -> tuple[np.ndarray, np.ndarray]:
    """Three Gaussian classes at the corners of a triangle, 120, 60 and 12 rows."""
    rng, counts = generator("I27"), (120, 60, 12)
    corners = np.array([[1.0, 0.0], [-0.5, 0.866], [-0.5, -0.866]])
    y = np.repeat(np.arange(3), counts)
    return np.column_stack([1.5 * corners[y], np.zeros((len(y), 3))]) + rng.standard_normal((len(y), 5)), y


@check(
    "I27",
    "the penalty's gradient is class-blind: relabelling classes permutes it",
    tolerance=0,
    unit="entries that differ",
)
def _() -> Result:
    w, order = generator("I27", 1).standard_normal((5, 3)), np.array([2, 0, 1])
    found = penalties.gradient(w[:, order], 0.1, LAMBDA)
    return Result(15, int((found != penalties.gradient(w, 0.1, LAMBDA)[:, order]).sum()))


@check("I27", "at the optimum lambda w_k = -(1/n) sum (p_ik - y_ik) x_i", tolerance=1e-8)
def _() -> Iterator[Result]:
    x, y = _imbalanced()
    for lam in (0.002, LAMBDA, 0.5):
        (solution,) = minimise("softmax", x, y, "l2", [lam])
        p = torch.softmax(tensor(x) @ tensor(solution.W) + tensor(solution.b), -1).numpy()
        yield Result(15, relative(lam * solution.W, -x.T @ (p - np.eye(3)[y]) / len(y)), f"lambda = {lam}")


@check("I27", "softmax: the class weights sum to 0", tolerance=1e-8)
def _() -> Iterator[Result]:
    x, y = _imbalanced()
    for mask in ("weights", "all"):
        (solution,) = minimise("softmax", x, y, "l2", [LAMBDA], decay_mask=mask)
        total = np.abs(solution.W.sum(1)).max() / np.abs(solution.W).max()
        if mask == "all":
            total = max(total, abs(solution.b.sum()) / np.abs(solution.b).max())
        yield Result(5, float(total), f"decay mask: {mask}", "biases too" if mask == "all" else "")


@counter(
    "I27",
    "the norms at the optimum are not equal: the rare class has the smallest",
    tolerance=1.1,
    unit="next norm over the rare class's",
)
def _() -> Iterator[Result]:
    x, y = _imbalanced()
    for lam in (LAMBDA, 0.1, 0.5):
        (solution,) = minimise("softmax", x, y, "l2", [lam])
        norms = np.linalg.norm(solution.W, axis=0)
        yield Result(
            3,
            float(norms[:2].min() / norms[2]),
            f"lambda = {lam}",
            f"norms {norms.round(4).tolist()} for 120, 60, 12 rows",
        )
