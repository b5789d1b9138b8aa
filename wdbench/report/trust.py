"""What the report says of the verdicts themselves: how often the judge is right where the truth is known, and of the run's controls."""

from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from wdbench import frames, stats
from wdbench.config.claimparts import RULES
from wdbench.figures import words

Row = Mapping[str, Any]

SPREADS = {
    "normal": "normal", "measured": "normal, as wide as in a core run", "heavy": "heavy tails", "skew": "skew", "ties": "ties",
    "diverged": "one run in ten diverged", "correlated": "one data set under three names", "edge": "best λ at the end of its grid",
    "family": "six false claims at once",
}
POWER_BLOCKS = 10


def calibration(tables: Mapping[str, DataFrame]) -> dict[str, Any] | None:
    """Summary by kind of test, every setting, and what missed its goal; None where there is no calibration.csv.

    A false claim: `equivalence` from the margin on, all other kinds without effect. `seen` is a share with its 95 % interval.
    """
    table = tables.get("calibration")
    if table is None or table.empty:
        return None
    return {
        "worlds": words.count(int(table["worlds"].sum())),
        "each": words.count(int(table["worlds"].max())),
        "stale": sorted(set(table["rules"].astype(int)) - {RULES}),
        "rules": RULES,
        "kinds": [_kind(str(kind), rows) for kind, rows in table.groupby("kind", sort=False)],
        "missed": [_setting(row) for row in frames.records(table[table["meets_goal"] == "no"])],
        "narrow": [_setting(row) for row in frames.records(table[table["covers"] == "less"])],
        "settings": [_setting(row) for row in frames.records(table)],
    }


def controls(tables: Mapping[str, DataFrame]) -> list[dict[str, Any]]:
    """Rows of controls.csv as texts."""
    table = tables.get("controls")
    if table is None or table.empty:
        return []
    return [
        {name: "" if words.missing(row[name]) else str(row[name])
         for name in ("what", "kind", "claim_id", "part", "expected", "found", "outcome")}
        | {"estimate": words.number(row["estimate"]), "marks": [] if words.missing(row["marks"]) else str(row["marks"]).split("; ")}
        for row in frames.records(table)
    ]


def _kind(kind: str, rows: DataFrame) -> dict[str, Any]:
    alone = rows[rows["spread"] != "family"]
    false = alone[alone["goal"] == "at most 0.05"]
    worst = max(frames.records(false), key=lambda row: float(row["upheld"]), default=None)
    family = rows[rows["spread"] == "family"]
    normal = rows[rows["spread"] == "normal"]
    clear = normal[normal["goal"] == "at least 0.8"]
    usual = clear[clear["replicates"] == POWER_BLOCKS]
    as_run = rows[(rows["spread"] == "measured") & (rows["goal"] == "at least 0.8")]
    covered = normal.dropna(subset=["coverage"])
    return {
        "kind": kind,
        "false": _pooled(false, "upheld"),
        "worst": "–" if worst is None else _share(worst, "upheld") if worst["upheld"] > 0 else "0 in every setting",
        "worst_where": "" if worst is None or worst["upheld"] == 0 else _where(worst),
        "family": "–" if family.empty else _share(frames.first(family), "upheld"),
        "power": "–" if usual.empty else _share(frames.first(usual), "upheld"),
        "power_run": "–" if as_run.empty else _share(frames.first(as_run), "upheld"),
        "coverage": _pooled(covered, "coverage"),
    }


def _pooled(rows: DataFrame, name: str) -> str:
    """A share over all worlds of some settings (an interval that could not be had is too rare to count)."""
    if rows.empty:
        return "–"
    n = int(rows["worlds"].sum())
    count = round(float((rows[name] * rows["worlds"]).sum()))
    low, high = stats.clopper_pearson(count, n, 0.05)
    return _share({"all": count / n, "all_low": low, "all_high": high}, "all")


def _setting(row: Row) -> dict[str, Any]:
    return {
        "kind": row["kind"], "where": _where(row), "truth": words.number(row["truth"]), "replicates": int(row["replicates"]),
        "upheld": _share(row, "upheld"), "goal": "" if words.missing(row["goal"]) else str(row["goal"]),
        "missed": row["meets_goal"] == "no", "coverage": "–" if words.missing(row["coverage"]) else _share(row, "coverage"),
        "covers": "" if words.missing(row["covers"]) else str(row["covers"]),
    }


def _where(row: Row) -> str:
    return SPREADS.get(str(row["spread"]), str(row["spread"]))


def _share(row: Row, name: str) -> str:
    return f"{_percent(row[name])} [{_percent(row[name + '_low'])}, {_percent(row[name + '_high'])}]"


def _percent(share: float) -> str:
    return f"{100 * float(share):.1f} %"
