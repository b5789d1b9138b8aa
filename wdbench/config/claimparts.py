"""The parts of a claim: arms, how an arm's row is selected, the naive variant, and what each kind needs."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from wdbench import filters
from wdbench.config.study import Frozen
from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.config.claims import Claim

RULES = 2
"""Version of the decision rules (wdbench.claims); part of every registered hash. 2: Student's t interval of a mean in place of BCa."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Direction = Literal["lower", "higher"]
Side = Literal["treatment", "control"]
Effect = Literal["difference", "relative", "log_ratio"]
Transform = Literal["none", "log", "log2", "log10"]
Statistic = Literal["slope", "kendall"]


@dataclass(frozen=True)
class KindFields:
    """Which of the keys that depend on the kind a claim of it needs, and which others it may have."""

    needs: frozenset[str]
    may: frozenset[str] = frozenset()


_DEPENDENT = (
    "metric",
    "direction",
    "margin",
    "x",
    "statistic",
    "conditions",
    "threshold",
    "event",
    "identity",
    "control",
    "treatment",
    "effect",
    "tolerance",
)
_PAIR = frozenset({"treatment", "metric", "margin"})
_CURVE = KindFields(_PAIR | {"direction", "x"}, frozenset({"control", "threshold", "effect"}))
KINDS: dict[str, KindFields] = {
    "superiority": KindFields(_PAIR | {"direction"}, frozenset({"control", "threshold", "effect"})),
    "equivalence": KindFields(_PAIR, frozenset({"control", "threshold", "effect"})),
    "slope": KindFields(_CURVE.needs, _CURVE.may | {"statistic"}),
    "ushape": _CURVE,
    "interaction": KindFields(_PAIR | {"direction", "control", "conditions"}, frozenset({"effect"})),
    "share": KindFields(_PAIR | {"direction", "control", "conditions"}, frozenset({"effect"})),
    "event": KindFields(frozenset({"treatment", "control", "event", "direction", "margin"})),
    "tolerance": KindFields(_PAIR | {"direction", "control", "tolerance"}, frozenset({"effect"})),
    "identity": KindFields(frozenset({"identity"})),
}


def register_kind(name: str, needs: set[str], may: Set[str] = frozenset()) -> None:
    """Let claims of a further kind be read. Raises ValueError if the name is taken or a key is unknown."""
    unknown = (set(needs) | set(may)) - set(_DEPENDENT)
    if name in KINDS or unknown:
        raise ValueError(f"kind {name!r}: {'taken' if name in KINDS else f'unknown keys {sorted(unknown)}'}")
    KINDS[name] = KindFields(frozenset(needs), frozenset(may))


class Select(Frozen):
    """How one row is chosen in a block; see the module's docstring."""

    rule: Literal["min", "match", "one_se", "mean", "grid"] = "min"
    by: str = "val_loss"
    over: tuple[str, ...] = Field(min_length=1)
    match: Side | None = None
    edge: dict[str, str] = {}

    @field_validator("over", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.rule == "match") != (self.match is not None):
            raise ValueError("rule: match and match: <arm> go together")
        ends = [f"{column}.{end}" for column in self.over for end in ("low", "high")]
        for end, reason in self.edge.items():
            if end not in ends:
                raise ValueError(f"edge {end!r} is not an end of a column in over; valid: {', '.join(ends)}")
            if not reason.strip():
                raise ValueError(f"edge {end!r} needs a reason")
        return self


class Arm(Frozen):
    """One side of a comparison."""

    where: str = ""
    select: Select | None = None
    metric: str | None = None
    label: str = ""

    @field_validator("where")
    @classmethod
    def _a_filter(cls, text: str) -> str:
        return formula(filters.parse, text)

    @field_validator("metric")
    @classmethod
    def _an_expression(cls, text: str) -> str:
        return text if text is None else formula(filters.parse_expression, text)


class Figure(Frozen):
    """Which drawing, with which options of it."""

    name: str
    options: dict[str, Any] = {}


class Window(Frozen):
    """`points` values of a grid's column over so many decades; see wdbench.claims.tolerance."""

    column: Literal["lambda", "lambda_rel"]
    decades: Annotated[float, Field(strict=True, gt=0, le=12)]
    points: Annotated[int, Field(strict=True, ge=3, le=99)]

    @model_validator(mode="after")
    def _centred(self) -> Self:
        if self.points % 2 == 0:
            raise ValueError(f"points {self.points} is even; valid: odd, so that the chosen cell is one of them")
        return self


class Tolerance(Frozen):
    """What a claim of kind tolerance measures; see the module's docstring of claims.py."""

    within: tuple[Annotated[float, Field(strict=True, gt=0, le=1)], ...] = ()
    of: Literal["own", "common"] | None = None
    draws: tuple[Annotated[int, Field(strict=True, ge=1, le=10_000)], ...] = ()
    window: Window | None = None

    @field_validator("within", "draws", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return value if isinstance(value, list | tuple) else [value]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.within) == bool(self.draws):
            raise ValueError("give within: [..] or draws: [..], one of them")
        if bool(self.within) != (self.of is not None):
            raise ValueError("within and of: own or common go together")
        return self


