"""Spec strings, the registry and plugins."""

import numpy as np
import pytest

from wdbench import datasets
from wdbench.datasets import Dataset, registry, spec
from wdbench.errors import UserError


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("digits", "digits"),
        (" digits : scale = raw ", "digits:scale=raw"),
        ("sparse:snr=2.0,p=200,rho=0.50", "sparse:p=200,rho=0.5,snr=2"),
        ("college:y_shift=1e1", "college:y_shift=10"),
        ("hitters:y_shift=-0.1", "hitters:y_shift=-0.1"),
        ("d2l:sigma=1e-05", "d2l:sigma=1e-05"),
    ],
)
def test_canonical_form_is_a_fixed_point(written, canonical):
    assert datasets.canonical(written) == canonical
    assert datasets.canonical(canonical) == canonical
    assert datasets.base_name(written) == canonical.split(":")[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("digit", "valid: diabetes hitters"),
        ("digits:colour=red", "option colour: not known for digits; valid: colscale corrupt imbalance label_noise"),
        ("digits:n=ten", "option n: value 'ten'; valid: an integer of at least 1"),
        ("digits:n=0", "value '0'"),
        ("digits:n=5,n=6", "given twice"),
        ("digits:n", "not of the form key=value"),
        ("digits:", "not of the form key=value"),
        ("digits:scale=log", "valid: unit zscore raw minmax"),
        ("digits:label_noise=1.5", "at most 1"),
        ("digits:label_noise=nan", "value 'nan'"),
        ("digits:minority=0.1", "option minority: not known"),
        ("diabetes:label_noise=0.1", "option label_noise: not known"),
        ("breast_cancer:y_shift=1", "option y_shift: not known"),
        ("breast_cancer:minority=0.6", "above 0 and at most 0.5"),
        ("digits:n=50,per_class=5", "exclude each other"),
        ("gauss:n=1000000000", "option n: value '1000000000'; valid: an integer of at least 1 and at most 1000000"),
        ("gauss:p=1000000000", "valid: an integer of at least 1 and at most 10000"),
        ("gauss:n=1000000,p=10000", "2,001,000 rows of 10,000 columns; valid: at most 100,000,000 numbers in all"),
        ("digits:noise_features=1000000000", "and at most 10000"),
        ("digits:n=50,imbalance=5", "n and imbalance exclude each other"),
        ("digits:imbalance=0.5", "a number of at least 1"),
        ("khan:imbalance=2", "option imbalance: not known for khan"),
        ("shakespeare:scale=raw", "option scale: not known for shakespeare; valid: context holdout n"),
        ("shakespeare:context=0", "an integer of at least 1 and at most 1024"),
        ("shakespeare:context=2000", "at most 1024"),
        ("shakespeare:holdout=act", "valid: interleaved play"),
        ("shakespeare:label_noise=0.1", "not known for shakespeare"),
        ("digits:colscale=3", "valid: scale=zscore"),
        ("digits:scaler=all", "valid: scale=zscore or minmax"),
        ("digits:noisy_test=1", "needs label noise"),
        ("reuters_r8:top=10,svd=5", "exclude each other"),
        ("reuters_r8:scale=zscore", "needs dense columns"),
        ("reuters_r8:corrupt=1", "needs dense columns"),
        ("sparse:p=10,s=11", "at most p"),
        ("sparse:rho=1", "at most 0.999"),
        ("twoclass:prior=0.002", "leaves no positive row"),
        ("grouped:truth=sparse", "valid: dense one_per_group"),
    ],
)
def test_wrong_specs_are_named_with_what_is_valid(wrong, said):
    with pytest.raises(UserError) as caught:
        datasets.canonical(wrong)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tasks_are_known_without_data(monkeypatch, tmp_path):
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path))
    tasks = {
        "diabetes": "regression",
        "caravan": "binary",
        "khan": "multiclass",
        "twoclass": "binary",
        "zou3": "regression",
        "shakespeare": "language",
    }
    assert {name: datasets.task(name) for name in tasks} == tasks
    assert datasets.status("caravan").available is False
    assert datasets.status("caravan").how_to_get == "python -m wdbench data fetch caravan"
    assert datasets.status("digits").available is True


