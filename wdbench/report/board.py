"""The board of claims: one card a claim, with all that its own page shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pandas import DataFrame, Series

from wdbench import frames
from wdbench.conclusions import controls
from wdbench.config.claims import Claim
from wdbench.figures import labels, words
from wdbench.report import intervals, telling

Row = Mapping[str, Any]

ORDER = ("supported", "equivalent", "holds", "conditional", "inconclusive", "refuted", "fails", "not_tested")
UNJUDGED = {
    "verdict": "not_tested",
    "reason": "verdicts.csv has no row of this claim; run `snakemake --cores 2`",
}


def cards(tables: Mapping[str, DataFrame], claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """One mapping a claim, in order, plain texts and numbers only."""
    by_claim = {name: _grouped(tables.get(name)) for name in ("verdicts", "selected")}
    checks = _checks(tables.get("identities"))
    doubts, known = controls.doubts(tables.get("controls")), _known(tables.get("datasets"))
    return [
        {"doubts": doubts.get(claim.id, [])}
        | _card(
            claim,
            by_claim["verdicts"].get(claim.id),
            by_claim["selected"].get(claim.id),
            checks.get(claim.identity or claim.id, []),
            known,
        )
        for claim in claims
    ]


def _grouped(table: DataFrame | None) -> dict[str, DataFrame]:
    return {} if table is None or table.empty else dict(frames.groups(table, "claim_id"))


def _checks(table: DataFrame | None) -> dict[str, list[dict[str, Any]]]:
    if table is None or table.empty:
        return {}
    return {name: frames.records(rows) for name, rows in frames.groups(table, "identity")}


def _card(
    claim: Claim, rows: DataFrame | None, selected: DataFrame | None, checks: list[dict[str, Any]], known: set[str]
) -> dict[str, Any]:
    records = [] if rows is None else frames.records(rows)
    overall = next((row for row in records if row["dataset"] == "all"), records[0] if records else UNJUDGED)
    strata = [row for row in records if row["dataset"] != "all"]
    verdict = str(overall["verdict"])
    return {
        "id": claim.id,
        "sentence": claim.sentence,
        "title": claim.title,
        "source": claim.source,
        "family": claim.family,
        "family_title": labels.family(claim.family),
        "kind": claim.kind,
        "experiment": claim.experiment,
        "expect": claim.expect,
        "trap": claim.trap or (claim.naive.trap if claim.naive else ""),
        "not_tested": claim.not_tested or "",
        "verdict": verdict,
        "verdict_word": labels.VERDICTS.get(verdict, verdict),
        "overall": _row(overall, claim),
        "strata": _strata(strata, claim),
        "tally": _tally(strata),
        "datasets": _bases(strata, known),
        "in_margins": intervals.in_margins(overall, claim),
        "small": intervals.small(overall, claim),
        "forest": intervals.forest([*strata, *([overall] if len(strata) != 1 else [])], claim),
        "meaning": telling.meaning(verdict),
        "votes": telling.votes(strata) if len(strata) > 1 else [],
        "refuted_as": telling.how_refuted(strata) if verdict == "refuted" else [],
        "changed": telling.changed(claim, overall, strata),
        "effect": words.effect_name(claim) if claim.tested else "",
        "reading": words.reading(claim) if claim.tested else "",
        "equation": _text(overall, "equation"),
        "method": _text(overall, "method"),
        "registered": _text(overall, "registered"),
        "post_hoc": overall.get("post_hoc") in (True, "True"),
        "post_hoc_why": _text(overall, "post_hoc_why"),
        "naive": _naive(overall, strata, claim),
        "secondary": _secondary(overall, claim),
        "chosen": _chosen(claim, selected),
        "checks": [_check(row) for row in checks] if claim.kind == "identity" else [],
        "definition": _definition(claim),
        "alt": _alt(claim, overall),
    }


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if words.missing(value) else str(value)


def _row(row: Row, claim: Claim) -> dict[str, Any]:
    return {
        "dataset": row.get("dataset", "all"),
        "verdict": str(row["verdict"]),
        "estimate": words.estimate(row, claim),
        "margin": words.effect_value(row.get("margin"), claim).removeprefix("+"),
        "n": words.count(row.get("n")) if row.get("n") else "–",
        "p": words.p_value(row.get("p_holm")),
        "mde": words.effect_value(row.get("mde"), claim).removeprefix("+"),
        "diverged": row.get("n_diverged", 0),
        "reason": _text(row, "reason"),
    }


def _strata(rows: Sequence[Row], claim: Claim) -> list[dict[str, Any]]:
    """Rows of the strata, with names that leave out what all of them share, and what would have decided each otherwise."""
    short = labels.strata([str(row["dataset"]) for row in rows], claim.by)
    return [
        _row(row, claim) | {"name": short[str(row["dataset"])], "full": labels.dataset(row["dataset"]),
                            "decided_by": telling.decided_by(claim, row)}
        for row in rows
    ]


def _bases(rows: Sequence[Row], known: set[str]) -> list[str]:
    """Base names of the data sets among the strata, each once; a stratum that is no data set has none."""
    names = (part.partition(":")[0].strip() for row in rows for part in str(row["dataset"]).split(" / "))
    return list(dict.fromkeys(name for name in names if name in known))


def _known(table: DataFrame | None) -> set[str]:
    return set(labels.DATASETS) - {"all"} if table is None or table.empty else set(table["dataset"].astype(str))


def _tally(strata: Sequence[Row]) -> list[tuple[str, int]]:
    counted = Counter(str(row["verdict"]) for row in strata)
    return [(word, counted[word]) for word in ORDER if counted[word]]


def _naive(overall: Row, strata: Sequence[Row], claim: Claim) -> dict[str, Any] | None:
    """The wrong way beside the right one: overall, and each stratum whose verdict it changes."""
    verdict = _text(overall, "naive_verdict")
    if claim.naive is None or not verdict:
        return None
    pairs = [
        {
            "dataset": row["dataset"],
            "right": words.effect_value(row.get("estimate"), claim),
            "right_verdict": str(row["verdict"]),
            "wrong": words.effect_value(row.get("naive_estimate"), claim),
            "wrong_verdict": _text(row, "naive_verdict"),
        }
        for row in [overall, *strata]
    ]
    changed = [pair for pair in pairs[1:] if pair["right_verdict"] != pair["wrong_verdict"]]
    return {"trap": claim.naive.trap, "all": pairs[0], "changed": changed, "strata": len(strata)}


def _secondary(overall: Row, claim: Claim) -> dict[str, str] | None:
    """The analysis that leaves diverged runs out, where it differs from the primary one."""
    verdict = _text(overall, "verdict_secondary")
    value = overall.get("estimate_secondary")
    lost = overall.get("n_imputed") or overall.get("n_diverged") or 0
    if not verdict or words.missing(lost) or not lost:
        return None
    return {
        "verdict": labels.VERDICTS.get(verdict, verdict),
        "estimate": words.effect_value(value, claim),
        "diverged": words.count(lost),
    }


def _chosen(claim: Claim, selected: DataFrame | None) -> list[dict[str, Any]]:
    """Median and range of λ and η that validation chose, by stratum, side of an interaction, and arm."""
    if selected is None or "lambda" not in selected:
        return []
    sides = ["condition"] if claim.conditions and "condition" in selected else []
    names: dict[str, str] = {name: arm.label or name for name, arm in claim.arms.items()}
    conditions = {str(name): text for name, text in claim.conditions.items()}
    found = []
    for key, rows in selected.groupby(["dataset", *sides, "arm"], sort=True, dropna=False):
        side = words.condition(conditions.get(str(key[1]), str(key[1]))) if sides else ""
        found.append(
            {
                "dataset": key[0],
                "arm": ", ".join(part for part in (names.get(str(key[-1]), str(key[-1])), side) if part),
                "lambda": _spread(rows["lambda"]),
                "lambda_rel": _spread(rows["lambda_rel"]) if "lambda_rel" in rows else "–",
                "lr": _spread(rows["lr"]) if "lr" in rows else "–",
                "edge": f"{100 * rows['edge'].notna().mean():.0f} %"
                if "edge" in rows and rows["edge"].notna().any()
                else "",
            }
        )
    return found


def _spread(column: Series) -> str:
    """`median (least to largest)`, or one number where all are equal."""
    values = column.dropna().astype(float)
    if values.empty:
        return "–"
    if values.nunique() == 1:
        return words.number(values.iloc[0])
    return f"{words.number(values.median())} ({words.number(values.min())} to {words.number(values.max())})"


def _check(row: Row) -> dict[str, Any]:
    tried = not words.missing(row["holds"])
    return {
        "check": str(row["check"]).replace("_", " "),
        "case": _text(row, "case"),
        "kind": row["kind"],
        "inputs": words.count(row["inputs"]),
        "error": words.number(row["max_error"]),
        "relation": {"<=": "≤", ">=": "≥"}.get(row["relation"], row["relation"]),
        "tolerance": words.number(row["tolerance"]),
        "unit": _text(row, "unit"),
        "verdict": ("holds" if bool(row["holds"]) else "fails") if tried else "not_tested",
        "note": _text(row, "note"),
    }


def _definition(claim: Claim) -> str:
    """What the registered hash covers, as YAML; fields that are empty are left out."""
    fields = {name: value for name, value in claim.judged().items() if value not in (None, "", [], {}, ())}
    return str(yaml.safe_dump(fields, allow_unicode=True, sort_keys=True, width=100))


def _alt(claim: Claim, overall: Row) -> str:
    numbers = words.estimate(overall, claim) if claim.tested else ""
    verdict = labels.VERDICTS.get(str(overall["verdict"]), str(overall["verdict"]))
    return f"Figure of claim {claim.id}: {verdict}{', ' + numbers if numbers else ''}. Its numbers are in the table below."


def datasets(cards: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(base name, what a reader calls it) of every data set on which a claim was judged, by name."""
    names = {name for card in cards for name in card["datasets"]}
    return sorted(((name, labels.dataset(name)) for name in names), key=lambda one: one[1].lower())


def families(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Families in order of their first claim, with their cards and counts."""
    found: dict[str, list[dict[str, Any]]] = {}
    for card in cards:
        found.setdefault(card["family"], []).append(card)
    return [
        {"name": name, "title": labels.family(name), "cards": held, "counts": counts(held)}
        for name, held in found.items()
    ]


def counts(cards: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """(verdict, number of claims) in a fixed order, those that occur; a verdict unknown here comes last."""
    counted = Counter(card["verdict"] for card in cards)
    return [(word, counted[word]) for word in (*ORDER, *sorted(set(counted) - set(ORDER))) if counted[word]]
