"""From selected rows to one effect a block: diverged cells filled in or left out, arms contrasted."""

import numpy as np
import pandas as pd

from wdbench import filters
from wdbench.claims.selection import KEYS
from wdbench.config.claims import Claim

HIGHER_IS_WORSE = ("_loss", "_error", "nll", "ece", "objective", "oracle_gap", "oracle_distance", "support_fdp")
LOWER_IS_WORSE = (
    "auc",
    "average_precision",
    "balanced_accuracy",
    "minority_recall",
    "tail_recall",
    "support_f1",
    "support_f1_topk",
    "support_f1_marginal",
    "support_tpr",
)
NLL_METRICS = ("nll", "tempered_nll", "train_loss", "val_loss", "test_loss")


def orientation(claim: Claim) -> int:
    """+1 where a higher effect supports the claim or the claim has no direction, -1 where a lower one does."""
    return -1 if claim.direction == "lower" else 1


def usable(claim: Claim, selected: pd.DataFrame, policy: str) -> pd.DataFrame:
    """`selected` with `value_used` and `imputed`.

    Policy worst_rank: a cell that diverged, or whose value is infinite, gets the worst finite value of that metric
    among the selected rows of its stratum, and a classification loss at least ln K. Policy exclude: NaN. The outcome
    of an event is never filled in.
    """
    table = selected.assign(value_used=selected["value"], imputed=False)
    if claim.event is not None:
        return table
    bad = (table["status"] != "ok") | np.isinf(table["value"])
    table.loc[bad, "value_used"] = np.nan
    if not bad.any() or policy == "exclude":
        return table.assign(imputed=bad)
    for (_, metric), rows in table.groupby(["stratum", "metric"], sort=False):
        finite = rows["value_used"].dropna()
        for arm, lost in rows[bad.loc[rows.index]].groupby("arm"):
            if finite.empty:
                continue
            worst = finite.max() if _high_is_worse(claim, str(metric), str(arm)) else finite.min()
            filled = pd.Series(worst, index=lost.index)
            if metric in NLL_METRICS and "n_classes" in lost:
                # a model that diverged predicts no better than the uniform distribution
                filled = np.fmax(filled, np.log(filters.floats(lost["n_classes"])))
            table.loc[lost.index, "value_used"] = filled
    return table.assign(imputed=bad)


def _high_is_worse(claim: Claim, metric: str, arm: str) -> bool:
    if claim.worse is not None:
        return claim.worse == "higher"
    if metric.isidentifier() and metric.endswith(HIGHER_IS_WORSE):
        return True
    if metric in LOWER_IS_WORSE:
        return False
    # no known bad side: what speaks against the claim
    return (orientation(claim) > 0) == (arm == "control")


def contrasts(claim: Claim, table: pd.DataFrame) -> pd.DataFrame:
    """One row a point and metric: KEYS, metric, treatment, control, contrast (not yet oriented), imputed.

    An arm's value is the mean over its rows there; for events 1 if any of them had it. `contrast` is NaN where an
    arm is missing or the effect is undefined (a ratio to zero, a logarithm of a negative number).
    """
    keys = [*KEYS, "metric"]
    by = [*keys, "arm"]
    groups = table.groupby(by, dropna=False)["value_used"]
    missing = table["value_used"].isna().groupby([table[key] for key in by], dropna=False).any()
    # a mean over cells of which one is missing is not that mean
    values = groups.max() if claim.event is not None else groups.mean().mask(missing)
    wide = values.unstack("arm")
    for arm in ("treatment", "control"):
        if arm not in wide:
            wide[arm] = np.nan
    if claim.threshold is not None:
        wide["control"] = claim.threshold
    imputed = table.groupby(keys, dropna=False)["imputed"].any()
    wide = wide.assign(imputed=imputed).reset_index()
    alone = "control" not in claim.arms and claim.threshold is None
    wide["contrast"] = contrast(claim.effect, wide["treatment"], None if alone else wide["control"])
    return wide[[*keys, "treatment", "control", "contrast", "imputed"]].rename_axis(columns=None)


def contrast(effect: str, treatment: pd.Series, control: pd.Series | None) -> pd.Series:
    """The claim's effect of treatment on control, row by row; without control the value itself, or its logarithm; NaN if undefined.

    Raises ValueError for effect `relative` without control.
    """
    with np.errstate(all="ignore"):
        match effect:
            case "difference":
                value = treatment if control is None else treatment - control
            case "relative":
                if control is None:
                    raise ValueError("effect relative: of an arm alone there is none")
                value = (treatment - control) / control.abs()
            case "log_ratio":
                value = np.log(treatment) - (0.0 if control is None else np.log(control))
    return value.where(np.isfinite(value))
