"""Networks through the engine, held to a plain loop of one torch module with torch's own optimiser."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call

from wdbench import cells, engine, models, rows, schedules, seeds, updates
from wdbench.errors import UserError

D, K, N, STEPS, BATCH = 8, 4, 48, 20, 16
RATES = {"sgd": 0.1, "momentum": 0.05, "adam": 0.01}


def data():
    rng = np.random.default_rng(3)
    x = [rng.standard_normal((n, D)) for n in (N, 20, 24)]
    y = [rng.integers(0, K, n).astype(float) for n in (N, 20, 24)]
    return {0: cells.Data("toy", "multiclass", K, x[0], y[0], x[1], y[1], x[2])}


def program(model, optimiser, **changes):
    return cells.Program(model, optimiser, "fp64", "none", "constant", STEPS, BATCH, **changes)


def run(model, optimiser, coupling="decoupled", lam=0.3, **changes):
    own = {name: changes.pop(name) for name in ("ema", "schedule") if name in changes}
    form = cells.FORMS[coupling]
    base = cells.Run(replace(program(model, optimiser, form=form, prox=False), **own), coupling, 0.0, lam, RATES[optimiser],
                     "weights", 1.0, 0)
    return replace(base, **changes)


def train(one):
    return next(engine.train([one], data()))[0][1]


def start(model):
    """The engine's start values of one cell: its draws, written out."""
    family, options = models.parse(model)
    module = family.build(options, D, K).double()
    params = {}
    for i, (name, p) in enumerate(module.named_parameters()):
        kind, number = family.initial(options, name, tuple(p.shape))
        draw = torch.tensor(seeds.generator("toy", 0, "init", i).standard_normal(tuple(p.shape)))
        params[name] = draw * number if kind == "normal" else torch.full_like(draw, number)
    return family, module, params


def loop(model, optimiser, coupling, lam, mask=lambda group: group not in ("bias", "norm"), clip=None, acts=lambda t: True):
    """Flat penalised weights after STEPS of torch.optim, and the list of all parameters after each step."""
    family, module, params = start(model)
    params = {name: torch.nn.Parameter(p) for name, p in params.items()}
    on = [p for name, p in params.items() if mask(family.group(name))]
    off = [p for name, p in params.items() if not mask(family.group(name))]
    groups = [{"params": on, "weight_decay": lam}, {"params": off, "weight_decay": 0.0}]
    rate = RATES[optimiser]
    if optimiser == "adam":
        kind = torch.optim.AdamW if coupling == "decoupled" else torch.optim.Adam
        torch_optimiser = kind(groups, lr=rate)
    else:
        torch_optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9 if optimiser == "momentum" else 0.0)
    d = data()[0]
    order = engine.batches("toy", 0, N, STEPS, BATCH)
    history = []
    for t in range(1, STEPS + 1):
        torch_optimiser.param_groups[0]["weight_decay"] = lam if acts(t) else 0.0
        x, y = torch.tensor(d.x[order[t - 1]]), torch.tensor(d.y[order[t - 1]])
        torch_optimiser.zero_grad()
        family.loss(functional_call(module, params, (x,)), y).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(params.values(), clip)
        torch_optimiser.step()
        history.append({name: p.detach().clone() for name, p in params.items()})
    return family, module, history


def flat(family, params):
    return np.concatenate([p.numpy().ravel() for n, p in params.items() if family.group(n) not in ("bias", "norm")])


