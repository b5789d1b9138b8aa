"""Which rows a claim reads, and which row of an arm stands for it in a block.

Selection reads the column named by `select.by` (validation) and `status`, nothing of the test rows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from wdbench import filters
from wdbench.config.claimparts import Arm, Side
from wdbench.config.claims import Claim
from wdbench.errors import UserError

KEYS = ["stratum", "condition", "x", "block"]
"""A point: one stratum, one side of an interaction, one value of x, one block."""

TREATMENT = (
    "dataset",
    "model",
    "optimiser",
    "penalty",
    "l1_ratio",
    "lambda",
    "lambda_rel",
    "lambda_clock",
    "coupling",
    "precision",
    "rounding",
    "lr",
    "lr_rel",
    "schedule",
    "steps",
    "batch_size",
    "decay_mask",
    "decay_phase",
    "clip",
    "ema",
    "init_scale",
    "beta1",
    "beta2",
    "sphere",
    "replicate",
)
"""Columns in which two cells of a study can differ by design."""

SHOWN = (
    "replicate",
    "cell_id",
    "lambda",
    "lambda_rel",
    "lambda_clock",
    "l1_ratio",
    "lr",
    "lr_rel",
    "status",
    "fidelity",
    "penalty",
    "n_classes",
)
_LOG: dict[str, Callable[[pd.Series], pd.Series]] = {"none": lambda x: x, "log": np.log, "log2": np.log2, "log10": np.log10}


def in_studies(study: pd.Series, wanted: tuple[str, ...]) -> pd.Series:
    """bool [rows]: the row belongs to one of the wanted studies; `study` holds names joined by "+"."""
    kinds = study.astype("category")
    kept = np.array([any(name in wanted for name in str(text).split("+")) for text in kinds.cat.categories], dtype=bool)
    return pd.Series(kept[kinds.cat.codes] if len(kept) else False, study.index, dtype=bool)


def claim_rows(claim: Claim, runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of the claim's studies that satisfy `where`."""
    rows = runs[in_studies(runs["study"], claim.study)]
    return filters.parse(claim.where, f"claim {claim.id}: where").rows(rows)


