"""A full disk, and results that may not be written: a sentence and an exit code, and the run goes on when there is room again."""

import os
import shutil
import subprocess

import processes
import pytest
import smoke

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a small disk (root)")


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = processes.project(tmp_path_factory.mktemp("roomy"))
    smoke.snakemake(folder)
    size = sum(path.stat().st_size for path in (folder / "results").rglob("*") if path.is_file())
    return smoke.digests(folder), size


@pytest.fixture
def small(tmp_path):
    """A project whose results/ is a disk of its own."""
    folder = processes.project(tmp_path / "small")
    (folder / "results").mkdir()
    mount("-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder / "results"))
    yield folder
    subprocess.run(["umount", "-l", str(folder / "results")], check=True)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.8] if processes.FULL else [0.3])
def test_a_full_disk_is_told_and_room_mends_it(small, expected, share):
    digests, size = expected
    mount("-o", f"remount,size={max(int(share * size) // 4096 * 4096, 65536)}", str(small / "results"))
    output = smoke.snakemake(small, code=1)
    assert "No space left" in output or "full" in output
    mount("-o", "remount,size=200m", str(small / "results"))
    smoke.snakemake(small)
    assert smoke.digests(small) == digests


@pytest.mark.skipif(not processes.FULL, reason="takes a workflow more: make test-faults")
def test_results_that_may_not_be_written_are_told(small, expected):
    digests, _ = expected
    mount("-o", "remount,ro", str(small / "results"))
    output = smoke.snakemake(small, code=1)
    assert "ead-only file system" in output
    mount("-o", "remount,rw", str(small / "results"))
    smoke.snakemake(small)
    assert smoke.digests(small) == digests
    shutil.rmtree(small / "results/smoke")
