"""The probes of network training: each against its definition written out for one cell, and the bit contract."""

import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss
from torch.func import functional_call, hessian, jacrev

from wdbench import metrics, models, precision, stacked, updates
from wdbench.dynamics import curvature, jacobian, noise, path, rotation, spectrum, spikes, stackwise

torch.set_num_threads(1)
FP64 = precision.make("fp64")


def mlp(*widths, activation=torch.nn.Tanh):
    layers = [m for a, b in zip(widths, widths[1:], strict=False) for m in (torch.nn.Linear(a, b), activation())]
    return torch.nn.Sequential(*layers[:-1])


def group(name):
    return None if name.endswith("bias") else "hidden" if name.startswith("0") else "head"


def stack_of(module, replicates, arms, rows, dtype=torch.float64, seed=0):
    """(params, x, y) of random cells."""
    gen = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=gen, dtype=dtype)
    params = {n: 0.7 * draw(replicates, arms, *p.shape) for n, p in module.named_parameters()}
    features, k = module[0].in_features, module[-1].out_features
    return params, draw(replicates, rows, features), torch.randint(0, max(k, 2), (replicates, rows), generator=gen).to(dtype)


TINY = mlp(3, 4, 3)
LOSS = models.softmax_loss
PARAMS, X, Y = stack_of(TINY, 2, 3, 7)
CELLS = list(product(range(2), range(3)))


def cell(r, c, params=PARAMS):
    return {n: w[r, c] for n, w in params.items()}


def flat(tree, leading=0):
    return torch.cat([v.flatten(leading) for v in tree.values()], -1)


def explicit_hessian(r, c, names=tuple(PARAMS), module=TINY, loss=LOSS, data=(PARAMS, X, Y)):
    params, x, y = data
    own = cell(r, c, params)
    shapes = [own[n].shape for n in names]

    def value(vector):
        pieces = vector.split([s.numel() for s in shapes])
        active = {n: p.reshape(s) for n, p, s in zip(names, pieces, shapes, strict=True)}
        return loss(functional_call(module, {**own, **active}, (x[r],)), y[r])

    return hessian(value)(torch.cat([own[n].flatten() for n in names]))


def all_signs(shapes):
    d = sum(int(np.prod(s)) for s in shapes.values())
    table = torch.tensor(list(product((-1.0, 1.0), repeat=d)), dtype=torch.float64)
    pieces = table.split([int(np.prod(s)) for s in shapes.values()], 1)
    return {n: p.reshape(-1, *s) for (n, s), p in zip(shapes.items(), pieces, strict=True)}


