"""The smallest experiment that goes through every stage: what faults are injected into where the smoke profile would take too long."""

import shutil
from pathlib import Path

import smoke

CONFIG = """\
profile: core
results: results
claims: claims.yaml
studies:
  ridge:
    about: least squares and ridge, solved exactly and by steps
    datasets: ["noisy:p=20,n=60", "grouped:rho=0.9,n=60"]
    penalties: [none, l2]
    lambda: {l2: {from: 0.01, to: 1, points: 3}}
    replicates: 6
  steps:
    about: the same by gradient steps
    datasets: ["noisy:p=20,n=60"]
    penalties: [none, l2]
    lambda: {l2: {unit: absolute, values: [0.1]}}
    optimisers: [sgd]
    lr: {sgd: {unit: absolute, values: [0.02]}}
    schedule: constant
    steps: 20
    batch_size: 16
    replicates: 6
profiles:
  smoke: {studies: {ridge: {}, steps: {}}}
"""
CLAIMS = """\
claims:
  - id: T1
    sentence: Ridge predicts better than least squares where columns are many and noisy
    source: a test
    family: tiny
    kind: superiority
    study: ridge
    arms:
      treatment: {where: penalty == "l2", label: ridge, select: {over: [lambda_rel], edge: {lambda_rel.low: "no penalty"}}}
      control: {where: penalty == "none", label: no penalty}
    metric: test_loss
    effect: relative
    direction: lower
    margin: 0.01
    figure: path_and_forest
"""


def project(folder: Path) -> Path:
    """A folder with this experiment, as `smoke.project` makes one with ours; its profile is called smoke."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(smoke.ROOT / "Snakefile", folder / "Snakefile")
    shutil.copytree(smoke.ROOT / "profiles", folder / "profiles")
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "claims.yaml").write_text(CLAIMS)
    smoke.wdbench(folder, "register")
    return folder
