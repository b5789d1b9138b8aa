"""A claim on some of its strata: where a claim has networks with and without batch norm, one of them by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wdbench import frames, seeds
from wdbench.claims import tables, vote
from wdbench.claims.case import Component, Tested
from wdbench.claims.kinds import Ruling, find
from wdbench.config.claims import Claim


@dataclass(frozen=True)
class Part:
    """What a claim came to on `strata`; `rows` are their rows of verdicts.csv. Numbers are NaN where nothing was tested."""

    claim_id: str
    verdict: str
    reason: str
    strata: tuple[str, ...] = ()
    estimate: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    n: int = 0
    rows: tuple[dict[str, Any], ...] = ()


def part(claim: Claim, verdicts: pd.DataFrame, effects: pd.DataFrame, wanted: Callable[[str], bool] | None = None) -> Part:
    """`claim` on the strata whose label is `wanted` (None: on all).

    verdicts, effects: verdicts.csv and effects.csv. All strata: the claim's own overall row. One stratum: its row. Several: their
    vote (vote.overall), with the estimate and p of effects.csv pooled over them; that p is not corrected in the family again, since a
    part is no claim of its own.
    """
    mine = verdicts[verdicts["claim_id"] == claim.id]
    if mine.empty:
        return Part(claim.id, "not_tested", "verdicts.csv has no row of this claim")
    strata = mine[mine["dataset"] != "all"]
    chosen = strata if wanted is None else strata[strata["dataset"].map(wanted).astype(bool)]
    whole = mine[mine["dataset"] == "all"]
    if len(whole) and (wanted is None or strata.empty and whole["verdict"].iloc[0] == "not_tested" or len(chosen) == len(strata) > 0):
        return _of(claim, whole.iloc[0], chosen if len(strata) else whole)
    if chosen.empty:
        return Part(claim.id, "not_tested", "none of the claim's strata is of this kind")
    if len(chosen) == 1:
        return _of(claim, chosen.iloc[0], chosen)
    names = tuple(chosen["dataset"])
    tested = _pooled(claim, effects[(effects["claim_id"] == claim.id) & effects["dataset"].isin(names)], names)
    rulings = {str(row["dataset"]): Ruling(row["verdict"], str(row["reason"])) for row in frames.records(chosen)}
    ruling = vote.overall(rulings, np.nan if tested is None else tested.p, claim.alpha)
    rows = tuple(frames.records(chosen))
    if tested is None:
        return Part(claim.id, ruling.verdict, ruling.reason, names, rows=rows)
    estimate = tables.weakest(claim, tested, tested.p)[1].estimate
    return Part(claim.id, ruling.verdict, ruling.reason, names, estimate.mean, estimate.low, estimate.high, estimate.n, rows)


def _of(claim: Claim, row: pd.Series, strata: pd.DataFrame) -> Part:
    n = 0 if pd.isna(row["n"]) else int(row["n"])
    mean, low, high = (float(row[name]) if pd.notna(row[name]) else np.nan for name in ("estimate", "ci_low", "ci_high"))
    return Part(claim.id, row["verdict"], str(row["reason"]), tuple(strata["dataset"]), mean, low, high, n, tuple(frames.records(strata)))


def _pooled(claim: Claim, effects: pd.DataFrame, names: tuple[str, ...]) -> Tested | None:
    """Estimate of each component over the strata, as judge makes it over all of them; None where no effect was used."""
    kind, components = find(claim.kind), []
    used = effects[effects["used"].astype(bool)].sort_values(["dataset", "block"], kind="stable").fillna({"component": ""})
    for (metric, component), rows in used.groupby(["metric", "component"], sort=True):
        rng = seeds.generator(f"{claim.id}/{'+'.join(names)}/{metric}/{component}", 0, "bootstrap")
        values = rows["effect"].to_numpy(float)
        estimate = kind.pool(values, rows["dataset"].to_numpy(str), rows["block"].to_numpy(str), claim.alpha, rng)
        margin = claim.margin_of(str(metric))
        name = " ".join(word for word in (str(metric) if len(claim.metric) > 1 else "", str(component)) if word)
        components.append(Component(name, estimate, values, margin))
    if not components:
        return None
    return Tested(tuple(components), float(max(kind.p(c.estimate, c.margin) for c in components)))