class Naive(Frozen):
    """What the wrong way does differently, and why it is wrong."""

    trap: str
    where: str | None = None
    study: tuple[str, ...] | None = None
    arms: dict[Side, Arm] = {}
    conditions: dict[Literal["claimed", "other"], str] | None = None
    metric: tuple[str, ...] | None = None
    effect: Effect | None = None
    x: str | None = None
    x_transform: Transform | None = None
    statistic: Statistic | None = None
    threshold: Number | None = None
    block: tuple[str, ...] | None = None
    event: str | None = None
    tolerance: Tolerance | None = None

    @field_validator("study", "metric", "block", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


def formula(parser: Callable[[str, str], Any], text: str) -> str:
    """`text`, after `parser` accepted it; its UserError becomes the ValueError that pydantic puts a place to."""
    try:
        parser(text, "formula")
    except UserError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    return text


def check_fields(claim: "Claim") -> None:
    """Raises ValueError where `claim` lacks a key that its kind needs, or has one that it cannot use."""
    fields = KINDS[claim.kind]
    given = {
        "metric": bool(claim.metric),
        "direction": claim.direction is not None,
        "margin": claim.margin is not None,
        "x": claim.x is not None,
        "statistic": claim.statistic != "slope",
        "conditions": bool(claim.conditions),
        "threshold": claim.threshold is not None,
        "event": claim.event is not None,
        "identity": claim.identity is not None,
        "control": "control" in claim.arms,
        "treatment": "treatment" in claim.arms,
        "effect": claim.effect != "difference",
        "tolerance": claim.tolerance is not None,
    }
    for name, present in given.items():
        shown = f"arms.{name}" if name in ("treatment", "control") else name
        if name in fields.needs and not present:
            raise ValueError(f"kind {claim.kind} needs {shown}")
        if present and name not in fields.needs | fields.may:
            raise ValueError(f"kind {claim.kind} has no {shown}")
    if claim.kind != "identity" and not claim.study:
        raise ValueError("study is missing: name the studies of config.yaml whose rows are read")
    if claim.conditions and set(claim.conditions) != {"claimed", "other"}:
        raise ValueError("conditions needs both claimed and other")
    if claim.kind == "equivalence" and claim.margin == 0:
        raise ValueError("equivalence needs a margin above 0")


def check_arms(claim: "Claim") -> None:
    """Raises ValueError where the arms of `claim` cannot be compared in the way that it asks for."""
    if "control" in claim.arms and claim.threshold is not None:
        raise ValueError("give arms.control or threshold, not both")
    alone = "control" not in claim.arms and claim.threshold is None
    if alone and claim.kind in ("superiority", "equivalence"):
        raise ValueError(f"kind {claim.kind} needs arms.control or threshold")
    if alone and claim.effect == "relative":
        raise ValueError("effect relative needs arms.control or threshold; for one arm use log_ratio")
    if isinstance(claim.margin, dict) and set(claim.margin) != set(claim.metric):
        raise ValueError(f"margin must name exactly the metrics: {', '.join(claim.metric)}")
    if claim.tolerance is not None:
        _check_grids(claim, claim.tolerance.window)
    for name, arm in claim.arms.items():
        if arm.metric is not None and len(claim.metric) > 1:
            raise ValueError(f"arms.{name}.metric cannot stand beside a list of metrics")
        if arm.select is None:
            continue
        if claim.x is not None and claim.x in arm.select.over:
            raise ValueError(f"arms.{name}.select.over holds {claim.x!r}, which is x; a value is chosen at each x")
        if arm.select.match is not None:
            other = claim.arms.get(arm.select.match)
            chained = other is None or (other.select is not None and other.select.rule in ("match", "mean", "grid"))
            if arm.select.match == name or chained:
                raise ValueError(f"arms.{name}.select.match must name the other arm, whose own rule is min or one_se")


_GRID = ("lambda", "lambda_rel", "lr", "lr_rel")


def _check_grids(claim: "Claim", window: Window | None) -> None:
    for name, arm in claim.arms.items():
        if arm.select is None or arm.select.rule != "grid":
            raise ValueError(f"kind tolerance needs arms.{name}.select with rule: grid")
        strange = [column for column in arm.select.over if column not in _GRID]
        if strange:
            raise ValueError(f"arms.{name}.select.over {strange[0]!r} is no axis of a grid; valid: {', '.join(_GRID)}")
        if window is not None and window.column not in arm.select.over:
            raise ValueError(f"tolerance.window.column {window.column!r} must be one that arms.{name}.select.over has")
