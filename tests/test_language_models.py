"""Language models through the engine: a plain loop, the bit contract, what is scored, what is refused."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch.func import functional_call

from wdbench import cells, engine, grid, models, precision, seeds, tokens
from wdbench.config.experiment import Experiment
from wdbench.config.study import Study
from wdbench.errors import UserError

SYMBOLS, CONTEXT, STEPS, BATCH = 11, 8, 10, 4
MODEL = f"gpt:context={CONTEXT},depth=1,heads=2,vocab=16,width=16"
ROWS = {"train": 60, "val": 20, "test": 24}


def data(replicates=1):
    found = {}
    for r in range(replicates):
        rng = np.random.default_rng(r)
        x = {s: rng.integers(0, SYMBOLS, (n, CONTEXT)).astype(np.uint8) for s, n in ROWS.items()}
        # the next symbol is one more, with noise: there is something to learn
        y = {s: ((v + 1 + (rng.random(v.shape) < 0.2)) % SYMBOLS).astype(float) for s, v in x.items()}
        found[r] = cells.Data("toy", "language", SYMBOLS, x["train"], y["train"], x["val"], y["val"], x["test"], y["test"])
    return found


def run(coupling="decoupled", lam=0.3, arithmetic=("fp64", "none"), optimiser="adam", steps=STEPS, replicate=0, **changes):
    program = cells.Program(MODEL, optimiser, *arithmetic, "cosine", steps, BATCH, cells.FORMS[coupling], False, beta2=0.95)
    return replace(cells.Run(program, coupling, 0.0, lam, 0.01, "weights", 1.0, replicate), **changes)


def train(runs, found):
    return dict(pair for chunk in engine.train(runs, found) for pair in chunk)


def loop(lam, clip):
    """Parameters after STEPS of torch's AdamW on one module, with gradients clipped."""
    family, options = models.parse(MODEL)
    module = family.build(options, CONTEXT, SYMBOLS).double()
    params = {}
    for i, (name, p) in enumerate(module.named_parameters()):
        kind, number = family.initial(options, name, tuple(p.shape))
        draw = torch.tensor(seeds.generator("toy", 0, "init", i).standard_normal(tuple(p.shape)))
        params[name] = torch.nn.Parameter(draw * number if kind == "normal" else torch.full_like(draw, number))
    groups = [{"params": [p for n, p in params.items() if (family.group(n) == "norm") == gains], "weight_decay": 0.0 if gains else lam}
              for gains in (False, True)]
    optimiser = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    d = data()[0]
    order = engine.batches("toy", 0, ROWS["train"], STEPS, BATCH)
    for t in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * t / STEPS))
        optimiser.zero_grad()
        logits = functional_call(module, params, (torch.tensor(d.x[order[t]]).long(),))
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(d.y[order[t]]).long().flatten()).backward()
        torch.nn.utils.clip_grad_norm_(params.values(), clip)
        optimiser.step()
    return family, module, {n: p.detach() for n, p in params.items()}, order


def loss_of(module, params, x, y):
    logits = functional_call(module, params, (torch.tensor(x).long(),))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(y).long().flatten())
    return loss.item(), (logits.argmax(-1).numpy() != y).mean()


def test_training_and_scores_equal_a_plain_loop():
    family, module, params, order = loop(0.3, 0.4)
    found = train([run(clip=0.4)], data())[0]
    flat = np.concatenate([p.numpy().ravel() for n, p in params.items() if family.group(n) != "norm"])
    np.testing.assert_allclose(found.weight, flat, rtol=1e-4, atol=1e-7)  # torch's clipping divides by the norm + 1e-6
    d = data()[0]
    seen = np.zeros(ROWS["train"], bool)
    seen[np.unique(order)] = True
    for split, pair in {"train": (d.x[seen], d.y[seen]), "unseen": (d.x[~seen], d.y[~seen]), "val": (d.x_val, d.y_val),
                        "test": (d.x_test, d.y_test)}.items():
        loss, error = loss_of(module, params, *pair)
        assert found.scores[f"{split}_loss"] == pytest.approx(loss, rel=1e-4)
        assert found.scores[f"{split}_error"] == pytest.approx(error, abs=0.02)


def test_half_way_scores_are_those_of_half_a_constant_run_and_nothing_is_unseen_after_an_epoch():
    constant = replace(run().program, schedule="constant")
    whole = train([run(program=replace(constant, steps=2 * STEPS))], data())[0].scores
    half = train([run(program=constant)], data())[0].scores
    assert whole["mid_val_loss"] == pytest.approx(half["val_loss"], rel=1e-12)
    assert math.isnan(whole["unseen_loss"]) and whole["val_loss"] < whole["mid_val_loss"]


