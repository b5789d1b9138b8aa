"""The ways of training that the benchmarks time do the same work: small cases, every way that is installed."""

import importlib.util
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import compare
from benchmarks.cases import CASES
from benchmarks.compare import apart
from benchmarks.scaling import exponent
from benchmarks.ways import jax_measured, jax_vmap, loop, stacked, torch_compiled

SMALL = {"rows": 130, "steps": 5, "arms": 3, "replicates": 2, "plain": 6, "processes": 1}
# after five steps, before anything has multiplied the roundings
EARLY = {"fp32": 1e-4, "bf16_compute": 2e-2}


@pytest.mark.parametrize("name", [name for name in CASES if "GPT" not in name])
def test_the_loop_and_the_stack_end_at_the_same_weights(name):
    case = replace(CASES[name], **SMALL)
    _, count, found = stacked.train(case)
    _, plain_count, plain = loop.train(case)
    assert count == len(found) == 6 and plain_count == len(plain) == 6
    assert apart(plain, found) <= EARLY[case.precision]
    # they have moved, and arms differ: otherwise any two ways would agree
    start = {r: np.concatenate([value.ravel() for key, value in case.start(r).items() if case.decayed(key)]) for r in range(2)}
    assert max(np.abs(start[case.runs[i].replicate] - w).max() for i, w in found.items()) > 0 and abs(found[0] - found[4]).max() > 0


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed; pip install .[bench]")
@pytest.mark.parametrize("way", [jax_vmap, jax_measured])
@pytest.mark.parametrize("name", ["linear", "softmax, Adam", "MLP, AdamW"])
def test_jax_ends_at_the_same_weights(name, way):
    case = replace(CASES[name], **SMALL)
    assert apart(loop.train(case)[2], way.train(case)[2]) <= EARLY[case.precision]


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_the_compiled_step_ends_at_the_same_weights():
    case = replace(CASES["MLP, AdamW"], **SMALL)
    assert apart(loop.train(case)[2], torch_compiled.train(case)[2]) <= EARLY[case.precision]


def fake(seconds, count, weight):
    """A way that takes so long for so many cells and ends at such weights."""
    return SimpleNamespace(train=lambda case: (seconds, count, {i: np.full(3, weight) for i in range(count)}))


def test_a_ratio_is_to_the_loop_of_the_same_repeat(monkeypatch):
    ways = {"wdbench": fake(2.0, 100, 1.0), "torch.optim loop": fake(1.0, 5, 1.0)}
    monkeypatch.setattr(compare, "WAYS", ways)
    monkeypatch.setattr(compare, "stacked", ways["wdbench"])
    table = compare.summary(pd.DataFrame(compare.time_case(CASES["linear"], 3, lambda: None))).set_index("way")
    assert table.loc["wdbench", "times_the_loop"] == pytest.approx(10.0) and table.loc["torch.optim loop", "times_the_loop"] == 1.0
    assert (table["repeats"] == 3).all() and table.loc["wdbench", "lowest"] == table.loc["wdbench", "highest"]


@pytest.mark.parametrize("wrong", [fake(2.0, 100, 1.5), SimpleNamespace(train=lambda case: (2.0, 100, {0: np.ones(3)}))])
def test_ways_that_did_other_work_have_no_ratio(monkeypatch, wrong):
    monkeypatch.setattr(compare, "WAYS", {"wdbench": wrong, "torch.optim loop": fake(1.0, 5, 1.0)})
    monkeypatch.setattr(compare, "stacked", wrong)
    with pytest.raises(AssertionError, match="differ by a share|cells of"):
        compare.time_case(CASES["linear"], 1, lambda: None)


def test_the_exponent_of_a_power_is_that_power():
    assert exponent([1, 10, 100], [2, 20, 200]) == pytest.approx(1.0) and exponent([1, 4], [3, 6]) == pytest.approx(0.5)
