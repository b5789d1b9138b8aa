"""Loaders of tabular data: one function a data set, each returning the raw values as published."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from wdbench.datasets import fetch
from wdbench.datasets.records import Dataset, digest

if TYPE_CHECKING:
    import pandas as pd

    from wdbench.datasets.registry import Entry


def load(entry: "Entry") -> Dataset:
    """Dataset of an entry of kind tabular; raises DatasetUnavailable, or UserError for a damaged archive."""
    return LOADERS[entry.id](entry)


def _dataset(entry: "Entry", X: ArrayLike, y: ArrayLike, features: Iterable[str], classes: Iterable[str] = (),
             given_test: np.ndarray | None = None) -> Dataset:
    X = np.ascontiguousarray(X, dtype=np.float64)
    y = np.ascontiguousarray(y, dtype=np.float64 if entry.task == "regression" else np.int64)
    if X.shape != entry.shape:
        raise ValueError(f"{entry.id}: shape {X.shape} is not the registered {entry.shape}")
    X.flags.writeable = y.flags.writeable = False
    return Dataset(
        entry.id, entry.task, X, y, tuple(map(str, features)), tuple(classes), given_test, digest(X, y)
    )


def _frame(entry: "Entry", content: bytes) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_csv(io.BytesIO(content))


def _only_member(entry: "Entry") -> "pd.DataFrame":
    (content,) = fetch.members(entry).values()
    return _frame(entry, content)


def _diabetes(entry: "Entry") -> Dataset:
    from sklearn.datasets import load_diabetes

    # the default of load_diabetes is centred and scaled to unit norm, which would hide the scales
    bunch = load_diabetes(scaled=False)
    return _dataset(entry, bunch.data, bunch.target, bunch.feature_names)


def _breast_cancer(entry: "Entry") -> Dataset:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    # scikit-learn codes benign as 1; here 1 is the rarer class
    return _dataset(entry, bunch.data, 1 - bunch.target, bunch.feature_names, ("benign", "malignant"))


def _hitters(entry: "Entry") -> Dataset:
    frame = _only_member(entry).dropna(subset=["Salary"])
    two_valued = {"League": "N", "Division": "W", "NewLeague": "N"}
    for column, one in two_valued.items():
        frame[column] = (frame[column] == one).astype(float)
    X = frame.drop(columns="Salary")
    return _dataset(entry, X, frame["Salary"], X.columns)


def _college(entry: "Entry") -> Dataset:
    frame = _only_member(entry)
    frame["Private"] = (frame["Private"] == "Yes").astype(float)
    X = frame.drop(columns="Apps")
    return _dataset(entry, X, frame["Apps"], X.columns)


def _caravan(entry: "Entry") -> Dataset:
    frame = _only_member(entry)
    X = frame.drop(columns="Purchase")
    # James et al. (2013), section 4.6.6: the first 1000 rows are the test set
    return _dataset(entry, X, frame["Purchase"] == "Yes", X.columns, ("No", "Yes"), np.arange(1000))


def _khan(entry: "Entry") -> Dataset:
    x_train, y_train, x_test, y_test = (
        _frame(entry, fetch.members(entry)[f"ISLP/data/Khan_{part}.csv"])
        for part in ("xtrain", "ytrain", "xtest", "ytest")
    )
    X = np.vstack([x_train, x_test])
    y = np.concatenate([y_train.iloc[:, 0], y_test.iloc[:, 0]]) - 1
    given_test = np.arange(len(x_train), len(X))
    return _dataset(entry, X, y, x_train.columns, ("1", "2", "3", "4"), given_test)


LOADERS = {
    "diabetes": _diabetes,
    "breast_cancer": _breast_cancer,
    "hitters": _hitters,
    "college": _college,
    "caravan": _caravan,
    "khan": _khan,
}
