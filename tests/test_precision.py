"""What an arithmetic computes in, what it stores in, and which roundings go with it."""

import pytest
import torch

from wdbench import precision


@pytest.mark.parametrize("name, rounding, compute, master", [
    ("fp64", "none", torch.float64, torch.float64), ("fp32", "none", torch.float32, torch.float32),
    ("bf16_compute", "none", torch.bfloat16, torch.float32), ("bf16_weights", "nearest_once", torch.bfloat16, torch.float32),
])
def test_types(name, rounding, compute, master):
    made = precision.make(name, rounding)
    assert (made.compute, made.master, made.rounding) == (compute, master, rounding)
    assert made.casts is (compute != master)


@pytest.mark.parametrize("name, rounding", [
    ("fp32", "kahan"), ("fp64", "nearest_once"), ("bf16_compute", "stochastic"), ("bf16_weights", "none"), ("bf16_weights", "up"),
    ("fp16", "none"),
])
def test_what_does_not_go_together_is_refused(name, rounding):
    with pytest.raises(ValueError, match=name):
        precision.make(name, rounding)
