"""Snakemake's lock after a crash: lifted if, and only if, no workflow of this folder lives.

Snakemake's own lock is a list of files in `.snakemake/locks`, which names no process and outlives one that was killed. Every workflow
therefore also holds a lock of the kernel (flock(2)), which ends with its process however that ends.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

_held: list[int] = []


def hold(folder: str | Path = ".snakemake", alone: Callable[[], None] = lambda: None) -> bool:
    """Share the kernel's lock of `folder` until this process ends; True if stale locks of Snakemake were lifted before.

    alone() is called, before another workflow can begin here, if none was there.

    Must be called before Snakemake makes its own locks, as the Snakefile does: while the kernel's lock is taken alone, nobody who
    shares it can be running, so that what lies in `locks` is of the dead.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "wdbench.lock", os.O_RDWR | os.O_CREAT, 0o666)
    _held.append(descriptor)
    lifted = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        others = [pid for pid in _holders(descriptor) if pid not in _ancestors()]
        if others:
            print(f"wdbench: another workflow is at work in this folder: process {' and '.join(map(str, others))}; if Snakemake refuses "
                  "below, it makes the same files: wait until it has ended, then give the command again", file=sys.stderr)
    else:
        locks = folder / "locks"
        lifted = locks.is_dir() and any(locks.iterdir())
        if lifted:
            shutil.rmtree(locks)
            locks.mkdir()
            print("wdbench: the last workflow here was killed; its lock is lifted", file=sys.stderr)
        alone()
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return lifted


def _holders(descriptor: int) -> list[int]:
    """Processes of this machine that hold the lock, as the kernel lists them."""
    held = os.fstat(descriptor)
    # 1: FLOCK  ADVISORY  READ 4711 fd:01:1234567 0 EOF
    place = f"{os.major(held.st_dev):02x}:{os.minor(held.st_dev):02x}:{held.st_ino}"
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return []
    return sorted({int(words[4]) for words in lines if words[1] == "FLOCK" and words[5] == place and int(words[4]) not in (0, os.getpid())})


def _ancestors() -> set[int]:
    """This process' parent and those above it: Snakemake evaluates the Snakefile again in processes that it starts."""
    found, pid = set(), os.getppid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            break
    return found
