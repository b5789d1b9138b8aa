"""One study of config.yaml as a frozen model: its axes, and what does not go together."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from wdbench import rules, schedules
from wdbench.cells import DECAY_SHARE, FOLLOWERS, WEIGHTS
from wdbench.errors import UserError
from wdbench.penalties import PENALTIES

if TYPE_CHECKING:
    from pydantic import ValidationInfo

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]

# largest numbers that are read: far above any use, and far below what would take minutes or gigabytes before a word is said
MOST_CELLS = 1_000_000
Steps = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Rows = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Points = Annotated[int, Field(ge=1, le=1_000, strict=True)]
Replicates = Annotated[int, Field(ge=1, le=10_000, strict=True)]


def _known(names: Callable[[], Iterable[str]]) -> AfterValidator:
    """One of the names that are registered as the file is read: ours, and those of its plugins."""
    def check(value: str) -> str:
        valid = list(names())
        if value not in valid:
            raise ValueError(f"valid: {', '.join(valid)}")
        return value
    return AfterValidator(check)


Penalty = Annotated[str, _known(lambda: PENALTIES)]
OptimiserName = Annotated[str, _known(lambda: ("exact", *rules.OPTIMISERS, *rules.optimisers))]
Coupling = Annotated[str, _known(lambda: (*rules.COUPLINGS, *rules.couplings))]
PrecisionName = Literal["fp32", "fp64", "bf16_compute", "bf16_weights"]
RoundingName = Literal["nearest_split", "nearest_once", "stochastic", "kahan"]
DecayMask = Literal["weights", "all", "bias_hundredth", "hidden", "head"]
Probe = Literal["curvature", "jacobian", "spectrum", "temperature", "rotation", "noise", "path", "plateau", "spikes", "ball"]
Sphere = Literal["none", "step", "epoch"]
Tier = Literal["core", "gpt", "nightly", "paper"]
CONVEX = ("glm", "linear", "logistic", "softmax")
MATRICES = [mask for mask, shares in DECAY_SHARE.items() if set(shares) <= set(WEIGHTS)]


class Frozen(BaseModel):
    """Unknown keys refused, values immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Axis(Frozen):
    """Numbers of an axis: `values`, or a log grid `from`, `to`, `points`.

    unit: relative to the data set's anchor; absolute; or clock: a lambda as the number of decay times in the run, eta_max lambda T
    (lambda T for the independent coupling).
    """

    unit: Literal["relative", "absolute", "clock"] = "relative"
    values: tuple[NotNegative, ...] | None = None
    start: Positive | None = Field(None, alias="from")
    to: Positive | None = None
    points: Points | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _listed(cls, values: object) -> object:
        if isinstance(values, int | float) and not isinstance(values, bool):
            values = [values]
        return [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in values] if isinstance(values, list) else values

    @field_validator("start", "to", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        grid = (self.start, self.to, self.points)
        if self.values is None and any(part is None for part in grid):
            raise ValueError("give either values: [..] or all of from, to and points")
        if self.values is not None and any(part is not None for part in grid):
            raise ValueError("give values: [..] or from, to, points, not both")
        if self.values == ():
            raise ValueError("values is empty; give at least one number")
        if self.values is not None and len(set(self.values)) != len(self.values):
            raise ValueError("a value is listed twice")
        if self.start is not None and self.to is not None and not self.start < self.to:
            raise ValueError("from must be less than to")
        return self

    @property
    def size(self) -> int:
        """How many values there are, without making them."""
        return self.points or 0 if self.values is None else len(self.values)

    def numbers(self) -> tuple[float, ...]:
        """The axis' values, ascending order kept as given; a log grid is rounded to 6 digits so that its ids are stable."""
        if self.values is not None:
            return self.values
        # `_one_form` has seen to it that all three are there
        start, to, points = self.start or 0.0, self.to or 0.0, self.points or 1
        grid = np.geomspace(start, to, points) if points > 1 else np.array([start])
        return tuple(float(f"{v:.6g}") for v in grid)


class Study(Frozen):
    """One grid. Every axis is a list; the study is their full product. `tier` says which profiles train it."""

    about: str = ""
    tier: Tier = "core"
    datasets: tuple[str, ...] = Field(min_length=1)
    model: tuple[str, ...] = Field(("glm",), min_length=1)
    optimisers: tuple[OptimiserName, ...] = ("exact",)
    penalties: tuple[Penalty, ...] = Field(min_length=1)
    l1_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    lambdas: dict[Penalty, Axis] = Field(alias="lambda")
    couplings: tuple[Coupling, ...] = ("coupled",)
    precisions: tuple[PrecisionName, ...] = ("fp32",)
    roundings: tuple[RoundingName, ...] = ("nearest_split",)
    lr: dict[OptimiserName, Axis] = {}
    schedule: tuple[str, ...] = Field(("linear",), min_length=1)
    steps: tuple[Steps, ...] = ()
    batch_size: tuple[Rows | Literal["full"], ...] = ()
    decay_masks: tuple[DecayMask, ...] = ("weights",)
    decay_phases: tuple[str, ...] = ("all",)
    clip: Positive | None = None
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    probes: tuple[Probe, ...] = ()
    sphere: tuple[Sphere, ...] = Field(("none",), min_length=1)
    init_scales: tuple[NotNegative, ...] = ()
    first_replicate: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = 0
    replicates: Replicates = 10
    supports: bool = False

    @field_validator("model", "schedule", "steps", "batch_size", "sphere", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return value if isinstance(value, list) else [value]

    @field_validator("schedule")
    @classmethod
    def _schedules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_read(schedules.canonical, text) for text in value)

    @field_validator("decay_phases")
    @classmethod
    def _phases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _read(schedules.phase, text)
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_duplicates(cls, value: object, info: "ValidationInfo") -> object:
        # a study that takes another's keys may say that it has no probes
        if value == [] and info.field_name != "probes":
            raise ValueError("the list is empty; give at least one entry, or leave the key out")
        if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value) and len(set(value)) != len(value):
            raise ValueError("an entry is listed twice")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for penalty in self.penalties:
            if penalty != "none" and penalty not in self.lambdas:
                raise ValueError(f"lambda has no entry for penalty {penalty!r}; give lambda.{penalty}")
        trained = [o for o in self.optimisers if o != "exact"]
        if trained and not (self.steps and self.batch_size):
            raise ValueError("steps and batch_size are needed wherever an optimiser other than exact is listed")
        for coupling in ("moment_split_m", "moment_split_v", "scheduled"):
            if coupling in self.couplings and any(o != "adam" for o in trained):
                raise ValueError(f"couplings: {coupling} needs a second moment, which of the optimisers only adam has")
        if "scheduled" in self.couplings and any(axis.unit == "clock" for axis in self.lambdas.values()):
            raise ValueError("couplings: the decay times of scheduled are not known before the run; give lambda in absolute units")
        if self.probes and "glm" in self.model:
            raise ValueError(f"probes: {', '.join(self.probes)}: they are for networks, and model lists glm; valid: none")
        follower = next((name for name in self.couplings if name in FOLLOWERS), None)
        if follower is not None:
            self._can_follow(follower)
        for optimiser in trained:
            if optimiser not in self.lr:
                raise ValueError(f"lr has no entry for optimiser {optimiser!r}; give lr.{optimiser}")
            if any(v <= 0 for v in self.lr[optimiser].numbers()):
                raise ValueError(f"lr.{optimiser} must be above 0")
        if self.size > MOST_CELLS:
            raise ValueError(f"its axes multiply to {self.size:,} cells; at most {MOST_CELLS:,} are valid")
        return self

    @property
    def blocks(self) -> range:
        """Numbers of the study's replicates."""
        return range(self.first_replicate, self.first_replicate + self.replicates)

    @property
    def size(self) -> int:
        """Cells of the study: what `grid.cells` expands it to, counted from the lengths of its axes."""
        plain = int("none" in self.penalties)
        penalised = sum(self.lambdas[p].size for p in self.penalties if p != "none")
        masked = len(self.decay_masks) * penalised
        arithmetic = sum(len(self.roundings) if p == "bf16_weights" else 1 for p in self.precisions)
        runs = arithmetic * len(self.schedule) * len(self.steps) * len(self.batch_size) * max(len(self.init_scales), 1) * len(self.sphere)
        trained = (plain + masked * len(self.couplings) * len(self.decay_phases)) * runs
        cells = sum(plain + masked if o == "exact" else trained * self.lr[o].size for o in self.optimisers)
        return len(self.datasets) * len(self.model) * cells * self.replicates

    def _can_follow(self, coupling: str) -> None:
        """Raises ValueError where a cell of `coupling` could not be trained beside the decayed run that it follows."""
        foreign = [name for name in self.optimisers if name in rules.optimisers]
        if foreign:
            raise ValueError(f"couplings: value {coupling!r} with optimiser {foreign[0]!r}, of which nothing is known; "
                             f"valid: {', '.join(rules.OPTIMISERS)}")
        for field, given, valid in (("penalties", self.penalties, ("none", "l2")), ("decay_masks", self.decay_masks, tuple(MATRICES))):
            for value in given:
                if value not in valid:
                    raise ValueError(f"{field}: value {value!r} with coupling {coupling}, which follows the L2 decay of weight "
                                     f"matrices; valid: {', '.join(valid)}")
        for model in self.model:
            if model in CONVEX:
                raise ValueError(f"couplings: value {coupling!r} is for networks, not for model {model!r}; valid: the other couplings")


def _read(parser: Callable[[str], Any], text: str) -> Any:
    """`parser(text)`; its UserError becomes the ValueError that pydantic puts a place to."""
    try:
        return parser(text)
    except UserError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
