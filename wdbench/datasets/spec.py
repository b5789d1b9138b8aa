"""Spec strings: `name` or `name:key=value,key=value`."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry


@dataclass(frozen=True)
class Spec:
    """A data set's name and its options; `text` is the canonical form, keys in alphabetical order."""

    name: str
    options: MappingProxyType
    text: str


def base_name(spec: str) -> str:
    """Name before the colon, not checked against the registry."""
    return spec.split(":", 1)[0].strip()


def parse(spec: str) -> Spec:
    """Read a spec string.

    Raises UserError for a name, an option or a value that is not known, an option given twice, and options
    that exclude each other; the sentence lists what would be valid.
    """
    from wdbench.datasets import registry

    name, colon, tail = spec.partition(":")
    entry = registry.entry(name.strip(), spec)
    chosen = {}
    for item in tail.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in item.partition("="))
        if not equals or not key or not value:
            raise UserError(
                f"data set {spec!r}: option {item.strip()!r}: not of the form key=value; "
                f"valid: {_names(entry)}"
            )
        if key not in entry.options:
            raise UserError(
                f"data set {spec!r}: option {key}: not known for {entry.id}; valid: {_names(entry)}"
            )
        if key in chosen:
            raise UserError(f"data set {spec!r}: option {key}: given twice; valid: once")
        option = entry.options[key]
        try:
            chosen[key] = option.read(value)
        except ValueError:
            raise UserError(
                f"data set {spec!r}: option {key}: value {value!r}; valid: {option.valid}"
            ) from None
    problem = entry.conflict(chosen)
    if problem:
        raise UserError(f"data set {spec!r}: {problem}")
    text = ",".join(f"{key}={entry.options[key].write(chosen[key])}" for key in sorted(chosen))
    return Spec(entry.id, MappingProxyType(chosen), f"{entry.id}:{text}" if text else entry.id)


def canonical(spec: str) -> str:
    """Canonical form of a spec string: keys sorted, numbers in their shortest form; raises UserError like
    `parse`.
    """
    return parse(spec).text


def _names(entry: "Entry") -> str:
    return " ".join(sorted(entry.options))
