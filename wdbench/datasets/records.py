"""The two records of the data side: a Dataset as published, a Block as one replicate of it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from wdbench.datasets.truth import BinaryTruth, Truth

SPLITS = ("train", "val", "test")
TASKS = ("regression", "binary", "multiclass", "language")


@dataclass(frozen=True)
class Dataset:
    """Raw data of one set, before any split or transform.

    X is [n, d] float64 or CSR (for text: term counts over the whole vocabulary); y is [n], float64 for
    regression, otherwise int64 classes 0..k-1, where for a binary task 1 is the rarer class. given_test holds
    the row numbers of a test part that the publisher fixed, or None. X and y are None for a generator, whose
    draws belong to a replicate. Where the publisher's images are bytes X may be uint8. For language X is [n]
    uint8 symbol numbers of the whole corpus, y [n] the number of each symbol's document, classes the symbols
    and features the documents (of token files: see `tokenfile.load`). sha256 covers the raw values; for a
    generator those of replicate 0 at its default options.
    """

    name: str
    task: str
    X: np.ndarray | sparse.csr_matrix | None
    y: np.ndarray | None
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    given_test: np.ndarray | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Block:
    """One replicate of one data set: what every arm of a study is trained and measured on.

    X[split] is [n_split, d] float64, CSR or `colour.Pixels` and y[split] is [n_split] (float64, or int64 classes) for split in
    SPLITS; for language both are [n_split, context] uint8 or uint16 symbol numbers, y those that follow X's. n_outputs
    is 1 for regression and binary tasks, the number of classes or symbols otherwise. truth is None for
    real data. descriptors are the columns a results row takes from its block, NaN where a quantity does not
    apply. sha256 covers every array.
    """

    spec: str
    replicate: int
    X: dict[str, np.ndarray | sparse.csr_matrix]
    y: dict[str, np.ndarray]
    task: str
    n_outputs: int
    truth: Truth | BinaryTruth | None
    descriptors: dict[str, float | int | str]
    sha256: str
    rows: dict[str, np.ndarray] = field(default_factory=dict)


def digest(*arrays: Any) -> str:
    """sha256 over dtype, shape and bytes of arrays, CSR matrices and lists of text, in the order given."""
    state = hashlib.sha256()
    for array in arrays:
        if sparse.issparse(array):
            parts = [
                np.asarray(array.shape),
                array.data,
                array.indices.astype(np.int64),
                array.indptr.astype(np.int64),
            ]
        elif isinstance(array, (list, tuple)):
            parts = [np.frombuffer("\x1f".join(array).encode("utf-8"), dtype=np.uint8)]
        else:
            parts = [np.asarray(array)]
        for part in parts:
            # fixed byte order, so that the digest names the values and not the machine
            part = np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<"))
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(part.tobytes())
    return state.hexdigest()


def describe(task: str, X: dict[str, Any], y: dict[str, Any], n_classes: int, **known: float | int | str | None) -> dict[str,
             float | int | str]:
    """Descriptor columns of a block; `known` overrides the NaN of what only the maker of the block can know.

    For language a row is a chunk and a feature a place in it; what concerns columns of numbers or labels of rows is NaN.
    """
    n, d = X["train"].shape
    nan = float("nan")
    counts = np.bincount(y["train"], minlength=n_classes) if task in ("binary", "multiclass") else None
    nonzero = nan if task == "language" else X["train"].nnz if sparse.issparse(X["train"]) else np.count_nonzero(X["train"])
    columns = {
        "n_train": n,
        "n_val": X["val"].shape[0],
        "n_test": X["test"].shape[0],
        "n_features": d,
        "p_over_n": nan if task == "language" else d / n,
        "density": nan if task == "language" else nonzero / (n * d),
        "n_classes": nan if task == "regression" else n_classes,
        "minority_share": nan if counts is None else counts.min() / n,
        "n_true": nan,
        "snr": nan,
        "rho": nan,
        "prior": nan,
        "per_class": nan,
        "imbalance": nan,
        "noise_features": 0,
        "corrupt": 0.0,
        "colscale": 0.0,
        "label_noise": nan if counts is None else 0.0,
        "y_shift": 0.0 if task == "regression" else nan,
        "scale": "raw",
    }
    unknown = set(known) - set(columns)
    if unknown:
        raise KeyError(f"unknown descriptors {sorted(unknown)}")
    columns.update({name: value for name, value in known.items() if value is not None})
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in columns.items()}
