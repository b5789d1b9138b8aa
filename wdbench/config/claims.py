"""claims.yaml as frozen models: the language in which a claim is written down, told in docs/claims.md."""

import difflib
import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from wdbench import filters
from wdbench.config import yamlio
from wdbench.config.claimparts import (
    KINDS,
    RULES,
    Arm,
    Direction,
    Effect,
    Figure,
    Naive,
    NotNegative,
    Number,
    Select,
    Side,
    Statistic,
    Tolerance,
    Transform,
    check_arms,
    check_fields,
    formula,
)
from wdbench.config.study import Frozen
from wdbench.errors import UserError


class Claim(Frozen):
    """One claim; keys as in docs/claims.md."""

    id: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,30}$")
    sentence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    family: str = Field(min_length=1)
    kind: str
    study: tuple[str, ...] = ()
    where: str = ""
    by: tuple[str, ...] = ("dataset",)
    cases: dict[str, str] = {}
    block: tuple[str, ...] = ("dataset_base", "replicate")
    arms: dict[Side, Arm] = {}
    conditions: dict[Literal["claimed", "other"], str] = {}
    metric: tuple[str, ...] = ()
    effect: Effect = "difference"
    direction: Direction | None = None
    margin: NotNegative | dict[str, NotNegative] | None = None
    alpha: Annotated[float, Field(strict=True, gt=0, lt=0.5)] = 0.05
    x: str | None = None
    x_transform: Transform = "none"
    statistic: Statistic = "slope"
    threshold: Number | None = None
    event: str | None = None
    worse: Direction | None = None
    diverged: Literal["worst_rank", "exclude"] = "worst_rank"
    fidelity_gate: Annotated[bool, Field(strict=True)] = True
    tolerance: Tolerance | None = None
    identity: str | None = None
    not_tested: str | None = None
    naive: Naive | None = None
    title: str = ""
    experiment: str = ""
    expect: str = ""
    trap: str = ""
    figure: Figure | None = None

    @field_validator("study", "by", "block", "metric", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("cases", "conditions", mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        return {} if value is None else value

    @field_validator("figure", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("where", "event")
    @classmethod
    def _a_filter(cls, text: str | None) -> str | None:
        return text if text is None else formula(filters.parse, text)

    @field_validator("cases", "conditions")
    @classmethod
    def _filters(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            try:
                formula(filters.parse, text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return value

    @field_validator("metric")
    @classmethod
    def _expressions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            formula(filters.parse_expression, text)
        return value

    @field_validator("x")
    @classmethod
    def _expression(cls, text: str) -> str:
        return text if text is None else formula(filters.parse_expression, text)

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: object) -> object:
        if value not in KINDS:
            raise ValueError(f"unknown kind; valid: {', '.join(KINDS)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.not_tested is not None:
            if not self.not_tested.strip():
                raise ValueError("not_tested needs a reason")
            return self
        check_fields(self)
        check_arms(self)
        for name, arm in self.arms.items():
            if arm.select is None or arm.select.by.startswith("val_"):
                continue
            if arm.select.rule != "match" or arm.select.by != "train_loss":
                raise ValueError(
                    f"arms.{name}.select.by {arm.select.by!r} is no validation column; valid: val_loss, ..., and train_loss for rule match"
                )
        self._no_test_rows_chosen()
        if self.naive is not None:
            self.naive_claim()
        return self

    def _no_test_rows_chosen(self) -> None:
        """Which rows a claim is about must not depend on what test rows said of them. Raises ValueError."""
        chosen = {f"arms.{name}.where": filters.parse(arm.where).columns for name, arm in self.arms.items()}
        chosen |= {f"arms.{name}.select.over": arm.select.over for name, arm in self.arms.items() if arm.select is not None}
        chosen |= {f"cases.{name}": filters.parse(text).columns for name, text in self.cases.items()}
        chosen |= {f"conditions.{name}": filters.parse(text).columns for name, text in self.conditions.items()}
        for field, columns in {"where": filters.parse(self.where).columns, **chosen}.items():
            for column in columns:
                if "test_" in column:
                    raise ValueError(f"{field} reads {column!r}, which is measured on test rows; valid: what is known before them")

    @property
    def tested(self) -> bool:
        return self.not_tested is None and self.kind != "identity"

    def margin_of(self, metric: str) -> float:
        """Margin of one metric; 0 for a kind that has none."""
        if self.margin is None:
            return 0.0
        return float(self.margin[metric] if isinstance(self.margin, dict) else self.margin)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """field -> columns that it reads."""
        read = {
            "where": filters.parse(self.where).columns,
            "by": () if self.cases else self.by,
            "block": self.block,
        }
        for name, text in (*self.cases.items(), *self.conditions.items()):
            read[f"{'cases' if name in self.cases else 'conditions'}.{name}"] = filters.parse(text).columns
        for metric in self.metric:
            read["metric"] = read.get("metric", ()) + filters.parse_expression(metric).columns
        if self.x is not None:
            read["x"] = filters.parse_expression(self.x).columns
        if self.event is not None:
            read["event"] = filters.parse(self.event).columns
        for name, arm in self.arms.items():
            read[f"arms.{name}.where"] = filters.parse(arm.where).columns
            if arm.metric is not None:
                read[f"arms.{name}.metric"] = filters.parse_expression(arm.metric).columns
            if arm.select is not None:
                read[f"arms.{name}.select"] = (arm.select.by, *arm.select.over)
        return read

    def naive_claim(self) -> "Claim | None":
        """The naive analysis as a claim of its own, in the same strata; None where there is none."""
        if self.naive is None:
            return None
        changes = {
            name: value
            for name in Naive.model_fields
            if name not in ("trap", "arms") and (value := getattr(self.naive, name)) is not None
        }
        changes["arms"] = {**self.arms, **self.naive.arms}
        if self.naive.metric is not None and isinstance(self.margin, dict):
            raise ValueError("naive.metric needs a margin that is one number")
        naive = self.model_copy(update={**changes, "naive": None})
        check_fields(naive)
        check_arms(naive)
        return naive

    def judged(self) -> dict[str, Any]:
        """The fields that a verdict depends on, as plain JSON values; spelling of filters made uniform."""
        if self.not_tested is not None:
            return {
                "id": self.id,
                "sentence": self.sentence,
                "kind": self.kind,
                "not_tested": True,
                "rules": RULES,
            }
        if self.kind == "identity":
            return {
                "id": self.id,
                "sentence": self.sentence,
                "kind": self.kind,
                "identity": self.identity,
                "rules": RULES,
            }
        prose = {
            "source",
            "naive",
            "title",
            "experiment",
            "expect",
            "trap",
            "figure",
            "identity",
            "not_tested",
        }
        fields = self.model_dump(mode="json", exclude=prose)
        for arm in fields["arms"].values():
            arm.pop("label")
            arm["where"] = filters.parse(arm["where"]).canonical
            if arm["select"] is not None:
                arm["select"]["edge"] = sorted(arm["select"]["edge"])
        for name in ("where", "event"):
            fields[name] = fields[name] if fields[name] is None else filters.parse(fields[name]).canonical
        for name in ("cases", "conditions"):
            fields[name] = {key: filters.parse(text).canonical for key, text in fields[name].items()}
        fields["study"] = sorted(fields["study"])
        if self.tolerance is None:
            # claims of the other kinds keep the hash that they were registered with
            del fields["tolerance"]
        fields["rules"] = RULES
        return fields

    def digest(self) -> str:
        """12 hex digits of sha256 over the canonical JSON of `judged()`: what `registered` shows."""
        text = json.dumps(self.judged(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_mapping(content: dict[str, Any], path: str) -> tuple[Claim, ...]:
    """Claims of a parsed claims.yaml. Raises UserError naming file, claim, field, value and what would be valid."""
    entries = content.get("claims")
    if set(content) != {"claims"} or not isinstance(entries, list):
        raise UserError(f"{path}: keys {', '.join(map(yamlio.shown, content))}: must hold one key, claims:, with a list")
    claims: dict[str, Claim] = {}
    for position, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise UserError(
                f"{path}: claims: entry {position}: value {yamlio.shown(entry)}: must be a mapping with id, sentence, kind, ..."
            )
        named = entry.get("id")
        prefix = f"claim {named}" if isinstance(named, str) and 0 < len(named) <= 40 and named.isprintable() else f"claim number {position}"
        _refuse_unknown(entry, Claim, path, prefix)
        for name, arm in entry["arms"].items() if isinstance(entry.get("arms"), dict) else ():
            if isinstance(arm, dict):
                _refuse_unknown(arm, Arm, path, f"{prefix}.arms.{name}")
                if isinstance(arm.get("select"), dict):
                    _refuse_unknown(arm["select"], Select, path, f"{prefix}.arms.{name}.select")
        claim = yamlio.validate(Claim, entry, path, prefix)
        if claim.id in claims:
            raise UserError(f"{path}: {prefix}: id {claim.id!r} is given twice; ids must differ")
        claims[claim.id] = claim
    return tuple(claims.values())


def _refuse_unknown(entry: dict[str, Any], model: type[Frozen], path: str, prefix: str) -> None:
    for key in entry:
        if key not in model.model_fields:
            close = difflib.get_close_matches(yamlio.shown(key).strip("'"), model.model_fields, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(close)}?" if close else f"valid: {', '.join(model.model_fields)}"
            raise UserError(f"{path}: {prefix}: unknown key {yamlio.shown(key)}; {hint}")
