"""What a verdict says of the sign of an effect.

The effect is the claim's estimate: turned so that positive agrees with the claim, and for an equivalence the plain one, treatment
less control. With δ the claim's margin, an effect is `positive` (at least δ), `zero` (between −δ and δ) or `negative` (at most −δ).
A verdict leaves one or two of them; one that leaves all three decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wdbench.claims.part import Part

SIGNS = ("positive", "zero", "negative")
WORDS = {
    "positive": frozenset({"positive"}),
    "zero": frozenset({"zero"}),
    "negative": frozenset({"negative"}),
    "not positive": frozenset({"zero", "negative"}),
    "not negative": frozenset({"positive", "zero"}),
    "not zero": frozenset({"positive", "negative"}),
}
"""Every set of signs that says something, by name; in this order a narrower one comes first."""


@dataclass(frozen=True)
class Outcome:
    """state: measured, mixed (upheld here and refuted there), inconclusive, or not measured; signs: what is left, if measured."""

    state: str
    signs: frozenset[str] = frozenset(SIGNS)

    @property
    def word(self) -> str:
        """Name in WORDS, or the state where no sign is ruled out."""
        return next((word for word, signs in WORDS.items() if signs == self.signs), self.state)


def of(part: Part, kind: str) -> Outcome:
    """Outcome of a claim of that kind. A refuted one has the signs that its refuted strata leave, all of them together."""
    if part.verdict == "not_tested":
        return Outcome("not measured")
    if part.verdict in ("supported", "holds"):
        return Outcome("measured", WORDS["positive"])
    if part.verdict == "equivalent":
        return Outcome("measured", WORDS["zero"])
    if part.verdict == "fails":
        return Outcome("measured", WORDS["not positive"])
    if part.verdict == "refuted":
        signs = frozenset().union(*(refuted(row, kind) for row in part.rows if row["verdict"] == "refuted"))
        return Outcome("measured" if signs and signs != frozenset(SIGNS) else "mixed", signs or frozenset(SIGNS))
    return Outcome("mixed" if part.verdict == "conditional" else "inconclusive")


def refuted(row: Mapping[Any, Any], kind: str) -> frozenset[str]:
    """Signs that a refuted row leaves: an equivalence's effect is outside (−δ, δ) on one side, any other below δ."""
    low, high, margin = row["ci_low"], row["ci_high"], row["margin"]
    if kind == "equivalence":
        return WORDS["positive"] if row["estimate"] > 0 else WORDS["negative"]
    if pd.isna(low) or pd.isna(high):
        return WORDS["not positive"]
    signs = {"zero"} if high > -margin else set()
    return frozenset(signs | ({"negative"} if low <= -margin else set()))
