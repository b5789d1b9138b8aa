"""Points (stratum, block, arm, x, y) behind the slope and U-shape figures."""

import numpy as np
import pandas as pd
from pandas import DataFrame
from scipy import stats

from wdbench.config.claims import Claim
from wdbench.figures import rows
from wdbench.figures.registry import Tables, table

KEY = ["stratum", "block", "x"]


def of(claim: Claim, tables: Tables, x: str, metric: str) -> DataFrame:
    """One row a (stratum, block, x) with y: the metric for a claim on one arm, the effect of treatment
    against control (or threshold) for others.

    y is as measured: not turned by the claim's direction. Diverged cells keep NaN.
    """
    runs = table(tables, "runs", ("cell_id", "study", *claim.block))
    chosen = rows.best_by_validation(rows.measured(claim, runs, x, metric))
    names = rows.arm_names(claim)
    treated = chosen[chosen["arm"] == names.get("treatment")]
    if claim.threshold is not None:
        return treated.assign(y=contrast(treated["y"], claim.threshold, claim.effect), arm="effect")
    if "control" not in names:
        return treated.assign(y=np.log(treated["y"])) if claim.effect == "log_ratio" else treated
    control = chosen[chosen["arm"] == names["control"]]
    # a control without x of its own (λ = 0, say) stands at every x of its block
    own_x = set(control["x"].dropna()) >= set(treated["x"].dropna())
    key = KEY if own_x else KEY[:-1]
    paired = treated.merge(control.drop_duplicates(key)[[*key, "y"]], on=key, suffixes=("", "_control"))
    return paired.assign(y=contrast(paired["y"], paired["y_control"], claim.effect), arm="effect")


def contrast(treatment: pd.Series, control: pd.Series | float, effect: str) -> pd.Series:
    """difference t − c, relative (t − c)/|c|, or log_ratio log(t/c)."""
    with np.errstate(all="ignore"):
        if effect == "relative":
            return (treatment - control) / np.abs(control)
        return (treatment / control).transform(np.log) if effect == "log_ratio" else treatment - control


def mean_line(points: DataFrame) -> DataFrame:
    """Mean of y at each x with a 95 % t band: x, mean, low, high, n, n_lost."""
    return rows.curve(points.assign(stratum="", arm="", condition="", by=np.arange(len(points), dtype=float)))


def broken_lines(points: DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """x and y of all blocks, one after the other, with NaN between them: many thin lines as one path."""
    ordered = points.sort_values(["block", "x"], kind="stable")
    blocks = ordered["block"].to_numpy()
    breaks = np.flatnonzero(blocks[1:] != blocks[:-1]) + 1
    x, y = (np.insert(ordered[name].to_numpy(float), breaks, np.nan) for name in ("x", "y"))
    return x, y


def fitted_line(points: DataFrame, transform: str = "log10") -> dict[str, float]:
    """Least-squares slope of y on the transformed x in each block; mean and 95 % t interval of the slopes
    over blocks.

    Returns slope, low, high, n (blocks with at least two finite x). Blocks without are left out; all NaN
    where there is none.
    """
    seen = points.assign(x=rows.transform(points["x"], transform)).dropna(subset=["x", "y"])
    slopes = [
        np.polyfit(block["x"], block["y"], 1)[0]
        for _, block in seen.groupby("block", sort=True)
        if block["x"].nunique() > 1
    ]
    n = len(slopes)
    mean = float(np.mean(slopes)) if n else float("nan")
    half = float(stats.t.ppf(0.975, n - 1) * np.std(slopes, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return {"slope": mean, "low": mean - half, "high": mean + half, "n": n}


def turning(points: DataFrame) -> tuple[np.ndarray, int]:
    """Turning points of a quadratic in log₁₀ x in each block that lie inside its grid, and the number of
    blocks with three finite x.
    """
    inside, blocks = [], 0
    for _, block in points[points["x"] > 0].dropna(subset=["y"]).groupby("block", sort=True):
        if block["x"].nunique() < 3:
            continue
        blocks += 1
        at = np.log10(block["x"].to_numpy(float))
        curvature, tilt, _ = np.polyfit(at, block["y"].to_numpy(float), 2)
        turn = -tilt / (2 * curvature) if curvature != 0 else np.inf
        if at.min() < turn < at.max():
            inside.append(10**turn)
    return np.array(inside), blocks


def clopper_pearson(events: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a rate (Clopper & Pearson 1934): beta quantiles; (nan, nan) where n = 0."""
    if n == 0:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else float(stats.beta.ppf(tail, events, n - events + 1))
    high = 1.0 if events == n else float(stats.beta.ppf(1 - tail, events + 1, n - events))
    return low, high


def pairs(claim: Claim, tables: Tables) -> DataFrame:
    """dataset, block, control, treatment of the claim's effects, rows with both finite."""
    effects = table(tables, "effects", ("claim_id", "dataset", "block", "treatment", "control"))
    mine = effects[effects["claim_id"] == claim.id]
    numbers = mine.assign(
        **{
            name: pd.to_numeric(mine[name], errors="coerce").astype(float)
            for name in ("treatment", "control")
        }
    )
    return numbers[np.isfinite(numbers["treatment"]) & np.isfinite(numbers["control"])]
