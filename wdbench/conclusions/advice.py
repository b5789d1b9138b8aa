"""Advice from verdicts: advice.yaml says what each outcome of a claim would advise, the verdict says which outcome it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas import DataFrame

from wdbench.claims.part import part
from wdbench.conclusions import outcome
from wdbench.conclusions.catalogue import missing
from wdbench.conclusions.schema import Advice, Rule
from wdbench.config.claims import Claim

COLUMNS = ("model", "precision", "question", "claim_id", "part", "strata", "verdict", "outcome", "advice", "no_advice",
           "estimate", "ci_low", "ci_high", "effect_unit", "n")


def table(rules: Advice, claims: Sequence[Claim], verdicts: DataFrame, effects: DataFrame) -> DataFrame:
    """advice.csv: one row a model, precision, question and claim. Exactly one of advice and no_advice (why there is none) is filled.

    A question that no claim of the rules measures for a model and precision has one row, without a claim, and so has one of whose claims
    `claims` lacks some.
    """
    known = {claim.id: claim for claim in claims}
    units = verdicts.drop_duplicates("claim_id").set_index("claim_id")["effect_unit"].to_dict() if "effect_unit" in verdicts else {}
    rows = []
    for model in rules.models:
        for precision in rules.precisions:
            for question, asked in rules.questions.items():
                if asked.models and model not in asked.models:
                    continue
                here = {"model": model, "precision": precision, "question": question}
                mine = [r for r in rules.rules if (r.model, r.precision, r.question) == (model, precision, question)]
                rows += [here | _row(rule, known, verdicts, effects, units) for rule in mine if rule.claim in known]
                absent = missing(mine, known)
                if absent or not mine:
                    rows.append(here | {"no_advice": absent or "no claim measures it", "n": 0})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64"})


def _row(rule: Rule, known: dict[str, Claim], verdicts: DataFrame, effects: DataFrame, units: Mapping[Any, str]) -> dict[str, Any]:
    claim = known[rule.claim]
    found = part(claim, verdicts, effects, rule.wanted)
    said = outcome.of(found, claim.kind)
    text = chosen(rule.advice, said)
    row = {"claim_id": claim.id, "part": rule.part, "strata": "; ".join(found.strata), "verdict": found.verdict, "outcome": said.word,
           "estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high, "effect_unit": units.get(claim.id, ""),
           "n": found.n}
    return row | ({"advice": text} if text else {"no_advice": _why(claim.id, found.verdict)})


def chosen(advice: dict[str, str], said: outcome.Outcome) -> str:
    """Text of the narrowest outcome that covers what was found; empty where none does."""
    if said.state == "mixed":
        return advice.get("mixed", "")
    if said.state != "measured":
        return ""
    return next((advice[word] for word, signs in outcome.WORDS.items() if word in advice and said.signs <= signs), "")


def _why(claim_id: str, verdict: str) -> str:
    said = {"not_tested": "was not tested", "inconclusive": "is inconclusive", "conditional": "holds on some data and not on others"}
    return f"{claim_id} {said.get(verdict, f'is {verdict}, which speaks for no rule')}"
