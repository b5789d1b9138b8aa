"""Cells that follow a decayed run, and weights held on a sphere, against plain loops of torch and closed forms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import test_language_models as language
import torch
from test_engine import make_data, make_runs, same
from test_networks import BATCH, RATES, STEPS, N, data, flat, run, start
from torch.func import functional_call

from wdbench import cells, dictionary, engine, follow, grid, resolve, schedules
from wdbench.config import experiment
from wdbench.errors import UserError

INVARIANT = "mlp:width=12,norm=bn,affine=no,head=frozen,eps=0"
LAM = 0.3
ROOT = Path(__file__).parent.parent


def train(*runs):
    return [outcome for _, outcome in sorted(pair for chunk in engine.train(list(runs), data()) for pair in chunk)]


def rates_of(coupling, optimiser, own, decayed, keep):
    if coupling != "lr_replay":
        return 1.0
    return (own.norm() / decayed.norm()).item() ** (1 if optimiser == "adam" else 2) / keep


def following(model, optimiser, coupling, mask, schedule="constant"):
    """(follower, decayed, plain) parameters after STEPS of torch.optim, and each step's three batch losses."""
    family, module, params = start(model)
    groups = [{name: torch.nn.Parameter(p.clone()) for name, p in params.items()} for _ in range(3)]
    if optimiser == "adam":
        optimisers = [torch.optim.AdamW([{"params": [p]} for p in g.values()], weight_decay=0.0) for g in groups]
    else:
        momentum = 0.9 if optimiser == "momentum" else 0.0
        optimisers = [torch.optim.SGD([{"params": [p]} for p in g.values()], momentum=momentum) for g in groups]
    matrices = [name for name in params if family.group(name) in cells.DECAY_SHARE[mask]]
    d, order, losses = data()[0], engine.batches("toy", 0, N, STEPS, BATCH), []
    for t in range(1, STEPS + 1):
        rate = RATES[optimiser] * schedules.shape(schedule)(t, STEPS)
        x, y = torch.tensor(d.x[order[t - 1]]), torch.tensor(d.y[order[t - 1]])
        factors = {n: rates_of(coupling, optimiser, groups[0][n], groups[1][n], 1 - rate * LAM) if n in matrices else 1.0 for n in params}
        losses.append([])
        for k, (group, optimizer) in enumerate(zip(groups, optimisers, strict=True)):
            for entry, name in zip(optimizer.param_groups, params, strict=True):
                entry["lr"] = rate * (factors[name] if k == 0 else 1.0)
            optimizer.zero_grad()
            loss = family.loss(functional_call(module, group, (x,)), y)
            loss.backward()
            losses[-1].append(loss.item())
            with torch.no_grad():
                for name in matrices if k == 1 else ():
                    group[name].mul_(1 - rate * LAM)
            optimizer.step()
        with torch.no_grad():
            for name in matrices if coupling == "norm_replay" else ():
                groups[0][name].mul_(groups[1][name].norm() / groups[0][name].norm())
    return family, groups, np.array(losses)


@pytest.mark.parametrize("model, mask", [("mlp:depth=1,width=16", "weights"), ("mlp:width=12,norm=bn", "hidden")])
@pytest.mark.parametrize("coupling", cells.FOLLOWERS)
@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "adam"])
def test_a_follower_does_what_a_plain_loop_beside_a_decayed_run_does(model, mask, coupling, optimiser):
    family, (mine, decayed, _), losses = following(model, optimiser, coupling, mask, "drop:at=0.5,to=0.1")
    found = train(run(model, optimiser, coupling, lam=LAM, decay_mask=mask, schedule="drop:at=0.5,to=0.1"))[0]
    detached = {name: p.detach() for name, p in mine.items()}
    np.testing.assert_allclose(found.weight, flat(family, detached), rtol=1e-8, atol=1e-10)
    assert np.abs(found.weight - flat(family, {n: p.detach() for n, p in decayed.items()})).max() > 1e-4
    smooth = np.ones(STEPS) / STEPS
    for column, k in (("curve_gap", 0), ("curve_gap_plain", 2)):
        gap = np.sqrt(np.mean(np.convolve(losses[:, k] - losses[:, 1], smooth, "valid") ** 2))
        assert found.probe[column] == pytest.approx(gap, rel=1e-6)
    assert found.probe["curve_gap_plain"] > 1e-4 and found.penalty == 0 and np.isnan(found.probe["fidelity"])


