"""The paper's models: sizes, layers against torch's own, and that a model trained alone is the one that a stack would train."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from wdbench import cells, costs, engine, lone, models
from wdbench.errors import UserError

torch.set_num_threads(1)
GPT2 = "gpt:context={},depth=12,heads=12,vocab=50304,width=768"


def conv(a, b, k):
    return a * b * k * k


# of PreAct ResNet-18: pixel norm, stem, and for each stage its blocks' two 3x3 convolutions, norms and 1x1 shortcut
WIDTHS = (64, 128, 256, 512)
RESNET18 = 6 + conv(3, 64, 3) + 2 * 512 + 512 * 10 + 10 + sum(
    conv(a, b, 3) + 3 * conv(b, b, 3) + (conv(a, b, 1) if a != b else 0) + 2 * a + 3 * 2 * b
    for a, b in zip((64, *WIDTHS), WIDTHS, strict=False))


@pytest.mark.parametrize("text, features, outputs, count, published", [
    # millions as published: 11.17 (github.com/kuangliu/pytorch-cifar), 21.3 (torchvision's ResNet-34 has 21.28 in its body and 1,000
    # classes' stem), 14.7 (VGG16 for CIFAR), 124 (GPT-2 small)
    ("preact", 3072, 10, RESNET18, 11.17),
    ("preact:layers=34", 3072, 100, None, 21.33),
    ("vgg", 3072, 10, 14_719_818, 14.72),
    ("vgg:classifier=3", 3072, 10, 14_719_818 + 2 * (512 * 512 + 512), 15.25),
    (GPT2.format(1024), 1024, 50257, 50304 * 768 + 1024 * 768 + 12 * (12 * 768**2 + 2 * 768) + 768, 124.37),
    (GPT2.format(256), 256, 50257, None, 123.78),
])
def test_parameter_counts_are_the_published_ones(text, features, outputs, count, published):
    found = lone.weights(*models.parse(text), features, outputs)
    assert round(found / 1e6, 2) == published
    assert count is None or found == count


def test_start_values_of_gpt2():
    family, options = models.parse(GPT2.format(1024))
    assert family.initial(options, "wte.weight", (50304, 768)) == family.initial(options, "wpe.weight", (1024, 768)) == ("normal", 0.02)
    assert family.initial(options, "blocks.3.mlp.proj.weight", (768, 3072)) == ("normal", 0.02 / math.sqrt(24))
    assert family.initial(options, "blocks.3.attn.qkv.weight", (2304, 768)) == ("normal", 0.02)
    assert family.initial(options, "ln.gain", (768,)) == ("constant", 1.0)


def test_start_values_of_images_are_torchs_fan_out_and_its_default_for_linear_layers():
    family, options = models.parse("vgg:classifier=3")
    torch.manual_seed(0)
    for shape in ((128, 64, 3, 3), (512, 512)):
        w = torch.empty(shape)
        if len(shape) == 4:
            nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
        else:
            w = nn.Linear(shape[1], shape[0]).weight
        kind, std = family.initial(options, "linear.0.weight" if len(shape) == 2 else "conv.1.weight", shape)
        assert kind == "normal" and std == pytest.approx(w.std().item(), rel=0.01)


def reference_preact(module, x, repeats):
    """The forward pass of a pre-activation ResNet in torch's own functions, from the parameters of `module`."""
    norm = lambda z, layer: F.batch_norm(z, None, None, layer.gain, layer.bias, training=True)  # noqa: E731
    x = x.reshape(len(x), 3, 32, 32)
    x = F.conv2d(norm(x, module.norm), module.conv.weight, padding=1)
    strides = [2 if stage and not place else 1 for stage, count in enumerate(repeats) for place in range(count)]
    for block, stride in zip(module.blocks, strides, strict=True):
        z = F.relu(norm(x, block.norm1))
        shortcut = x if block.shortcut is None else F.conv2d(z, block.shortcut.weight, stride=stride)
        z = F.relu(norm(F.conv2d(z, block.conv1.weight, stride=stride, padding=1), block.norm2))
        x = shortcut + F.conv2d(z, block.conv2.weight, padding=1)
    pooled = F.adaptive_avg_pool2d(F.relu(norm(x, module.norm_out)), 1).flatten(1)
    return F.linear(pooled, module.head.weight, module.head.bias)


