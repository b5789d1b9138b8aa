"""The lambda explorer: every arm of the grid along lambda, aggregated here, so that the browser only looks numbers up."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas import DataFrame

from wdbench.figures import labels
from wdbench.figures.quantities import Label
from wdbench.report import charts, interactive, paths
from wdbench.report.slices import KEYS, Slices, claims_that_chose, slices

GROUPS: dict[str, tuple[str, ...]] = {
    "loss": ("train_loss", "val_loss", "test_loss"),
    "error": ("train_error", "val_error", "test_error"),
    "weights": ("weight_norm", "weight_norm_inf"),
    "sparsity": ("zero_fraction",),
    "calibration": ("ece", "brier"),
    "likelihood": ("nll", "tempered_nll"),
    "confidence": ("confidence_gap",),
    "arithmetic": ("fidelity", "updates_lost"),
}
"""Columns of runs.parquet by the chart that they share."""

OTHERS = ("weight_norm_1", "participation_ratio", "ece_debiased", "temperature", "oracle_distance")  # in the table of values only
UNLABELLED = {
    "brier": Label("Brier score", "squared probability"),
    "ece_debiased": Label("calibration error, debiased", "share", share=True),
}
PENALTIES = {"l1": "ℓ1", "l2": "ℓ2", "elastic": "elastic net"}
CHOICES = ("dataset", "model", "penalty", "method", "arithmetic", "setting")
START = {
    "dataset": "Digits flipped=0.1, n=300, noisy test=1", "model": "mlp:depth=1", "method": "adam, decoupled",
    "setting": "mlp_decoupled: cosine schedule, 500 steps, batch 64", "lr": "0.002",
}
"""What the view opens with, where the run has it."""
BATCH_IS_FULL = 1_000_000


def explorer(tables: Mapping[str, DataFrame]) -> dict[str, Any] | None:
    """What the view needs, packed; None where no arm has a grid of lambda. tables: runs, and supports, selected, solutions if there."""
    runs = tables.get("runs", DataFrame())
    if runs.empty:
        return None
    found = slices(runs)
    if found.arms.empty:
        return None
    return {
        "data": interactive.packed(interactive.as_json(content(found, tables))),
        "charts": interactive.packed(interactive.as_json(charts.explorer())),
        "script": interactive.own("explorer.js"),
        "start": START,
        "digits": interactive.DIGITS,
        "slices": len(found.arms),
        "points": len(found.points),
    }


def content(found: Slices, tables: Mapping[str, DataFrame]) -> dict[str, Any]:
    """The explorer's data: `choices` and `slices` by number, `points` and `metrics` in columns, one entry a slice and lambda."""
    arms, points = found.arms, found.points
    texts = _texts(arms)
    choices = {name: dict(zip(("values", "of"), interactive.coded(texts[name].tolist()), strict=True)) for name in CHOICES}
    counts = points.groupby("slice").size()
    cells = found.rows[["slice", "cell_id", "chosen"]].rename(columns={"slice": "group"})
    claims = claims_that_chose(tables.get("selected", DataFrame()), cells)
    metrics = {}
    for name in [metric for group in GROUPS.values() for metric in group] + list(OTHERS):
        if name in found.rows and found.rows[name].notna().any():
            quartiles = found.quartiles(name)
            metrics[name] = {side: interactive.numbers(quartiles[side]) for side in quartiles}
    return {
        "choices": choices,
        "slices": {
            "lr": interactive.exact(arms["lr"]),
            "start": (counts.cumsum() - counts).tolist(),
            "count": counts.tolist(),
            "replicates": arms["replicates"].tolist(),
            "regression": _regression(found).tolist(),
            "claims": [claims.get(number, []) for number in arms.index],
            "where": _filters(arms),
        },
        "points": {
            "lambda": interactive.exact(points["lambda"]),
            "lambda_rel": interactive.numbers(points["lambda_rel"]),
            "lambda_clock": interactive.numbers(points["lambda_clock"]),
            "n": points["n"].tolist(),
            "diverged": points["diverged"].tolist(),
            "chosen": points["chosen"].tolist(),
        },
        "metrics": metrics,
        "groups": {name: [metric for metric in group if metric in metrics] for name, group in GROUPS.items()},
        "others": [name for name in OTHERS if name in metrics],
        "labels": {name: [_label(name).text, *(labels.unit(_label(name), task) for task in ("class", "regression"))] for name in metrics},
        **paths.content(found, tables),
    }


