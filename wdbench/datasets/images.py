"""Loaders of images, as rows of pixel values in the units of their publisher."""

import gzip
import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from wdbench.datasets import fetch, idx
from wdbench.datasets.records import Dataset, digest

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry


def load(entry: "Entry") -> Dataset:
    """Dataset of an entry of kind image; raises DatasetUnavailable, or UserError for a damaged archive."""
    return LOADERS[entry.id](entry)


def _dataset(entry: "Entry", X: ArrayLike, y: ArrayLike, given_test: np.ndarray | None = None,
             dtype: type[np.generic] = np.float64) -> Dataset:
    X, y = np.ascontiguousarray(X, dtype=dtype), np.ascontiguousarray(y, dtype=np.int64)
    if X.shape != entry.shape:
        raise ValueError(f"{entry.id}: shape {X.shape} is not the registered {entry.shape}")
    X.flags.writeable = y.flags.writeable = False
    features = tuple(f"pixel{j}" for j in range(X.shape[1]))
    return Dataset(
        entry.id, entry.task, X, y, features, tuple(map(str, range(entry.n_classes))), given_test, digest(X, y)
    )


def _digits(entry: "Entry") -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return _dataset(entry, bunch.data, bunch.target)


def _mnist_5k(entry: "Entry") -> Dataset:
    import pandas as pd

    (content,) = fetch.members(entry).values()
    table = pd.read_csv(io.BytesIO(gzip.decompress(content)), header=None).to_numpy()
    return _dataset(entry, table[:, :-1], table[:, -1])


def _fashion_mnist(entry: "Entry") -> Dataset:
    files = fetch.members(entry)
    images, labels = (
        [idx.read(files[f"{part}-{kind}-ubyte"], f"{part}-{kind}-ubyte", n_dims) for part in ("train", "t10k")]
        for kind, n_dims in (("images-idx3", 3), ("labels-idx1", 1))
    )
    X = np.concatenate(images).reshape(-1, entry.shape[1])
    # bytes: a float64 copy of all 70,000 images would be 439 MB that no block needs
    return _dataset(entry, X, np.concatenate(labels), np.arange(len(images[0]), len(X)), np.uint8)


LOADERS = {"digits": _digits, "mnist_5k": _mnist_5k, "fashion_mnist": _fashion_mnist}
