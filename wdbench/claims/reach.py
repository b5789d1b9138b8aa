"""Claims whose design cannot win: no outcome of the planned blocks makes p small enough.

The exact tests have a least p. Over B blocks that all agree it is 2 / 2^B for sign flips and for McNemar (2 / (RESAMPLES + 1) where the
flips are drawn), and Holm multiplies it by the number of strata, and of claims in the family. Student's t, which stands in for fewer
than SIGN_FLIP_FROM blocks and for equivalence, has no least p; a single block has no p at all.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench import filters, stats
from wdbench.claims import gate
from wdbench.claims.kinds import number
from wdbench.claims.selection import with_strata
from wdbench.claims.vote import SHARE
from wdbench.config.claims import Claim


def least_p(kind: str, blocks: int) -> float:
    """Least two-sided p that so many blocks can give; NaN where they give none."""
    if blocks < 1:
        return np.nan
    if kind == "event":
        return min(1.0, 2.0 * 0.5**blocks)
    if blocks < 2:
        return np.nan
    if kind == "equivalence" or blocks < stats.SIGN_FLIP_FROM:
        return 0.0
    return 2.0 * 0.5**blocks if 2**blocks <= stats.RESAMPLES else 2.0 / (stats.RESAMPLES + 1)


def unreachable(claims: Sequence[Claim], expected: pd.DataFrame) -> dict[str, str]:
    """claim id -> one sentence, for tested claims of which no outcome of the planned rows could be upheld.

    expected: the plan with the columns of the runs table that it can know (judging.expected_rows). Claims without planned rows, and
    those whose strata or blocks only the outcomes tell, are passed over.
    """
    designs = {claim.id: (claim, found) for claim in claims if (found := _design(claim, expected)) is not None}
    told = {}
    for claim_id, (claim, (blocks, clusters)) in designs.items():
        p = np.array([least_p(claim.kind, n) for n in blocks])
        with np.errstate(invalid="ignore"):
            enough = (stats.holm(p) < claim.alpha).sum()
        if enough < SHARE * len(blocks) - 1e-9:
            told[claim_id] = (
                f"claim {claim_id} can never be upheld: with {_few(blocks)} blocks in {len(blocks)} strata the least p is "
                f"{_few(p, number)}, and Holm over the strata needs one below {number(claim.alpha / len(blocks))}; "
                f"more replicates or fewer strata"
            )
            continue
        family = [other for other, _ in designs.values() if other.family == claim.family]
        least = np.array([least_p(other.kind, designs[other.id][1][1]) for other in family])
        adjusted = stats.holm(least)[[other.id for other in family].index(claim_id)]
        if not adjusted < claim.alpha:
            told[claim_id] = (
                f"claim {claim_id} can never be upheld: with {clusters} blocks over all strata the least p is "
                f"{number(least_p(claim.kind, clusters))}, and Holm over the {len(family)} claims of family {claim.family} needs one below "
                f"{number(claim.alpha / len(family))}; more replicates, or a smaller family"
            )
    return told


def _design(claim: Claim, expected: pd.DataFrame) -> tuple[list[int], int] | None:
    """(blocks of each stratum, independent blocks over all); None where the plan does not tell."""
    if not claim.tested or claim.kind == "identity":
        return None
    needed = {*claim.block, *(() if claim.cases else claim.by)}
    needed |= {column for text in claim.cases.values() for column in filters.parse(text).columns}
    if not needed <= set(expected.columns):
        return None
    plan = gate.planned(claim, expected)
    if plan.empty:
        return None
    rows = with_strata(claim, plan).dropna(subset=list(claim.block))
    strata = [group[list(claim.block)].drop_duplicates() for _, group in rows.groupby("stratum", sort=True)]
    if not strata:
        return None
    # an event's blocks are one sample of pairs; other effects of one block in several strata are flipped together
    whole = sum(map(len, strata)) if claim.kind == "event" else len(pd.concat(strata).drop_duplicates())
    return [len(blocks) for blocks in strata], whole


def _few(values: list[int] | NDArray[np.float64], form: Callable[[float], str] = str) -> str:
    """`10`, or `5 to 10` where they differ."""
    ends = dict.fromkeys(form(value) for value in (np.nanmin(values), np.nanmax(values))) if np.isfinite(values).any() else ["none"]
    return " to ".join(ends)
