"""claims.lock.json: what was claimed, in which words and with which margin, before the rows were seen."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from wdbench import atomic
from wdbench.config.claims import Claim
from wdbench.errors import UserError

Ledger = dict[str, dict[str, Any]]
"""claim id -> {hash, registered_on, rows_at_registration, fields, history: [{hash, registered_on, replaced_on,
changed, fields}]}.
"""


@dataclass(frozen=True)
class Registered:
    """What `register` did: ids added, ids whose entry was replaced (with history), ids that differ from their entry
    and were left as they are, ids in the ledger that claims.yaml no longer has.
    """

    added: tuple[str, ...]
    updated: tuple[str, ...]
    differing: tuple[str, ...]
    withdrawn: tuple[str, ...]


def load(path: str | Path) -> Ledger:
    """The ledger; empty where there is no file. Raises UserError for one that is damaged."""
    path = Path(path)
    if not path.exists():
        return {}
    try:
        ledger = json.loads(path.read_text(encoding="utf-8"))
        for entry in ledger.values():
            if not isinstance(entry["hash"], str) or not isinstance(entry["fields"], dict):
                raise TypeError("an entry without hash or fields")
            entry["history"], entry["registered_on"]  # noqa: B018 (KeyError where missing)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(
            f"{path}: is not a ledger of claims ({error}); restore it with git checkout -- {path}"
        ) from None
    return ledger


def register(
    claims: Iterable[Claim],
    path: str | Path,
    date: str,
    rows_seen: Mapping[str, int] | None = None,
    update: bool = False,
) -> Registered:
    """Enter the claims that the ledger does not have yet, and write it.

    date: ISO day. rows_seen: claim id -> rows that already had an outcome (0 where absent): a claim entered after its
    rows stays post hoc. A claim that differs from its entry is left alone unless `update`; an updated entry keeps the
    former one in its history. Where the decision rules that all claims share have changed and nothing else, the entry
    takes the new hash, and what it says of its own time stays.
    """
    ledger, claims = load(path), tuple(claims)
    added, updated, differing = [], [], []
    for claim in claims:
        former = ledger.get(claim.id)
        if former is not None and former["hash"] == claim.digest():
            continue
        if former is not None and _only_rules(former["fields"], claim.judged()):
            ledger[claim.id] = _under_new_rules(former, claim, date)
            updated.append(claim.id)
            continue
        entry = {
            "hash": claim.digest(),
            "registered_on": date,
            "rows_at_registration": int((rows_seen or {}).get(claim.id, 0)),
            "fields": claim.judged(),
            "history": [],
        }
        if former is None:
            added.append(claim.id)
        elif not update:
            differing.append(claim.id)
            continue
        else:
            updated.append(claim.id)
            entry["history"] = [*former["history"], _kept(former, claim, date)]
        ledger[claim.id] = entry
    if added or updated:
        atomic.write_text(path, json.dumps(ledger, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    known = {claim.id for claim in claims}
    return Registered(tuple(added), tuple(updated), tuple(differing), tuple(sorted(set(ledger) - known)))


def _kept(former: dict[str, Any], claim: Claim, date: str) -> dict[str, Any]:
    kept = {key: former[key] for key in ("hash", "registered_on", "fields")}
    return {**kept, "replaced_on": date, "changed": changes(former["fields"], claim.judged())}


def _under_new_rules(former: dict[str, Any], claim: Claim, date: str) -> dict[str, Any]:
    return {**former, "hash": claim.digest(), "fields": claim.judged(), "history": [*former["history"], _kept(former, claim, date)]}


def _only_rules(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(old.get(key) == new.get(key) for key in set(old) | set(new) if key != "rules")


def earlier_rules(entry: Mapping[str, Any]) -> list[str]:
    """Hashes that the claim of an entry had, just as it is, under earlier versions of the rules; the latest first."""
    hashes = []
    for former in reversed(entry["history"]):
        if not _only_rules(former["fields"], entry["fields"]):
            break
        hashes.append(former["hash"])
    return hashes


def post_hoc(claim: Claim, ledger: Ledger) -> tuple[bool, str]:
    """Whether the claim, as it is judged now, was not fixed before its rows were seen; and why.

    A change of the rules that all claims share is no change of the claim; docs/verdicts.md tells each, with what it did to verdicts.
    """
    entry = ledger.get(claim.id)
    if entry is None:
        return True, "not registered"
    reasons = []
    if entry["hash"] != claim.digest():
        reasons.append(f"changed since {entry['registered_on']}: {changes(entry['fields'], claim.judged())}")
    # a claim that used to say not_tested had no threshold that its rows could have moved
    reasons += [f"changed on {old['replaced_on']}: {old['changed']}" for old, new in pairwise([*entry["history"], entry])
                if not old["fields"].get("not_tested") and not _only_rules(old["fields"], new["fields"])]
    if entry.get("rows_at_registration", 0):
        reasons.append(f"registered on {entry['registered_on']}, after {entry['rows_at_registration']} of its rows")
    return bool(reasons), "; ".join(reasons)


def changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> str:
    """The fields that differ, each as `field: old -> new`, nested ones by their dotted path."""
    found = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found.append(changes(before, after, f"{prefix}{key}."))
        else:
            found.append(
                f"{prefix}{key}: {json.dumps(before, ensure_ascii=False)} -> {json.dumps(after, ensure_ascii=False)}"
            )
    return ", ".join(found)
