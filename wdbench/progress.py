"""How far a run is, told by whichever job finishes a chunk; predicted cost of the packs."""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from wdbench import atomic, grid, sealing
from wdbench.config.experiment import Experiment

SAID_EVERY = 5.0
WRITTEN_EVERY = 1.0


class Progress:
    """How far the whole run is, printed by whichever job finishes a chunk; a file a pack under results/progress."""

    def __init__(self, experiment: Experiment, folder: Path, pack: str, total: int, done: int) -> None:
        self.experiment, self.pack, self.total, self.cached = experiment, pack, total, done
        self.folder = folder
        self.done, self.started, self.said, self.written = done, time.time(), 0.0, 0.0
        # counted once a job: the plan does not change under it, and counting takes as long as training a chunk
        self.digests = grid.pack_digests(experiment)
        self.sizes = sizes(experiment)
        self._write(False)

    def advance(self, cells: int) -> None:
        self.done += cells
        if time.time() - self.written > WRITTEN_EVERY:
            self._write(False)
        if time.time() - self.said > SAID_EVERY:
            self.said = time.time()
            self._say()

    def close(self) -> None:
        self._write(True)
        self._say()

    def _write(self, finished: bool) -> None:
        self.written = time.time()
        state = {"cells": self.digests[self.pack], "done": self.done, "cached": self.cached,
                 "total": self.total, "finished": finished,
                 "seconds": time.time() - self.started, "updated": time.time()}
        atomic.write_text(self.folder / f"{self.pack}.json", json.dumps({**state, "sum": _sum(state)}))

    def _say(self) -> None:
        states = self._states()
        fresh_cost, left_cost = 0.0, 0.0
        for pack, (cells, cost) in self.sizes.items():
            state = states.get(pack, {"done": 0, "cached": 0})
            share = cost / max(cells, 1)
            fresh_cost += share * (state["done"] - state["cached"])
            left_cost += share * max(cells - state["done"], 0)
        spent = sum(state["seconds"] for state in states.values())
        running = sum(1 for s in states.values() if not s["finished"] and time.time() - s["updated"] < 120) or 1
        fresh = sum(s["done"] - s["cached"] for s in states.values())
        # predicted cost corrected by how long the finished part took
        left = left_cost * spent / fresh_cost / running if fresh_cost else float("nan")
        eta = "" if not np.isfinite(left) else f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"
        finished = sum(s["finished"] for s in states.values())
        total = sum(states[pack]["total"] if pack in states else cells for pack, (cells, _) in self.sizes.items())
        print(f"[wdbench] packs {finished}/{len(self.sizes)}, "
              f"cells {sum(s['done'] for s in states.values()):,}/{total:,}, "
              f"{fresh / spent * running if spent else 0:,.0f} cells/s{eta}  ({self.pack}: {self.done:,}/{self.total:,})",
              file=sys.stderr, flush=True)

    def _states(self) -> dict[str, dict[str, Any]]:
        """State of every pack that a job has begun with the cells of this plan; one that is being replaced is passed over."""
        states = {}
        for pack, digest in self.digests.items():
            path = self.folder / f"{pack}.json"
            try:
                state = read(path)
            except FileNotFoundError:
                continue
            except sealing.Damaged:
                sealing.set_aside(path)
                continue
            if state["cells"] == digest:
                states[pack] = state
        return states


def read(path: Path) -> dict[str, Any]:
    """How far a pack is. Raises FileNotFoundError, and sealing.Damaged where the file is not what was written."""
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
        if state.pop("sum") == _sum(state):
            return state
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise sealing.Damaged(f"{path}: damaged; it is written again by the next run")


def _sum(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


def sizes(experiment: Experiment) -> dict[str, tuple[int, float]]:
    """pack -> (cells, predicted seconds); cells that two studies share are counted twice, as near enough."""
    counts: dict[tuple[str, str], int] = {}
    sizes = {}
    for pack, members in grid.members(experiment).items():
        cells, seconds = 0, 0.0
        for name, dataset, model, optimiser, replicate in members:
            study = experiment.studies[name]
            # how many cells a study has does not depend on the data set or the model
            if (name, optimiser) not in counts:
                counts[name, optimiser] = sum(1 for _ in grid.cells(study, dataset, model, optimiser))
            own = counts[name, optimiser] // (1 if replicate is None else study.replicates)
            cells += own
            seconds += own * grid.predicted_seconds(study, dataset, model, optimiser)
        sizes[pack] = cells, seconds
    return sizes
