"""Verbs that commit: to claims before a run, and to a run as the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wdbench.verbs.group import main, with_experiment

if TYPE_CHECKING:
    from wdbench.config.experiment import Experiment


@main.command()
@click.option("--update", is_flag=True, help="Also record changed claims; they stay post hoc, with what changed.")
@with_experiment
def register(experiment: Experiment, update: bool) -> None:
    """Enter new claims of claims.yaml in the ledger claims.lock.json, before the run that judges them.

    Example: python -m wdbench register
    """
    from wdbench import judging

    judging.register(experiment, update)


@main.command()
@with_experiment
def accept(experiment: Experiment) -> None:
    """Make this run's verdicts, summary and manifest the reference, and write the verdict table into README.md.

    Example: python -m wdbench accept
    """
    from wdbench import reference

    reference.accept(experiment)
