"""What the report says of mechanisms, advice and precision: published tables as texts, in the order of mechanisms.yaml and advice.yaml."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pandas import DataFrame

from wdbench import frames
from wdbench.conclusions import mechanisms as told
from wdbench.conclusions import schema
from wdbench.conclusions.catalogue import ABSENT
from wdbench.conclusions.precision import ARMS
from wdbench.config.claims import Claim
from wdbench.figures import labels, words

Row = Mapping[str, Any]

Tables = Mapping[str, DataFrame]
MARKS = {"agrees": "✓", "contradicted": "✗", "open": "?", "not measured": "–"}
STANDINGS = {  # in words, and the verdict whose colour and mark it takes
    "supported": ("supported", "supported"),
    "consistent": ("consistent, not separated", "inconclusive"),
    "mixed": ("claims disagree", "conditional"),
    "contradicted": ("contradicted", "refuted"),
    "open": ("undecided", "inconclusive"),
    "not measured": ("not measured", "not_tested"),
}
KINDS = {"convex": "linear, logistic and softmax models", "network": "networks", "language": "language models"}
DECAYS = {"none": "no penalty", "small": "≤ 2⁻⁹", "large": "> 2⁻⁹"}


def _table(tables: Tables, name: str) -> DataFrame | None:
    found = tables.get(name)
    return None if found is None or found.empty else found


def _part(row: Row) -> str:
    return "" if words.missing(row.get("part")) or not row["part"] else f" ({row['part']})"


def _ids(text: Any) -> list[str]:
    return [] if words.missing(text) or not text else str(text).split("; ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _two(value: Any) -> str:
    """A fidelity, to two decimals."""
    return "–" if words.missing(value) else f"{round(float(value), 2) + 0.0:.2f}".replace("-", words.MINUS)


def _estimate(row: Row, known: Mapping[str, Claim]) -> str:
    claim = known.get(row["claim_id"])
    return "" if claim is None or row["verdict"] == "not_tested" else words.estimate(row, claim)


def mechanisms(tables: Tables, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """One entry a kind of model: how each story stands, what separates each pair, and the evidence by question."""
    evidence, pairs = _table(tables, "mechanisms"), _table(tables, "mechanism_pairs")
    if evidence is None or pairs is None:
        return []
    structure, known = schema.mechanisms(), {claim.id: claim for claim in claims}
    names, order = structure.stories, list(structure.stories)
    found = []
    for model, title in structure.models.items():
        standing = told.standing(evidence, structure, model)
        stories = [{"name": names[story], "word": STANDINGS[one["standing"]][0], "verdict": STANDINGS[one["standing"]][1],
                    "agrees": one["agrees"], "contradicts": one["contradicts"]} for story, one in standing.items()]
        held = [_pair(row, names) | {"next": order.index(row["other_story"]) == order.index(row["story"]) + 1}
                for row in frames.records(pairs[pairs["model"] == model])]
        rows = evidence[evidence["model"] == model]
        found.append({"model": model, "title": _capital(title), "stories": stories, "pairs": held,
                      "summary": _summary(standing, names) + _left_out(rows),
                      "questions": [_question(one, rows[rows["discriminator"] == one.id], structure, known)
                                    for one in structure.discriminators]})
    return found


def _summary(standing: Mapping[str, Row], names: Mapping[str, str]) -> str:
    """One sentence: which stories the data support, and which they contradict."""
    sides = {word: [names[story] for story, one in standing.items() if one["standing"] == word] for word in STANDINGS}
    parts = [f"{lead}: {'; '.join(sides[word])}" for word, lead in (
        ("supported", "Supported"), ("consistent", "Consistent with the data, but not separated from another"),
        ("mixed", "Claims disagree on"), ("contradicted", "Contradicted")) if sides[word]]
    undecided = [*sides["open"], *sides["not measured"]]
    if not parts:
        return "No story is decided: no claim that separates two of them has come to a verdict."
    return ". ".join([*parts, *([f"Undecided: {'; '.join(undecided)}"] if undecided else [])]) + "."


def _left_out(rows: DataFrame) -> str:
    """Claims of the stories that the run does not have, as a sentence; empty where it has them all."""
    reasons = dict.fromkeys(rows.loc[rows["claim_id"].isna() & rows["why"].astype(str).str.contains(ABSENT, regex=False), "why"])
    ids = dict.fromkeys(name for why in reasons for name in why.removesuffix(ABSENT).split(", "))
    return f" Left out: {', '.join(ids)}{ABSENT}." if ids else ""


def _pair(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    one, other = names[row["story"]], names[row["other_story"]]
    verdicts = {
        "story": f"told apart, for {one}",
        "other_story": f"told apart, for {other}",
        "both ways": "claims disagree",
        "neither": "the outcome is neither’s",
        "open": "not separated: what would separate them is undecided",
        "no control": "not separated: no control of this run would",
    }
    return {"stories": f"{one} – {other}", "told": verdicts[row["told_apart"]], "separated": row["told_apart"] in ("story", "other_story"),
            "by": [*_ids(row["for_story"]), *_ids(row["for_other"]), *_ids(row["against_both"])], "open": _ids(row["open_claims"])}


def _question(one: schema.Discriminator, rows: DataFrame, structure: schema.Mechanisms, known: Mapping[str, Claim]) -> dict[str, Any]:
    """A question's row: what each story says, and each claim's outcome with the stories that it agrees with and contradicts."""
    asked = []
    for _, group in rows[rows["claim_id"].notna()].groupby(["claim_id", "part"], sort=False, dropna=False):
        first = frames.first(group)
        marks = dict(zip(group["story"], group["agreement"], strict=True))
        asked.append({"id": first["claim_id"], "part": _part(first), "outcome": first["outcome"], "estimate": _estimate(first, known),
                      "marks": [{"mark": MARKS[marks[s]], "word": marks[s]} if s in marks else {"mark": "", "word": "predicts nothing"}
                                for s in structure.stories]})
    return {"title": one.title, "says": [one.says.get(story, "–") for story in structure.stories], "claims": asked}


def stories() -> list[str]:
    """Names of the stories, in their order."""
    return list(schema.mechanisms().stories.values())


def advice(tables: Tables, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """One entry a kind of model and precision, with its questions and what each claim advises."""
    rows = _table(tables, "advice")
    if rows is None:
        return []
    rules, known = schema.advice(), {claim.id: claim for claim in claims}
    found = []
    for (model, precision), mine in rows.groupby(["model", "precision"], sort=False):
        questions = []
        for question, group in frames.groups(mine, "question"):
            records = frames.records(group)
            given = [{"text": r["advice"], "id": r["claim_id"], "part": _part(r), "verdict": r["verdict"], "estimate": _estimate(r, known)}
                     for r in records if not words.missing(r["advice"])]
            # ids are linked, so that the reason is told without its leading id
            none = [{"id": "" if words.missing(r["claim_id"]) else r["claim_id"], "part": _part(r),
                     "why": str(r["no_advice"]).removeprefix(f"{r['claim_id']} ")} for r in records if words.missing(r["advice"])]
            questions.append({"text": rules.questions[question].text, "given": given, "none": none})
        found.append({"model": _capital(rules.models[str(model)]), "precision": rules.precisions[str(precision)], "questions": questions})
    return found


def precision(tables: Tables) -> list[dict[str, Any]]:
    """One entry a kind of model and study that has more than one rounding: rows by coupling, size of ηλ and arithmetic."""
    table = _table(tables, "precision")
    if table is None:
        return []
    found = []
    for (model, study), rows in table.groupby(["model", "study"], sort=False):
        if rows["rounding"].nunique() > 2:
            present = set(zip(rows["precision"], rows["rounding"], strict=True))
            found.append({"title": _capital(f"{KINDS[str(model)]}, study {study}"), "rows": [_arm(row) for row in frames.records(rows)],
                          "spikes": bool(rows["spikes"].notna().any()),
                          "absent": [labels.arithmetic(*arm) for arm in ARMS if arm not in present]})
    return sorted(found, key=lambda one: (not one["title"].startswith("Networks"), one["title"]))


def _arm(row: Row) -> dict[str, Any]:
    spread = "" if words.missing(row["fidelity"]) else f" ({_two(row['fidelity_low'])} to {_two(row['fidelity_high'])})"
    return {
        "coupling": str(row["coupling"]).replace("_", " "),
        "decay": DECAYS[row["decay"]],
        "arithmetic": labels.arithmetic(str(row["precision"]), str(row["rounding"])),
        "cells": words.count(row["cells"]),
        "diverged": _percent(row["diverged"]),
        "fidelity": _two(row["fidelity"]) + spread,
        "fidelity_bar": None if words.missing(row["fidelity"]) else round(100 * min(max(float(row["fidelity"]), 0.0), 1.0), 1),
        "lost_decay": not words.missing(row["fidelity"]) and row["fidelity"] < 0.5,
        "updates_lost": _percent(row["updates_lost"]),
        "train": _change(row["train_loss_change"]),
        "test": _change(row["test_loss_change"]),
        "spikes": words.number(row["spikes"]),
    }


def _percent(value: Any) -> str:
    return "–" if words.missing(value) else f"{100 * float(value):.1f} %"


def _change(value: Any) -> str:
    if words.missing(value):
        return "–"
    text = f"{100 * float(value):+.1f} %".replace("-", words.MINUS)
    return "0.0 %" if text[1:] == "0.0 %" else text


def torch_flags(tables: Tables) -> dict[str, Any]:
    """Fidelity by optimiser, implementation and type (rows) and ηλ (columns); and which implementations left every weight as it was."""
    table = _table(tables, "torch_flags")
    if table is None:
        return {}
    decays = sorted(d for d in table["decay_per_step"].unique() if d > 0)
    rows = []
    for (optimiser, dtype, implementation), group in table.groupby(["optimiser", "dtype", "implementation"], sort=False):
        by_decay = {row["decay_per_step"]: row for row in frames.records(group)}
        values = [by_decay.get(d, {}) for d in decays]
        rows.append({"optimiser": optimiser, "dtype": dtype, "implementation": str(implementation).replace("_", " "),
                     "still": bool((group["moved_share"] == 0).all()),
                     "values": [{"fidelity": _two(v.get("fidelity")), "lost": v.get("unchanged_share") == 1} for v in values]})
    still = [f"{r['optimiser']}, {r['implementation']}, {r['dtype']}" for r in rows if r["still"]]
    return {"decays": [_power(d) for d in decays], "rows": rows, "still": still, "steps": int(table["steps"].iloc[0]),
            "coupling": table.drop_duplicates("optimiser").set_index("optimiser")["coupling"].to_dict()}


def _power(value: float) -> str:
    """2⁻⁹ for a power of two, else the number."""
    mantissa, exponent = math.frexp(value)
    return f"2{str(exponent - 1).translate(words.EXPONENT)}" if mantissa == 0.5 else words.number(value)
