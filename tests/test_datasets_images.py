"""Image files in the idx format, Fashion-MNIST where it is installed, and long-tailed samples."""

import dataclasses
import gzip
import hashlib

import numpy as np
import pytest

from wdbench import datasets
from wdbench.datasets import DatasetUnavailable, fetch, idx, images, registry, splits
from wdbench.errors import UserError

GET = "apt-get install dataset-fashion-mnist"


def _idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def test_idx_files_are_read_back():
    for shape in ((5, 2, 3), (7,)):
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        assert np.array_equal(idx.read(_idx(array), "file", len(shape)), array)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: whole[:-1], "file: 45 bytes; valid: 46, as its sizes 5 x 2 x 3 announce"),
        (lambda whole: whole + b"\0", "file: 47 bytes; valid: 46"),
        (lambda whole: whole[:9], "ends within its header, after 9 bytes; valid: 16"),
        (lambda whole: whole[:3] + b"\1" + whole[4:], "magic number 0x00000801; valid: 0x00000803"),
        (lambda whole: b"", "magic number 0x; valid"),
        (lambda whole: whole[:4] + b"\xff" * 4 + whole[8:], "as its sizes 4294967295 x 2 x 3 announce"),
    ],
)
def test_a_damaged_idx_file_is_one_clear_sentence(change, said):
    with pytest.raises(UserError) as caught:
        idx.read(change(_idx(np.zeros((5, 2, 3)))), "file", 3)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Entry of six made-up garments, three of them test, in a folder of its own."""
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path))
    pixels, labels = np.arange(24).reshape(6, 2, 2), np.arange(6) % 3
    contents = {
        "train-images-idx3-ubyte": _idx(pixels[:3]),
        "train-labels-idx1-ubyte": _idx(labels[:3]),
        "t10k-images-idx3-ubyte": _idx(pixels[3:]),
        "t10k-labels-idx1-ubyte": _idx(labels[3:]),
    }
    place = tmp_path / "fashion-mnist"
    place.mkdir()
    for name, content in contents.items():
        (place / f"{name}.gz").write_bytes(gzip.compress(content))
    entry = dataclasses.replace(
        registry.entry("fashion_mnist"),
        shape=(6, 4),
        n_classes=3,
        members={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        folders=("$WDBENCH_DATA/nowhere", "$WDBENCH_DATA/fashion-mnist"),
    )
    return entry, place, contents


def test_files_are_found_plain_or_packed(toy):
    entry, place, contents = toy
    data = images.load(entry)
    assert np.array_equal(data.X, np.arange(24).reshape(6, 4)) and np.array_equal(data.given_test, [3, 4, 5])
    name = "t10k-images-idx3-ubyte"
    (place / f"{name}.gz").unlink()
    assert not fetch.available(entry)
    (place / name).write_bytes(contents[name])
    assert fetch.available(entry) and images.load(entry).sha256 == data.sha256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"something else", mtime=0), "expected sha256"),
        (gzip.compress(b"half of it" * 99, mtime=0)[:-20], "cannot be unpacked"),
        (b"not packed", "cannot be unpacked"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "cannot be unpacked"),
    ],
)
def test_damaged_files_are_named_with_the_command(toy, content, said):
    entry, place, _ = toy
    (place / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(UserError) as caught:
        images.load(entry)
    message = str(caught.value)
    assert "train-labels-idx1-ubyte.gz: damaged" in message and said in message and "\n" not in message
    assert "apt-get install --reinstall dataset-fashion-mnist" in message


def test_a_package_that_is_not_installed_is_reported_and_never_required(toy, monkeypatch):
    entry = dataclasses.replace(toy[0], folders=("$WDBENCH_DATA/nowhere",))
    with pytest.raises(DatasetUnavailable, match=f"nowhere; get it with `{GET}`"):
        images.load(entry)
    monkeypatch.setitem(registry._frozen(), "fashion_mnist", entry)
    assert datasets.status("fashion_mnist") == datasets.Status(False, GET, entry.data_sha256)
    with pytest.raises(DatasetUnavailable, match=GET):
        fetch.fetch(["fashion_mnist"])
    monkeypatch.setattr(fetch, "_fetch_one", lambda archive: archive.file)
    assert len(fetch.fetch()) == 4, "all that is to be had is fetched without it"


def block(spec, replicate=0):
    try:
        return datasets.block(spec, replicate)
    except DatasetUnavailable as error:
        pytest.skip(str(error))


def test_fashion_mnist_has_the_published_split():
    found = block("fashion_mnist:per_class=30,label_noise=0.2")
    assert [len(found.y[part]) for part in ("train", "val", "test")] == [300, 10_000, 10_000]
    assert np.array_equal(found.rows["test"], np.arange(60_000, 70_000))
    assert found.X["train"].dtype == np.float64 and found.X["test"].max() == 1
    assert np.array_equal(np.bincount(found.y["test"]), np.full(10, 1000))
    assert found.rows["train"].max() < 60_000
    raw = datasets.load("fashion_mnist").X
    assert np.array_equal(found.X["train"], raw[found.rows["train"]] / 255)


def test_long_tail_counts_are_those_of_the_formula():
    assert splits.long_tail(5000, 10, 100).tolist() == [5000, 2997, 1797, 1077, 646, 387, 232, 139, 83, 50]
    assert splits.long_tail(40, 3, 1).tolist() == [40, 40, 40]


@pytest.mark.parametrize("name", ["digits", "mnist_5k:per_class=80", "fashion_mnist:per_class=200"])
def test_imbalance_thins_the_train_rows_to_a_long_tail(name):
    joint = "," if ":" in name else ":"
    plain, mild, steep = (block(f"{name}{joint}imbalance={factor}") for factor in (1, 10, 50))
    counts = np.bincount(steep.y["train"], minlength=10)
    largest = np.bincount(plain.y["train"]).min()
    assert np.array_equal(np.sort(counts)[::-1], splits.long_tail(largest, 10, 50))
    assert set(steep.rows["train"]) < set(mild.rows["train"]) < set(plain.rows["train"])
    for part in ("val", "test"):
        assert np.array_equal(steep.X[part], plain.X[part]) and np.array_equal(steep.y[part], plain.y[part])
    assert steep.descriptors["imbalance"] == 50
    assert steep.descriptors["minority_share"] == counts.min() / counts.sum()


def test_the_ranking_of_the_classes_is_that_of_the_replicate():
    def ranking(spec, replicate):
        return np.argsort(np.bincount(datasets.block(spec, replicate).y["train"], minlength=10)).tolist()

    orders = [ranking("digits:imbalance=50", replicate) for replicate in range(6)]
    assert len(set(map(tuple, orders))) == 6
    assert ranking("digits:imbalance=20,scale=raw", 3) == orders[3]
    assert datasets.block("digits:imbalance=50", 3).sha256 == datasets.block("digits:imbalance=50", 3).sha256


def test_a_prefix_of_a_long_tailed_sample_keeps_its_shares():
    y = datasets.block("digits:imbalance=10", 0).y["train"]
    whole, prefix = np.bincount(y) / len(y), np.bincount(y[:200], minlength=10) / 200
    assert np.abs(whole - prefix).max() < 0.01


def test_too_steep_a_tail_is_refused():
    with pytest.raises(
        UserError,
        match="option imbalance: value 500 leaves the smallest class no train row; valid: from 1 to 10[0-9],",
    ):
        datasets.block("digits:imbalance=500", 0)
    with pytest.raises(UserError, match="valid: from 1 to 5,"):
        datasets.block("digits:per_class=5,imbalance=6", 0)


@pytest.mark.parametrize("name", ["digits:per_class=100,imbalance=100", "mnist_5k:per_class=100,imbalance=100"])
def test_a_long_tail_of_training_rows_leaves_the_test_rows_balanced(name):
    found = block(name, 3)
    train, test, val = (np.bincount(found.y[part], minlength=10) for part in ("train", "test", "val"))
    assert train.max() / train.min() == 100
    assert test.max() / test.min() < 1.1 and val.max() / val.min() < 1.1
