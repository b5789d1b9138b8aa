"""The only module that casts: compute types, and how a new weight is rounded into storage.

bf16 here is bfloat16: 8 bits of exponent, 7 stored bits of mantissa, so that ulp(w) = 2^(floor(log2|w|) - 7). Weights of the
bf16_weights arms are held as fp32 tensors whose values lie on the bf16 grid; optimiser moments stay fp32 in every arm, so that
what an arm changes is the weight's rounding and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

PRECISIONS = ("fp64", "fp32", "bf16_compute", "bf16_weights")
ROUNDINGS = ("none", "nearest_split", "nearest_once", "stochastic", "kahan")


@dataclass(frozen=True)
class Precision:
    """What a program computes in and how it stores weights.

    `compute`: dtype of the forward and backward products; `master`: dtype of weights, moments and updates; `rounding`: one of
    ROUNDINGS. nearest_split rounds after the decay, after the step and after the prox, as torch's loop and foreach AdamW do with
    bf16 parameters; nearest_once rounds their sum once, as fused=True does; stochastic rounds the sum up or down with
    probability equal to the distance (Zamirai et al. 2020, arXiv 2010.06192); kahan rounds once and carries the remainder in a
    second bf16 number.
    """

    name: str
    rounding: str
    compute: torch.dtype
    master: torch.dtype

    @property
    def casts(self) -> bool:
        return self.compute != self.master


def make(name: str, rounding: str = "none") -> Precision:
    """Precision of that name. Raises ValueError for an unknown name or for a rounding that the precision does not have."""
    if name not in PRECISIONS:
        raise ValueError(f"unknown precision {name!r}; one of {', '.join(PRECISIONS)}")
    if (name == "bf16_weights") == (rounding == "none") or rounding not in ROUNDINGS:
        raise ValueError(f"precision {name!r} does not go with rounding {rounding!r}")
    master = torch.float64 if name == "fp64" else torch.float32
    compute = torch.bfloat16 if name.startswith("bf16") else master
    return Precision(name, rounding, compute, master)


def nearest(x: torch.Tensor) -> torch.Tensor:
    """x on the bf16 grid, round to nearest, ties to even; same shape and dtype."""
    return x.to(torch.bfloat16).to(x.dtype)


def stochastic(x: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """x (fp32) on the bf16 grid, away from zero with probability equal to the fraction of the ulp that is cut off.

    `bits`: int32 in [0, 2^16), broadcast against x. Unbiased: over the 2^16 values of `bits` the mean is x exactly, as long as
    the upper neighbour is finite. Not-finite values pass through.
    """
    raw = x.contiguous().view(torch.int32)
    rounded = ((raw + bits) & -65536).view(torch.float32)
    return torch.where(torch.isfinite(x), rounded, x)


def ulp(w: torch.Tensor) -> torch.Tensor:
    """Spacing of the bf16 grid at w: 2^(floor(log2|w|) - 7); of the smallest normal number below that."""
    exponent = torch.frexp(w.abs().clamp_min(2.0**-126))[1] - 1
    return torch.ldexp(torch.ones_like(w), exponent - 7)


def widened(function: Callable[..., torch.Tensor], x: torch.Tensor, *others: torch.Tensor | float | None) -> torch.Tensor:
    """function(x, *others) computed in fp32 where x is of a shorter type, the result in the type of x."""
    if not x.is_floating_point() or x.itemsize >= 4:
        return function(x, *others)
    wide = lambda value: value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value  # noqa: E731
    return function(wide(x), *map(wide, others)).to(x.dtype)


def inputs(x: torch.Tensor, compute: torch.dtype) -> torch.Tensor:
    """x in the compute type; tokens, which are integers, as they are."""
    return x.to(compute) if x.is_floating_point() else x