@pytest.mark.parametrize("layers, repeats", [("18", (2, 2, 2, 2)), ("34", (3, 4, 6, 3))])
def test_a_preactivation_resnet_is_that_of_torchs_functions(layers, repeats):
    family, options = models.parse(f"preact:layers={layers},width=4")
    torch.manual_seed(1)
    module = family.build(options, 3072, 10).double()
    x = torch.randn(6, 3072, dtype=torch.float64)
    assert len(module.blocks) == sum(repeats)
    assert sum(isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) for layer in module.modules()) + 1 == int(layers)
    torch.testing.assert_close(module(x), reference_preact(module, x, repeats))


def test_vgg_is_torchs_layers_in_a_row():
    family, options = models.parse("vgg:classifier=3,width=4")
    torch.manual_seed(2)
    module = family.build(options, 3072, 10).double()
    layers, a = [], 3
    for stage in ((4, 4), (8, 8), (16,) * 3, (32,) * 3, (32,) * 3):
        for b in stage:
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()]
            a = b
        layers.append(nn.MaxPool2d(2))
    plain = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)).double()
    rows = dict(zip((name for name, _ in plain.named_parameters()), module.parameters(), strict=True))
    x = torch.randn(3, 3072, dtype=torch.float64)
    torch.testing.assert_close(module(x), functional_call(plain, rows, (x.reshape(3, 3, 32, 32),)))


@pytest.mark.parametrize("text, features", [("vgg", 784), ("vgg", 3 * 64 * 64), ("preact", 3000), ("preact:channels=1", 3072)])
def test_rows_that_are_no_such_images_are_refused(text, features):
    with pytest.raises(UserError, match=f"{features} features"):
        lone.weights(*models.parse(text), features, 10)


# a network and text that are small, trained in a stack and, with the threshold at one weight, alone

ROWS = (40, 12, 12)


def images(side=8, channels=1):
    rng = np.random.default_rng(5)
    x = [rng.standard_normal((n, channels * side * side)) for n in ROWS]
    y = [rng.integers(0, 10, n).astype(float) for n in ROWS]
    return {0: cells.Data("toy", "multiclass", 10, x[0], y[0], x[1], y[1], x[2])}


def text():
    rng = np.random.default_rng(6)
    x = [rng.integers(0, 16, (n, 8)).astype(np.uint16) for n in ROWS]
    y = [((v + 1) % 16).astype(np.uint16) for v in x]
    return {0: cells.Data("toy", "language", 16, x[0], y[0], x[1], y[1], x[2], y[2])}


def runs(model, couplings=("decoupled", "decoupled", "coupled"), optimiser="sgd", lams=(0.0, 0.3, 0.3), precision="fp64"):
    base = cells.Program(model, optimiser, precision, "none", "drop", 6, 8, "plain", False, ema=0.5)
    return [cells.Run(replace(base, form=cells.FORMS[c]), c, 0.0, lam, 0.01 if optimiser == "adam" else 0.05, "weights", 1.0, 0, clip=1.0)
            for c, lam in zip(couplings, lams, strict=True)]


def train(found, data):
    return {position: outcome for chunk in engine.train(found, data) for position, outcome in chunk}


@pytest.fixture
def alone(monkeypatch):
    def threshold(weights):
        monkeypatch.setattr(lone, "LEAST_WEIGHTS", weights)
        lone.is_lone.cache_clear()
    yield threshold
    lone.is_lone.cache_clear()


