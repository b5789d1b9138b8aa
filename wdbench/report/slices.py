"""Arms along lambda: rows of runs.parquet that differ in lambda and replicate alone, and what they add up to.

A slice belongs to one study, so that every lambda of it has the same replicates. Rows without penalty are its point lambda = 0.
"""

from dataclasses import dataclass

import pandas as pd
from pandas import DataFrame

from wdbench.claims.selection import in_studies

SHARED = ("dataset", "model", "optimiser", "precision", "rounding", "lr", "schedule", "steps", "batch_size", "sphere", "clip", "ema",
          "init_scale", "beta1", "beta2")
"""Columns in which a cell and its twin without penalty are equal."""

KEYS = ("study", *SHARED, "penalty", "l1_ratio", "coupling", "decay_mask", "decay_phase")
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}
LEAST = 3  # values of lambda above 0 that make a slice
SELECTED_BY = "val_loss"


@dataclass(frozen=True)
class Slices:
    """arms: one row a slice, KEYS and `replicates`. rows: rows of runs with their `slice` and, as the claims choose it, `chosen`.

    points: one row a slice and lambda, sorted so: lambda, lambda_rel, lambda_clock, n (replicates), diverged, chosen (how many
    replicates have their lowest validation loss there, among lambda > 0).
    """

    arms: DataFrame
    rows: DataFrame
    points: DataFrame

    def quartiles(self, metric: str) -> DataFrame:
        """low, median, high of a column over the replicates that did not diverge, one row a point (NaN where none is left)."""
        values = self.rows[metric].where(self.rows["status"] == "ok").astype(float)
        grouped = values.groupby([self.rows["slice"], self.rows["lambda"]])
        table = DataFrame({name: grouped.quantile(share) for name, share in QUARTILES.items()})
        return table.reindex(pd.MultiIndex.from_frame(self.points[["slice", "lambda"]])).reset_index(drop=True)


def slices(runs: DataFrame) -> Slices:
    """All slices of `runs` with at least LEAST values of lambda above 0, in the order of KEYS."""
    runs = with_design(runs)
    rows = each_study(runs[runs["penalty"] != "none"])
    keys = list(KEYS)
    number = rows.groupby(keys, dropna=False, sort=True).ngroup()
    several = rows.groupby(number)["lambda"].transform("nunique") >= LEAST
    rows = rows[several].assign(slice=number[several].rank(method="dense").astype(int) - 1)
    arms = rows.sort_values("slice", kind="stable").drop_duplicates("slice").set_index("slice")[keys]
    rows = pd.concat([rows, _without_penalty(runs, rows)], ignore_index=True)
    rows = rows.sort_values(["slice", "lambda", "replicate"], kind="stable", ignore_index=True)
    rows = rows.assign(chosen=rows.index.isin(chosen(rows, ["slice", "replicate"], ["lambda"]).index))
    return Slices(arms.assign(replicates=rows.groupby("slice")["replicate"].nunique()), rows, _points(rows))


def with_design(runs: DataFrame) -> DataFrame:
    """`runs` with every column of KEYS: a table of one kind of model lacks some, which are missing values then."""
    wanted = [*KEYS, "lambda_rel", "lambda_clock"]
    return runs.reset_index(drop=True).assign(**{name: float("nan") for name in wanted if name not in runs})


def chosen(rows: DataFrame, within: list[str], over: list[str]) -> DataFrame:
    """The row of lowest validation loss in each group, by the claims' rule (`claims.selection`): penalised, not diverged; the smaller
    value of `over`, in its order, where two are equal.
    """
    able = rows[(rows["penalty"] != "none") & (rows["status"] == "ok") & rows[SELECTED_BY].notna()]
    return able.sort_values([*within, SELECTED_BY, *over, "cell_id"], kind="stable").drop_duplicates(within)


def claims_that_chose(selected: DataFrame, cells: DataFrame) -> dict[int, list[str]]:
    """group -> claims with an arm whose choices among the group's cells are the chosen ones, all of them and no others.

    selected: selected.csv. cells: columns group, cell_id, chosen.
    """
    if not {"selected_by", "claim_id", "arm", "cell_id"}.issubset(selected):
        return {}
    made = selected.loc[selected["selected_by"] == SELECTED_BY, ["claim_id", "arm", "cell_id"]].drop_duplicates()
    wanted = cells.groupby("group")["chosen"].sum().rename("wanted")
    hits = made.merge(cells, on="cell_id").groupby(["group", "claim_id", "arm"])["chosen"].agg(["size", "sum"]).reset_index()
    hits = hits.join(wanted, on="group")
    same = hits[(hits["size"] == hits["sum"]) & (hits["sum"] == hits["wanted"])]
    return {int(str(group)): sorted(set(claims)) for group, claims in same.groupby("group")["claim_id"]}


def each_study(rows: DataFrame) -> DataFrame:
    """A row of several studies once for each of them, `study` its name alone."""
    names = sorted({name for text in rows["study"].unique() for name in str(text).split("+")})
    parts = [rows[in_studies(rows["study"], (name,))].assign(study=name) for name in names]
    return pd.concat(parts, ignore_index=True) if parts else rows


def _without_penalty(runs: DataFrame, rows: DataFrame) -> DataFrame:
    """The rows without penalty that are twins of a slice's replicates, with that slice's number."""
    shared = [*SHARED, "replicate"]
    blocks = rows[[*shared, "slice"]].drop_duplicates()
    plain = runs[(runs["penalty"] == "none") & (runs["lambda"] == 0)].drop_duplicates(shared)
    return blocks.merge(plain, on=shared, how="inner")


def _points(rows: DataFrame) -> DataFrame:
    grouped = rows.groupby(["slice", "lambda"])
    points = grouped.agg(
        lambda_rel=("lambda_rel", "first"), lambda_clock=("lambda_clock", "first"), n=("replicate", "nunique"),
        diverged=("status", lambda status: int((status != "ok").sum())), chosen=("chosen", "sum"),
    )
    return points.reset_index()
