"""Data sets by name: real ones that are fetched once, generators with a known truth, and plugins.

A data set is named by a spec string, `name` or `name:key=value,key=value`. Nothing here touches a network
except `fetch.fetch`.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from wdbench.datasets import registry
from wdbench.datasets import spec as _spec
from wdbench.datasets.fetch import DatasetUnavailable, available, how_to_get
from wdbench.datasets.records import Block, Dataset
from wdbench.datasets.registry import Entry, register
from wdbench.datasets.spec import canonical, parse

__all__ = [
    "Block",
    "Dataset",
    "DatasetUnavailable",
    "Entry",
    "Status",
    "base_name",
    "block",
    "canonical",
    "fingerprint",
    "load",
    "names",
    "parse",
    "register",
    "status",
    "task",
]


# asked once a cell
base_name = cache(_spec.base_name)


@dataclass(frozen=True)
class Status:
    """Whether a data set is on this machine, the command that gets it ("" if so), its sha256."""

    available: bool
    how_to_get: str
    sha256: str


def names() -> list[str]:
    """Ids of all data sets: frozen registry, generators, plugins."""
    return list(registry.entries())


def task(spec: str) -> str:
    """regression, binary, multiclass or language, from the registry alone; raises UserError for a spec that is not
    valid.
    """
    return registry.entry(parse(spec).name).task


def load(spec: str) -> Dataset:
    """Raw data of a spec string, cached per process; options concern blocks and change nothing here.

    Raises UserError for a spec that is not valid and DatasetUnavailable where the data were not fetched.
    """
    return registry.load(parse(spec).name)


def block(spec: str, replicate: int) -> Block:
    """Block of one replicate: split, subsample, disturbances, transforms fitted on train; see
    `wdbench.datasets.assembly`.
    """
    from wdbench.datasets.assembly import block as make

    return make(spec, replicate)


def status(name: str) -> Status:
    """Status of a data set by its id; UserError for an unknown one. An archive is looked for, not hashed.

    sha256 is that of the loaded values: as registered where it is, else found by loading, which draws a
    generator's first replicate or calls a plugin's loader.
    """
    entry = registry.entry(name)
    if not available(entry):
        return Status(False, how_to_get(entry), entry.data_sha256)
    if entry.data_sha256:
        return Status(True, "", entry.data_sha256)
    try:
        return Status(True, "", registry.load(name).sha256)
    except DatasetUnavailable as error:
        return Status(False, str(error), "")


def fingerprint(name: str) -> str:
    """16 hex digits: a data set's values and what its registration says of their split and scale; UserError for an unknown id."""
    entry = registry.entry(name)
    facts = [entry.task, entry.kind, entry.shape, entry.split, entry.shares, entry.scale, entry.unit, entry.n_classes]
    return hashlib.sha256(json.dumps([status(name).sha256, facts]).encode()).hexdigest()[:16]
