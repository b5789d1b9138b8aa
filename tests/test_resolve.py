"""From cells to rows: purity of rows, oracle columns, selection units, measurement against scikit-learn."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from wdbench import datasets, grid, oracle, resolve
from wdbench.config.study import Study


def study(**changes):
    axes = {"datasets": ["breast_cancer"], "penalties": ["none", "l1", "l2", "elastic"], "replicates": 2,
            "lambda": {p: {"from": 1e-3, "to": 1.0, "points": 3} for p in ("l1", "l2", "elastic")},
            "optimisers": ["exact"], "steps": 12, "batch_size": 32,
            "lr": {"sgd": {"values": [0.5]}, "momentum": {"values": [0.5]}, "adam": {"unit": "absolute", "values": [0.02]}}}
    return Study.model_validate(axes | changes)


def cells(dataset, optimiser, **changes):
    return {cell: f"id{i}" for i, cell in enumerate(
        grid.cells(study(optimisers=[optimiser], **changes), dataset, grid.GLM[datasets.task(dataset)], optimiser))}


def solution_of(cell):
    solution = next(resolve.solve([cell]))[1]
    return SimpleNamespace(W=solution.W, b=solution.b, objective=solution.objective, certificate=solution.certificate)


def rows(chosen, optimiser):
    chunks = resolve.exact_rows(chosen, "sha", frozenset()) if optimiser == "exact" else \
        resolve.trained_rows(chosen, "sha", solution_of)
    return pd.concat([c["rows"] for c in chunks]).set_index("cell_id").drop(columns="train_seconds").sort_index(axis=1)


@pytest.mark.parametrize("dataset", ["diabetes", "breast_cancer", "digits", "noisy:p=50"])
@pytest.mark.parametrize("optimiser", ["exact", "adam"])
def test_a_row_is_the_same_alone_and_among_others(dataset, optimiser):
    every = cells(dataset, optimiser, couplings=["coupled", "decoupled"], precisions=["fp32", "bf16_weights"])
    whole = rows(every, optimiser)
    rng = np.random.default_rng(0)
    for cell in [list(every)[i] for i in rng.choice(len(every), 3, replace=False)]:
        alone = rows({cell: every[cell]}, optimiser)
        pd.testing.assert_series_equal(alone.loc[every[cell]], whole.loc[every[cell], alone.columns], check_exact=True)


def test_exact_rows_carry_what_scikit_learn_finds():
    chosen = cells("diabetes", "exact", penalties=["l2"], replicates=1)
    found = rows(chosen, "exact")
    block = datasets.block("diabetes", 0)
    for cell, cell_id in chosen.items():
        row = found.loc[cell_id]
        model = Ridge(alpha=len(block.y["train"]) * row["lambda"]).fit(block.X["train"], block.y["train"])
        loss = 0.5 * np.square(model.predict(block.X["test"]) - block.y["test"]).mean()
        assert row["test_loss"] == pytest.approx(loss, rel=1e-8)
        assert row["weight_norm"] == pytest.approx(np.linalg.norm(model.coef_), rel=1e-8)
        assert cell.penalty == "l2" and row["oracle_gap"] <= row["oracle_certificate"] + 1e-12


def test_both_ends_of_the_default_grid_are_too_little_and_too_much():
    """At the low end the exact solution is as good as unpenalised; at the high end it has lost most of the fit."""
    from pathlib import Path

    from wdbench.config import experiment

    default = experiment.load(Path(__file__).parent.parent / "config.yaml").studies["grid"]
    for dataset in [d for d in default.datasets if datasets.status(datasets.base_name(d)).available]:
        block = datasets.block(dataset, 0)
        anchors, model = oracle.anchors(block), grid.GLM[block.task]
        null = oracle.solve(block, model, "l1", 1.0, [anchors.l1 * 1.001])[0].objective
        for penalty, ratio, anchor in (("l1", 1.0, anchors.l1), ("l2", 0.0, anchors.l2), ("elastic", 0.5, 2 * anchors.l1)):
            grid_of = [v * anchor for v in default.lambdas[penalty].numbers()]
            ends = [grid_of[0], grid_of[-1]]
            low, high = oracle.solve(block, model, penalty, ratio, ends, tol=1e-5)
            def data_loss(s, lam, ratio=ratio):
                l1, l2 = ratio * lam, (1 - ratio) * lam
                return s.objective - l1 * abs(s.W).sum() - l2 / 2 * np.square(s.W).sum()
            # the L1 part of an elastic net at its own largest lambda is the null model too
            assert data_loss(high, ends[1]) > 0.6 * null, (dataset, penalty)
            assert data_loss(low, ends[0]) < 0.25 * null or data_loss(low, ends[0]) < 1.01 * min(
                data_loss(s, 0.0) for s in oracle.solve(block, model, "none", 0.0, [0.0])), (dataset, penalty)


def test_a_relative_rate_needs_an_optimiser_whose_step_scales():
    from wdbench.errors import UserError

    cell = next(iter(grid.cells(study(optimisers=["adam"], lr={"adam": {"values": [0.5]}}), "diabetes", "linear", "adam")))
    with pytest.raises(UserError, match="absolute"):
        resolve.absolute_lr(cell)
