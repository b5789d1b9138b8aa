"""What the report says besides the claims: the run, identities, grid, data sets, dictionary."""

import ast
from collections.abc import Mapping
from typing import Any

from pandas import DataFrame, Series

from wdbench import frames
from wdbench.claims.identity import shown_check
from wdbench.figures import labels, words

Row = Mapping[str, Any]

Tables = Mapping[str, DataFrame]


def _table(tables: Tables, name: str) -> DataFrame | None:
    found = tables.get(name)
    return None if found is None or found.empty else found


def run(manifest: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    """Provenance in words; a fact that the manifest does not hold is left out."""
    runs = _table(tables, "runs")
    status = dict(manifest.get("status") or ({} if runs is None else runs["status"].value_counts().to_dict()))
    platform = manifest.get("platform") or {}
    text = (
        ", ".join(f"{k} {v}" for k, v in platform.items()) if isinstance(platform, Mapping) else str(platform)
    )
    facts = [
        ("Profile", manifest.get("profile")),
        ("Cells", words.count(manifest.get("cells", sum(status.values()) or None))),
        ("Commit", _commit(manifest)),
        ("Date of the commit", manifest.get("commit_date")),
        ("Date of the run", manifest.get("created")),
        ("Platform", text),
        ("Training time, all cells", _duration(manifest.get("train_seconds"))),
    ]
    return {
        "facts": [(name, str(value)) for name, value in facts if value not in (None, "", "–")],
        "commit": str(manifest.get("commit") or "")[:12],
        "cells": words.count(manifest.get("cells", sum(status.values()) or None)),
        "status": [
            (name, words.count(status[name]))
            for name in ("ok", "diverged", "timeout", "error")
            if status.get(name)
        ],
        "diverged": words.count(status.get("diverged", 0)),
        "datasets": 0 if runs is None else int(runs["dataset_base"].nunique()),
        "profile": str(manifest.get("profile", "core")),
        "tables": _sums(manifest),
    }


def _sums(manifest: Row) -> list[tuple[str, str]]:
    return [
        (name, facts["sha256"] if isinstance(facts, Mapping) else str(facts))
        for name, facts in sorted((manifest.get("tables") or {}).items())
    ]


def _commit(manifest: Row) -> str | None:
    commit = manifest.get("commit")
    if not commit:
        return None
    return f"{str(commit)[:12]}{', with uncommitted changes' if manifest.get('dirty') else ''}"


def _duration(seconds: Any) -> str | None:
    if words.missing(seconds):
        return None
    minutes = float(seconds) / 60
    return f"{minutes:.1f} core-minutes" if minutes < 120 else f"{minutes / 60:.1f} core-hours"


def identities(tables: Tables) -> list[dict[str, Any]]:
    """One row an identity: checks tried and held, counter-examples seen, and the check that stands for them."""
    table = _table(tables, "identities")
    if table is None:
        return []
    table = table.assign(holds=table["holds"].astype("boolean"))
    found = []
    for name, rows in table.groupby("identity", sort=False):
        tried = rows[rows["holds"].notna()]
        statement, counter = tried[tried["kind"] == "statement"], tried[tried["kind"] == "counter"]
        failed = statement[~statement["holds"].astype(bool)]
        verdict = "not_tested" if statement.empty else "holds" if failed.empty else "fails"
        worst = statement.iloc[shown_check(statement)[0]] if len(statement) else None
        found.append(
            {
                "id": name,
                "verdict": verdict,
                "statement": f"{int(statement['holds'].sum())} of {len(statement)}",
                "counter": f"{int(counter['holds'].sum())} of {len(counter)}" if len(counter) else "–",
                "inputs": words.count(statement["inputs"].sum()),
                "worst": "" if worst is None else str(worst["check"]).replace("_", " "),
                "error": "–" if worst is None else words.number(worst["max_error"]),
                "relation": "" if worst is None else {"<=": "≤", ">=": "≥"}[worst["relation"]],
                "tolerance": "–" if worst is None else words.number(worst["tolerance"]),
                "unit": "" if worst is None else str(worst["unit"]),
            }
        )
    return found


def grid(tables: Tables) -> list[dict[str, Any]]:
    """One row a data set (base): cells by status, and how far trained cells end from the exact minimiser."""
    runs = _table(tables, "runs")
    if runs is None:
        return []
    found = []
    for name, rows in runs.groupby("dataset_base", sort=True):
        status = rows["status"].value_counts()
        trained = rows[rows["optimiser"].ne("exact")]
        gap = trained["oracle_gap"].dropna().astype(float)
        lost = trained["status"].eq("diverged")
        found.append(
            {
                "dataset": labels.dataset(str(name)),
                "cells": words.count(len(rows)),
                "exact": words.count(len(rows) - len(trained)),
                "ok": words.count(status.get("ok", 0)),
                "diverged": words.count(status.get("diverged", 0)),
                "share": "–" if trained.empty else f"{100 * lost.mean():.1f} %",
                "unfinished": words.count(status.get("timeout", 0) + status.get("error", 0)),
                "gap": _quantiles(gap),
            }
        )
    return found


def _quantiles(values: Series) -> str:
    """`median (10 % to 90 %)`, or a dash where there is nothing."""
    if values.empty:
        return "–"
    low, middle, high = (words.number(values.quantile(q)) for q in (0.1, 0.5, 0.9))
    return f"{middle} ({low} to {high})"


def datasets(tables: Tables) -> list[dict[str, Any]]:
    """Data sets with licence, citation, status, and the reference figure that their loader is held to."""
    table = _table(tables, "datasets")
    if table is None:
        return []
    checks = _table(tables, "data_checks")
    checked = {} if checks is None else {row["dataset"]: row for row in frames.records(checks)}
    return [_dataset(row, checked.get(row["dataset"])) for row in frames.records(table)]


def _dataset(row: Row, check: Row | None) -> dict[str, Any]:
    text = {name: "" if words.missing(row.get(name)) else str(row[name]) for name in row}
    made = text.get("provider") in ("synthetic", "generator")
    return {
        "name": labels.dataset(text["dataset"]),
        "task": text.get("task", ""),
        "shape": text.get("shape", "").replace(" x ", " × "),
        "licence": text.get("licence", "") or ("made by a generator" if made else "not stated"),
        "licence_url": text.get("licence_url", ""),
        "citation": text.get("citation", ""),
        "available": text.get("status") == "available",
        "how_to_get": text.get("how_to_get", ""),
        "check": "" if check is None else str(check["figure"]),
        "expected": "" if check is None else _figures(check["expected"]),
        "found": "" if check is None else _figures(check["found"]),
        "kind": "" if check is None else str(check["kind"]),
        "ok": check is not None and check["verdict"] == "ok",
    }


def _figures(text: object) -> str:
    """`(0.977, 3.0)` of a check as a reader writes it: `0.977, 3`; other texts as they are."""
    try:
        values = ast.literal_eval(str(text))
    except (SyntaxError, ValueError):
        return str(text)
    values = values if isinstance(values, tuple | list) else (values,)
    return ", ".join(words.plain(value) for value in values)


def dictionary(tables: Tables) -> list[dict[str, str]]:
    """Rows of the data dictionary as text, with the tables that hold a column of that meaning joined."""
    table = _table(tables, "dictionary")
    if table is None:
        return []
    rows: dict[tuple[str, ...], list[str]] = {}
    for row in table.astype(object).where(table.notna(), "").to_dict("records"):
        missing = row.get("na", row.get("na_meaning", ""))
        rows.setdefault((row["column"], row["unit"], row["meaning"], missing), []).append(str(row["table"]))
    return [
        {
            "column": key[0],
            "unit": key[1],
            "meaning": key[2],
            "na": key[3],
            "tables": ", ".join(dict.fromkeys(names)),
        }
        for key, names in rows.items()
    ]
