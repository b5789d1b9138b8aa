"""The penalty as a function: the factor 1/2 (I2), derivatives (I4), what a large component costs (I12)."""

from collections.abc import Iterator

import numpy as np
import torch

from wdbench import penalties
from wdbench.identities.problems import minimise, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

LAMBDA = 0.3


@check("I2", "the derivative of lambda/2 |w|^2 is lambda w", tolerance=1e-7)
def _() -> Iterator[Result]:
    w, h = generator("I2").standard_normal(50), 1e-5
    numeric = [
        (penalties.value(w + h * e, 0.0, LAMBDA) - penalties.value(w - h * e, 0.0, LAMBDA)) / (2 * h)
        for e in np.eye(50)
    ]
    yield Result(50, relative(numeric, LAMBDA * w), "central differences")
    leaf = tensor(w).requires_grad_()
    yield Result(50, relative(torch.autograd.grad(penalties.value(leaf, 0.0, LAMBDA), leaf)[0], LAMBDA * w), "autograd")
    yield Result(50, relative(penalties.gradient(w, 0.0, LAMBDA), LAMBDA * w), "penalties.gradient")


def _without_half(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """(w, b) of the least mean 1/2 r^2 + strength |w|^2."""
    design = np.column_stack([x, np.ones(len(y))])
    ridge = np.diag(np.append(np.full(x.shape[1], 2 * strength), 0.0))
    return np.linalg.solve(design.T @ design / len(y) + ridge, design.T @ y / len(y))


@check("I2", "without 1/2: the same minimisers, at lambda / 2", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, y = regression("I2")
    for lam in (0.01, 0.3, 10.0):
        (solution,) = minimise("linear", x, y, "l2", [lam])
        strength = penalties.to_convention("why_weight_decay", 0.0, lam)["l2_reg"]
        yield Result(
            1, relative(np.append(solution.W[:, 0], solution.b), _without_half(x, y, strength)), f"lambda = {lam}"
        )


@counter("I2", "without 1/2, at the same lambda: another minimiser", tolerance=1e-2)
def _() -> Result:
    x, y = regression("I2")
    (solution,) = minimise("linear", x, y, "l2", [LAMBDA])
    return Result(
        1, relative(solution.W[:, 0], _without_half(x, y, LAMBDA)[:-1]), note="1/2 is a convention: nothing needs it"
    )


@check("I4", "|w|^2: derivative 2 w, Hessian 2 on the diagonal and 0 off it", tolerance=0, unit="entries that differ")
def _() -> Iterator[Result]:
    w = tensor(generator("I4").standard_normal(40))
    gradient = torch.autograd.functional.jacobian(lambda v: penalties.value(v, 0.0, 2.0), w)
    hessian = torch.autograd.functional.jacobian(lambda v: penalties.gradient(v, 0.0, 2.0), w)
    yield Result(40, int((gradient != 2 * w).sum()), "gradient")
    differing = int((hessian != 2 * torch.eye(40, dtype=w.dtype)).sum())
    yield Result(1600, differing, "Hessian: |w|^2 separates over coordinates")


@check("I4", "the derivative of the sum is the sum of derivatives", tolerance=1e-15)
def _() -> Result:
    w = generator("I4", 1).standard_normal(40)
    parts = sum(penalties.gradient(np.where(np.arange(40) == i, w, 0.0), 0.0, LAMBDA) for i in range(40))
    return Result(
        40,
        relative(penalties.gradient(w, 0.0, LAMBDA), parts),
        note="so for every sum: what is special is separability",
    )


def _norm(w: np.ndarray) -> float:
    """|w|, from the squared penalty."""
    return float(np.sqrt(2 * penalties.value(w, 0.0, 1.0)))


@counter("I4", "|w| not squared: mixed second differences", tolerance=1e-2)
def _() -> Result:
    w, (a, b, *_) = generator("I4").standard_normal(4), 1e-3 * np.eye(4)
    mixed = (_norm(w + a + b) - _norm(w + a - b) - _norm(w - a + b) + _norm(w - a - b)) / 4e-6
    return Result(1, abs(mixed), note=f"-w_1 w_2 / |w|^3 is {-w[0] * w[1] / _norm(w) ** 3:.4g}, found {mixed:.4g}")


@counter("I4", "|w| not squared: no derivative at 0", tolerance=1.0, unit="jump of the directional derivative")
def _() -> Result:
    e, h = np.eye(5), 1e-8
    jump = min((_norm(h * d) + _norm(-h * d)) / h for d in e)
    leaf = torch.zeros(5, requires_grad=True)
    (slope,) = torch.autograd.grad(leaf.norm(), leaf)
    return Result(5, jump, note=f"autograd of w.norm() at 0 gives {float(slope[0])}")


@check("I12", "marginal cost of a component: lambda |w_i| for L2, lambda for L1", tolerance=1e-14)
def _() -> Iterator[Result]:
    w = generator("I12").standard_normal(200) * 10
    for name, lambda1, lambda2, expected in (
        ("L2", 0.0, LAMBDA, LAMBDA * np.abs(w)),
        ("L1", LAMBDA, 0.0, np.full(200, LAMBDA)),
    ):
        leaf = tensor(w).requires_grad_()
        found = torch.autograd.grad(penalties.value(leaf, lambda1, lambda2), leaf)[0].abs()
        yield Result(200, relative(found, expected), name)


@check("I12", "k equal parts of one weight: the L2 penalty is divided by k, L1 unchanged", tolerance=1e-14)
def _() -> Iterator[Result]:
    for k in (2, 7, 100):
        whole, parts = np.array([3.0]), np.full(k, 3.0 / k)
        error = max(
            abs(penalties.value(parts, 0.0, 1.0) * k / penalties.value(whole, 0.0, 1.0) - 1),
            abs(penalties.value(parts, 1.0, 0.0) / penalties.value(whole, 1.0, 0.0) - 1),
        )
        yield Result(2, error, f"k = {k}")


@counter(
    "I12", "|w| not squared: the marginal cost is at most lambda", tolerance=1 + 1e-12, unit="lambda", relation="<="
)
def _() -> Result:
    w = tensor(generator("I12").standard_normal(200) * 10).requires_grad_()
    found = torch.autograd.grad((2 * penalties.value(w, 0.0, 1.0)).sqrt(), w)[0].abs()
    return Result(200, float(found.max()), note="the outsize penalty is that of the squared norm")
