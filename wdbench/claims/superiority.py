"""R1: the effect has the claimed sign and is at least the margin."""

import numpy as np
import pandas as pd

from wdbench.claims.blocks import orientation
from wdbench.claims.kinds import Evidence, Kind, Ruling, number, register
from wdbench.config.claims import Claim


def effects(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Oriented contrast of each block."""
    return contrasts.assign(component="", effect=orientation(claim) * contrasts["contrast"])


def rule(evidence: Evidence) -> Ruling:
    """SUPPORTED: L > 0, estimate >= margin and p after Holm < alpha. REFUTED: U < margin. Else INCONCLUSIVE.

    [L, U] is the 1 - alpha interval. Equality with the margin is judged to 1e-9 relative.
    """
    estimate, margin = evidence.estimate, evidence.margin
    low, high = estimate.low, estimate.high
    if not np.isfinite([low, high]).all():
        return Ruling("inconclusive", f"no interval can be made of {estimate.n} block(s)")
    slack = 1e-9 * max(margin, abs(estimate.mean))
    if low > 0 and estimate.mean >= margin - slack:
        if evidence.p_holm < evidence.alpha:
            return Ruling("supported", f"the interval is above 0 and the estimate reaches the margin {number(margin)}")
        return Ruling("inconclusive", f"p after Holm is {number(evidence.p_holm)}, not below {number(evidence.alpha)}")
    if high < margin - slack:
        if high < 0:
            small = ", though by less than the margin" if estimate.mean > -margin + slack else ""
            return Ruling("refuted", f"opposite: the whole interval is on the other side of 0{small}")
        if low > 0:
            return Ruling("refuted", f"real but negligible: the whole interval is between 0 and {number(margin)}")
        return Ruling("refuted", f"null: the interval holds 0 and ends below the margin {number(margin)}")
    found = f"an effect of {number(estimate.mde)} would have been found with probability 0.8"
    if low > 0:
        return Ruling(
            "inconclusive", f"above 0, but neither at least nor clearly below the margin {number(margin)}; {found}"
        )
    return Ruling("inconclusive", f"the interval holds both 0 and the margin {number(margin)}; {found}")


superiority = register(Kind("superiority", effects, rule))
