"""lambda = 0 is the run without a penalty, bit for bit (I1)."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from wdbench import models, penalties, precision, updates
from wdbench.cells import FORMS
from wdbench.identities.problems import FP64, SGD, descend, minimise, quadratic, regression, tensor
from wdbench.identities.registry import Result, check, generator, relative

if TYPE_CHECKING:
    from wdbench.precision import Precision

ARITHMETICS = (("fp64", "none"), ("fp32", "none"), ("bf16_compute", "none")) + tuple(
    ("bf16_weights", rounding) for rounding in precision.ROUNDINGS[1:]
)


def _run(arithmetic: "Precision", optimiser: updates.Optimiser, decay: updates.Decay, form: str, steps: int = 100) -> torch.Tensor:
    """Weights after minibatch training in `arithmetic`, with a linear schedule and fixed noise."""
    x, y = (tensor(a, arithmetic.compute) for a in regression("I1", 64, 8))
    order = torch.as_tensor(generator("I1").integers(0, 64, (steps, 16)))
    w = tensor(generator("I1", 1).standard_normal(8), arithmetic.master)
    w = precision.nearest(w) if arithmetic.name == "bf16_weights" else w

    def gradient(w: torch.Tensor, t: int) -> torch.Tensor:
        rows = order[t - 1]
        return quadratic(x[rows], y[rows])(w.to(arithmetic.compute), t).to(arithmetic.master)

    return descend(
        w,
        gradient,
        steps,
        0.01,
        optimiser,
        decay,
        arithmetic,
        lambda t: 1 - (t - 1) / steps,
        form,
        generator("I1", 2),
    )


@check("I1", "lambda = 0: bits of a loop without any penalty in it", tolerance=0, unit="weights that differ")
def _() -> Iterator[Result]:
    x, y = (tensor(a) for a in regression("I1", 64, 8))
    start = tensor(generator("I1", 1).standard_normal(8))
    w = start
    for _ in range(100):
        w = w - 0.01 * quadratic(x, y)(w, 0)
    for coupling in updates.COUPLINGS:
        found = descend(
            start,
            quadratic(x, y),
            100,
            0.01,
            SGD,
            updates.decay(coupling, 0.0, 0.0, 0.01),
            FP64,
            form=FORMS[coupling],
        )
        yield Result(8, int((found != w).sum()), coupling)


@check("I1", "lambda = 0: torch's optimiser without weight_decay, 100 steps", tolerance=1e-12)
def _() -> Iterator[Result]:
    x, y = (tensor(a) for a in regression("I1", 64, 8))
    start, lr = tensor(generator("I1", 1).standard_normal(8)), 0.01
    for name, build in (
        ("sgd", lambda w: torch.optim.SGD([w], lr)),
        ("momentum", lambda w: torch.optim.SGD([w], lr, momentum=0.9)),
        ("nesterov", lambda w: torch.optim.SGD([w], lr, momentum=0.9, nesterov=True)),
        ("adam", lambda w: torch.optim.Adam([w], lr)),
    ):
        w = start.clone().requires_grad_()
        optimiser = build(w)
        for _ in range(100):
            w.grad = quadratic(x, y)(w.detach(), 0)
            optimiser.step()
        found = descend(
            start, quadratic(x, y), 100, lr, updates.Optimiser(name), updates.decay("coupled", 0.0, 0.0, lr)
        )
        yield Result(100, relative(found, w.detach()), name)


@check("I1", "lambda = 0: penalty, gradient and prox vanish", tolerance=0, unit="ulp")
def _() -> Iterator[Result]:
    w = generator("I1", 3).standard_normal(1000)
    w[:2] = 0.0, -0.0
    for name in penalties.PENALTIES:
        coefficients = penalties.split(name, 0.5, 0.0)
        loss = float(models.squared_loss(tensor(w)[:, None], torch.zeros(1000)))
        error = (
            abs(loss + penalties.value(w, *coefficients) - loss)
            + np.abs(penalties.gradient(w, *coefficients)).max()
            + (penalties.prox(w, *coefficients).tobytes() != w.tobytes())
        )
        yield Result(len(w), float(error), name)


@check("I1", "lambda = 0: the exact minimiser is that of the loss", tolerance=1e-8)
def _() -> Iterator[Result]:
    x, y = regression("I1")
    expected = np.linalg.lstsq(np.column_stack([x, np.ones(len(y))]), y, rcond=None)[0]
    for name in ("none", "l1", "l2", "elastic"):
        (solution,) = minimise("linear", x, y, name, [0.0])
        yield Result(1, relative(np.append(solution.W[:, 0], solution.b), expected), name)


@check("I1", "lambda = 0: bits of the weights after 100 steps", tolerance=0, unit="runs that differ")
def _() -> Iterator[Result]:
    for name, rounding in ARITHMETICS:
        arithmetic = precision.make(name, rounding)
        runs, differing = 0, []
        for optimiser in map(updates.Optimiser, updates.OPTIMISERS):
            reference = _run(arithmetic, optimiser, updates.Decay(), "plain")
            for coupling in updates.COUPLINGS:
                forms = [updates.decay(coupling, 0.0, 0.0, 0.01)]
                if rounding == "none":
                    # as the engine passes them, one number a cell
                    forms.append(forms[0].map(partial(torch.full, (8,), dtype=arithmetic.master)))
                for decay in forms:
                    found = _run(arithmetic, optimiser, decay, FORMS[coupling])
                    runs += 1
                    if found.numpy().tobytes() != reference.numpy().tobytes():
                        differing.append(f"{optimiser.name} {coupling}")
        yield Result(runs, len(differing), f"{name}, {rounding}", ", ".join(differing[:3]))
