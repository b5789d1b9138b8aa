"""The published tables: one row a verdict, a selected cell, an effect."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from wdbench import stats
from wdbench.claims import describe, gate, registration, vote
from wdbench.claims.case import Case, Component, Tested
from wdbench.claims.kinds import Evidence, Ruling, find
from wdbench.claims.selection import SHOWN
from wdbench.config.claims import Claim

VERDICT_COLUMNS = (
    "claim_id", "sentence", "source", "family", "kind", "dataset", "estimate", "ci_low", "ci_high", "margin",
    "p_value", "p_holm", "n", "mde", "verdict", "reason", "registered", "post_hoc",
    "effect_unit", "equation", "component", "method", "ci_tost_low", "ci_tost_high", "n_strata", "n_diverged",
    "n_imputed", "n_undefined", "selection_edge_share", "estimate_secondary", "verdict_secondary",
    "naive_estimate", "naive_verdict", "naive_trap", "post_hoc_why",
)  # fmt: skip
"""Columns of verdicts.csv. `dataset` is the stratum's label, or `all`."""

SELECTED_COLUMNS = (
    "claim_id", "dataset", "metric", "condition", "x", "block", "arm", *SHOWN[:9], "selected_by", "selected_value",
    "edge", "value", "value_used", "imputed",
)  # fmt: skip
"""Columns of selected.csv: one row for each cell that stands for an arm in a block, and metric; x after its
transform.
"""

EFFECT_COLUMNS = (
    "claim_id", "dataset", "metric", "component", "block", "treatment", "control", "treatment_other",
    "control_other", "effect", "imputed", "used",
)  # fmt: skip
"""Columns of effects.csv: one row a block and component; an estimate is the mean of `effect` over rows with `used`."""

EMPTY = stats.Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 0, np.nan, 0, np.nan, "none")

_ORDER = ("refuted", "inconclusive", "equivalent", "supported")


def weakest(claim: Claim, tested: Tested, p_holm: float) -> tuple[Ruling, Component]:
    """Every component must be upheld; the weakest one is shown, and named where there are several."""
    kind, found = find(claim.kind), []
    for component in tested.components:
        evidence = Evidence(component.estimate, component.effects, component.margin, claim.alpha, p_holm)
        ruling = kind.rule(evidence)
        p = kind.p(component.estimate, component.margin)
        found.append((_ORDER.index(ruling.verdict), -np.nan_to_num(p, nan=2.0), component.name, ruling, component))
    *_, ruling, component = min(found, key=lambda item: item[:3])
    if len(found) > 1:
        ruling = replace(ruling, reason=f"{component.name}: {ruling.reason}")
    return ruling, component


def _rulings(case: Case, corrected: bool) -> dict[str, tuple[Ruling, Component, float]]:
    if case.contrasts is None:
        return {}
    p = np.array([tested.p for tested in case.tested.values()])
    adjusted = stats.holm(p) if corrected else p
    kind, rulings = find(case.claim.kind), {}
    for (stratum, tested), p_holm in zip(case.tested.items(), adjusted, strict=True):
        ruling, component = weakest(case.claim, tested, float(p_holm))
        ruling = kind.review(case.claim, case.contrasts[case.contrasts["stratum"] == stratum], ruling)
        if corrected:
            ruling = gate.at_edge(case.edges[stratum], case.ends[stratum]) or ruling
        rulings[stratum] = (ruling, component, float(p_holm))
    return rulings


