"""What the report says of verdicts that were judged again: one row a claim, and how many stand in all."""

from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

VARIANTS = {
    "fresh": "other replicates", "half": "each half of the replicates", "without": "without one data set", "margin": "margin × ½ and × 2",
    "metric": "error for loss", "iterate": "other iterate",
}
WORDS = ("yes", "undecided", "decided", "partly", "depends", "contradicted")


def replication(tables: Mapping[str, DataFrame]) -> dict[str, Any] | None:
    """Shares by variant, and a row a claim; None where there is no replication.csv."""
    table = tables.get("replication")
    if table is None or table.empty:
        return None
    present = [name for name in VARIANTS if (table["variant"] == name).any()]
    return {
        "variants": [VARIANTS[name] for name in present],
        "totals": [_total(name, table[table["variant"] == name]) for name in present],
        "fresh": "fresh" in present,
        "rows": [
            {"claim_id": str(claim_id), "verdict": str(rows["main_verdict"].iloc[0]), "cells": [_cell(rows[rows["variant"] == name])
                                                                                               for name in present]}
            for claim_id, rows in table.groupby("claim_id", sort=False)
        ],
    }


def _total(name: str, rows: DataFrame) -> dict[str, Any]:
    """How often verdicts stand, over all and over those that were decided (not inconclusive) in the main run."""
    count = rows["stands"].value_counts()
    decided = rows[rows["main_verdict"] != "inconclusive"]
    same = decided["same_sign"].isin(("yes", "no"))
    return {
        "variant": VARIANTS[name], "n": len(rows), "decided": len(decided),
        "kept": _of(int((decided["stands"] == "yes").sum()), len(decided)),
        "sign": _of(int((decided["same_sign"] == "yes").sum()), int(same.sum())),
        **{word: int(count.get(word, 0)) for word in WORDS},
    }


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "–"


def _cell(rows: DataFrame) -> dict[str, str]:
    """`stands`, or what else came out and where."""
    if rows.empty:
        return {"text": "", "worst": ""}
    other = rows[rows["stands"] != "yes"]
    if other.empty:
        return {"text": "stands" if len(rows) == 1 else f"stands ({len(rows)} of {len(rows)})", "worst": "yes"}
    worst = next(word for word in ("contradicted", "depends", "partly", "undecided", "decided") if (other["stands"] == word).any())
    if len(rows) == 1:
        return {"text": str(rows["verdict"].iloc[0]).replace("_", " "), "worst": worst}
    named = "; ".join(f"{row.detail}: {str(row.verdict).replace('_', ' ')}" for row in other.itertuples())
    return {"text": f"{len(rows) - len(other)} of {len(rows)}; {named}", "worst": worst}
