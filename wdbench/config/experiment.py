"""config.yaml as frozen models: studies, profiles, budgets."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from wdbench import plugins
from wdbench.config import yamlio
from wdbench.config.study import MOST_CELLS, Frozen, Positive, Study, Tier
from wdbench.errors import UserError

# a module's name
PLUGIN = r"^[^\W\d]\w*(\.[^\W\d]\w*)*$"


class Budget(Frozen):
    """What one worker may use."""

    memory_gib: Positive = 2.0


class Experiment(Frozen):
    """config.yaml after its profile is applied.

    `elsewhere`: studies that this profile does not train -> the profile that does. `shift_replicates` is added to the number of each
    study's first replicate. `source`: the file it was read from.
    """

    profile: str
    results: Path
    claims: Path
    tiers: tuple[Tier, ...] = Field(("core",), min_length=1)
    studies: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")], Study]
    elsewhere: dict[str, str] = {}
    shift_replicates: Annotated[int, Field(ge=0, le=900_000, strict=True)] = 0
    device: Literal["cpu", "cuda"] = "cpu"
    budget: Budget = Budget()
    plugins: tuple[Annotated[str, Field(pattern=PLUGIN)], ...] = ()
    source: str = "config.yaml"

    @field_validator("results", "claims", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str) and (not value.strip() or "\0" in value):
            raise ValueError("must name a path")
        return value

    @field_validator("studies")
    @classmethod
    def _not_too_many(cls, studies: dict[str, Study]) -> dict[str, Study]:
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
    if not str(path).strip() or "\0" in str(path):
        raise UserError(f"--config-file: value {str(path)!r}: must name a file, as config.yaml")
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
    named = content.get("plugins")
    if isinstance(named, list) and all(isinstance(name, str) and re.fullmatch(PLUGIN, name) for name in named):
        # what they register is valid in the rest of the file
        plugins.load(tuple(named), str(path))
    _check_studies(every, path)
    content["source"] = str(path)
    if results is not None:
        if not results.strip() or "\0" in results:
            raise UserError(f"--results: value {results!r}: must name a folder")
        content["results"] = results
    found = _shifted(yamlio.validate(Experiment, content, path))
    _a_folder(found.folder, f"{path}: results" if results is None else "--results")
    return found


def _check_studies(studies: object, path: str | Path) -> None:
    """Studies that this profile changes or leaves out must be right as well: another profile trains them."""
    for name, axes in studies.items() if isinstance(studies, dict) else ():
        if isinstance(axes, dict):
            yamlio.validate(Study, axes, path, f"studies.{name if isinstance(name, str) else yamlio.shown(name)}")


def _shifted(experiment: Experiment) -> Experiment:
    """The same studies on replicates of other numbers: other splits, samples, initial weights and batches."""
    shift = experiment.shift_replicates
    studies = {name: study.model_copy(update={"first_replicate": study.first_replicate + shift})
               for name, study in experiment.studies.items()}
    return experiment.model_copy(update={"studies": studies}) if shift else experiment


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


def _of_tiers(content: dict[str, Any], profiles: dict[str, Any]) -> dict[str, Any]:
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


def _apply(content: dict[str, Any], changes: Mapping[str, Any], path: str | Path, where: str) -> dict[str, Any]:
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
