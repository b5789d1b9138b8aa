"""What each arithmetic does to decay and to training: one row an arithmetic, coupling and size of ηλ, over whole studies.

Final losses of different data sets are not comparable, so that a loss is given relative to that of the cell in fp32 which differs
from it in nothing but the arithmetic: data, replicate, start, batches and hyperparameters are the same.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

LIMIT = 2.0**-9  # a decoupled decay of at most this is lost where bf16 weights are rounded after it (claim I15)
GROUPS = ("model", "study", "coupling", "decay", "precision", "rounding")
COLUMNS = (*GROUPS, "cells", "diverged", "fidelity", "fidelity_low", "fidelity_high", "below_half", "updates_lost", "train_loss_change",
           "test_loss_change", "spikes", "spiked")
KINDS = {"linear": "convex", "logistic": "convex", "softmax": "convex", "gpt": "language"}
ARMS = (("fp64", "none"), ("fp32", "none"), ("bf16_compute", "none"), ("bf16_weights", "nearest_split"),
        ("bf16_weights", "nearest_once"), ("bf16_weights", "stochastic"), ("bf16_weights", "kahan"))
_SETTING = ("dataset", "model", "optimiser", "penalty", "l1_ratio", "lambda_given", "lambda_unit", "lambda", "coupling", "lr", "schedule",
            "steps", "batch_size", "decay_mask", "decay_phase", "clip", "ema", "init_scale", "beta1", "beta2", "sphere", "replicate")


def table(runs: DataFrame) -> DataFrame:
    """precision.csv, of the studies that have cells in both fp32 and bf16 weights, for penalties none and l2.

    model: convex (linear, logistic and softmax models), network, or language (one-pass language models); coupling and decay: `none`
    without a penalty; decay is `small` for ηλ ≤ 2⁻⁹ (η the largest of the run; independent coupling: λ) and `large` above.
    """
    runs = runs[runs["optimiser"].ne("exact") & runs["penalty"].isin(["none", "l2"])]
    rounding = runs["rounding"].fillna("none").astype(str)
    step = runs["lr"].astype(float) * runs["lambda"].astype(float).where(runs["penalty"].eq("l2"), 0.0)
    if "coupling" in runs:
        # independent decay is not multiplied by the learning rate
        step = step.where(runs["coupling"].ne("independent"), runs["lambda"].astype(float))
    runs = runs.assign(rounding=rounding, decay=np.select([runs["penalty"].eq("none"), step <= LIMIT], ["none", "small"], "large"))
    runs["coupling"] = runs["coupling"].astype(str).where(runs["penalty"].ne("none"), "none")
    parts = [_study(name, rows) for name, rows in _studies(runs)]
    found = pd.concat(parts, ignore_index=True) if parts else DataFrame(columns=list(COLUMNS))
    return found[list(COLUMNS)].astype({"cells": "int64"})


def _studies(runs: DataFrame) -> Iterator[tuple[str, DataFrame]]:
    """(study, its rows) of those with both fp32 and bf16 weights; a cell is in every study that asks for it."""
    members = runs["study"].astype(str).str.split("+")
    for name in sorted({study for names in members for study in names}):
        rows = runs[members.map(lambda names, name=name: name in names)]
        if {"fp32", "bf16_weights"} <= set(rows["precision"]):
            yield name, rows


def _study(name: str, rows: DataFrame) -> DataFrame:
    rows = relative(rows)
    keys = [*GROUPS[2:]]
    family = rows["model"].astype(str).str.partition(":")[0]
    grouped = rows.assign(model=family.map(KINDS).fillna("network")).groupby(["model", *keys], sort=False)
    found = [dict(zip(("model", *keys), key, strict=True)) | _numbers(group) for key, group in grouped]
    order = {arm: place for place, arm in enumerate(ARMS)}
    place = lambda row: (row["model"], row["coupling"], row["decay"] == "large", order[row["precision"], row["rounding"]])  # noqa: E731
    return DataFrame(sorted(found, key=place)).assign(study=name)


def relative(rows: DataFrame) -> DataFrame:
    """`rows` with train_loss_change and test_loss_change: (loss − that of the fp32 cell of the same setting) ÷ the latter, NaN where
    either of them diverged.
    """
    keys = [name for name in _SETTING if name in rows]
    filled = rows[keys].astype(object).where(rows[keys].notna(), "")
    number = filled.groupby(keys, sort=False).ngroup()
    changes = {}
    for loss in ("train_loss", "test_loss"):
        finite = rows[loss].astype(float).where(rows["status"].eq("ok"))
        base = finite[rows["precision"].eq("fp32")].groupby(number[rows["precision"].eq("fp32")]).first()
        against = number.map(base)
        changes[f"{loss}_change"] = (finite - against) / against
    return rows.assign(**changes)


def _numbers(rows: DataFrame) -> dict[str, Any]:
    fidelity = rows["fidelity"].dropna().astype(float)
    spikes = rows["spikes"].dropna().astype(float) if "spikes" in rows else pd.Series(dtype=float)
    return {
        "cells": len(rows),
        "diverged": float(rows["status"].eq("diverged").mean()),
        "fidelity": fidelity.median(),
        "fidelity_low": fidelity.quantile(0.1),
        "fidelity_high": fidelity.quantile(0.9),
        "below_half": float((fidelity < 0.5).mean()) if len(fidelity) else np.nan,
        "updates_lost": rows["updates_lost"].dropna().astype(float).median(),
        "train_loss_change": rows["train_loss_change"].median(),
        "test_loss_change": rows["test_loss_change"].median(),
        "spikes": spikes.mean(),
        "spiked": float((spikes > 0).mean()) if len(spikes) else np.nan,
    }
