"""Controls: what must come out if the experiment works, and what must not; and which claims stand in doubt where it did not."""

from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import stats as distributions

from wdbench import seeds, stats
from wdbench.claims.part import part
from wdbench.conclusions.catalogue import missing
from wdbench.conclusions.schema import Control, Controls
from wdbench.config.claims import Claim

COLUMNS = ("control", "kind", "claim_id", "part", "what", "expected", "found", "estimate", "ci_low", "ci_high", "n", "outcome", "guards",
           "marks")
ALPHA = 0.05
LEAST_PAIRS = 5
EVERY = "all"


def table(
    rules: Controls, claims: Sequence[Claim], verdicts: DataFrame, effects: DataFrame, meant: Container[str] | None = None
) -> DataFrame:
    """controls.csv: one row a control; outcome: passed, failed or not tested; marks: ids of the claims that a failure puts in doubt.

    Controls of the rules (kinds positive and negative) are verdicts of claims, those of `claims` whose id is in `meant` (None: all);
    others are left out, and one row of kind `left out` names their claims. A/A: see `same_arm`.
    """
    known = {claim.id: claim for claim in claims if meant is None or claim.id in meant}
    rows = [_row(rule, known, verdicts, effects) for rule in rules.controls if rule.claim in known]
    rows += same_arm(effects)
    if absent := missing(rules.controls, known):
        rows.append({"kind": "left out", "claim_id": "", "part": "", "guards": "", "expected": "", "what": "controls that are verdicts of "
                     "claims", "found": absent, "n": 0, "outcome": "not tested"})
    for number, row in enumerate(rows, start=1):
        row["control"] = number
        row["marks"] = "; ".join(_guarded(row["guards"].split("; "), claims)) if row["outcome"] == "failed" else ""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64"})


def doubts(controls: DataFrame | None) -> dict[str, list[str]]:
    """claim id -> failed controls on whose studies it rests, in words; of controls.csv, or none."""
    found: dict[str, list[str]] = {}
    if controls is None or controls.empty:
        return found
    for row in controls[controls["outcome"] == "failed"].to_dict("records"):
        for claim_id in str(row["marks"]).split("; "):
            found.setdefault(claim_id, []).append(f"{row['what']} (expected {row['expected']}, found {row['found']})")
    return found


def _row(rule: Control, known: dict[str, Claim], verdicts: DataFrame, effects: DataFrame) -> dict[str, Any]:
    base = {"kind": rule.kind, "claim_id": rule.claim, "part": rule.part, "what": rule.what, "expected": " or ".join(rule.expect),
            "guards": "; ".join(rule.guards)}
    found = part(known[rule.claim], verdicts, effects, rule.wanted)
    passed = "not tested" if found.verdict == "not_tested" else "passed" if found.verdict in rule.expect else "failed"
    return base | {"found": found.verdict, "estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high, "n": found.n,
                   "outcome": passed}


def same_arm(effects: DataFrame) -> list[dict[str, Any]]:
    """A/A: each arm against itself, odd replicates less the even ones before them, where there is nothing to find.

    One series a claim, stratum and arm of effects.csv, each number once however many claims share it; its mean's 95 % interval
    (stats.mean_effect) should leave 0 out in one series of twenty. Failed: the interval of their share lies above that. Series of one
    data set share splits and weights, so the interval is that of a ratio over data sets: (shares x_d / n_d) the linearised variance
    D/(D-1) Σ(x_d − p n_d)² / (Σn_d)², t with D − 1 degrees of freedom (Cochran 1977, eq. 9A.6 without a finite population).
    """
    outside: dict[str, list[bool]] = {}
    seen = set()
    for base, values in _series(effects):
        if values.tobytes() in seen:
            continue
        seen.add(values.tobytes())
        found = stats.mean_effect(values, ALPHA, seeds.generator("controls", len(seen), "bootstrap"))
        outside.setdefault(base, []).append(not found.low <= 0 <= found.high)
    row: dict[str, Any] = {"kind": "A/A", "claim_id": "", "part": "", "guards": EVERY, "expected": f"about {ALPHA:g}",
                           "what": "an arm against itself on other replicates: share of intervals that leave 0 out"}
    n, several = len(seen), len(outside)
    if several < 2:
        return [row | {"found": "no two data sets have arms with enough replicates", "n": n, "outcome": "not tested"}]
    counts, sizes = (np.array([measure(found) for found in outside.values()], float) for measure in (sum, len))
    share = counts.sum() / n
    se = np.sqrt(several / (several - 1) * np.sum((counts - share * sizes) ** 2)) / n
    half = distributions.t.isf(ALPHA / 2, several - 1) * se
    return [row | {"found": f"{int(counts.sum())} of {n}, over {several} data sets", "estimate": share, "ci_low": max(share - half, 0.0),
                    "ci_high": min(share + half, 1.0), "n": n, "outcome": "failed" if share - half > ALPHA else "passed"}]


def _series(effects: DataFrame) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(data set, differences [pairs]) of consecutive replicates; constant ones, and those of imputed cells, are left out."""
    rows = effects[effects["used"].astype(bool) & ~effects["imputed"].astype(bool)]
    split = rows["block"].str.rsplit("/", n=1, expand=True)
    if rows.empty or split.shape[1] < 2:
        return
    number = pd.to_numeric(split[1], errors="coerce")
    rows = rows.assign(base=split[0], number=number)[number.notna()]
    keys = ["claim_id", "dataset", "metric", "component", "base"]
    for _, mine in rows.groupby(keys, sort=True, dropna=False):
        for arm in ("treatment", "control"):
            values = mine.set_index("number")[arm].dropna()
            values = values[~values.index.duplicated()]
            even = values[values.index % 2 == 0]
            by_number = dict(zip(values.index.astype(int), values.astype(float), strict=True))
            pairs = [(by_number[at], by_number[at + 1]) for at in even.index.astype(int) if at + 1 in by_number]
            if len(pairs) < LEAST_PAIRS:
                continue
            first, second = np.array(pairs, float).T
            difference = second - first
            if difference.std() > 1e-9 * max(np.abs(first).max(), np.finfo(float).tiny):
                yield str(mine["base"].iloc[0]), difference


def _guarded(guards: list[str], claims: Sequence[Claim]) -> list[str]:
    return [claim.id for claim in claims if claim.tested and (EVERY in guards or set(guards) & set(claim.study))]
