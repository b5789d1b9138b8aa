"""torch's own optimisers in bf16: what is measured is what torch does, and what its update equations say."""

import numpy as np
import pytest
import torch

from wdbench import precision, seeds
from wdbench import torch_flags as flags

ADAMW, ADAM, SGD = flags.RECIPES


def batch(seed=0, rows=16, features=6, classes=3):
    rng = seeds.generator("flags", seed, "sample")
    x = torch.from_numpy(rng.standard_normal((rows, features)).astype(np.float32))
    shapes = (flags.WIDTH, features), (classes, flags.WIDTH)
    weights = [torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]
    return weights, x, torch.from_numpy(rng.integers(0, classes, rows))


def everything(recipe, weights, decay):
    return [(name, dtype, run) for name, _, dtype, run in flags.runs(recipe, weights, decay)]


@pytest.mark.parametrize("recipe", flags.RECIPES, ids=lambda recipe: recipe.torch_class.__name__)
def test_a_tried_step_is_the_step_and_changes_nothing(recipe):
    weights, x, y = batch()
    for name, dtype, run in everything(recipe, weights, 0.3):
        for _ in range(3):
            gradients = flags.gradients(run.values(), x, y, dtype)
            before = flags._flat(run.values())
            tried = run.tried(gradients, 0.3, wide=False)
            assert (flags._flat(run.values()) == before).all(), name
            run.step(gradients)
            kept = flags._flat([w if s.remainder is None else w - s.remainder for w, s in zip(run.weights, run.states, strict=True)]
                               if isinstance(run, flags.Ours) else run.values())
            assert (tried == kept).all(), name


@pytest.mark.parametrize("recipe", flags.RECIPES, ids=lambda recipe: recipe.torch_class.__name__)
def test_torch_and_this_project_take_the_same_steps_in_fp32(recipe):
    weights, x, y = batch()
    runs = [(name, run) for name, dtype, run in everything(recipe, weights, 0.3) if dtype == torch.float32]
    for _ in range(20):
        for _, run in runs:
            run.step(flags.gradients(run.values(), x, y, torch.float32))
    final = {name: flags._flat(run.values()) for name, run in runs}
    assert set(final) == {"torch loop", "torch foreach", "torch fused", "wdbench"}
    for name, found in final.items():
        assert (found - final["wdbench"]).abs().max() < 1e-4, name


def test_the_intended_decay_is_that_of_the_update_equations():
    weights, x, y = batch()
    for recipe in (ADAMW, SGD):
        for name, dtype, run in everything(recipe, weights, 0.3):
            gradients = flags.gradients(run.values(), x, y, dtype)
            intended = run.tried(gradients, 0.3, wide=True) - run.tried(gradients, 0.0, wide=True)
            expected = -recipe.lr * 0.3 * flags._flat(run.values())
            assert (intended - expected).abs().max() < 1e-12, name


def test_bf16_weights_start_on_the_grid_in_every_implementation():
    weights, _, _ = batch()
    for _, dtype, run in everything(ADAMW, weights, 0.0):
        wanted = weights if dtype == torch.float32 else [precision.nearest(w) for w in weights]
        assert (flags._flat(run.values()) == flags._flat(wanted)).all()


@pytest.fixture(scope="module")
def measured():
    table = flags.measure(steps=12, recipes=(ADAMW,), decays=(0.0, 2.0**-10, 2.0**-7))
    return table.set_index(["dtype", "implementation", "decay_per_step"])


def test_a_decay_below_the_limit_is_lost_where_it_is_rounded_by_itself(measured):
    for name in ("torch loop", "torch foreach", "wdbench nearest_split"):
        row = measured.loc[("bf16", name, 2.0**-10)]
        assert row["fidelity"] == 0 and row["unchanged_share"] == 1 and row["norm_ratio"] == 1, name
        assert measured.loc[("bf16", name, 2.0**-7), "fidelity"] > 0.5, name
    for name in ("torch fused", "wdbench nearest_once", "wdbench stochastic", "wdbench kahan"):
        row = measured.loc[("bf16", name, 2.0**-10)]
        assert row["fidelity"] > 0.3 and row["unchanged_share"] < 1, name
    assert measured.loc[("bf16", "wdbench kahan", 2.0**-10), "fidelity"] == pytest.approx(1, abs=0.01)


def test_fp32_applies_what_is_asked_for_and_no_decay_has_no_fidelity(measured):
    fp32 = measured.loc["fp32"]
    assert np.allclose(fp32["fidelity"].dropna(), 1, atol=1e-3)
    assert measured.xs(0.0, level="decay_per_step")["fidelity"].isna().all()
    assert (measured.xs(0.0, level="decay_per_step")["unchanged_share"] == 1).all()
    assert list(measured.reset_index().columns.sort_values()) == sorted(flags.COLUMNS)