def test_curves_are_smoothed_over_a_hundred_steps():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 350))
    expected = np.sqrt(np.mean(np.convolve(a - b, np.ones(100) / 100, "valid") ** 2))
    assert follow.distance(a, b) == pytest.approx(expected, rel=1e-12)
    assert follow.distance(a, a + 1) == pytest.approx(1) and follow.distance(a[:7], b[:7]) == pytest.approx(abs((a - b)[:7].mean()))


@pytest.mark.parametrize("schedule", ["constant", "drop:at=0.5,to=0.1"])
def test_replayed_rates_make_the_decayed_function_out_of_undecayed_weights(schedule):
    """Scale-invariant, SGD: outputs of the decayed run, and of the rates eta (1 - eta lambda)^(-2t-1) written out."""
    decayed, replayed, plain = train(*(run(INVARIANT, "sgd", c, lam=lam, schedule=schedule)
                                       for c, lam in (("decoupled", LAM), ("lr_replay", LAM), ("decoupled", 0.0))))
    for split in ("train", "test"):
        np.testing.assert_allclose(replayed.outputs[""][split], decayed.outputs[""][split], rtol=1e-9, atol=1e-11)
    assert np.abs(plain.outputs[""]["test"] - decayed.outputs[""]["test"]).max() > 1e-2
    assert replayed.probe["curve_gap"] < 1e-10 < 1e-3 < replayed.probe["curve_gap_plain"]
    if schedule != "constant":
        return
    family, module, params = start(INVARIANT)
    hidden = [name for name in params if family.group(name) == "hidden"]
    d, order, keep = data()[0], engine.batches("toy", 0, N, STEPS, BATCH), 1 - RATES["sgd"] * LAM
    for t in range(STEPS):
        leaves = {name: p.requires_grad_(name in hidden) for name, p in params.items()}
        x, y = torch.tensor(d.x[order[t]]), torch.tensor(d.y[order[t]])
        grads = torch.autograd.grad(family.loss(functional_call(module, leaves, (x,)), y), [leaves[n] for n in hidden])
        rate = RATES["sgd"] * keep ** (-2 * t - 1)
        params = {n: p.detach() for n, p in leaves.items()} | {
            n: (leaves[n] - rate * g).detach() for n, g in zip(hidden, grads, strict=True)}
    np.testing.assert_allclose(replayed.weight, flat(family, params), rtol=1e-9, atol=1e-11)
    kept = sum(params[n].numel() for n in hidden)
    np.testing.assert_allclose(decayed.weight[:kept], replayed.weight[:kept] * keep**STEPS, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("coupling", cells.FOLLOWERS)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_who_follows_a_run_without_decay_is_that_run(coupling, optimiser):
    model = "mlp:width=12,norm=bn"
    plain, follower = train(run(model, optimiser, "decoupled", lam=0.0), run(model, optimiser, coupling, lam=0.0))
    assert (plain.weight == follower.weight).all() and (plain.bias == follower.bias).all()
    assert plain.trajectory == follower.trajectory and follower.probe["curve_gap"] == follower.probe["curve_gap_plain"] == 0


def test_hidden_runs_are_trained_once_and_reported_never():
    base = run("mlp:depth=1,width=16", "sgd", "lr_replay")
    asked = [replace(base, coupling=c, lambda2=lam) for c in cells.FOLLOWERS for lam in (0.1, 0.3)] + [run("mlp:depth=1,width=16", "sgd")]
    everyone = follow.with_partners(asked)
    assert everyone[:5] == asked and len(everyone) == 5 + 3 and len(set(everyone)) == 8
    assert {(r.coupling, r.lambda2) for r in everyone[5:]} == {("decoupled", 0.1), ("decoupled", 0.3), ("decoupled", 0.0)}
    assert [p for chunk in engine.train(asked, data()) for p, _ in sorted(chunk)] in ([0, 1, 2, 3, 4], [4, 0, 1, 2, 3])


@pytest.mark.parametrize("arithmetic", [("fp32", "none"), ("bf16_compute", "none"), ("bf16_weights", "kahan")])
@pytest.mark.parametrize("sphere", ["none", "step", "epoch"])
def test_a_control_has_the_same_bits_alone_and_in_any_pack(arithmetic, sphere):
    several = make_data("multiclass", 12, 5)
    runs = [replace(r, decay_mask=("weights", "hidden")[i % 2], init_scale=1.0,
                    program=replace(r.program, model="mlp:width=12,norm=bn", sphere=sphere))
            for i, r in enumerate(make_runs("mlp", "sgd", arithmetic, 30, 2, steps=12, form="replay", prox=False))]
    found = dict(pair for chunk in engine.train(runs, several) for pair in chunk)
    for position in (2, 3, 17, 40):
        alone = dict(pair for chunk in engine.train([runs[position]], several) for pair in chunk)[0]
        assert same(alone, found[position])
        assert (alone.outputs[""]["test"] == found[position].outputs[""]["test"]).all()
    assert len({repr(found[k].trajectory) for k in (2, 3, 17, 40)}) == 4


def lengths(outcome, model=INVARIANT):
    """Norms of the hidden matrices of an outcome, and at the start."""
    family, _, params = start(model)
    hidden = [p for name, p in params.items() if family.group(name) == "hidden"]
    parts = np.split(outcome.weight, np.cumsum([p.numel() for p in hidden]))
    return [np.linalg.norm(part) for part in parts[: len(hidden)]], [p.norm().item() for p in hidden]


@pytest.mark.parametrize("precision, tolerance", [("fp64", 1e-15), ("fp32", 2e-7)])
def test_on_the_sphere_norms_stay(precision, tolerance):
    base = run(INVARIANT, "sgd", lam=0.0, lr=1.0)
    free, held = train(*(replace(base, program=replace(base.program, precision=precision, sphere=s)) for s in ("none", "step")))
    np.testing.assert_allclose(*lengths(held), rtol=tolerance)
    assert all(now > 1.01 * then for now, then in zip(*lengths(free), strict=True))


@pytest.mark.parametrize("sphere, period", [("step", 1), ("epoch", N // BATCH)])
def test_projection_comes_after_each_step_or_epoch(sphere, period):
    family, module, params = start(INVARIANT)
    radius = {n: p.norm() for n, p in params.items() if family.group(n) == "hidden"}
    d, order, drifted = data()[0], engine.batches("toy", 0, N, STEPS, BATCH), 0.0
    for t in range(1, STEPS + 1):
        leaves = {n: p.requires_grad_(n in radius) for n, p in params.items()}
        x, y = torch.tensor(d.x[order[t - 1]]), torch.tensor(d.y[order[t - 1]])
        grads = torch.autograd.grad(family.loss(functional_call(module, leaves, (x,)), y), [leaves[n] for n in radius])
        params = {n: p.detach() for n, p in leaves.items()}
        params |= {n: params[n] - RATES["sgd"] * g for n, g in zip(radius, grads, strict=True)}
        drifted = max(drifted, max((params[n].norm() / radius[n] - 1).item() for n in radius))
        if t % period == 0:
            params |= {n: params[n] * (radius[n] / params[n].norm()) for n in radius}
    base = run(INVARIANT, "sgd", lam=0.0)
    found = train(replace(base, program=replace(base.program, sphere=sphere)))[0]
    np.testing.assert_allclose(found.weight, flat(family, params), rtol=1e-10, atol=1e-12)
    assert drifted > 1e-5


def test_on_the_sphere_decay_is_a_slightly_larger_rate():
    """P((1 - eta lambda) w - eta g) = P(w - eta / (1 - eta lambda) g)."""
    base = run(INVARIANT, "sgd", lam=LAM)
    base = replace(base, program=replace(base.program, sphere="step"))
    longer = replace(base, lambda2=0.0, lr=base.lr / (1 - base.lr * LAM))
    decayed, other, plain = train(base, longer, replace(base, lambda2=0.0))
    np.testing.assert_allclose(decayed.weight, other.weight, rtol=1e-11, atol=1e-13)
    assert np.abs(decayed.weight - plain.weight).max() > 1e-4


@pytest.mark.parametrize("model", ["mlp", "glm"])
def test_a_sphere_needs_a_norm(model):
    study = experiment.load(ROOT / "config.yaml").studies["sphere"].model_copy(update={"model": (model,)})
    with pytest.raises(UserError, match=f"sphere: value 'step': model '{model}' has no norm .*valid: .*norm=bn"):
        grid._models(study, "digits")


def test_rows_of_controls():
    """The row of a follower has the lambda of the run that it follows, and an objective without penalty."""
    study = experiment.load(ROOT / "config.yaml").studies["replay"]
    study = study.model_copy(update={"replicates": 1, "steps": (8,), "sphere": ("step",), "ema": 0.5, "decay_masks": ("hidden",)})
    one = {c: c.coupling for c in grid.cells(study, study.datasets[0], "mlp:depth=1,norm=bn", "sgd") if c.lam == 0.6}
    table = pd.concat([chunk["rows"] for chunk in resolve.trained_rows(one, "", lambda cell: None)]).set_index("coupling")
    assert set(table.index) == {"decoupled", "norm_replay", "lr_replay"} and (table["sphere"] == "step").all()
    assert (table["lambda"] == 0.6 / (0.3 * 8)).all() and (table["lambda_clock"] == 0.6).all()
    free = table.loc[["norm_replay", "lr_replay"]]
    assert (free["objective"] == free["train_loss"]).all() and free["fidelity"].isna().all() and (free["curve_gap_plain"] > 0).all()
    kept = table.loc["decoupled"]
    assert kept["objective"] > kept["train_loss"] and kept["fidelity"] == pytest.approx(1, abs=1e-3) and np.isnan(kept["curve_gap"])
    assert set(table.columns) <= set(dictionary.entries())


def test_a_further_axis_leaves_ids_of_other_cells_alone():
    cell = grid.Cell("digits", "mlp", "sgd", "none", 0.0, 0.0, "relative", "coupled", "fp32", "none", 0.1, "absolute", "constant", 10, 8,
                     "weights", 1.0, 0)
    assert cell.id("a", "b") == replace(cell, sphere="none").id("a", "b") != replace(cell, sphere="step").id("a", "b")


@pytest.mark.parametrize("coupling", cells.FOLLOWERS)
def test_a_language_model_can_follow(coupling):
    """Bits alone and in a pack; without decay to follow it is the plain run, with it it is not."""
    text = language.data(2)
    asked = [language.run(coupling, lam, ("fp32", "none"), replicate=r) for lam in (0.0, 3.0) for r in (0, 1)]
    others = [language.run(c, lam, ("fp32", "none")) for c in cells.FOLLOWERS for lam in (0.3, 1.0)]
    found = language.train(asked + others, text)
    plain = language.train([language.run("decoupled", 0.0, ("fp32", "none"))], text)[0]
    assert (found[0].weight == plain.weight).all() and found[0].scores == plain.scores
    assert (found[2].weight != plain.weight).any() and found[2].probe["curve_gap_plain"] > 1e-3
    for position in (0, 2, 3):
        alone = language.train([asked[position]], text)[0]
        assert same(alone, found[position]) and alone.scores == found[position].scores