def test_quadratic_forms_are_those_of_the_explicit_hessian():
    signs = curvature.rademacher(np.random.default_rng(0), {n: w.shape[2:] for n, w in PARAMS.items()}, 5, torch.float64)
    assert all(v.unique().tolist() == [-1, 1] for v in signs.values())
    forms = curvature.quadratic_forms(TINY, LOSS, PARAMS, X, Y, signs)
    mean = curvature.trace(TINY, LOSS, PARAMS, X, Y, signs)
    vectors = flat(signs, 1)
    for r, c in CELLS:
        expected = torch.einsum("pi,ij,pj->p", vectors, explicit_hessian(r, c), vectors)
        torch.testing.assert_close(forms[:, r, c], expected, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(mean[r, c], expected.mean(), rtol=1e-11, atol=1e-12)


def test_trace_is_exact_over_all_sign_vectors():
    module, loss = mlp(2, 2, 1), models.logistic_loss
    data = stack_of(module, 1, 2, 6)
    signs = all_signs({n: w.shape[2:] for n, w in data[0].items()})
    found = curvature.trace(module, loss, *data, signs)
    for c in range(2):
        exact = explicit_hessian(0, c, tuple(data[0]), module, loss, data).trace()
        torch.testing.assert_close(found[0, c], exact, rtol=1e-11, atol=1e-12)


def test_trace_of_a_group_is_that_of_its_block():
    found = curvature.trace(TINY, LOSS, PARAMS, X, Y, all_signs({"0.bias": (4,)}))
    for r, c in CELLS:
        torch.testing.assert_close(found[r, c], explicit_hessian(r, c, ("0.bias",)).trace(), rtol=1e-11, atol=1e-12)


def test_top_eigenvalue_against_the_spectrum():
    gen = torch.Generator().manual_seed(3)
    start = {n: torch.randn(w.shape[2:], generator=gen, dtype=torch.float64) for n, w in PARAMS.items()}
    value, residual = curvature.top_eigenvalue(TINY, LOSS, PARAMS, X, Y, start, 400)
    _, early = curvature.top_eigenvalue(TINY, LOSS, PARAMS, X, Y, start, 3)
    for r, c in CELLS:
        spectrum = torch.linalg.eigvalsh(explicit_hessian(r, c))
        largest = spectrum[spectrum.abs().argmax()]
        assert abs(value[r, c] - largest) <= 1e-6 * abs(largest)
        assert residual[r, c] < 1e-3 < early[r, c]


def test_ranks_of_layers_against_numpy_and_where_they_are_known():
    rng = np.random.default_rng(0)
    dense, kernel = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((2, 3, 4, 2, 3, 3))
    kernel[1, 2] = np.nan
    found = spectrum.ranks([torch.tensor(dense), torch.tensor(kernel)])
    for r, c in product(range(2), range(3)):
        finite = [w[r, c].reshape(len(w[r, c]), -1) for w in (dense, kernel) if np.isfinite(w[r, c]).all()]
        singular = [np.linalg.svd(w, compute_uv=False) for w in finite]
        if len(singular) < 2:
            assert math.isnan(found["stable_rank"][r, c]) and math.isnan(found["effective_rank"][r, c])
            continue
        stable = np.mean([(s**2).sum() / s.max() ** 2 for s in singular])
        effective = np.mean([np.exp(-(s / s.sum() * np.log(s / s.sum())).sum()) for s in singular])
        assert found["stable_rank"][r, c] == pytest.approx(stable, rel=1e-12)
        assert found["effective_rank"][r, c] == pytest.approx(effective, rel=1e-12)
    known = spectrum.ranks([torch.stack([torch.eye(4), torch.ones(4, 4)])[None]])
    torch.testing.assert_close(known["stable_rank"], torch.tensor([[4.0, 1.0]], dtype=torch.float64))
    torch.testing.assert_close(known["effective_rank"], torch.tensor([[4.0, 1.0]], dtype=torch.float64))


def test_scale_free_sharpness_does_not_see_the_scale():
    class Normalised(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.out = torch.nn.Linear(3, 4, bias=False)

        def forward(self, x):
            return torch.nn.functional.layer_norm(self.out(x), (4,), eps=0.0)

    module = Normalised()
    gen = torch.Generator().manual_seed(0)
    w = torch.randn(1, 1, 4, 3, generator=gen, dtype=torch.float64)
    params = {"out.weight": torch.cat([w, 5 * w], 1)}
    signs = all_signs({"out.weight": (4, 3)})
    traces = curvature.trace(module, LOSS, params, X[:1], Y[:1], {n: v[:64] for n, v in signs.items()})
    norm = stackwise.dot(params["out.weight"], params["out.weight"]).sqrt()
    sharpness = curvature.scale_free(traces, norm, 12)
    torch.testing.assert_close(traces[0, 0] / traces[0, 1], torch.tensor(25.0, dtype=torch.float64))
    torch.testing.assert_close(sharpness[0, 0], sharpness[0, 1])


@pytest.mark.parametrize("outputs, link", list(product((1, 3), jacobian.LINKS)))
def test_jacobians_against_jacrev(outputs, link):
    module = mlp(3, 4, outputs)
    params, x, _ = stack_of(module, 2, 3, 19)

    def f(p, rows):
        z = functional_call(module, p, (rows,))
        return z if link == "logits" else torch.sigmoid(z) if outputs == 1 else z.softmax(-1)

    found = jacobian.columns(module, params, x)
    hidden = jacobian.parameter_norm(module, params, x, link, names=frozenset({"0.weight"}))
    for r, c in CELLS:
        own = cell(r, c, params)
        by_w = jacrev(f)(own, x[r])
        by_x = jacrev(f, 1)(own, x[r])
        expected = {"w": sum(v.square().sum() for v in by_w.values()), "x": by_x.square().sum()}
        size = f(own, x[r]).square().sum()
        torch.testing.assert_close(hidden[r, c], (by_w["0.weight"].square().sum() / 19).sqrt())
        for kind, value in expected.items():
            torch.testing.assert_close(found[f"jacobian_{kind}_{link}"][r, c], (value / 19).sqrt())
            torch.testing.assert_close(found[f"relative_jacobian_{kind}_{link}"][r, c], (value / size).sqrt())


def test_jacobian_estimate_is_exact_over_all_signs_and_asked_for_above_the_limit():
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    for norm in (jacobian.parameter_norm, jacobian.input_norm):
        torch.testing.assert_close(norm(TINY, PARAMS, X, "softmax", signs), norm(TINY, PARAMS, X, "softmax"))
    wide = mlp(2, 65)
    params, x, _ = stack_of(wide, 1, 1, 3)
    with pytest.raises(ValueError, match="65 outputs"):
        jacobian.input_norm(wide, params, x)
    assert jacobian.input_norm(wide, params, x, signs=torch.ones(1, 65, dtype=torch.float64)).shape == (1, 1)
    with pytest.raises(ValueError, match="unknown link"):
        jacobian.output_norm(TINY, PARAMS, X, "probit")


def test_angles_against_arccos_and_below_its_reach():
    gen = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 50, 9, generator=gen, dtype=torch.float64)
    cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
    torch.testing.assert_close(rotation.angle(a, b), torch.arccos(cosine), rtol=1e-12, atol=0.0)
    for tiny in (1e-3, 1e-9, 1e-13):
        u, v = torch.tensor([[3.0, 0.0]], dtype=torch.float64), torch.tensor([[7.0, 7.0 * tiny]], dtype=torch.float64)
        assert abs(rotation.angle(u, v).item() / np.arctan(tiny) - 1) < 1e-12
    assert rotation.angle(a, -3 * a).sub(np.pi).abs().max() < 1e-12
    assert rotation.angle(a, 0 * a).isnan().all()


def test_rotation_window_against_its_definition():
    gen = torch.Generator().manual_seed(1)
    steps = [{n: w + 0.1 * i * torch.randn(w.shape, generator=gen, dtype=torch.float64) for n, w in PARAMS.items()} for i in range(4)]
    for p in steps:
        p["0.weight"][0, 1, 2] = 0.0
    window = rotation.Rotation.start(steps[0], group)
    for p in steps[1:]:
        window.observe({n: w.clone() for n, w in p.items()})
    found = window.columns()
    assert set(found) == {f"rotation_{q}{g}" for q in ("", "neuron_", "cv_") for g in ("hidden", "head", "total")}

    def turns(name, r, c, rows):
        pairs = [(a[name][r, c], b[name][r, c]) for a, b in zip(steps, steps[1:], strict=False)]
        pairs = [(a, b) if rows else (a.reshape(1, -1), b.reshape(1, -1)) for a, b in pairs]
        return torch.stack([torch.arccos((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))) for a, b in pairs])

    for r, c in CELLS:
        hidden, head = (turns(n, r, c, True) for n in ("0.weight", "2.weight"))
        hidden = hidden[:, ~hidden[0].isnan()]
        assert hidden.shape[1] == (3 if (r, c) == (0, 1) else 4)
        each = torch.cat([hidden, head], 1).square().mean(0).sqrt()
        close = lambda name, value, r=r, c=c: torch.testing.assert_close(found[name][r, c], value, rtol=1e-10, atol=0.0)
        close("rotation_neuron_hidden", hidden.square().mean().sqrt())
        close("rotation_neuron_total", each.square().mean().sqrt())
        close("rotation_cv_total", each.std(correction=0) / each.mean())
        close("rotation_head", turns("2.weight", r, c, False).square().mean().sqrt())


