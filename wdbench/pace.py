"""Seconds a cell will take, learnt from the rows that there are: what `wdbench plan` predicts from.

A gamma regression with a log link (scikit-learn's; McCullagh & Nelder 1989, chapter 8) of `train_seconds` on the logarithms of steps,
batch, weights and rows, and on what else changes a step, one for exact solutions, one for trained convex models, one for networks. Where
a pack has rows of its own, its predictions are scaled to them. Beside the rows of this run stand those of the accepted one, as a table
of programs, brought to this machine's pace by what both have trained.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import GammaRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from wdbench import fits, grid, sealing

KEYS = ["dataset", "model", "optimiser", "precision", "steps", "batch_size"]
# programs that a kind must have rows of before a regression on a dozen numbers says anything
LEAST_PROGRAMS = 20


def kind(model: str, optimiser: str) -> str:
    """Which regression a cell belongs to: exact, convex or network."""
    return "exact" if optimiser == "exact" else "convex" if model in grid.GLM.values() else "network"


@cache
def weights(dataset: str, model: str) -> int:
    """Weights of a model of a data set, about."""
    if model in grid.GLM.values():
        return grid.weights(dataset)
    from wdbench import lone, models

    family, options = models.parse(model)
    return lone.weights(family, options, fits.features(dataset) or 1000, fits.outputs(dataset))


def _numbers(programs: pd.DataFrame) -> np.ndarray:
    """What the regression sees of programs (KEYS), [n, 10]."""
    rows = np.array([fits.rows(dataset) for dataset in programs["dataset"]], float)
    batch = np.minimum(programs["batch_size"].astype(float).fillna(1.0).to_numpy(), rows)
    size = [weights(dataset, model) for dataset, model in zip(programs["dataset"], programs["model"], strict=True)]
    logs = [programs["steps"].astype(float).fillna(1.0), batch, size, rows]
    marks = [programs["optimiser"] == "adam", programs["optimiser"] == "momentum", programs["precision"] == "bf16_weights",
             programs["precision"] == "bf16_compute", programs["model"].str.contains("norm=bn"),
             programs["model"].isin(["linear", "logistic"])]
    return np.column_stack([*(np.log(np.asarray(v, float)) for v in logs), *(np.asarray(m, float) for m in marks)])


def programs(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a program of a pack, from rows with KEYS, pack and train_seconds: mean seconds a cell, and cells."""
    numbers = {name: rows[name].astype(float) for name in ("steps", "batch_size")}
    grouped = rows.assign(**numbers).groupby(["pack", *KEYS], dropna=False)
    return grouped.agg(seconds=("train_seconds", "mean"), cells=("train_seconds", "size")).reset_index()


def merged(mine: pd.DataFrame, accepted: pd.DataFrame) -> pd.DataFrame:
    """Programs of this run, and those of another one that it has none of, at this machine's pace: their seconds times the median ratio
    over the programs of both.
    """
    if not len(accepted) or not len(mine):
        return accepted if not len(mine) else mine
    both = mine.merge(accepted, on=["pack", *KEYS], suffixes=("", "_there"))
    both = both[(both["seconds"] > 0) & (both["seconds_there"] > 0)]
    ratio = float((both["seconds"] / both["seconds_there"]).median()) if len(both) else 1.0
    others = accepted[~accepted["pack"].isin(mine["pack"])]
    return pd.concat([mine, others.assign(seconds=others["seconds"] * ratio)], ignore_index=True)


class Pace:
    """What a table of `programs` says."""

    def __init__(self, table: pd.DataFrame):
        programs = table.assign(kind=[kind(m, o) for m, o in zip(table["model"], table["optimiser"], strict=True)])
        self.models: dict[str, Pipeline] = {}
        self.scale: dict[str, float] = {}
        self.own = {pack: float(np.average(part["seconds"], weights=part["cells"])) for pack, part in programs.groupby("pack")}
        for name, part in programs[programs["seconds"] > 0].groupby("kind"):
            if len(part) < LEAST_PROGRAMS:
                continue
            model = make_pipeline(StandardScaler(), GammaRegressor(alpha=1e-3, max_iter=5000))
            model.fit(_numbers(part), part["seconds"], gammaregressor__sample_weight=part["cells"])
            self.models[str(name)] = model
            expected = part.assign(expected=model.predict(_numbers(part)) * part["cells"], spent=part["seconds"] * part["cells"])
            totals = expected.groupby("pack")[["spent", "expected"]].sum()
            self.scale |= {str(pack): ratio for pack, ratio in (totals["spent"] / totals["expected"]).items()}

    def knows(self, pack: str) -> bool:
        """Whether `seconds` has more than a rough guess for a pack's cells."""
        _, model, optimiser, *_ = pack.split("~")
        return kind(model, optimiser) in self.models or pack in self.own

    def seconds(self, pack: str, cells: Sequence[grid.Cell], rough: float) -> float:
        """Seconds that cells of a pack will take, all together; `rough`: seconds a cell where no row says anything."""
        _, model, optimiser, *_ = pack.split("~")
        if not cells:
            return 0.0
        if kind(model, optimiser) not in self.models:
            return len(cells) * self.own.get(pack, rough)
        table = pd.DataFrame([{key: getattr(cell, key) for key in KEYS} for cell in cells]).value_counts(KEYS, dropna=False).reset_index()
        predicted = self.models[kind(model, optimiser)].predict(_numbers(table))
        return float((predicted * table["count"]).sum()) * self.scale.get(pack, 1.0)


def pace(stored: Mapping[str, pd.DataFrame], wanted: Mapping[str, set[str]], accepted: Sequence[Path] = ()) -> Pace:
    """`Pace` of the stored rows of packs, of a pack that has rows of the code as it is (ids in `wanted`) of those alone, and of the
    tables of programs that accepted runs left, where they are.
    """
    parts = []
    for pack, rows in stored.items():
        if len(rows):
            current = rows[rows["cell_id"].isin(wanted[pack])]
            parts.append((current if len(current) else rows)[[*KEYS, "train_seconds"]].assign(pack=pack))
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in (*KEYS, "pack", "train_seconds")})
    mine = programs(pd.concat(parts, ignore_index=True) if parts else empty)
    tables = [sealing.read(path) for path in accepted if path.exists()]
    return Pace(merged(mine, pd.concat(tables, ignore_index=True) if tables else mine.iloc[:0]))
