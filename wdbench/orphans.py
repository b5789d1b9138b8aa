"""A job ends with the workflow that started it, whose process id is in WDBENCH_PARENT."""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from wdbench import provenance
from wdbench.errors import UserError

WATCH_EVERY = 2.0


def stop_if_orphaned() -> None:
    """A job whose workflow was killed must not go on computing; what it has written so far is kept.

    Raises UserError once the process that WDBENCH_PARENT names is gone.
    """
    parent = os.environ.get("WDBENCH_PARENT", "")
    if parent.isdigit() and Path("/proc/self/stat").exists() and not _is_master(parent):
        raise UserError("the workflow that started this job is gone; stopped after the last finished chunk")


def _is_master(pid: str) -> bool:
    """Whether `pid` computes, and did so before this process began: an id that was given away again since belongs to a younger one."""
    found = _state_and_start(pid)
    # one that is dead keeps its id until its own parent asks for its exit code, which some containers' first process never does
    return found is not None and found[0] not in "ZX" and found[1] <= _begun()


@cache
def _begun() -> int:
    found = _state_and_start("self")
    return found[1] if found is not None else 0


def _state_and_start(pid: str) -> tuple[str, int] | None:
    """A process' state, and when it began in clock ticks since the machine did; None where there is none of that id."""
    try:
        # the name before the last bracket may hold blanks and brackets of its own
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])


def stop_with_workflow() -> None:
    """From now on look every WATCH_EVERY seconds whether the workflow lives, and end this process with 2 where it does not.

    Between two chunks `stop_if_orphaned` does it in order; a chunk of language models takes minutes, which nobody waits for any more.
    Files are written whole or not at all, so that the end may come at any moment.
    """
    if os.environ.get("WDBENCH_PARENT", "").isdigit():
        _watch(stop_if_orphaned)


def stop_with_parent() -> None:
    """The same for a process of a pool and the process that started it: its queue stays open when that is killed."""
    parent = os.getppid()

    def gone() -> None:
        if os.getppid() != parent:
            raise UserError("the process that started this one is gone")

    _watch(gone)


def begin_in_a_pool() -> None:
    """What a process of a pool that computes begins with: one thread, and an end when its parent ends."""
    provenance.one_thread()
    stop_with_parent()


def _watch(look: Callable[[], None]) -> None:
    def watch() -> None:
        while True:
            time.sleep(WATCH_EVERY)
            try:
                look()
            except UserError as error:
                print(f"wdbench: {error}", file=sys.stderr, flush=True)
                os._exit(2)

    threading.Thread(target=watch, daemon=True).start()
