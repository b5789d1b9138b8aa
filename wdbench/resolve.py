"""From cells to finished rows: λ and η made absolute, training or exact solution, measurement.

Everything that a row's numbers depend on is called from here; the store, the workflow and what is printed are not.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wdbench import datasets, oracle, penalties, rows, rules
from wdbench.cells import BIAS_SHARE, FORMS, Data, Program, Run
from wdbench.errors import UserError
from wdbench.grid import Cell

if TYPE_CHECKING:
    from wdbench.datasets.records import Block
    from wdbench.measure import Outcome

WIDE = 2000


# one path of lambdas after another asks for the same block; a generated one costs more than its solutions
_block = lru_cache(maxsize=2)(datasets.block)


@lru_cache(maxsize=64)
def _scales(spec: str) -> "oracle.Anchors":
    """Units of relative λ of a data set, from the training rows of replicate 0, so that an arm has one λ for all replicates."""
    return oracle.anchors(datasets.block(spec, 0))


@lru_cache(maxsize=64)
def _smoothness(spec: str, batch_size: int) -> float:
    block = datasets.block(spec, 0)
    return oracle.expected_smoothness(block, min(batch_size, len(block.y["train"])))


def absolute_lambda(cell: Cell) -> float:
    """λ of a cell in the project's unit; relative λ is a multiple of the data set's anchor (`oracle.anchors`), on the clock it is
    the number of decay times in the run at the largest learning rate: η_max λ T, for the independent coupling λ T.
    """
    if cell.penalty == "none":
        return 0.0
    if cell.lam_unit == "absolute":
        return cell.lam
    if cell.lam_unit == "clock":
        return cell.lam / (cell.steps * (1.0 if cell.coupling == "independent" else absolute_lr(cell)))
    scales = _scales(cell.dataset)
    share, _ = penalties.PENALTIES[cell.penalty].shares(cell.l1_ratio)
    anchor = scales.l1 / share if share else scales.l2
    return cell.lam * anchor


def absolute_lr(cell: Cell) -> float:
    """η_max of a cell. Relative η is in units of 1/L (Gower et al. 2019), times 1 - μ for the momentum methods.

    Raises UserError for a relative η of an optimiser whose step does not scale with 1/L.
    """
    if cell.lr_unit == "absolute":
        return cell.lr
    if cell.optimiser not in ("sgd", "momentum", "nesterov"):
        raise UserError(f"config.yaml: lr.{cell.optimiser}.unit: value 'relative': its step does not scale with 1/L; write absolute")
    gain = 1.0 - cell.beta1 if cell.optimiser in ("momentum", "nesterov") else 1.0
    return cell.lr * gain / _smoothness(cell.dataset, cell.batch_size)


def problem(cell: Cell) -> tuple[Any, ...]:
    """What decides a convex cell's exact minimiser: block, model, penalty and mask."""
    return cell.dataset, cell.replicate, cell.model, cell.penalty, cell.l1_ratio, cell.lam, cell.lam_unit, cell.decay_mask


def _tolerance(block: "Block") -> float:
    """Certificate over F that the solver must reach. Wide problems get a looser one, still far below any trained cell's gap."""
    return 1e-9 if block.X["train"].shape[1] * block.n_outputs < WIDE else 1e-6


def solve(cells: list[Cell]) -> Iterator[tuple[Cell, "oracle.Solution"]]:
    """Exact minimisers of cells that share data set, replicate, model, penalty and mask."""
    first = cells[0]
    block = _block(first.dataset, first.replicate)
    lambdas = [absolute_lambda(cell) for cell in cells]
    yield from zip(cells, oracle.solve(block, first.model, first.penalty, first.l1_ratio, lambdas, first.decay_mask,
                                       _tolerance(block)), strict=True)


def _identity(cell: Cell, cell_id: str, sha: str, lr: float | None) -> dict[str, Any]:
    lam = absolute_lambda(cell)
    lambda1, lambda2 = penalties.split(cell.penalty, cell.l1_ratio, lam)
    return {
        "cell_id": cell_id, "dataset": cell.dataset, "dataset_base": datasets.base_name(cell.dataset), "data_sha256": sha,
        "model": cell.model, "optimiser": cell.optimiser, "penalty": cell.penalty, "l1_ratio": cell.l1_ratio, "lambda": lam,
        "lambda_rel": cell.lam if cell.lam_unit == "relative" else np.nan,
        "lambda_clock": cell.lam if cell.lam_unit == "clock" else np.nan, "lambda1": lambda1, "lambda2": lambda2,
        "coupling": cell.coupling, "precision": cell.precision, "rounding": cell.rounding,
        "lr": np.nan if lr is None else lr, "lr_rel": cell.lr if cell.lr_unit == "relative" else np.nan,
        "schedule": cell.schedule, "steps": np.nan if cell.steps is None else cell.steps,
        "batch_size": np.nan if cell.batch_size is None else cell.batch_size, "decay_mask": cell.decay_mask,
        "decay_phase": cell.decay_phase, "clip": np.nan if cell.clip is None else cell.clip, "ema": cell.ema,
        "init_scale": cell.init_scale, "replicate": cell.replicate, "beta1": cell.beta1, "beta2": cell.beta2,
        "sphere": cell.sphere,
    }


