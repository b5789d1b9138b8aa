"""Points (panel, block, arm, x, y) behind the slope and U-shape figures."""

import numpy as np
import pandas as pd
from pandas import DataFrame

from wdbench.figures import rows
from wdbench.figures.registry import Tables, table
from wdbench.figures.view import ClaimView

COLUMNS = ["panel", "dataset", "block", "arm", "x", "y"]
# axes along which one data set holds many cells; every other x is a property of the data set itself
CELL_AXES = ("lambda", "lambda_rel", "lambda1", "lambda2", "lr", "lr_rel", "decay_per_step", "init_scale", "batch_size", "steps", "l1_ratio")


def _empty() -> DataFrame:
    return DataFrame({name: pd.Series(dtype=float if name in "xy" else object) for name in COLUMNS})


def panel_names(specs: pd.Series, x: pd.Series) -> pd.Series:
    """Each spec without the options that stand for x: those that change together with x, one value each, within the base name."""
    base = specs.str.partition(":")[0]
    named = pd.Series(specs, index=specs.index)
    for name, places in base.groupby(base).groups.items():
        options = specs.loc[places].map(_options)
        keys = sorted({key for option in options for key in option})
        moving = [key for key in keys if _stands_for(options.map(lambda o, k=key: o.get(k)), x.loc[places])]
        kept = options.map(lambda o, m=tuple(moving): ",".join(f"{k}={v}" for k, v in o.items() if k not in m))
        named.loc[places] = kept.map(lambda text, n=name: f"{n}:{text}" if text else n)
    return named


def _options(spec: str) -> dict[str, str]:
    text = spec.partition(":")[2]
    return dict(part.partition("=")[::2] for part in text.split(",") if part)


def _stands_for(option: pd.Series, x: pd.Series) -> bool:
    """Whether every value of x goes with one value of the option, and there is more than one."""
    pairs = DataFrame({"option": option.fillna(""), "x": x}).drop_duplicates()
    return pairs["x"].nunique() > 1 and pairs["option"].nunique() > 1 and not pairs.duplicated("x").any()


def along_cells(claim: ClaimView, runs: DataFrame, x: str, metric: str) -> DataFrame:
    """Metric of each block's cell at each x (λ, η, ...), the learning rate chosen on validation, diverged rows as NaN."""
    found = []
    for name, part in rows.arms(claim, runs).items():
        part = rows.best_by_validation(part, x)
        found.append(DataFrame({"panel": part["dataset"], "dataset": part["dataset"], "block": part["replicate"], "arm": name,
                                "x": part[x].astype(float), "y": part[metric].astype(float)}))
    return pd.concat(found, ignore_index=True) if found else _empty()


def _x_of_datasets(runs: DataFrame, x: str) -> pd.Series:
    return runs.dropna(subset=[x]).groupby("dataset")[x].median()


def along_datasets(claim: ClaimView, tables: Tables, runs: DataFrame, x: str) -> DataFrame:
    """Metric of each block's selected cell against a property of the data set (n, m, s, ...)."""
    mine = table(tables, "selected", ("claim_id", "dataset", "replicate", "arm", "metric"))
    mine = mine[mine["claim_id"] == claim.id]
    at = mine["dataset"].map(_x_of_datasets(runs, x))
    points = DataFrame({"dataset": mine["dataset"], "block": mine["replicate"], "arm": mine["arm"], "x": at.astype(float), "y": mine["metric"].astype(float)})
    points = points.dropna(subset=["x"])
    return points.assign(panel=panel_names(points["dataset"], points["x"]))[COLUMNS] if len(points) else _empty()


def effects_along_datasets(claim: ClaimView, tables: Tables, runs: DataFrame, x: str) -> DataFrame:
    """Effect of each block against a property of the data set; empty where the effects are not one a value of x."""
    mine = table(tables, "effects", ("claim_id", "dataset", "block", "effect"))
    mine = mine[mine["claim_id"] == claim.id]
    at = mine["x"] if "x" in mine else mine["dataset"].map(_x_of_datasets(runs, x))
    points = DataFrame({"dataset": mine["dataset"], "block": mine["block"], "arm": "effect", "x": at.astype(float), "y": mine["effect"].astype(float)})
    points = points.dropna(subset=["x"])
    if points.empty:
        return _empty()
    points = points.assign(panel=panel_names(points["dataset"], points["x"]))[COLUMNS]
    return points if points.groupby("panel")["x"].nunique().max() > 1 else _empty()


def of(claim: ClaimView, tables: Tables, x: str, metric: str, y: str | None) -> tuple[DataFrame, str]:
    """Points of a claim and what their y is: "metric" or "effect" (`y` asks for one; None: effects where they exist)."""
    runs = table(tables, "runs", ("dataset", "replicate", "val_loss", metric, x))
    if x in CELL_AXES:
        return along_cells(claim, runs, x, metric), "metric"
    effects = effects_along_datasets(claim, tables, runs, x) if y in (None, "effect") else _empty()
    if len(effects):
        return effects, "effect"
    return along_datasets(claim, tables, runs, x), "metric"


def mean_line(points: DataFrame) -> DataFrame:
    """Mean of y at each x with a 95 % t band: the columns of `rows.curve`, without data set."""
    return rows.curve(points.assign(dataset="", replicate=points["block"], val_loss=np.arange(len(points))).rename(columns={"x": "at"}), "at", "y")
