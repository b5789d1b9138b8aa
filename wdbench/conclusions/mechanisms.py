"""Mechanisms told apart: which story of weight decay the verdicts agree with, for each kind of model, and what separates two stories.

A test is a claim of whose effect stories predict the sign. A story *agrees* with an outcome if every sign that the outcome leaves is
predicted, is *contradicted* if none is, and is left *open* otherwise. Two stories whose predictions exclude each other are told apart
by an outcome that contradicts one of them and not the other.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import pandas as pd
from pandas import DataFrame

from wdbench.claims.part import part
from wdbench.conclusions import outcome
from wdbench.conclusions.catalogue import missing
from wdbench.conclusions.schema import Mechanisms, Source
from wdbench.config.claims import Claim

COLUMNS = ("model", "discriminator", "claim_id", "part", "strata", "verdict", "outcome", "estimate", "ci_low", "ci_high",
           "effect_unit", "n", "story", "predicted", "agreement", "why")
PAIR_COLUMNS = ("model", "story", "other_story", "told_apart", "for_story", "for_other", "against_both", "open_claims")


def table(structure: Mechanisms, claims: Sequence[Claim], verdicts: DataFrame, effects: DataFrame) -> DataFrame:
    """mechanisms.csv: one row a model, claim and story that predicts its sign.

    A model and discriminator of whose claims `claims` lacks some have one row, without a claim, that names those; one that no claim asks
    has one that says so. The agreement of both is `not measured`.
    """
    known = {claim.id: claim for claim in claims}
    units = verdicts.drop_duplicates("claim_id").set_index("claim_id")["effect_unit"].to_dict() if "effect_unit" in verdicts else {}
    rows = []
    for model in structure.models:
        for discriminator in structure.discriminators:
            here = {"model": model, "discriminator": discriminator.id}
            every = [(test, source) for test in discriminator.tests for source in test.claims.get(model, ())]
            absent = missing((source for _, source in every), known)
            for test, source in every:
                if source.claim not in known:
                    continue
                measured = measure(source, known, verdicts, effects) | {"effect_unit": units.get(source.claim, ""), "part": source.part}
                signs = measured.pop("signs")
                for story, word in test.predicts.items():
                    agreement = "not measured" if measured["outcome"] == "not measured" else agree(signs, word)
                    rows.append(here | measured | {"story": story, "predicted": word, "agreement": agreement})
            if absent or not every:
                rows.append(here | {"outcome": "not measured", "agreement": "not measured", "n": 0,
                                    "why": absent or "no claim asks it of this kind of model"})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64"})


def measure(source: Source, known: dict[str, Claim], verdicts: DataFrame, effects: DataFrame) -> dict[str, Any]:
    """Numbers and outcome of a claim of `known`, or of some of its strata: the columns of that name, and `signs`."""
    claim = known[source.claim]
    found = part(claim, verdicts, effects, source.wanted)
    said = outcome.of(found, claim.kind)
    return {"claim_id": claim.id, "strata": "; ".join(found.strata), "verdict": found.verdict, "outcome": said.word,
            "estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high, "n": found.n, "why": found.reason,
            "signs": said.signs}


def agree(signs: frozenset[str], predicted: str) -> str:
    """agrees, contradicted or open, for the signs that an outcome leaves and a predicted word of outcome.WORDS."""
    expected = outcome.WORDS[predicted]
    return "agrees" if signs <= expected else "open" if signs & expected else "contradicted"


def pairs(evidence: DataFrame, structure: Mechanisms) -> DataFrame:
    """mechanism_pairs.csv: for each model and pair of stories, the claims that tell them apart and for which of the two.

    told_apart: story or other_story (the claims that separate them are all for it), both ways (some for each), neither (all against
    both), open (claims that would separate them decided nothing or were not measured), no control (no claim would).
    """
    rows = []
    for model in structure.models:
        mine = evidence[(evidence["model"] == model) & evidence["story"].notna()]
        for one, other in combinations(structure.stories, 2):
            left, right = (mine[mine["story"] == story] for story in (one, other))
            both = pd.merge(left, right, on=["discriminator", "claim_id", "part"], suffixes=("", "_other"))
            disjoint = [not outcome.WORDS[a] & outcome.WORDS[b] for a, b in zip(both["predicted"], both["predicted_other"], strict=True)]
            both = both[pd.Series(disjoint, index=both.index, dtype=bool)]
            first, second = both["agreement"], both["agreement_other"]
            ids = both["claim_id"].astype(str)
            for_one = _distinct(ids[(first != "contradicted") & (second == "contradicted")])
            for_other = _distinct(ids[(first == "contradicted") & (second != "contradicted")])
            neither = _distinct(ids[(first == "contradicted") & (second == "contradicted")])
            rest = _distinct(ids[~(first.eq("contradicted") | second.eq("contradicted"))])
            told = (("both ways" if for_other else "story") if for_one else "other_story" if for_other
                    else "neither" if neither else "open" if rest else "no control")
            listed = ("; ".join(names) for names in (for_one, for_other, neither, rest))
            rows.append((model, one, other, told, *listed))
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def _distinct(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def standing(evidence: DataFrame, structure: Mechanisms, model: str) -> dict[str, dict[str, Any]]:
    """story -> standing, and the claims that agree with it and that contradict it, for one model.

    supported: some claim agrees that also contradicts another story, and none contradicts; consistent: claims agree, none of which
    contradicts any other story; mixed: claims on both sides; contradicted; open; not measured.
    """
    mine = evidence[evidence["model"] == model]
    against_some = set(mine.loc[mine["agreement"] == "contradicted", "claim_id"])
    found = {}
    for story in structure.stories:
        rows = mine[mine["story"] == story]
        agrees, contradicts = (list(dict.fromkeys(rows.loc[rows["agreement"] == word, "claim_id"])) for word in ("agrees", "contradicted"))
        if agrees and contradicts:
            state = "mixed"
        elif agrees:
            state = "supported" if against_some & set(agrees) else "consistent"
        elif contradicts:
            state = "contradicted"
        else:
            state = "open" if rows["agreement"].eq("open").any() else "not measured"
        found[story] = {"standing": state, "agrees": agrees, "contradicts": contradicts}
    return found
