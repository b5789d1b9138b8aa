"""Optimisers and couplings from outside: one small file each, registered as it is imported (`plugins:` in config.yaml).

An optimiser says in which direction a step goes; decay, learning rate, rounding and state are the engine's, so that every coupling works
with it at once. A coupling says which of the numbers of `updates.py` lambda becomes.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from wdbench.errors import UserError

OPTIMISERS = ("sgd", "momentum", "nesterov", "adam")
COUPLINGS = ("coupled", "decoupled", "independent", "corrected", "coupled_subgradient", "decoupled_subgradient", "cautious",
             "moment_split_m", "moment_split_v", "scheduled", "norm_replay", "lr_replay")


class OptimiserRule(Protocol):
    """An optimiser, elementwise, in PyTorch; an instance is registered.

    moments: names of the averages that it keeps, out of m and v, which start at 0. beta1, beta2 of a study reach it as `constants`
    (`updates.Optimiser`).
    """

    name: str
    moments: tuple[str, ...]

    def step(self, w: Any, g: Any, m: Any, v: Any, t: int, constants: Any) -> tuple[Any, Any, Any]:
        """(u, m, v) of step t = 1, 2, ...: w moves by -eta_t u; g is the gradient, with what the coupling adds to it.

        All of one shape, the stack's; what is not kept is None. Nothing may be changed in place, and nothing added up over elements:
        an element is a weight of one cell, and its bits must not depend on the others.
        """


@dataclass(frozen=True)
class CouplingRule:
    """A coupling: numbers(lambda1, lambda2, lr_max) -> fields of `updates.Decay` that are not 0; form: its operations (`cells.FORMS`)."""

    name: str
    numbers: Callable[[float, float, float], Mapping[str, float]]
    form: str = "plain"


optimisers: dict[str, OptimiserRule] = {}
couplings: dict[str, CouplingRule] = {}


def register_optimiser(rule: OptimiserRule) -> OptimiserRule:
    """Add an optimiser. Raises ValueError where the name is taken or a moment has another name."""
    _new(rule.name, (*OPTIMISERS, "exact", *optimisers), "optimiser")
    if not set(rule.moments) <= {"m", "v"}:
        raise ValueError(f"optimiser {rule.name!r}: moments: value {rule.moments}: valid: names out of m and v")
    optimisers[rule.name] = rule
    return rule


def register_coupling(rule: CouplingRule) -> CouplingRule:
    """Add a coupling. Raises ValueError where the name is taken or the form is not known."""
    _new(rule.name, (*COUPLINGS, *couplings), "coupling")
    if rule.form not in ("plain", "subgradient", "cautious", "moment_split"):
        raise ValueError(f"coupling {rule.name!r}: form: value {rule.form!r}: valid: plain, subgradient, cautious, moment_split")
    couplings[rule.name] = rule
    return rule


def _new(name: str, taken: tuple[str, ...], what: str) -> None:
    if name in taken:
        raise ValueError(f"{what} {name!r} is registered already")
    if not name.isidentifier():
        raise ValueError(f"{what} {name!r}: valid: a name of letters, digits and _")


def source(name: str) -> Path | None:
    """The file that an optimiser or coupling from outside is written in; None for ours.

    Raises UserError where it is in no file (typed at a prompt): its cells could not be told from those of another text.
    """
    rule = optimisers.get(name) or couplings.get(name)
    if rule is None:
        return None
    owner = rule.numbers if isinstance(rule, CouplingRule) else type(rule)
    module: ModuleType | None = sys.modules.get(owner.__module__)
    if module is None or module.__file__ is None:
        raise UserError(f"plugin: {name}: its code is in no file; valid: a module that `plugins:` names")
    return Path(module.__file__)
