"""Weights in low precision: when the decay rounds away (I15), and the roundings that keep it (I30).

bf16 keeps 8 significant bits, so that w (1 - delta) rounds back to w for every normal w iff delta <= 2^-9; with p
significant bits the bound is 2^-(p+1). Known as a symptom: github.com/Nerogar/OneTrainer issue 996.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from wdbench import precision, updates
from wdbench.identities.problems import BF16_SPLIT, SGD, descend
from wdbench.identities.registry import Result, check, counter, generator

BOUND = 2.0**-9
NO_OP = (1e-4, 1e-3, 1.9e-3, BOUND)


def normal_bf16() -> torch.Tensor:
    """All 32,512 normal positive bf16 values, as fp32, in ascending order."""
    bits = torch.arange(0x0080, 0x7F80, dtype=torch.int32) << 16
    return bits.view(torch.float32)


def _decayed(delta: float) -> dict[str, torch.Tensor]:
    """Every normal bf16 value times (1 - delta), rounded, by each route; fp32."""
    w = normal_bf16()
    exact = (w.double() * (1 - delta)).float()
    stored = w.bfloat16()
    return {
        "precision.nearest": precision.nearest(exact),
        "torch mul_": stored.clone().mul_(1 - delta).float(),
        "updates.step": updates.step(
            w,
            torch.zeros_like(w),
            updates.State(),
            1,
            1.0,
            1.0,
            SGD,
            updates.decay("decoupled", 0.0, delta, 1.0),
            BF16_SPLIT,
        )[0],
    }


@check("I15", "bf16: delta <= 2^-9 changes no normal value", tolerance=0, unit="values changed")
def _() -> Iterator[Result]:
    for delta in NO_OP:
        for route, found in _decayed(delta).items():
            yield Result(len(found), int((found != normal_bf16()).sum()), f"{route}, delta = {delta:.4g}")


@check("I15", "bf16: delta > 2^-9 changes some value", tolerance=253 / 32512, unit="share changed", relation=">=")
def _() -> Iterator[Result]:
    for factor in (1.001, 1.01, 1.5):
        for route, found in _decayed(factor * BOUND).items():
            changed = float((found != normal_bf16()).double().mean())
            yield Result(
                len(found), changed, f"{route}, delta = {factor} 2^-9", "powers of two first, save the smallest"
            )


@check("I15", "bf16: delta = 2^-8 changes every value above the smallest", tolerance=0, unit="values unchanged")
def _() -> Iterator[Result]:
    for route, found in _decayed(2.0**-8).items():
        yield Result(len(found) - 1, int((found == normal_bf16())[1:].sum()), route)


@check("I15", "fp16, fp32: the bounds are 2^-12 and 2^-25", tolerance=0, unit="values wrong")
def _() -> Iterator[Result]:
    halves = torch.arange(0x0400, 0x7C00, dtype=torch.int32).to(torch.int16).view(torch.float16)
    singles = torch.as_tensor(generator("I15").integers(0x00800000, 0x7F800000, 100_000, dtype=np.int32))
    # powers of two are where the bound is attained
    singles[:254] = torch.arange(1, 255, dtype=torch.int32) << 23
    for name, values, bound in (("fp16", halves, 2.0**-12), ("fp32", singles.view(torch.float32), 2.0**-25)):
        below, above = ((values.double() * (1 - delta)).to(values.dtype) for delta in (bound, 1.01 * bound))
        wrong = int((below != values).sum()) + int(bool((above == values).all()))
        yield Result(2 * len(values), wrong, name)


def _hash(tensors: Iterable[torch.Tensor]) -> str:
    return hashlib.sha256(
        b"".join(t.detach().contiguous().view(torch.uint8).numpy().tobytes() for t in tensors)
    ).hexdigest()


def _adamw(rate: float, **implementation: Any) -> str:
    """sha256 of bf16 parameters after 50 steps of torch's AdamW at lr lambda = rate, with fixed gradients."""
    lr, rng = 1e-3, generator("I15", 1)
    parameters = [
        torch.nn.Parameter(torch.as_tensor(rng.standard_normal(shape)).bfloat16()) for shape in ((64, 32), (64,))
    ]
    gradients = [
        [torch.as_tensor(rng.standard_normal(tuple(p.shape))).bfloat16() for p in parameters] for _ in range(50)
    ]
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=rate / lr, **implementation)
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = g.clone()
        optimiser.step()
    return _hash(parameters)


