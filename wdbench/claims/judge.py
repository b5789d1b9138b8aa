"""From runs and claims to verdicts: select, contrast, test, correct, decide."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdbench import seeds, stats
from wdbench.claims import blocks, gate, identity, registration, tables
from wdbench.claims.case import Case, Component, Tested
from wdbench.claims.kinds import Kind, Ruling, find
from wdbench.claims.selection import claim_rows, in_studies, select, with_strata
from wdbench.config.claims import Claim
from wdbench.errors import UserError


@dataclass(frozen=True)
class Judgement:
    """The published tables; their columns are in tables.py."""

    verdicts: pd.DataFrame
    selected: pd.DataFrame
    effects: pd.DataFrame


def judge(
    runs: pd.DataFrame,
    claims: Sequence[Claim],
    expected: pd.DataFrame,
    ledger: registration.Ledger | None = None,
    identities: pd.DataFrame | None = None,
    unavailable: Mapping[str, str] | None = None,
    path: str = "claims.yaml",
    elsewhere: Mapping[str, str] | None = None,
) -> Judgement:
    """Judge every claim.

    runs: runs.parquet. expected: the plan, one row a cell with cell_id, study, dataset, dataset_base and the axes.
    ledger: see registration.load. identities: see identity.COLUMNS. unavailable: data set (or its base name) -> how
    to get it. elsewhere: study -> profile that trains it, for those that this run does not. A claim of which a
    planned row has no outcome is not judged; rows that are not in the plan are not read. Raises UserError for a
    claim on an unknown column, or one that leaves open which row is meant.
    """
    _need(runs, ("cell_id", "study", "dataset", "status"), "the table of runs")
    _need(expected, ("cell_id", "study", "dataset"), "the plan")
    twice = runs["cell_id"][runs["cell_id"].duplicated()]
    if len(twice):
        raise UserError(f"the table of runs: cell_id: value {twice.iloc[0]!r}: is there twice; one row a cell is valid")
    elsewhere = dict(elsewhere or {})
    # a claim about runs of another profile may name a column that only those have
    gate.check([claim for claim in claims if not set(claim.study) & set(elsewhere)], runs.columns, path=path)
    unavailable = dict(unavailable or {})
    runs = runs[runs["cell_id"].isin(expected["cell_id"].dropna())]
    # a hundred different texts in as many thousand rows, asked for by every claim
    runs, expected = (table.assign(study=table["study"].astype("category")) for table in (runs, expected))
    cases = [_prepare(claim, runs, expected, identities, unavailable, elsewhere) for claim in claims]
    family_p = _family_p(cases)
    rows = [row for case in cases for row in tables.rows(case, family_p.get(case.claim.id, np.nan), ledger or {})]
    verdicts = pd.DataFrame(rows, columns=list(tables.VERDICT_COLUMNS))
    verdicts["n"] = verdicts["n"].astype("Int64")
    selected = tables.gathered(cases, "selected", tables.SELECTED_COLUMNS)
    return Judgement(verdicts, selected, tables.gathered(cases, "effects", tables.EFFECT_COLUMNS))


def _need(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    for column in columns:
        if column not in table:
            raise UserError(f"{what}: has no column {column!r}; valid: a table with {', '.join(columns)}")


def _prepare(
    claim: Claim,
    runs: pd.DataFrame,
    expected: pd.DataFrame,
    identities: pd.DataFrame | None,
    unavailable: Mapping[str, str],
    elsewhere: Mapping[str, str],
) -> Case:
    if claim.not_tested is not None:
        return Case(claim, Ruling("not_tested", claim.not_tested))
    if claim.kind == "identity":
        assert claim.identity is not None, "see check_fields: the kind needs it"
        return Case(claim, *identity.judge_identity(claim.identity, identities))
    profiles = {elsewhere[study] for study in claim.study if study in elsewhere}
    if profiles:
        commands = " and ".join(f"snakemake --cores 2 --config profile={name}" for name in sorted(profiles))
        return Case(claim, Ruling("not_tested", f"its runs are not part of this profile: {commands}"))
    naive = claim.naive_claim()
    # a claim reads a small part of a large table: cut it once
    wanted = (*claim.study, *(naive.study if naive is not None else ()))
    runs, expected = (table[in_studies(table["study"], wanted)] for table in (runs, expected))
    plan = gate.planned(claim, expected)
    gone = gate.is_unavailable(plan, unavailable)
    absent = {k: Ruling("not_tested", v) for k, v in gate.unavailable_strata(claim, plan, unavailable).items()}
    reason = None if absent and gone.all() else gate.incomplete(claim, plan[~gone], runs)
    if reason is not None:
        return Case(claim, Ruling("not_tested", reason), absent=absent)
    case = _analyse(claim, runs, claim.diverged, gated=True)
    case.absent = {**absent, **case.absent}
    case.note = _partly_unavailable(plan[gone], case, unavailable)
    if case.selected is not None and case.selected["imputed"].any():
        other = "exclude" if claim.diverged == "worst_rank" else "worst_rank"
        case.secondary = _analyse(claim, runs, other, gated=True)
    case.naive = _analyse(naive, runs, claim.diverged, gated=False) if naive is not None else None
    return case


def _partly_unavailable(lost: pd.DataFrame, case: Case, unavailable: Mapping[str, str]) -> str:
    """Data sets that a stratum goes without although it has other rows."""
    names = {str(d) for column in ("dataset", "dataset_base") if column in lost for d in lost[column].unique()}
    told = sorted(name for name in names & set(unavailable) if not any(name in r.reason for r in case.absent.values()))
    return f"; without {', '.join(told)} (unavailable)" if told else ""


def _analyse(claim: Claim, runs: pd.DataFrame, policy: str, gated: bool) -> Case:
    case, kind = Case(claim), find(claim.kind)
    chosen = select(claim, runs)
    if chosen.empty:
        return case
    case.selected = blocks.usable(claim, chosen, policy)
    case.contrasts = (kind.contrasts or blocks.contrasts)(claim, case.selected)
    case.effects = kind.effects(claim, case.contrasts)
    candidates = with_strata(claim, claim_rows(claim, runs))
    candidates = candidates[gate.in_arms(claim, candidates)]
    diverged = candidates[candidates["status"] == "diverged"].groupby("stratum").size()
    case.n_diverged = {str(stratum): n for stratum, n in diverged.items()}
    for stratum in _in_order(claim, case.selected["stratum"]):
        here = case.selected[case.selected["stratum"] == stratum]
        effects = case.effects[case.effects["stratum"] == stratum]
        reason = gate.without_effect(effects, here) or (gate.ineligible(claim, here) if gated else None)
        if reason is not None:
            case.absent[stratum] = Ruling("not_tested", reason)
            continue
        case.edges[stratum] = gate.edge_shares(claim, here)
        case.ends[stratum] = gate.ends_chosen(claim, here)
        case.tested[stratum] = _test(claim, kind, stratum, effects)
    case.effects = case.effects.assign(
        used=case.effects["effect"].notna() & case.effects["stratum"].isin(list(case.tested))
    )
    case.pooled = _pool(claim, kind, case.tested, case.effects)
    return case


def _in_order(claim: Claim, strata: pd.Series) -> list[str]:
    present = set(strata)
    return [name for name in claim.cases if name in present] if claim.cases else sorted(present, key=_natural)


def _natural(name: str) -> list[tuple[int, float, str]]:
    """Sort key by which 2 stands before 10."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", name)
    return [(0, float(part), "") if place % 2 else (1, 0.0, part) for place, part in enumerate(parts)]


