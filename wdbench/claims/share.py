"""A control has at least half of the effect: R1 on (contrast where claimed) - 1/2 (contrast where other).

The other side is the treatment whose mechanism is in question, the claimed side a control that has the supposed mechanism alone, and
both are compared with the same arm without either. A share is a ratio of two noisy means, and undefined where the treatment does
nothing; its comparison with one half is not, once multiplied out. Where the treatment has no effect of its own there is nothing to
have a share of, and no verdict.
"""

import numpy as np
import pandas as pd

from wdbench import seeds, stats
from wdbench.claims import interaction
from wdbench.claims.blocks import orientation
from wdbench.claims.kinds import Kind, Ruling, number, register
from wdbench.claims.superiority import rule
from wdbench.config.claims import Claim

SHARE = 0.5


def effects(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Oriented (contrast where claimed) - SHARE (contrast where other) of each block; a block without both has none."""
    other = contrasts["condition"] == "other"
    scaled = contrasts.assign(contrast=contrasts["contrast"].where(~other, SHARE * contrasts["contrast"]))
    return interaction.effects(claim, scaled)


def benefit(claim: Claim, contrasts: pd.DataFrame, ruling: Ruling) -> Ruling:
    """Inconclusive where the interval of the other side's own effect is not above 0; else the share is put into the reason."""
    for metric, rows in contrasts.groupby("metric"):
        sides = rows.pivot_table(index="block", columns="condition", values="contrast").reindex(columns=["claimed", "other"]).dropna()
        gains = orientation(claim) * sides
        stratum = rows["stratum"].iloc[0]
        whole = stats.mean_effect(gains["other"].to_numpy(), claim.alpha,
                                  seeds.generator(f"{claim.id}/{stratum}/{metric}/benefit", 0, "bootstrap"))
        if not whole.low > 0:
            return Ruling("inconclusive", f"nothing to have a share of: the effect of the other side on {metric} is {number(whole.mean)} "
                                          f"[{number(whole.low)}, {number(whole.high)}]")
        share = float(np.mean(gains["claimed"])) / whole.mean
        ruling = Ruling(ruling.verdict, f"{ruling.reason}; {share:.0%} of an effect of {number(whole.mean)}")
    return ruling


share = register(Kind("share", effects, rule, review=benefit))
