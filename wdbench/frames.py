"""Tables with named columns: what pandas types as "any label" are names here."""

from collections.abc import Iterator
from typing import Any

import pandas as pd


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One mapping a row, column name -> value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def groups(table: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """(value, its rows) for each text in `column`, in the order of their first rows; rows where it is missing are left out."""
    for name, rows in table.groupby(column, sort=False):
        yield str(name), rows


def first(table: pd.DataFrame) -> dict[str, Any]:
    """The first row of a table that has one."""
    return records(table.head(1))[0]