NEURONS, INPUTS = 16, 512


def pure_noise(name, coupling="decoupled"):
    """Rotation after 4 time constants of two cells of different decay whose neurons' gradients are noise of lognormal(1) scales."""
    optimiser = updates.Optimiser(name)
    gen = torch.Generator().manual_seed(5)
    lr, decay = torch.tensor([[3e-3, 6e-3]], dtype=torch.float64), 1.0
    wide = lr[..., None, None]
    scales = torch.exp(torch.randn(1, 1, NEURONS, 1, generator=gen, dtype=torch.float64))
    numbers = updates.decay("coupled" if name in ("momentum", "nesterov") else coupling, 0.0, decay, 1.0)
    w = torch.randn(1, 1, NEURONS, INPUTS, generator=gen, dtype=torch.float64) * (wide / (2 * decay) * optimiser.gain).sqrt()
    w = w * (1.0 if name == "adam" else scales)
    state = updates.initial_state(w, optimiser, FP64)
    warm, window = 700, 1000
    for t in range(1, warm + window + 1):
        g = scales * torch.randn(1, 1, NEURONS, INPUTS, generator=gen, dtype=torch.float64)
        if t == warm + 1:
            measured = rotation.Rotation.start({"w": w}, lambda name: "hidden")
        w, state = updates.step(w, g, state, t, wide, 1.0, optimiser, numbers, FP64)
        if t > warm:
            measured.observe({"w": w})
    return measured.columns(), rotation.predicted(optimiser, lr * decay)


