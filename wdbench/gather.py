"""From the packs' tables to the published ones; refuses to gather anything but exactly the planned cells."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from wdbench import atomic, datasets, dictionary, grid, provenance, sealing, stats, work
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError

ARM = ("dataset", "model", "optimiser", "penalty", "l1_ratio", "lambda", "lambda_rel", "lambda_clock", "coupling",
       "precision", "rounding", "lr", "schedule", "steps", "batch_size", "decay_mask", "decay_phase", "clip", "ema",
       "init_scale", "beta1", "beta2", "sphere")
# what runs.parquet has whatever was run: claims and figures name these columns, and a run of one kind of model lacks some
ALWAYS = ("diverged_step", "train_loss", "val_loss", "test_loss", "objective", "train_error", "val_error", "test_error", "weight_norm",
          "weight_norm_inf", "zero_fraction", "nll", "ece", "confidence_gap", "fidelity", "updates_lost", "oracle_gap",
          "oracle_distance", "oracle_certificate")
SUMMARISED = ("train_loss", "val_loss", "test_loss", "test_error", "weight_norm", "zero_fraction", "ece", "fidelity",
              "updates_lost", "oracle_gap")


def plan(experiment: Experiment) -> pd.DataFrame:
    """One row a planned cell: cell_id, pack, study and the cell's own fields, packs in name order."""
    parts = []
    for pack in sorted(grid.members(experiment)):
        wanted = grid.pack_cells(experiment, pack)
        ids = work.cell_ids(wanted)
        fields = {name: [getattr(cell, name) for cell in wanted] for name in grid.Cell.__slots__}
        parts.append(pd.DataFrame({"cell_id": list(ids.values()), "pack": pack,
                                   "study": ["+".join(s) for s in wanted.values()], **fields}))
    table = pd.concat(parts, ignore_index=True)
    return table.rename(columns={"lam": "lambda_given", "lam_unit": "lambda_unit", "lr": "lr_given"})


def gather(experiment: Experiment) -> dict[str, Path]:
    """Write plan, runs, trajectories, supports, oracle and summary. Raises UserError where a planned row is missing."""
    where = work.paths(experiment)
    packs, absent = grid.available_packs(experiment)
    planned = plan(experiment)
    expected = planned[planned["pack"].isin(packs)]
    runs = _concatenate(experiment, packs, "")
    missing = set(expected["cell_id"]) - set(runs["cell_id"])
    foreign = set(runs["cell_id"]) - set(expected["cell_id"])
    if missing or foreign:
        raise UserError(f"{where['packs']}: {len(missing)} planned cells missing and {len(foreign)} that the plan does not have; "
                        f"run snakemake --cores 2 again")
    # in one piece: packs of many kinds have many columns in different places
    runs = runs.assign(**{name: np.nan for name in ALWAYS if name not in runs}).copy()
    supports = _concatenate(experiment, packs, ".supports")
    if len(supports):
        runs = runs.assign(support_jaccard=jaccard(runs, supports))
    written = {
        "plan": sealing.write_csv(where["plan"], planned.assign(available=planned["pack"].isin(packs))),
        "runs": sealing.write_parquet(where["runs"], dictionary.ordered(runs, "runs")),
        "trajectories": sealing.write_parquet(where["trajectories"], _concatenate(experiment, packs, ".trajectories")),
        "supports": sealing.write_parquet(where["supports"], supports),
        "oracle": sealing.write_parquet(where["oracle"], _oracles(experiment, packs)),
        "summary": sealing.write_csv(where["summary"], summary(runs)),
        "datasets": sealing.write_csv(where["datasets"], dataset_table(experiment, absent)),
    }
    return written


def _concatenate(experiment: Experiment, packs: list[str], suffix: str) -> pd.DataFrame:
    frames = []
    for pack in packs:
        path = work.paths(experiment)["packs"] / f"{pack}{suffix}.parquet"
        try:
            frame = sealing.read(path)
        except sealing.Damaged:
            sealing.set_aside(path)
            work.train(experiment, pack)
            frame = sealing.read(path)
        if len(frame):
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"cell_id": pd.Series(dtype=str)})


