"""Verbs of the data sets: fetch, list, check."""

import sys

import click

from wdbench.errors import UserError
from wdbench.verbs.group import main


@main.group()
def data() -> None:
    """Data sets: fetch, list, check. The only part that uses the network."""


@data.command("fetch")
@click.argument("names", nargs=-1)
def data_fetch(names: tuple[str, ...]) -> None:
    """Fetch the archives of NAMES (default: all) into $WDBENCH_DATA, verified by sha256.

    Example: python -m wdbench data fetch khan
    """
    from wdbench.datasets import fetch

    for path in fetch.fetch(names or None):
        click.echo(path)


@data.command("list")
def data_list() -> None:
    """State of every data set.

    Example: python -m wdbench data list
    """
    from wdbench import datasets, terminal

    rows = [(name, datasets.registry.entry(name).task, datasets.registry.entry(name).provider, _state(name)) for name in datasets.names()]
    terminal.table(("data set", "task", "provider", "state"), rows)


def _state(name: str) -> str:
    """Whether a data set is here; an archive is hashed, once however many sets it holds."""
    from wdbench import datasets
    from wdbench.datasets import fetch

    found = datasets.status(name)
    if not found.available:
        return f"unavailable: {found.how_to_get}"
    if datasets.registry.entry(name).archive is not None:
        try:
            fetch.archive_of(datasets.registry.entry(name))
        except UserError as error:
            return f"damaged: {error}"
    return "available"


@data.command("check")
@click.argument("names", nargs=-1)
@click.option("--csv", default=None, help="Also write the results here.")
@click.option("--available", is_flag=True, help="Pass over sets that are not here instead of failing.")
def data_check(names: tuple[str, ...], csv: str | None, available: bool) -> None:
    """Hold every loader (or those of NAMES) to its published reference figure; exit 1 if one differs.

    Example: python -m wdbench data check hitters
    """
    from pathlib import Path

    import pandas as pd

    from wdbench import datasets, sealing, terminal
    from wdbench.datasets import checks

    chosen = names or [n for n in datasets.names() if datasets.registry.entry(n).check is not None]
    if available or not names:
        # what no archive brings is never required
        chosen = [n for n in chosen if datasets.status(n).available or not (available or datasets.registry.entry(n).package)]
    results = [(name, checks.run(name)) for name in chosen]
    rows = [(n, r.metric, str(r.expected), str(r.found), r.kind, "ok" if r.ok else "DIFFERS") for n, r in results]
    terminal.table(("data set", "figure", "expected", "found", "kind", "verdict"), rows)
    if csv:
        sealing.write_csv(Path(csv), pd.DataFrame(rows, columns=["dataset", "figure", "expected", "found", "kind", "verdict"]))
    sys.exit(0 if all(r.ok for _, r in results) else 1)
