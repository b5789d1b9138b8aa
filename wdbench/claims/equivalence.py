"""R2: the two arms differ by less than the margin (two one-sided tests)."""

import numpy as np
import pandas as pd

from wdbench import stats
from wdbench.claims.kinds import Evidence, Kind, Ruling, number, register
from wdbench.config.claims import Claim


def effects(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Contrast of each block, as it is."""
    return contrasts.assign(component="", effect=contrasts["contrast"])


def rule(evidence: Evidence) -> Ruling:
    """EQUIVALENT (the claim is upheld): the 1 - 2 alpha interval lies within (-margin, margin), TOST p after Holm <
    alpha.

    REFUTED: the 1 - alpha interval lies beyond the margin on one side. Else INCONCLUSIVE.
    """
    estimate, margin = evidence.estimate, evidence.margin
    if not np.isfinite([estimate.low, estimate.high]).all():
        return Ruling("inconclusive", f"no interval can be made of {estimate.n} block(s)")
    if -margin < estimate.low_tost and estimate.high_tost < margin:
        if evidence.p_holm < evidence.alpha:
            return Ruling("equivalent", f"the {1 - 2 * evidence.alpha:.0%} interval is within ±{number(margin)}")
        return Ruling("inconclusive", f"p after Holm is {number(evidence.p_holm)}, not below {number(evidence.alpha)}")
    if estimate.low > margin or estimate.high < -margin:
        side = "higher" if estimate.low > margin else "lower"
        return Ruling("refuted", f"the treatment is {side} by more than {number(margin)}")
    least = stats.smallest_margin(estimate.se, estimate.dof, evidence.alpha)
    return Ruling("inconclusive", f"these blocks can place two equal arms within ±{number(least)} with probability 0.8")


def _mde(estimate: stats.Estimate, alpha: float) -> float:
    return stats.smallest_margin(estimate.se, estimate.dof, alpha)


equivalence = register(Kind("equivalence", effects, rule, p=stats.tost_p, mde=_mde))
