"""Where the time of a run went: core-seconds a rule, what of them was cells, and how long a core had nothing to do.

    snakemake --cores 2; python -m benchmarks.default [--folder .] [--cores 2] [--out benchmarks/results]

Reads the start and the end of every job from Snakemake's own records, and the cells' seconds from the packs; run it after a run from
nothing, on a machine with nothing else to do. Writes default.csv, a row a stage.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

STAGES = {"train_network": "packs of networks", "solve": "packs of exact solutions", "train": "packs of convex models", "oracle": "oracles",
          "identities": "identities", "torch_flags": "torch's flags", "check_data": "data checks", "gather": "gather", "judge": "judge",
          "conclude": "conclude", "draw": "figures", "render": "report"}
PACKS = ("train_network", "solve", "train", "oracle")


def jobs(folder: Path) -> pd.DataFrame:
    """A row a job: rule, output, start, end (seconds since the first job began). Raises SystemExit where there are none."""
    found = {}
    for path in (folder / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text())
            if record.get("rule") in STAGES and record.get("endtime"):
                found[record["rule"], record["log"][0]] = record["starttime"], record["endtime"]
    if not found:
        raise SystemExit(f"{folder}/.snakemake: no records of jobs; run snakemake --cores 2 there first")
    table = pd.DataFrame([(*key, *times) for key, times in found.items()], columns=["rule", "log", "start", "end"])
    first = table["start"].min()
    return table.assign(start=table["start"] - first, end=table["end"] - first)


def of_cells(folder: Path) -> dict[str, tuple[int, float]]:
    """Rule -> (cells, their seconds)."""
    found: dict[str, tuple[int, float]] = {}
    for path in sorted((folder / "results" / "packs").glob("*.parquet")):
        if path.suffixes[-2:] in ([".trajectories", ".parquet"], [".supports", ".parquet"]):
            continue
        model, optimiser = path.stem.split("~")[1:3]
        rule = "solve" if optimiser == "exact" else "train" if model in ("linear", "logistic", "softmax") else "train_network"
        seconds = pd.read_parquet(path, columns=["train_seconds"])["train_seconds"]
        cells, before = found.get(rule, (0, 0.0))
        found[rule] = cells + len(seconds), before + float(seconds.sum())
    return found


def idle(table: pd.DataFrame, cores: int) -> float:
    """Share of the cores' time, until the last pack is done, that the cores which had run out of packs before waited for it."""
    packs = table[table["rule"].isin(PACKS)].sort_values("end")
    last = packs["end"].iloc[-1]
    # each core's last job is among the last `cores` to end, unless one of them did two of those
    return float((last - packs["end"].iloc[-cores:]).sum() / (cores * last))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    table, cells = jobs(chosen.folder), of_cells(chosen.folder)
    table["seconds"] = table["end"] - table["start"]
    rows = []
    for rule, name in STAGES.items():
        own = table[table["rule"] == rule]
        count, seconds = cells.get(rule, (0, 0.0))
        beside = (own["seconds"].sum() - seconds) / len(own) if count else float("nan")
        rows.append({"stage": name, "jobs": len(own), "begins": own["start"].min(), "ends": own["end"].max(),
                     "core_seconds": own["seconds"].sum(), "cells": count, "of_cells": seconds, "beside_cells_a_job": beside})
    chosen.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(chosen.out / "default.csv", index=False, float_format="%.4g")
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda v: f"{v:,.1f}"))
    print(f"from the first job to the last {table['end'].max():,.0f} s on {chosen.cores} cores; "
          f"waiting for the last pack {100 * idle(table, chosen.cores):.1f} % of the cores' time until then")


if __name__ == "__main__":
    main()
