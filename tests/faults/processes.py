"""A workflow in a process group of its own that can be killed, and what is left of it."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import smoke
import tiny

FULL = int(os.environ.get("WDBENCH_KILLS", "0")) > 1
project = smoke.project if FULL else tiny.project
"""`make test-faults` injects faults into the smoke profile, `make test` a few of them into a smaller experiment."""

WAIT = 8.0
"""Seconds that a job may go on after its workflow is gone (it looks every 2)."""


SLOW = ("torch_flags.csv", "data_checks.csv", "identities.csv")
"""Tables of half a short run's time, which rest on no cell."""


def begun(folder: Path, undisturbed: Path) -> Path:
    """A project with nothing done; in short form with SLOW as an earlier run left them, for a run of half the time."""
    if FULL:
        return project(folder)
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / "results/store")
    for path in (folder / "results").rglob("*"):
        if path.is_file() and path.name not in SLOW:
            path.unlink()
    shutil.rmtree(folder / "results/smoke/gallery")
    return folder


def at_work(folder: Path, verb: str) -> bool:
    """Whether a job of that verb runs in `folder`."""
    for pid in jobs(folder):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"wdbench" in words and verb.encode() in words:
            return True
    return False


def start(folder: Path, *words: str, cores: int = 2) -> subprocess.Popen:
    log = open(folder / "log.txt", "ab")
    return subprocess.Popen(["snakemake", "--cores", str(cores), "--config", "profile=smoke", *words], cwd=folder,
                            env=smoke.environment(), stdout=log, stderr=log, start_new_session=True)


def jobs(folder: Path) -> list[int]:
    """Processes that work in `folder` now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == folder.resolve() and (entry / "stat").read_text().split(")")[1].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def kill(master: subprocess.Popen, signal_number: int, group: bool) -> None:
    """The signal to the master or its whole process group; returns when the master has ended."""
    try:
        (os.killpg if group else os.kill)(master.pid, signal_number)
    except ProcessLookupError:
        pass
    if signal_number != signal.SIGKILL:
        try:
            master.wait(120)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"signal {signal_number} did not end the workflow within 2 minutes") from None
    master.wait()


def assert_nothing_goes_on(folder: Path) -> None:
    """No job of `folder` computes or writes when WAIT has passed."""
    stop = time.monotonic() + WAIT
    while jobs(folder) and time.monotonic() < stop:
        time.sleep(0.2)
    assert not jobs(folder), [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in jobs(folder)]
    before = sizes(folder)
    time.sleep(0.5)
    assert sizes(folder) == before


def sizes(folder: Path) -> dict[str, tuple[int, float]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime) for path in (folder / "results").rglob("*") if path.is_file()}
