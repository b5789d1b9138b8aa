"""Kinds of figure by name; a plugin adds its own with `register`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.config.claims import Claim
from wdbench.errors import UserError
from wdbench.figures import style

Tables = Mapping[str, DataFrame]
Kind = Callable[..., Figure]

_KINDS: dict[str, Kind] = {}

# the figure of a claim that names none, by its kind of test
DEFAULTS = {
    "superiority": "path_and_forest",
    "equivalence": "path_and_forest",
    "interaction": "path_and_forest",
    "share": "path_and_forest",
    "slope": "slope",
    "ushape": "ushape",
    "event": "events",
    "tolerance": "forest",
    "identity": "identity",
}


def register(name: str) -> Callable[[Kind], Kind]:
    """Decorator: `function(claim: Claim, tables: Tables, **options) -> Figure` becomes the kind of figure
    `name`.
    """

    def add(function: Kind) -> Kind:
        _KINDS[name] = style.styled(function)
        return _KINDS[name]

    return add


def names() -> list[str]:
    return sorted(_KINDS)


def check(claim: Claim) -> tuple[str, dict[str, Any]]:
    """(name, options) of the figure that `claim` names, or the default of its kind. Raises UserError for an unknown one."""
    name = claim.figure.name if claim.figure else DEFAULTS.get(claim.kind, "forest")
    if name not in _KINDS:
        raise UserError(
            f"claims: {claim.id}.figure: value {name!r}: unknown kind of figure; valid: {', '.join(names())}"
        )
    options = claim.figure.options if claim.figure else {}
    known = list(inspect.signature(_KINDS[name]).parameters)[2:]
    for option in options:
        if option not in known:
            raise UserError(
                f"claims: {claim.id}.figure.options: value {option!r}: unknown for {name}; valid: {', '.join(known) or 'none'}"
            )
    return name, options


def draw(claim: Claim, tables: Tables) -> Figure:
    """The figure that `claim` names (or the default of its kind). Raises UserError for an unknown name."""
    name, options = check(claim)
    return _KINDS[name](claim, tables, **options)


def table(tables: Tables, name: str, columns: tuple[str, ...]) -> DataFrame:
    """`tables[name]`, or an empty one with `columns`. Raises UserError where it lacks one of them."""
    found = tables.get(name)
    if found is None:
        return DataFrame({column: [] for column in columns})
    absent = [column for column in columns if column not in found.columns]
    if absent:
        raise UserError(
            f"figures: table {name}: column {absent[0]!r} is missing; it has {', '.join(map(str, found.columns[:12]))} ..."
        )
    return found
