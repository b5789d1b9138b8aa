"""R6: an event (divergence, a spike) is rarer, or more frequent, in the treatment; exact McNemar on paired blocks."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench import stats
from wdbench.claims import superiority
from wdbench.claims.kinds import Evidence, Kind, Ruling, number, register
from wdbench.config.claims import Claim

REFUTED_BELOW = 0.2
"""A change of the event's rate that is surely less than this refutes the claim."""

RARE = 0.1
"""Where fewer than this share of the control's blocks have the event, a reduction of it cannot be tested."""


def rule(evidence: Evidence) -> Ruling:
    """SUPPORTED: p after Holm < alpha and the rates differ by at least the margin, in the claimed direction.

    REFUTED: the one-sided 1 - alpha Clopper-Pearson upper bound of the share of blocks that changed in the claimed
    direction, which bounds the change of the rate, is below REFUTED_BELOW. Else INCONCLUSIVE.
    """
    estimate, margin, n = evidence.estimate, evidence.margin, len(evidence.effects)
    if evidence.p_holm < evidence.alpha and estimate.mean >= margin - 1e-9:
        return Ruling(
            "supported", f"the rates differ by {number(estimate.mean)}, at least {number(margin)} (exact McNemar)"
        )
    bound = stats.share_upper_bound(int((evidence.effects > 0).sum()), n, evidence.alpha)
    if bound < REFUTED_BELOW:
        return Ruling(
            "refuted", f"the rates differ by less than {number(bound)} in the claimed direction (Clopper-Pearson)"
        )
    found = "no change" if np.isnan(estimate.mde) else f"only a change of {number(estimate.mde)} or more"
    return Ruling("inconclusive", f"with {n} blocks {found} would be found with probability 0.8")


def not_rare(claim: Claim, contrasts: pd.DataFrame, ruling: Ruling) -> Ruling:
    """A claim that the treatment prevents an event is not tested where the control hardly has it."""
    rate = contrasts["control"].mean()
    if claim.direction == "lower" and rate < RARE:
        return Ruling(
            "not_tested", f"the event occurs in {rate:.0%} of the control's blocks; at least {RARE:.0%} are needed"
        )
    return ruling


def pool(
    effects: NDArray[np.float64], strata: NDArray[np.str_], clusters: NDArray[np.str_], alpha: float, rng: np.random.Generator
) -> stats.Estimate:
    """All blocks of all strata as one sample of pairs."""
    return stats.event_effect(effects, alpha)


def _test(effects: NDArray[np.float64], alpha: float, rng: np.random.Generator) -> stats.Estimate:
    return stats.event_effect(effects, alpha)


event = register(Kind("event", superiority.effects, rule, test=_test, pool=pool, review=not_rare))
