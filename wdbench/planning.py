"""wdbench plan: what a run would do, before it does it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from wdbench import datasets, grid, pace, progress, provenance, wall, work
from wdbench.config.experiment import Experiment
from wdbench.store import Store

TOLD_APART = ("dataset", "model", "optimiser", "penalty", "l1_ratio", "coupling", "precision", "rounding", "schedule", "steps",
              "batch_size", "decay_mask", "init_scale", "replicate", "decay_phase", "clip", "ema", "beta1", "beta2", "sphere")


def report(experiment: Experiment, cores: int = 1) -> dict[str, Any]:
    """{packs: [{pack, cells, cached, missing, predicted_minutes}], cells, missing, predicted_minutes, cores, predicted_wall_minutes,
    unavailable, without_data: [{pack, cells, core_hours, a100_hours}], ...}.

    The prediction is learnt from the stored rows and from the accepted runs (`pace.py`); where those say nothing of a kind of cell it is
    the rough cost of its steps (`grid.predicted_seconds`), as always for the packs whose data are not here. predicted_minutes: of one
    core, for training; predicted_wall_minutes: of the run on `cores`, to the report (`wall.py`). a100_hours (`costs.py`): None for models
    trained in stacks.
    """
    packs, absent = grid.available_packs(experiment)
    store = Store(work.paths(experiment)["store"], provenance.platform_key(experiment.device))
    entries: list[dict[str, Any]] = []
    stored: dict[str, pd.DataFrame] = {}
    wanted: dict[str, Any] = {}
    sizes = progress.sizes(experiment)
    rough = {pack: seconds / max(cells, 1) for pack, (cells, seconds) in sizes.items()}
    for pack in packs:
        ids = wanted[pack] = work.cell_ids(grid.pack_cells(experiment, pack))
        known, rows = set(ids.values()), store.load(pack, "rows")
        cached = len(known & set(rows["cell_id"]))
        stored[pack] = rows
        stale = rows[~rows["cell_id"].isin(known)]
        entries.append({"pack": pack, "cells": len(ids), "cached": cached, "missing": len(ids) - cached, "stale": len(stale),
                        "stale_by": _why(stale, ids, pack)})
    reference = experiment.results / "reference"
    known_pace = pace.pace(stored, {pack: set(ids.values()) for pack, ids in wanted.items()},
                           [reference / "pace.csv", reference / experiment.profile / "pace.csv"])
    for entry in entries:
        pack, done = entry["pack"], set(stored[entry["pack"]]["cell_id"])
        missing = [cell for cell, cell_id in wanted[pack].items() if cell_id not in done]
        entry["predicted_minutes"] = known_pace.seconds(pack, missing, rough[pack]) / 60
    wall_seconds = _wall(experiment, entries, wanted, known_pace, cores)
    elsewhere, here = store.other_platforms(), provenance.platform_facts(experiment.device)
    return {
        "profile": experiment.profile, "packs": entries,
        **{key: sum(e[key] for e in entries) for key in ("cells", "cached", "missing", "stale", "predicted_minutes")},
        "cores": cores, "predicted_wall_minutes": wall_seconds / 60,
        "prediction_rests_on": _grounds(packs, known_pace, any(map(len, stored.values()))),
        "without_data": [_without_data(experiment, pack, *sizes[pack]) for pack in sorted(set(sizes) - set(packs))],
        "stale_by": {why: sum(e["stale_by"].get(why, 0) for e in entries) for why in ("config", "data", "code")},
        "unavailable": absent, "other_platforms": elsewhere,
        "platforms_differ_in": {name: _differences(store.facts(name), here) for name in elsewhere},
    }


def _grounds(packs: list[str], known: pace.Pace, own: bool) -> str:
    """What the prediction rests on, in words."""
    if not all(map(known.knows, packs)):
        return "the rough cost of a step where no row is stored"
    return "stored rows" if own else "the accepted run's pace"


def _wall(experiment: Experiment, entries: list[dict[str, Any]], wanted: dict[str, Any], known: pace.Pace, cores: int) -> float:
    """Seconds of the whole run. What an oracle solves is priced as the exact cells of its data set are."""
    todo = {entry["pack"]: 60 * entry["predicted_minutes"] for entry in entries if entry["missing"]}
    convex = {pack: grid.has_oracle(pack) for pack in todo}
    problems: dict[str, set[tuple[Any, ...]]] = {}
    for pack in (pack for pack in todo if convex[pack]):
        found = problems.setdefault(pack.split("~")[0], set())
        found |= {(c.dataset, c.replicate, c.model, c.penalty, c.l1_ratio, c.lam, c.lam_unit, c.decay_mask) for c in wanted[pack]}
    exact = {base: known.own.get(next((f"{base}~{p[2]}~exact" for p in found), ""), 2e-3) for base, found in problems.items()}
    # counted, not read: a plan does not depend on whether the claims are right
    claims = experiment.claims.read_text(encoding="utf-8", errors="replace").count("- id:") if experiment.claims.is_file() else 0
    return wall.seconds(todo, convex, {base: len(found) * exact[base] for base, found in problems.items()},
                        sum(entry["cells"] for entry in entries), claims, cores)


def _why(stale: pd.DataFrame, ids: dict[grid.Cell, str], pack: str) -> dict[str, int]:
    """Stale rows of a pack by what has changed since: config (it no longer asks for them), data, or code (of wdbench or of a plugin)."""
    if not len(stale):
        return {}
    planned = {_key(asdict(cell), cell.lam, cell.lr) for cell in ids}
    sha = datasets.status(pack.split("~")[0]).sha256
    count: Counter[str] = Counter()
    for row in stale.to_dict("records"):
        lam = next((row[name] for name in ("lambda_rel", "lambda_clock") if row[name] == row[name]), row["lambda"])
        asked = _key(row, lam, row["lr_rel"] if row["lr_rel"] == row["lr_rel"] else row["lr"]) in planned
        count["config" if not asked else "data" if row["data_sha256"] != sha else "code"] += 1
    return dict(count)


def _key(fields: Mapping[Any, Any], lam: float, lr: float | None) -> tuple[Any, ...]:
    """What tells cells of a pack apart, the same from a planned cell and from its row."""
    return tuple(None if value != value else value for value in (lam, lr, *(fields.get(name) for name in TOLD_APART)))


def _differences(there: dict[str, str], here: dict[str, str]) -> list[str]:
    return [f"{name} {there.get(name, 'none')} there, {here.get(name, 'none')} here"
            for name in sorted({*there, *here}) if there and there.get(name) != here.get(name)]


def _without_data(experiment: Experiment, pack: str, cells: int, seconds: float) -> dict[str, Any]:
    """Entry of a pack whose data are not here."""
    name, dataset, model, *_ = grid.members(experiment)[pack][0]
    hours = None
    if model not in grid.GLM.values():
        # torch's flop counter is loaded only where there is something to count
        from wdbench import costs

        if costs.cell(experiment.studies[name], dataset, model) is not None:
            hours = costs.a100_hours(dataset, seconds * costs.CORE_RATE)
    return {"pack": pack, "cells": cells, "core_hours": seconds / 3600, "a100_hours": hours}


def text(found: dict[str, Any]) -> str:
    """The report for a person."""
    lines = [f"profile {found['profile']}: {found['cells']:,} cells in {len(found['packs'])} packs, "
             f"{found['cached']:,} stored, {found['missing']:,} to train, about {found['predicted_minutes']:.1f} core-minutes "
             f"({found['prediction_rests_on']}); with all else about {found['predicted_wall_minutes']:.1f} minutes on {found['cores']} "
             f"{'core' if found['cores'] == 1 else 'cores'}"]
    if found["stale"]:
        words = {"config": "this config does not ask for them", "data": "of other data", "code": "of other code"}
        why = ", ".join(f"{count:,} {words[name]}" for name, count in found["stale_by"].items() if count)
        lines.append(f"{found['stale']:,} stored rows are kept and not used: {why}")
    for name, files in found["other_platforms"].items():
        why = "; ".join(found["platforms_differ_in"].get(name, []))
        lines.append(f"{files} stored chunks were written on another platform ({why or name}) and are not used")
    for name, command in found["unavailable"].items():
        lines.append(f"data set {name} is unavailable; get it with: {command}")
    width = max(len(e["pack"]) for e in found["packs"]) if found["packs"] else 4
    lines.append(f"{'pack':<{width}}  {'cells':>7}  {'stored':>7}  {'to train':>8}  core-min")
    lines += [f"{e['pack']:<{width}}  {e['cells']:>7,}  {e['cached']:>7,}  {e['missing']:>8,}  {e['predicted_minutes']:>8.2f}"
              for e in found["packs"]]
    if found["without_data"]:
        core, hours = (sum(e[key] or 0.0 for e in found["without_data"]) for key in ("core_hours", "a100_hours"))
        lines += ["", f"packs whose data are not here, by the arithmetic of their steps: about {core:,.1f} core-hours"
                  + (f", or {hours:,.0f} hours of one A100, a rough guide" if hours else "")]
        width = max(len(e["pack"]) for e in found["without_data"])
        lines.append(f"{'pack':<{width}}  {'cells':>7}  {'core-hours':>12}  {'A100-hours':>10}")
        lines += [f"{e['pack']:<{width}}  {e['cells']:>7,}  {e['core_hours']:>12,.2f}  "
                  f"{'-' if e['a100_hours'] is None else format(e['a100_hours'], ',.1f'):>10}" for e in found["without_data"]]
    return "\n".join(lines)