def _label(metric: str) -> Label:
    return UNLABELLED.get(metric) or labels.of(metric)


def _texts(arms: DataFrame) -> DataFrame:
    """What a reader chooses among, column by column of CHOICES."""
    names = labels.strata(sorted(arms["dataset"].unique()))
    method = [_method(*row) for row in arms[["optimiser", "coupling"]].itertuples(index=False)]
    arithmetic = [labels.arithmetic(*row) for row in arms[["precision", "rounding"]].itertuples(index=False)]
    return DataFrame({
        "dataset": arms["dataset"].map(names), "model": arms["model"], "penalty": arms["penalty"].map(lambda p: PENALTIES.get(p, p)),
        "method": method, "arithmetic": arithmetic, "setting": [_setting(arm) for _, arm in arms.iterrows()],
    }, index=arms.index)


def _method(optimiser: str, coupling: Any) -> str:
    return "exact minimiser" if optimiser == "exact" else f"{optimiser}, {str(coupling).replace('_', ' ')}"


def _setting(arm: pd.Series) -> str:
    """The study and what else tells its arms apart: `phases: drop schedule, 1000 steps, batch 32, decay in last 0.5 of the run`."""
    arm, parts = arm.dropna(), []
    if "schedule" in arm:
        parts.append(f"{arm['schedule']} schedule")
    if "steps" in arm:
        parts.append(f"{arm['steps']:g} steps")
    if "batch_size" in arm:
        parts.append("full batch" if arm["batch_size"] >= BATCH_IS_FULL else f"batch {arm['batch_size']:g}")
    if arm.get("init_scale", 1.0) not in (0.0, 1.0):
        parts.append(f"initial scale {arm['init_scale']:g}")
    parts += decayed(arm)
    if arm.get("sphere", "none") != "none":
        parts.append(f"on a sphere, {arm['sphere']}")
    if arm.get("beta2", 0.999) != 0.999:
        parts.append(f"β₂ {arm['beta2']:g}")
    return f"{arm['study']}{': ' if parts else ''}{', '.join(parts)}"


def decayed(arm: pd.Series) -> list[str]:
    """What of the weights is decayed, and when, where that is not all of them throughout."""
    arm, parts = arm.dropna(), []
    if arm.get("decay_mask", "weights") != "weights":
        parts.append(f"decay of {arm['decay_mask'].replace('_', ' ')}")
    if arm.get("decay_phase", "all") != "all":
        parts.append(f"decay in {arm['decay_phase'].replace(':', ' ')} of the run")
    return parts


def _regression(found: Slices) -> pd.Series:
    """0 or 1 a slice: whether its task is a regression, which has no classes."""
    rows = found.rows
    if "n_classes" not in rows:
        return pd.Series(1, index=found.arms.index)
    return 1 - rows["n_classes"].fillna(0).gt(0).groupby(rows["slice"]).any().astype(int)


def _filters(arms: DataFrame) -> list[str]:
    """The filter of each arm's rows, without its lambda, for `show runs --where`."""
    needed = [name for name in KEYS if name != "study" and (arms[name].nunique(dropna=False) > 1 or name in ("dataset", "penalty"))]
    texts = []
    for row in arms[needed].itertuples(index=False):
        given = [(name, value) for name, value in zip(needed, row, strict=True) if not pd.isna(value)]
        texts.append(" and ".join(f"{n} == \"{v}\"" if isinstance(v, str) else f"{n} == {v:.12g}" for n, v in given))
    return texts