ARITHMETIC = [("fp32", "none"), ("bf16_compute", "none"), ("bf16_weights", "nearest_split"), ("bf16_weights", "stochastic"),
              ("bf16_weights", "kahan"), ("bf16_weights", "nearest_once")]


ODD = f"gpt:context={CONTEXT + 1},depth=1,heads=2,vocab=13,width=10"


CASES = [*product(ARITHMETIC, ("adam",), (MODEL, ODD)), (("fp32", "none"), "momentum", ODD)]


@pytest.mark.parametrize("arithmetic, optimiser, model", CASES)
def test_a_language_model_has_the_same_bits_alone_and_in_any_pack(arithmetic, optimiser, model):
    """ODD: no size is a multiple of a vector register, which is where a neighbour's numbers could matter."""
    base = replace(run("decoupled", 0.1, arithmetic, optimiser, steps=6).program, model=model)
    runs = [run(c, 0.1 * i, arithmetic, optimiser, replicate=r, clip=(math.inf, 0.5)[i % 2], lr=0.01 * (1 + i), program=base)
            for i, c in enumerate(("decoupled", "coupled", "independent") * 2) for r in range(2)]
    whole = train(runs, data(2))
    for position in (0, 5, 11):
        alone = train([runs[position]], data(2))[0]
        assert (alone.weight == whole[position].weight).all() and (alone.bias == whole[position].bias).all()
        assert alone.scores == whole[position].scores and alone.trajectory == whole[position].trajectory
        assert repr(alone.probe) == repr(whole[position].probe)


def test_a_score_does_not_depend_on_how_many_chunks_are_taken_at_once(monkeypatch):
    whole = train([run()], data())[0].scores
    monkeypatch.setattr(tokens, "CHUNKS_AT_ONCE", 7)
    assert train([run()], data())[0].scores == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("model, dataset, what", [
    ("gpt:context=32", "shakespeare", "context: value 32"), ("gpt", "shakespeare:context=128", "context: value 64"),
    ("gpt:vocab=64", "shakespeare", "vocab: value 64"), ("gpt", "digits", "multiclass"), ("mlp", "shakespeare", "language")])
def test_a_model_that_cannot_take_the_text_is_refused_before_anything_is_trained(model, dataset, what):
    study = Study(**{"datasets": [dataset], "model": model, "penalties": ["none"], "lambda": {}, "optimisers": ["adam"], "steps": 3,
                     "lr": {"adam": {"unit": "absolute", "values": [0.01]}}, "batch_size": 4})
    with pytest.raises(UserError, match=what):
        grid._models(study, dataset)


def test_batch_norm_is_refused_on_a_batch_of_one():
    study = Study(**{"datasets": ["digits"], "model": "mlp:norm=bn", "penalties": ["none"], "lambda": {}, "optimisers": ["sgd"],
                     "lr": {"sgd": {"unit": "absolute", "values": [0.01]}}, "steps": 3, "batch_size": [1, 8]})
    with pytest.raises(UserError, match="batch_size: value 1"):
        grid._models(study, "digits")


def test_precision_of_symbols_is_never_cut():
    """bf16 has no 257: symbols must reach the embedding as integers."""
    assert precision.inputs(torch.tensor([257]), torch.bfloat16).item() == 257


def test_replicates_of_a_language_model_are_packs_of_their_own():
    study = {"datasets": ["shakespeare", "shakespeare:n=500"], "model": "gpt", "penalties": ["none", "l2"], "optimisers": ["adam"],
             "lambda": {"l2": {"unit": "clock", "values": [1.0]}}, "lr": {"adam": {"unit": "absolute", "values": [0.01]}}, "steps": 3,
             "batch_size": 4, "replicates": 3}
    experiment = Experiment(profile="core", results="r", claims="c", studies={"a": study})
    packs = grid.members(experiment)
    assert list(packs) == [f"shakespeare~gpt~adam~{r}" for r in range(3)]
    for r, pack in enumerate(packs):
        made = grid.pack_cells(experiment, pack)
        assert len(made) == 4 and {c.replicate for c in made} == {r} and {c.pack for c in made} == {pack}
    assert not grid.has_oracle("shakespeare~gpt~adam~0")
