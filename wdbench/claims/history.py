"""When each claim was registered, from the commits of the ledger: a date that nobody can set afterwards without it showing."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pandas import DataFrame

from wdbench.claims import registration
from wdbench.config.claims import Claim

COLUMNS = ("claim_id", "registered", "registered_on", "commit", "committed", "state", "post_hoc_why")


def table(claims: Iterable[Claim], ledger: Path) -> DataFrame:
    """One row a claim: its hash as it is judged now; the day that the ledger names; the first commit whose ledger has the claim so (under
    these rules, or earlier ones: docs/verdicts.md), and its date (empty where there is none, or no git); state: registered, or post hoc,
    and why.
    """
    entries, first = registration.load(ledger), commits(ledger)
    rows = []
    for claim in claims:
        digest = claim.digest()
        entry = entries.get(claim.id)
        known = entry if entry is not None and entry["hash"] == digest else None
        doubt, why = registration.post_hoc(claim, entries)
        hashes = [digest, *(registration.earlier_rules(known) if known else ())]
        seen = [first[claim.id, one] for one in hashes if (claim.id, one) in first]
        rows.append((claim.id, digest, known["registered_on"] if known else "", *(seen[-1] if seen else ("", "")),
                     "post hoc" if doubt else "registered", why))
    return DataFrame(rows, columns=list(COLUMNS))


def commits(ledger: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """(claim id, hash) -> (short name, ISO date) of the first commit in which the ledger has it; empty without git.

    A claim that was changed and changed back has the commit of the first time. Versions of the ledger that cannot be read are passed over.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for line in _git(ledger, "log", "--reverse", "--format=%h %cs", "--", ledger.name).splitlines():
        commit, _, date = line.partition(" ")
        try:
            entries = json.loads(_git(ledger, "show", f"{commit}:./{ledger.name}"))
            hashes = [(name, entry["hash"]) for name, entry in entries.items()]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        for key in hashes:
            found.setdefault(key, (commit, date))
    return found


def _git(ledger: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ledger.resolve().parent, capture_output=True, encoding="utf-8", errors="replace",
                              check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
