"""Cells, packs, and how a study expands into them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

from wdbench import datasets
from wdbench.config.experiment import Experiment, Study
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

    @property
    def pack(self) -> str:
        return pack_id(self.dataset, self.model, self.optimiser)

    def id(self, data_sha256: str, code: str) -> str:
        """16 hex digits of sha256 over the canonical JSON of cell, data and governing code."""
        text = json.dumps([asdict(self), data_sha256, code], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def pack_id(dataset: str, model: str, optimiser: str) -> str:
    """Pack of a cell, from the cell alone: data set family, model, optimiser."""
    return f"{datasets.base_name(dataset)}~{model}~{optimiser}"


def _model(study: Study, dataset: str) -> str:
    task = datasets.task(dataset)
    if study.model == "glm":
        if task not in GLM:
            raise UserError(f"config.yaml: model 'glm' on data set {dataset!r}: a {task} task; valid: tasks {' '.join(GLM)}")
        return GLM[task]
    return study.model


def _penalised(study: Study) -> Iterator[tuple[str, float, float, str]]:
    """(penalty, l1_ratio, lam, unit); `none` once, and λ = 0 of any penalty is `none` too."""
    for penalty in study.penalties:
        if penalty == "none":
            yield "none", 0.0, 0.0, "relative"
            continue
        axis = study.lambdas[penalty]
        ratio = {"l1": 1.0, "l2": 0.0, "elastic": study.l1_ratio}[penalty]
        for lam in axis.numbers():
            yield penalty, ratio, lam, axis.unit


def _arithmetic(study: Study) -> Iterator[tuple[str, str]]:
    for precision in study.precisions:
        if precision == "bf16_weights":
            yield from ((precision, rounding) for rounding in study.roundings)
        else:
            yield precision, "none"


def cells(study: Study, dataset: str, optimiser: str) -> Iterator[Cell]:
    """Full product of the study's axes for one data set and optimiser.

    A run without penalty has no coupling and no decay mask: it appears once, as coupled, weights.
    """
    model = _model(study, dataset)
    dataset = datasets.canonical(dataset)
    for penalty, ratio, lam, lam_unit in _penalised(study):
        plain = penalty == "none"
        masks = ("weights",) if plain else study.decay_masks
        if optimiser == "exact":
            for mask, replicate in product(masks, range(study.replicates)):
                yield Cell(dataset, model, optimiser, penalty, ratio, lam, lam_unit, None, "fp64", "none", None, None, None,
                           None, None, mask, 0.0, replicate)
            continue
        axis = study.lr[optimiser]
        couplings = ("coupled",) if plain else study.couplings
        for mask, coupling, (precision, rounding), lr, init, replicate in product(
            masks, couplings, _arithmetic(study), axis.numbers(), study.init_scales, range(study.replicates)
        ):
            yield Cell(dataset, model, optimiser, penalty, ratio, lam, lam_unit, coupling, precision, rounding, lr, axis.unit,
                       study.schedule, study.steps, study.batch_size, mask, init, replicate)


def members(experiment: Experiment) -> dict[str, list[tuple[str, str, str]]]:
    """pack id -> (study, data set, optimiser) whose cells it holds; without expanding any cell."""
    packs: dict[str, list[tuple[str, str, str]]] = {}
    for name, study in experiment.studies.items():
        for dataset, optimiser in product(study.datasets, study.optimisers):
            pack = pack_id(dataset, _model(study, dataset), optimiser)
            packs.setdefault(pack, []).append((name, dataset, optimiser))
    return packs


def pack_cells(experiment: Experiment, pack: str) -> dict[Cell, tuple[str, ...]]:
    """Cells of a pack -> names of the studies that ask for it. Raises UserError for an unknown pack."""
    packs = members(experiment)
    if pack not in packs:
        raise UserError(f"pack {pack!r}: not in this plan; valid: {', '.join(sorted(packs))}")
    found: dict[Cell, list[str]] = {}
    for name, dataset, optimiser in packs[pack]:
        for cell in cells(experiment.studies[name], dataset, optimiser):
            names = found.setdefault(cell, [])
            if name not in names:
                names.append(name)
    return {cell: tuple(names) for cell, names in found.items()}


def pack_digest(experiment: Experiment, pack: str) -> str:
    """Changes exactly when the set of a pack's cells can change: digest of the axes that its members expand from."""
    axes = [
        (name, datasets.canonical(dataset), optimiser, experiment.studies[name].model_dump(mode="json", exclude={"about", "datasets"}))
        for name, dataset, optimiser in members(experiment)[pack]
    ]
    return hashlib.sha256(json.dumps(axes, sort_keys=True).encode()).hexdigest()[:16]


def weights(dataset: str) -> int:
    """Weights of a linear model of a data set, about: columns times outputs, from the registry and the options alone."""
    parsed = datasets.parse(dataset)
    found = datasets.registry.entry(parsed.name)
    columns = next((int(parsed.options[name]) for name in ("svd", "top", "p") if parsed.options.get(name)), None)
    known = found.shape[1] if len(found.shape) > 1 and found.shape[1] else (10_000 if found.kind == "text" else 100)
    return (columns or known) * (found.n_classes if found.task == "multiclass" else 1)


def predicted_seconds(study: Study, dataset: str, optimiser: str) -> float:
    """Rough cost of one cell on one core, for "time left": a stacked update costs about 1.5 µs plus 12 ns a weight, an exact
    solution about 2 ms plus 2 µs a weight. `wdbench plan` predicts from measured rows instead.
    """
    size = weights(dataset)
    return 2e-3 + 2e-6 * size if optimiser == "exact" else study.steps * (1.5e-6 + 12e-9 * size)
