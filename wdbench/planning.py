"""wdbench plan: what a run would do, before it does it."""

from wdbench import gather, grid, provenance, work
from wdbench.config.experiment import Experiment
from wdbench.store import Store


def report(experiment: Experiment) -> dict:
    """{packs: [{pack, cells, cached, missing, predicted_minutes}], cells, missing, predicted_minutes, unavailable, ...}.

    The prediction is the measured seconds a cell of the same pack, or the rough cost of its steps (`grid.predicted_seconds`) where
    none is stored.
    """
    packs, absent = gather.available_packs(experiment)
    store = Store(work.paths(experiment)["store"], provenance.platform_key(experiment.device))
    entries, pace = [], {}
    rough = {pack: seconds / max(cells, 1) for pack, (cells, seconds) in work.sizes(experiment).items()}
    for pack in packs:
        ids = set(work.cell_ids(grid.pack_cells(experiment, pack)).values())
        rows = store.load(pack, "rows")
        cached = len(ids & set(rows["cell_id"]))
        if len(rows):
            pace[pack] = float(rows["train_seconds"].mean())
        entries.append({"pack": pack, "cells": len(ids), "cached": cached, "missing": len(ids) - cached,
                        "stale": len(set(rows["cell_id"]) - ids)})
    for entry in entries:
        entry["predicted_minutes"] = entry["missing"] * pace.get(entry["pack"], rough[entry["pack"]]) / 60
    return {
        "profile": experiment.profile, "packs": entries,
        **{key: sum(e[key] for e in entries) for key in ("cells", "cached", "missing", "stale", "predicted_minutes")},
        "prediction_rests_on": "stored rows" if set(packs) <= set(pace) else "the rough cost of a step where no row is stored",
        "unavailable": absent, "other_platforms": store.other_platforms(),
    }


def text(found: dict) -> str:
    """The report for a person."""
    lines = [f"profile {found['profile']}: {found['cells']:,} cells in {len(found['packs'])} packs, "
             f"{found['cached']:,} stored, {found['missing']:,} to train, about {found['predicted_minutes']:.1f} core-minutes "
             f"({found['prediction_rests_on']})"]
    if found["stale"]:
        lines.append(f"{found['stale']:,} stored rows belong to other versions of config, data or code and are not used")
    for name, files in found["other_platforms"].items():
        lines.append(f"{files} stored chunks were written on another platform ({name}) and are not used")
    for name, command in found["unavailable"].items():
        lines.append(f"data set {name} is unavailable; get it with: {command}")
    width = max(len(e["pack"]) for e in found["packs"]) if found["packs"] else 4
    lines.append(f"{'pack':<{width}}  {'cells':>7}  {'stored':>7}  {'to train':>8}  core-min")
    lines += [f"{e['pack']:<{width}}  {e['cells']:>7,}  {e['cached']:>7,}  {e['missing']:>8,}  {e['predicted_minutes']:>8.2f}"
              for e in found["packs"]]
    return "\n".join(lines)
