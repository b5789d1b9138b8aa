"""From runs.parquet to what a figure draws: an arm's rows, its curve over an axis, the λ that were chosen."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas import DataFrame
from scipy import stats

from wdbench.figures.view import ClaimView


def matching(runs: DataFrame, where) -> DataFrame:
    """Rows of `runs` that fit `where`: a mapping column -> value or list of values, a filter text, or None for all."""
    if where is None or (isinstance(where, Mapping | str) and not where):
        return runs
    if isinstance(where, Mapping):
        mask = np.ones(len(runs), dtype=bool)
        for column, wanted in where.items():
            values = list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
            mask &= runs[column].isin(values).to_numpy()
        return runs[mask]
    from wdbench import filters

    return runs[filters.mask(runs, where)]


def arms(claim: ClaimView, runs: DataFrame) -> dict[str, DataFrame]:
    """Arm name -> its rows, in the claim's order; `where` and `datasets` of the claim apply to every arm."""
    base = matching(runs, claim.extra.get("where"))
    wanted = claim.extra.get("datasets")
    if wanted:
        base = base[base["dataset"].isin(list(wanted))]
    return {name: matching(base, where.get("where", where) if isinstance(where, Mapping) else where) for name, where in claim.arms.items()}


def best_by_validation(rows: DataFrame, x: str) -> DataFrame:
    """One row a (dataset, replicate, `x`): the one with the lowest validation loss; where all diverged, a diverged row."""
    order = rows.sort_values("val_loss", kind="stable", na_position="last")
    return order.drop_duplicates(["dataset", "replicate", x])


def curve(rows: DataFrame, x: str, metric: str, confidence: float = 0.95) -> DataFrame:
    """Mean of `metric` over replicates at each `x`, with a t interval.

    Returns columns dataset, x, mean, low, high, n (finite replicates), n_lost (replicates without a finite value). The interval is
    missing where n < 2.
    """
    chosen = best_by_validation(rows, x)
    finite = chosen[metric].where(np.isfinite(chosen[metric].astype(float)))
    grouped = chosen.assign(value=finite.astype(float)).groupby(["dataset", x], sort=True)["value"]
    found = grouped.agg(mean="mean", sd="std", n="count", size="size").reset_index().rename(columns={x: "x"})
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stats.t.ppf(0.5 + confidence / 2, np.maximum(found["n"] - 1, 1)) * found["sd"] / np.sqrt(found["n"])
    half = half.where(found["n"] > 1)
    return found.assign(low=found["mean"] - half, high=found["mean"] + half, n_lost=found["size"] - found["n"]).drop(columns=["sd", "size"])


def task_of(rows: DataFrame) -> str | None:
    """"regression" or "classification" where all rows agree, else None."""
    if "model" not in rows or rows.empty:
        return None
    kinds = {"regression" if model == "linear" else "classification" for model in rows["model"].dropna().unique()}
    return kinds.pop() if len(kinds) == 1 else None


def chosen_lambda(claim: ClaimView, selected: DataFrame, runs: DataFrame, x: str) -> DataFrame:
    """Columns dataset, arm, replicate, x, metric of the claim's selected cells; `x` looked up in runs by cell_id."""
    mine = selected[selected["claim_id"] == claim.id]
    if x in mine.columns:
        return mine.rename(columns={x: "x"})[["dataset", "arm", "replicate", "x", "metric"]]
    if "cell_id" not in mine or x not in runs:
        return DataFrame({name: [] for name in ("dataset", "arm", "replicate", "x", "metric")})
    lookup = runs[runs["cell_id"].isin(mine["cell_id"])].drop_duplicates("cell_id").set_index("cell_id")[x]
    return mine.assign(x=mine["cell_id"].map(lookup))[["dataset", "arm", "replicate", "x", "metric"]]


def datasets_in_order(claim: ClaimView, tables, found) -> list[str]:
    """Data sets of `found` in the order of the claim's verdicts; those without a verdict follow by name."""
    verdicts = tables.get("verdicts")
    ranked = [] if verdicts is None else [d for d in verdicts.loc[verdicts["claim_id"] == claim.id, "dataset"] if d in set(found)]
    return list(dict.fromkeys(ranked)) + sorted(set(found) - set(ranked))


def fitted_line(points: DataFrame, log_x: bool = True) -> dict[str, float]:
    """Least-squares slope of y on x (log₁₀ x where `log_x`) per block, then mean and 95 % t interval of the slopes over blocks.

    `points` has columns block, x, y. Returns slope, low, high, intercept (mean over blocks), n (blocks with at least two x).
    """
    slopes, intercepts = [], []
    for _, rows in points.groupby("block", sort=True):
        rows = rows[np.isfinite(rows["x"].astype(float)) & np.isfinite(rows["y"].astype(float))]
        x = np.log10(rows["x"].to_numpy(float)) if log_x else rows["x"].to_numpy(float)
        if np.unique(x).size < 2:
            continue
        slope, intercept = np.polyfit(x, rows["y"].to_numpy(float), 1)
        slopes.append(slope)
        intercepts.append(intercept)
    n = len(slopes)
    mean = float(np.mean(slopes)) if n else float("nan")
    half = float(stats.t.ppf(0.975, n - 1) * np.std(slopes, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return {"slope": mean, "low": mean - half, "high": mean + half, "intercept": float(np.mean(intercepts)) if n else float("nan"), "n": n}


def clopper_pearson(events: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a rate (Clopper & Pearson 1934): beta quantiles; (nan, nan) where n = 0."""
    if n == 0:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else float(stats.beta.ppf(tail, events, n - events + 1))
    high = 1.0 if events == n else float(stats.beta.ppf(1 - tail, events + 1, n - events))
    return low, high


def finite(values) -> np.ndarray:
    values = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(float)
    return values[np.isfinite(values)]
