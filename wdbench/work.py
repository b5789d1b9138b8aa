"""What a workflow job does: read what the store has, train what is missing, write finished chunks, say how far it is."""

import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wdbench import datasets, grid, orphans, provenance, sealing
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError
from wdbench.grid import Cell
from wdbench.progress import SAID_EVERY, Progress
from wdbench.store import Store


def paths(experiment: Experiment) -> dict[str, Path]:
    """Every file of a run, by name; the one place that knows them."""
    folder = experiment.folder
    return {
        "folder": folder, "store": experiment.results / "store", "packs": folder / "packs", "oracles": folder / "oracle",
        "progress": folder / "progress", "figures": folder / "figures", "logs": folder / "logs",
        **{name: folder / f"{name}.parquet" for name in ("runs", "trajectories", "oracle", "supports")},
        **{name: folder / f"{name}.csv" for name in ("plan", "summary", "verdicts", "selected", "effects", "identities",
                                                     "dictionary", "datasets", "mechanisms", "mechanism_pairs", "advice", "precision",
                                                     "controls", "torch_flags", "published", "calibration", "replication")},
        "manifest": folder / "manifest.json", "report": folder / "report.html",
    }


def evidence(experiment: Experiment, name: str) -> Path | None:
    """A table that no run makes by itself (calibration, replication, published): this run's, or the accepted one; None: neither."""
    mine, accepted = paths(experiment)[name], experiment.results / "reference" / f"{name}.csv"
    return mine if mine.exists() else accepted if accepted.exists() else None


def cell_ids(cells: Iterable[Cell]) -> dict[Cell, str]:
    """Cell -> id, from cell, data and governing code."""
    shas: dict[str, str] = {}
    found = {}
    for cell in cells:
        base = datasets.base_name(cell.dataset)
        if base not in shas:
            shas[base] = datasets.fingerprint(base)
        found[cell] = cell.id(shas[base], provenance.governing(cell.model, cell.optimiser, cell.coupling))
    return found


def _stored(store: Store, pack: str, ids: dict[Cell, str], keep: frozenset[str]) -> set[str]:
    """Ids of the cells that are stored with all that belongs to them: one whose trajectory was damaged is trained again."""
    found = set(store.load(pack, "rows")["cell_id"]) & set(ids.values())
    followed = {cell_id for cell, cell_id in ids.items() if cell.optimiser != "exact"}
    found -= followed - set(store.load(pack, "trajectories")["cell_id"])
    # a cell that keeps no feature has no support, so that only damage tells that one is lost
    supports = set(store.load(pack, "supports")["cell_id"])
    return found - (keep - supports) if "supports" in store.damaged else found


def train(experiment: Experiment, pack: str) -> Path:
    """Bring a pack up to date and write its tables to results/packs. Returns the rows' path.

    Raises UserError for an unknown pack and DatasetUnavailable where its data were not fetched.
    """
    where = paths(experiment)
    wanted = grid.pack_cells(experiment, pack)
    ids = cell_ids(wanted)
    store = Store(where["store"], provenance.platform_key(experiment.device))
    store.describe(provenance.platform_facts(experiment.device))
    keep = frozenset(ids[c] for c, studies in wanted.items() if any(experiment.studies[s].supports for s in studies))
    stored = _stored(store, pack, ids, keep)
    missing = {cell: cell_id for cell, cell_id in ids.items() if cell_id not in stored}
    progress = Progress(experiment, where["progress"], pack, len(ids), len(stored))
    with store.writer(pack) as writer:
        for chunk in _produce(experiment, missing, keep):
            orphans.stop_if_orphaned()
            writer.add(chunk)
            progress.advance(len(chunk["rows"]))
    rows = store.load(pack, "rows", set(ids.values()))
    absent = set(ids.values()) - set(rows["cell_id"])
    if absent:
        raise UserError(f"{where['store']}: pack {pack}: {len(absent)} cells were trained but cannot be read back; run again")
    by_id = {ids[cell]: "+".join(studies) for cell, studies in wanted.items()}
    rows.insert(1, "study", rows["cell_id"].map(by_id))
    # the plan's order, not the order in which chunks were finished
    rows = rows.set_index("cell_id").loc[list(ids.values())].reset_index()
    for kind in ("trajectories", "supports"):
        table = store.load(pack, kind, set(ids.values()))
        order = {cell_id: i for i, cell_id in enumerate(ids.values())}
        if len(table):
            table = table.iloc[table["cell_id"].map(order).argsort(kind="stable")]
        sealing.write_parquet(where["packs"] / f"{pack}.{kind}.parquet", table)
    progress.close()
    return sealing.write_parquet(where["packs"] / f"{pack}.parquet", rows)


