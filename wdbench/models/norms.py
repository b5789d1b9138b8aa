"""Normalisation that keeps no state, so that a norm is a function of parameters and rows and runs under torch.func.vmap.

Batch statistics come from the rows of the call. A forward takes `reference`: where it is n, a batch norm takes them from the
first n rows alone, so that outputs of [train rows; test rows] with reference = train rows are those of a norm whose statistics
were refreshed on the training rows; the other norms work row by row and do not look at it.

Statistics are found, and values centred and scaled, in fp32 at least, then rounded to the type of the input, as torch's own norm
kernels do with bf16.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from wdbench import precision
from wdbench.datasets.options import choice, count, real
from wdbench.models.families import Setting

NORMS = ("none", "bn", "gn")


class BatchNorm(nn.Module):
    """[n, c] or [n, c, h, w], each channel to mean 0 and variance 1 / (1 + eps / var) over n (h, w); Ioffe & Szegedy 2015.

    The variance is the biased one (divided by n), also under `reference`. With eps = 0 the output does not change when the
    weights before it are multiplied by a number; a channel that is constant over the rows is then not defined.
    """

    def __init__(self, width: int, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        return precision.widened(lambda *parts: self._normalise(*parts, reference), x, self.gain, self.bias)

    def _normalise(self, x: torch.Tensor, gain: torch.Tensor | None, bias: torch.Tensor | None, reference: int | None) -> torch.Tensor:
        axes = (0, *range(2, x.ndim))
        x = x - x[:reference].mean(axes, keepdim=True)
        x = x / (x[:reference].square().mean(axes, keepdim=True) + self.eps).sqrt()
        if gain is None:
            return x
        shape = (-1, *(1,) * (x.ndim - 2))
        return x * gain.reshape(shape) + bias.reshape(shape)


def normalise(x: torch.Tensor, gain: torch.Tensor | None, bias: torch.Tensor | None, eps: float,
              reference: int | None = None) -> torch.Tensor:
    """`BatchNorm` of a stack whose rows are innermost: x [..., n] along its last axis; gain and bias broadcast against x, or None."""
    x = x - x[..., :reference].mean(-1, keepdim=True)
    x = x / (x[..., :reference].square().mean(-1, keepdim=True) + eps).sqrt()
    return x if gain is None else x * gain + bias


class GroupNorm(nn.Module):
    """[n, c, h, w], each row's groups of channels to mean 0 and variance 1; Wu & He 2018 (arXiv 1803.08494)."""

    def __init__(self, groups: int, width: int, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.gain = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        return precision.widened(self._normalise, x, self.gain, self.bias)

    def _normalise(self, x: torch.Tensor, gain: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        flat = x.reshape(x.shape[0], self.groups, -1)
        x = F.layer_norm(flat, flat.shape[-1:], eps=self.eps).reshape(x.shape)
        return x if gain is None else x * gain[:, None, None] + bias[:, None, None]


class LayerNorm(nn.Module):
    """[..., c], each row to mean 0 and variance 1 over c, times a gain; no bias, as in nanoGPT; Ba et al. 2016."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return precision.widened(lambda x, gain: F.layer_norm(x, x.shape[-1:], eps=self.eps) * gain, x, self.gain)


class Identity(nn.Module):
    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        return x


def maker(options: Mapping[str, Any]) -> Callable[[int], nn.Module]:
    """width -> the norm that the options `norm`, `affine`, `eps` and `groups` describe."""
    affine = options["affine"] == "yes"
    return {
        "none": lambda width: Identity(),
        "bn": lambda width: BatchNorm(width, affine, options["eps"]),
        "gn": lambda width: GroupNorm(options["groups"], width, affine, options["eps"]),
    }[options["norm"]]


def settings(*norms: str) -> dict[str, Setting]:
    """Options of a family with one of these norms, the first by default."""
    found = {
        "norm": Setting(choice("norm after each hidden layer", *norms), norms[0]),
        "affine": Setting(choice("gain and bias of the norms", "yes", "no"), "yes"),
        "eps": Setting(real("added to the variance; 0: exactly scale-invariant"), 1e-5),
        "head": Setting(choice("frozen: the head keeps its start values", "trained", "frozen"), "trained"),
    }
    return found | ({"groups": Setting(count("groups of a group norm"), 4)} if "gn" in norms else {})


def conflict(known: dict[str, Setting]) -> Callable[..., Any]:
    """Function of options that says which option has no effect without its norm, so that equal models have equal text."""
    def problem(options: Mapping[str, Any]) -> str | None:
        changed = [key for key in ("affine", "eps", "groups") if key in known and options[key] != known[key].default]
        for key in changed:
            valid = ("gn",) if key == "groups" else tuple(n for n in known["norm"].option.choices if n != "none")
            if options["norm"] not in valid:
                return f"option {key}: has no effect with norm={options['norm']}; valid: norm={' or '.join(valid)}"
        if options["norm"] == "gn" and options["width"] % options["groups"]:
            return f"option groups: value {options['groups']} does not divide width={options['width']}; valid: a divisor of it"
        return None
    return problem


def frozen(options: Mapping[str, Any], name: str) -> bool:
    """The head, where the option `head` freezes it."""
    return options["head"] == "frozen" and name.startswith("head.")
