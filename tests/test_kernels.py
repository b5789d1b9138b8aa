"""The compiled passes against the same formulas in PyTorch."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from wdbench import affine, apart, feed, models, precision, stacked, updates
from wdbench.cells import FORMS
from wdbench.kernels import fidelity, slopes
from wdbench.kernels.update import Update

FORMS_OF_STEPS = ("plain", "subgradient", "cautious", "moment_split")
OTHER = [("fp64", "none"), *(("bf16_weights", r) for r in precision.ROUNDINGS if r != "none")]
# every optimiser with every form in fp32; the other arithmetics each with every optimiser and every form, not with every pair of them
CASES = [(*case, ("fp32", "none")) for case in product(updates.OPTIMISERS, FORMS_OF_STEPS, (False, True), (1, 3))]
CASES += [(updates.OPTIMISERS[i], FORMS_OF_STEPS[(i + k) % 4], bool((i + k) % 2), (1, 3)[(i // 2 + k + j) % 2], arithmetic)
          for k, arithmetic in enumerate(OTHER) for i in range(4) for j in range(2)]


@pytest.mark.parametrize("optimiser, form, prox, cell_axis, arithmetic", CASES)
def test_a_pass_takes_the_steps_of_the_equations(optimiser, form, prox, cell_axis, arithmetic):
    """Bit for bit, but for the root of Adam, which PyTorch does not always round correctly."""
    generator = torch.Generator().manual_seed(0)
    chosen, arithmetic = updates.Optimiser(optimiser, 0.8, 0.97), precision.make(*arithmetic)
    dtype, replicates, cells = arithmetic.master, 2, 5
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
    shape = (replicates, cells, 7, 3) if cell_axis == 1 else (replicates, 7, 3, cells)
    spread = lambda v: v.reshape((replicates, cells, 1, 1) if cell_axis == 1 else (replicates, 1, 1, cells))  # noqa: E731
    rate, schedule = draw(replicates, cells).abs() * 0.1, 0.7
    couplings = [name for name, kind in FORMS.items() if kind == form]
    numbers = [[updates.decay(couplings[(i + j) % len(couplings)], 0.3 * prox + 0.1 * j, 0.2 * i, float(rate[i, j]))
                for j in range(cells)] for i in range(replicates)]
    decay = updates.Decay(**{name: spread(torch.tensor([[getattr(d, name) for d in row] for row in numbers], dtype=dtype))
                             for name in updates.Decay.__dataclass_fields__})
    w = draw(*shape)
    w = precision.nearest(w) if arithmetic.name == "bf16_weights" else w
    w.view(-1)[0] = 0.0
    state = updates.initial_state(w, chosen, arithmetic)
    mine, kept = w.clone(), updates.State(*(None if s is None else s.clone() for s in (state.m, state.v, state.remainder)))
    update = Update(mine, kept, cell_axis, chosen, arithmetic, form, prox)
    for t in range(1, 6):
        g = draw(*shape)
        bits = None
        if arithmetic.rounding == "stochastic":
            inner = [size for axis, size in enumerate(shape) if axis not in (0, cell_axis)]
            bits = torch.randint(0, 1 << 16, (replicates, *inner), generator=generator, dtype=torch.int32).unsqueeze(cell_axis)
        w, state = updates.step(w, g, state, t, spread(rate), schedule, chosen, decay, arithmetic, form, prox, bits)
        update.take(g, t, rate, schedule, decay, bits)
        moments = (kept.m, state.m), (kept.v, state.v)
        assert all((own is None and theirs is None) or torch.equal(own, theirs) for own, theirs in moments)
        if optimiser != "adam":
            assert torch.equal(mine, w) and (kept.remainder is None or torch.equal(kept.remainder, state.remainder))
            continue
        tolerance = {"fp64": 1e-13, "fp32": 1e-6, "bf16_weights": 0.01}[arithmetic.name]
        torch.testing.assert_close(mine, w, rtol=tolerance, atol=tolerance)
        # both go on from the same place
        mine.copy_(w)
        if kept.remainder is not None:
            kept.remainder.copy_(state.remainder)


def stack(outputs, task, dtype, seed=0):
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(2, 9, outputs, 5, generator=draw, dtype=torch.float64).mul_(3).to(dtype)
    b = torch.randn(2, outputs, 5, generator=draw, dtype=torch.float64).to(dtype)
    y = torch.randint(0, max(outputs, 2), (2, 9), generator=draw).to(dtype)
    return z, b, y + torch.randn(2, 9, generator=draw).to(dtype) if task == "regression" else y


@pytest.mark.parametrize("task, outputs", [("regression", 1), ("binary", 1), ("multiclass", 4)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_slopes_of_affine_models(task, outputs, dtype, tolerance):
    z, b, y = stack(outputs, task, dtype)
    loss, slope = affine.loss_and_slope(task, z + b[:, None], y)
    found, bias = slopes.replace_by_slope(task, z, b, y)
    torch.testing.assert_close(found, loss, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(z, slope / 9, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(bias, slope.sum(1) / 9, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("spec", ["mlp", "mlp:depth=1", "mlp:norm=bn", "mlp:norm=bn,affine=no,head=frozen",
                                  "mlp:depth=3,norm=bn,eps=0,width=13"])
@pytest.mark.parametrize("dtype, compute, tolerance", [(torch.float64, torch.float64, 1e-13), (torch.float32, torch.float32, 1e-5),
                                                       (torch.float32, torch.bfloat16, 0.01)])
def test_a_perceptrons_gradient_written_out_is_that_of_autograd(spec, dtype, compute, tolerance):
    family, options = models.parse(spec)
    module, draw = family.build(options, 12, 5), torch.Generator().manual_seed(1)
    params = {n: 0.5 * torch.randn(2, 4, *p.shape, generator=draw).to(dtype) for n, p in module.named_parameters()}
    training = family.training(options, params, compute)
    if options["norm"] == "bn" and compute != dtype:
        assert training is None
        return
    for rows in (37, 16):  # another size asks for other memory
        x, y = torch.randn(2, rows, 12, generator=draw).to(compute), torch.randint(0, 5, (2, rows), generator=draw).to(dtype)
        expected, grads = stacked.gradient(module, family.loss, params, x, y, compute, partial(family.stacked, options))
        for _ in range(2):
            losses, found = training(x, y)
        torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)
        assert found.keys() == grads.keys()
        for name in grads:
            assert (found[name] - grads[name]).norm() <= tolerance * grads[name].norm() + 1e-12, name


@pytest.mark.parametrize("cell_axis", [1, 3])
def test_sums_of_a_probed_step(cell_axis):
    draw = torch.Generator().manual_seed(2)
    shape = (2, 5, 7, 3) if cell_axis == 1 else (2, 7, 3, 5)
    start = torch.randn(*shape, generator=draw, dtype=torch.float64)
    rounded, without, ideal, idle = (start + torch.randint(-1, 2, shape, generator=draw) * 0.5 for _ in range(4))
    applied, intended, moved = rounded - without, ideal - idle, ideal != start
    expected = [applied * intended, intended**2, applied**2, moved.double(), (moved & (rounded == start)).double()]
    axes = [axis for axis in (1, 2, 3) if axis != cell_axis]
    found = fidelity.sums(rounded, without, ideal, idle, start, cell_axis)
    torch.testing.assert_close(found, torch.stack([part.sum(axes) for part in expected]))


@pytest.mark.parametrize("spec", ["cnn:width=4", "cnn:width=4,norm=bn", "gpt:vocab=11,width=8,heads=2,depth=1"])
@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])
def test_cells_apart_have_the_gradients_of_the_stack(spec, compute):
    family, options = models.parse(spec)
    features, outputs = (16, 5) if spec.startswith("cnn") else (6, 11)
    module, draw = family.build(options, features, outputs), torch.Generator().manual_seed(1)
    params = {n: 0.3 * torch.randn(2, 4, *p.shape, generator=draw) for n, p in module.named_parameters()}
    x = torch.randn(2, 9, features, generator=draw) if spec.startswith("cnn") else torch.randint(0, 11, (2, 9, 6), generator=draw)
    y = torch.randint(0, outputs, (2, 9) if spec.startswith("cnn") else (2, 9, 6), generator=draw).float()
    expected, grads = stacked.gradient(module, family.loss, params, x, y, compute)
    losses, found = apart.Cells(module, family.loss, params, compute).gradient(x, y)
    tolerance = 1e-5 if compute == torch.float32 else 0.15
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)
    for name in grads:
        assert (found[name] - grads[name]).norm() <= tolerance * grads[name].norm() + 1e-7, name
    outputs = stacked.predict(module, params, x, compute)
    torch.testing.assert_close(apart.predict(module, params, x, compute), outputs, rtol=tolerance, atol=tolerance)


def test_a_step_in_place_moves_the_module_that_lies_in_the_stack():
    family, options = models.parse("cnn:width=4")
    module = family.build(options, 16, 5)
    params = {n: torch.randn(1, 2, *p.shape) for n, p in module.named_parameters()}
    cells, x, y = apart.Cells(module, family.loss, params, torch.float32), torch.randn(1, 9, 16), torch.zeros(1, 9)
    before, _ = cells.gradient(x, y)
    params["head.bias"].numpy()[0, 1, 2] += 1.0
    after, _ = cells.gradient(x, y)
    assert after[0, 0] == before[0, 0] and after[0, 1] != before[0, 1]


def test_batches_are_the_rows_of_the_order_held_or_not(monkeypatch):
    rng = np.random.default_rng(0)
    parts = [(rng.standard_normal((20 + r, 3)), rng.standard_normal(20 + r)) for r in range(2)]
    order = [rng.integers(0, 20, (1030, 4)).astype(np.int32) for _ in parts]
    types = (torch.bfloat16, torch.float32)
    kept = feed.Feed(parts, order, types, "cpu")
    monkeypatch.setattr(feed, "HELD_BYTES", 0)
    converted = feed.Feed(parts, order, types, "cpu")
    assert converted.rows is None and kept.rows is not None
    for t in range(1, 1031):
        x, y = kept.at(t)
        expected = np.stack([part[1][rows[t - 1]] for part, rows in zip(parts, order, strict=True)])
        np.testing.assert_array_equal(y.numpy(), expected.astype(np.float32))
        assert all(torch.equal(a, b) for a, b in zip((x, y), converted.at(t), strict=True)) and x.shape == (2, 4, 3)