def _produce(experiment: Experiment, missing: dict[Cell, str], keep: frozenset[str]) -> Iterator[dict[str, pd.DataFrame]]:
    from wdbench import resolve

    by_base: dict[str, dict[Cell, str]] = defaultdict(dict)
    for cell, cell_id in missing.items():
        by_base[datasets.base_name(cell.dataset)][cell] = cell_id
    for base, cells in by_base.items():
        sha = datasets.status(base).sha256
        exact = {c: i for c, i in cells.items() if c.optimiser == "exact"}
        trained = {c: i for c, i in cells.items() if c.optimiser != "exact"}
        yield from resolve.exact_rows(exact, sha, keep)
        if trained:
            convex = any(grid.has_oracle(cell.pack) for cell in trained)
            solution_of = Solutions.read(experiment, base).of if convex else lambda cell: None
            for portion in _portions(experiment, trained):
                yield from resolve.trained_rows(portion, sha, solution_of, experiment.device)


def _portions(experiment: Experiment, cells: dict[Cell, str]) -> Iterator[dict[Cell, str]]:
    """The cells, those of one data set spec together, in portions that stay within the budget."""
    from wdbench import memory

    by_spec: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_spec[cell.dataset].append(cell)
    memory.reuse()
    for members in by_spec.values():
        for portion in memory.portions(members, experiment.budget.memory_gib):
            yield {cell: cells[cell] for cell in portion}
            memory.give_back()


def replay(experiment: Experiment, cell_id: str) -> tuple[pd.Series, pd.Series]:
    """(stored row, row of the same cell trained by itself). Raises UserError for an id that is not in the plan or not stored."""
    where = paths(experiment)
    if not cell_id:
        raise UserError("cell '': names no cell; give the first digits of its id")
    found = [(pack, cell, known) for pack in grid.members(experiment)
             for cell, known in cell_ids(grid.pack_cells(experiment, pack)).items() if known.startswith(cell_id)]
    if len({known for *_, known in found}) > 1:
        raise UserError(f"cell {cell_id!r}: {len(found):,} cells begin so; give more digits")
    if not found:
        raise UserError(f"cell {cell_id!r}: not in the plan; the ids are in the column cell_id of {where['plan']}")
    pack, cell, known = found[0]
    stored = Store(where["store"], provenance.platform_key(experiment.device)).load(pack, "rows", {known})
    if not len(stored):
        raise UserError(f"cell {cell_id!r}: planned but not trained yet on this platform; run snakemake --cores 2 first")
    fresh = next(iter(_produce(experiment, {cell: known}, frozenset())))["rows"]
    return stored.iloc[0], fresh.iloc[0]


@dataclass(frozen=True)
class Solution:
    """An exact minimiser read back from disk; fields as in `oracle.Solution`."""

    W: np.ndarray
    b: np.ndarray
    objective: float
    certificate: float


