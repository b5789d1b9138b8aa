"""Weights that feed a normalisation: the norm is no part of the function (I18), and decay is a learning-rate schedule (I19).

van Laarhoven 2017 (arXiv 1706.05350) for I18; Li & Arora 2020 (arXiv 1910.07454) for I19.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from wdbench import models, penalties, updates
from wdbench.identities.problems import FP64, SGD, labels, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

LR, LAMBDA, STEPS, BATCH = 0.1, 0.1, 300, 16
EPS = 0.0  # of the normalisations: a variance that it adds to is not scale-invariant


def _batch_norm(z: torch.Tensor) -> torch.Tensor:
    """z [n, h] with mean 0 and variance 1 a column, no affine part."""
    z = z - z.mean(0)
    return z / (z.square().mean(0) + EPS).sqrt()


def _layer_norm(z: torch.Tensor) -> torch.Tensor:
    return _batch_norm(z.T).T


def network(x: torch.Tensor, w: torch.Tensor, head: torch.Tensor, norm: Callable[..., torch.Tensor] = _batch_norm) -> torch.Tensor:
    """Logits [n, 3] of head relu(norm(x w')); x [n, 6], w [12, 6], head [3, 12]."""
    return F.relu(norm(x @ w.T)) @ head.T


def _problem(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """x [64, 6], y [64] and the weights w [12, 6], head [3, 12]."""
    rng = generator("I18")
    x = rng.standard_normal((64, 6))
    w, head = rng.standard_normal((12, 6)), rng.standard_normal((3, 12))
    return tensor(x, dtype), tensor(labels(x, 3, "I18")), tensor(w, dtype), tensor(head / 3, dtype)


def _gradients(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, head: torch.Tensor,
               norm: Callable[..., torch.Tensor] = _batch_norm) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss, its gradient by w, by head)."""
    w, head = w.detach().requires_grad_(), head.detach().requires_grad_()
    loss = models.softmax_loss(network(x, w, head, norm), y)
    by_w, by_head = torch.autograd.grad(loss, (w, head))
    return loss.detach(), by_w, by_head


NORMS = (("batch norm", _batch_norm), ("layer norm", _layer_norm))
SCALES = (0.01, 0.3, 7.0, 1000.0)


@check("I18", "f(alpha w) = f(w)", tolerance=1e-12)
def _() -> Iterator[Result]:
    x, _, w, head = _problem()
    for name, norm in NORMS:
        for scale in SCALES:
            yield Result(
                len(x), relative(network(x, scale * w, head, norm), network(x, w, head, norm)), f"{name}, {scale:g}"
            )


def _cosines(g: torch.Tensor, w: torch.Tensor, each_row: bool) -> float:
    """Largest |cos(g, w)|, over rows (neurons), or of all weights together."""
    g, w = (g, w) if each_row else (g.reshape(1, -1), w.reshape(1, -1))
    return float(F.cosine_similarity(g.double(), w.double(), dim=1, eps=0.0).abs().max())


@check("I18", "the gradient is orthogonal to w, fp64", tolerance=1e-12, unit="|cos|")
def _() -> Iterator[Result]:
    x, y, w, head = _problem()
    for name, norm in NORMS:
        # batch norm sees each neuron by itself, layer norm all of a row's neurons at once
        each = norm is _batch_norm
        error = _cosines(_gradients(x, y, w, head, norm)[1], w, each)
        yield Result(len(w) if each else 1, error, f"{name}, {'each neuron' if each else 'all weights'}")


@check("I18", "the gradient is orthogonal to w, fp32", tolerance=1e-6, unit="|cos|")
def _() -> Iterator[Result]:
    x, y, w, head = _problem(torch.float32)
    for name, norm in NORMS:
        yield Result(1, _cosines(_gradients(x, y, w, head, norm)[1], w, False), name)


@check("I18", "grad L(alpha w) = grad L(w) / alpha", tolerance=1e-12)
def _() -> Iterator[Result]:
    x, y, w, head = _problem()
    for name, norm in NORMS:
        expected = _gradients(x, y, w, head, norm)[1]
        for scale in SCALES:
            found = _gradients(x, y, scale * w, head, norm)[1]
            yield Result(w.numel(), relative(scale * found, expected), f"{name}, {scale:g}")


@check("I18", "L at lambda of alpha w is L at lambda alpha^2 of w: lambda restricts nothing", tolerance=1e-12)
def _() -> Iterator[Result]:
    x, y, w, head = _problem()
    for scale in SCALES:
        left = models.softmax_loss(network(x, scale * w, head), y) + penalties.value(scale * w, 0.0, LAMBDA)
        right = models.softmax_loss(network(x, w, head), y) + penalties.value(w, 0.0, LAMBDA * scale**2)
        yield Result(1, relative(left, right), f"{scale:g}")


@counter("I18", "an eps in the normalisation makes small weights matter", tolerance=1e-2)
def _() -> Result:
    x, _, w, head = _problem()

    def normal(w: torch.Tensor) -> torch.Tensor:
        return network(x, w, head, lambda z: (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt())

    return Result(len(x), relative(normal(0.001 * w), normal(w)), note="eps = 1e-5, w / 1000")


@counter("I18", "the head, which no normalisation follows, is not scale-invariant", tolerance=1e-2, unit="|cos|")
def _() -> Result:
    x, y, w, head = _problem()
    return Result(1, _cosines(_gradients(x, y, w, head)[2], head, False))


def replay(t: int, rate: float) -> float:
    """s_t of the run without decay that is the run at lr lambda = rate: step t = 1, 2, ... has eta (1 - rate)^(1 - 2t).

    With v_t = w_t / (1 - rate)^t and grad L(w) = grad L(v) / (1 - rate)^t: v_t - v_{t-1} = -eta (1 - rate)^(1-2t) grad L(v_{t-1}).
    """
    return (1.0 - rate) ** (1 - 2 * t)


def _train(coupling: str, lam: float, schedule: Callable[[int], float] = lambda t: 1.0,
           optimiser: updates.Optimiser = SGD) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits [STEPS, 64, 3] on all rows after each minibatch step, last w); the head learns at LR without decay."""
    x, y, w, head = _problem()
    order = torch.as_tensor(generator("I19").integers(0, len(y), (STEPS, BATCH)))
    states = [updates.initial_state(v, optimiser, FP64) for v in (w, head)]
    decay, outputs = updates.decay(coupling, 0.0, lam, LR), []
    for t, rows in enumerate(order, 1):
        _, by_w, by_head = _gradients(x[rows], y[rows], w, head)
        w, states[0] = updates.step(w, by_w, states[0], t, LR, schedule(t), optimiser, decay, FP64)
        head, states[1] = updates.step(head, by_head, states[1], t, LR, 1.0, optimiser, updates.Decay(), FP64)
        outputs.append(network(x, w, head))
    return torch.stack(outputs), w


def _replayed(optimiser: updates.Optimiser = SGD) -> tuple[torch.Tensor, torch.Tensor]:
    return _train("coupled", 0.0, lambda t: replay(t, LR * LAMBDA), optimiser)


@check("I19", "outputs along 300 steps: decay is lr_t = lr (1 - lr lambda)^(1 - 2t)", tolerance=1e-12)
def _() -> Iterator[Result]:
    replayed, _ = _replayed()
    for coupling in ("coupled", "decoupled"):
        yield Result(STEPS, relative(replayed, _train(coupling, LAMBDA)[0]), coupling)


@check("I19", "weights: w_t = (1 - lr lambda)^t v_t", tolerance=1e-12)
def _() -> Result:
    (_, v), (_, w) = _replayed(), _train("decoupled", LAMBDA)
    return Result(w.numel(), relative((1 - LR * LAMBDA) ** STEPS * v, w), note=f"norms {w.norm():.3g} and {v.norm():.3g}")


@counter("I19", "without decay and without the schedule it is another run", tolerance=0.1)
def _() -> Result:
    return Result(STEPS, relative(_train("coupled", 0.0)[0], _train("decoupled", LAMBDA)[0]))


@counter("I19", "the two runs are the same function at norms far apart", tolerance=5.0, unit="ratio of norms")
def _() -> Result:
    return Result(1, float(_replayed()[1].norm() / _train("decoupled", LAMBDA)[1].norm()))


@counter("I19", "momentum: the schedule does not reproduce it", tolerance=1e-3)
def _() -> Result:
    momentum = updates.Optimiser("momentum")
    return Result(STEPS, relative(_replayed(momentum)[0], _train("decoupled", LAMBDA, optimiser=momentum)[0]))