def rows(case: Case, family_p: float, ledger: registration.Ledger) -> list[dict[str, Any]]:
    """Rows of verdicts.csv: `all` first, then the strata. family_p: the claim's p after Holm in its family."""
    claim = case.claim
    is_post_hoc, why = registration.post_hoc(claim, ledger)
    shared = {
        "claim_id": claim.id,
        "sentence": claim.sentence,
        "source": claim.source,
        "family": claim.family,
        "kind": claim.kind,
        "registered": claim.digest(),
        "post_hoc": is_post_hoc,
        "post_hoc_why": why,
        "effect_unit": describe.effect_unit(claim),
        "equation": describe.equation(claim),
        "naive_trap": claim.naive.trap if claim.naive is not None else claim.trap,
    }
    if case.fixed is not None:
        head = {**shared, "dataset": "all", **_verdict(case.fixed), "n": 0, **case.identity_numbers}
        return [head, *({**shared, "dataset": s, **_verdict(r), "n": 0} for s, r in case.absent.items())]
    rulings = _rulings(case, corrected=True)
    strata = {**{s: r for s, (r, _, _) in rulings.items()}, **case.absent}
    order = [*(s for s in claim.cases if s in strata), *sorted(set(strata) - set(claim.cases))]
    strata = {s: strata[s] for s in order}
    secondary, naive = _beside(case.secondary, corrected=True), _beside(case.naive, corrected=False)
    final = vote.overall(strata, family_p, claim.alpha)
    final = replace(final, reason=final.reason + case.note)
    found = []
    for stratum, ruling in {"all": final, **strata}.items():
        p_holm = family_p if stratum == "all" else rulings[stratum][2] if stratum in rulings else np.nan
        numbers = _numbers(case, None if stratum == "all" else stratum, p_holm, ruling)
        # where no cell was filled in or left out, the secondary analysis is the primary one
        same = (numbers["estimate"], numbers["verdict"])
        second = secondary.get(stratum, (np.nan, "not_tested")) if case.secondary is not None else same
        wrong = naive.get(stratum, (np.nan, "not_tested" if case.naive is not None else ""))
        beside = {
            "estimate_secondary": second[0],
            "verdict_secondary": second[1],
            "naive_estimate": wrong[0],
            "naive_verdict": wrong[1],
        }
        found.append({**shared, "dataset": stratum, **numbers, **beside})
    return found


def _verdict(ruling: Ruling) -> dict[str, str]:
    return {"verdict": ruling.verdict, "reason": ruling.reason}


def _beside(case: Case | None, corrected: bool) -> dict[str, tuple[float, str]]:
    """stratum (and all) -> estimate and verdict of an analysis shown beside the main one."""
    if case is None:
        return {}
    rulings = _rulings(case, corrected)
    found = {s: (component.estimate.mean, ruling.verdict) for s, (ruling, component, _) in rulings.items()}
    found |= {s: (np.nan, ruling.verdict) for s, ruling in case.absent.items()}
    if case.pooled is not None:
        strata = {**{s: ruling for s, (ruling, _, _) in rulings.items()}, **case.absent}
        _, component = weakest(case.claim, case.pooled, case.pooled.p)
        final = vote.overall(strata, case.pooled.p, case.claim.alpha)
        found["all"] = (component.estimate.mean, final.verdict)
    return found


def _numbers(case: Case, stratum: str | None, p_holm: float, ruling: Ruling) -> dict[str, Any]:
    """Everything of a row that is measured; `stratum` None: over all."""
    claim = case.claim
    tested = case.pooled if stratum is None else case.tested.get(stratum)
    # numbers beside `not_tested` would be read as a result
    component = weakest(claim, tested, p_holm)[1] if tested is not None and ruling.verdict != "not_tested" else None
    estimate = component.estimate if component is not None else EMPTY
    margin = component.margin if component is not None else min(map(claim.margin_of, claim.metric or ("event",)))
    selected, effects = _here(case.selected, stratum), _here(case.effects, stratum)
    edges = [case.edges.get(stratum, {})] if stratum is not None else list(case.edges.values())
    shares = [share for edge in edges for share in edge.values()]
    strata = list(case.n_diverged) if stratum is None else [stratum]
    return {
        "estimate": estimate.mean,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "ci_tost_low": estimate.low_tost,
        "ci_tost_high": estimate.high_tost,
        "margin": margin,
        "p_value": tested.p if tested is not None and component is not None else np.nan,
        "p_holm": p_holm if component is not None else np.nan,
        "n": estimate.n,
        "mde": find(claim.kind).mde(estimate, claim.alpha) if component is not None else np.nan,
        **_verdict(ruling),
        "component": component.name if component is not None else "",
        "method": estimate.method,
        "n_strata": len(case.tested) if stratum is None else 1,
        "n_diverged": sum(case.n_diverged.get(s, 0) for s in strata),
        "n_imputed": 0 if selected is None else int(selected["imputed"].sum()),
        "n_undefined": 0 if effects is None else int((effects["effect"].isna() & ~effects["imputed"]).sum()),
        "selection_edge_share": max(shares) if shares else np.nan,
    }


def _here(table: pd.DataFrame | None, stratum: str | None) -> pd.DataFrame | None:
    return table if stratum is None or table is None else table[table["stratum"] == stratum]


def gathered(cases: list[Case], what: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """The cases' tables named `what` (selected, effects), one under the other."""
    parts = []
    for case in cases:
        table = getattr(case, what)
        if table is not None and not table.empty:
            part = table.rename(columns={"stratum": "dataset"}).assign(claim_id=case.claim.id)
            parts.append(part.reindex(columns=list(columns)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
