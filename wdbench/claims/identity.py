"""R7: an identity holds if its largest error is within the tolerance on every input."""

import numpy as np
import pandas as pd

from wdbench.claims.kinds import Ruling, number

COLUMNS = ("identity", "case", "error", "tolerance")
"""What a table of checked identities must have: one row an input; `error` and `tolerance` in the same unit."""


def judge_identity(name: str, checks: pd.DataFrame | None) -> tuple[Ruling, dict[str, float]]:
    """Ruling of the identity `name`, and its row's numbers: estimate (largest error over its tolerance, times that
    tolerance), margin, n.

    HOLDS: error <= tolerance on all inputs; a missing error fails. No statistics. The input shown is the one that
    comes nearest to, or goes farthest beyond, its tolerance.
    """
    rows = checks[checks["identity"] == name] if checks is not None else pd.DataFrame(columns=COLUMNS)
    if rows.empty:
        return Ruling("not_tested", f"identity {name} was not checked in this run"), {}
    error, tolerance = rows["error"].to_numpy(float), rows["tolerance"].to_numpy(float)
    with np.errstate(all="ignore"):
        ratio = np.where(tolerance > 0, error / tolerance, np.where(error == 0, 0.0, np.inf))
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    worst = int(np.argmax(ratio))
    failed = int((ratio > 1).sum())
    shown = f"{rows['case'].iloc[worst]}: error {number(error[worst])}, tolerance {number(tolerance[worst])}"
    numbers = {"estimate": float(error[worst]), "margin": float(tolerance[worst]), "n": len(rows)}
    if failed:
        return Ruling(
            "fails", f"{failed} of {len(rows)} inputs are beyond the tolerance; the worst is {shown}"
        ), numbers
    return Ruling("holds", f"all {len(rows)} inputs are within the tolerance; the nearest to it is {shown}"), numbers
