"""What the engine must know of a model: its options, how to build it, its start values, and what each parameter is for.

A model is written `name` or `name:key=value,key=value`, for example `mlp:width=64,depth=2,norm=bn`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any

import torch
from torch import nn

from wdbench.datasets.options import Option
from wdbench.errors import UserError

# groups of parameters; the decay mask `weights` leaves the last two alone
GROUPS = ("hidden", "head", "embedding", "norm", "bias")
UNPENALISED = ("norm", "bias")


@dataclass(frozen=True)
class Setting:
    """An option of a model: how its value is read and written, and the value where none is given."""

    option: Option
    default: Any


def group(name: str) -> str:
    """Group of a parameter by its name; one rule for all families, which name their layers accordingly."""
    *layers, last = name.split(".")
    if any(layer.startswith(("norm", "ln")) for layer in layers):
        return "norm"
    if last == "bias":
        return "bias"
    return {"head": "head", "out": "head", "wte": "embedding", "wpe": "embedding"}.get(layers[0], "hidden") if layers else "hidden"


def he(options: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[str, float]:
    """Start values for ReLU networks: N(0, 2 / fan-in), the head N(0, 1 / fan-in) (He et al. 2015, arXiv 1502.01852)."""
    if group(name) in UNPENALISED:
        return "constant", float(name.endswith("gain"))
    return "normal", sqrt((1 if group(name) == "head" else 2) / prod(shape[1:]))


def nothing_frozen(options: Mapping[str, Any], name: str) -> bool:
    return False


def no_conflict(options: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True)
class Family:
    """A kind of model as the engine sees it. `options` below is what `parse` returns: a value for every key.

    tasks: the data it is for;
    build(options, n_features, n_outputs) -> module, whose forward takes inputs and `reference` (see norms.py);
    loss(outputs, targets) -> mean data loss;
    group(parameter name) -> one of GROUPS;
    initial(options, parameter name, shape) -> ("normal", std) or ("constant", value);
    frozen(options, parameter name) -> not trained;
    conflict(chosen options with defaults) -> what does not go together and what would be valid, or None;
    affine: whether the two-GEMM path of `affine.py` computes its gradient;
    stacked(options, params, x, reference) -> outputs [R, C, n, k] of a whole stack, faster than vmap over the module; None: vmap;
    training(options, params, compute) -> function of (x, y) that gives a stack's losses and gradients faster than autograd of `stacked`, or
    None where it does not apply.
    """

    name: str
    tasks: tuple[str, ...]
    build: Callable[[Mapping[str, Any], int, int], nn.Module]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    initial: Callable[[Mapping[str, Any], str, tuple[int, ...]], tuple[str, float]] = he
    group: Callable[[str], str] = group
    options: Mapping[str, Setting] = field(default_factory=dict)
    frozen: Callable[[Mapping[str, Any], str], bool] = nothing_frozen
    conflict: Callable[[Mapping[str, Any]], str | None] = no_conflict
    affine: bool = False
    stacked: Callable[..., torch.Tensor] | None = None
    training: Callable[..., Callable | None] | None = None

    @property
    def task(self) -> str:
        """The task of a family that is for one."""
        (only,) = self.tasks
        return only

    def is_bias(self, name: str) -> bool:
        """Whether the decay mask `weights` leaves the parameter alone: biases, and gains and shifts of norms."""
        return self.group(name) in UNPENALISED


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a model family, also from a plugin. Raises ValueError where the name is taken."""
    if family.name in FAMILIES:
        raise ValueError(f"model {family.name!r} is registered already")
    FAMILIES[family.name] = family
    return family


def parse(text: str) -> tuple[Family, dict[str, Any]]:
    """Family and options of a model's spec string, defaults filled in.

    Raises UserError for a name, an option or a value that is not known, an option given twice, and options that do not go
    together; the sentence lists what would be valid.
    """
    name, colon, tail = text.partition(":")
    if name.strip() not in FAMILIES:
        raise UserError(f"model {text!r}: name {name.strip()!r}: not known; valid: {' '.join(sorted(FAMILIES))}")
    family = FAMILIES[name.strip()]
    keys = " ".join(sorted(family.options)) or f"{family.name} without options"
    chosen: dict[str, Any] = {}
    for item in tail.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in item.partition("="))
        if not (equals and key and value):
            raise UserError(f"model {text!r}: option {item.strip()!r}: not of the form key=value; valid: {keys}")
        if key not in family.options:
            raise UserError(f"model {text!r}: option {key}: not known for {family.name}; valid: {keys}")
        if key in chosen:
            raise UserError(f"model {text!r}: option {key}: given twice; valid: once")
        option = family.options[key].option
        try:
            chosen[key] = option.read(value)
        except ValueError:
            raise UserError(f"model {text!r}: option {key}: value {value!r}; valid: {option.valid}") from None
    options = {key: setting.default for key, setting in family.options.items()} | chosen
    problem = family.conflict(options)
    if problem:
        raise UserError(f"model {text!r}: {problem}")
    return family, options


def canonical(text: str) -> str:
    """The one text of a model: options in alphabetical order, defaults left out; raises UserError like `parse`."""
    family, options = parse(text)
    parts = [f"{key}={setting.option.write(options[key])}" for key, setting in sorted(family.options.items())
             if options[key] != setting.default]
    return f"{family.name}:{','.join(parts)}" if parts else family.name
