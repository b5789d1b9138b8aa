"""Separable logistic regression (I31): without decay the norm grows like log t, with decay the minimiser is unique.

Soudry, Hoffer, Nacson, Gunasekar & Srebro 2018 (arXiv 1710.10345, theorem 3): w_t = w_svm log t + O(1), so that
|w| against log t has the slope 1/margin.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from wdbench import models, updates
from wdbench.identities.problems import FP64, descend, minimise, tensor, trajectory
from wdbench.identities.registry import Result, check, counter, generator, relative

MARGIN = 1.0
END = 1e10
CONSTANT_STEPS = 20_000


def _separable() -> tuple[np.ndarray, np.ndarray]:
    """Points mirrored at the origin, separated best across the first axis, at distance MARGIN, without a bias."""
    one_class = np.array([[1.0, 1.0], [1.0, -0.5], [2.0, 0.3], [1.5, -1.2], [3.0, 2.0]])
    return np.vstack([one_class, -one_class]), np.repeat([1, 0], len(one_class))


def _gradient(x: torch.Tensor, y: torch.Tensor) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """gradient(w, t) of the logistic loss without a bias for w [d] or [d, starts]; I6 holds it to the model's loss."""
    return lambda w, t: x.T @ (torch.sigmoid(x @ w) - y.reshape(-1, *(1,) * (w.ndim - 1))) / len(y)


def _loss(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> float:
    return float(models.logistic_loss((x @ w)[:, None], y))


def _flow() -> np.ndarray:
    """(time, |w|, loss) up to time END along gradient descent whose step grows as the loss falls.

    The curvature is at most loss * max|x|^2, so that a tenth of its inverse as learning rate follows the gradient
    flow at every scale; time is the sum of learning rates. Beyond END, 1 - p would lose its digits in fp64.
    """
    x, y = (tensor(a) for a in _separable())
    gradient, largest = _gradient(x, y), float(x.square().sum(1).max())
    track: list[tuple[float, float, float]] = []
    w, state, time = torch.zeros(2, dtype=torch.float64), updates.State(), 0.0
    while time < END:
        loss = _loss(w, x, y)
        lr = 0.1 / (largest * loss)
        w, state = updates.step(
            w, gradient(w, 0), state, len(track) + 1, lr, 1.0, updates.Optimiser("sgd"), updates.Decay(), FP64
        )
        time += lr
        track.append((time, float(w.norm()), loss))
    return np.array(track).T


def _slope(time: np.ndarray, norm: np.ndarray, low: float, high: float) -> float:
    inside = (time >= low) & (time <= high)
    return float(np.polyfit(np.log(time[inside]), norm[inside], 1)[0])


@check("I31", "lambda > 0: every start ends at the one minimiser", tolerance=1e-8)
def _() -> Iterator[Result]:
    points, classes = _separable()
    x, y = tensor(points), tensor(classes)
    for lam in (0.01, 0.1, 1.0):
        (solution,) = minimise("logistic", points, classes, "l2", [lam])
        starts = tensor(generator("I31").standard_normal((2, 5)) * 10)
        lr = 1 / (float(torch.linalg.eigvalsh(x.T @ x / len(y))[-1]) / 4 + lam)
        decay = updates.decay("coupled", 0.0, lam, lr)
        found = descend(starts, _gradient(x, y), int(40 / (lr * lam)), lr, decay=decay)
        yield Result(
            5,
            relative(found, np.repeat(solution.W, 5, axis=1)),
            f"lambda = {lam}",
            f"|w*| = {np.linalg.norm(solution.W):.4g}",
        )


@check("I31", "lambda = 0: |w| grows like log t, slope stable over the last two decades", tolerance=0.1)
def _() -> Iterator[Result]:
    time, norm, _ = _flow()
    late, early = _slope(time, norm, END / 10, END), _slope(time, norm, END / 100, END / 10)
    yield Result(
        int((time > END / 100).sum()),
        abs(late / early - 1),
        "last decade against the one before",
        f"slope {late:.4g}, time {END:.2g}, |w| {norm[-1]:.3g}",
    )
    yield Result(1, abs(late * MARGIN - 1), "against 1/margin")


@check("I31", "lambda = 0: constant steps follow the same curve", tolerance=0.1)
def _() -> Result:
    x, y = (tensor(a) for a in _separable())
    w = trajectory(torch.zeros(2, dtype=torch.float64), _gradient(x, y), CONSTANT_STEPS, 1.0)
    track = np.arange(CONSTANT_STEPS + 1), w.norm(dim=1).numpy()
    late, early = (
        _slope(*track, CONSTANT_STEPS / below, CONSTANT_STEPS / above) for below, above in ((10, 1), (100, 10))
    )
    return Result(CONSTANT_STEPS, abs(late / early - 1), note=f"slope {late:.4g} against {early:.4g}, lr = 1")


@check("I31", "lambda = 0: the norm has no bound, the loss no minimum", tolerance=0, unit="steps that disagree")
def _() -> Result:
    _, norm, loss = _flow()
    return Result(
        len(loss),
        int((np.diff(norm) <= 0).sum() + (np.diff(loss) >= 0).sum() + (loss <= 0).sum()),
        note=f"loss {loss[-1]:.1g}",
    )


@counter("I31", "not separable: lambda = 0 has a minimiser too", tolerance=1e-8, relation="<=")
def _() -> Result:
    points, classes = _separable()
    classes = classes.copy()
    classes[2], classes[7] = classes[7], classes[2]
    x, y = tensor(points), tensor(classes)
    (solution,) = minimise("logistic", points, classes, "none", [0.0])
    found = descend(torch.zeros(2, dtype=torch.float64), _gradient(x, y), 3000, 1.0)
    return Result(1, relative(found, solution.W[:, 0]), note=f"|w*| = {np.linalg.norm(solution.W):.4g}")