@pytest.mark.parametrize("model", ["mlp:depth=1,width=16", "mlp:width=12,norm=bn"])
@pytest.mark.parametrize("optimiser, coupling", [("sgd", "coupled"), ("momentum", "coupled"), ("adam", "coupled"), ("adam", "decoupled")])
def test_training_equals_a_plain_loop(model, optimiser, coupling):
    family, module, history = loop(model, optimiser, coupling, 0.3)
    found = train(run(model, optimiser, coupling))
    np.testing.assert_allclose(found.weight, flat(family, history[-1]), rtol=1e-9, atol=1e-11)
    d = data()[0]
    z = functional_call(module, history[-1], (torch.tensor(np.concatenate([d.x, d.x_test])), N)).numpy()
    np.testing.assert_allclose(found.outputs[""]["train"], z[:N], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.outputs[""]["test"], z[N:], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("mask, groups", [("hidden", {"hidden"}), ("head", {"head"}), ("all", {"hidden", "head", "bias", "norm"})])
def test_masks_penalise_their_groups(mask, groups):
    model = "mlp:width=12,norm=bn"
    family, _, history = loop(model, "sgd", "coupled", 0.3, mask=groups.__contains__)
    np.testing.assert_allclose(train(run(model, "sgd", "coupled", decay_mask=mask)).weight, flat(family, history[-1]), rtol=1e-9)


@pytest.mark.parametrize("phase, acts", [("first:0.25", lambda t: t <= 5), ("last:0.25", lambda t: t > 15)])
def test_phases_switch_the_penalty(phase, acts):
    family, _, history = loop("mlp:depth=1,width=16", "adam", "decoupled", 0.3, acts=acts)
    found = train(run("mlp:depth=1,width=16", "adam", decay_phase=phase))
    np.testing.assert_allclose(found.weight, flat(family, history[-1]), rtol=1e-9)


def test_clipping_is_torchs():
    family, _, history = loop("mlp:depth=1,width=16", "sgd", "decoupled", 0.0, clip=0.4)
    free = train(run("mlp:depth=1,width=16", "sgd", lam=0.0)).weight
    clipped = train(run("mlp:depth=1,width=16", "sgd", lam=0.0, clip=0.4)).weight
    np.testing.assert_allclose(clipped, flat(family, history[-1]), rtol=1e-4, atol=1e-6)  # torch divides by the norm + 1e-6
    assert np.abs(clipped - free).max() > 1e-3


def test_averages_and_the_iterate_before_the_drop():
    model = "mlp:depth=1,width=16"
    found = train(run(model, "sgd", "coupled", ema=0.8, schedule="drop:at=0.5,to=0"))
    family, module, history = loop(model, "sgd", "coupled", 0.3)
    _, _, params = start(model)
    average = {name: p.clone() for name, p in params.items()}
    for t in range(STEPS):
        # with a rate of 0 after the drop the weights rest where they are
        now = history[min(t, STEPS // 2 - 1)]
        average = {name: 0.8 * p + 0.2 * now[name] for name, p in average.items()}
        if t == STEPS // 2 - 1:
            mid = average
    x = torch.tensor(data()[0].x_test)
    for iterate, weights in {"": history[STEPS // 2 - 1], "mid": history[STEPS // 2 - 1], "ema": average, "mid_ema": mid}.items():
        np.testing.assert_allclose(found.outputs[iterate]["test"], functional_call(module, weights, (x,)).numpy(), rtol=1e-9)


def test_a_frozen_head_keeps_its_start():
    model = "mlp:width=12,norm=bn,affine=no,head=frozen"
    found = train(run(model, "sgd"))
    _, _, params = start(model)
    assert (found.weight[-params["head.weight"].numel():] == params["head.weight"].numpy().ravel()).all()
    assert (found.weight[:12 * D] != params["hidden.0.weight"].numpy().ravel()).any()


def test_penalty_of_the_objective_follows_the_mask():
    model = "mlp:width=12,norm=bn"
    for mask in ("weights", "hidden"):
        found = train(run(model, "sgd", lam=0.7, decay_mask=mask))
        kept = found.weight if mask == "weights" else found.weight[: 12 * D + 12 * 12]
        assert found.penalty == pytest.approx(0.35 * np.square(kept).sum(), rel=1e-12)


def _reference(coupling, w, gradient, lam, lr, steps):
    """Plain Adam with the coupling's own rule, one weight vector; cosine schedule."""
    m = v = np.zeros_like(w)
    for t in range(1, steps + 1):
        s = schedules.shape("cosine")(t, steps)
        g = gradient(w)
        first = g + lam * w if coupling == "moment_split_m" else g
        second = g + lam * w if coupling == "moment_split_v" else g
        m, v = 0.9 * m + 0.1 * first, 0.999 * v + 0.001 * second**2
        u = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        decay = {"corrected": lr * s * s * lam, "cautious": lr * s * lam * (u * w >= 0)}.get(coupling, 0.0)
        w = w - decay * w - lr * s * u
    return w


@pytest.mark.parametrize("coupling", ["cautious", "corrected", "moment_split_m", "moment_split_v"])
def test_couplings_of_the_literature_equal_their_formula(coupling):
    from wdbench import precision

    rng = np.random.default_rng(0)
    w0, A = rng.standard_normal(6), rng.standard_normal((6, 6))
    gradient = lambda w: A @ (A.T @ w - 1.0)  # noqa: E731
    lam, lr, steps = 0.3, 0.02, 50
    adam, fp64 = updates.Optimiser("adam"), precision.make("fp64")
    w = torch.tensor(w0)
    state = updates.initial_state(w, adam, fp64)
    for t in range(1, steps + 1):
        g = torch.tensor(gradient(w.numpy()))
        w, state = updates.step(w, g, state, t, lr, schedules.shape("cosine")(t, steps), adam, updates.decay(coupling, 0.0, lam, lr),
                                fp64, cells.FORMS[coupling], False)
    expected = _reference(coupling, w0, gradient, lam, lr, steps)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-10, atol=1e-12)
    assert np.abs(expected - _reference("none", w0, gradient, lam, lr, steps)).max() > 1e-4


def test_schedules_have_their_shapes():
    at = lambda text, *steps: [schedules.shape(text)(t, 100) for t in steps]  # noqa: E731
    assert at("constant", 1, 100) == [1, 1] and at("linear", 1, 51) == [1, 0.5]
    assert at("cosine:floor=0.1", 1, 51) == pytest.approx([1, 0.55]) and at("cosine", 101) == pytest.approx([0])
    assert at("drop:at=0.5,to=0.01", 50, 51) == [1, 0.01] and schedules.turn("drop:at=0.25", 100) == 25
    assert at("constant:warmup=0.1", 1, 5, 10, 11) == pytest.approx([0.1, 0.5, 1, 1])
    assert schedules.canonical("drop:to=0.01,at=0.7") == "drop:at=0.7" and schedules.canonical("cosine:floor=0") == "cosine"
    assert schedules.turn("cosine", 100) == 100


@pytest.mark.parametrize("text", ["cos", "cosine:floor=2", "cosine:flor=0.1", "drop:at=x", "linear:warmup=nan",
                                  "cosine:floor=0.1,floor=0.2"])
def test_a_schedule_that_is_not_known_is_refused(text):
    with pytest.raises(UserError, match="schedule: value .*valid"):
        schedules.canonical(text)


@pytest.mark.parametrize("text", ["first", "first:0", "last:1.5", "middle:0.5", "all:0.5", "first:nan"])
def test_a_phase_that_is_not_known_is_refused(text):
    with pytest.raises(UserError, match="decay_phases: value .*valid"):
        schedules.phase(text)


def test_rows_of_networks_measure_every_iterate():
    from types import SimpleNamespace

    d = data()[0]
    found = train(run("mlp:depth=1,width=16", "sgd", ema=0.8, schedule="drop:at=0.5,to=0.1"))
    rng = np.random.default_rng(0)
    block = SimpleNamespace(task="multiclass", y={"train": d.y.astype(int), "val": d.y_val.astype(int), "test": rng.integers(0, K, 24)})
    outputs = {i: {s: z[:, None] for s, z in parts.items()} for i, parts in found.outputs.items()}
    columns = rows.measure_network(block, outputs, found.weight[None], found.bias[None], found.head_norms[None])
    norms = np.linalg.norm(found.weight[-K * 16:].reshape(K, 16), axis=1)
    np.testing.assert_allclose(found.head_norms, norms, rtol=1e-12)
    assert columns["head_norm_ratio"][0] == pytest.approx(norms.min() / norms.max(), rel=1e-12)
    np.testing.assert_array_equal(rows.measure_network(block, outputs, found.weight[None], found.bias[None])["weight_norm"],
                                  columns["weight_norm"])
    z = torch.tensor(found.outputs["mid_ema"]["val"])
    expected = torch.nn.functional.cross_entropy(z, torch.tensor(d.y_val).long()).item()
    assert columns["mid_ema_val_loss"][0] == pytest.approx(expected, rel=1e-12)
    assert columns["train_error"][0] == pytest.approx((found.outputs[""]["train"].argmax(1) != d.y).mean())
    assert columns["weight_norm"][0] == pytest.approx(np.linalg.norm(found.weight)) and math.isfinite(columns["ece"][0])


@pytest.mark.parametrize("model", ["mlp:depth=1,width=16", "mlp:width=12,norm=bn", "mlp:width=12,depth=3,norm=bn,affine=no"])
@pytest.mark.parametrize("compute", [torch.float64, torch.bfloat16])
def test_the_stacked_form_is_vmap_over_the_module(model, compute):
    from wdbench import stacked

    family, options = models.parse(model)
    module = family.build(options, D, K)
    master = torch.float64 if compute == torch.float64 else torch.float32
    torch.manual_seed(0)
    params = {name: 0.5 * torch.randn(2, 16, *p.shape, dtype=master) for name, p in module.named_parameters()}
    x, y = torch.randn(2, BATCH, D, dtype=compute), torch.randint(0, K, (2, BATCH)).to(master)
    forward = lambda *a: family.stacked(options, *a)  # noqa: E731
    slow = stacked.gradient(module, family.loss, params, x, y, compute)
    fast = stacked.gradient(module, family.loss, params, x, y, compute, forward)
    tolerance = 1e-12 if compute == torch.float64 else 0.03
    torch.testing.assert_close(fast[0], slow[0], rtol=tolerance, atol=tolerance)
    for name in params:
        assert (fast[1][name] - slow[1][name]).norm() <= tolerance * (1 + slow[1][name].norm())
    z = [stacked.predict(module, params, x, compute, 9, f) for f in (None, forward)]
    torch.testing.assert_close(z[0], z[1], rtol=tolerance, atol=tolerance)


def test_a_temperature_is_fitted_on_validation_rows_and_held_to_test_rows():
    from types import SimpleNamespace

    from wdbench import metrics

    rng = np.random.default_rng(4)
    y = {"val": rng.integers(0, K, 400), "test": rng.integers(0, K, 300)}
    # logits whose own temperature is 1, made too sure threefold and too unsure twofold; the labels are drawn from them
    z = {split: rng.standard_normal((len(labels), 1, K)) * 2 for split, labels in y.items()}
    for split, logits in z.items():
        p = np.exp(logits[:, 0]) / np.exp(logits[:, 0]).sum(-1, keepdims=True)
        y[split] = (p.cumsum(-1) < rng.random((len(p), 1))).sum(-1)
    outputs = {split: np.concatenate([3.0 * logits, 0.5 * logits], 1) for split, logits in z.items()}
    found = rows.tempered(SimpleNamespace(y=y), outputs)
    assert found["temperature"][0] == pytest.approx(6 * found["temperature"][1], rel=1e-4)
    assert found["temperature"][0] == pytest.approx(3.0, rel=0.2)
    assert found["tempered_nll"][0] == pytest.approx(found["tempered_nll"][1], rel=1e-6)
    assert (found["tempered_nll"] < metrics.data_loss(outputs["test"], y["test"], "multiclass")).all()


def test_temperature_is_a_probe_of_the_study():
    from wdbench import grid, resolve
    from wdbench.config.study import Study

    base = dict(datasets=["digits:n=60"], model="mlp:depth=1,width=8", optimisers=["adam"], penalties=["none"], steps=5, batch_size=16,
                lr={"adam": {"unit": "absolute", "values": [0.01]}}, replicates=1) | {"lambda": {}}
    for probes, expected in (([], False), (["temperature"], True)):
        cells_ = grid.cells(Study(**base, probes=probes), "digits:n=60", "mlp:depth=1,width=8", "adam")
        chunks = resolve.trained_rows({cell: str(i) for i, cell in enumerate(cells_)}, "sha", lambda cell: None)
        row = next(chunks)["rows"].iloc[0]
        assert ("tempered_nll" in row.index) == expected and np.isfinite(row["head_norm_ratio"]) and np.isfinite(row["tail_recall"])
        assert not expected or (0 < row["tempered_nll"] <= row["nll"] + 0.1 and np.isfinite(row["temperature"]))