TEXT = "gpt:context=8,depth=1,heads=2,vocab=16,width=16"
CASES = {
    "cnn": ("cnn:width=4", images, {}), "bn": ("preact:channels=1,width=2", images, {}),
    "mlp": ("mlp:depth=1,width=8", images, {"optimiser": "adam"}),
    "gpt": (TEXT, text, {"optimiser": "adam"}),
    "follower": (TEXT, text, {"optimiser": "adam", "couplings": ("lr_replay", "decoupled", "norm_replay"), "lams": (0.3, 0.3, 0.3)}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_cell_trained_alone_is_the_cell_of_a_stack(case, alone):
    model, data, changes = CASES[case]
    found = runs(model, **changes)
    stacked = train(found, data())
    alone(1)
    single = train(found, data())
    assert sorted(single) == [0, 1, 2]
    for position, outcome in single.items():
        other = stacked[position]
        np.testing.assert_allclose(outcome.weight, other.weight, rtol=1e-8, atol=1e-11)
        assert outcome.scores.keys() == other.scores.keys() and outcome.outputs.keys() == other.outputs.keys()
        for name, value in outcome.scores.items():
            np.testing.assert_allclose(value, other.scores[name], rtol=1e-9, err_msg=name)
        for iterate, splits in outcome.outputs.items():
            for split, z in splits.items():
                np.testing.assert_allclose(z, other.outputs[iterate][split], rtol=1e-7, atol=1e-9, err_msg=f"{iterate} {split}")
        tracks = ([[v for v in point[1:] if v is not None] for point in one.trajectory] for one in (outcome, other))
        np.testing.assert_allclose(*tracks, rtol=1e-8)
        assert outcome.diverged_step is None


@pytest.mark.parametrize("case", ["bn", "gpt", "follower"])
def test_a_cell_trained_alone_has_the_same_bits_whatever_is_asked_for_beside_it(case, alone):
    alone(1)
    model, data, changes = CASES[case]
    found = runs(model, precision="fp32", **changes)
    together = train(found, data())
    for position, run in enumerate(found):
        outcome = train([run], data())[0]
        assert outcome.weight.tobytes() == together[position].weight.tobytes()
        assert outcome.probe.keys() == together[position].probe.keys()


def test_a_batch_in_parts_has_the_gradient_of_the_whole(monkeypatch):
    family, options = models.parse(TEXT)
    module = family.build(options, 8, 16).double()
    params = {name: p.detach()[None, None].clone() for name, p in module.named_parameters()}
    x, y = (torch.randint(0, 16, (1, 7, 8), generator=torch.Generator().manual_seed(3)) for _ in range(2))
    whole = lone.gradient(module, family.loss, params, x, y, torch.float64)
    # three rows at a time: parts of 3, 3 and 1
    monkeypatch.setattr(lone, "TOKENS_AT_ONCE", 24)
    parts = lone.gradient(module, family.loss, params, x, y, torch.float64)
    loss = family.loss(module(x[0]), y[0])
    torch.testing.assert_close(whole[0][0, 0], loss.detach())
    torch.testing.assert_close(parts[0], whole[0], rtol=1e-12, atol=1e-13)
    for name, own in zip(params, torch.autograd.grad(loss, list(module.parameters())), strict=True):
        torch.testing.assert_close(whole[1][name][0, 0], own, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(parts[1][name], whole[1][name], rtol=1e-10, atol=1e-13)


def test_rows_taken_batch_by_batch_and_evaluated_in_parts_give_the_same_network(monkeypatch):
    found = runs("cnn:width=4")
    before = train(found, images())
    monkeypatch.setattr("wdbench.feed.HELD_BYTES", 0)
    monkeypatch.setattr("wdbench.measure.WHOLE", 0)
    monkeypatch.setattr("wdbench.measure.ROWS_AT_ONCE", 16)
    after = train(found, images())
    for position, outcome in before.items():
        assert outcome.weight.tobytes() == after[position].weight.tobytes()
        for split, z in outcome.outputs[""].items():
            np.testing.assert_allclose(after[position].outputs[""][split], z, rtol=1e-9)


def test_arithmetic_of_a_step_is_that_of_its_products():
    """Forward and both backward products of every layer; the first has no gradient of its input."""
    # 3 products of 2 n^2 a token and weight, less the one after the embedding, which is a look-up and counts nothing
    width, vocab, length = 16, 16, 8
    blocks = 12 * width**2 * length + 2 * length**2 * width
    assert costs.flops(TEXT, length, vocab) == pytest.approx(6 * (blocks + vocab * width * length), rel=1e-12)
    # a convolution of s x s pixels is a product of [b, 9 a] with [9 a, s s]
    convs = [(1, 4, 8), (4, 8, 4)]
    forward = [2 * 9 * a * b * s * s for a, b, s in convs] + [2 * 8 * 2 * 2 * 10]
    assert costs.flops("cnn:width=4", 64, 10) == pytest.approx(3 * sum(forward) - forward[0], rel=1e-12)
