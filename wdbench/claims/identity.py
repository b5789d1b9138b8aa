"""R7: an identity holds if every check of its statement keeps to its tolerance on all inputs."""

import numpy as np
import pandas as pd

from wdbench.claims.kinds import Ruling, number

COLUMNS = ("identity", "check", "case", "kind", "inputs", "max_error", "relation", "tolerance")
"""What a table of checked identities must have: one row a check and case, as identities.csv; `max_error` and `tolerance` in the
same unit. Only rows of kind `statement` decide; `counter` rows document where a wider reading fails.
"""


def judge_identity(name: str, checks: pd.DataFrame | None) -> tuple[Ruling, dict[str, float]]:
    """Ruling of the identity `name`, and its row's numbers: estimate (error of the check nearest to, or farthest beyond, its
    tolerance), margin (that tolerance), n (inputs).

    HOLDS: max_error <= tolerance (>= where the check says that two things must differ) for every statement. No statistics. A
    check that could not be tried (no error at all) decides nothing; a missing identity is not tested.
    """
    rows = checks[checks["identity"] == name] if checks is not None else pd.DataFrame(columns=list(COLUMNS))
    rows = rows[(rows["kind"] == "statement") & (rows["inputs"] > 0)]
    if rows.empty:
        return Ruling("not_tested", f"identity {name} was not checked in this run"), {}
    error, tolerance = rows["max_error"].to_numpy(float), rows["tolerance"].to_numpy(float)
    differ = rows["relation"].to_numpy() == ">="
    with np.errstate(all="ignore"):
        use = np.where(differ, tolerance / error, np.where(tolerance > 0, error / tolerance, np.where(error == 0, 0.0, np.inf)))
    use = np.where(np.isnan(use), np.inf, use)
    worst = int(np.argmax(use))
    failed = int((use > 1).sum())
    label = " ".join(str(part) for part in (rows["check"].iloc[worst], rows["case"].iloc[worst]) if pd.notna(part) and part != "")
    shown = f"{label}: error {number(error[worst])} {rows['relation'].iloc[worst]} {number(tolerance[worst])}"
    numbers = {"estimate": float(error[worst]), "margin": float(tolerance[worst]), "n": int(rows["inputs"].sum())}
    if failed:
        return Ruling("fails", f"{failed} of {len(rows)} checks are beyond their tolerance; the worst is {shown}"), numbers
    return Ruling("holds", f"all {len(rows)} checks keep to their tolerance; the nearest to it is {shown}"), numbers
