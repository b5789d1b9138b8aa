"""Optimisers, couplings and penalties from outside: one file, and they are trained, stored and told apart like ours."""

import sys
import textwrap

import numpy as np
import pytest
import test_engine

from wdbench import cells, penalties, precision, provenance, rules, updates
from wdbench.config import experiment
from wdbench.errors import UserError

PLUGIN = """
    import torch
    from wdbench import penalties, rules


    class Lion:
        name, moments = "lion", ("m",)

        def step(self, w, g, m, v, t, constants):
            u = torch.sign(constants.beta1 * m + (1 - constants.beta1) * g)
            return u, constants.beta2 * m + (1 - constants.beta2) * g, v


    rules.register_optimiser(Lion())
    rules.register_coupling(rules.CouplingRule("half", lambda l1, l2, lr: {"a2": l2 / 2, "d2": l2 / 2, "q1": l1}))
    penalties.register(penalties.Penalty("thirds", lambda ratio: (1 / 3, 2 / 3)))
"""
CONFIG = """
plugins: [mine]
studies:
  s:
    datasets: [diabetes]
    model: linear
    penalties: [l2, thirds]
    lambda: {l2: {unit: absolute, values: [0.1]}, thirds: {unit: absolute, values: [0.1]}}
    optimisers: [sgd, lion]
    lr: {sgd: {unit: absolute, values: [0.01]}, lion: {unit: absolute, values: [0.01]}}
    couplings: [decoupled, half]
    steps: 10
    batch_size: 16
    replicates: 2
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLUGIN))
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)
    rules.optimisers.clear()
    rules.couplings.clear()
    penalties.PENALTIES.pop("thirds", None)
    provenance.governing.cache_clear()


def test_a_config_may_name_what_its_plugins_register(mine):
    study = experiment.load(mine / "config.yaml").studies["s"]
    assert study.optimisers == ("sgd", "lion") and study.couplings == ("decoupled", "half") and study.penalties == ("l2", "thirds")
    (mine / "config.yaml").write_text(CONFIG.replace("lion", "tiger"))
    with pytest.raises(UserError, match="tiger.*valid: exact, sgd, momentum, nesterov, adam, lion"):
        experiment.load(mine / "config.yaml")


@pytest.mark.parametrize("model", ["softmax", "mlp:depth=1,width=13"])
@pytest.mark.parametrize("arithmetic", [("fp32", "none"), ("bf16_weights", "kahan")])
def test_cells_of_a_foreign_optimiser_keep_the_bit_contract(mine, model, arithmetic):
    experiment.load(mine / "config.yaml")
    data = test_engine.make_data("multiclass", 12, 5)
    program = cells.Program(model, "lion", *arithmetic, "linear", 12, 16)
    runs = [cells.Run(program, ("half", "decoupled")[i % 2], 0.01 * (i % 3), 0.1 * i, 0.02, "weights", 1.0, r)
            for i in range(7) for r in range(3)]
    whole = test_engine.train(runs, data)
    for position in (0, 8, 20):
        assert test_engine.same(test_engine.train([runs[position]], data)[0], whole[position])


def test_a_foreign_step_is_the_one_that_its_file_says(mine):
    experiment.load(mine / "config.yaml")
    data = test_engine.make_data("regression", 7, 1)
    program = cells.Program("linear", "lion", "fp64", "none", "constant", 1, 70, prox=False)
    moved = test_engine.train([cells.Run(program, "half", 0.0, 0.4, 0.05, "weights", 0.0, 0)], data)[0].weight
    # from 0 there is nothing to decay: one step of the learning rate against the gradient's sign
    np.testing.assert_allclose(np.abs(moved), 0.05)
    assert updates.decay("half", 0.0, 0.4, 1.0) == updates.Decay(a2=0.2, d2=0.2)
    assert updates.initial_state(np_one(), updates.Optimiser("lion"), precision.make("fp64")).v is None


def np_one():
    import torch

    return torch.ones(1, dtype=torch.float64)


def test_an_edited_file_makes_its_cells_others_and_leaves_ours(mine):
    experiment.load(mine / "config.yaml")

    def digests():
        provenance.governing.cache_clear()
        return (provenance.governing("linear", "lion", "decoupled"), provenance.governing("linear", "sgd", "half"),
                provenance.governing("linear", "sgd", "decoupled"), provenance.outside())

    before = digests()
    assert before[0] != before[2] != before[1]
    (mine / "mine.py").write_text(textwrap.dedent(PLUGIN).replace("l2 / 2", "l2 / 3"))
    after = digests()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, False]


def test_names_are_taken_once(mine):
    experiment.load(mine / "config.yaml")
    for name in ("adam", "lion", "exact"):
        with pytest.raises(ValueError, match=f"optimiser '{name}' is registered already"):
            rules.register_optimiser(type("Again", (), {"name": name, "moments": ()})())
    with pytest.raises(ValueError, match="coupling 'coupled' is registered already"):
        rules.register_coupling(rules.CouplingRule("coupled", lambda *_: {}))
    with pytest.raises(ValueError, match="moments: value"):
        rules.register_optimiser(type("Odd", (), {"name": "odd", "moments": ("s",)})())
    with pytest.raises(ValueError, match="form: value 'replay'"):
        rules.register_coupling(rules.CouplingRule("again", lambda *_: {}, form="replay"))


def test_the_names_of_both_modules_are_the_same():
    assert set(rules.OPTIMISERS) == set(updates.OPTIMISERS) and set(rules.COUPLINGS) == set(cells.FORMS)
