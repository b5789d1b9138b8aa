"""What is read of a network while it trains: each column against a plain loop of torch, and the bit contract."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import test_engine
import test_language_models as language
import test_networks as plain
import torch
from torch.func import functional_call

from wdbench import cells, dictionary, engine, resolve, runprobes, schedules, stack, updates
from wdbench.config import yamlio
from wdbench.config.study import Study
from wdbench.dynamics import ball, plateau, spikes
from wdbench.errors import UserError
from wdbench.figures import labels

torch.set_num_threads(1)
ALL = "+".join(runprobes.PROBES)
STEPS = 60
# half-batches have to fill whole vectors of 16 bytes, as a pack's batches do
BATCH = plain.BATCH


@pytest.fixture
def longer(monkeypatch):
    monkeypatch.setattr(plain, "STEPS", STEPS)


def probed(model, optimiser, coupling, lam=0.3, **changes):
    """A run as in `plain.run`; changes: of its program."""
    run = plain.run(model, optimiser, coupling, lam)
    return replace(run, program=replace(run.program, **changes))


def loss_and_gradient(family, module, params, x, y):
    leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
    loss = family.loss(functional_call(module, leaves, (x,)), y)
    return float(loss.detach()), dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def replayed(model, optimiser, coupling, lam):
    """family, module, weights before each step and after the last, each step's batch, loss and gradient."""
    family, module, history = plain.loop(model, optimiser, coupling, lam)
    weights = [plain.start(model)[2], *history]
    d, order = plain.data()[0], engine.batches("toy", 0, plain.N, STEPS, BATCH)
    rows = [(torch.tensor(d.x[o]), torch.tensor(d.y[o])) for o in order]
    return family, module, weights, rows, [loss_and_gradient(family, module, w, *b) for w, b in zip(weights, rows, strict=False)]


def vector(params, names):
    return torch.cat([params[n].flatten() for n in names])


def turned(a, b):
    return math.acos(min(1.0, float(a @ b / (a.norm() * b.norm()))))


CASES = [("mlp:depth=1,width=16", "sgd", "coupled"), ("mlp:width=12,norm=bn", "momentum", "coupled"),
         ("mlp:width=12", "adam", "decoupled"),
         ("mlp:depth=1,width=16", "adam", "independent")]


