"""The engine: bit contract, two gradient paths, divergence, fidelity."""

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


def make_data(task, features, outputs, replicates=3, rows=70):
    rng = np.random.default_rng(1)
    def y():
        return rng.standard_normal(rows) if task == "regression" else rng.integers(0, max(outputs, 2), rows).astype(float)
    return {r: cells.Data("toy", task, outputs, rng.standard_normal((rows + r, features)),
                           np.concatenate([y(), y()])[: rows + r], rng.standard_normal((rows, features)), y())
            for r in range(replicates)}


def make_runs(model, optimiser, arithmetic, arms=21, replicates=3, steps=25, form="plain", scale=0.1):
    program = cells.Program(model, optimiser, *arithmetic, "linear", steps, 16, form)
    couplings = [coupling for coupling, its in cells.FORMS.items() if its == form]
    return [cells.Run(program, couplings[i % len(couplings)], 0.01 * (i % 3), 0.1 * (i % 4), 0.02, float(i % 2), scale, r)
            for i in range(arms) for r in range(replicates)]


def train(runs, data):
    return dict(pair for chunk in engine.train(runs, data) for pair in chunk)


def same(a, b):
    return ((a.weight == b.weight) | (np.isnan(a.weight) & np.isnan(b.weight))).all() and (a.bias == b.bias).all() \
        and repr(a.probe) == repr(b.probe) and a.trajectory == b.trajectory


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


@pytest.mark.parametrize("form", sorted(set(cells.FORMS.values()) - {"plain"}))
@pytest.mark.parametrize("optimiser, arithmetic", list(product(updates.OPTIMISERS, ARITHMETIC)))
def test_a_cell_has_the_same_bits_in_every_form(optimiser, arithmetic, form):
    data = make_data(*TASKS["softmax"])
    runs = make_runs("softmax", optimiser, arithmetic, form=form)
    whole = train(runs, data)
    for position in (0, 25, 62):
        assert same(train([runs[position]], data)[0], whole[position])
    # beside cells of other forms, and beside cells without one of the penalties: what a stack holds does not choose its operations
    mixed = [*runs[:9], *make_runs("softmax", optimiser, arithmetic)[:9], *runs[9:18]]
    found = train(mixed, data)
    assert all(same(found[k], whole[k]) for k in range(9)) and all(same(found[9 + k], whole[k]) for k in range(9, 18))


def test_what_a_form_leaves_out_is_the_float_zero():
    """A number that no coupling of the stack's form sets costs nothing; one that some coupling sets is there for every cell."""
    fields = {form: updates.numbers(form) for form in cells.FORMS.values()}
    assert fields["plain"] == {"a2", "d2", "i2", "c2", "q1", "p1"} and fields["cautious"] == {"k2", "q1"}
    assert fields["subgradient"] == {"a2", "a1", "d2", "d1"} and fields["moment_split"] == {"m2", "v2", "p1"}
    assert set().union(*fields.values()) == set(updates.Decay.__dataclass_fields__)


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
    programs = {form: cells.Program("softmax", optimiser, *arithmetic, "linear", 30, 16, form) for form in cells.FORMS.values()}
    runs = [cells.Run(programs[form], c, 0.0, 0.0, 0.05, 1.0, 0.1, 0) for c, form in cells.FORMS.items()]
    found = train(runs, data)
    assert len(found) == len(updates.COUPLINGS)
    assert all((other.weight == found[0].weight).all() and (other.bias == found[0].bias).all() for other in found.values())


@pytest.mark.parametrize("model, optimiser", list(product(TASKS, ("sgd", "momentum", "adam"))))
def test_two_products_and_vmap_give_the_same_training(model, optimiser, monkeypatch):
    data = make_data(*TASKS[model])
    runs = make_runs(model, optimiser, ("fp64", "none"), scale=0.0)
    fast = train(runs, data)
    family = models.FAMILIES[model]
    monkeypatch.setitem(models.FAMILIES, model, models.Family(**{**family.__dict__, "affine": False}))
    generic = train(runs, data)
    for k in fast:
        np.testing.assert_allclose(generic[k].weight, fast[k].weight, rtol=1e-9, atol=1e-12)
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
    _, slow = stacked.gradient(family.build(features, outputs), family.loss, stack, x, y, torch.bfloat16)
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


def plain_loop(optimiser, coupling, lambda1, lambda2, lr, w, grads, schedule):
    """The new couplings written again, one number at a time: Python floats, scalar loops, textbook Adam."""
    mu, b1, b2, eps = 0.9, 0.9, 0.999, 1e-8
    w, m, v = [float(x) for x in w], [0.0] * len(w), [0.0] * len(w)
    for t, row in enumerate(grads, 1):
        rate = lr * schedule(t)
        for i, noise in enumerate(row):
            g = float(noise) + 0.3 * w[i]
            first = g + lambda2 * w[i] if coupling == "moment_split_m" else g
            second = g + lambda2 * w[i] if coupling == "moment_split_v" else g
            metric = 1.0
            if optimiser == "adam":
                m[i] = b1 * m[i] + (1 - b1) * first
                v[i] = b2 * v[i] + (1 - b2) * second ** 2
                metric = 1 / ((v[i] / (1 - b2**t)) ** 0.5 + eps)
                u = m[i] / (1 - b1**t) * metric
            elif optimiser == "sgd":
                u = first
            else:
                metric, m[i] = 1 / (1 - mu), mu * m[i] + first
                u = first + mu * m[i] if optimiser == "nesterov" else m[i]
            rule = {"cautious": rate * lambda2 if u * w[i] >= 0 else 0.0, "corrected": rate**2 / lr * lambda2}
            new = w[i] - rate * u - rule.get(coupling, 0.0) * w[i]
            threshold = rate * lambda1 * (metric if coupling.startswith("moment") else 1.0)
            w[i] = (abs(new) > threshold) * (new - threshold * (1 if new > 0 else -1))
    return torch.tensor(w, dtype=torch.float64)


