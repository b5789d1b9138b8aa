"""Reads published.yaml, measures our side of each entry, and says whether the two agree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, model_validator

from wdbench import frames
from wdbench.config import yamlio
from wdbench.errors import UserError
from wdbench.published.measured import MEASURED, Evidence, Found

VALUES = Path(__file__).parent / "published.yaml"
COLUMNS = ("id", "source", "where", "quantity", "published", "ours", "ci_low", "ci_high", "rule", "agrees", "why")
MARKS = ("<!-- published: begin -->", "<!-- published: end -->")
_NEEDS = {"printed": "tolerance", "relative": "tolerance", "near": "tolerance", "overlap": "se", "draw": None, "direction": None}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where values were published; `read`: what of it was seen, where that is not the publication itself."""

    citation: str
    read: str = ""


class Entry(_Strict):
    """One published value. ours: name of a measurement (`measured.MEASURED`) and its arguments; why: the reason of a disagreement.

    rule: printed, |ours - published| <= tolerance; relative, the same of their ratio less 1; draw, published is one draw and lies in our
    central 95 %; overlap, published +- 2 se meets our interval; direction, our interval lies wholly above (higher) or below (lower) 0;
    near, our interval lies within published +- tolerance, and wholly outside is a disagreement. Else it is open.
    """

    id: str
    source: str
    where: str
    quantity: str
    published: float | Literal["lower", "higher"]
    rule: Literal["printed", "relative", "draw", "overlap", "direction", "near"]
    ours: dict[str, str | float | int | bool | None]
    tolerance: float | None = None
    se: float | None = None
    why: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.rule == "direction") != isinstance(self.published, str):
            raise ValueError(f"published {self.published!r} does not go with rule {self.rule}; valid: higher, lower for direction, "
                             f"else a number")
        given = {name for name in ("tolerance", "se") if getattr(self, name) is not None}
        if given != {_NEEDS[self.rule]} - {None}:
            raise ValueError(f"rule {self.rule} needs {_NEEDS[self.rule] or 'neither tolerance nor se'}")
        if self.ours.get("measure") not in MEASURED:
            raise ValueError(f"ours.measure {self.ours.get('measure')!r} is not known; valid: {', '.join(MEASURED)}")
        return self


class Published(_Strict):
    """The whole file."""

    sources: dict[str, Source]
    values: tuple[Entry, ...]


def load(path: str | Path = VALUES) -> Published:
    """The published values. Raises UserError for a file, field or value that is not as `Entry` says, or an unknown source."""
    found = yamlio.validate(Published, yamlio.read(path), path)
    seen = set()
    for entry in found.values:
        if entry.source not in found.sources:
            raise UserError(f"{path}: {entry.id}: source: value {entry.source!r}: unknown; valid: {', '.join(found.sources)}")
        if entry.id in seen:
            raise UserError(f"{path}: id: value {entry.id!r}: is given twice; valid: an id of its own")
        seen.add(entry.id)
    return found


def measure(entry: Entry, evidence: Evidence) -> Found:
    """Our number for an entry."""
    arguments = {name: value for name, value in entry.ours.items() if name != "measure"}
    return MEASURED[str(entry.ours["measure"])](evidence, **arguments)


def agreement(entry: Entry, found: Found) -> str:
    """yes, no or open, by the entry's rule."""
    value, low, high = found.value, found.low, found.high
    if isinstance(entry.published, str):
        side = "higher" if low > 0 else "lower" if high < 0 else None
        return "open" if side is None else "yes" if side == entry.published else "no"
    # `Entry` refuses a rule without the one of the two that it needs
    published, tolerance, se = entry.published, entry.tolerance or 0.0, entry.se or 0.0
    match entry.rule:
        case "printed":
            # the last digit itself is rounded in binary
            return "yes" if abs(value - published) <= tolerance * (1 + 1e-9) else "no"
        case "relative":
            return "yes" if abs(value / published - 1) <= tolerance else "no"
        case "draw":
            return "yes" if low <= published <= high else "no"
        case "overlap":
            return "yes" if low <= published + 2 * se and published - 2 * se <= high else "no"
        case _:  # near
            if published - tolerance <= low and high <= published + tolerance:
                return "yes"
            return "no" if high < published - tolerance or low > published + tolerance else "open"


def compare(evidence: Evidence, published: Published | None = None) -> pd.DataFrame:
    """published.csv: one row a published value, COLUMNS; `why` is empty where they agree."""
    rows = []
    for entry in (published or load()).values:
        found = measure(entry, evidence)
        agrees = agreement(entry, found)
        why = "" if agrees == "yes" else entry.why or ("the interval allows either" if agrees == "open" else "not known")
        rows.append((entry.id, entry.source, entry.where, entry.quantity, _text(entry), found.value, found.low, found.high, _rule(entry),
                     agrees, why))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _text(entry: Entry) -> str:
    """The published value as it was printed; with two standard errors where they decide."""
    text = entry.published if isinstance(entry.published, str) else f"{entry.published:.10g}"
    return f"{text} ± {2 * entry.se:.10g}" if entry.se is not None else text


def _rule(entry: Entry) -> str:
    return f"{entry.rule} {entry.tolerance:g}" if entry.tolerance is not None else entry.rule


def page(table: pd.DataFrame, published: Published, text: str) -> str:
    """docs/others.md: `text` with the part between MARKS made anew from published.csv. Raises UserError where a mark is missing."""
    begin, end = (text.find(mark) for mark in MARKS)
    if begin < 0 or end < begin:
        raise UserError(f"docs/others.md: lacks the lines {MARKS[0]} and {MARKS[1]} between which the tables go")
    count = table["agrees"].value_counts()
    parts = [f"{len(table)} published values: {count.get('yes', 0)} agree, {count.get('no', 0)} do not, {count.get('open', 0)} are open."]
    for name, source in published.sources.items():
        rows = table[table["source"] == name]
        if rows.empty:
            continue
        read = f" *Read: {source.read}*" if source.read else ""
        lines = [f"## {name}", "", f"{source.citation}{read}", "",
                 "| quantity | where | published | ours [95 %] | agrees | why not |", "|---|---|---|---|---|---|"]
        for row in frames.records(rows):
            agrees = row["agrees"] if row["agrees"] == "yes" else f"**{row['agrees']}**"
            why = "" if pd.isna(row["why"]) else row["why"]
            cells = (row["quantity"], row["where"], row["published"], _ours(row), f"{agrees} ({row['rule']})", why)
            lines.append("| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |")
        parts.append("\n".join(lines))
    return f"{text[:begin + len(MARKS[0])]}\n" + "\n\n".join(parts) + f"\n{text[end:]}"


def _ours(row: Mapping[str, Any]) -> str:
    value, low, high = row["ours"], row["ci_low"], row["ci_high"]
    return f"{value:.7g}" if np.isnan(low) else f"{value:.4g} [{low:.4g}, {high:.4g}]"
