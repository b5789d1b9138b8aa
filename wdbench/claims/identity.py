"""R7: an identity holds if every check of its statement keeps to its tolerance on all inputs."""

import numpy as np
import pandas as pd

from wdbench.claims.kinds import Ruling, number

COLUMNS = ("identity", "check", "case", "kind", "inputs", "max_error", "relation", "tolerance")
"""What a table of checked identities must have: one row a check and case, as identities.csv; `max_error` and `tolerance` in the
same unit. Only rows of kind `statement` decide; `counter` rows document where a wider reading fails.
"""


def judge_identity(name: str, checks: pd.DataFrame | None) -> tuple[Ruling, dict[str, float | str]]:
    """Ruling of the identity `name`, and its row's numbers: estimate (what was measured by the check nearest to, or farthest
    beyond, its bound; among the checks that two things differ, if it has such), margin (that bound), equation (on which side of
    it the number must lie, <= or >=), component (the check), n (inputs).

    HOLDS: max_error <= tolerance (>= where the check says that two things must differ) for every statement. No statistics. A
    check that could not be tried (no error at all) decides nothing; a missing identity is not tested.
    """
    rows = checks[checks["identity"] == name] if checks is not None else pd.DataFrame(columns=list(COLUMNS))
    rows = rows[(rows["kind"] == "statement") & (rows["inputs"] > 0)]
    if rows.empty:
        return Ruling("not_tested", f"identity {name} was not checked in this run"), {}
    error, tolerance = rows["max_error"].to_numpy(float), rows["tolerance"].to_numpy(float)
    worst, failed = shown_check(rows)
    label = " ".join(str(part) for part in (rows["check"].iloc[worst], rows["case"].iloc[worst]) if pd.notna(part) and part != "")
    shown = f"{label}: measured {number(error[worst])} {rows['relation'].iloc[worst]} {number(tolerance[worst])}"
    numbers: dict[str, float | str] = {
        "estimate": float(error[worst]), "margin": float(tolerance[worst]), "n": int(rows["inputs"].sum()), "component": label,
        "equation": f"measured {rows['relation'].iloc[worst]} bound",
    }
    if failed:
        return Ruling("fails", f"{failed} of {len(rows)} checks are beyond their bound; the worst is {shown}"), numbers
    return Ruling("holds", f"all {len(rows)} checks keep to their bound; shown is {shown}"), numbers


def shown_check(rows: pd.DataFrame) -> tuple[int, int]:
    """(position of the check that stands for these statements, number beyond their bounds).

    The check farthest beyond its bound, or nearest to it; among the checks that two things differ, where there are such and all hold.
    """
    error, tolerance = rows["max_error"].to_numpy(float), rows["tolerance"].to_numpy(float)
    differ = rows["relation"].to_numpy() == ">="
    with np.errstate(all="ignore"):
        use = np.where(differ, tolerance / error, np.where(tolerance > 0, error / tolerance, np.where(error == 0, 0.0, np.inf)))
    use = np.where(np.isnan(use), np.inf, use)
    failed = int((use > 1).sum())
    # a sentence that two things differ is told by how far they do, not by a part of it that says how equal something else is
    told = use if failed or not differ.any() else np.where(differ, use, -1.0)
    return int(np.argmax(told)), failed