class Solutions:
    """Exact minimisers of the problems that the trained cells of one data set pose."""

    COLUMNS = ("dataset", "replicate", "model", "penalty", "l1_ratio", "lam", "lam_unit", "decay_mask")

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = {row["key"]: row for row in table.to_dict("records")}

    @classmethod
    def read(cls, experiment: Experiment, base: str) -> "Solutions":
        return cls(solutions(experiment, base))

    @staticmethod
    def key(cell: Cell) -> str:
        from wdbench import resolve

        return json.dumps([*resolve.problem(cell), provenance.governing(cell.model, "exact")])

    def of(self, cell: Cell) -> Solution:
        row = self.table.get(self.key(cell))
        if row is None:
            raise UserError(f"the oracle of {cell.dataset} lacks a problem; run: python -m wdbench oracle "
                            f"{datasets.base_name(cell.dataset)}")
        shape = (row["n_features"], row["n_outputs"])
        return Solution(np.asarray(row["weights"]).reshape(shape), np.asarray(row["bias"]), row["objective"], row["certificate"])


def solutions(experiment: Experiment, base: str) -> pd.DataFrame:
    """The table that `oracle` wrote; a damaged one is set aside and made again. Raises UserError where there is none."""
    path = paths(experiment)["oracles"] / f"{base}.parquet"
    if not path.exists():
        raise UserError(f"{path}: missing; run: python -m wdbench oracle {base}")
    try:
        return sealing.read(path)
    except sealing.Damaged:
        sealing.set_aside(path)
        return sealing.read(oracle(experiment, base))


def oracle(experiment: Experiment, base: str) -> Path:
    """Solve every convex problem that trained cells of a data set pose; write results/oracle/<data set>.parquet."""
    from wdbench import resolve

    path = paths(experiment)["oracles"] / f"{base}.parquet"
    problems: dict[str, Cell] = {}
    for pack in grid.members(experiment):
        if pack.split("~")[0] == base and grid.has_oracle(pack):
            for cell in grid.pack_cells(experiment, pack):
                problems.setdefault(Solutions.key(cell), cell)
    # kept in the store as well: the workflow deletes a job's output before it runs the job again
    store = Store(paths(experiment)["store"], provenance.platform_key(experiment.device))
    names = {key: hashlib.sha256(key.encode()).hexdigest()[:16] for key in problems}
    stored = store.load(f"{base}~oracle", "rows", set(names.values()))
    known = dict(zip(stored["key"], stored.to_dict("records"), strict=True)) if len(stored) else {}
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for key, cell in problems.items():
        if key not in known:
            groups[cell.dataset, cell.replicate, cell.model, cell.penalty, cell.l1_ratio, cell.decay_mask].append(key)
    solved, said = 0, time.time()
    with store.writer(f"{base}~oracle") as writer:
        for keys in groups.values():
            orphans.stop_if_orphaned()
            solved += len(keys)
            if time.time() - said > SAID_EVERY:
                said = time.time()
                print(f"[wdbench] exact minimisers of {base}: {solved:,}/{sum(map(len, groups.values())):,} problems", file=sys.stderr,
                      flush=True)
            for (cell, solution), key in zip(resolve.solve([problems[k] for k in keys]), keys, strict=True):
                known[key] = {
                    "cell_id": names[key], "key": key, **dict(zip(Solutions.COLUMNS, resolve.problem(cell), strict=True)),
                    "lambda": resolve.absolute_lambda(cell), "objective": float(solution.objective),
                    "certificate": float(solution.certificate), "iterations": int(solution.iterations),
                    "converged": bool(solution.converged), "weight_norm": float(np.linalg.norm(solution.W)),
                    "zero_fraction": float((solution.W == 0).mean()), "n_features": solution.W.shape[0],
                    "n_outputs": solution.W.shape[1], "weights": solution.W.ravel().tolist(), "bias": solution.b.tolist(),
                }
            writer.add({"rows": pd.DataFrame([known[key] for key in keys])})
    return sealing.write_parquet(path, pd.DataFrame([known[key] for key in problems]).drop(columns="cell_id"))