def _name(metric: Hashable, component: Hashable, several: bool) -> str:
    return " ".join(str(part) for part in (metric if several else "", component) if part)


def _test(claim: Claim, kind: Kind, stratum: str, effects: pd.DataFrame) -> Tested:
    components = []
    for (metric, component), rows in effects.dropna(subset=["effect"]).groupby(["metric", "component"], sort=True):
        values = rows.sort_values("block", kind="stable")["effect"].to_numpy(float)
        name = _name(metric, component, len(claim.metric) > 1)
        rng = seeds.generator(f"{claim.id}/{stratum}/{metric}/{component}", 0, "bootstrap")
        components.append(Component(name, kind.test(values, claim.alpha, rng), values, claim.margin_of(str(metric))))
    return _joined(kind, components)


def _joined(kind: Kind, components: list[Component]) -> Tested:
    p = [kind.p(component.estimate, component.margin) for component in components]
    return Tested(tuple(components), float(np.max(p)))


def _pool(claim: Claim, kind: Kind, tested: Mapping[str, Tested], effects: pd.DataFrame) -> Tested | None:
    if len(tested) < 2:
        return next(iter(tested.values()), None)
    components = []
    used = effects[effects["used"]].sort_values(["stratum", "block"], kind="stable")
    for (metric, component), rows in used.groupby(["metric", "component"], sort=True):
        rng = seeds.generator(f"{claim.id}/all/{metric}/{component}", 0, "bootstrap")
        values = rows["effect"].to_numpy(float)
        estimate = kind.pool(values, rows["stratum"].to_numpy(str), rows["block"].to_numpy(str), claim.alpha, rng)
        name = _name(metric, component, len(claim.metric) > 1)
        components.append(Component(name, estimate, values, claim.margin_of(str(metric))))
    return _joined(kind, components)


def _family_p(cases: list[Case]) -> dict[str, float]:
    adjusted: dict[str, float] = {}
    for family in dict.fromkeys(case.claim.family for case in cases):
        raw = {case.claim.id: case.pooled.p for case in cases if case.claim.family == family and case.pooled is not None}
        adjusted |= {claim_id: float(p) for claim_id, p in zip(raw, stats.holm(np.array(list(raw.values()))), strict=True)}
    return adjusted
