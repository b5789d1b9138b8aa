"""When no verdict may be given: rows missing, data unavailable, decay not applied, optimum at the end of its grid."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from wdbench import filters
from wdbench.claims.kinds import Ruling, number
from wdbench.claims.selection import KEYS, in_studies, with_strata
from wdbench.config.claims import Claim
from wdbench.errors import UserError

FINISHED = ("ok", "diverged")
"""Statuses that are outcomes; timeout and error are rows still missing."""

LEAST_FIDELITY = 0.5
"""An arm whose median Σ|decay applied| / Σ|decay intended| is below this did not get its treatment."""

MOST_UNDEFINED = 0.25
"""With a larger share of blocks whose effect is undefined there is no verdict."""

MOST_AT_EDGE = 0.5
"""With a larger share of an arm's blocks at an end of its grid the verdict is inconclusive."""


def check(
    claims: Iterable[Claim], columns: Collection[str] | None = None, studies: Collection[str] | None = None, path: str = "claims.yaml"
) -> None:
    """Every column and study that the claims name must be known.

    columns: those of the runs table; studies: names in config.yaml; None: not checked. Raises UserError naming file,
    claim, field.
    """
    for claim in claims:
        if not claim.tested:
            continue
        for variant, one in (("", claim), ("naive.", claim.naive_claim())):
            if one is not None:
                _check(one, f"{path}: claim {claim.id}.{variant}", columns, studies)


def _check(claim: Claim, prefix: str, columns: Collection[str] | None, studies: Collection[str] | None) -> None:
    for field, read in claim.columns().items():
        for column in read:
            if columns is not None and column not in columns:
                raise UserError(f"{prefix}{field}: no column {column!r} in the runs; {filters.near(column, columns)}")
    for study in claim.study:
        if studies is not None and study not in studies:
            raise UserError(f"{prefix}study: value {study!r}: unknown study; valid: {', '.join(sorted(studies))}")


def planned(claim: Claim, expected: pd.DataFrame) -> pd.DataFrame:
    """Rows of the plan that the claim reads; a filter on a column that the plan does not have (an outcome) holds for
    all.
    """
    mask = in_studies(expected["study"], claim.study) & known(claim.where, expected)
    return expected[mask & in_arms(claim, expected) & _any(claim.cases.values(), expected)]


def known(text: str, table: pd.DataFrame) -> pd.Series:
    """bool [rows]: the filter's, or true of every row where `table` lacks a column that it reads."""
    parsed = filters.parse(text)
    if not set(parsed.columns) <= set(table.columns):
        return pd.Series(True, index=table.index)
    return parsed.mask(table)


def in_arms(claim: Claim, rows: pd.DataFrame) -> pd.Series:
    """bool [rows]: some arm (and condition) reads the row."""
    return _any([arm.where for arm in claim.arms.values()], rows) & _any(claim.conditions.values(), rows)


def _any(texts: Iterable[str], rows: pd.DataFrame) -> pd.Series:
    masks = [known(text, rows) for text in texts]
    return pd.Series(np.logical_or.reduce(masks) if masks else True, index=rows.index, dtype=bool)


def is_unavailable(rows: pd.DataFrame, unavailable: Mapping[str, str]) -> pd.Series:
    """bool [rows]: the row's data set, or its base, is one that cannot be had."""
    hit = rows["dataset"].isin(list(unavailable))
    return hit | rows["dataset_base"].isin(list(unavailable)) if "dataset_base" in rows else hit


def incomplete(claim: Claim, plan: pd.DataFrame, runs: pd.DataFrame) -> str | None:
    """Why the claim's planned rows (`plan`, of available data) do not all have an outcome; None if they do."""
    if plan.empty:
        return f"no row of this plan matches: study {', '.join(claim.study)}, and the filters of the claim"
    status = runs.set_index("cell_id")["status"].reindex(plan["cell_id"])
    missing = int((~status.isin(FINISHED)).sum())
    if not missing:
        return None
    failed = int(status.notna().sum() - status.isin(FINISHED).sum())
    return f"{missing} of {len(plan)} rows missing" + (f" ({failed} ended in timeout or error)" if failed else "")


def unavailable_strata(claim: Claim, plan: pd.DataFrame, unavailable: Mapping[str, str]) -> dict[str, str]:
    """Stratum -> reason, for strata of which no planned row can be had."""
    if plan.empty:
        return {}
    told = set(claim.by) <= set(plan.columns) and not claim.cases
    told |= bool(claim.cases) and all(set(filters.parse(t).columns) <= set(plan.columns) for t in claim.cases.values())
    labelled = with_strata(claim, plan) if told else plan.assign(stratum=plan["dataset"])
    gone = is_unavailable(labelled, unavailable)
    reasons = {}
    for stratum, lost in gone.groupby(labelled["stratum"]):
        if lost.all():
            names = labelled.loc[lost.index, "dataset"].map(str)
            bases = labelled.loc[lost.index, "dataset_base"].map(str) if "dataset_base" in labelled else names
            keys = sorted({d if d in unavailable else b for d, b in zip(names, bases, strict=True)})
            reasons[str(stratum)] = "; ".join(f"{key} is unavailable: {unavailable[key]}" for key in keys)
    return reasons


