"""What the workflow costs beside training: plan, snakemake with nothing to do, gather, judge, report, at 1,000 to 100,000 cells.

    python -m benchmarks.workflow [--cells 1000 10000 100000] [--out benchmarks/results]

Trains the cells first (exact ridge on a generated data set, which is quick), in a temporary folder, through snakemake; then times each
step by itself: wall time and the largest memory of its process. Writes workflow.csv.
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


def config(cells: int) -> dict:
    """One study of so many cells: LAMBDAS ridge penalties x replicates."""
    study = {"about": "ridge, solved exactly", "datasets": ["sparse:n=50,p=20"], "model": "glm", "penalties": ["none", "l2"],
             "lambda": {"l2": {"from": 1e-4, "to": 1, "points": LAMBDAS - 1}}, "couplings": ["coupled"], "precisions": ["fp64"],
             "optimisers": ["exact"], "replicates": cells // LAMBDAS}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    rows = []
    for cells in chosen.cells:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copyfile(ROOT / "Snakefile", folder / "Snakefile")
            (folder / "config.yaml").write_text(yaml.safe_dump(config(cells), sort_keys=False))
            (folder / "bench_claims.yaml").write_text(CLAIMS)
            measured(folder, sys.executable, "-m", "wdbench", "register")
            measured(folder, "snakemake", "--cores", "2")
            there = len(pd.read_parquet(folder / "results/runs.parquet", columns=["cell_id"]))
            assert there == cells, f"{there} rows of {cells}"
            for step, words in steps().items():
                rows.append({"cells": cells, "step": step, **measured(folder, *words)})
                print(f"{cells:>8,} cells  {step:<28} {rows[-1]['seconds']:>7.1f} s  {rows[-1]['mib']:>6.0f} MiB", flush=True)
    chosen.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(chosen.out / "workflow.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
