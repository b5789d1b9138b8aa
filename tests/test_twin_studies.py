"""Studies that a claim holds against another study's cells: they must differ from those in what is asked about and in nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from wdbench import grid
from wdbench.config import experiment

STUDIES = experiment.load(Path(__file__).parent.parent / "config.yaml", "nightly").studies


def cells(name):
    study = STUDIES[name]
    return {cell for dataset in study.datasets for model in grid._models(study, dataset) for optimiser in study.optimisers
            for cell in grid.cells(study, dataset, model, optimiser)}


@pytest.mark.parametrize("name, control", [("mlp_biases", "mlp_sgd"), ("mlp_gains", "mlp_sgd"), ("gpt_gains", "gpt_tuned")])
def test_decay_of_biases_and_gains_is_all_that_a_study_changes(name, control):
    treated, plain = cells(name), cells(control)
    assert {cell.decay_mask for cell in treated} == {"all"} and {cell.decay_mask for cell in plain} == {"weights"}
    # probes and the average of the weights only look at the training
    looks = {(cell.probes, cell.ema) for cell in plain}
    assert len(looks) == 1
    ((probes, ema),) = looks
    assert {replace(cell, decay_mask="weights", probes=probes, ema=ema) for cell in treated} <= plain


def test_setting_the_rotation_changes_the_sphere_and_drops_the_decay():
    held, settled = cells("rotation_set"), cells("rotation_settled")
    assert {cell.penalty for cell in held} == {"none"} and {cell.sphere for cell in held} == {"step"}
    assert {replace(cell, sphere="none") for cell in held} == {cell for cell in settled if cell.penalty == "none"}
    assert {cell.decay_mask for cell in settled if cell.penalty == "l2"} == {"hidden"}


def test_the_couplings_of_a_convolutional_network_share_rates_and_blocks():
    coupled, decoupled = cells("cnn_coupled"), cells("cnn_decoupled")

    def shared(found):
        return {(cell.dataset, cell.model, cell.lr, cell.steps, cell.batch_size, cell.replicate, cell.schedule) for cell in found}

    assert shared(coupled) == shared(decoupled)
    assert {cell.coupling for cell in decoupled} == {"decoupled"} and {cell.coupling for cell in coupled} == {"coupled"}
    # each coupling keeps the lambda grid that its perceptron has
    assert {cell.lam for cell in decoupled} == {cell.lam for cell in cells("mlp_decoupled")}
    assert {cell.lam for cell in coupled} == {cell.lam for cell in cells("mlp_coupled")}
