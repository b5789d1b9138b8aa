"""Models: spec strings, modules against torch's own, stacks against loops, the same bits in any slot, scale invariance."""

import copy
import math
import warnings
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, grad_and_value

from wdbench import models, stacked
from wdbench.errors import UserError
from wdbench.models import losses, norms

torch.set_num_threads(1)

MLPS = ("mlp:width=32", "mlp:width=32,norm=bn", "mlp:affine=no,head=frozen,norm=bn,width=32")
GPTS = ("gpt:width=32,heads=2,context=8,vocab=48", "gpt:width=32,heads=2,context=8,vocab=48,tied=no,softmax=compute")
CNNS = ("cnn:width=8", "cnn:width=8,norm=bn", "cnn:width=8,norm=gn")
RESNETS = ("resnet:width=4", "resnet:width=4,norm=gn,groups=2")


def problem(text, cells=4, replicates=2, rows=8, dtype=torch.float32, jitter=0.1, seed=0):
    """Family, module, stacked parameters [R, C, ...] around the family's start values, inputs and targets [R, rows, ...]."""
    family, options = models.parse(text)
    draw = torch.Generator().manual_seed(seed)
    tokens = family.name == "gpt"
    features, outputs = (8, 48) if tokens else (64, 10)
    module = family.build(options, features, outputs)
    params = {}
    for name, value in module.named_parameters():
        kind, number = family.initial(options, name, tuple(value.shape))
        z = torch.randn((replicates, cells, *value.shape), generator=draw, dtype=dtype)
        params[name] = z * number if kind == "normal" else number + jitter * z
    if tokens:
        x, y = (torch.randint(0, outputs, (replicates, rows, features), generator=draw) for _ in range(2))
    else:
        x = torch.randn(replicates, rows, features, generator=draw, dtype=dtype)
        y = torch.randint(0, outputs, (replicates, rows), generator=draw)
    return family, module, params, x, y


@pytest.mark.parametrize("given, expected", [
    ("mlp", "mlp"), ("mlp:depth=2,width=64", "mlp"), (" mlp : norm = bn , depth=3", "mlp:depth=3,norm=bn"),
    ("mlp:norm=bn,eps=0.00", "mlp:eps=0,norm=bn"), ("mlp:norm=bn,eps=1e-5,affine=yes", "mlp:norm=bn"), ("softmax", "softmax"),
    ("gpt:tied=no,softmax=compute,heads=4", "gpt:softmax=compute,tied=no"), ("resnet:depth=3,norm=bn", "resnet:depth=3"),
])
def test_equal_models_have_equal_text(given, expected):
    assert models.canonical(given) == expected == models.canonical(expected)
    family, options = models.parse(given)
    assert set(options) == set(family.options) and models.parse(expected) == (family, options)


@pytest.mark.parametrize("text, words", [
    ("mpl", ("'mpl'", "cnn", "mlp", "softmax")), ("mlp:widht=3", ("widht", "width", "depth")), ("mlp:width=0", ("'0'", "at least 1")),
    ("mlp:width=1000000000", ("'1000000000'", "at most 65536")), ("cnn:width=1000000000", ("at most 4096",)),
    ("mlp:width=1.5", ("'1.5'", "integer")), ("mlp:norm=gn", ("'gn'", "none bn")), ("mlp:width", ("'width'", "key=value")),
    ("mlp:width=3,width=3", ("width", "twice")), ("mlp:affine=no", ("affine", "norm=bn")), ("mlp:affine=False,norm=bn", ("yes no",)),
    ("cnn:norm=bn,groups=2", ("groups", "norm=gn")), ("cnn:norm=gn,width=6", ("groups", "4", "width=6")),
    ("gpt:heads=5", ("heads", "5", "width=64")), ("linear:width=3", ("width", "linear without options")), ("mlp:", ("key=value",)),
])
def test_a_wrong_model_is_one_sentence_that_says_what_is_valid(text, words):
    with pytest.raises(UserError) as found:
        models.parse(text)
    message = str(found.value)
    assert repr(text) in message and "valid: " in message and "\n" not in message and all(word in message for word in words)


def test_data_that_do_not_fit_the_model_are_refused():
    for text, features, outputs in (("cnn", 30, 2), ("resnet:channels=3", 64, 10), ("gpt", 65, 10), ("gpt:vocab=20", 8, 21)):
        family, options = models.parse(text)
        with pytest.raises(UserError, match="valid: "):
            family.build(options, features, outputs)


