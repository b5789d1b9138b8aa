"""R3, R4: how a contrast moves along x, block by block; R1 on the mean slope, or on both end slopes of a parabola."""

from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench import stats
from wdbench.claims.blocks import orientation
from wdbench.claims.kinds import Kind, Ruling, register
from wdbench.claims.superiority import rule
from wdbench.config.claims import Claim

BLOCK = ["stratum", "metric", "block"]


def slope_effects(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Oriented least-squares slope, or Kendall's tau, of the contrast on x in each block."""
    statistic = stats.kendall_tau if claim.statistic == "kendall" else stats.slope
    rows: list[tuple[Hashable, ...]] = []
    for key, x, y, imputed in _curves(contrasts):
        value = statistic(x, y) if len(x) else np.nan
        rows.append((*key, "", orientation(claim) * value, imputed))
    return _table(rows)


def ushape_effects(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Both end slopes of each block's parabola, each positive where it has the sign of a valley (direction lower) or
    hill.
    """
    rows: list[tuple[Hashable, ...]] = []
    valley = -orientation(claim)
    for key, x, y, imputed in _curves(contrasts):
        left, right = stats.end_slopes(x, y) if len(x) else (np.nan, np.nan)
        rows += [(*key, "left end", -valley * left, imputed), (*key, "right end", valley * right, imputed)]
    return _table(rows)


def interior(claim: Claim, contrasts: pd.DataFrame, ruling: Ruling) -> Ruling:
    """A valley whose lowest mean point (hill: highest) is an end of x is not supported."""
    if ruling.verdict != "supported":
        return ruling
    for metric, points in contrasts.groupby("metric"):
        curve = points.groupby("x")["contrast"].mean()
        best = curve.idxmin() if claim.direction == "lower" else curve.idxmax()
        if best in (curve.index.min(), curve.index.max()):
            return Ruling(
                "inconclusive", f"both end slopes have the sign, but the extreme of {metric} is at the end of x"
            )
    return ruling


def _curves(contrasts: pd.DataFrame) -> Iterator[tuple[tuple[Hashable, ...], NDArray[np.float64], NDArray[np.float64], bool]]:
    """(stratum, metric, block), x, contrast, whether a point was filled in or left out because it diverged.

    A curve with a point that is undefined for another reason has no points: it is no curve over the claim's x.
    """
    for key, points in contrasts.groupby(BLOCK, sort=True):
        undefined = points["contrast"].isna()
        if (undefined & ~points["imputed"]).any():
            points = points[:0]
        kept, imputed = points.dropna(subset=["contrast"]), bool(points["imputed"].any())
        yield key, kept["x"].to_numpy(), kept["contrast"].to_numpy(), imputed


def _table(rows: list[tuple[Hashable, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*BLOCK, "component", "effect", "imputed"])


slope = register(Kind("slope", slope_effects, rule))
ushape = register(Kind("ushape", ushape_effects, rule, review=interior))
