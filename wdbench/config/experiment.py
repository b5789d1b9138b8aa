"""config.yaml as frozen models: studies, axes, profiles, budgets."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wdbench import schedules
from wdbench.cells import DECAY_SHARE, FOLLOWERS, WEIGHTS
from wdbench.config import yamlio
from wdbench.errors import UserError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]

# largest numbers that are read: far above any use, and far below what would take minutes or gigabytes before a word is said
MOST_CELLS = 1_000_000
Steps = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Rows = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Points = Annotated[int, Field(ge=1, le=1_000, strict=True)]
Replicates = Annotated[int, Field(ge=1, le=10_000, strict=True)]

Penalty = Literal["none", "l1", "l2", "elastic"]
OptimiserName = Literal["exact", "sgd", "momentum", "nesterov", "adam"]
Coupling = Literal["coupled", "decoupled", "independent", "cautious", "corrected", "moment_split_m", "moment_split_v",
                   "scheduled", "coupled_subgradient", "decoupled_subgradient", "norm_replay", "lr_replay"]
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
    def _listed(cls, values):
        if isinstance(values, int | float) and not isinstance(values, bool):
            values = [values]
        return [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in values] if isinstance(values, list) else values

    @field_validator("start", "to", mode="before")
    @classmethod
    def _number(cls, value):
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one_form(self):
        grid = (self.start, self.to, self.points)
        if self.values is None and any(part is None for part in grid):
            raise ValueError("give either values: [..] or all of from, to and points")
        if self.values is not None and any(part is not None for part in grid):
            raise ValueError("give values: [..] or from, to, points, not both")
        if self.values == ():
            raise ValueError("values is empty; give at least one number")
        if self.values is not None and len(set(self.values)) != len(self.values):
            raise ValueError("a value is listed twice")
        if self.values is None and not self.start < self.to:
            raise ValueError("from must be less than to")
        return self

    @property
    def blocks(self) -> range:
        """Numbers of the study's replicates."""
        return range(self.first_replicate, self.first_replicate + self.replicates)

    @property
    def size(self) -> int:
        """How many values there are, without making them."""
        return self.points if self.values is None else len(self.values)

    def numbers(self) -> tuple[float, ...]:
        """The axis' values, ascending order kept as given; a log grid is rounded to 6 digits so that its ids are stable."""
        if self.values is not None:
            return self.values
        grid = np.geomspace(self.start, self.to, self.points) if self.points > 1 else np.array([self.start])
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
    def _listed(cls, value):
        return value if isinstance(value, list) else [value]

    @field_validator("schedule")
    @classmethod
    def _schedules(cls, value):
        return tuple(_read(schedules.canonical, text) for text in value)

    @field_validator("decay_phases")
    @classmethod
    def _phases(cls, value):
        for text in value:
            _read(schedules.phase, text)
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_duplicates(cls, value, info):
        # a study that takes another's keys may say that it has no probes
        if value == [] and info.field_name != "probes":
            raise ValueError("the list is empty; give at least one entry, or leave the key out")
        if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value) and len(set(value)) != len(value):
            raise ValueError("an entry is listed twice")
        return value

    @model_validator(mode="after")
    def _complete(self):
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
        for field, given, valid in (("penalties", self.penalties, ("none", "l2")), ("decay_masks", self.decay_masks, tuple(MATRICES))):
            for value in given:
                if value not in valid:
                    raise ValueError(f"{field}: value {value!r} with coupling {coupling}, which follows the L2 decay of weight "
                                     f"matrices; valid: {', '.join(valid)}")
        for model in self.model:
            if model in CONVEX:
                raise ValueError(f"couplings: value {coupling!r} is for networks, not for model {model!r}; valid: the other couplings")


def _read(parser, text: str):
    """`parser(text)`; its UserError becomes the ValueError that pydantic puts a place to."""
    try:
        return parser(text)
    except UserError as error:
        raise ValueError(str(error).partition(": ")[2]) from None


class Budget(Frozen):
    """What one worker may use."""

    memory_gib: Positive = 2.0