def test_groups_start_values_and_what_is_frozen():
    family, options = models.parse("gpt:depth=3,tied=no")
    found = {name: (family.group(name), family.initial(options, name, tuple(p.shape)))
             for name, p in family.build(options, 64, 256).named_parameters()}
    assert found["wte.weight"] == ("embedding", ("normal", 0.02)) and found["head.weight"] == ("head", ("normal", 0.02))
    assert found["blocks.1.attn.proj.weight"] == ("hidden", ("normal", 0.02 / math.sqrt(6)))
    assert found["blocks.0.mlp.fc.weight"] == ("hidden", ("normal", 0.02)) and found["blocks.0.ln2.gain"] == ("norm", ("constant", 1.0))
    family, options = models.parse("cnn:norm=bn,head=frozen")
    names = {name: tuple(p.shape) for name, p in family.build(options, 64, 10).named_parameters()}
    assert {name: family.group(name) for name in names} == {
        "conv.0.weight": "hidden", "conv.1.weight": "hidden", "norms.0.gain": "norm", "norms.0.bias": "norm", "norms.1.gain": "norm",
        "norms.1.bias": "norm", "head.weight": "head", "head.bias": "bias"}
    assert [name for name in names if family.frozen(options, name)] == ["head.weight", "head.bias"]
    assert [name for name in names if not family.is_bias(name)] == ["conv.0.weight", "conv.1.weight", "head.weight"]
    assert family.initial(options, "conv.1.weight", names["conv.1.weight"]) == ("normal", math.sqrt(2 / (16 * 9)))
    assert family.initial(options, "head.weight", names["head.weight"]) == ("normal", math.sqrt(1 / 128))
    assert family.initial(options, "norms.0.bias", (16,)) == family.initial(options, "head.bias", (10,)) == ("constant", 0.0)


