"""The same function at another norm: why the norm belongs to the parameters and not to the function (I11)."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from wdbench import models, penalties
from wdbench.identities.problems import tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

APART = 10.0


def _layers() -> tuple[torch.Tensor, list[torch.Tensor]]:
    """x [40, 6] and the weights of 6 -> 16 -> 16 -> 3."""
    rng = generator("I11")
    return tensor(rng.standard_normal((40, 6))), [
        tensor(rng.standard_normal(s) / np.sqrt(s[1])) for s in ((16, 6), (16, 16), (3, 16))
    ]


def _affine(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """The production linear model without a bias."""
    module = models.Affine(*reversed(w.shape)).to(w.dtype)
    with torch.no_grad():
        module.out.weight.copy_(w)
        module.out.bias.zero_()
        return module(x)


def _relu(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return _affine(F.relu(_affine(x, first)), second)


def _batch_norm(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor, eps: float | None = None) -> torch.Tensor:
    # torch refuses 0 here; the smallest normal number adds nothing to any variance
    eps = torch.finfo(x.dtype).tiny if eps is None else eps
    return _affine(F.relu(F.batch_norm(_affine(x, first), None, None, training=True, eps=eps)), second)


def _layer_norm(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor, eps: float = 0.0) -> torch.Tensor:
    return _affine(F.relu(F.layer_norm(_affine(x, first), (len(first),), eps=eps)), second)


def _norm(*weights: torch.Tensor) -> float:
    return float(torch.cat([w.flatten() for w in weights]).norm())


def _pairs(dtype: torch.dtype = torch.float64) -> Iterator[tuple[str, torch.Tensor, torch.Tensor, float, float]]:
    """(name, outputs, outputs of the same function, norm, other norm): feature scale, ReLU layers, BN and LN."""
    x, (first, _, last) = _layers()
    x, first, last = x.to(dtype), first.to(dtype), last.to(dtype)
    scale = torch.logspace(-2, 2, x.shape[1]).to(dtype)
    yield "features rescaled", _affine(x, first), _affine(x / scale, first * scale), _norm(first), _norm(first * scale)
    for c in (30.0, 1 / 30):
        yield (
            f"ReLU layers (c W1, W2 / c), c = {c:.3g}",
            _relu(x, first, last),
            _relu(x, c * first, last / c),
            _norm(first, last),
            _norm(c * first, last / c),
        )
    for name, network in (("batch norm", _batch_norm), ("layer norm", _layer_norm)):
        yield (
            f"weights before {name} times 100",
            network(x, first, last),
            network(x, 100 * first, last),
            _norm(first),
            _norm(100 * first),
        )


@check("I11", "the same function, fp64", tolerance=1e-12)
def _() -> Iterator[Result]:
    for name, one, other, *_ in _pairs():
        yield Result(one.numel(), relative(other, one), name)


@check("I11", "the same function, fp32", tolerance=1e-6)
def _() -> Iterator[Result]:
    for name, one, other, *_ in _pairs(torch.float32):
        yield Result(one.numel(), relative(other, one), name)


@check("I11", "at another norm", tolerance=APART, unit="ratio of norms", relation=">=")
def _() -> Iterator[Result]:
    for name, _, _, norm, other in _pairs():
        yield Result(1, max(norm, other) / min(norm, other), name)


@check("I11", "ReLU layers: the penalty is least at balance, |W1| |W2|", tolerance=1e-12)
def _() -> Iterator[Result]:
    _, (first, _, last) = _layers()
    balance = float((last.norm() / first.norm()).sqrt())
    least = float(first.norm() * last.norm())
    factors = balance * np.geomspace(0.05, 20, 401)
    values = [float(penalties.value(c * first, 0.0, 1.0) + penalties.value(last / c, 0.0, 1.0)) for c in factors]
    yield Result(1, abs(values[200] / least - 1), "value at balance")
    yield Result(401, max(0.0, (least - min(values)) / least), "nowhere less")


@check("I11", "|w|^2 is not a norm: homogeneous of degree 2", tolerance=1e-14)
def _() -> Iterator[Result]:
    w = tensor(generator("I11", 1).standard_normal(100))
    for c in (-3.0, 0.1, 10.0):
        yield Result(
            1, abs(float(penalties.value(c * w, 0.0, 1.0) / penalties.value(w, 0.0, 1.0)) / c**2 - 1), f"c = {c}"
        )


@counter("I11", "batch norm with eps = 1e-5 feels the scale of small weights", tolerance=1e-2)
def _() -> Result:
    x, (first, _, last) = _layers()
    return Result(
        1,
        relative(_batch_norm(x, first / 1000, last, eps=1e-5), _batch_norm(x, first, last, eps=1e-5)),
        note="weights / 1000, so that the variance is below eps",
    )
