"""R5: the contrast is larger under the claimed condition than under the other; R1 on the difference of differences."""

import pandas as pd

from wdbench.claims.blocks import orientation
from wdbench.claims.kinds import Kind, register
from wdbench.claims.superiority import rule
from wdbench.config.claims import Claim


def effects(claim: Claim, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Oriented (contrast where claimed) - (contrast where other) of each block; a block without both has none."""
    keys = ["stratum", "metric", "block"]
    columns = ["treatment", "control", "contrast", "imputed"]
    sides = [contrasts[contrasts["condition"] == side][[*keys, *columns]] for side in ("claimed", "other")]
    both = sides[0].merge(sides[1], on=keys, how="outer", suffixes=("", "_other"))
    return both.assign(
        component="",
        effect=orientation(claim) * (both["contrast"] - both["contrast_other"]),
        imputed=(both["imputed"] == True) | (both["imputed_other"] == True),  # noqa: E712 (NaN where a side is missing)
    ).drop(columns=["imputed_other"])


interaction = register(Kind("interaction", effects, rule))
