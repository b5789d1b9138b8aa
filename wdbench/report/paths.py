"""Coefficient by coefficient along lambda: which features the replicates keep, and the exact minimisers' weights."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas import DataFrame

from wdbench.report import interactive
from wdbench.report.slices import Slices

MOST_KEPT = 30  # features shown of those that any replicate keeps
MOST_WEIGHTS = 40  # coefficients that a path can show
PROBLEM = ["dataset", "model", "penalty", "l1_ratio", "decay_mask"]


def content(found: Slices, tables: Mapping[str, DataFrame]) -> dict[str, Any]:
    """`kept` and `paths`: for a slice's number (as text), by feature, a number for each of the slice's points."""
    return {"kept": kept(found, tables.get("supports", DataFrame())), **paths(found, tables.get("solutions", DataFrame()))}


def kept(found: Slices, supports: DataFrame) -> dict[str, dict[str, list[Any]]]:
    """slice -> features (numbers of columns) and, of each, how many replicates keep it at each point of the slice.

    Slices whose solutions are dense are left out. The features that most replicates keep come first, MOST_KEPT of them.
    """
    if supports.empty or "zero_fraction" not in found.rows:
        return {}
    rows = found.rows[found.rows["cell_id"].isin(supports["cell_id"].unique())]
    sparse = rows.groupby("slice")["zero_fraction"].median()
    shown: dict[str, dict[str, list[Any]]] = {}
    for number in sparse.index[sparse > 0]:
        here = rows[rows["slice"] == number]
        lambdas = found.points.loc[found.points["slice"] == number, "lambda"]
        counts = supports.merge(here[["cell_id", "lambda"]], on="cell_id").groupby(["feature", "lambda"]).size()
        table = counts.unstack(fill_value=0).reindex(columns=lambdas, fill_value=0)
        table = table.loc[table.loc[:, lambdas.to_numpy() > 0].sum(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_KEPT]]
        shown[str(number)] = {"features": table.index.tolist(), "kept": table.to_numpy().tolist()}
    return shown


def paths(found: Slices, solutions: DataFrame) -> dict[str, Any]:
    """`paths`: lists of coefficients, each its median over replicates at the slice's lambdas above 0; `path_of`: slice -> its path.

    solutions: the exact minimisers, one row a problem and replicate, `weights` as a list. Only models of one output and at most
    MOST_WEIGHTS features, and only where every lambda and replicate of the slice is there.
    """
    if solutions.empty:
        return {"paths": [], "path_of": {}}
    able = solutions[(solutions["n_outputs"] == 1) & (solutions["n_features"] <= MOST_WEIGHTS) & (solutions["penalty"] != "none")]
    able = able.assign(key=_near(able["lambda"]))
    known = {problem: group for problem, group in able.groupby(PROBLEM)}
    made: dict[Any, int] = {}
    lists: list[list[list[float | None]]] = []
    path_of: dict[str, int] = {}
    penalised = found.rows[found.rows["penalty"] != "none"]
    for number, here in penalised.groupby("slice"):
        problem = tuple(found.arms.loc[number, PROBLEM])
        if problem not in known:
            continue
        wanted = pd.MultiIndex.from_arrays([_near(here["lambda"]), here["replicate"]])
        have = known[problem].set_index(["key", "replicate"])["weights"]
        if not wanted.isin(have.index).all():
            continue
        identity = (problem, tuple(sorted(set(wanted))))
        if identity not in made:
            made[identity] = len(lists)
            weights = DataFrame(have.loc[wanted.unique()].tolist()).groupby(wanted.unique().get_level_values(0)).median()
            lists.append([interactive.numbers(weights[column]) for column in weights])
        path_of[str(number)] = made[identity]
    return {"paths": lists, "path_of": path_of}


def _near(lam: pd.Series) -> pd.Series:
    """Lambda to twelve digits, as a key."""
    return lam.map(lambda value: float(f"{value:.12g}"))
