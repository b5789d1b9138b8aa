"""The rows of a claim inside the page, small: one gzipped JSON a claim and table, column by column."""

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pandas import DataFrame, Series

from wdbench.config.claims import Claim

TABLES = ("verdicts", "effects", "selected")
_SAME = 0.9  # of a column's values equal to another's: only the others are written


def embedded(tables: Mapping[str, DataFrame], claims: Sequence[Claim]) -> str:
    """JSON {claim id: {table: base64 of gzip of `columnar`}}; claims and tables without rows are left out.

    Safe inside a <script> of type application/json: nothing in it is `<`.
    """
    found: dict[str, dict[str, str]] = {claim.id: {} for claim in claims}
    for name in TABLES:
        table = tables.get(name)
        if table is None or table.empty:
            continue
        for claim_id, rows in table.groupby("claim_id", sort=False):
            if claim_id in found:
                found[str(claim_id)][name] = packed(rows)
    return json.dumps({claim_id: held for claim_id, held in found.items() if held}, separators=(",", ":")).replace("<", "\\u003c")


def packed(rows: DataFrame) -> str:
    """base64 of gzip (no time in it, so that equal rows give equal bytes) of `columnar`."""
    text = json.dumps(columnar(rows), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)).decode("ascii")


def columnar(rows: DataFrame) -> dict[str, Any]:
    """{"n": rows, "names": [...], "columns": [...]}.

    A column is {"all": value}, {"of": [values], "at": [place in them a row]}, {"as": place of an equal column, "but": {row: value}},
    or a list of values. None is a missing value; a number that JSON has not is a text.
    """
    columns: list[list[Any]] = []
    written: list[Any] = []
    for name in rows:
        values = [_value(value) for value in rows[name].astype(object)]
        written.append(_column(values, columns, rows[name]))
        columns.append(values)
    return {"n": len(rows), "names": [str(name) for name in rows], "columns": written}


def _column(values: list[Any], before: Sequence[list[Any]], series: Series) -> Any:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return {"all": distinct[0]}
    for place, other in enumerate(before):
        if series.dtype.kind == "f" and sum(a == b for a, b in zip(values, other, strict=True)) >= _SAME * len(values):
            different = {str(row): a for row, (a, b) in enumerate(zip(values, other, strict=True)) if a != b}
            return {"as": place, "but": different}
    if len(distinct) <= len(values) / 2:
        places = {value: place for place, value in enumerate(distinct)}
        return {"of": distinct, "at": [places[value] for value in values]}
    return values


def _value(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value:  # noqa: PLR0124 (NaN and NA)
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return value if isinstance(value, int | float) else str(value)
