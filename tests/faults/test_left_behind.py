"""What a killed process leaves: files that were being written, and jobs whose workflow is gone, also where its id lives on."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from wdbench import atomic, orphans
from wdbench.errors import UserError
from wdbench.workflow import Workflow

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
HALF = ("import os, sys, time; from wdbench import atomic; os.fsync = lambda _: (print(1, flush=True), time.sleep(600)); "
        "atomic.write_text(sys.argv[1], 'half')")


@pytest.fixture
def half_written(tmp_path):
    """A process in the middle of writing results/store/here/rows.parquet, and that file's path."""
    path = tmp_path / "results/store/here/rows.parquet"
    process = subprocess.Popen([sys.executable, "-c", HALF, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    yield process, path
    process.kill()
    process.wait()


def test_a_file_that_is_being_written_is_swept_only_once_its_writer_is_dead(half_written, tried):
    process, path = half_written
    (written,) = path.parent.iterdir()
    assert atomic.sweep(path.parent) == [] and written.exists()
    process.kill()
    process.wait()
    tried("kills", "in the middle of a file")
    other = path.parent / ".notes.tmp"
    other.write_text("a file of somebody else")
    assert atomic.sweep(path.parent) == [written]
    assert list(path.parent.iterdir()) == [other]


def test_the_next_workflow_sweeps_what_the_last_one_left(half_written, tmp_path, monkeypatch):
    process, path = half_written
    process.kill()
    process.wait()
    (tmp_path / "config.yaml").write_text("studies: {s: {datasets: [noisy], penalties: [none], lambda: {}, replicates: 2}}\n")
    monkeypatch.chdir(tmp_path)
    assert len(list(path.parent.iterdir())) == 1
    Workflow({}).set_damaged_aside()
    assert list(path.parent.iterdir()) == []


def test_the_folder_is_on_the_disk_once_a_file_has_its_name(tmp_path, monkeypatch):
    order, rename, sync = [], os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("renamed"), rename(*names)))
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append(os.readlink(f"/proc/self/fd/{descriptor}")), sync(descriptor)))
    atomic.write_csv(tmp_path / "a.csv", pd.DataFrame({"a": [1]}))
    assert order[0].startswith(str(tmp_path / ".a.csv.")) and order[1:] == ["renamed", str(tmp_path)]


def _waits_for(what):
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert what()


def test_a_workflow_that_is_dead_and_not_yet_reaped_is_gone(monkeypatch):
    master = subprocess.Popen(SLEEPER)
    monkeypatch.setattr(orphans, "_begun", lambda: 10**18)
    monkeypatch.setenv("WDBENCH_PARENT", str(master.pid))
    orphans.stop_if_orphaned()
    os.kill(master.pid, signal.SIGKILL)
    try:
        _waits_for(lambda: orphans._state_and_start(str(master.pid))[0] == "Z")
        with pytest.raises(UserError, match="is gone"):
            orphans.stop_if_orphaned()
    finally:
        master.wait()


def test_a_younger_process_with_the_id_of_the_workflow_is_not_the_workflow(monkeypatch):
    stranger = subprocess.Popen(SLEEPER)
    try:
        monkeypatch.setenv("WDBENCH_PARENT", str(stranger.pid))
        assert orphans._state_and_start(str(stranger.pid))[1] > orphans._begun()
        with pytest.raises(UserError, match="is gone"):
            orphans.stop_if_orphaned()
    finally:
        stranger.kill()
        stranger.wait()
    monkeypatch.setenv("WDBENCH_PARENT", str(os.getppid()))
    orphans.stop_if_orphaned()
