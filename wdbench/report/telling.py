"""A verdict in plain words, and what would have changed it: another margin, another effect, more replicates."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from wdbench.claims.vote import SHARE, UPHELD
from wdbench.config.claims import Claim
from wdbench.figures import labels, words

Row = Mapping[str, Any]

MEANING = {
    "supported": "The effect has the claimed sign, and is at least as large as the smallest effect that would matter.",
    "equivalent": "The two sides differ by less than the smallest difference that would matter, as the sentence says.",
    "conditional": "The sentence is right on some of the data sets and wrong on others.",
    "inconclusive": "These runs do not decide the sentence, neither for it nor against it.",
    "refuted": "What the sentence says is not what was measured.",
    "holds": "The statement is exact, and every check of it keeps to the bound that was fixed beforehand.",
    "fails": "The statement is exact, and at least one check of it breaks the bound that was fixed beforehand.",
    "not_tested": "Nothing was measured, so nothing is said for or against the sentence.",
}
_WORDS = {"supported": "upheld on", "equivalent": "upheld on", "refuted": "refuted on", "inconclusive": "undecided on",
          "not_tested": "not tested on"}
_REFUTED = {"opposite": "the effect is the opposite of what is claimed", "null": "no effect that would matter was there",
            "real but negligible": "the effect is there, but too small to matter"}
_BY_MARGIN = ("superiority", "slope", "interaction")


def meaning(verdict: str) -> str:
    """What a verdict word says, in one sentence; empty for a word that is not known."""
    return MEANING.get(verdict, "")


def votes(strata: Sequence[Row]) -> list[dict[str, Any]]:
    """How the strata went: `word`, verdict, and the names of those with it, upheld ones first."""
    short = labels.strata([str(row["dataset"]) for row in strata])
    found: dict[str, list[str]] = {}
    for row in strata:
        found.setdefault(str(row["verdict"]), []).append(short[str(row["dataset"])])
    return [{"verdict": word, "word": _WORDS[word], "names": found[word]} for word in _WORDS if word in found]


def how_refuted(strata: Sequence[Row]) -> list[str]:
    """Of the refuted strata, how many have an opposite, an absent, or a negligible effect."""
    counted = Counter(lead for row in strata if row["verdict"] == "refuted"
                      for lead in _REFUTED if str(row.get("reason")).startswith(lead))
    many = sum(row["verdict"] == "refuted" for row in strata)
    return [_REFUTED[lead] + (f" (on {counted[lead]} of {many})" if many > 1 else "") for lead in _REFUTED if counted[lead]]


def changed(claim: Claim, overall: Row, strata: Sequence[Row]) -> list[str]:
    """Sentences on what would have changed the overall verdict, by the votes of the strata and by the margin."""
    if not claim.tested or overall["verdict"] == "not_tested":
        return []
    told = strata or [overall]
    return [*_by_votes(str(overall["verdict"]), overall, claim, told), *_by_margin(str(overall["verdict"]), claim, told)]


def _by_votes(verdict: str, overall: Row, claim: Claim, strata: Sequence[Row]) -> list[str]:
    tested = [row for row in strata if row["verdict"] != "not_tested"]
    count, upheld = len(tested), sum(row["verdict"] in UPHELD for row in tested)
    refuted = sum(row["verdict"] == "refuted" for row in tested)
    if count < 2:
        return []
    need, half = math.ceil(SHARE * count - 1e-9), count // 2
    name = "equivalent" if claim.kind == "equivalence" else "supported"
    now = f"of {count} data sets {upheld} uphold it and {refuted} refute it"
    if verdict in UPHELD:
        return [f"Votes: {now}. One refuted data set would have made it conditional; with fewer than {need} upheld it would have been "
                "inconclusive."]
    if verdict == "refuted":
        return [f"Votes: {now}. One upheld data set would have made it conditional; with {half} or fewer refuted it would have been "
                "inconclusive."]
    if verdict == "conditional":
        without = name if upheld >= SHARE * (count - refuted) - 1e-9 else "inconclusive"
        other = "refuted" if refuted > (count - upheld) / 2 else "inconclusive"
        return [f"Votes: {now}. Without the {_many(refuted, 'refuted one')} it would be {without}, without the "
                f"{_many(upheld, 'upheld one')} {other}."]
    if upheld >= need and not refuted:
        return [f"Votes: {now}, which is enough, but p after Holm’s correction is {words.p_value(overall.get('p_holm'))}, and should be "
                f"below {words.short(claim.alpha)}."]
    return [f"Votes: {now}. It would be {name} with at least {need} upheld and none refuted, "
            f"refuted with more than {half} refuted and none upheld."]


def _many(count: int, noun: str) -> str:
    return noun if count == 1 else f"{count} {noun}s"


def _plain(claim: Claim) -> bool:
    """Whether one interval and one margin decide each stratum."""
    return isinstance(claim.margin, int | float) and len(claim.metric) == 1 and claim.kind in (*_BY_MARGIN, "equivalence")


def _by_margin(verdict: str, claim: Claim, strata: Sequence[Row]) -> list[str]:
    limit = margin_limit(verdict, claim, strata)
    if limit is None:
        return []
    here, there = _size(float(claim.margin), claim), _size(limit, claim)  # type: ignore[arg-type]
    if verdict == "supported":
        return [f"Margin: by the intervals, the verdict stands for any margin up to {there} (registered: {here})."]
    if verdict == "refuted" and limit <= 0:
        return [f"Margin: no other margin would have changed it, not even 0 (registered: {here})."]
    return [f"Margin: by the intervals, the verdict stands for any margin from {there} on (registered: {here})."]


def margin_limit(verdict: str, claim: Claim, strata: Sequence[Row]) -> float | None:
    """The largest margin (supported) or the least (refuted, equivalent) for which the votes stay what they are; None where one
    interval and one margin do not decide, or intervals are missing.

    By the rules of `wdbench.claims.superiority`, `equivalence` and `vote`, for the intervals as published; p after Holm is not looked at.
    """
    tested = [row for row in strata if row["verdict"] != "not_tested"]
    bounds = ("ci_tost_low", "ci_tost_high") if verdict == "equivalent" else ("ci_low", "ci_high")
    if not _plain(claim) or not tested or any(words.missing(row.get(name)) for row in tested for name in (*bounds, "estimate")):
        return None
    need, most = math.ceil(SHARE * len(tested) - 1e-9), len(tested) // 2 + 1
    if verdict == "supported" and claim.kind in _BY_MARGIN:
        above = sorted((float(row["estimate"]) for row in tested if row["verdict"] == "supported"), reverse=True)
        return min(above[need - 1], *(float(row["ci_high"]) for row in tested)) if len(above) >= need else None
    if verdict == "equivalent":
        widths = sorted(max(abs(float(row[name])) for name in bounds) for row in tested if row["verdict"] == "equivalent")
        return widths[need - 1] if len(widths) >= need else None
    if verdict == "refuted" and claim.kind in _BY_MARGIN:
        highs = sorted(float(row["ci_high"]) for row in tested if row["verdict"] == "refuted")
        upheld = [float(row["estimate"]) for row in tested if float(row["ci_low"]) > 0]
        return max(highs[most - 1], *upheld, -math.inf) if len(highs) >= most else None
    return None


def decided_by(claim: Claim, row: Row) -> str:
    """What would have changed, or would decide, the verdict of one stratum; empty where that is no matter of margin or noise.

    The half width of an interval is taken to shrink as 1/√n, the estimate to stay where it is.
    """
    if str(row.get("reason")).startswith("grid"):
        return "a wider grid, not more blocks"
    if not _plain(claim) or any(words.missing(row.get(name)) for name in ("estimate", "ci_low", "ci_high")):
        return ""
    margin, value = float(claim.margin), float(row["estimate"])  # type: ignore[arg-type]
    low, high = float(row["ci_low"]), float(row["ci_high"])
    if row["verdict"] == "inconclusive":
        return _blocks(claim, row, value, margin)
    if row["verdict"] == "supported":
        return f"δ above {_size(value, claim)}"
    if row["verdict"] == "equivalent":
        ends = [abs(float(row[name])) for name in ("ci_tost_low", "ci_tost_high") if not words.missing(row.get(name))]
        return f"δ below {_size(max(ends), claim)}" if ends else ""
    if row["verdict"] != "refuted":
        return ""
    limit = max(low, -high) if claim.kind == "equivalence" else high
    if claim.kind == "equivalence":
        return f"δ above {_size(limit, claim)}"
    return f"δ below {_size(limit, claim)}" if limit > 0 else ""


def _blocks(claim: Claim, row: Row, value: float, margin: float) -> str:
    count = int(row.get("n") or 0)
    if claim.kind == "equivalence":
        inside = abs(value) < margin
        half = _half(row, "ci_tost_low", "ci_tost_high") if inside else _half(row, "ci_low", "ci_high")
        room, word = abs(margin - abs(value)), "equivalent" if inside else "refuted"
    else:
        half = _half(row, "ci_low", "ci_high")
        room, word = (value, "supported") if value >= margin and value > 0 else (margin - value, "refuted")
    if not count or not room or not math.isfinite(half):
        return ""
    needed = math.ceil(count * (half / room) ** 2)
    if needed <= count:
        return ""
    if needed > 100 * count:
        return f"more than {words.count(100 * count)} blocks, if the effect stays"
    return f"about {words.count(needed)} blocks ({word}, if the effect stays)"


def _half(row: Row, low: str, high: str) -> float:
    return math.inf if words.missing(row.get(low)) or words.missing(row.get(high)) else (float(row[high]) - float(row[low])) / 2


def _size(value: float, claim: Claim) -> str:
    return words.effect_value(value, claim).removeprefix("+").replace(" %", "\u00a0%")