IMPLEMENTATIONS = {"foreach": {"foreach": True}, "for-loop": {"foreach": False}, "fused": {"fused": True}}


@check("I15", "torch AdamW on bf16 weights is the run without decay", tolerance=0, unit="runs that differ")
def _() -> Iterator[Result]:
    for name in ("foreach", "for-loop"):
        reference = _adamw(0.0, **IMPLEMENTATIONS[name])
        differing = [rate for rate in NO_OP if _adamw(rate, **IMPLEMENTATIONS[name]) != reference]
        yield Result(len(NO_OP), len(differing), name, "lr lambda up to 2^-9, sha256 of the parameters after 50 steps")


@check(
    "I15", "torch AdamW on bf16 weights decays at lr lambda = 4e-3", tolerance=1, unit="runs that differ", relation=">="
)
def _() -> Iterator[Result]:
    for name in ("foreach", "for-loop"):
        yield Result(1, int(_adamw(4e-3, **IMPLEMENTATIONS[name]) != _adamw(0.0, **IMPLEMENTATIONS[name])), name)


@counter("I15", "torch AdamW(fused=True) rounds once and does decay", tolerance=3, unit="runs that differ")
def _() -> Result:
    reference = _adamw(0.0, fused=True)
    return Result(
        3, sum(_adamw(rate, fused=True) != reference for rate in NO_OP[1:]), note="lr lambda = 1e-3, 1.9e-3, 2^-9"
    )


@check(
    "I15",
    "with a data gradient: split rounding gives the run without decay, one rounding does not",
    tolerance=0,
    unit="disagreements",
)
def _() -> Result:
    rng = generator("I15", 2)
    w = torch.as_tensor(rng.standard_normal(10_000)).bfloat16().float()
    g = torch.as_tensor(rng.standard_normal(10_000)).float()
    once = precision.make("bf16_weights", "nearest_once")
    same = []
    for arithmetic in (BF16_SPLIT, once):
        runs = [
            descend(
                w, lambda w, t: g, 20, 0.01, decay=updates.decay("decoupled", 0.0, lam, 0.01), arithmetic=arithmetic
            )
            for lam in (0.0, 0.19)
        ]
        same.append(torch.equal(*runs))
    return Result(20_000, int(not same[0]) + int(same[1]), note="20 steps of SGD, lr lambda = 1.9e-3")


