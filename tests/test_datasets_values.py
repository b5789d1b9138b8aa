"""What a module that needs dense values, term counts or a given test part gets, and that it is refused for other data sets."""

import numpy as np
import pytest
from scipy import sparse

from wdbench.datasets import Dataset, values

DENSE = Dataset("dense", "binary", np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]), given_test=np.array([1]))
COUNTS = Dataset("text", "binary", sparse.csr_matrix(np.eye(3)), np.array([0, 1, 0]))
GENERATOR = Dataset("drawn", "regression", None, None)


def test_each_kind_of_values_is_handed_out_as_it_is():
    assert values.dense(DENSE) == (DENSE.X, DENSE.y)
    assert values.counts(COUNTS) == (COUNTS.X, COUNTS.y)
    train, test = values.parts(DENSE)
    assert train.tolist() == [0, 2] and test.tolist() == [1]


@pytest.mark.parametrize(
    ("ask", "data"), [(values.dense, COUNTS), (values.dense, GENERATOR), (values.counts, DENSE), (values.parts, COUNTS)]
)
def test_a_data_set_of_another_kind_is_named(ask, data):
    with pytest.raises(TypeError, match=data.name):
        ask(data)
