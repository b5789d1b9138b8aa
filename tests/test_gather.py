"""Gathering: pairs of supports, summaries that say how many survived, refusal of an incomplete or foreign set of rows."""

import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from wdbench import comparing, gather, orphans
from wdbench.errors import UserError


def runs(**changes):
    base = {"cell_id": [f"c{r}" for r in range(4)], "study": "s", "dataset": "khan", "model": "softmax", "optimiser": "exact",
            "penalty": "l1", "l1_ratio": 1.0, "lambda": 0.1, "decay_mask": "weights", "replicate": range(4), "status": "ok",
            "test_loss": [1.0, 2.0, 3.0, np.nan]}
    return pd.DataFrame(base | changes)


def test_jaccard_of_disjoint_pairs():
    supports = pd.DataFrame([("c0", 1), ("c0", 2), ("c1", 2), ("c1", 3), ("c1", 4), ("c2", 7)], columns=["cell_id", "feature"])
    found = gather.jaccard(runs(), supports)
    assert found[0] == 1 / 4 and found[2] == 0 and np.isnan(found[1]) and np.isnan(found[3])


def test_a_summary_counts_the_diverged_beside_the_mean_of_the_survivors():
    table = gather.summary(runs(status=["ok", "ok", "ok", "diverged"])).set_index("metric").loc["test_loss"]
    assert (table["mean"], table["n"], table["n_diverged"]) == (2.0, 3, 1)
    # t quantile .975 with 2 degrees of freedom is 4.302653, sd 1
    assert table["ci_high"] == pytest.approx(2 + 4.302653 / np.sqrt(3), rel=1e-6)


def test_time_does_not_enter_the_content_digest():
    one, two = runs(train_seconds=1.0), runs(train_seconds=2.0)
    assert gather.content_digest(one) == gather.content_digest(two) != gather.content_digest(runs(test_loss=0.0))


def folder(path, verdict, loss=1.0):
    path.mkdir()
    pd.DataFrame({"claim_id": ["A", "A"], "dataset": ["all", "d"], "verdict": [verdict, "supported"]}).to_csv(path / "verdicts.csv")
    pd.DataFrame({"cell_id": ["x", "y"], "test_loss": [loss, 2.0], "train_seconds": np.random.rand(2)}).to_parquet(path / "runs.parquet")
    return path


def test_diff_names_what_differs(tmp_path, capsys):
    a, b, c = folder(tmp_path / "a", "supported"), folder(tmp_path / "b", "supported"), folder(tmp_path / "c", "refuted", loss=1.5)
    assert comparing.diff(a, b)
    assert not comparing.diff(a, c)
    printed = capsys.readouterr().out
    assert "test_loss: 1 cells" in printed and "A [all]: supported -> refuted" in printed
    with pytest.raises(UserError, match="verdicts.csv: missing"):
        comparing.diff(a, tmp_path)


def test_a_job_in_the_middle_of_a_chunk_ends_with_its_master():
    master = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    endless = "import time; from wdbench import orphans; orphans.stop_with_workflow(); print(1, flush=True); time.sleep(600)"
    job = subprocess.Popen(
        [sys.executable, "-c", endless],
        env=os.environ | {"WDBENCH_PARENT": str(master.pid)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert job.stdout.readline() == "1\n" and job.poll() is None
        master.kill()
        master.wait()
        assert job.wait(timeout=60) == 2
        assert "the workflow that started this job is gone" in job.stderr.read()
    finally:
        master.kill()
        job.kill()


def test_a_process_of_a_pool_ends_with_the_one_that_started_it():
    pool = ("import os, time; from concurrent.futures import ProcessPoolExecutor as P; from multiprocessing import get_context as c\n"
            "from wdbench import orphans\n"
            "p = P(1, c('fork'), orphans.stop_with_parent); print(p.submit(os.getpid).result(), flush=True); time.sleep(600)")
    master = subprocess.Popen([sys.executable, "-c", pool], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    worker = int(master.stdout.readline())
    master.kill()
    master.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and os.path.exists(f"/proc/{worker}") and not _ended(worker):
        time.sleep(0.2)
    assert _ended(worker)


def _ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_job_whose_master_is_gone_stops(monkeypatch):
    master = subprocess.Popen([sys.executable, "-c", "pass"])
    monkeypatch.setenv("WDBENCH_PARENT", str(os.getpid()))
    orphans.stop_if_orphaned()
    master.wait()
    monkeypatch.setenv("WDBENCH_PARENT", str(master.pid))
    with pytest.raises(UserError, match="is gone"):
        orphans.stop_if_orphaned()