@pytest.mark.parametrize("name", updates.OPTIMISERS)
def test_pure_noise_rotates_as_predicted(name):
    found, predicted = pure_noise(name)
    torch.testing.assert_close(found["rotation_neuron_hidden"], predicted, rtol=0.02, atol=0.0)
    assert (found["rotation_cv_hidden"] < 0.03).all()


def test_adam_with_coupled_decay_rotates_unevenly():
    assert (pure_noise("adam", "coupled")[0]["rotation_cv_hidden"] > 0.1).all()


def example_gradients(r, c):
    own = cell(r, c)
    by_row = jacrev(lambda p: torch.stack([LOSS(functional_call(TINY, p, (X[r, i : i + 1],)), Y[r, i : i + 1]) for i in range(7)]))
    return flat(by_row(own), 1)


def test_noise_trace_against_the_per_example_covariance():
    found = noise.per_example(TINY, LOSS, PARAMS, X, Y)
    for r, c in CELLS:
        torch.testing.assert_close(found[r, c], torch.cov(example_gradients(r, c).T).trace(), rtol=1e-10, atol=0.0)


def test_half_batches_give_the_covariance_in_the_mean_over_all_splits():
    rows = 6
    gradient = lambda x, y: stacked.gradient(TINY, LOSS, PARAMS, x, y, torch.float64)
    sums = noise.NoiseScale()
    for half in combinations(range(rows), rows // 2):
        order = list(half) + [i for i in range(rows) if i not in half]
        sums.observe(gradient, X[:, order], Y[:, order])
    found = sums.columns()
    torch.testing.assert_close(found["gradient_noise"], noise.per_example(TINY, LOSS, PARAMS, X[:, :rows], Y[:, :rows]))
    for r, c in CELLS:
        g = example_gradients(r, c)[:rows]
        squared = g.mean(0).square().sum() - torch.cov(g.T).trace() / rows
        torch.testing.assert_close(found["gradient_signal"][r, c], squared)
        torch.testing.assert_close(found["noise_scale"][r, c], torch.cov(g.T).trace() / squared)


def test_two_batches_solve_their_two_equations():
    signal, trace = torch.tensor([[2.0, 0.3]]), torch.tensor([[5.0, 7.0]])
    found = noise.two_batches(signal + trace / 8, signal + trace / 32, 8, 32)
    torch.testing.assert_close(found, (trace, signal))
    torch.testing.assert_close(noise.temperature(torch.tensor([[0.1]]), trace, 32), 0.1 * trace / 32)


def test_path_against_its_definition():
    gen = torch.Generator().manual_seed(2)
    w = {n: v.clone() for n, v in PARAMS.items()}
    first = {n: v.clone() for n, v in w.items()}
    watched = path.Path(group)
    expected = {}
    lr = torch.tensor([[0.1, 0.2, 0.3], [0.05, 0.5, 0.01]], dtype=torch.float64)
    numbers = updates.Decay(d2=torch.full((2, 3), 0.3, dtype=torch.float64))
    members = {"hidden": ["0.weight"], "head": ["2.weight"], "total": ["0.weight", "2.weight"]}
    for t in range(4):
        g = {n: torch.randn(v.shape, generator=gen, dtype=torch.float64) for n, v in w.items()}
        scale = 1 - 0.1 * t
        rate = path.decay_rate(lr, scale, numbers)
        torch.testing.assert_close(rate, 0.3 * lr * scale)
        watched.observe(w, g, lr * scale, rate)
        old = {n: v.clone() for n, v in w.items()}
        for n in w:
            w[n] *= 1 - rate[..., None, None] if w[n].ndim == 4 else 1
            w[n] -= (lr * scale)[..., None, None] * g[n] if w[n].ndim == 4 else 0
        for kind, names in members.items():
            for r, c in CELLS:
                a, b, new = (torch.cat([v[n][r, c].flatten() for n in names]) for v in (old, g, w))
                eta = lr[r, c] * scale
                row = (a.norm(), b.norm(), b.norm() / a.norm(), a @ b / (a.norm() * b.norm()), eta / (a @ a), eta / a.norm(),
                       (new.norm() < a.norm()).double())
                expected.setdefault((kind, r, c), []).append(torch.stack(row))
    watched.close(w)
    found = watched.columns()
    for (kind, r, c), values in expected.items():
        for name, value in zip((*path.MEANS, "shrinking"), torch.stack(values).mean(0), strict=True):
            torch.testing.assert_close(found[f"{name}_{kind}"][r, c], value)
    torch.testing.assert_close(found["clock"], 2 * 0.3 * lr * (1 + 0.9 + 0.8 + 0.7))
    moved = path.displacement(w, first, group)
    for r, c in CELLS:
        a, b = (torch.cat([v["0.weight"][r, c].flatten(), v["2.weight"][r, c].flatten()]) for v in (w, first))
        torch.testing.assert_close(moved["distance_total"][r, c], (a - b).norm())
        torch.testing.assert_close(moved["cosine_total"][r, c], a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize("coupling, expected", [("coupled", 0.5 * 0.1 * 0.2), ("decoupled", 0.5 * 0.1 * 0.2), ("independent", 0.5 * 0.2)])
def test_decay_rate_of_each_coupling(coupling, expected):
    assert path.decay_rate(0.1, 0.5, updates.decay(coupling, 0.0, 0.2, 0.1)) == pytest.approx(expected)
    if coupling == "coupled":
        assert path.decay_rate(0.1, 0.5, updates.decay(coupling, 0.0, 0.2, 0.1), 10.0) == pytest.approx(10 * expected)


def history(**changes):
    """120 losses near 1 with MAD 0.01, with the given stretches {step: losses}."""
    loss = 1.0 + 0.01 * torch.tensor([(-1.0) ** t for t in range(120)], dtype=torch.float64)
    for start, values in changes.items():
        first = int(start[1:])
        loss[first : first + len(values)] = torch.tensor(values, dtype=torch.float64)
    return loss


def test_spikes_in_sequences_made_by_hand():
    nan, inf = float("nan"), float("inf")
    cases = [
        (history(), (0, 0, 0, nan)),
        (history(t60=[1.09]), (0, 0, 0, nan)),  # over 5 x 1.48 MAD (1.074), under the floor of 0.1 nat
        (history(t60=[1.2]), (1, 1, 1, 1.0)),
        (history(t49=[5.0]), (0, 0, 0, nan)),  # no verdict in the first WINDOW steps
        (history(t50=[5.0]), (1, 1, 1, 1.0)),
        (history(t60=[2.0, 3.0, 2.0], t80=[4.0]), (2, 4, 3, 1.0)),
        (history(t119=[2.0]), (1, 1, 1, 0.0)),
        (history(t60=[1.5], t100=[3.0] * 20), (2, 21, 20, 0.5)),
        (history(t60=[inf, nan]), (1, 2, 2, 1.0)),
        (history(t60=[nan] * 60), (1, 25, 25, 0.0)),  # half of the window: then there is no median to stand out of
    ]
    found = spikes.count(torch.stack([loss for loss, _ in cases]).T.reshape(120, 2, 5))
    for i, name in enumerate(("spikes", "spike_steps", "spike_longest", "spike_recovered")):
        np.testing.assert_array_equal(found[name].flatten(), [expected[i] for _, expected in cases])
    assert all(v.isnan().all() for v in spikes.count(torch.ones(50, 1, 1)).values())


def test_the_limit_is_the_median_plus_mads():
    rng = np.random.default_rng(0)
    loss = rng.standard_normal((70, 4))
    found = spikes.limits(loss)
    for t, c in product(range(50, 70), range(4)):
        middle = np.median(loss[t - 50 : t, c])
        assert found[t - 50, c] == middle + max(5 * 1.48 * np.median(abs(loss[t - 50 : t, c] - middle)), 0.1)


def test_temperature_and_the_loss_after_it_against_scipy_and_sklearn():
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((200, 3, 4)) * [[[1], [4], [9]]], rng.integers(0, 4, 200)
    z += 2 * np.eye(4)[y][:, None]
    fitted = metrics.temperature(z, y)
    after = metrics.tempered_nll(z, y, fitted)
    for c in range(3):
        nll = lambda log_t, c=c: log_loss(y, softmax(z[:, c] / np.exp(log_t), -1))
        best = minimize_scalar(nll, bracket=(-3, 3))
        np.testing.assert_allclose(fitted[c], np.exp(best.x), rtol=1e-5)
        np.testing.assert_allclose(after[c], best.fun, rtol=1e-10)
    assert np.isnan(metrics.tempered_nll(z, y, np.array([1.0, np.nan, 1.0]))).tolist() == [False, True, False]


def direct_classwise(probability, y):
    errors = []
    for j in range(probability.shape[1]):
        order = np.argsort(probability[:, j])
        edges = [i * len(y) // 15 for i in range(1, 15)]
        bins = np.split(order, edges)
        errors.append(sum(len(b) / len(y) * abs(probability[b, j].mean() - (y[b] == j).mean()) for b in bins))
    return np.mean(errors)


def test_classwise_calibration_against_its_definition():
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((203, 5, 4)) * 2, rng.integers(0, 4, 203)
    found = metrics.classwise_ece(z, y)
    np.testing.assert_allclose(found, [direct_classwise(softmax(z[:, c], -1), y) for c in range(5)], rtol=1e-11)
    binary, labels = z[..., :1], y % 2
    both = [np.stack([1 / (1 + np.exp(v)), 1 / (1 + np.exp(-v))], 1) for v in binary[..., 0].T]
    np.testing.assert_allclose(metrics.classwise_ece(binary, labels), [direct_classwise(p, labels) for p in both], rtol=1e-11)
    broken = z.copy()
    broken[3, 2, 1] = np.nan
    again = metrics.classwise_ece(broken, y)
    assert np.isnan(again[2]) and again[[0, 1, 3, 4]].tobytes() == found[[0, 1, 3, 4]].tobytes()
    assert metrics.classwise_ece(z[:, [4]], y)[0] == found[4]


def everything(module, params, grads, x, y):
    """Every probe of a stack, name -> [R, C]."""
    rng = np.random.default_rng(0)
    shapes = {n: tuple(w.shape[2:]) for n, w in params.items()}
    signs = curvature.rademacher(rng, shapes, 2, x.dtype)
    start = {n: torch.as_tensor(rng.standard_normal(s)).to(x.dtype) for n, s in shapes.items()}
    found = dict(zip(("top", "residual"), curvature.top_eigenvalue(module, LOSS, params, x, y, start, 3), strict=True))
    found["trace"] = curvature.trace(module, LOSS, params, x, y, signs)
    found["jacobian_w"] = jacobian.parameter_norm(module, params, x, "softmax")
    found["jacobian_x"] = jacobian.input_norm(module, params, x, "softmax")
    found["examples"] = noise.per_example(module, LOSS, params, x, y)
    lr = torch.full(next(iter(params.values())).shape[:2], 0.1)
    after = {n: w - 0.1 * grads[n] for n, w in params.items()}
    track, turn = path.Path(group), rotation.Rotation.start(params, group)
    track.observe(params, grads, lr, lr)
    track.close(after)
    turn.observe(after)
    size = stackwise.dot(*(2 * [next(iter(params.values()))]))
    losses = size * torch.linspace(1, 2, 60).square().sin()[:, None, None]
    return found | track.columns() | turn.columns() | path.displacement(after, params, group) | spikes.count(losses)


def parts(params, x, y, arms):
    """(replicate, arms) of smaller and shuffled stacks, with their tensors."""
    rng = np.random.default_rng(0)
    for r, size in ((0, arms), (1, 2 * arms)):
        order = rng.permutation(2 * arms)[:size]
        yield r, order, {n: w[[r]][:, order].contiguous() for n, w in params.items()}, x[[r]], y[[r]]


def assert_same_bits(whole, part, r, order):
    for name, value in whole.items():
        assert value[r, order].numpy().tobytes() == part[name][0].numpy().tobytes(), name


@pytest.mark.parametrize("dtype, arms, widths",
                         [(torch.float32, 16, (12, 16, 16, 5)), (torch.float32, 16, (7, 11, 3)), (torch.float64, 24, (7, 11, 3))])
def test_a_cell_has_the_same_bits_in_any_stack_and_slot(dtype, arms, widths):
    module = mlp(*widths, activation=torch.nn.ReLU)
    params, x, y = stack_of(module, 2, 2 * arms, 21, dtype)
    grads = stack_of(module, 2, 2 * arms, 21, dtype, seed=1)[0]
    whole = everything(module, params, grads, x, y)
    assert {value.shape for value in whole.values()} == {(2, 2 * arms)}
    for r, order, part, rows, targets in parts(params, x, y, arms):
        own = {n: g[[r]][:, order].contiguous() for n, g in grads.items()}
        assert_same_bits(whole, everything(module, part, own, rows, targets), r, order)


@pytest.mark.parametrize("dtype, arms", [(torch.float32, 16), (torch.float64, 24)])
def test_half_batches_have_the_bits_of_the_engines_gradient(dtype, arms):
    # at widths that are no multiple of the vector's length `stacked.gradient` itself depends on the slot
    module = mlp(12, 16, 16, 5, activation=torch.nn.ReLU)
    params, x, y = stack_of(module, 2, 2 * arms, 32, dtype)

    def measure(params, x, y):
        sums = noise.NoiseScale()
        sums.observe(lambda rows, targets: stacked.gradient(module, LOSS, params, rows, targets, dtype), x, y)
        return sums.columns()

    whole = measure(params, x, y)
    for r, order, *part in parts(params, x, y, arms):
        assert_same_bits(whole, measure(*part), r, order)