@pytest.mark.parametrize("optimiser", updates.OPTIMISERS)
@pytest.mark.parametrize("coupling", ["cautious", "corrected", "moment_split_m", "moment_split_v"])
@pytest.mark.parametrize("lambda1, lambda2", [(0.0, 0.5), (0.01, 0.5)])
def test_new_couplings_are_a_plain_loop(optimiser, coupling, lambda1, lambda2):
    torch.manual_seed(5)
    w, grads = torch.randn(20, dtype=torch.float64), torch.randn(50, 20, dtype=torch.float64)
    schedule = lambda t: 1 - (t - 1) / 50
    expected = plain_loop(optimiser, coupling, lambda1, lambda2, 0.02, w, grads, schedule)
    arithmetic, chosen = precision.make("fp64"), updates.Optimiser(optimiser)
    floats = updates.decay(coupling, lambda1, lambda2, 0.02)
    tensors = replace(floats, **{f: torch.full((20,), getattr(floats, f), dtype=torch.float64)
                                 for f in updates.numbers(cells.FORMS[coupling])})
    for numbers in (floats, tensors):
        found, state = w, updates.initial_state(w, chosen, arithmetic)
        for t, g in enumerate(grads, 1):
            found, state = updates.step(found, g + 0.3 * found, state, t, 0.02, schedule(t), chosen, numbers, arithmetic,
                                        cells.FORMS[coupling])
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        assert (expected - plain_loop(optimiser, "none", lambda1, 0.0, 0.02, w, grads, schedule)).abs().max() > 1e-3 \
            or (coupling == "moment_split_v" and optimiser != "adam")


@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "nesterov"])
def test_without_a_second_moment_moment_split_m_is_coupled(optimiser):
    data = make_data("multiclass", 12, 5)
    coupled, split = (train(make_runs("softmax", optimiser, ("fp32", "none"), form=form), data) for form in ("plain", "moment_split"))
    both = [(k, j) for k in coupled for j in split
            if (a := make_runs("softmax", optimiser, ("fp32", "none"))[k]).coupling == "coupled"
            and (b := make_runs("softmax", optimiser, ("fp32", "none"), form="moment_split")[j]).coupling == "moment_split_m"
            and replace(a, program=None, coupling="") == replace(b, program=None, coupling="")]
    assert len(both) >= 6 and all((coupled[k].weight == split[j].weight).all() for k, j in both)


@pytest.mark.parametrize("coupling", ["corrected", "cautious", "moment_split_m"])
def test_fidelity_of_the_new_couplings_is_one_in_fp32(coupling):
    data = make_data("multiclass", 12, 5)
    program = cells.Program("softmax", "adam", "fp32", "none", "linear", 60, 16, cells.FORMS[coupling])
    found = train([cells.Run(program, coupling, 0.0, 0.05, 0.01, 0.0, 0.1, 0)], data)[0].probe["fidelity"]
    assert found == pytest.approx(1, abs=0.02)


def test_independent_decay_is_a_reparametrisation():
    """lambda_independent = eta_max lambda_decoupled, any schedule proportional to eta (claims I16)."""
    data = make_data("regression", 7, 1)
    program = cells.Program("linear", "adam", "fp64", "none", "cosine", 40, 16, "plain")
    runs = [cells.Run(program, "decoupled", 0.0, 0.5, 0.02, 0.0, 0.1, 0),
            cells.Run(program, "independent", 0.0, 0.5 * 0.02, 0.02, 0.0, 0.1, 0)]
    found = train(runs, data)
    np.testing.assert_allclose(found[0].weight, found[1].weight, rtol=1e-12)


def test_divergence_is_an_outcome_and_stays_in_its_cell():
    data = make_data("regression", 7, 1)
    calm = make_runs("linear", "sgd", ("fp32", "none"))
    wild = [cells.Run(calm[0].program, "coupled", 0.0, 0.0, 50.0, 0.0, 0.1, r) for r in range(3)]
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
        program = cells.Program("softmax", optimiser, *arithmetic, "constant", 60, 16, "plain")
        return train([cells.Run(program, coupling, 0.0, lam, 0.01, 0.0, 0.1, 0)], data)[0].probe["fidelity"]
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
        weight = train([cells.Run(program, coupling, 0.05, 0.0, 0.05, 0.0, 0.1, 0)], data)[0].weight
        zero[coupling] = (weight == 0).mean()
    assert zero["coupled"] > 0.05 and zero["decoupled"] > 0.05 and zero["coupled_subgradient"] == 0


def test_batches_depend_on_replicate_alone_and_cover_an_epoch():
    order = engine.batches("toy", 0, 100, 12, 16)
    assert (order == engine.batches("toy", 0, 100, 12, 16)).all()
    assert (order != engine.batches("toy", 1, 100, 12, 16)).any()
    assert len(set(order[:6].ravel())) == 96
