"""Verbs of the workflow: what to train, training, gathering, judging, drawing, reporting."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import click

from wdbench.errors import UserError
from wdbench.verbs.group import main, with_experiment

if TYPE_CHECKING:
    from wdbench.config.experiment import Experiment


@main.command()
@click.argument("folder", metavar="DIR")
@click.option("--full", is_flag=True, help="The whole experiment of wdbench, instead of a small one to start from.")
def init(folder: str, full: bool) -> None:
    """Write a project into DIR, which must be empty or not be there: a Snakefile, config.yaml, claims.yaml and a README.

    Example: wdbench init my-experiment
    """
    from wdbench import project

    for name in project.start(folder, full):
        click.echo(f"{folder}/{name}")
    click.echo(f"next: cd {shlex.quote(folder)} && wdbench register && snakemake --cores 2")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, with one entry a pack.")
@click.option("--cores", type=click.IntRange(min=1), help="Cores that the wall time is predicted for; all of this machine's otherwise.")
@with_experiment
def plan(experiment: Experiment, as_json: bool, cores: int | None) -> None:
    """Cells and packs of this config: stored, missing, and what they will cost.

    Example: python -m wdbench --profile smoke plan
    """
    from wdbench import planning

    report = planning.report(experiment, cores or len(os.sched_getaffinity(0)))
    click.echo(json.dumps(report, indent=1) if as_json else planning.text(report))


@main.command()
@click.argument("pack")
@with_experiment
def train(experiment: Experiment, pack: str) -> None:
    """Train what the store lacks of PACK and write its tables.

    Example: python -m wdbench train digits~softmax~adam
    """
    from wdbench import work

    work.train(experiment, pack)


@main.command()
@click.argument("dataset")
@with_experiment
def oracle(experiment: Experiment, dataset: str) -> None:
    """Solve exactly, with certificates, the convex problems that DATASET's trained cells pose.

    Example: python -m wdbench oracle digits
    """
    from wdbench import grid, work

    known = sorted({pack.split("~")[0] for pack in grid.members(experiment) if grid.has_oracle(pack)})
    if dataset not in known:
        raise UserError(f"oracle: value {dataset!r}: no data set with a convex problem in this plan; valid: {', '.join(known) or 'none'}")
    work.oracle(experiment, dataset)


@main.command()
@click.argument("ids", nargs=-1)
@with_experiment
def identities(experiment: Experiment, ids: tuple[str, ...]) -> None:
    """Check IDS and print the result; without IDS check those that the claims name and write identities.csv.

    Example: python -m wdbench identities I15
    """
    from wdbench import identities as checks
    from wdbench import judging, sealing, work

    known = sorted({check.identity for check in checks.CHECKS.values()}, key=checks.registry.number)
    for name in ids:
        if name not in known:
            raise UserError(f"identities: value {name!r}: no such identity; valid: {', '.join(known)}")
    if ids:
        click.echo(checks.run_all(list(ids)).to_string(index=False))
        return
    claimed = {claim.identity for claim in judging.registered_claims(experiment) if claim.kind == "identity"}
    sealing.write_csv(work.paths(experiment)["identities"], checks.run_all([name for name in known if name in claimed]))


@main.command()
@with_experiment
def gather(experiment: Experiment) -> None:
    """Gather the packs into runs.parquet and the other tables; refuses an incomplete set of rows.

    Example: python -m wdbench gather
    """
    from wdbench import gather as gathering

    gathering.gather(experiment)


@main.command()
@with_experiment
def judge(experiment: Experiment) -> None:
    """Judge every claim of claims.yaml on the gathered rows: verdicts.csv, effects.csv, selected.csv.

    Example: python -m wdbench judge
    """
    from wdbench import judging

    judging.judge(experiment)


@main.command("torch-flags")
@with_experiment
def torch_flags(experiment: Experiment) -> None:
    """Measure what torch's own optimisers do with weight_decay in bf16, flag by flag: torch_flags.csv.

    Example: python -m wdbench torch-flags
    """
    from wdbench import sealing, work
    from wdbench import torch_flags as flags

    sealing.write_csv(work.paths(experiment)["torch_flags"], flags.measure())


@main.command()
@with_experiment
def conclude(experiment: Experiment) -> None:
    """What the verdicts add up to: mechanisms.csv, mechanism_pairs.csv, advice.csv, and precision.csv.

    Example: python -m wdbench conclude
    """
    from wdbench import judging

    judging.conclude(experiment)


@main.command()
@click.option("--processes", default=1, type=click.IntRange(1), show_default=True, help="Figures drawn at a time.")
@click.option("--pdf", is_flag=True, help="Write PDFs for papers, instead of SVG, PNG and CSV.")
@with_experiment
def draw(experiment: Experiment, processes: int, pdf: bool) -> None:
    """Draw every figure from the tables, without training: figures/ID.svg, ID.png and its data, ID.csv; or (--pdf) figures/ID.pdf.

    Example: python -m wdbench draw
    """
    from wdbench import judging

    judging.draw(experiment, processes, pdf)


@main.command()
@with_experiment
def report(experiment: Experiment) -> None:
    """Write the manifest and results/report.html.

    Example: python -m wdbench report
    """
    from wdbench import judging

    judging.report(experiment)
