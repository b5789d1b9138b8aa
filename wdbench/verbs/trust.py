"""Verbs that judge the judge."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from wdbench.verbs.group import main, with_experiment

if TYPE_CHECKING:
    from wdbench.config.experiment import Experiment

KINDS = ("superiority", "equivalence", "slope", "ushape", "interaction", "share", "event", "tolerance")


@main.command()
@click.option("--worlds", type=click.IntRange(min=1), default=80, show_default=True, help="Worlds a setting.")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only this kind of test; may be given again.")
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default="all cores")
@with_experiment
def calibrate(experiment: Experiment, worlds: int, kinds: tuple[str, ...], processes: int) -> None:
    """How often are verdicts right? Tables with a known truth go through the same judge: calibration.csv.

    Example: python -m wdbench calibrate --kind event --worlds 20
    """
    from wdbench import trust

    trust.calibrate(experiment, kinds or KINDS, worlds, processes)


@main.command()
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default="all cores")
@with_experiment
def replicate(experiment: Experiment, processes: int) -> None:
    """Do verdicts stand on half of the replicates, without a data set, with another margin or metric, on fresh replicates? replication.csv.

    Example: python -m wdbench replicate
    """
    from wdbench import trust

    trust.replicate(experiment, processes)
