"""Killed at any moment, and started again: the same bytes as if nothing had happened, and nothing trained twice.

WDBENCH_KILLS kills by SIGKILL (`make test-faults` has 50, of the smoke profile; one otherwise, of a smaller run), at moments drawn over
the whole of a run; the run that is started again is killed again, until it is through, and then everything is thrown away and a new one is
begun. Beside these one stop in each stage, by each of the ways to stop it, and one at every single write of a job.
"""

import hashlib
import os
import random
import shutil
import signal
import time

import pandas as pd
import processes
import pytest
import smoke
import yaml

from wdbench import atomic, sealing, work
from wdbench.config import experiment as experiments

KILLS = int(os.environ.get("WDBENCH_KILLS", "1"))
NAMES = {signal.SIGKILL: "kills", signal.SIGINT: "stops by Ctrl-C", signal.SIGTERM: "stops by SIGTERM"}
STAGES = ("train", "gather", "judge", "draw", "report")


def trained(folder) -> pd.Series:
    """Cell ids in the store, one entry a time that a cell was trained."""
    parts = [pd.read_parquet(path, columns=["cell_id"])["cell_id"] for path in sorted(smoke.stored(folder))]
    return pd.concat(parts, ignore_index=True) if parts else pd.Series(dtype=str)


def finish(folder, expected):
    """Start again until it is through, in one go; then everything is as it would have been, and nothing lies about."""
    known = set(trained(folder))
    files = {path: path.read_bytes() for path in smoke.stored(folder)}
    smoke.snakemake(folder)
    assert smoke.digests(folder) == expected
    cells = trained(folder)
    assert not cells.duplicated().any() and known <= set(cells)
    assert all(path.read_bytes() == content for path, content in files.items())
    assert not list((folder / "results").rglob(".*.tmp"))


def interrupted(folder, when, number, group):
    """Stop a run once when() is true; True if it had not ended by itself."""
    master = processes.start(folder)
    while not when() and master.poll() is None:
        time.sleep(0.01)
    if master.returncode is not None:
        assert master.returncode == 0, (folder / "log.txt").read_text()[-3000:]
        return False
    processes.kill(master, number, group)
    processes.assert_nothing_goes_on(folder)
    return True


def after(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def test_killed_at_random_moments(undisturbed, tmp_path, tried):
    whole, expected, seconds = undisturbed
    # a short run has half of its work behind it when it begins
    draw, longest = random.Random(20261123), seconds if processes.FULL else seconds / 3
    done, runs = 0, 0
    while done < KILLS:
        folder = processes.begun(tmp_path / f"run{runs}", whole)
        runs += 1
        for _ in range(8):
            # jobs in groups of their own outlive a group's kill, and only their own watch ends them: both ways
            if done >= KILLS or not interrupted(folder, after(draw.uniform(1, longest)), signal.SIGKILL, group=draw.random() < 0.5):
                break
            done += 1
            tried("kills", "at a random moment")
        finish(folder, expected)
        shutil.rmtree(folder)


@pytest.mark.parametrize("numbers", [[number] * len(STAGES) for number in NAMES] if processes.FULL else
                         [[signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGKILL]],
                         ids=lambda numbers: " ".join(signal.Signals(number).name for number in numbers))
def test_stopped_in_every_stage(undisturbed, tmp_path, tried, numbers):
    whole, expected, _ = undisturbed
    folder = processes.begun(tmp_path / "stages", whole)
    for stage, number in zip(STAGES, numbers, strict=True):
        # Ctrl-C reaches everything in the terminal, SIGTERM the one process that it is sent to
        assert interrupted(folder, lambda stage=stage: processes.at_work(folder, stage), number, group=number != signal.SIGTERM), stage
        tried(NAMES[number], f"while it was to {stage}")
    finish(folder, expected)


PACK = "noisy~linear~exact"


@pytest.fixture
def small(tmp_path):
    """make(name): an experiment of one pack, in a folder of its own."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        study = {"datasets": ["noisy:p=10"], "penalties": ["none", "l2"], "optimisers": ["exact"], "supports": True,
                 "lambda": {"l2": {"from": 0.01, "to": 1, "points": 2}}, "replicates": 2}
        (folder / "config.yaml").write_text(yaml.safe_dump({"results": str(folder / "results"), "studies": {"ridge": study}}))
        return experiments.load(folder / "config.yaml")

    return make


def killed_at(write, then, function):
    """Run function() in a child that is killed at that write, before or after the file has its name; True if it came to that."""
    child = os.fork()
    if child == 0:
        rename, count = os.replace, [0]

        def replace(*names):
            count[0] += 1
            if count[0] < write:
                return rename(*names)
            if then == "after":
                rename(*names)
            os.kill(os.getpid(), signal.SIGKILL)

        os.replace = replace
        try:
            function()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def packs(experiment):
    """sha256 of a pack's tables, without the time that each cell took."""
    where = work.paths(experiment)["packs"]
    tables = {path.name: sealing.read(path) for path in sorted(where.glob("*.parquet"))}
    return {name: hashlib.sha256(table.drop(columns="train_seconds", errors="ignore").to_csv().encode()).hexdigest()
            for name, table in tables.items()}


@pytest.mark.parametrize("then", ["before", "after"])
def test_killed_at_every_write_of_a_job(small, tried, then):
    whole = small("whole")
    work.train(whole, PACK)
    expected = packs(whole)
    for write in range(1, 100):
        experiment = small(f"{then}{write}")
        if not killed_at(write, then, lambda: work.train(experiment, PACK)):  # noqa: B023  (called at once)
            break
        tried("kills", "at a write")
        work.train(experiment, PACK)
        assert packs(experiment) == expected
        store = work.paths(experiment)["store"]
        cells = pd.concat([pd.read_parquet(path, columns=["cell_id"]) for path in store.rglob("rows-*")])["cell_id"]
        assert not cells.duplicated().any()
        for folder in (experiment.results, *(path for path in experiment.results.rglob("*") if path.is_dir())):
            atomic.sweep(folder)
        assert not list(experiment.results.rglob("*.tmp"))
    # platform.json, progress at both ends, rows, and three tables with their sums at least
    assert write > 9
    assert packs(experiment) == expected


@pytest.mark.parametrize("write", [1, 2])
def test_killed_between_a_table_and_its_sum(tmp_path, tried, write):
    """The table is then damaged for all that one can see: it is set aside with a word, never read, and a whole one takes its place."""
    path = tmp_path / "a.csv"
    sealing.write_csv(path, pd.DataFrame({"a": [1]}))
    assert killed_at(write, "after", lambda: sealing.write_csv(path, pd.DataFrame({"a": [2]})))
    tried("kills", "at a write")
    assert sealing.damaged(tmp_path) == [path] * (write == 1)
    if write == 1:
        with pytest.raises(sealing.Damaged):
            sealing.read(path)
        sealing.set_aside(path)
        sealing.write_csv(path, pd.DataFrame({"a": [2]}))
    assert sealing.read(path)["a"].tolist() == [2]
