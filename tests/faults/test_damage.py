"""Every kind of file in results/ and in the data cache, damaged in four ways: named, set aside, made again, and never read as data.

FILES is all that a run leaves: a file that no pattern there covers fails the test. All four ways to damage each kind in `make test-faults`;
one a kind, the ways in turn, in `make test`.
"""

import hashlib
import shutil
import subprocess
import zipfile
from dataclasses import replace
from itertools import cycle

import processes
import pytest
import smoke
from click.testing import CliRunner

from wdbench.datasets import fetch, registry
from wdbench.errors import UserError
from wdbench.verbs import main


def flipped(content, other):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGE = {
    "truncated": lambda content, other: content[: len(content) // 2],
    "flipped": flipped,
    "emptied": lambda content, other: b"",
    "of another run": lambda content, other: other,
}
SEALED = [*(f"smoke/{name}" for name in smoke.TABLES), "smoke/manifest.json", "smoke/report.html", "smoke/data_checks.csv",
          "smoke/figures/index.csv", "smoke/figures/*.csv", "smoke/figures/*.svg", "smoke/figures/*.png", "smoke/gallery/*.svg",
          "smoke/packs/*~exact.parquet", "smoke/packs/*.trajectories.parquet", "smoke/packs/*.supports.parquet",
          "smoke/packs/*.parquet", "smoke/oracle/*.parquet", "smoke/progress/*.json"]
SUMS = ["smoke/checksums/*", "smoke/figures/checksums/*", "smoke/packs/checksums/*", "smoke/oracle/checksums/*"]
STORE = ["store/*/*~oracle/rows-*.parquet", "store/*/*~exact/rows-*.parquet", "store/*/*/rows-*.parquet",
         "store/*/*/trajectories-*.parquet", "store/*/*/supports-*.parquet", "store/*/platform.json"]
UNREAD = ["smoke/logs/*.log", "smoke/gallery/.snakemake_timestamp"]
"""What jobs say and what Snakemake keeps for itself: read by no program."""
FILES = (*SEALED, *SUMS, *STORE, *UNREAD)


def files(folder):
    """(pattern, file) of every file in results/, by the first pattern that covers it."""
    results = folder / "results"
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        yield next((pattern for pattern in FILES if name.match(pattern)), None), path


def victims(folder, patterns):
    """The first file of each pattern."""
    found = {}
    for pattern, path in files(folder):
        if pattern in patterns:
            found.setdefault(pattern, path)
    return found


@pytest.fixture(scope="module")
def another(undisturbed, tmp_path_factory):
    """results/ of the same experiment on other replicates: files of the same names, and whole."""
    folder = processes.begun(tmp_path_factory.mktemp("another") / "run", undisturbed[0])
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(f"shift_replicates: 100\n{config}", encoding="utf-8")
    smoke.snakemake(folder)
    return folder


@pytest.fixture
def copied(undisturbed, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(undisturbed[0], folder)
    return folder


def hurt(folder, patterns, ways, another, tried):
    """Damage the first file of each pattern; {file: its bytes now}."""
    results, found = folder / "results", {}
    for (pattern, path), way in zip(victims(folder, patterns).items(), cycle(ways)):
        content = path.read_bytes()
        named = another / "results" / path.relative_to(results)
        if not named.exists():
            # chunks of the store have the sums of what is in them as their names
            named = next((p for p in sorted(named.parent.glob(f"{path.name.split('-')[0]}-*"))), path)
        damaged = DAMAGE[way](content, named.read_bytes())
        if damaged == content:
            # some tables are the same whatever was run
            way, damaged = "flipped", flipped(content or b"\0", b"")
        path.write_bytes(damaged)
        found[path] = damaged
        kind = "in the store" if pattern in STORE else "sums" if pattern in SUMS else "tables, figures and texts"
        tried("damaged files", f"{kind}, {way}")
    return found


def test_no_file_of_a_run_is_of_a_kind_that_is_not_damaged_here(undisturbed):
    assert [str(path) for pattern, path in files(undisturbed[0]) if pattern is None] == []
    # and no pattern is there for nothing; a run without trained supports or of one kind of pack lacks some
    assert {*FILES} - {pattern for pattern, _ in files(undisturbed[0])} <= {"store/*/*/supports-*.parquet", "smoke/packs/*.parquet"}


CASES = [(patterns, [way]) for patterns in ([*SEALED, *UNREAD], [*SUMS, *STORE]) for way in DAMAGE] if processes.FULL else \
    [(FILES, list(DAMAGE))]


@pytest.mark.parametrize(("patterns", "ways"), CASES)
def test_damage_is_named_set_aside_and_made_good(undisturbed, another, copied, tried, patterns, ways):
    """Packs, too, are damaged and left where they are. The store is read for a pack that is made again, as one is whose sum is damaged."""
    expected = undisturbed[1]
    before = {path: path.read_bytes() for path in smoke.stored(copied)}
    unread = victims(copied, UNREAD).values()
    if STORE[0] in patterns:
        for path in [*(copied / "results/smoke").glob("packs/checksums/*"), *(copied / "results/smoke").glob("oracle/checksums/*")]:
            path.write_text("x")
    found = hurt(copied, patterns, ways, another, tried)
    output = smoke.snakemake(copied)
    for path, content in found.items():
        place, results = path.parent, copied / "results"
        if path in unread:
            continue
        if place.name == "checksums":
            assert f"{place.parent.relative_to(copied)}/{path.name}: damaged; set aside" in output, path
            continue
        assert str(path.relative_to(copied)) in output, path
        aside = results / "store/damaged" / f"{place.name}-{path.name}" if path.match("store/*/*/*-*.parquet") else \
            results / "smoke/damaged" / path.name if place.name == "gallery" else place / "damaged" / path.name
        assert aside.read_bytes() == content, path
        # a chunk of the store gets another name, and progress is told by a pack's job alone
        elsewhere = path.match("store/*/*/*-*.parquet") or place.name == "progress"
        assert path.exists() or elsewhere, path
        assert not path.exists() or path.read_bytes() != content, path
    assert smoke.digests(copied) == expected
    if STORE[0] not in patterns:
        # nothing was trained for it
        assert {path: path.read_bytes() for path in smoke.stored(copied)} == before


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A data cache with one archive, its registered data set, and pip as it would bring the archive."""
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path / "cache"))
    archives = []
    for number in range(2):
        path = tmp_path / f"{number}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/table.csv", f"x,y\n{number},2\n" * 100)
        archives.append(path.read_bytes())
    whole, other = archives
    known = registry.entry("hitters")
    entry = replace(known, archive=replace(known.archive, file="data.whl", sha256=sha256(whole)),
                    members={"a/table.csv": sha256(b"x,y\n0,2\n" * 100)})
    monkeypatch.setattr(fetch, "entry", lambda name: entry)
    monkeypatch.setattr(registry, "entries", lambda: {"hitters": entry})

    def pip(archive, scratch):
        (scratch / archive.file).write_bytes(whole)
        return scratch / archive.file

    monkeypatch.setattr(fetch, "_pip_download", pip)
    fetch.fetch(["hitters"])
    return entry, tmp_path / "cache/data.whl", other


@pytest.mark.parametrize("way", DAMAGE)
def test_an_archive_of_the_data_cache_is_named_set_aside_and_had_anew(cache, tried, way):
    entry, path, other = cache
    whole = path.read_bytes()
    members = fetch.members(entry)
    damaged = DAMAGE[way](whole, other)
    path.write_bytes(damaged)
    tried("damaged files", f"in the data cache, {way}")
    with pytest.raises(UserError) as refused:
        fetch.members(entry)
    assert str(path) in str(refused.value) and "damaged" in str(refused.value) and "data fetch hitters" in str(refused.value)
    done = CliRunner().invoke(main, ["data", "fetch", "hitters"])
    assert done.exit_code == 0 and str(path) in done.output
    assert path.read_bytes() == whole and path.with_name("data.whl.damaged").read_bytes() == damaged
    assert fetch.members(entry) == members


def test_two_at_once(undisturbed, tmp_path, tried):
    """The second one says which process is at work here and what to do; the first one goes on as if it were alone."""
    whole, expected, _ = undisturbed
    folder = processes.begun(tmp_path / "two", whole)
    first = processes.start(folder)
    try:
        while not processes.at_work(folder, "train"):
            assert first.poll() is None
        output = smoke.snakemake(folder, code=1)
        tried("settings", "two at once")
        assert f"another workflow is at work in this folder: process {first.pid}; if Snakemake refuses" in output
        assert "lock" in output.lower()
        assert first.wait(600) == 0, (folder / "log.txt").read_text()[-3000:]
    except subprocess.TimeoutExpired:
        first.kill()
        raise
    assert smoke.digests(folder) == expected
