"""The engine: bit contract, two gradient paths, divergence, fidelity."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from wdbench import affine, cells, engine, models, precision, stacked, updates

torch.set_num_threads(1)

TASKS = {"linear": ("regression", 7, 1), "logistic": ("binary", 9, 1), "softmax": ("multiclass", 12, 5)}
ARITHMETIC = [("fp64", "none"), ("fp32", "none"), ("bf16_compute", "none"),
              *(("bf16_weights", r) for r in precision.ROUNDINGS if r != "none")]


def make_data(task, features, outputs, replicates=3, rows=70, more=1):
    """more: rows that every further replicate has more of; without, what is measured of all replicates is measured at once."""
    rng = np.random.default_rng(1)
    def y():
        return rng.standard_normal(rows) if task == "regression" else rng.integers(0, max(outputs, 2), rows).astype(float)
    return {r: cells.Data("toy", task, outputs, rng.standard_normal((rows + more * r, features)),
                           np.concatenate([y(), y()])[: rows + more * r], rng.standard_normal((rows, features)), y(),
                           rng.standard_normal((rows, features)), y())
            for r in range(replicates)}


def make_runs(model, optimiser, arithmetic, arms=21, replicates=3, steps=25, form="plain", scale=0.1, prox=True):
    program = cells.Program(model, optimiser, *arithmetic, "linear", steps, 16, form, prox)
    couplings = [c for c in updates.COUPLINGS if cells.FORMS[c] == form]
    return [cells.Run(program, couplings[i % len(couplings)], 0.01 * (i % 3) * prox, 0.1 * (i % 4), 0.02, ("weights", "all")[i % 2],
                      scale, r)
            for i in range(arms) for r in range(replicates)]


def train(runs, data):
    return dict(pair for chunk in engine.train(runs, data) for pair in chunk)


def same(a, b):
    return ((a.weight == b.weight) | (np.isnan(a.weight) & np.isnan(b.weight))).all() and (a.bias == b.bias).all() \
        and repr(a.probe) == repr(b.probe) and a.trajectory == b.trajectory and repr(a.head_norms) == repr(b.head_norms)


@pytest.mark.parametrize("model, optimiser, arithmetic", list(product(TASKS, updates.OPTIMISERS, ARITHMETIC)))
def test_a_cell_has_the_same_bits_alone_and_in_any_pack(model, optimiser, arithmetic):
    data = make_data(*TASKS[model])
    runs = make_runs(model, optimiser, arithmetic)
    whole = train(runs, data)
    for position in (0, 25, 62):
        alone = train([runs[position]], data)
        assert same(alone[0], whole[position])
    order = np.random.default_rng(0).permutation(len(runs))[:40]
    shuffled = train([runs[i] for i in order], data)
    assert all(same(shuffled[k], whole[i]) for k, i in enumerate(order))


NETWORKS = {"mlp:depth=1,width=16": {}, "mlp:depth=1,width=13": {}, "mlp:width=12,norm=bn": {"ema": 0.9, "schedule": "drop:at=0.5,to=0.1"},
            "mlp:width=10,norm=bn,affine=no,head=frozen": {}}


@pytest.mark.parametrize("model, optimiser, arithmetic", list(product(NETWORKS, ("sgd", "momentum", "adam"), ARITHMETIC)))
def test_a_network_has_the_same_bits_alone_and_in_any_pack(model, optimiser, arithmetic):
    """Every coupling and form, masks, phases and clipping side by side."""
    data = make_data("multiclass", 12, 5)
    forms = sorted({cells.FORMS[c] for c in updates.COUPLINGS})
    runs = [
        replace(run, decay_phase=("all", "first:0.5", "last:0.2")[i % 3], clip=(math.inf, 0.5)[i % 2], init_scale=1.0,
                decay_mask=("weights", "all", "hidden", "head")[i % 4], program=replace(run.program, **NETWORKS[model]))
        for form in forms for i, run in enumerate(make_runs(model, optimiser, arithmetic, 20, 2, steps=12, form=form, prox=form == "plain"))
    ]
    whole = train(runs, data)
    for position in range(0, len(runs), 23):
        alone = train([runs[position]], data)[0]
        assert same(alone, whole[position])
        assert all((alone.outputs[k][s] == whole[position].outputs[k][s]).all() for k in alone.outputs for s in alone.outputs[k])
    order = np.random.default_rng(0).permutation(len(runs))[:30]
    shuffled = train([runs[i] for i in order], data)
    assert all(same(shuffled[k], whole[i]) for k, i in enumerate(order))


@pytest.mark.parametrize("model", [*TASKS, "mlp:depth=1,width=13", "mlp:width=10,norm=bn", "cnn:width=2"])
def test_replicates_of_one_size_are_measured_together_to_the_same_bits(model):
    data = make_data(*TASKS.get(model, ("multiclass", 16, 5)), more=0)
    runs = make_runs(model, "momentum", ("fp32", "none"), arms=5, steps=12, scale=1.0, prox=False)
    whole = train(runs, data)
    for position in (0, 7, 14):
        assert same(train([runs[position]], data)[0], whole[position])
    tests = {point[3] is None for outcome in whole.values() for point in outcome.trajectory}
    assert tests == {models.parse(model)[0].affine}


@pytest.mark.parametrize("threads", [1, 2])
def test_thread_count_does_not_reach_the_bits(threads):
    data = make_data("multiclass", 60, 10, rows=300)
    runs = make_runs("softmax", "adam", ("fp32", "none"), arms=40)
    expected = train(runs, data)
    torch.set_num_threads(threads)
    try:
        assert all(same(v, expected[k]) for k, v in train(runs, data).items())
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("optimiser, arithmetic", list(product(updates.OPTIMISERS, ARITHMETIC)))
def test_lambda_zero_makes_every_coupling_the_unpenalised_run(optimiser, arithmetic):
    data = make_data("multiclass", 12, 5)
    program = cells.Program("softmax", optimiser, *arithmetic, "linear", 30, 16)
    couplings = ("coupled", "decoupled", "independent", "corrected")
    found = train([cells.Run(program, c, 0.0, 0.0, 0.05, "all", 0.1, 0) for c in couplings], data)
    assert all((found[i].weight == found[0].weight).all() and (found[i].bias == found[0].bias).all() for i in range(1, len(couplings)))


@pytest.mark.parametrize("model, optimiser", list(product(TASKS, ("sgd", "momentum", "adam"))))
def test_two_products_and_vmap_give_the_same_training(model, optimiser, monkeypatch):
    data = make_data(*TASKS[model])
    runs = make_runs(model, optimiser, ("fp64", "none"), scale=0.0)
    fast = train(runs, data)
    family = models.FAMILIES[model]
    monkeypatch.setitem(models.FAMILIES, model, models.Family(**{**family.__dict__, "affine": False}))
    generic = train(runs, data)
    for k in fast:
        np.testing.assert_allclose(generic[k].weight.reshape(fast[k].weight.T.shape).T, fast[k].weight, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(generic[k].bias, fast[k].bias, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", TASKS)
def test_bf16_gradients_of_both_paths_agree_to_bf16(model):
    task, features, outputs = TASKS[model]
    torch.manual_seed(0)
    family = models.FAMILIES[model]
    w, b = torch.randn(2, features, outputs, 16) * 0.1, torch.randn(2, 1, outputs, 16) * 0.1
    x = torch.randn(2, 30, features)
    y = torch.randn(2, 30) if task == "regression" else torch.randint(0, max(outputs, 2), (2, 30)).float()
    _, fast = affine.gradient({affine.WEIGHT: w, affine.BIAS: b}, x.bfloat16(), y, task, torch.bfloat16)
    stack = {affine.WEIGHT: w.permute(0, 3, 2, 1), affine.BIAS: b[:, 0].transpose(1, 2)}
    _, slow = stacked.gradient(family.build({}, features, outputs), family.loss, stack, x, y, torch.bfloat16)
    difference = (slow[affine.WEIGHT].permute(0, 3, 2, 1) - fast[affine.WEIGHT]).norm() / fast[affine.WEIGHT].norm()
    assert difference < 0.02


def reference(optimiser, coupling, lambda2, lr, w, grads):
    parameter = torch.nn.Parameter(w.clone())
    decayed = dict(weight_decay=lambda2)
    if optimiser == "adam":
        kind = torch.optim.AdamW if coupling == "decoupled" else torch.optim.Adam
        optimizer = kind([parameter], lr=lr, **decayed)
    else:
        optimizer = torch.optim.SGD([parameter], lr=lr, momentum=0.0 if optimiser == "sgd" else 0.9,
                                    nesterov=optimiser == "nesterov", **decayed)
    for g in grads:
        parameter.grad = g + 0.3 * parameter.detach()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("steps, tolerance", [(1, 4), (300, 2e3)])
@pytest.mark.parametrize("lambda2", [0.0, 0.1])
@pytest.mark.parametrize("optimiser, coupling", [("sgd", "coupled"), ("momentum", "coupled"), ("nesterov", "coupled"),
                                                 ("adam", "coupled"), ("adam", "decoupled")])
def test_parity_with_torch_optim(optimiser, coupling, lambda2, steps, tolerance):
    """fp32: 4 ulp after one update, 2,000 ulp (2e-4 relative) after 300."""
    torch.manual_seed(3)
    w, grads = torch.randn(50), torch.randn(steps, 50)
    expected = reference(optimiser, coupling, lambda2, 0.01, w, grads)
    arithmetic, chosen = precision.make("fp32"), updates.Optimiser(optimiser)
    state, numbers = updates.initial_state(w, chosen, arithmetic), updates.decay(coupling, 0.0, lambda2, 0.01)
    for t, g in enumerate(grads, 1):
        w, state = updates.step(w, g + 0.3 * w, state, t, 0.01, 1.0, chosen, numbers, arithmetic)
    ulp = torch.finfo(torch.float32).eps * expected.abs().clamp_min(0.1)
    assert ((w - expected).abs() / ulp).max() <= tolerance


@pytest.mark.parametrize("optimiser, coupling", [("momentum", "coupled"), ("adam", "coupled"), ("adam", "decoupled")])
def test_parity_with_torch_optim_in_fp64(optimiser, coupling):
    torch.manual_seed(3)
    w, grads = torch.randn(50, dtype=torch.float64), torch.randn(300, 50, dtype=torch.float64)
    expected = reference(optimiser, coupling, 0.1, 0.01, w, grads)
    arithmetic, chosen = precision.make("fp64"), updates.Optimiser(optimiser)
    state, numbers = updates.initial_state(w, chosen, arithmetic), updates.decay(coupling, 0.0, 0.1, 0.01)
    for t, g in enumerate(grads, 1):
        w, state = updates.step(w, g + 0.3 * w, state, t, 0.01, 1.0, chosen, numbers, arithmetic)
    torch.testing.assert_close(w, expected, rtol=1e-11, atol=1e-12)


def test_independent_decay_is_a_reparametrisation():
    """lambda_independent = eta_max lambda_decoupled, any schedule proportional to eta (claims I16)."""
    data = make_data("regression", 7, 1)
    program = cells.Program("linear", "adam", "fp64", "none", "cosine", 40, 16)
    runs = [cells.Run(program, "decoupled", 0.0, 0.5, 0.02, "weights", 0.1, 0),
            cells.Run(program, "independent", 0.0, 0.5 * 0.02, 0.02, "weights", 0.1, 0)]
    found = train(runs, data)
    np.testing.assert_allclose(found[0].weight, found[1].weight, rtol=1e-12)


def test_divergence_is_an_outcome_and_stays_in_its_cell():
    data = make_data("regression", 7, 1)
    calm = make_runs("linear", "sgd", ("fp32", "none"))
    wild = [cells.Run(calm[0].program, "coupled", 0.0, 0.0, 50.0, "weights", 0.1, r) for r in range(3)]
    alone, together = train(calm, data), train(calm + wild, data)
    assert all(same(alone[k], together[k]) for k in alone)
    for k in range(len(calm), len(calm) + 3):
        record = together[k]
        assert record.diverged_step is not None and 1 < record.diverged_step <= 25
        assert np.isfinite(record.last_finite_loss) and record.max_abs_weight > 1
    assert all(alone[k].diverged_step is None for k in alone)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_fidelity_sees_what_nearest_rounding_does_to_decoupled_decay(optimiser):
    data = make_data("multiclass", 12, 5)
    def fidelity(arithmetic, coupling, lam):
        program = cells.Program("softmax", optimiser, *arithmetic, "constant", 60, 16)
        return train([cells.Run(program, coupling, 0.0, lam, 0.01, "weights", 0.1, 0)], data)[0].probe["fidelity"]
    below, above = 0.05, 2.0
    assert fidelity(("fp32", "none"), "decoupled", below) == pytest.approx(1, abs=0.01)
    assert fidelity(("bf16_compute", "none"), "decoupled", below) == pytest.approx(1, abs=0.01)
    assert fidelity(("bf16_weights", "nearest_split"), "decoupled", below) == 0
    assert fidelity(("bf16_weights", "nearest_split"), "decoupled", above) > 0.5
    assert fidelity(("bf16_weights", "kahan"), "decoupled", below) == pytest.approx(1, abs=0.1)
    assert fidelity(("bf16_weights", "stochastic"), "decoupled", below) == pytest.approx(1, abs=0.5)


def test_prox_gives_exact_zeros_and_the_subgradient_none():
    data = make_data("multiclass", 12, 5)
    zero = {}
    for coupling in ("coupled", "decoupled", "coupled_subgradient"):
        program = cells.Program("softmax", "sgd", "fp32", "none", "linear", 60, 16, cells.FORMS[coupling])
        weight = train([cells.Run(program, coupling, 0.05, 0.0, 0.05, "weights", 0.1, 0)], data)[0].weight
        zero[coupling] = (weight == 0).mean()
    assert zero["coupled"] > 0.05 and zero["decoupled"] > 0.05 and zero["coupled_subgradient"] == 0


def test_batches_depend_on_replicate_alone_and_cover_an_epoch():
    order = engine.batches("toy", 0, 100, 12, 16)
    assert (order == engine.batches("toy", 0, 100, 12, 16)).all()
    assert (order != engine.batches("toy", 1, 100, 12, 16)).any()
    assert len(set(order[:6].ravel())) == 96
