"""A full disk, and results that may not be written: a sentence and an exit code, and the run goes on when there is room again."""

import os
import shutil
import subprocess

import processes
import pytest
import smoke

from wdbench import atomic, sealing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a small disk (root)")
SHARES = [0.02, 0.3, 0.8] if processes.FULL else [0.3]


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_or_read_only_disk_is_told_and_room_mends_it(disk, undisturbed, tmp_path, tried):
    """Short of room by more or less, then not to be written at all, and in the end neither: one run goes through all of it."""
    whole, expected, _ = undisturbed
    size = sum(path.stat().st_size for path in (whole / "results").rglob("*") if path.is_file())
    folder = processes.begun(tmp_path / "run", whole)
    if (folder / "results").exists():
        shutil.copytree(folder / "results", disk, dirs_exist_ok=True)
        shutil.rmtree(folder / "results")
    (folder / "results").symlink_to(disk)
    for share in SHARES:
        mount("-o", f"remount,size={max(int(share * size) // 4096 * 4096, 65536)}", str(disk))
        output = smoke.snakemake(folder, code=1)
        assert "No space left" in output
        tried("settings", "full disk")
        assert_whole(folder)
    mount("-o", "remount,size=200m,ro", str(disk))
    output = smoke.snakemake(folder, code=1)
    assert "ead-only file system" in output
    tried("settings", "read-only results")
    mount("-o", "remount,rw", str(disk))
    smoke.snakemake(folder)
    assert smoke.digests(folder) == expected


def assert_whole(folder):
    """Whatever has its final name in the run's folders is as it was written, or has no sum yet and is not taken for made."""
    for place in {path.parent for path in (folder / "results/smoke").rglob("*") if path.is_file()} - {folder / "results/smoke/logs"}:
        for path in sealing.damaged(place):
            raise AssertionError(f"{path}: has its name and is not what was written")


def test_a_write_that_does_not_fit_leaves_the_old_file_and_nothing_else(disk, tried):
    from wdbench.errors import UserError

    path = disk / "a.csv"
    atomic.write_bytes(path, b"old")
    mount("-o", "remount,size=64k", str(disk))
    with pytest.raises(UserError, match=r"a\.csv: cannot be written \(No space left on device\); make space"):
        atomic.write_bytes(path, b"x" * 200_000)
    tried("settings", "full disk")
    assert path.read_bytes() == b"old" and list(disk.iterdir()) == [path]