def test_a_status_digest_names_the_data_and_not_the_archive():
    # a set without a registered digest has one where its files are
    known = [datasets.status(name) for name in datasets.names()]
    digests = [status.sha256 for status in known if status.available or status.sha256]
    assert all(len(digest) == 64 for digest in digests) and len(set(digests)) == len(digests)
    assert datasets.status("diabetes").sha256 == datasets.load("diabetes").sha256
    assert datasets.status("sparse").sha256 == datasets.block("sparse", 0).sha256


def test_every_entry_is_complete():
    for name, entry in registry.entries().items():
        assert entry.citation and entry.licence, name
        if entry.provider in ("sklearn", "wheel", "debian"):
            assert entry.check is not None and len(entry.data_sha256) == 64 and not entry.redistributable, (
                name
            )
            assert abs(sum(entry.shares) - 1) < 1e-12 and len(entry.shares) == (
                2 if entry.split == "given_test" else 3
            )
            assert entry.task == "language" or entry.scale in entry.options["scale"].choices
        if entry.provider == "wheel":
            assert len(entry.archive.sha256) == 64 and entry.members, name
        if entry.provider == "debian":
            assert entry.archive is None and entry.package and entry.folders and entry.members, name


@pytest.fixture
def plugins():
    before = dict(registry._plugins)
    yield
    registry._plugins.clear()
    registry._plugins.update(before)
    registry._load_cached.cache_clear()


def _toy(name="toy", task="binary", rows=40):
    rng = np.random.default_rng(1)
    return Dataset(name, task, rng.standard_normal((rows, 3)), np.arange(rows) % 2)


def test_a_plugin_becomes_an_ordinary_data_set(plugins):
    datasets.register("toy", _toy, task="binary", scales=("zscore", "raw"))
    assert "toy" in datasets.names()
    block = datasets.block("toy:per_class=5,label_noise=0.2", 0)
    assert block.X["train"].shape == (10, 3) and block.task == "binary" and block.n_outputs == 1
    assert datasets.load("toy").sha256 == datasets.load("toy").sha256 != ""
    assert datasets.status("toy") == datasets.Status(True, "", datasets.load("toy").sha256)
    with pytest.raises(UserError, match="a name that is not taken"):
        datasets.register("toy", _toy, task="binary")
    with pytest.raises(UserError, match="a name that is not taken"):
        datasets.register("digits", _toy, task="binary", overwrite=True)


@pytest.mark.parametrize(
    ("loader", "fields", "said"),
    [
        (lambda: _toy(task="multiclass"), {}, "field name, task"),
        (_toy, {"split": "given_test"}, "field given_test"),
        (lambda: Dataset("toy", "binary", np.full((4, 2), np.nan), np.array([0, 1, 0, 1])), {}, "not finite"),
        (
            lambda: Dataset("toy", "binary", np.zeros((4, 2)), np.array([0, 2, 0, 2])),
            {},
            "every class of 0..1",
        ),
        (lambda: Dataset("toy", "binary", np.zeros((4, 2)), np.array([0, 1])), {}, "field X, y"),
        (_toy, {"data_sha256": "0" * 64}, "sha256 of the loaded values"),
    ],
)
def test_a_plugin_that_breaks_its_word_is_stopped(plugins, loader, fields, said):
    datasets.register("toy", loader, task="binary", **fields)
    with pytest.raises(UserError, match=said):
        datasets.load("toy")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Toy", {"task": "binary"}),
        ("toy", {"task": "ranking"}),
        ("toy", {"task": "language"}),
        ("toy", {"task": "multiclass"}),
        ("toy", {"task": "binary", "shares": (0.5, 0.5)}),
        ("toy", {"task": "binary", "scale": "tfidf"}),
        ("toy", {"task": "binary", "kind": "text"}),
    ],
)
def test_registration_refuses_fields_that_do_not_fit(plugins, name, fields):
    with pytest.raises(UserError, match="valid:"):
        datasets.register(name, _toy, **fields)


def test_spec_options_are_typed_and_frozen():
    parsed = spec.parse("digits:n=50,label_noise=0.1")
    assert dict(parsed.options) == {"n": 50, "label_noise": 0.1}
    with pytest.raises(TypeError):
        parsed.options["n"] = 3
