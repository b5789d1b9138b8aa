"""The smoke profile on a real Slurm of two nodes: the tables of a local run, byte for byte, also where a node is lost in mid-job."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import smoke

CLUSTER = Path(__file__).with_name("cluster.sh")
WHERE = f"{os.environ['PATH']}:/usr/sbin"
MISSING = [name for name in ("slurmctld", "slurmd", "munged", "squeue") if shutil.which(name, path=WHERE) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("WDBENCH_SLURM" not in os.environ, reason="minutes; make test-slurm runs it"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}; tests/slurm/cluster.sh install"),
    pytest.mark.skipif(os.getuid() != 0, reason="Slurm's daemons are started as root"),
]


def cluster(*words: str) -> None:
    done = subprocess.run([CLUSTER, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def nodes():
    cluster("up", "2")
    yield
    cluster("down")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Sums of what a run without Slurm makes."""
    folder = smoke.project(tmp_path_factory.mktemp("local"))
    smoke.snakemake(folder)
    return smoke.digests(folder)


def begin(folder: Path) -> subprocess.Popen:
    words = ["snakemake", "--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3", "--default-resources",
             "mem_mb=1500", "runtime=20", "--max-threads", "2", "--config", "profile=smoke"]
    with open(folder / "log", "w") as log:
        return subprocess.Popen(words, cwd=folder, env=smoke.environment(), stdout=log, stderr=log)


def end(child: subprocess.Popen, folder: Path, limit: float) -> None:
    try:
        code = child.wait(limit)
    except subprocess.TimeoutExpired:
        child.terminate()
        child.wait(60)
        pytest.fail(f"not finished in {limit:.0f} s\n" + (folder / "log").read_text()[-3000:])
    assert code == 0, (folder / "log").read_text()[-3000:]


def jobs_on(node: str) -> list[str]:
    """Names of the jobs that run on a node."""
    words = ["squeue", "-h", "-t", "R", "-w", node, "-o", "%j %k"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def test_same_tables_as_a_local_run(tmp_path, nodes, local):
    folder = smoke.project(tmp_path / "there")
    end(begin(folder), folder, 600)
    assert "Submitted" in (folder / "log").read_text() or "SLURM jobid" in (folder / "log").read_text()
    assert smoke.digests(folder) == local


def test_a_node_lost_in_mid_job(tmp_path, nodes, local):
    folder = smoke.project(tmp_path / "lost")
    child = begin(folder)
    deadline = time.time() + 240
    while not any("train" in job for job in jobs_on("n2")):
        assert time.time() < deadline and child.poll() is None, (folder / "log").read_text()[-3000:]
        time.sleep(0.5)
    cluster("kill-node", "n2")
    time.sleep(1)
    assert not subprocess.run(["pgrep", "-f", "slurmd -N n2"], capture_output=True).stdout
    end(child, folder, 600)
    assert smoke.digests(folder) == local
