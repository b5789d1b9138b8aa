"""Snakemake's lock: lifted after a killed workflow, never while one lives."""

import os
import signal
import subprocess
import sys

HOLD = "import sys, time; from wdbench import lock; print(lock.hold(sys.argv[1]), flush=True); time.sleep(60)"


def start(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, process.stdout.readline().strip() == "True"


def test_a_dead_workflow_s_lock_is_lifted_and_a_living_one_s_is_not(tmp_path):
    folder, locks = tmp_path / ".snakemake", tmp_path / ".snakemake" / "locks"
    first, lifted = start(folder)
    assert not lifted
    locks.mkdir()
    (locks / "0.input.lock").write_text("results/runs.parquet\n")
    second, lifted = start(folder)
    third, also = start(folder)
    assert not lifted and not also and (locks / "0.input.lock").exists()
    for process in (second, third):
        process.kill()
        process.wait()
    beside, lifted = start(folder)
    assert not lifted and (locks / "0.input.lock").exists()
    for process in (first, beside):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    last, lifted = start(folder)
    assert lifted and not list(locks.iterdir())
    last.kill()
    last.wait()


def test_only_a_workflow_that_is_alone_looks_for_damage(tmp_path):
    looks = HOLD.replace("lock.hold(sys.argv[1])", "lock.hold(sys.argv[1], alone=lambda: print('True', flush=True))")

    def looked():
        process = subprocess.Popen([sys.executable, "-c", looks, tmp_path / ".snakemake"], stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip() == "True"

    first, alone = looked()
    second, also = looked()
    assert alone and not also
    for process in (first, second):
        process.kill()
        process.wait()