class Experiment(Frozen):
    """config.yaml after its profile is applied.

    `elsewhere`: studies that this profile does not train -> the profile that does. `source`: the file it was read from.
    """

    profile: str
    results: Path
    claims: Path
    tiers: tuple[Tier, ...] = Field(("core",), min_length=1)
    studies: dict[str, Study]
    elsewhere: dict[str, str] = {}
    device: Literal["cpu", "cuda"] = "cpu"
    budget: Budget = Budget()
    plugins: tuple[Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")], ...] = ()
    source: str = "config.yaml"

    @field_validator("results", "claims", mode="before")
    @classmethod
    def _named(cls, value):
        if isinstance(value, str) and (not value.strip() or "\0" in value):
            raise ValueError("must name a path")
        return value

    @field_validator("studies")
    @classmethod
    def _not_too_many(cls, studies):
        if not studies:
            raise ValueError("no study is left to train; give at least one of the profile's tiers")
        cells = sum(study.size for study in studies.values())
        if cells > MOST_CELLS:
            raise ValueError(f"{cells:,} cells in all; at most {MOST_CELLS:,} are valid")
        return studies

    @property
    def folder(self) -> Path:
        """Tables and figures of this profile; the store below `results` is shared by all profiles."""
        return self.results if self.profile == "core" else self.results / self.profile

    @property
    def ledger(self) -> Path:
        """The ledger beside the claims file: claims.yaml -> claims.lock.json."""
        return self.claims.with_suffix(".lock.json")


def load(path: str | Path = "config.yaml", profile: str | None = None, results: str | None = None) -> Experiment:
    """Read config.yaml, apply a profile. Raises UserError for anything that does not fit."""
    content = dict(yamlio.read(path))
    profiles = content.pop("profiles", {}) or {}
    if not isinstance(profiles, dict):
        raise UserError(f"{path}: profiles: value {yamlio.shown(profiles)}: must map names to changes of studies")
    for each, changes in profiles.items():
        if not isinstance(changes, dict | None) or not isinstance(each, str):
            raise UserError(f"{path}: profiles.{each}: value {yamlio.shown(changes)}: must be a name with a mapping")
    name = content.get("profile", "core") if profile is None else profile
    if not isinstance(name, str) or name != "core" and name not in profiles:
        raise UserError(f"{path}: profile: value {yamlio.shown(name)}: valid: core, {', '.join(profiles) or '(no other)'}")
    every = content.get("studies")
    if name != "core":
        content = _apply(content, profiles[name] or {}, path, f"profiles.{name}")
    content["profile"] = name
    for key in ("elsewhere", "source"):
        if key in content:
            raise UserError(f"{path}: unknown key {key!r}; the keys there are listed in the comments of config.yaml")
    if isinstance(every, dict) and every is content.get("studies"):
        content |= _of_tiers(content, profiles)
    content.setdefault("results", "results")
    content.setdefault("claims", "claims.yaml")
    content["source"] = str(path)
    if results is not None:
        if not results.strip() or "\0" in results:
            raise UserError(f"--results: value {results!r}: must name a folder")
        content["results"] = results
    found = yamlio.validate(Experiment, content, path)
    _a_folder(found.folder, f"{path}: results" if results is None else "--results")
    return found


def _a_folder(folder: Path, where: str) -> None:
    """Raises UserError where `folder`, or what would hold it, is something other than a folder."""
    for part in (folder, *folder.parents):
        try:
            if part.is_dir():
                return
            if part.exists():
                raise UserError(f"{where}: value {str(part)!r}: is a file; valid: a folder, or a path at which one can be made")
        except OSError as error:
            raise UserError(f"{where}: value {str(part)[:60]!r}: cannot be read ({error.strerror}); valid: a folder") from None


def _of_tiers(content: dict, profiles: dict) -> dict:
    """The studies of the profile's tiers, and for the others the first profile whose tiers they are of."""
    tiers = content.get("tiers", ["core"])
    trained = {name: (changes or {}).get("tiers") for name, changes in profiles.items()}
    kept, elsewhere = {}, {}
    for study, axes in content["studies"].items():
        tier = axes.get("tier", "core") if isinstance(axes, dict) else "core"
        # a tier that is not known stays in, for the validation to name it
        if not isinstance(tiers, list) or tier in tiers or tier not in get_args(Tier):
            kept[study] = axes
        else:
            trains = (name for name, listed in trained.items() if isinstance(listed, list) and tier in listed)
            elsewhere[study] = next(trains, "core")
    return {"studies": kept, "elsewhere": elsewhere}


def _apply(content: dict, changes, path, where: str) -> dict:
    """`changes` laid over `content`: studies not named in the profile are left out, keys of named ones replaced."""
    merged = {**content, **{k: v for k, v in changes.items() if k != "studies"}}
    if "studies" in changes:
        studies = content.get("studies") or {}
        if not isinstance(changes["studies"], dict) or not isinstance(studies, dict):
            raise UserError(f"{path}: {where}.studies: value {yamlio.shown(changes['studies'])}: must map study names to changed keys")
        unknown = [s for s in changes["studies"] if s not in studies]
        if unknown:
            raise UserError(f"{path}: {where}.studies: value {unknown[0]!r}: unknown study; valid: {', '.join(map(str, studies))}")
        for study, changed in changes["studies"].items():
            if not isinstance(changed, dict | None) or not isinstance(studies[study], dict):
                raise UserError(f"{path}: {where}.studies.{study}: value {yamlio.shown(changed)}: must be a mapping, "
                                f"as what studies.{study} has must be")
        merged["studies"] = {s: {**studies[s], **(c or {})} for s, c in changes["studies"].items()}
    return merged
