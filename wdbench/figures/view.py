"""What figures, report and terminal read of a claim: one frozen record, made from a configured claim or from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ClaimView:
    """Texts and settings of one claim.

    `arms`: arm name -> row filter of runs.parquet; `figure`: name of a kind of figure (None: the default of `kind`) and its options;
    `not_tested`: the reason why it is not tested, empty for one that is; `trap`, `naive`: what a careless analysis does, and its own claim
    entry where it was run beside the right one.
    """

    id: str
    sentence: str
    source: str = ""
    family: str = ""
    kind: str = ""
    arms: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    effect: str | None = None
    margin: Any = None
    direction: str | None = None
    figure: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    hypothesis: str = ""
    experiment: str = ""
    expect: str = ""
    trap: str = ""
    naive: Any = None
    not_tested: str = ""
    registered: str = ""
    changed: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


_TEXTS = ("sentence", "source", "family", "kind", "hypothesis", "experiment", "expect", "trap", "not_tested", "registered", "changed")


def _plain(value):
    """A pydantic model as a mapping; anything else as it is."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def of(claim) -> ClaimView:
    """`claim` (ClaimView, mapping, pydantic model or dataclass with these names) as a ClaimView."""
    if isinstance(claim, ClaimView):
        return claim
    content = _plain(claim)
    content = dict(content) if isinstance(content, Mapping) else dict(vars(content))
    figure, options = content.pop("figure", None), dict(content.pop("options", None) or {})
    figure = _plain(figure)
    if isinstance(figure, Mapping):
        figure = dict(figure)
        name = figure.pop("kind", None) or figure.pop("name", None)
        options = {**options, **(figure.pop("options", None) or {}), **figure}
        figure = name
    known = {name: content.pop(name) for name in list(content) if name in ClaimView.__dataclass_fields__}
    for name in _TEXTS:
        if name in known:
            known[name] = "" if known[name] is None else str(known[name])
    arms = _plain(known.get("arms")) or {}
    if not isinstance(arms, Mapping):
        arms = {str(arm.get("name", position)): arm for position, arm in enumerate(map(_plain, arms))}
    known["arms"] = dict(arms)
    return ClaimView(**{**known, "figure": figure, "options": options, "extra": content})


def all_of(claims) -> list[ClaimView]:
    """Every claim of a list, of a mapping id -> claim, or of an object with `.claims`, in its order."""
    claims = getattr(claims, "claims", claims)
    if isinstance(claims, Mapping):
        return [of({"id": name, **_mapping(claim)}) if not hasattr(claim, "id") else of(claim) for name, claim in claims.items()]
    return [of(claim) for claim in claims]


def _mapping(claim) -> Mapping:
    content = _plain(claim)
    return content if isinstance(content, Mapping) else vars(content)