def with_strata(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with a column `stratum`; a row in two cases appears twice, a row in none not at all."""
    if claim.cases:
        parts = [
            filters.parse(text, f"claim {claim.id}: cases.{name}").rows(rows).assign(stratum=name)
            for name, text in claim.cases.items()
        ]
        return pd.concat(parts, ignore_index=True)
    return rows.assign(stratum=_labels(rows, claim.by) if claim.by else "pooled")


def select(claim: Claim, runs: pd.DataFrame) -> pd.DataFrame:
    """One row (for rules `mean` and `grid` and for events: several) per point, arm and metric.

    Columns: KEYS, arm, metric, those of SHOWN that exist, selected_by, selected_value, value (NaN for a diverged
    cell's losses), edge (ends of grids that the choice sits on, space-separated). Raises UserError where an arm
    leaves open which of several rows is meant.
    """
    rows = with_strata(claim, claim_rows(claim, runs))
    rows = _with_points(claim, rows)
    chosen: dict[Side, pd.DataFrame] = {}
    for name, arm in sorted(claim.arms.items(), key=lambda item: _matched(item[1]) is not None):
        candidates = filters.parse(arm.where, f"claim {claim.id}: arms.{name}.where").rows(rows)
        other = _matched(arm)
        chosen[name] = _choose(claim, name, arm, candidates, None if other is None else chosen[other])
    parts = []
    for name in sorted(chosen, reverse=True):
        for metric in claim.metric or ("event",):
            parts.append(_values(claim, name, metric, chosen[name]))
    return pd.concat(parts, ignore_index=True).sort_values(
        [*KEYS, "metric", "arm", "cell_id"], kind="stable", ignore_index=True
    )


def _labels(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    labels = np.full(len(rows), "", dtype=object)
    for position, column in enumerate(columns):
        codes, values = pd.factorize(rows[column], use_na_sentinel=False)
        texts = np.array([_shown(value) for value in values], dtype=object)
        labels = labels + (" / " if position else "") + texts[codes] if len(rows) else labels
    return pd.Series(labels, index=rows.index, dtype=object)


def _shown(value: Any) -> str:
    if pd.isna(value):
        return "NA"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_points(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(block=_labels(rows, claim.block).str.replace(" / ", "/", regex=False), x=np.nan)
    if claim.x is not None:
        with np.errstate(all="ignore"):
            x = filters.parse_expression(claim.x, f"claim {claim.id}: x").evaluate(rows)
            rows = rows.assign(x=_LOG[claim.x_transform](x))
        rows = rows[np.isfinite(rows["x"])]
    if not claim.conditions:
        return rows.assign(condition="")
    parts = [
        filters.parse(text, f"claim {claim.id}: conditions.{name}").rows(rows).assign(condition=name)
        for name, text in claim.conditions.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _matched(arm: Arm) -> Side | None:
    """The other arm, whose choice this one's is matched with."""
    return None if arm.select is None else arm.select.match


def _choose(claim: Claim, name: str, arm: Arm, rows: pd.DataFrame, target: pd.DataFrame | None) -> pd.DataFrame:
    over = list(arm.select.over) if arm.select is not None else []
    several = (arm.select is None and claim.event is not None) or (arm.select is not None and arm.select.rule == "mean")
    if not several:
        _refuse_ambiguous(claim, name, rows, over)
    if arm.select is None:
        return rows.assign(selected_by="", selected_value=np.nan, edge="")
    by = filters.floats(rows[arm.select.by])
    score = by.where((rows["status"] == "ok") & by.notna(), np.inf)
    rows = rows.assign(selected_by=arm.select.by, selected_value=by, score=score, edge="")
    if arm.select.rule == "mean" or rows.empty:
        return rows
    rows = rows.assign(edge=_edges(rows, over))
    if arm.select.rule == "grid":
        best = rows.sort_values(["score", *over, "cell_id"], kind="stable").drop_duplicates(KEYS)
        return rows.assign(edge=rows["edge"].where(rows["cell_id"].isin(best["cell_id"]), ""))
    order, ascending = [*KEYS, "rank", *over, "cell_id"], [True] * (len(KEYS) + len(over) + 2)
    match arm.select.rule:
        case "min":
            rows = rows.assign(rank=rows["score"])
        case "match":
            assert target is not None, "see Select: rule match names the other arm"
            wanted = target[[*KEYS, arm.select.by]].set_axis([*KEYS, "wanted"], axis=1)
            rows = rows.merge(wanted, on=KEYS, how="left")
            rows = rows.assign(rank=(rows["score"] - rows["wanted"]).abs())
        case "one_se":
            rows = _within_one_se(rows)
            ascending[len(KEYS) + 1] = False
    return rows.sort_values(order, ascending=ascending, kind="stable", na_position="last").drop_duplicates(KEYS)


def _within_one_se(rows: pd.DataFrame) -> pd.DataFrame:
    lowest = rows.groupby(KEYS, dropna=False)["score"].min().rename("lowest").reset_index()
    finite = lowest[np.isfinite(lowest["lowest"])]
    groups = finite.groupby(["stratum", "condition", "x"], dropna=False)["lowest"]
    error = (groups.std(ddof=1) / np.sqrt(groups.size())).rename("error").reset_index()
    rows = rows.merge(lowest, on=KEYS).merge(error, on=["stratum", "condition", "x"], how="left")
    near = rows["score"] <= rows["lowest"] + rows["error"].fillna(0.0)
    return rows.assign(rank=np.where(near, 0.0, 1.0) + np.where(np.isfinite(rows["score"]), 0.0, 2.0))


def _edges(rows: pd.DataFrame, over: list[str]) -> pd.Series:
    edges = pd.Series("", index=rows.index, dtype=object)
    for column in over:
        if not pd.api.types.is_numeric_dtype(rows[column]):
            continue
        values = filters.floats(rows[column])
        ends = values.groupby([rows[key] for key in KEYS], dropna=False)
        low, high = ends.transform("min"), ends.transform("max")
        edges = edges + np.where((values == high) & (low < high), f" {column}.high", "")
        edges = edges + np.where((values == low) & (low < high) & (low > 0), f" {column}.low", "")
    return edges.str.strip().where(np.isfinite(rows["score"]), "")


def _refuse_ambiguous(claim: Claim, name: str, rows: pd.DataFrame, over: list[str]) -> None:
    twice = rows[rows.duplicated([*KEYS, *over], keep=False)]
    if twice.empty:
        return
    first = twice.merge(twice[[*KEYS, *over]].head(1), on=[*KEYS, *over])
    differ = [column for column in TREATMENT if column in first and first[column].nunique(dropna=False) > 1]
    where = f"{len(first)} rows in block {first['block'].iloc[0]} of {first['stratum'].iloc[0]}"
    what = ", ".join(differ) or "nothing but the cell id"
    raise UserError(
        f"claim {claim.id}: arms.{name}: {where} differ in {what}; narrow where, or add to select.over, by or block"
    )


def _values(claim: Claim, name: Side, metric: str, rows: pd.DataFrame) -> pd.DataFrame:
    if claim.event is not None:
        value = filters.parse(claim.event, f"claim {claim.id}: event").mask(rows).astype(float)
    else:
        text = claim.arms[name].metric or metric
        value = filters.parse_expression(text, f"claim {claim.id}: metric").evaluate(rows)
    shown = [column for column in SHOWN if column in rows]
    kept = rows[[*KEYS, *shown, "selected_by", "selected_value", "edge"]]
    return kept.assign(arm=name, metric=metric, value=value)
