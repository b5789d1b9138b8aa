"""Data and settings at the end of what arithmetic bears: a refusal in one sentence, or rows with a status; never a crash, and never a
neighbour's bits.
"""

from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wdbench import datasets, grid, resolve
from wdbench.config.study import Study
from wdbench.datasets import registry
from wdbench.errors import UserError

MODELS = {"diabetes": "linear", "breast_cancer": "logistic", "digits": "softmax"}
NETWORK = "mlp:depth=1,width=8"


def constant(data, rng):
    X = data.X.copy()
    X[:, : X.shape[1] // 2] = 3.0
    return replace(data, X=X)


def all_constant(data, rng):
    return replace(data, X=np.full_like(data.X, 0.1))


def duplicated(data, rng):
    rows = rng.integers(0, 5, len(data.y))
    return replace(data, X=data.X[rows], y=data.y[rows])


def scaled(data, rng):
    return replace(data, X=data.X * np.where(np.arange(data.X.shape[1]) % 8 == 0, 1e6, 1.0))


def same_columns(data, rng):
    return replace(data, X=np.repeat(data.X[:, :1], data.X.shape[1], axis=1))


def one_class(data, rng):
    return replace(data, y=np.zeros_like(data.y))


def unseen_class(data, rng):
    """Every class but the first has one row, so that two of the three splits lack it."""
    if data.task == "regression":
        return replace(data, y=np.zeros_like(data.y))
    y = np.zeros_like(data.y)
    y[: data.y.max() + 1] = np.arange(data.y.max() + 1)
    return replace(data, y=y)


def huge_targets(data, rng):
    return replace(data, y=data.y * 1e300 if data.task == "regression" else data.y)


DAMAGE = (constant, all_constant, duplicated, scaled, same_columns, one_class, unseen_class, huge_targets)
OPTIONS = ("", "n=1", "n=2", "scale=raw", "scale=minmax")


def study(dataset, **changes):
    axes = {"datasets": [dataset], "penalties": ["none", "l1", "l2"], "replicates": 1, "couplings": ["coupled", "decoupled"],
            "lambda": {p: {"unit": "absolute", "values": [0.1, 1e6]} for p in ("l1", "l2")}, "steps": 8, "batch_size": 16,
            "precisions": ["fp32", "bf16_weights"],
            "lr": {o: {"unit": "absolute", "values": [0.05, 1e3]} for o in ("sgd", "adam")}}
    return Study.model_validate(axes | changes)


def cells(dataset, optimiser, model, **changes):
    if optimiser == "exact":
        changes |= {"couplings": ["coupled"], "precisions": ["fp64"]}
    found = grid.cells(study(dataset, optimisers=[optimiser], **changes), dataset, model, optimiser)
    return {cell: f"id{i}" for i, cell in enumerate(found)}


def rows(chosen, optimiser):
    chunks = resolve.exact_rows(chosen, "sha", frozenset()) if optimiser == "exact" else \
        resolve.trained_rows(chosen, "sha", exact_or_none)
    return pd.concat([c["rows"] for c in chunks]).set_index("cell_id").drop(columns="train_seconds")


def exact_or_none(cell):
    if cell.model not in MODELS.values():
        return None
    # arms that pose one problem have one solution
    return solved(replace(cell, coupling="coupled", precision="fp32", rounding="none", lr=0.05, optimiser="sgd"))


@lru_cache(maxsize=64)
def solved(problem):
    solution = next(resolve.solve([problem]))[1]
    return SimpleNamespace(W=solution.W, b=solution.b, objective=solution.objective, certificate=solution.certificate)


@pytest.fixture
def registered():
    """Registers what `damage` makes of a data set, as a plugin would, and forgets it."""
    names = []

    def use(damage, base):
        raw = registry.load(base)
        name = f"wild_{damage.__name__}_{base}"
        classes = len(raw.classes) if raw.task == "multiclass" else None
        made = lambda: replace(damage(raw, np.random.default_rng(0)), name=name, given_test=None, sha256="")  # noqa: E731
        datasets.register(name, made, task=raw.task, n_classes=classes)
        names.append(name)
        return name

    yield use
    for name in names:
        registry._plugins.pop(name)
    registry._load_cached.cache_clear()


@pytest.mark.parametrize("optimiser", ["exact", "sgd", "adam"])
@pytest.mark.parametrize("dataset", MODELS)
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda function: function.__name__)
def test_a_row_with_a_status_or_a_refusal(registered, damage, dataset, optimiser):
    name = registered(damage, dataset)
    tried = refused = 0
    for options in OPTIONS:
        spec = f"{name}:{options}" if options else name
        models = [MODELS[dataset]] + ([NETWORK] if optimiser != "exact" and dataset == "digits" else [])
        for model in models:
            tried += 1
            try:
                chosen = cells(datasets.canonical(spec), optimiser, model)
                found = rows(chosen, optimiser)
            except UserError as error:
                refused += 1
                assert "valid" in str(error) and "\n" not in str(error)
                continue
            assert set(found.index) == set(chosen.values())
            assert found["status"].isin(["ok", "diverged"]).all()
            fine = found[found["status"] == "ok"]
            assert np.isfinite(fine["weight_norm"]).all() and (fine["train_loss"].notna()).all()
            gone = found[found["status"] == "diverged"]
            assert optimiser != "exact" or gone.empty
            if gone.empty:
                continue
            assert gone[["train_loss", "test_loss", "weight_norm"]].isna().all().all() and (gone["diverged_step"] >= 1).all()
    assert tried >= len(OPTIONS)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("model", ["softmax", NETWORK])
def test_a_diverging_cell_leaves_its_neighbours_alone(model, optimiser):
    every = cells("digits", optimiser, model)
    whole = rows(every, optimiser)
    calm = {cell: cell_id for cell, cell_id in every.items() if cell.lam < 1e6 and cell.lr < 1e3}
    alone = rows(calm, optimiser)
    # the neighbourhood was a bad one: infinities, or numbers that are no loss any more
    wild = whole.drop(index=list(calm.values()))
    assert (wild["status"] == "diverged").any() or (wild["train_loss"] > 1e3).any()
    pd.testing.assert_frame_equal(whole.loc[alone.index, alone.columns], alone, check_exact=True)


@pytest.mark.parametrize("where", ["X", "y"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_when_the_data_are_read(registered, value, where):
    def holed(data, rng):
        values = getattr(data, where).copy()
        values[3] = value
        return replace(data, **{where: values})

    with pytest.raises(UserError, match="X, y: a value that is not finite; valid: finite numbers"):
        datasets.block(registered(holed, "diabetes"), 0)
