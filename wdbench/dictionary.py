"""The data dictionary: what every column of every published table means."""

import tomllib
from functools import cache
from importlib import resources

import pandas as pd

from wdbench.claims import dictionary as claim_tables

TIMED = ("train_seconds",)
ITERATES = {
    "ema": "the running average of the weights at the end",
    "mid": "the weights at the last step before the learning rate drops (language models without a drop: half way)",
    "mid_ema": "the running average of the weights at the last step before the learning rate drops (or half way)",
}
_OF_ITERATES = ("train_loss", "val_loss", "test_loss", "train_error", "val_error", "test_error", "unseen_loss", "unseen_error")
CLAIM_TABLES = {file.removesuffix(".csv"): columns for file, columns in claim_tables.TABLES.items()}


@cache
def entries() -> dict[str, dict[str, str]]:
    """column -> {unit, meaning, na}; `table.column` where a name means something else in one table."""
    found = {}
    for column, known in tomllib.loads(resources.files(__package__).joinpath("dictionary.toml").read_text("utf-8")).items():
        found[column] = known
        if column in _OF_ITERATES:
            for name, what in ITERATES.items():
                found[f"{name}_{column}"] = known | {"meaning": f"{known['meaning']}; of {what}", "na": "diverged, or not kept"}
    return found


def entry(table: str, column: str) -> dict[str, str]:
    """Entry of a column. Raises KeyError for one that is not described: no column is published without its meaning."""
    if table in CLAIM_TABLES:
        dtype, unit, meaning, na = CLAIM_TABLES[table][column]
        return {"unit": unit, "meaning": meaning, "na": na}
    known = entries()
    return known[f"{table}.{column}"] if f"{table}.{column}" in known else known[column]


def ordered(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Columns in the dictionary's order; raises KeyError for a column that it does not have."""
    for column in frame:
        entry(table, str(column))
    order = list(entries())
    return frame[sorted(frame.columns, key=lambda c: order.index(c) if c in order else len(order))]


def describe(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """dictionary.csv: table, column, dtype, unit, meaning, na (what a missing value means)."""
    rows = []
    for name, frame in tables.items():
        for column in frame:
            known = entry(name, str(column))
            rows.append({"table": name, "column": column, "dtype": str(frame[column].dtype), "unit": known.get("unit", ""),
                         "meaning": known["meaning"], "na": known.get("na", "never missing")})
    return pd.DataFrame(rows)
