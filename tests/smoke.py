"""The smoke profile in a folder of its own, as a user would run it, and sums of everything that it makes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
TABLES = ("plan.csv", "runs.parquet", "trajectories.parquet", "oracle.parquet", "supports.parquet", "summary.csv", "selected.csv",
          "effects.csv", "verdicts.csv", "identities.csv", "dictionary.csv", "datasets.csv",
          "mechanisms.csv", "mechanism_pairs.csv", "advice.csv", "precision.csv", "controls.csv", "torch_flags.csv")


def project(folder: Path) -> Path:
    """A copy of what a user edits; the package is the installed one."""
    (folder / "tests").mkdir(parents=True)
    for name in ("Snakefile", "config.yaml", "claims.yaml", "claims.lock.json", "tests/smoke_claims.yaml",
                 "tests/smoke_claims.lock.json"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    return folder


def environment(**changes: str) -> dict[str, str]:
    """Variables of a process that finds this environment's commands first."""
    return {**os.environ, **changes, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def snakemake(folder, *more, cores=2, code=0):
    # files to make come before --config, which would take them for settings
    files, others = ([word for word in more if word.startswith("results/") is known] for known in (True, False))
    return run(folder, "snakemake", "--cores", str(cores), *files, "--config", "profile=smoke", *others, code=code)


def wdbench(folder, *words, code=0):
    return run(folder, sys.executable, "-m", "wdbench", "--profile", "smoke", *words, code=code)


def stored(folder):
    """Files of trained and exact cells in the store."""
    return {f for f in (folder / "results/store").rglob("rows-*") if not f.parent.name.endswith("~oracle")}


def digests(folder):
    """sha256 of every table and figure; runs without its measured times."""
    results, found = folder / "results" / "smoke", {}
    for name in TABLES:
        path = results / name
        if name == "runs.parquet":
            content = pd.read_parquet(path).drop(columns="train_seconds").to_csv().encode()
        else:
            content = path.read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
    for path in sorted(path for path in (results / "figures").iterdir() if path.is_file()):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