@pytest.mark.parametrize("shape", [(20, 6), (20, 6, 4, 4)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_batch_norm_is_torchs_in_train_mode_and_in_eval_mode_with_refreshed_statistics(shape, eps):
    torch.manual_seed(0)
    x, train = 3 * torch.randn(shape, dtype=torch.float64) + 2, 13
    mine = norms.BatchNorm(6, eps=eps).double()
    theirs = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(6, eps=eps).double()
    for ours, p in ((mine.gain, theirs.weight), (mine.bias, theirs.bias)):
        ours.data.copy_(torch.randn(6))
        p.data.copy_(ours.data)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.testing.assert_close(mine(a), theirs(b), rtol=1e-12, atol=1e-12)
    mine(a).sin().sum().backward(), theirs(b).sin().sum().backward()
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-11)
    axes = (0, *range(2, len(shape)))
    theirs.running_mean, theirs.running_var = x[:train].mean(axes), x[:train].var(axes, unbiased=False)
    torch.testing.assert_close(mine(x, train), theirs.eval()(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mine(x, train)[:train], mine(x[:train]), rtol=1e-12, atol=1e-12)


def test_group_and_layer_norm_are_torchs_and_round_bf16_once():
    torch.manual_seed(0)
    x = torch.randn(5, 8, 3, 3, dtype=torch.float64)
    gain, bias = torch.randn(8).double(), torch.randn(8).double()
    mine = norms.GroupNorm(4, 8).double()
    mine.gain.data, mine.bias.data = gain, bias
    torch.testing.assert_close(mine(x), F.group_norm(x, 4, gain, bias), rtol=1e-12, atol=1e-12)
    layer = norms.LayerNorm(8).double()
    layer.gain.data = gain
    rows = torch.randn(5, 7, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(rows), F.layer_norm(rows, (8,), gain), rtol=1e-12, atol=1e-12)
    short = x[:, :, 0, 0].bfloat16()
    assert torch.equal(norms.BatchNorm(8, False)(short), norms.BatchNorm(8, False)(short.float()).bfloat16())


def test_mlp_is_the_plain_sequential():
    torch.manual_seed(0)
    family, options = models.parse("mlp:norm=bn,depth=2,width=7")
    mine = family.build(options, 5, 3)
    linear = lambda a, b: torch.nn.Linear(a, b, bias=False)
    theirs = torch.nn.Sequential(linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.ReLU(), linear(7, 7), torch.nn.BatchNorm1d(7),
                                 torch.nn.ReLU(), torch.nn.Linear(7, 3))
    theirs[0].weight, theirs[3].weight, theirs[6] = mine.hidden[0].weight, mine.hidden[1].weight, mine.head
    x = torch.randn(11, 5)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["none", "gn"])
def test_cnn_is_the_plain_sequential(norm):
    torch.manual_seed(0)
    family, options = models.parse(f"cnn:norm={norm}")
    mine = family.build(options, 64, 10)
    h = torch.randn(6, 1, 8, 8)
    expected = h
    for conv in mine.conv:
        expected = F.conv2d(expected, conv.weight, conv.bias, padding=1)
        expected = F.max_pool2d(F.relu(F.group_norm(expected, 4) if norm == "gn" else expected), 2)
    torch.testing.assert_close(mine(h.flatten(1)), mine.head(expected.flatten(1)), rtol=1e-5, atol=1e-6)


def test_resnets_have_the_published_sizes():
    def count(text, features):
        family, options = models.parse(text)
        with torch.device("meta"):
            module = family.build(options, features, 10)
            assert module(torch.empty(2, features)).shape == (2, 10)
        return sum(p.numel() for p in module.parameters())
    assert count("resnet:depth=3,channels=3", 3 * 32 * 32) == 269_722  # He et al. 2016, Table 6: ResNet-20, 0.27M
    assert count("resnet", 28 * 28) == 75_002 and count("resnet:channels=3,norm=gn", 3 * 32 * 32) == 75_290


def test_gpt_is_gpt_2_small_and_causal():
    family, options = models.parse("gpt:depth=12,width=768,heads=12,context=1024,vocab=50304")
    with torch.device("meta"):
        sizes = {name: p.numel() for name, p in family.build(options, 1024, 50304).named_parameters()}
    assert sum(sizes.values()) == 124_373_760 and sum(sizes.values()) - sizes["wpe.weight"] == 123_587_328  # nanoGPT: 123.59M
    family, module, params, x, _ = problem(GPTS[0], cells=1, replicates=1, rows=2)
    changed = x.clone()
    changed[:, :, 5] = (x[:, :, 5] + 1) % 48
    a, b = (stacked.predict(module, params, v, torch.float32) for v in (x, changed))
    assert a.shape == (1, 2, 1, 8, 48) and torch.equal(a[..., :5, :], b[..., :5, :]) and (a[..., 5:, :] != b[..., 5:, :]).any()


def test_attention_is_torchs():
    torch.manual_seed(0)
    family, options = models.parse(GPTS[0])
    attention = family.build(options, 8, 48).blocks[0].attn
    x = torch.randn(3, 8, 32)
    q, k, v = (t.reshape(3, 8, 2, 16).transpose(1, 2) for t in attention.qkv(x).chunk(3, -1))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(3, 8, 32)
    torch.testing.assert_close(attention(x), attention.proj(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", [*MLPS, *GPTS, *CNNS, *RESNETS])
def test_a_stack_has_the_numbers_of_a_loop(text):
    family, module, params, x, y = problem(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses, grads = stacked.gradient(module, family.loss, params, x, y, torch.float32)
        outputs = stacked.predict(module, params, x, torch.float32, reference=6)
    for r, c in ((0, 0), (1, 3)):
        cell = {name: value[r, c] for name, value in params.items()}
        grad, loss = grad_and_value(lambda p: family.loss(functional_call(module, p, (x[r],)), y[r]))(cell)  # noqa: B023
        assert losses[r, c].item() == pytest.approx(loss.item(), rel=1e-6)
        for name, g in grad.items():
            assert (grads[name][r, c] - g).norm() <= 1e-6 * g.norm() + 1e-7, name
        torch.testing.assert_close(outputs[r, :, c], functional_call(module, cell, (x[r],), {"reference": 6}), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("text", [*MLPS, *GPTS, *CNNS, *RESNETS])
def test_a_cell_has_the_same_bits_in_any_slot(text, compute):
    family, module, params, x, y = problem(text, cells=32)
    held = torch.cat([x, x], 1)[:, :13]
    losses, grads = stacked.gradient(module, family.loss, params, x, y, compute)
    outputs = stacked.predict(module, params, held, compute, reference=8)
    assert all(torch.isfinite(g).all() for g in grads.values()) and outputs.dtype == torch.float32
    for r, cells in ((slice(0, 2), torch.arange(32).roll(1)), (slice(0, 2), torch.arange(5, 21)), (slice(1, 2), torch.arange(9, 25)),
                     (slice(0, 1), torch.full((16,), 3))):
        part = {name: value[r, cells].contiguous() for name, value in params.items()}
        loss, grad = stacked.gradient(module, family.loss, part, x[r], y[r], compute)
        assert torch.equal(loss, losses[r, cells])
        assert all(torch.equal(g, grads[name][r, cells]) for name, g in grad.items())
        assert torch.equal(stacked.predict(module, part, held[r], compute, reference=8), outputs[r][:, :, cells])


@pytest.mark.parametrize("text", ["mlp:norm=bn,affine=no,head=frozen,eps=0", "resnet:width=4,affine=no,head=frozen,eps=0"])
def test_weights_before_a_norm_without_affine_are_scale_invariant(text):
    """f(a w) = f(w) and the gradient is orthogonal to w (claims I18), for everything that is trained."""
    family, module, params, x, y = problem(text, dtype=torch.float64, rows=32)
    _, options = models.parse(text)
    trained = [name for name in params if not family.frozen(options, name)]
    assert {family.group(name) for name in trained} == {"hidden"}
    scaled = {name: value * (7.3 if name in trained else 1.0) for name, value in params.items()}
    before, after = (stacked.predict(module, p, x, torch.float64) for p in (params, scaled))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)
    _, grads = stacked.gradient(module, family.loss, params, x, y, torch.float64)
    _, smaller = stacked.gradient(module, family.loss, scaled, x, y, torch.float64)
    for name in trained:
        g, w = grads[name][0, 0], params[name][0, 0]
        assert abs((g * w).sum()) < 1e-12 * g.norm() * w.norm()
        torch.testing.assert_close(7.3 * smaller[name], grads[name], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("text", [*MLPS, *GPTS, *CNNS, *RESNETS])
def test_bf16_is_close_to_fp32_and_tokens_are_not_cast(text):
    family, module, params, x, y = problem(text, rows=16)
    exact, _ = stacked.gradient(module, family.loss, params, x, y, torch.float32)
    rounded, grads = stacked.gradient(module, family.loss, params, x, y, torch.bfloat16)
    assert not torch.equal(exact, rounded) and all(g.dtype == torch.float32 for g in grads.values())
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


def test_softmax_in_the_master_type_differs_in_bf16_only():
    family, module, params, x, y = problem("gpt:width=32,heads=2,context=8,vocab=48", jitter=0.0)
    params = {name: value * 10 if value.ndim == 4 else value for name, value in params.items()}
    other = copy.deepcopy(module)
    for block in other.blocks:
        block.attn.wide = False
    for compute, same in ((torch.float32, True), (torch.bfloat16, False)):
        a, b = (stacked.predict(m, params, x, compute) for m in (module, other))
        assert torch.equal(a, b) == same


def test_start_values_are_std_times_the_engines_draws():
    family, options = models.parse("mlp:norm=bn,width=8")
    module = family.build(options, 4, 3)
    normals = {name: torch.randn(2, *p.shape) for name, p in module.named_parameters()}
    scale = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
    start = stacked.initial(family, options, module, normals, scale)
    torch.testing.assert_close(start["hidden.1.weight"][0, 1], normals["hidden.1.weight"][0] * 2 * math.sqrt(2 / 8))
    assert (start["norms.0.gain"] == 1).all() and (start["head.bias"] == 0).all() and start["head.bias"].shape == (2, 2, 3)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_stacks_softmax_loss_and_slope_are_those_of_automatic_differentiation(classes):
    draws = torch.Generator().manual_seed(1)
    z = 30 * torch.randn(2, 3, 7, classes, dtype=torch.float64, generator=draws)
    y = torch.randint(classes, (2, 7), generator=draws).double()
    loss, slope = losses.softmax_loss_and_slope(z, y)
    for r, c in product(range(2), range(3)):
        leaf = z[r, c].clone().requires_grad_()
        wanted = losses.softmax_loss(leaf, y[r])
        wanted.backward()
        torch.testing.assert_close(loss[r, c], wanted.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(slope[r, c], leaf.grad, rtol=1e-12, atol=1e-14)
