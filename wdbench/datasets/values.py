"""X and y of a data set of files, of which it is known whether they are dense or term counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from wdbench.datasets.records import Dataset


def dense(data: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    """X [n, d] (language: [n]) and y [n]. Raises TypeError for a generator and for term counts."""
    if not isinstance(data.X, np.ndarray) or data.y is None:
        raise TypeError(f"data set {data.name!r}: its X is no dense array")
    return data.X, data.y


def counts(data: Dataset) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
    """Term counts X [n, words] and classes y [n]. Raises TypeError for any other data set."""
    if not isinstance(data.X, sparse.csr_matrix) or data.y is None:
        raise TypeError(f"data set {data.name!r}: its X is no matrix of term counts")
    return data.X, data.y


def parts(data: Dataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers (train, test) of the publisher's own split. Raises TypeError where there is none."""
    if data.given_test is None or data.y is None:
        raise TypeError(f"data set {data.name!r}: no test part is given")
    return np.setdiff1d(np.arange(len(data.y)), data.given_test), data.given_test
