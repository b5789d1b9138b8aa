"""Killed at any moment, and started again: the same bytes as if nothing had happened, and nothing trained twice.

WDBENCH_KILLS kills by SIGKILL (`make test-faults` has 50, of the smoke profile; two otherwise, of a smaller run), at moments drawn over
the whole of a run; the run that is started again is killed again, until it is through, and then everything is thrown away and a new one is
begun.
"""

import os
import random
import shutil
import signal
import time

import pandas as pd
import processes
import pytest
import smoke

KILLS = int(os.environ.get("WDBENCH_KILLS", "2"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(folder, digests, seconds) of a run that nobody disturbed."""
    folder = processes.project(tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    smoke.snakemake(folder)
    return folder, smoke.digests(folder), time.monotonic() - started


def trained(folder) -> pd.Series:
    """Cell ids in the store, one entry a time that a cell was trained."""
    parts = [pd.read_parquet(path, columns=["cell_id"])["cell_id"] for path in sorted(smoke.stored(folder))]
    return pd.concat(parts, ignore_index=True) if parts else pd.Series(dtype=str)


def finish(folder, expected):
    """Start again until it is through, in one go; then everything is as it would have been."""
    known = set(trained(folder))
    files = {path: path.read_bytes() for path in smoke.stored(folder)}
    smoke.snakemake(folder)
    assert smoke.digests(folder) == expected
    cells = trained(folder)
    assert not cells.duplicated().any() and known <= set(cells)
    assert all(path.read_bytes() == content for path, content in files.items())


def interrupted(folder, after, number, group):
    """Kill a run after so many seconds; True if it had not ended by itself."""
    master = processes.start(folder)
    try:
        master.wait(after)
        assert master.returncode == 0, (folder / "log.txt").read_text()[-3000:]
        return False
    except Exception as error:
        if type(error).__name__ != "TimeoutExpired":
            raise
    processes.kill(master, number, group)
    processes.assert_nothing_goes_on(folder)
    return True


def test_killed_at_random_moments(undisturbed, tmp_path):
    _, expected, seconds = undisturbed
    draw = random.Random(20261123)
    done, runs = 0, 0
    while done < KILLS:
        folder = processes.project(tmp_path / f"run{runs}")
        runs += 1
        for _ in range(8):
            # jobs in groups of their own outlive a group's kill, and only their own watch ends them: both ways
            if done >= KILLS or not interrupted(folder, draw.uniform(1, seconds), signal.SIGKILL, group=draw.random() < 0.5):
                break
            done += 1
        finish(folder, expected)
        shutil.rmtree(folder)
    print(f"{done} kills in {runs} runs")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM] if processes.FULL else [signal.SIGTERM])
def test_asked_to_stop(undisturbed, tmp_path, number):
    _, expected, seconds = undisturbed
    folder = processes.project(tmp_path / "asked")
    assert interrupted(folder, seconds / 2, number, group=number == signal.SIGINT)
    finish(folder, expected)