def _scattered(count: int) -> torch.Tensor:
    """fp32 numbers of all sizes and signs, subnormal ones included, below the last bf16 binade."""
    bits = generator("I30").integers(0, 0x7F000000, count, dtype=np.int64)
    bits[: count // 10] = generator("I30", 1).integers(0, 0x00800000, count // 10)
    signs = generator("I30", 2).integers(0, 2, count)
    return torch.as_tensor((bits | (signs << 31)).astype(np.uint32).view(np.float32))


@check("I30", "stochastic rounding: the mean over all 2^16 offsets is x", tolerance=0, unit="values wrong")
def _() -> Result:
    x, bits = _scattered(400), torch.arange(1 << 16, dtype=torch.int32)
    wrong = 0
    for value in x:
        rounded = precision.stochastic(value, bits).double()
        # two neighbours, so the sum is exact in fp64 once they are counted
        low, high = rounded.min(), rounded.max()
        share = (rounded == high).sum() / (1 << 16)
        on_grid = bool(((rounded == low) | (rounded == high)).all()) and torch.equal(
            precision.nearest(rounded), rounded
        )
        wrong += not (on_grid and low + (high - low) * share.double() == value.double())
    return Result(len(x) << 16, wrong)


@check("I30", "stochastic rounding leaves bf16 values alone", tolerance=0, unit="values changed")
def _() -> Result:
    w = normal_bf16()
    changed = sum(
        int((precision.stochastic(w, torch.full_like(w, offset, dtype=torch.int32)) != w).sum())
        for offset in (0, 1, 1 << 15, (1 << 16) - 1)
    )
    return Result(4 * len(w), changed)


@check("I30", "an update below half the spacing on its side is lost to rounding", tolerance=0, unit="values wrong")
def _() -> Iterator[Result]:
    w = normal_bf16()[128:-1]
    power_of_two = torch.frexp(w)[0] == 0.5
    for side in (1.0, -1.0):
        # below a power of two the grid is twice as fine
        spacing = precision.ulp(w) * (torch.where(power_of_two, 0.5, 1.0) if side < 0 else 1.0)
        for share, kept in ((0.49, True), (0.51, False)):
            for name in ("nearest_split", "nearest_once"):
                found = descend(
                    w,
                    lambda w, t, s=side, q=share, u=spacing: -s * q * u,
                    1,
                    1.0,
                    arithmetic=precision.make("bf16_weights", name),
                )
                wrong = int(((found == w) != kept).sum())
                yield Result(len(w), wrong, f"{name}, {side * share:+} of the spacing")


@check("I30", "Kahan: 1e4 updates of 1/4 ulp arrive", tolerance=1, unit="ulp")
def _() -> Result:
    start = torch.tensor([1.0, -1.0, 0.75, 100.0])
    update = precision.ulp(start) / 4 * torch.tensor([1.0, -1.0, 1.0, -1.0])
    kahan = precision.make("bf16_weights", "kahan")
    found = descend(start, lambda w, t: -update, 10_000, 1.0, arithmetic=kahan)
    expected = start.double() + 10_000 * update.double()
    error = (found.double() - expected).abs() / precision.ulp(expected.float())
    return Result(40_000, float(error.max()), note="SGD through the update, steps of equal sign")


@check("I30", "Kahan: 1e4 random updates below 1/2 ulp arrive", tolerance=1, unit="ulp")
def _() -> Result:
    rng, start = generator("I30", 3), torch.ones(50)
    steps = torch.as_tensor(rng.uniform(-1.0, 1.0, (10_000, 50)).astype(np.float32)) * 2.0**-9
    kahan = precision.make("bf16_weights", "kahan")
    found = descend(start, lambda w, t: -steps[t - 1], 10_000, 1.0, arithmetic=kahan)
    error = (found.double() - 1 - steps.double().sum(0)).abs() * 2.0**7
    return Result(500_000, float(error.max()), note="in units of ulp(1)")


@counter(
    "I30",
    "round to nearest: 1e4 updates of 1/4 ulp accumulate nothing",
    tolerance=1.0,
    unit="share of weights unchanged",
)
def _() -> Iterator[Result]:
    w = torch.as_tensor(generator("I30", 4).standard_normal(1000)).bfloat16().float()
    for name in ("nearest_split", "nearest_once"):
        gradient = -precision.ulp(w) / 4 * w.sign()
        found = descend(w, lambda w, t, g=gradient: g, 10_000, 1.0, arithmetic=precision.make("bf16_weights", name))
        yield Result(len(w), float((found == w).double().mean()), name)


@counter(
    "I30",
    "toward 0 a power of two loses only updates below 1/4 ulp",
    tolerance=1.0,
    unit="share of powers of two that move",
)
def _() -> Result:
    w = torch.ldexp(torch.ones(200), torch.arange(-100, 100))
    found = precision.nearest(w - 0.3 * precision.ulp(w))
    return Result(
        len(w), float((found != w).double().mean()), note="by 0.3 ulp(w): 'below 1/2 ulp(w) is lost' fails there"
    )
