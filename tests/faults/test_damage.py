"""Every kind of file in results/, damaged in four ways, before the same command is given again: named, set aside, made again.

All four in `make test-faults`, one of them in `make test`.
"""

import shutil
import subprocess

import processes
import pytest
import smoke


def _flipped(content: bytes, other: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGE = {
    "truncated": lambda content, other: content[: len(content) // 2],
    "flipped": _flipped,
    "emptied": lambda content, other: b"",
    "of another run": lambda content, other: other,
}
TABLES = [f"smoke/{name}" for name in smoke.TABLES]
OTHERS = ["smoke/manifest.json", "smoke/report.html", "smoke/data_checks.csv", "smoke/figures/index.csv", "smoke/figures/*.svg",
          "smoke/figures/*.png", "smoke/packs/*.parquet", "smoke/oracle/*.parquet", "store/*/*/rows-*.parquet",
          "store/*/*/trajectories-*.parquet"]
FILES = (*TABLES, *OTHERS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = processes.project(tmp_path_factory.mktemp("whole"))
    smoke.snakemake(folder)
    return folder, smoke.digests(folder)


@pytest.mark.parametrize("damage", DAMAGE if processes.FULL else ["flipped"])
def test_damage_to_every_kind_of_file_is_made_good(whole, tmp_path, damage):
    original, expected = whole
    folder = tmp_path / "damaged"
    shutil.copytree(original, folder)
    victims = [sorted((folder / "results").glob(pattern))[0] for pattern in FILES]
    others = [sorted((folder / "results").glob(pattern))[-1].read_bytes() + b" " for pattern in FILES]
    for victim, other in zip(victims, others, strict=True):
        victim.write_bytes(DAMAGE[damage](victim.read_bytes(), other))
    for path in (folder / "results/smoke/packs").glob("*.parquet"):
        # what the store holds is read again only for a pack that is made again
        path.unlink()
    output = smoke.snakemake(folder)
    unnamed = [victim.name for victim in victims if victim.name not in output and victim.parent.name != "packs"]
    assert not unnamed
    assert smoke.digests(folder) == expected


@pytest.mark.skipif(not processes.FULL, reason="takes a workflow more: make test-faults")
def test_two_at_once(whole, tmp_path):
    original, expected = whole
    folder = tmp_path / "two"
    shutil.copytree(original, folder)
    shutil.rmtree(folder / "results/smoke")
    shutil.rmtree(folder / "results/store")
    first = processes.start(folder)
    try:
        first.wait(15)
    except subprocess.TimeoutExpired:
        pass
    output = smoke.snakemake(folder, code=1)
    assert "lock" in output.lower()
    first.wait(600)
    assert first.returncode == 0 and smoke.digests(folder) == expected
