"""Verbs that look at results, or hold them to others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from wdbench.verbs.group import main, with_experiment

if TYPE_CHECKING:
    from wdbench.config.experiment import Experiment
    from wdbench.export import Form


@main.command()
@click.argument("what", metavar="WHAT")
@click.argument("name", required=False)
@click.option("--where", default=None, help="Filter, e.g. 'dataset == \"khan\" and precision == \"bf16_weights\"'.")
@click.option("--latex", "form", flag_value="latex", help="A LaTeX tabular (package booktabs; LuaLaTeX or XeLaTeX for Greek letters).")
@click.option("--markdown", "form", flag_value="markdown", help="A Markdown table.")
@click.option("--csv", "form", flag_value="csv", help="CSV, with numbers in full.")
@with_experiment
def show(experiment: Experiment, what: str, name: str | None, where: str | None, form: Form | None) -> None:
    """Tables: runs, claims, claim ID, cell ID, identities, advice, mechanisms, controls, replication, registrations; and by its file's
    name every other table: verdicts, effects, selected, summary, datasets, precision, ...

    On a terminal they are aligned and coloured; in a pipe they are plain, with tabs between the columns.

    Example: python -m wdbench show runs --where 'dataset == "khan" and status == "diverged"'
    """
    from wdbench import judging

    judging.show(experiment, what, name, where, form)


@main.command()
@click.argument("cell")
@with_experiment
def replay(experiment: Experiment, cell: str) -> None:
    """Train CELL again, by itself, and compare it with its stored row bit for bit; exit 1 if it differs.

    Example: python -m wdbench replay 0f3a9c
    """
    from wdbench import comparing

    sys.exit(0 if comparing.replay(experiment, cell) else 1)


@main.command()
@click.argument("a")
@click.argument("b")
def diff(a: str, b: str) -> None:
    """Compare two result folders: cells, bits, verdicts; exit 1 if they differ.

    Example: python -m wdbench diff results results/reference
    """
    from wdbench import comparing

    sys.exit(0 if comparing.diff(a, b) else 1)


@main.command()
@click.option("--reference", default=None, help="Folder of the accepted run.  [default: the profile's, in results/reference]")
@with_experiment
def verify(experiment: Experiment, reference: str | None) -> None:
    """Compare this run with the committed reference: cells, bits, verdicts, effects; exit 1 if one differs.

    Example: python -m wdbench verify
    """
    from wdbench import reference as accepted

    sys.exit(0 if accepted.verify(experiment, reference) else 1)


@main.command("compare-published")
@click.option("--docs", default=None, help="Also write published.csv and others.md in this folder.")
@with_experiment
def compare_published(experiment: Experiment, docs: str | None) -> None:
    """Hold this run's numbers against other people's: published.csv.

    Example: python -m wdbench compare-published --docs docs
    """
    from wdbench import comparing

    comparing.published(experiment, docs)