def _oracles(experiment: Experiment, packs: list[str]) -> pd.DataFrame:
    bases = sorted({p.split("~")[0] for p in packs if grid.has_oracle(p)})
    frames = [work.solutions(experiment, base).drop(columns=["key", "weights", "bias"]) for base in bases]
    if not frames:
        return pd.DataFrame({"dataset": pd.Series(dtype=str)})
    return pd.concat(frames, ignore_index=True).rename(columns={"lam": "lambda_given", "lam_unit": "lambda_unit"})


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Arm x metric: mean with 95 % t interval over the replicates that finished, their number, and how many diverged.

    n_diverged stands beside every mean, which is over survivors only and says so by its n.
    """
    arm = [name for name in ARM if name in runs]
    keys = runs[arm].apply(lambda column: column.fillna(np.nan).astype(object).where(column.notna(), ""))
    number = keys.groupby(arm, sort=False).ngroup()
    first = runs[arm].groupby(number).first()
    diverged = (runs["status"] == "diverged").groupby(number).sum()
    parts = []
    for metric in SUMMARISED:
        if metric not in runs:
            continue
        values = runs[metric].where(runs["status"] == "ok").astype(float)
        grouped = values.groupby(number)
        count, mean, sd = grouped.count(), grouped.mean(), grouped.std(ddof=1)
        half = stats.t_half_width(sd.to_numpy(), count.to_numpy())
        table = first.assign(metric=metric, mean=mean, ci_low=mean - half, ci_high=mean + half, n=count, n_diverged=diverged)
        parts.append(table[(count > 0) | (diverged > 0)])
    return pd.concat(parts, ignore_index=True)


def jaccard(runs: pd.DataFrame, supports: pd.DataFrame) -> pd.Series:
    """Jaccard index of each even replicate's kept features with those of the next replicate, same arm; NaN elsewhere.

    Disjoint pairs, so that the values of a data set are independent of each other. Two empty sets agree (1).
    """
    kept = supports.groupby("cell_id")["feature"].agg(frozenset)
    eligible = runs[runs["study"].isin(runs.loc[runs["cell_id"].isin(kept.index), "study"]) & (runs["optimiser"] == "exact")]
    arm = ["dataset", "penalty", "l1_ratio", "lambda", "decay_mask", "study"]
    found = {}
    for _, group in eligible.groupby(arm):
        by_replicate = dict(zip(group["replicate"], zip(group.index, group["cell_id"], strict=True), strict=True))
        for replicate, (index, cell) in by_replicate.items():
            if replicate % 2 == 0 and replicate + 1 in by_replicate:
                one, two = (kept.get(c, frozenset()) for c in (cell, by_replicate[replicate + 1][1]))
                found[index] = len(one & two) / len(one | two) if one | two else 1.0
    return pd.Series(found, dtype=float).reindex(runs.index)


def dataset_table(experiment: Experiment, absent: dict[str, str]) -> pd.DataFrame:
    """Data sets of the plan: task, provider, licence, citation, status, and the command that gets a missing one."""
    bases = sorted({pack.split("~")[0] for pack in grid.members(experiment)})
    rows = []
    for base in bases:
        entry = datasets.registry.entry(base)
        rows.append({"dataset": base, "task": entry.task, "provider": entry.provider,
                     "shape": " x ".join(map(str, entry.shape)), "split": entry.split, "licence": entry.licence,
                     "licence_url": entry.licence_url, "citation": entry.citation, "data_sha256": datasets.status(base).sha256,
                     "status": "unavailable" if base in absent else "available", "how_to_get": absent.get(base, "")})
    return pd.DataFrame(rows)


def manifest(experiment: Experiment) -> Path:
    """Provenance, and sha256 of every published table; content_sha256 leaves out the columns that measure time."""
    where = work.paths(experiment)
    tables = {}
    for name in ("plan", "runs", "trajectories", "supports", "oracle", "summary", "datasets", "identities", "selected", "effects",
                 "verdicts", "mechanisms", "mechanism_pairs", "advice", "precision", "controls", "torch_flags", "dictionary"):
        path = where[name]
        content = sealing.content(path)
        tables[path.name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        if path.suffix == ".parquet":
            frame = sealing.read(path)
            tables[path.name] |= {"rows": len(frame), "content_sha256": content_digest(frame)}
    runs = sealing.read(where["runs"], columns=["cell_id", "status", "train_seconds"])
    facts = {
        "profile": experiment.profile, "cells": len(runs), "status": runs["status"].value_counts().sort_index().to_dict(),
        "train_seconds": float(runs["train_seconds"].sum()), **provenance.commit(),
        "platform": provenance.platform_facts(experiment.device),
        "platform_key": provenance.platform_key(experiment.device),
        "code": _code(experiment), "tables": tables,
    }
    return sealing.seal(atomic.write_text(where["manifest"], json.dumps(facts, indent=1, sort_keys=True) + "\n"))


def _code(experiment: Experiment) -> dict[str, str]:
    """`family~exact` or `family~trained` -> digest of the code that governs its cells."""
    found = {}
    for pack in grid.members(experiment):
        _, model, optimiser, *_ = pack.split("~")
        stage = "exact" if optimiser == "exact" else "trained"
        found[f"{model.partition(':')[0]}~{stage}"] = provenance.governing(model, stage)
    return found


def content_digest(frame: pd.DataFrame) -> str:
    """sha256 over a table's values without its columns of measured time: equal wherever the results are equal."""
    timed = [c for c in frame if c in dictionary.TIMED]
    return hashlib.sha256(frame.drop(columns=timed).to_csv(index=False).encode()).hexdigest()
