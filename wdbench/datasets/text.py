"""Loaders of text, as term counts, and the tf-idf features that are fitted on the train rows."""

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from wdbench.datasets import fetch
from wdbench.datasets.records import Dataset, digest
from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry

MIN_DF = 2


def load(entry: "Entry") -> Dataset:
    """Term counts of a registry entry of kind text, [documents, all terms] CSR, the published test part last.

    Counting fits nothing: terms are chosen later, by their document frequency in train. Raises
    DatasetUnavailable, or UserError for a damaged archive.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    train, test = (_documents(content) for content in fetch.members(entry).values())
    labels, documents = zip(*(train + test), strict=True)
    vectorizer = CountVectorizer()
    counts = vectorizer.fit_transform(documents).astype(np.float64)
    counts.sort_indices()
    classes = sorted(set(labels))
    code = {label: k for k, label in enumerate(classes)}
    y = np.array([code[label] for label in labels], dtype=np.int64)
    if len(y) != entry.shape[0] or len(classes) != entry.n_classes:
        raise ValueError(
            f"{entry.id}: {len(y)} documents of {len(classes)} classes are not what is registered"
        )
    given_test = np.arange(len(train), len(y))
    return Dataset(
        entry.id,
        entry.task,
        counts,
        y,
        tuple(vectorizer.get_feature_names_out()),
        tuple(classes),
        given_test,
        digest(list(labels), list(documents)),
    )


def _documents(content: bytes) -> list[tuple[str, ...]]:
    """(label, text) of every row of a .tab file, without its three header lines and empty rows."""
    rows = content.decode("utf-8").split("\n")[3:]
    return [tuple(row.split("\t", 1)) for row in rows if row.strip()]


def features(
    counts: sparse.csr_matrix, train: np.ndarray, *, scale: str, top: int | None, svd: int | None, seed: int
) -> np.ndarray | sparse.csr_matrix:
    """Features of all documents, fitted on the rows `train`: CSR, or a dense array where svd is given.

    Terms in fewer than MIN_DF train documents are dropped, then all but the `top` of highest document
    frequency (ties in alphabetical order). scale raw keeps counts, any other scale weighs by tf-idf with rows
    of unit norm (scikit-learn's TfidfTransformer: idf = ln((1+n)/(1+df)) + 1). svd projects to that many
    right singular vectors of the train rows. Raises UserError for an svd that the train rows cannot support.
    """
    frequency = np.bincount(counts[train].indices, minlength=counts.shape[1])
    kept = np.flatnonzero(frequency >= MIN_DF)
    if top is not None:
        kept = np.sort(kept[np.argsort(-frequency[kept], kind="stable")[:top]])
    X = counts[:, kept]
    if scale != "raw":
        from sklearn.feature_extraction.text import TfidfTransformer

        X = TfidfTransformer().fit(X[train]).transform(X)
    if svd is not None:
        from sklearn.decomposition import TruncatedSVD
        from threadpoolctl import threadpool_limits

        if svd >= min(len(train), X.shape[1]):
            raise UserError(
                f"option svd: value {svd}; valid: below the {len(train)} train rows and {X.shape[1]} terms"
            )
        # the number of BLAS threads would change the last bit
        with threadpool_limits(limits=1):
            return TruncatedSVD(n_components=svd, random_state=seed).fit(X[train]).transform(X)
    X = sparse.csr_matrix(X)
    X.sort_indices()
    return X