def ineligible(claim: Claim, selected: pd.DataFrame) -> str | None:
    """Why an arm of this stratum did not get its treatment (fidelity); None if all did, or the claim is about
    fidelity.
    """
    about = claim.event is None and any("fidelity" in column for column in claim.columns().get("metric", ()))
    if not claim.fidelity_gate or about or "fidelity" not in selected:
        return None
    for (arm, condition), rows in selected.groupby(["arm", "condition"], sort=True):
        median = filters.floats(rows["fidelity"]).median()
        if median < LEAST_FIDELITY:
            side = f" ({condition})" if condition else ""
            return f"{arm}{side} is not eligible: its decay was not applied (fidelity {median:.2g})"
    return None


def without_effect(effects: pd.DataFrame, arms: pd.DataFrame) -> str | None:
    """Why a stratum cannot be tested: no block with a defined effect, or too many without; None if it can."""
    defined = effects.groupby(["metric", "component"])["effect"].apply(lambda effect: effect.notna().any())
    if effects.empty or not defined.all():
        found = ", ".join(f"{arm} in {count}" for arm, count in arms.groupby("arm")["block"].nunique().items())
        of = "" if defined.empty or not defined.any() else f" of {' '.join(defined.index[~defined][0]).strip()}"
        return f"no block has a defined effect{of} (blocks found: {found or 'none'})"
    blocks = effects[~effects["imputed"]].groupby("block")["effect"].apply(lambda e: e.isna().any())
    if len(blocks) and blocks.mean() > MOST_UNDEFINED:
        return f"the effect is undefined in {int(blocks.sum())} of {len(blocks)} blocks"
    return None


def edge_shares(claim: Claim, selected: pd.DataFrame) -> dict[str, float]:
    """arm -> share of the stratum's blocks whose choice sits on an end of its grid that the claim does not allow; where an arm chooses
    more than once in a block (in two conditions, at each x) the largest of these shares, since each choice has a part in the effect.
    """
    shares = {}
    for arm, rows, allowed in _choices(claim, selected):
        at_end = rows["edge"].map(partial(_beyond, allowed))
        shares[arm] = float(at_end.groupby([rows["condition"], rows["x"]], dropna=False).mean().max())
    return shares


def _beyond(allowed: Collection[str], ends: str) -> bool:
    return any(end not in allowed for end in ends.split())


def ends_chosen(claim: Claim, selected: pd.DataFrame) -> dict[str, str]:
    """arm -> the ends of its grid that this stratum's blocks chose and the claim does not allow, most frequent first, with the least
    and greatest value there and the number of blocks: `lambda_rel highest (3) in 7 of 10`; arms without any are left out.
    """
    told = {}
    for arm, rows, allowed in _choices(claim, selected):
        found = [(end, index) for index, text in rows["edge"].items() for end in text.split() if end not in allowed]
        ends = {end: [index for name, index in found if name == end] for end in sorted({end for end, _ in found})}
        counts = {end: len(held) for end, held in ends.items()}
        parts = []
        for end in sorted(counts, key=counts.__getitem__, reverse=True):
            column, _, side = end.rpartition(".")
            values = filters.floats(rows[column].loc[ends[end]]) if column in rows else pd.Series(dtype=float)
            low_high = dict.fromkeys(number(v) for v in (values.min(), values.max())) if len(values) else ()
            shown = f" ({' to '.join(low_high)})" if low_high else ""
            parts.append(f"{column} {side}est{shown} in {len(ends[end])} of {len(rows)}")
        if parts:
            told[arm] = ", ".join(parts)
    return told


def _choices(claim: Claim, selected: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, Collection[str]]]:
    """(arm, the row that it chose at each point, ends that the claim allows) of arms that choose."""
    found = selected.drop_duplicates([*KEYS, "arm", "cell_id"])
    for name, arm in sorted(claim.arms.items()):
        select, rows = arm.select, found[found["arm"] == name]
        if select is None or select.rule == "mean" or rows.empty:
            continue
        if select.rule == "grid":
            # of a whole grid the best cell is the choice
            rows = rows.dropna(subset=["selected_value"]).sort_values("selected_value", kind="stable").drop_duplicates(KEYS)
        yield name, rows, select.edge


def at_edge(shares: dict[str, float], ends: dict[str, str] | None = None) -> Ruling | None:
    """`inconclusive (grid)` where an arm's optimum lies mostly at the end of its grid; ends: see `ends_chosen`."""
    for arm, share in shares.items():
        if share > MOST_AT_EDGE:
            which = f": {ends[arm]}" if ends and arm in ends else ""
            return Ruling("inconclusive", f"grid: {arm} chose an end of its grid in {share:.0%} of the blocks{which}")
    return None
