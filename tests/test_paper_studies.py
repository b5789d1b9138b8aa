"""Every study of the tiers that this machine does not finish starts: three real steps of one cell, with few rows."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wdbench import datasets, endprobes, fits, grid, models, resolve, tokens
from wdbench.config import experiment
from wdbench.datasets import registry
from wdbench.datasets.records import Dataset

STEPS, ROWS, CHUNKS, CONTEXT, IMAGES = 3, 4, 2, 64, 200
# each model is taken once at its full size; further studies of it differ in arithmetic, coupling and schedule, which a narrow one shows
FULL_SIZE = ("paper_vgg", "paper_resnet18", "paper_resnet34", "paper_gpt_momentum")
NARROW = {"gpt": {"depth": 2, "width": 32, "heads": 4}, "preact": {"width": 20}, "vgg": {"width": 20}}


def studies():
    found = {}
    for profile in ("nightly", "paper"):
        for name, study in experiment.load(profile=profile).studies.items():
            if study.tier in ("nightly", "paper"):
                found[name] = study
    return found


STUDIES = studies()


def stand_in(entry, context):
    """Random values of the shape and the type of a data set that is not here: every class, and as many rows as a few batches need."""
    rng = np.random.default_rng(0)
    if entry.kind == "tokens":
        size = CHUNKS * (context + 1)
        train, held = (rng.integers(0, entry.n_classes, size).astype(np.uint16) for _ in range(2))
        return Dataset(entry.id, entry.task, train, None, (), (), held, "stand-in")
    # twenty rows of the first class, so that a row of it is left for validation, and one of each other
    y = np.concatenate([np.arange(entry.n_classes), np.zeros(19, dtype=np.int64), np.arange(2)])
    X = rng.integers(0, 256, (len(y), entry.shape[1])).astype(np.uint8)
    return Dataset(entry.id, entry.task, X, y, tuple(f"x{j}" for j in range(X.shape[1])), tuple(map(str, range(entry.n_classes))),
                   np.arange(len(y) - 2, len(y)) if entry.split == "given_test" else None, "stand-in")


def cut(dataset, batch):
    """The data set with as few training rows as a batch needs, where the study does not say how many of each class it takes; tokens in
    rows that are shorter than the model would take.
    """
    parsed = datasets.parse(dataset)
    entry = registry.entry(parsed.name)
    if {"per_class", "imbalance"} & set(parsed.options):
        return parsed.text
    count = {"tokens": CHUNKS, "language": 8}.get(entry.kind, batch)
    options = {name: entry.options[name].write(value) for name, value in parsed.options.items()} | {"n": str(count)}
    options |= {"context": str(CONTEXT)} if entry.kind == "tokens" else {}
    return datasets.canonical(f"{parsed.name}:" + ",".join(f"{name}={value}" for name, value in options.items()))


def narrow(model):
    """The model with fewer units, where NARROW has its family; still of a million weights."""
    family, options = models.parse(model)
    options |= NARROW.get(family.name, {})
    written = ",".join(f"{key}={setting.option.write(options[key])}" for key, setting in family.options.items())
    return models.canonical(f"{family.name}:{written}" if written else family.name)


def cell(name):
    """The study's last cell of its first data set and learning rate, in its first block, with its steps, batch and data cut down."""
    study = STUDIES[name]
    dataset, model, optimiser = study.datasets[0], models.canonical(study.model[0]), study.optimisers[0]
    rate = study.lr[optimiser].numbers()[0]
    found = [c for c in grid.cells(study, dataset, model, optimiser) if c.replicate == study.first_replicate and c.lr == rate][-1]
    if name not in FULL_SIZE:
        model = narrow(model)
    batch = 1 if datasets.task(dataset) == "language" else ROWS
    # an average of GPT-2's weights would be another two gigabytes
    ema = 0.0 if name == "paper_gpt_momentum" else found.ema
    return replace(found, dataset=cut(dataset, ROWS), model=model, steps=STEPS, batch_size=batch, ema=ema)


@pytest.fixture
def few(monkeypatch):
    load = registry.load

    def loaded(name):
        entry = registry.entry(name)
        if entry.kind in ("colour", "tokens") or (entry.kind == "image" and not datasets.status(name).available):
            return stand_in(entry, loaded.context)
        if entry.kind == "image" and entry.split == "given_test":
            # sixty thousand images through a convolutional network take minutes
            whole = load(name)
            kept = np.concatenate([np.setdiff1d(np.arange(len(whole.y)), whole.given_test)[:IMAGES], whole.given_test[:IMAGES]])
            return replace(whole, X=whole.X[kept], y=whole.y[kept], given_test=np.arange(IMAGES, 2 * IMAGES))
        return load(name)

    monkeypatch.setattr(registry, "load", loaded)
    monkeypatch.setattr(endprobes, "SIGN_VECTORS", 1)
    for split in ("train", "test", "val", "unseen"):
        monkeypatch.setitem(tokens.SCORED, split, CHUNKS)
    return loaded


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_takes_three_steps_and_has_finite_losses(name, few):
    chosen = cell(name)
    few.context = fits.features(chosen.dataset)
    base = datasets.base_name(chosen.dataset)
    if registry.entry(base).kind not in ("colour", "tokens", "image") and not datasets.status(base).available:
        pytest.skip(f"data set {base} is unavailable; get it with: {datasets.status(base).how_to_get}")
    (chunk,) = resolve.trained_rows({chosen: "cell"}, "0" * 64, lambda _: None)
    row, track = chunk["rows"].iloc[0], chunk["trajectories"]
    assert row["status"] == "ok" and row["steps"] == STEPS
    assert track["step"].tolist() == [1, 2, 3] and np.isfinite(track[["train_loss", "val_loss", "weight_norm"]]).all().all()
    assert track["weight_norm"].nunique() > 1 or chosen.sphere == "step"
    for split in ("train", "val", "test"):
        # four rows of a stand-in can be learnt to the last bit
        assert math.isfinite(row[f"{split}_loss"]) and row[f"{split}_loss"] >= 0
    if "curvature" in chosen.probes:
        assert math.isfinite(row["hessian_trace"]) and math.isfinite(row["sharpness"])
    # three steps have no spikes yet, but the probe was there
    assert "spikes" not in chosen.probes or "spike_steps" in chunk["rows"]


def test_the_paper_tier_is_a_profile_of_its_own():
    paper = experiment.load(profile="paper")
    assert set(paper.studies) == {name for name, study in STUDIES.items() if study.tier == "paper"} and len(paper.studies) >= 16
    for profile in ("core", "gpt", "nightly"):
        assert not set(paper.studies) & set(experiment.load(profile=profile).studies)
