"""Verbs that look at results, or hold them to others."""

import sys

import click

from wdbench.verbs.group import main, with_experiment


@main.command()
@click.argument("what", type=click.Choice(["runs", "claims", "claim", "cell", "identities", "advice", "mechanisms", "controls",
                                   "replication", "registrations"]))
@click.argument("name", required=False)
@click.option("--where", default=None, help="Filter, e.g. 'dataset == \"khan\" and precision == \"bf16_weights\"'.")
@with_experiment
def show(experiment, what, name, where):
    """Tables on the terminal: runs, claims, claim ID, cell ID, identities, advice, mechanisms, controls, replication,
    registrations.

    Example: python -m wdbench show runs --where 'dataset == "khan" and status == "diverged"'
    """
    from wdbench import judging

    judging.show(experiment, what, name, where)


@main.command()
@click.argument("cell")
@with_experiment
def replay(experiment, cell):
    """Train CELL again, by itself, and compare it with its stored row bit for bit; exit 1 if it differs.

    Example: python -m wdbench replay 0f3a9c
    """
    from wdbench import comparing

    sys.exit(0 if comparing.replay(experiment, cell) else 1)


@main.command()
@click.argument("a")
@click.argument("b")
def diff(a, b):
    """Compare two result folders: cells, bits, verdicts; exit 1 if they differ.

    Example: python -m wdbench diff results results/reference
    """
    from wdbench import comparing

    sys.exit(0 if comparing.diff(a, b) else 1)


@main.command()
@click.option("--reference", default=None, help="Folder of the accepted run.  [default: the profile's, in results/reference]")
@with_experiment
def verify(experiment, reference):
    """Compare this run with the committed reference: cells, bits, verdicts, effects; exit 1 if one differs.

    Example: python -m wdbench verify
    """
    from wdbench import reference as accepted

    sys.exit(0 if accepted.verify(experiment, reference) else 1)


@main.command("compare-published")
@click.option("--docs", default=None, help="Also write published.csv and others.md in this folder.")
@with_experiment
def compare_published(experiment, docs):
    """Hold this run's numbers against other people's: published.csv.

    Example: python -m wdbench compare-published --docs docs
    """
    from wdbench import comparing

    comparing.published(experiment, docs)
