"""Which claims of a run are those that mechanisms.yaml, advice.yaml and controls.yaml speak of.

They name claims of the catalogue that wdbench comes with. Another catalogue may use the same id for something else, so that a claim is
told by its content: id, sentence, and what decides what the sign of its effect says. Margin, level, studies and filters may differ.
"""

from collections.abc import Container, Iterable, Sequence

from wdbench import project
from wdbench.conclusions.schema import Source
from wdbench.config import claims as schema
from wdbench.config import yamlio
from wdbench.config.claims import Claim

ABSENT = ": not among the claims of this run"
SAME = ("sentence", "kind", "direction", "metric", "effect")


def meant(named: Iterable[str], claims: Sequence[Claim], catalogue: str = "claims.yaml") -> frozenset[str]:
    """Ids among `named` whose claim in `claims` is that of the catalogue; catalogue: its name at the top of the repository."""
    here = {claim.id: claim for claim in claims}
    shared = frozenset(named) & set(here)
    if not shared:
        return shared
    path = project.file(catalogue)
    known = {claim.id: claim for claim in schema.from_mapping(yamlio.read(path), str(path))}
    return frozenset(name for name in shared if name in known and _alike(here[name], known[name]))


def missing(sources: Iterable[Source], known: Container[str]) -> str:
    """Which claims of the sources are not in `known`, in words; empty where none is."""
    ids = dict.fromkeys(source.claim for source in sources if source.claim not in known)
    return f"{', '.join(ids)}{ABSENT}" if ids else ""


def _alike(one: Claim, other: Claim) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in SAME)
