"""Cells, packs, and how a study expands into them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

from wdbench import datasets, fits
from wdbench.config.experiment import Experiment
from wdbench.config.study import Study
from wdbench.datasets.language import CONTEXT
from wdbench.errors import UserError

GLM = {"regression": "linear", "binary": "logistic", "multiclass": "softmax"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run, as asked for: λ and η in the unit that the study gives them in.

    `lam`, `lr`: numbers in `lam_unit`, `lr_unit` (relative: in units of the data set's anchor; absolute). For optimiser `exact`
    (the exact minimiser) coupling, lr, schedule, steps and batch_size are None.
    """

    dataset: str
    model: str
    optimiser: str
    penalty: str
    l1_ratio: float
    lam: float
    lam_unit: str
    coupling: str | None
    precision: str
    rounding: str
    lr: float | None
    lr_unit: str | None
    schedule: str | None
    steps: int | None
    batch_size: int | None
    decay_mask: str
    init_scale: float
    replicate: int
    decay_phase: str = "all"
    clip: float | None = None
    ema: float = 0.0
    probes: str = ""
    beta1: float = 0.9
    beta2: float = 0.999
    sphere: str = "none"

    @property
    def pack(self) -> str:
        return pack_id(self.dataset, self.model, self.optimiser, self.replicate)

    def id(self, data_sha256: str, code: str) -> str:
        """16 hex digits of sha256 over the canonical JSON of cell, data and governing code."""
        # what is left at its default stays out, so that a further field leaves the ids of other cells as they are
        pairs = zip(_FIELDS, _values(self), strict=True)
        given = {name: value for name, value in pairs if name not in _DEFAULTS or value != _DEFAULTS[name]}
        text = json.dumps([given, data_sha256, code], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_FIELDS = tuple(field.name for field in fields(Cell))
_values = attrgetter(*_FIELDS)
_DEFAULTS = {field.name: field.default for field in fields(Cell) if field.default is not MISSING}
FULL = 1_000_000
"""The batch size that stands for all rows: the engine takes no more than there are."""


def pack_id(dataset: str, model: str, optimiser: str, replicate: int) -> str:
    """Pack of a cell, from the cell alone: data set family, model, optimiser; of a language model, whose cells take half a minute
    each, also the replicate, so that cores share them.
    """
    whole = f"{datasets.base_name(dataset)}~{model}~{optimiser}"
    return f"{whole}~{replicate}" if datasets.task(dataset) == "language" else whole


def _models(study: Study, dataset: str) -> list[str]:
    """Canonical names of the models that the study trains on a data set. Raises UserError for one of another task."""
    task = datasets.task(dataset)
    found: list[str] = []
    for model in study.model:
        if model == "glm":
            tasks = tuple(GLM)
            found.append(GLM.get(task, model))
        else:
            # torch is loaded for networks alone: planning a convex study must not wait for it
            from wdbench import models

            family, options = models.parse(model)
            tasks = family.tasks
            found.append(models.canonical(model))
            if task == "language" and task in tasks:
                _fits(model, options, dataset)
            if options.get("norm") == "bn" and 1 in study.batch_size:
                raise UserError(f"config.yaml: batch_size: value 1: model {model!r} has batch norms; valid: 2 or more")
        held = next((kind for kind in study.sphere if kind != "none"), None)
        if held is not None and (model == "glm" or options.get("norm", "none") == "none"):
            raise UserError(f"config.yaml: sphere: value {held!r}: model {model!r} has no norm that would make it blind to the length of "
                            f"its weights; valid: sphere none, or a model with norm=bn or norm=gn")
        if task not in tasks:
            raise UserError(f"config.yaml: model {model!r} on data set {dataset!r}: a {task} task; valid: tasks {' '.join(tasks)}")
        if model == "glm":
            fits.convex(study, dataset)
        else:
            fits.network(study, found[-1], dataset)
    return found


def _fits(model: str, options: Mapping[str, Any], dataset: str) -> None:
    """Whether a language model can take a data set's chunks. Raises UserError naming what is too small."""
    parsed = datasets.parse(dataset)
    symbols, context = datasets.registry.entry(parsed.name).n_classes, parsed.options.get("context", CONTEXT)
    for key, need, what in (("context", context, "symbols a chunk"), ("vocab", symbols, "different symbols")):
        if options[key] < need:
            raise UserError(f"config.yaml: model {model!r}: option {key}: value {options[key]}: data set {dataset!r} has {need} {what}; "
                            f"valid: {key}={need} or more")


def _penalised(study: Study) -> Iterator[tuple[str, float, float, str]]:
    """(penalty, l1_ratio, lam, unit); `none` once, and λ = 0 of any penalty is `none` too."""
    for penalty in study.penalties:
        if penalty == "none":
            yield "none", 0.0, 0.0, "relative"
            continue
        axis = study.lambdas[penalty]
        ratio = {"l1": 1.0, "l2": 0.0}.get(penalty, study.l1_ratio)
        for lam in axis.numbers():
            yield penalty, ratio, lam, axis.unit


def _arithmetic(study: Study) -> Iterator[tuple[str, str]]:
    for precision in study.precisions:
        if precision == "bf16_weights":
            yield from ((precision, rounding) for rounding in study.roundings)
        else:
            yield precision, "none"


def cells(study: Study, dataset: str, model: str, optimiser: str) -> Iterator[Cell]:
    """Full product of the study's axes for one data set, model and optimiser.

    A run without penalty has no coupling, no decay mask and no phase of decay: it appears once, as coupled, weights, all.
    """
    dataset = datasets.canonical(dataset)
    for penalty, ratio, lam, lam_unit in _penalised(study):
        plain = penalty == "none"
        masks = ("weights",) if plain else study.decay_masks
        if optimiser == "exact":
            for mask, replicate in product(masks, study.blocks):
                yield Cell(dataset, model, optimiser, penalty, ratio, lam, lam_unit, None, "fp64", "none", None, None, None,
                           None, None, mask, 0.0, replicate)
            continue
        axis = study.lr[optimiser]
        couplings = ("coupled",) if plain else study.couplings
        phases = ("all",) if plain else study.decay_phases
        # a convex model starts at zero, a network at the usual size of its random weights
        scales = study.init_scales or ((0.0,) if model in GLM.values() else (1.0,))
        runs = product(study.schedule, study.steps, study.batch_size, scales, study.sphere, study.blocks)
        for (mask, coupling, phase, (precision, rounding), lr), (schedule, steps, batch, init, sphere, replicate) in product(
            product(masks, couplings, phases, _arithmetic(study), axis.numbers()), runs
        ):
            yield Cell(dataset, model, optimiser, penalty, ratio, lam, lam_unit, coupling, precision, rounding, lr, axis.unit,
                       schedule, steps, FULL if batch == "full" else batch, mask, init, replicate, phase, study.clip, study.ema,
                       "+".join(sorted(study.probes)), study.beta1, study.beta2, sphere)


class Member(NamedTuple):
    """A part of a pack: the cells of one study for one data set, model and optimiser, and for one replicate or all of them."""

    study: str
    dataset: str
    model: str
    optimiser: str
    replicate: int | None


def has_oracle(pack: str) -> bool:
    """Whether the cells of a pack are trained towards a minimiser that is known: a convex model, not solved exactly."""
    _, model, optimiser, *_ = pack.split("~")
    return model in GLM.values() and optimiser != "exact"


def members(experiment: Experiment) -> dict[str, list[Member]]:
    """pack id -> its members; without expanding any cell."""
    packs: dict[str, list[Member]] = {}
    for name, study in experiment.studies.items():
        _names(study, f"{experiment.source}: studies.{name}")
        for dataset, optimiser in product(study.datasets, study.optimisers):
            replicates = study.blocks if datasets.task(dataset) == "language" else (None,)
            for model, replicate in product(_models(study, dataset), replicates):
                pack = pack_id(dataset, model, optimiser, replicate or 0)
                packs.setdefault(pack, []).append(Member(name, dataset, model, optimiser, replicate))
    return packs


def _names(study: Study, where: str) -> None:
    """Raises UserError, with `where` and the field, for a data set or a model that cannot be."""
    for dataset in study.datasets:
        try:
            _enough_rows(dataset)
        except UserError as error:
            raise UserError(f"{where}.datasets: {error}") from None
    for model in study.model:
        if model in GLM.values():
            raise UserError(f"{where}.model: value {model!r}: the data set's task decides which convex model it is; valid: glm")
        if model == "glm":
            continue
        from wdbench import models

        try:
            models.parse(model)
        except UserError as error:
            raise UserError(f"{where}.model: {error}") from None


def _enough_rows(dataset: str) -> None:
    """Raises UserError where option n asks for more train rows than the registry says that there are."""
    parsed = datasets.parse(dataset)
    found = datasets.registry.entry(parsed.name)
    if "n" not in parsed.options or found.task == "language" or not found.shape:
        return
    # a training part that is given may be all that the shape counts, and classes are split one by one
    most = found.shape[0] if found.split == "given_test" else round(found.shape[0] * found.shares[0]) + found.n_classes
    if parsed.options["n"] > most:
        raise UserError(f"data set {dataset!r}: option n: value {parsed.options['n']}: more train rows than there are; valid: up to {most}")


def available_packs(experiment: Experiment) -> tuple[list[str], dict[str, str]]:
    """(packs whose data are here, {data set that is not: the command that gets it})."""
    gone = absent(experiment)
    return [pack for pack in sorted(members(experiment)) if pack.split("~")[0] not in gone], gone


def absent(experiment: Experiment) -> dict[str, str]:
    """Data set that is not here -> the command that gets it."""
    bases = sorted({datasets.base_name(dataset) for study in experiment.studies.values() for dataset in study.datasets})
    found = {base: datasets.status(base) for base in bases}
    return {base: status.how_to_get for base, status in found.items() if not status.available}


def pack_cells(experiment: Experiment, pack: str) -> dict[Cell, tuple[str, ...]]:
    """Cells of a pack -> names of the studies that ask for it. Raises UserError for an unknown pack."""
    packs = members(experiment)
    if pack not in packs:
        raise UserError(f"pack {pack!r}: not in this plan; valid: {', '.join(sorted(packs))}")
    found: dict[Cell, list[str]] = {}
    for name, dataset, model, optimiser, replicate in packs[pack]:
        for cell in cells(experiment.studies[name], dataset, model, optimiser):
            if replicate not in (None, cell.replicate):
                continue
            names = found.setdefault(cell, [])
            if name not in names:
                names.append(name)
    return {cell: tuple(names) for cell, names in found.items()}


def pack_digests(experiment: Experiment) -> dict[str, str]:
    """pack -> a digest of the axes that its members expand from, which changes exactly when the set of its cells can change."""
    apart = {"about", "tier", "datasets", "model"}
    axes = {name: study.model_dump(mode="json", exclude=apart) for name, study in experiment.studies.items()}
    return {
        pack: hashlib.sha256(json.dumps([
            (name, datasets.canonical(dataset), model, optimiser, axes[name]) for name, dataset, model, optimiser, _ in parts
        ], sort_keys=True).encode()).hexdigest()[:16]
        for pack, parts in members(experiment).items()
    }


def weights(dataset: str) -> int:
    """Weights of a linear model of a data set, about: columns times outputs, from the registry and the options alone."""
    parsed = datasets.parse(dataset)
    found = datasets.registry.entry(parsed.name)
    columns = next((int(parsed.options[name]) for name in ("svd", "top", "p") if parsed.options.get(name)), None)
    known = found.shape[1] if len(found.shape) > 1 and found.shape[1] else (10_000 if found.kind == "text" else 100)
    return (columns or known) * (found.n_classes if found.task == "multiclass" else 1)


def predicted_seconds(study: Study, dataset: str, model: str, optimiser: str) -> float:
    """Rough cost of one cell on one core, for "time left": a stacked update costs about 1.5 µs plus 12 ns a weight, an exact
    solution about 2 ms plus 2 µs a weight, a network's step about 200 µs, a language model's 20 ms, that of a network of a million
    weights or more what its arithmetic takes (`costs.py`). `wdbench plan` predicts from measured rows instead (`pace.py`).
    """
    size = weights(dataset)
    if optimiser == "exact":
        return 2e-3 + 2e-6 * size
    steps = sum(study.steps) / len(study.steps)
    if model not in GLM.values():
        from wdbench import costs

        arithmetic = costs.cell(study, dataset, model)
        if arithmetic is not None:
            return arithmetic / costs.CORE_RATE
    return steps * (1.5e-6 + 12e-9 * size if model in GLM.values() else 2e-2 if model.startswith("gpt") else 2e-4)
