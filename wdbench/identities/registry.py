"""Checks of exact statements: what a check is, how its rows are judged, how rows become a verdict.

Rule: an identity holds where every check of its statement stays within its tolerance on every input; nothing here
is statistics. A check of kind `statement` tests the sentence in its precise form and decides the verdict. One of kind
`counter` shows a reading of the sentence that is false, or a trap on the way to it: it is reported, and never decides.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from wdbench import seeds

if TYPE_CHECKING:
    from pandas._libs.missing import NAType

KINDS = ("statement", "counter")
RELATIONS = ("<=", ">=")
COLUMNS = (
    "identity",
    "check",
    "case",
    "kind",
    "inputs",
    "max_error",
    "relation",
    "tolerance",
    "unit",
    "holds",
    "note",
)


@dataclass(frozen=True)
class Result:
    """One row of a check: how many inputs were tried and the largest error among them.

    For relation >= the number is the difference that had to be there. `inputs` 0 with error NaN: could not be tried,
    `note` says why.
    """

    inputs: int
    error: float
    case: str = ""
    note: str = ""


@dataclass(frozen=True)
class Check:
    """A registered check; `run()` yields its results. `unit` says what the error is measured in."""

    identity: str
    name: str
    kind: str
    relation: str
    tolerance: float
    unit: str
    run: Callable[[], Iterable[Result]]

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "identity": self.identity,
                "check": self.name,
                "case": result.case,
                "kind": self.kind,
                "inputs": result.inputs,
                "max_error": float(result.error),
                "relation": self.relation,
                "tolerance": self.tolerance,
                "unit": self.unit,
                "holds": self._holds(result),
                "note": result.note,
            }
            for result in self.run()
        ]

    def _holds(self, result: Result) -> "bool | NAType":
        if result.inputs == 0:
            return pd.NA
        # a NaN error compares false, so that it fails
        return bool(result.error <= self.tolerance if self.relation == "<=" else result.error >= self.tolerance)


Function = Callable[[], Result | Iterable[Result]]

CHECKS: dict[tuple[str, str], Check] = {}


def check(
    identity: str, name: str, *, tolerance: float, unit: str = "relative", relation: str = "<=", kind: str = "statement"
) -> Callable[[Function], Function]:
    """Register a generator of `Result`s, or a function that returns one.

    Raises ValueError for a name that is taken, an unknown kind or relation.
    """
    if (identity, name) in CHECKS:
        raise ValueError(f"check {name!r} of {identity} is registered already")
    if kind not in KINDS or relation not in RELATIONS:
        raise ValueError(
            f"check {name!r} of {identity}: kind {kind!r}, relation {relation!r}; valid: {KINDS}, {RELATIONS}"
        )

    def registered(function: Function) -> Function:
        def run() -> Iterable[Result]:
            found = function()
            return [found] if isinstance(found, Result) else list(found)

        CHECKS[identity, name] = Check(identity, name, kind, relation, tolerance, unit, run)
        return function

    return registered


def counter(identity: str, name: str, **options: Any) -> Callable[[Function], Function]:
    """`check` of kind counter; the relation is >= unless given, since most of these must differ."""
    return check(identity, name, kind="counter", **{"relation": ">=", **options})


def generator(identity: str, *counters: int) -> np.random.Generator:
    """The fixed random stream of an identity's inputs."""
    return seeds.generator(f"identity {identity}", 0, "sample", *counters)


def relative(found: ArrayLike, expected: ArrayLike) -> float:
    """Largest absolute difference over the largest absolute expected number (over 1 where all of these are 0)."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if found.shape != expected.shape:
        raise ValueError(f"shapes {found.shape} and {expected.shape} differ")
    return float(np.max(np.abs(found - expected))) / (float(np.max(np.abs(expected))) or 1.0)


def table(only: Iterable[str] | None = None) -> pd.DataFrame:
    """Run the checks of the identities `only` (all where None), in catalogue order.

    Columns COLUMNS; holds is a nullable boolean, NA where a check could not be tried. Raises ValueError for an unknown
    identity.
    """
    known = sorted({c.identity for c in CHECKS.values()}, key=number)
    wanted = known if only is None else list(only)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"unknown identity {unknown[0]!r}; one of {', '.join(known)}")
    rows = [row for name in known if name in wanted for c in CHECKS.values() if c.identity == name for row in c.rows()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"holds": "boolean"})


def number(identity: str) -> tuple[bool, int, str]:
    """Place in the catalogue: the theorems I1, I2, ... first, then mechanisms of empirical claims, such as P15m."""
    digits = "".join(c for c in identity if c.isdigit())
    return not identity.startswith("I"), int(digits or 0), identity


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """One row an identity of a table of `run_all`.

    Columns identity, verdict (holds | fails | not_tested), inputs (tried, over statement checks), worst (a statement
    row that fails, else the one nearest to its tolerance), max_error, tolerance, unit, relation (of that row),
    counter_cases, counter_missing (rows of counter checks, and those that did not show what they are there to show),
    reason.
    """
    found = []
    for identity, group in rows.groupby("identity", sort=False):
        tried = group[(group.kind == "statement") & group.holds.notna()]
        counters = group[(group.kind == "counter") & group.holds.notna()]
        failed = tried[~tried.holds.astype(bool)]
        missing = counters[~counters.holds.astype(bool)]
        verdict = "not_tested" if tried.empty else "holds" if failed.empty else "fails"
        worst = tried.iloc[int(np.argmax(tried.apply(_strain, axis=1)))] if len(tried) else None
        found.append(
            {
                "identity": identity,
                "verdict": verdict,
                "inputs": int(tried.inputs.sum()),
                "worst": "" if worst is None else _label(worst),
                **{
                    name: (math.nan if worst is None else worst[name])
                    for name in ("max_error", "tolerance", "unit", "relation")
                },
                "counter_cases": len(counters),
                "counter_missing": len(missing),
                "reason": _reason(group, tried, failed, missing),
            }
        )
    return pd.DataFrame(found)


def _strain(row: pd.Series) -> float:
    """How much of its tolerance a row uses: above 1 where it fails, also for tolerance 0 and for NaN."""
    if not bool(row.holds):
        return math.inf
    if row.relation == ">=":
        return row.tolerance / row.max_error if row.max_error else 0.0
    return row.max_error / row.tolerance if row.tolerance else 0.0


def _label(row: pd.Series) -> str:
    return f"{row.check} ({row.case})" if row.case else row.check


def _reason(group: pd.DataFrame, tried: pd.DataFrame, failed: pd.DataFrame, missing: pd.DataFrame) -> str:
    parts = []
    if len(failed):
        row = failed.iloc[0]
        parts.append(
            f"{_label(row)}: {row.max_error:.3g} is not {row.relation} {row.tolerance:.3g}"
            + (f" ({len(failed)} of {len(tried)} rows)" if len(tried) > 1 else "")
        )
    elif len(tried):
        parts.append(f"{len(tried)} rows within tolerance")
    if len(missing):
        parts.append(f"counter-case not seen: {_label(missing.iloc[0])}")
    if untried := int(group.holds.isna().sum()):
        parts.append(f"{untried} rows could not be tried")
    return "; ".join(parts)
