"""From runs.parquet to what a figure draws: a claim's rows by stratum, block and arm, their curves, the λ
chosen.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from scipy import stats

from wdbench import filters
from wdbench.claims import selection
from wdbench.config.claims import Claim

KEY = ["stratum", "arm", "condition", "x"]
LONG = [*KEY, "block", "y", "by", "model", "cell_id"]


def arm_names(claim: Claim) -> dict[str, str]:
    """arm -> its label, or its own name."""
    return {name: arm.label or name for name, arm in claim.arms.items()}


def values(rows: DataFrame, expression: str) -> Series:
    """float64 column or arithmetic over columns; NaN where a cell diverged."""
    return filters.parse_expression(expression, "figure").evaluate(rows)


def measured(claim: Claim, runs: DataFrame, x: str, metric: str) -> DataFrame:
    """Every row of the claim's arms in long form: LONG, where y is `metric` (or the arm's own) and by is what
    the arm selects by.

    Where an arm selects by the mean, its rows are averaged over each (stratum, block, x) first. Conditions of
    an interaction are told apart; elsewhere condition is "".
    """
    base = selection.with_strata(claim, selection.claim_rows(claim, runs))
    base = base.assign(block=base.groupby(list(claim.block), sort=True, observed=True).ngroup())
    found = []
    for condition, text in [(str(name), text) for name, text in claim.conditions.items()] or [("", "")]:
        fitting = filters.parse(text, f"claim {claim.id}: conditions").rows(base)
        for name, arm in claim.arms.items():
            rows = filters.parse(arm.where, f"claim {claim.id}: arms.{name}.where").rows(fitting)
            if rows.empty:
                continue
            long = DataFrame(
                {
                    "stratum": rows["stratum"],
                    "arm": arm.label or name,
                    "condition": condition,
                    "x": values(rows, x),
                    "block": rows["block"],
                    "y": values(rows, arm.metric or metric),
                    "by": values(rows, arm.select.by if arm.select else "val_loss"),
                    "model": rows["model"],
                    "cell_id": rows["cell_id"],
                }
            )
            if arm.select is not None and arm.select.rule == "mean":
                means = long.groupby([*KEY, "block"], as_index=False, dropna=False)
                long = means.agg({"y": "mean", "by": "mean", "model": "first", "cell_id": "first"})[LONG]
            found.append(long)
    if not found:
        return DataFrame({name: Series(dtype=float if name in ("x", "y", "by") else object) for name in LONG})
    return pd.concat(found, ignore_index=True)


def lambda_column(claim: Claim, runs: DataFrame) -> str:
    """The form in which the claim's studies give their λ: lambda_rel, lambda_clock, or else lambda itself."""
    rows = selection.claim_rows(claim, runs)
    penalised = rows[rows["penalty"] != "none"] if "penalty" in rows else rows
    return next((name for name in ("lambda_rel", "lambda_clock") if name in rows and penalised[name].notna().any()), "lambda")


def best_by_validation(long: DataFrame) -> DataFrame:
    """One row a (KEY, block): the one with the lowest `by`; where all diverged, a diverged one."""
    ordered = long.sort_values(["by", "cell_id"], kind="stable", na_position="last")
    return ordered.drop_duplicates([*KEY, "block"])


def curve(long: DataFrame, confidence: float = 0.95) -> DataFrame:
    """Mean of y over blocks at each x with a t interval, of rows in the form of `measured`.

    Returns KEY, mean, low, high, n (blocks with a finite y), n_lost (blocks without). No interval where n <
    2.
    """
    chosen = best_by_validation(long)
    finite = chosen["y"].where(np.isfinite(chosen["y"]))
    grouped = chosen.assign(y=finite).groupby(KEY, sort=True)["y"]
    found = grouped.agg(mean="mean", sd="std", n="count", size="size").reset_index()
    quantile = stats.t.ppf(0.5 + confidence / 2, np.maximum(found["n"] - 1, 1))
    half = (quantile * found["sd"] / np.sqrt(np.maximum(found["n"], 1))).where(found["n"] > 1)
    ends = {"low": found["mean"] - half, "high": found["mean"] + half, "n_lost": found["size"] - found["n"]}
    return found.assign(**ends).drop(columns=["sd", "size"])


def task_of(long: DataFrame) -> str | None:
    """ "regression" or "classification" where all rows agree, else None."""
    kinds = {
        "regression" if model == "linear" else "classification" for model in long["model"].dropna().unique()
    }
    return kinds.pop() if len(kinds) == 1 else None


def task(claim: Claim, tables: Mapping[str, pd.DataFrame]) -> str | None:
    """`task_of` the claim's rows in runs; None where there are none."""
    runs = tables.get("runs")
    if runs is None or not {"model", "study"} <= set(runs.columns):
        return None
    return task_of(selection.claim_rows(claim, runs))


def chosen_x(claim: Claim, selected: DataFrame, long: DataFrame) -> DataFrame:
    """stratum, arm, condition, x of the claim's selected cells, found in `long` by cell_id and arm."""
    mine = selected[selected["claim_id"] == claim.id]
    names = arm_names(claim)
    pairs = {(str(cell), names.get(arm, arm)) for cell, arm in zip(mine["cell_id"], mine["arm"], strict=True)}
    hit = [(str(cell), arm) in pairs for cell, arm in zip(long["cell_id"], long["arm"], strict=True)]
    return long.loc[hit, ["stratum", "arm", "condition", "x"]]


def in_order(claim: Claim, tables: Mapping[str, pd.DataFrame], found: Iterable[str]) -> list[str]:
    """Strata of `found` in the order of the claim's verdicts; those without a verdict follow by name."""
    found = set(found)
    verdicts = tables.get("verdicts")
    ranked: Iterable[str] = [] if verdicts is None else verdicts.loc[verdicts["claim_id"] == claim.id, "dataset"]
    return list(dict.fromkeys(d for d in ranked if d in found)) + sorted(found - set(ranked))


def transform(x: Series, name: str) -> Series:
    """x as the claim's slope sees it; NaN where it has no finite value (λ = 0 under a logarithm)."""
    functions: dict[str, Callable[[Series], Series]] = {"none": lambda v: v, "log": np.log, "log2": np.log2, "log10": np.log10}
    with np.errstate(all="ignore"):
        seen = functions[name](x.astype(float))
    return seen.where(np.isfinite(seen))


def finite(column: pd.Series | Iterable[float]) -> np.ndarray:
    """The finite numbers of a column, as float64."""
    numbers = pd.to_numeric(pd.Series(column), errors="coerce").to_numpy(float)
    return numbers[np.isfinite(numbers)]