def _finish_networks(outcomes: "list[Outcome]", block: "Block", identities: list[dict[str, Any]], probes: str) -> list[dict[str, Any]]:
    """Rows of networks of one block and program; probes: its probes, joined by +."""
    outputs = {
        iterate: {split: np.stack([o.outputs[iterate][split] for o in outcomes], 1) for split in splits}
        for iterate, splits in outcomes[0].outputs.items()
    }
    norms = None if outcomes[0].head_norms is None else np.stack([o.head_norms for o in outcomes])
    measured = rows.measure_network(block, outputs, np.stack([o.weight for o in outcomes]), np.stack([o.bias for o in outcomes]), norms)
    if "temperature" in probes.split("+"):
        measured |= rows.tempered(block, outputs[""])
    finished = []
    for i, outcome in enumerate(outcomes):
        row = identities[i] | {name: values[i] for name, values in measured.items()} | block.descriptors
        finished.append(row | {"objective": row["train_loss"] + outcome.penalty, "block_sha256": block.sha256[:16]})
    return finished


def _finish_language(outcomes: "list[Outcome]", block: "Block", identities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of language models of one block, whose losses and errors were taken where they were trained."""
    measured = rows.measure_weights(np.stack([o.weight for o in outcomes]), np.stack([o.bias for o in outcomes]))
    finished = []
    for i, outcome in enumerate(outcomes):
        row = identities[i] | outcome.scores | {name: values[i] for name, values in measured.items()} | block.descriptors
        finished.append(row | {"objective": row["train_loss"] + outcome.penalty, "nll": row["test_loss"],
                               "block_sha256": block.sha256[:16]})
    return finished


def _finish(cells: list[Cell], weight: np.ndarray, bias: np.ndarray, block: "Block", solutions: Sequence[oracle.Solution | None],
            identities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of cells of one block from their weights [C, d, k], [C, k]; `solutions` per cell, or None."""
    measured = rows.measure(block, weight, bias)
    finished = []
    for i, cell in enumerate(cells):
        row = identities[i] | {name: values[i] for name, values in measured.items()} | block.descriptors
        factor = BIAS_SHARE[cell.decay_mask]
        penalty = penalties.value(weight[i], row["lambda1"], row["lambda2"])
        if factor:
            penalty += penalties.value(bias[i], factor * row["lambda1"], factor * row["lambda2"])
        row["objective"] = row["train_loss"] + float(penalty)
        row["block_sha256"] = block.sha256[:16]
        solution = solutions[i]
        if solution is not None:
            row["oracle_gap"] = row["objective"] - solution.objective
            row["oracle_distance"] = float(np.sqrt(
                np.square(weight[i] - solution.W).sum() + np.square(bias[i] - solution.b).sum()
            ))
            row["oracle_certificate"] = solution.certificate
        finished.append(row)
    return finished


def exact_rows(cells: dict[Cell, str], sha: str, supports: frozenset[str]) -> Iterator[dict[str, pd.DataFrame]]:
    """Chunks {rows, supports} of exact cells; `cells` maps a cell to its id, `supports` are ids whose non-zeros are kept."""
    blocks: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        blocks[cell.dataset, cell.replicate][cell.penalty, cell.l1_ratio, cell.decay_mask].append(cell)
    for (spec, replicate), problems in blocks.items():
        started = time.perf_counter()
        block = _block(spec, replicate)
        solved = [pair for path in problems.values() for pair in solve(path)]
        members = [cell for cell, _ in solved]
        weight = np.stack([s.W for _, s in solved])
        bias = np.stack([s.b for _, s in solved])
        identities = [_identity(cell, cells[cell], sha, None) for cell in members]
        table = _finish(members, weight, bias, block, [s for _, s in solved], identities)
        seconds = (time.perf_counter() - started) / len(members)
        kept = []
        for row, (_, solution) in zip(table, solved, strict=True):
            row |= {"status": "ok", "train_seconds": seconds, "solver_converged": bool(solution.converged),
                    "solver_iterations": int(solution.iterations)}
            if row["cell_id"] in supports:
                used = np.flatnonzero((solution.W != 0).any(1))
                kept += [(row["cell_id"], int(j)) for j in used]
        yield {"rows": pd.DataFrame(table),
               "supports": pd.DataFrame(kept, columns=["cell_id", "feature"]).astype({"feature": "int32"})}


def trained_rows(cells: dict[Cell, str], sha: str, solution_of: Callable[[Cell], object],
                 device: str = "cpu") -> Iterator[dict[str, pd.DataFrame]]:
    """Chunks {rows, trajectories} of trained cells; `solution_of(cell)` is the cell's exact minimiser."""
    from wdbench import engine

    by_spec: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_spec[cell.dataset].append(cell)
    for spec, members in by_spec.items():
        blocks = {r: datasets.block(spec, r) for r in sorted({c.replicate for c in members})}
        data = {r: _data(spec, block) for r, block in blocks.items()}
        runs = [_run(cell) for cell in members]
        started = time.perf_counter()
        for chunk in engine.train(runs, data, device):
            seconds = (time.perf_counter() - started) / len(chunk)
            by_replicate: dict[int, list[Any]] = defaultdict(list)
            for position, outcome in chunk:
                by_replicate[members[position].replicate].append((members[position], runs[position], outcome))
            table, track = [], []
            for replicate, found in by_replicate.items():
                identities = [_identity(c, cells[c], sha, run.lr) for c, run, _ in found]
                if found[0][2].scores:
                    part = _finish_language([o for _, _, o in found], blocks[replicate], identities)
                elif found[0][2].outputs:
                    part = _finish_networks([o for _, _, o in found], blocks[replicate], identities, found[0][0].probes)
                else:
                    part = _finish(
                        [c for c, _, _ in found], np.stack([o.weight for _, _, o in found]),
                        np.stack([o.bias for _, _, o in found]), blocks[replicate], [solution_of(c) for c, _, _ in found], identities,
                    )
                for row, (_, _, outcome) in zip(part, found, strict=True):
                    table.append(_with_status(row | outcome.probe, outcome) | {"train_seconds": seconds})
                    track += [(row["cell_id"], *point) for point in outcome.trajectory]
            columns = ["cell_id", "step", "train_loss", "val_loss", "test_loss", "weight_norm"]
            yield {"rows": pd.DataFrame(table), "trajectories": pd.DataFrame(track, columns=columns).astype({"test_loss": float})}
            started = time.perf_counter()


def _with_status(row: dict[str, Any], outcome: "Outcome") -> dict[str, Any]:
    """A diverged cell keeps its identity and its record; what was measured on its last weights is no result."""
    row |= {"last_finite_loss": outcome.last_finite_loss}
    if outcome.diverged_step is None:
        return row | {"status": "ok", "diverged_step": np.nan, "max_abs_weight": np.nan}
    results = [name for name in row if name.endswith(("_loss", "_error")) and name != "last_finite_loss"]
    results += [name for name in row if "jacobian" in name or name.startswith(_PROBED)]
    results += [name for name in (*_RESULTS, "objective", "oracle_gap", "oracle_distance") if name in row]
    row |= dict.fromkeys(results, np.nan)
    return row | {"status": "diverged", "diverged_step": outcome.diverged_step, "max_abs_weight": outcome.max_abs_weight}


_RESULTS = (
    "nll", "ece", "ece_debiased", "brier", "confidence_gap", "auc", "average_precision", "balanced_accuracy", "minority_recall",
    "minority_confidence_gap", "tail_recall", "head_norm_ratio", "temperature",
    "tempered_nll",
    "weight_norm", "weight_norm_1", "weight_norm_inf", "zero_fraction", "participation_ratio",
    "max_sq_weight", "mean_sq_weight", "bias_norm", "support_tpr", "support_fdp", "support_f1", "support_f1_topk",
    "hessian_trace", "sharpness", "stable_rank", "effective_rank", "curve_gap", "curve_gap_plain",
)
# what a probe read of a run that diverged; its spikes are kept
_PROBED = ("rotation", "gradient_noise", "noise_scale", "grad_", "radial_", "init_distance", "init_cosine", "loss_slope", "linf_")


def _form(coupling: str) -> str:
    return rules.couplings[coupling].form if coupling in rules.couplings else FORMS[coupling]


def _run(cell: Cell) -> Run:
    lambda1, lambda2 = penalties.split(cell.penalty, cell.l1_ratio, absolute_lambda(cell))
    program = Program(cell.model, cell.optimiser, cell.precision, cell.rounding, cell.schedule, cell.steps,
                             cell.batch_size, _form(cell.coupling), lambda1 > 0, cell.ema, cell.probes, cell.beta1, cell.beta2,
                             cell.sphere)
    return Run(program, cell.coupling, lambda1, lambda2, absolute_lr(cell), cell.decay_mask, cell.init_scale, cell.replicate,
               cell.decay_phase, math.inf if cell.clip is None else cell.clip)


def _data(spec: str, block: "Block") -> Data:
    if hasattr(block.X["train"], "tocsr"):
        raise UserError(f"config.yaml: data set {spec!r}: its rows are sparse and only the exact solver takes those; "
                        f"train on {spec}:top=1000 instead")
    # the symbols of a language stay the small integers that they are: text may be larger than memory
    y = block.y if block.task == "language" else {part: targets.astype(float) for part, targets in block.y.items()}
    return Data(datasets.base_name(spec), block.task, block.n_outputs, block.X["train"], y["train"], block.X["val"], y["val"],
                block.X["test"], y["test"])