@pytest.mark.parametrize("model, optimiser, coupling", CASES)
def test_columns_equal_their_definition_on_a_plain_loop(model, optimiser, coupling, longer):
    rate = plain.RATES[optimiser]
    lam = 3.0 if optimiser == "adam" else 0.3
    # the independent form is the decoupled one with another number
    given = lam * rate if coupling == "independent" else lam
    found = dict(plain.train(probed(model, optimiser, coupling, given, probes=ALL)).probe)
    family, module, weights, rows, taken = replayed(model, optimiser, "decoupled" if coupling == "independent" else coupling, lam)
    names = {kind: [n for n in weights[0] if family.group(n) == kind] for kind in ("hidden", "head")}
    both = names["hidden"] + names["head"]
    window = range(STEPS // 2 + 1, STEPS + 1)

    angles = {k: [turned(weights[t - 1][n].flatten(), weights[t][n].flatten()) for t in window for n in names[k]] for k in names}
    neurons = {k: np.array([[turned(a, b) for n in names[k] for a, b in zip(weights[t - 1][n], weights[t][n], strict=True)]
                            for t in window]) for k in names}
    factor = {"sgd": 1.0, "momentum": 1 / 1.9, "adam": 0.1 / 1.9}[optimiser]
    for kind in names:
        each = np.sqrt(np.square(neurons[kind]).mean(0))
        assert found[f"rotation_{kind}"] == pytest.approx(np.sqrt(np.mean(np.square(angles[kind]))), rel=1e-6)
        assert found[f"rotation_neuron_{kind}"] == pytest.approx(np.sqrt(np.square(each).mean()), rel=1e-6)
        assert found[f"rotation_cv_{kind}"] == pytest.approx(each.std() / each.mean(), rel=1e-5)
        predicted = math.sqrt(2 * rate * lam * factor)
        assert found[f"rotation_ratio_{kind}"] == pytest.approx(np.sqrt(np.square(each).mean()) / predicted, rel=1e-6)

    for part, last in (("half", STEPS // 2), ("end", STEPS)):
        steps = range(last - 2, last + 1)
        w, g = ([vector(p, names["hidden"]).double() for p in side] for side in
                ([weights[t - 1] for t in steps], [taken[t - 1][1] for t in steps]))
        assert found[f"grad_norm_hidden_{part}"] == pytest.approx(np.mean([float(v.norm()) for v in g]), rel=1e-6)
        assert found[f"grad_ratio_hidden_{part}"] == pytest.approx(
            np.mean([float(b.norm() / a.norm()) for a, b in zip(w, g, strict=True)]), rel=1e-6)
        radial = np.mean([float(a @ b / (a.norm() * b.norm())) for a, b in zip(w, g, strict=True)])
        assert found[f"radial_hidden_{part}"] == pytest.approx(radial, rel=1e-5, abs=1e-9)
    start, end = vector(weights[0], both), vector(weights[-1], both)
    assert found["init_distance"] == pytest.approx(float((end - start).norm()), rel=1e-8)
    assert found["init_cosine"] == pytest.approx(float(end @ start / (end.norm() * start.norm())), rel=1e-8)

    d = plain.data()[0]
    x, y = torch.tensor(d.x), torch.tensor(d.y)
    at = sorted({int(round(v)) for v in np.geomspace(window[0], STEPS, min(runprobes.PLATEAU_STEPS, len(window)))})
    seen = [float(family.loss(functional_call(module, weights[t], (x, len(x))), y)) for t in at]
    assert found["loss_slope"] == pytest.approx(np.polyfit(np.log10(at), np.log10(seen), 1)[0], rel=1e-5)
    expected = spikes.count(torch.tensor([t[0] for t in taken])[:, None, None])
    assert all(found[n] == pytest.approx(float(v), nan_ok=True) for n, v in expected.items())

    if "bn" in model:
        assert math.isnan(found["gradient_noise"]) and math.isnan(found["noise_scale"])
    else:
        traces, signals = [], []
        for t in runprobes.evenly(STEPS // 2, STEPS, runprobes.NOISE_STEPS):
            x, y = rows[t - 1]
            half = [vector(loss_and_gradient(family, module, weights[t - 1], x[s], y[s])[1], list(weights[0]))
                    for s in (slice(0, BATCH // 2), slice(BATCH // 2, BATCH))]
            # the unbiased covariance of a batch's gradient from two independent halves, times its size
            traces.append(float((half[0] - half[1]).square().sum()) / 4 * BATCH)
            signals.append(float(half[0] @ half[1]))
        assert found["gradient_noise"] == pytest.approx(np.mean(traces), rel=1e-6)
        assert found["noise_scale"] == pytest.approx(np.mean(traces) / np.mean(signals), rel=1e-4)

    size, g = vector(weights[-1], both).abs() * lam, vector(taken[-1][1], both)
    if optimiser == "adam":
        assert found["linf_share"] == pytest.approx(float((size > 0.9).double().mean()))
        assert found["linf_excess"] == pytest.approx(float(size.max()) - 1, rel=1e-8)
        inner = float(vector(weights[-2], both) @ g) * lam
        assert found["linf_residual"] == pytest.approx(1 + inner / float(g.abs().sum()), rel=1e-6)
    else:
        assert all(math.isnan(found[f"linf_{n}"]) for n in ("share", "excess", "residual"))


def test_momentum_with_decoupled_decay_turns_as_with_the_l2_of_equal_strength(longer):
    """Decay by r a step is L2 of r (1 - mu) / eta, whose gradient momentum will multiply by 1 / (1 - mu)."""
    model = "mlp:width=12,norm=bn,affine=no,head=frozen"
    rate, lam = plain.RATES["momentum"], 0.3
    found = plain.train(probed(model, "momentum", "decoupled", lam, probes="rotation")).probe
    predicted = math.sqrt(2 * rate * lam * 0.1 / 1.9)
    assert found["rotation_ratio_hidden"] == pytest.approx(found["rotation_neuron_hidden"] / predicted, rel=1e-9)
    assert "rotation_hidden" in found and "rotation_head" not in found


@pytest.mark.parametrize("coupling, lam", [("coupled", 0.3), ("decoupled", 0.0), ("cautious", 0.3)])
def test_there_is_no_prediction_where_there_is_no_formula(coupling, lam):
    found = plain.train(probed("mlp:width=12", "adam", coupling, lam, probes="rotation+ball")).probe
    assert found["rotation_hidden"] > 0 and math.isnan(found["rotation_ratio_hidden"]) and math.isnan(found["linf_share"])


def test_the_prediction_follows_the_schedule_and_the_window_ends_at_the_drop(longer):
    at = runprobes.probe_steps(set(runprobes.PROBES), schedules.turn("drop:at=0.5", STEPS), STEPS)
    assert max(at["rotation"]) == max(at["noise"]) == max(at["plateau"]) == 30 and min(at["rotation"]) == 16
    assert at["half"] == {28, 29, 30} and at["end"] == {58, 59, 60} and at["ball"] == {60}
    found = plain.train(probed("mlp:width=12", "sgd", "coupled", 0.3, schedule="linear", probes="rotation")).probe
    shares = [1 - (t - 1) / STEPS for t in range(31, 61)]
    predicted = math.sqrt(np.mean([2 * 0.1 * s * 0.3 for s in shares]))
    assert found["rotation_ratio_hidden"] == pytest.approx(found["rotation_neuron_hidden"] / predicted, rel=1e-9)


def test_a_probe_asked_for_alone_gives_its_columns_alone():
    every = plain.train(probed("mlp:width=12", "sgd", "coupled", probes=ALL)).probe
    base = set(plain.train(probed("mlp:width=12", "sgd", "coupled")).probe)
    alone = [set(plain.train(probed("mlp:width=12", "sgd", "coupled", probes=p)).probe) - base for p in runprobes.PROBES]
    assert sum(map(len, alone)) == len(set.union(*alone)) == len(set(every) - base) and all(alone)


def same(a, b):
    return test_engine.same(a, b) and a.probe.keys() == b.probe.keys()


@pytest.mark.parametrize("model", test_engine.NETWORKS)
@pytest.mark.parametrize("optimiser, arithmetic", [("sgd", ("fp64", "none")), ("momentum", ("fp32", "none")),
                                                   ("adam", ("bf16_compute", "none")), ("adam", ("bf16_weights", "stochastic"))])
def test_probes_have_the_same_bits_alone_and_in_any_pack_and_leave_the_training_alone(model, optimiser, arithmetic):
    data = test_engine.make_data("multiclass", 12, 5)
    runs = [
        replace(run, decay_phase=("all", "first:0.7")[i % 2], init_scale=1.0, clip=(math.inf, 0.5)[i % 2],
                program=replace(run.program, probes=ALL, **test_engine.NETWORKS[model], model=model))
        for form in ("plain", "scheduled")
        for i, run in enumerate(test_engine.make_runs(model, optimiser, arithmetic, 20, 2, steps=54, form=form, prox=False))
    ]
    whole = test_engine.train(runs, data)
    for position in range(0, len(runs), 17):
        assert same(test_engine.train([runs[position]], data)[0], whole[position])
    order = np.random.default_rng(0).permutation(len(runs))[:25]
    shuffled = test_engine.train([runs[i] for i in order], data)
    assert all(same(shuffled[k], whole[i]) for k, i in enumerate(order))
    bare = test_engine.train([replace(run, program=replace(run.program, probes="")) for run in runs], data)
    assert all((bare[k].weight == whole[k].weight).all() and (bare[k].bias == whole[k].bias).all()
               and bare[k].trajectory == whole[k].trajectory for k in whole)


@pytest.mark.parametrize("arithmetic", [("fp32", "none"), ("bf16_compute", "none")])
def test_a_language_model_is_probed_under_the_same_contract(arithmetic):
    data = language.data(2)
    bare = [language.run(c, lam, arithmetic, replicate=r, steps=12, clip=1.0)
            for r in range(2) for c, lam in (("decoupled", 0.3), ("decoupled", 3.0), ("coupled", 0.01), ("decoupled", 0.0))]
    runs = [replace(run, program=replace(run.program, probes=ALL)) for run in bare]
    whole, unprobed = language.train(runs, data), language.train(bare, data)
    for k in whole:
        assert same(language.train([runs[k]], data)[0], whole[k])
        assert (whole[k].weight == unprobed[k].weight).all() and whole[k].scores == unprobed[k].scores
    found = whole[1].probe
    assert all(math.isfinite(found[n]) for n in ("rotation_ratio_hidden", "rotation_cv_hidden", "gradient_noise", "grad_norm_hidden_end",
                                                 "init_cosine", "loss_slope", "linf_share", "linf_residual"))
    assert 0 < found["rotation_hidden"] < 1 and math.isnan(whole[3].probe["rotation_ratio_hidden"])


def test_every_column_is_described_and_goes_with_a_run_that_diverged():
    found = set(plain.train(probed("mlp:width=12", "adam", "decoupled", probes=ALL)).probe)
    found -= set(plain.train(probed("mlp:width=12", "adam", "decoupled")).probe)
    assert found <= set(dictionary.entries()) and found <= set(labels.LABELS)
    row = {name: 1.0 for name in found} | {"steps": 60.0, "lr": 0.1, "init_scale": 1.0}
    outcome = SimpleNamespace(last_finite_loss=2.0, diverged_step=7, max_abs_weight=9.0)
    kept = resolve._with_status(dict(row), outcome)
    gone = {name for name in row if math.isnan(kept[name])}
    assert gone == {name for name in found if not name.startswith("spike")} and kept["init_scale"] == 1.0


def test_slope_of_a_power_of_time_is_its_exponent():
    steps = [100, 130, 200]
    losses = [torch.tensor([[3.0 / t, 0.4, 0.0], [2.0 / math.sqrt(t), math.inf, 1.0]]) for t in steps]
    found = plateau.slope(steps, losses)
    torch.testing.assert_close(found[0], torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64), rtol=1e-6, atol=1e-6)
    assert found[1, 0] == pytest.approx(-0.5, rel=1e-6) and math.isnan(found[1, 1])
    assert plateau.slope([5], losses[:1]).isnan().all()


def test_residual_of_the_ball_is_zero_at_the_corner_against_the_gradient():
    g = torch.tensor([[[0.3, -2.0, 0.0]]])
    radii = {"w": torch.full((1, 1), 0.5)}
    corner = -0.5 * torch.tensor([[[1.0, -1.0, 0.3]]])
    assert float(ball.residual({"w": corner}, {"w": g}, radii)) == pytest.approx(0, abs=1e-7)
    assert float(ball.residual({"w": -corner}, {"w": g}, radii)) == pytest.approx(2)
    assert float(ball.residual({"w": 0 * corner}, {"w": g}, radii)) == pytest.approx(1)
    found = ball.columns({"w": corner}, radii)
    assert float(found["linf_share"]) == pytest.approx(2 / 3) and float(found["linf_excess"]) == pytest.approx(0)


def test_adam_with_full_batches_ends_where_the_conditions_of_the_ball_hold():
    """Updates of at most 1 (beta2 = 0.95 forgets as fast as beta1 = 0.9), and weights that had the time to go where they are pulled."""
    model = "mlp:depth=1,width=16"

    def ended(steps, beta2):
        program = cells.Program(model, "adam", "fp64", "none", "cosine", steps, 10**6, prox=False, probes="ball", beta2=beta2)
        run = cells.Run(program, "decoupled", 0.0, 5.0, 0.01, "weights", 1.0, 0)
        return next(engine.train([run], plain.data()))[0][1].probe

    late, early, long_memory = ended(500, 0.95), ended(30, 0.95), ended(500, 0.999)
    assert abs(late["linf_residual"]) < 0.1 < early["linf_residual"]
    assert late["linf_excess"] < 0.05 and late["linf_share"] > 0.5
    # a gradient that grows makes updates of more than 1 where the second moment is slow, and weights outside of the ball
    assert long_memory["linf_excess"] > 0.2


def scheduled_loop(model, lam, steps, share=lambda group: group not in ("bias", "norm")):
    """AdamS of Xie et al. 2023, as their optimiser writes it, cosine schedule; penalised weights at the end."""
    family, module, params = plain.start(model)
    m, v = ({n: torch.zeros_like(p) for n, p in params.items()} for _ in range(2))
    d = plain.data()[0]
    order, lr = engine.batches("toy", 0, plain.N, steps, BATCH), 0.01
    for t in range(1, steps + 1):
        _, g = loss_and_gradient(family, module, params, torch.tensor(d.x[order[t - 1]]), torch.tensor(d.y[order[t - 1]]))
        eta = lr * schedules.shape("cosine")(t, steps)
        for n in params:
            m[n], v[n] = 0.9 * m[n] + 0.1 * g[n], 0.999 * v[n] + 0.001 * g[n] ** 2
        root = math.sqrt(sum(float(u.sum()) for u in v.values()) / (1 - 0.999**t) / sum(u.numel() for u in v.values()))
        for n in params:
            decay = eta * lam / root if share(family.group(n)) else 0.0
            u = m[n] / (1 - 0.9**t) / ((v[n] / (1 - 0.999**t)).sqrt() + 1e-8)
            params[n] = (1 - decay) * params[n] - eta * u
    return plain.flat(family, params)


@pytest.mark.parametrize("model", ["mlp:depth=1,width=16", "mlp:width=12,norm=bn"])
def test_scheduled_decay_is_that_of_xie(model):
    found = plain.train(probed(model, "adam", "scheduled", 0.01, schedule="cosine"))
    np.testing.assert_allclose(found.weight, scheduled_loop(model, 0.01, plain.STEPS), rtol=1e-9, atol=1e-11)
    assert np.abs(found.weight - scheduled_loop(model, 0.0, plain.STEPS)).max() > 1e-3


def test_scheduled_decay_is_none_where_the_gradient_has_always_been_zero():
    w = torch.ones(1, 2, 3)
    network = stack.Network({"w": w}, 1, lambda name: "hidden")
    adam, g = updates.Optimiser("adam"), torch.tensor([[[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]])
    numbers = {"w": updates.Decay(d2=torch.full((1, 2, 1), 0.7))}
    found = stack.scheduled({"w": g}, numbers, {"w": updates.State(v=torch.zeros_like(w))}, 1, network, adam)["w"].d2.flatten()
    assert found.tolist() == pytest.approx([0.0, 0.7 / math.sqrt(25 / 3)])
    assert stack.scheduled({"w": g}, numbers, {}, 1, network, updates.Optimiser("sgd")) is numbers


@pytest.mark.parametrize("changes, message", [
    ({"couplings": ["scheduled"], "optimisers": ["sgd"]}, "scheduled needs a second moment"),
    ({"couplings": ["scheduled"], "lambda": {"l2": {"unit": "clock", "values": [2]}}}, "absolute units"),
    ({"probes": ["rotation"], "model": "glm"}, "model lists glm"),
    ({"probes": ["rotations"]}, "probes"),
])
def test_what_cannot_be_probed_is_refused(changes, message):
    study = {"datasets": ["digits"], "model": "mlp", "optimisers": ["adam"], "penalties": ["l2"], "steps": 10, "batch_size": 8,
             "lambda": {"l2": {"unit": "absolute", "values": [0.1]}}, "lr": {o: {"values": [0.1]} for o in ("adam", "sgd")}} | changes
    with pytest.raises(UserError, match=message):
        yamlio.validate(Study, study, "config.yaml")
