"""Claims that name what the plan does not have: filters that no planned cell satisfies."""

from collections.abc import Collection, Iterator, Sequence

import pandas as pd

from wdbench.claims.gate import known
from wdbench.claims.selection import in_studies
from wdbench.config.claims import Claim
from wdbench.errors import UserError


def check(claims: Sequence[Claim], expected: pd.DataFrame, elsewhere: Collection[str] = (), path: str = "claims.yaml") -> None:
    """Every filter of a tested claim, and of its naive way, must hold for some planned cell.

    expected: the plan with the columns of the runs table that it can know (judging.expected_rows); a filter on an outcome is passed
    over, and so is a claim with a study in `elsewhere`, whose cells another profile plans. Raises UserError naming file, claim, field.
    """
    for claim in claims:
        if not claim.tested:
            continue
        for variant, one in (("", claim), ("naive.", claim.naive_claim())):
            if one is None or set(one.study) & set(elsewhere):
                continue
            for field, text in _empty(one, expected):
                raise UserError(f"{path}: claim {claim.id}.{variant}{field}: value {text!r}: no planned cell of study "
                                f"{', '.join(one.study)} fits; valid: a filter that some cell satisfies")


def _empty(claim: Claim, expected: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(field, filter) of those that hold for no cell; arms, conditions and cases are sought among the rows that `where` leaves."""
    rows = expected[in_studies(expected["study"], claim.study)]
    rows = rows[known(claim.where, rows)]
    if rows.empty:
        yield "where", claim.where
        return
    filters = {f"arms.{name}.where": arm.where for name, arm in claim.arms.items()}
    filters |= {f"conditions.{name}": text for name, text in claim.conditions.items()}
    filters |= {f"cases.{name}": text for name, text in claim.cases.items()}
    yield from ((field, text) for field, text in filters.items() if not known(text, rows).any())
