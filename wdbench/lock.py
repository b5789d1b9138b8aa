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
        pass
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
