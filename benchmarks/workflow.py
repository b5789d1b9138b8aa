"""What the workflow costs beside training: plan, snakemake with nothing to do, gather, judge, report, at 1,000 to 100,000 cells.

    python -m benchmarks.workflow [--cells 1000 10000 100000] [--packs 2 8 32] [--out benchmarks/results]

Trains the cells first (exact ridge on a generated data set, which is quick), in a temporary folder, through snakemake; then times each
step by itself: wall time and the largest memory of its process. Writes workflow.csv. Then the same number of cells in ever more packs,
from nothing to the report on 2 cores: what a pack costs because it is one. Writes packs.csv.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parent.parent
LAMBDAS = 50
# every number of packs divides it
CELLS_IN_PACKS = 3_200


def config(cells: int, packs: int = 1) -> dict:
    """One study of so many cells: LAMBDAS ridge penalties x replicates, on as many data sets as there are to be packs."""
    names = [f"sparse:n=50,p={20 + i}" for i in range(packs)]
    study = {"about": "ridge, solved exactly", "datasets": names, "model": "glm", "penalties": ["none", "l2"],
             "lambda": {"l2": {"from": 1e-4, "to": 1, "points": LAMBDAS - 1}}, "couplings": ["coupled"], "precisions": ["fp64"],
             "optimisers": ["exact"], "replicates": cells // LAMBDAS // packs}
    return {"profile": "core", "results": "results", "claims": "bench_claims.yaml", "studies": {"ridge": study}, "profiles": {"core": {}}}


CLAIMS = """claims:
- id: W1
  sentence: "ridge lowers test risk"
  source: "benchmark"
  family: benchmark
  kind: superiority
  study: ridge
  arms:
    treatment: {where: penalty == "l2", label: ridge, select: {over: [lambda_rel], edge: {lambda_rel.low: "no penalty"}}}
    control: {where: penalty == "none", label: least squares}
  metric: test_loss
  effect: relative
  direction: lower
  margin: 0.03
  figure: path_and_forest
"""


def measured(folder: Path, *words: str) -> dict[str, float]:
    """Wall seconds and largest resident memory in MiB of a command, which must succeed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with open(folder / "log", "ab") as log:
        started = time.perf_counter()
        child = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {child.returncode}\n{(folder / 'log').read_text()[-3000:]}")
    return {"seconds": seconds, "mib": usage.ru_maxrss / 1024}


def steps() -> dict[str, tuple[str, ...]]:
    verb = lambda *words: (sys.executable, "-m", "wdbench", *words)  # noqa: E731
    return {
        "plan": verb("plan"),
        "snakemake -n, nothing to do": ("snakemake", "-n"),
        "snakemake, nothing to do": ("snakemake", "--cores", "2"),
        "gather": verb("gather"),
        "judge": verb("judge"),
        "report": verb("report"),
    }


def project(folder: Path, cells: int, packs: int = 1) -> None:
    """A project in `folder` whose claims are registered; nothing is trained."""
    shutil.copyfile(ROOT / "Snakefile", folder / "Snakefile")
    (folder / "config.yaml").write_text(yaml.safe_dump(config(cells, packs), sort_keys=False))
    (folder / "bench_claims.yaml").write_text(CLAIMS)
    measured(folder, sys.executable, "-m", "wdbench", "register")


def in_packs(counts: list[int]) -> pd.DataFrame:
    """A row a number of packs: seconds of the whole run from nothing, and what each pack more than the fewest added to it, core-seconds."""
    rows = []
    for packs in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            project(folder, CELLS_IN_PACKS, packs)
            seconds = measured(folder, "snakemake", "--cores", "2")["seconds"]
            there = len(pd.read_parquet(folder / "results/runs.parquet", columns=["cell_id"]))
            assert there == CELLS_IN_PACKS, f"{there} rows of {CELLS_IN_PACKS}"
        rows.append({"packs": packs, "cells": there, "seconds": seconds})
        print(f"{packs:>8,} packs  {seconds:>7.1f} s", flush=True)
    table = pd.DataFrame(rows)
    more = table["packs"] - table["packs"].min()
    table["core_seconds_a_pack"] = 2 * (table["seconds"] - table["seconds"].iloc[table["packs"].argmin()]) / more.where(more > 0)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--packs", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    for packs in chosen.packs:
        if CELLS_IN_PACKS % (LAMBDAS * packs):
            parser.error(f"--packs {packs}: {CELLS_IN_PACKS // LAMBDAS} replicates are not divided by it; valid: powers of 2 up to 64")
    rows = []
    for cells in chosen.cells:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            project(folder, cells)
            measured(folder, "snakemake", "--cores", "2")
            there = len(pd.read_parquet(folder / "results/runs.parquet", columns=["cell_id"]))
            assert there == cells, f"{there} rows of {cells}"
            for step, words in steps().items():
                rows.append({"cells": cells, "step": step, **measured(folder, *words)})
                print(f"{cells:>8,} cells  {step:<28} {rows[-1]['seconds']:>7.1f} s  {rows[-1]['mib']:>6.0f} MiB", flush=True)
    chosen.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(chosen.out / "workflow.csv", index=False, float_format="%.4g")
    in_packs(chosen.packs).to_csv(chosen.out / "packs.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
