"""The command line: one verb a function, nothing else. Exit 0 / 1 / 2: done / a negative answer / bad input."""

import functools
import json
import sys

from wdbench import provenance

provenance.one_thread()

import click  # noqa: E402

from wdbench.errors import UserError  # noqa: E402


class Sentence(click.Group):
    """A group whose user errors are one sentence on standard error and exit code 2."""

    def main(self, *args, **kwargs):
        try:
            done = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.exit(done if isinstance(done, int) else 0)
        except UserError as error:
            told = str(error)
        except getattr(click.exceptions, "NoArgsIsHelpError", ()) as error:
            error.show()
            sys.exit(error.exit_code)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else "wdbench"
            told = f"{' '.join(error.format_message().split()).rstrip('.')}; see {command} --help"
        except click.Abort:
            click.echo("Aborted!", err=True)
            sys.exit(1)
        except OSError as error:
            # a path that is no file, not readable, or on a full disk: a sentence of the system's own
            told = f"{error.filename}: {error.strerror}; valid: a path that can be read and written" if error.filename else str(error)
        click.echo(f"wdbench: {told}", err=True)
        sys.exit(2)


@click.group(cls=Sentence, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config-file", default="config.yaml", show_default=True, help="The experiment.")
@click.option("--profile", default=None, help="Profile of the config file (core, smoke, ...).")
@click.option("--results", default=None, help="Results folder, instead of the config file's.")
@click.version_option(package_name="wdbench")
@click.pass_context
def main(context, config_file, profile, results):
    """wdbench: claims about weight decay, judged on real data.

    Example: python -m wdbench show claims
    """
    context.obj = {"path": config_file, "profile": profile, "results": results}


def with_experiment(function):
    """Hands the verb the experiment that the global options name."""

    @click.pass_context
    @functools.wraps(function)
    def verb(context, *args, **kwargs):
        from wdbench import plugins
        from wdbench.config import experiment

        found = experiment.load(context.obj["path"], context.obj["profile"], context.obj["results"])
        plugins.load(found.plugins, found.source)
        return context.invoke(function, found, *args, **kwargs)

    return verb


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, with one entry a pack.")
@with_experiment
def plan(experiment, as_json):
    """Cells and packs of this config: stored, missing, and what they will cost.

    Example: python -m wdbench --profile smoke plan
    """
    from wdbench import planning

    report = planning.report(experiment)
    click.echo(json.dumps(report, indent=1) if as_json else planning.text(report))


@main.group()
def data():
    """Data sets: fetch, list, check. The only part that uses the network."""


@data.command("fetch")
@click.argument("names", nargs=-1)
def data_fetch(names):
    """Fetch the archives of NAMES (default: all) into $WDBENCH_DATA, verified by sha256.

    Example: python -m wdbench data fetch khan
    """
    from wdbench.datasets import fetch

    for path in fetch.fetch(names or None):
        click.echo(path)


@data.command("list")
def data_list():
    """State of every data set.

    Example: python -m wdbench data list
    """
    from wdbench import datasets, show

    rows = [(name, datasets.registry.entry(name).task, datasets.registry.entry(name).provider, _state(name)) for name in datasets.names()]
    show.table(("data set", "task", "provider", "state"), rows)


def _state(name):
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
def data_check(names, csv, available):
    """Hold every loader (or those of NAMES) to its published reference figure; exit 1 if one differs.

    Example: python -m wdbench data check hitters
    """
    import pandas as pd

    from wdbench import atomic, datasets, show
    from wdbench.datasets import checks

    chosen = names or [n for n in datasets.names() if datasets.registry.entry(n).check is not None]
    if available or not names:
        # what no archive brings is never required
        chosen = [n for n in chosen if datasets.status(n).available or not (available or datasets.registry.entry(n).package)]
    results = [(name, checks.run(name)) for name in chosen]
    rows = [(n, r.metric, str(r.expected), str(r.found), r.kind, "ok" if r.ok else "DIFFERS") for n, r in results]
    show.table(("data set", "figure", "expected", "found", "kind", "verdict"), rows)
    if csv:
        atomic.write_csv(csv, pd.DataFrame(rows, columns=["dataset", "figure", "expected", "found", "kind", "verdict"]))
    sys.exit(0 if all(r.ok for _, r in results) else 1)


@main.command()
@click.argument("pack")
@with_experiment
def train(experiment, pack):
    """Train what the store lacks of PACK and write its tables.

    Example: python -m wdbench train digits~softmax~adam
    """
    from wdbench import work

    work.train(experiment, pack)


@main.command()
@click.argument("dataset")
@with_experiment
def oracle(experiment, dataset):
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
def identities(experiment, ids):
    """Check the identities (all, or IDS) and write identities.csv.

    Example: python -m wdbench identities I15
    """
    from wdbench import identities as checks
    from wdbench import sealing, work

    known = sorted({check.identity for check in checks.CHECKS.values()}, key=checks.registry.number)
    for name in ids:
        if name not in known:
            raise UserError(f"identities: value {name!r}: no such identity; valid: {', '.join(known)}")
    table = checks.run_all(list(ids) or None)
    if ids:
        click.echo(table.to_string(index=False))
    else:
        sealing.write_csv(work.paths(experiment)["identities"], table)


@main.command()
@with_experiment
def gather(experiment):
    """Gather the packs into runs.parquet and the other tables; refuses an incomplete set of rows.

    Example: python -m wdbench gather
    """
    from wdbench import gather as gathering

    gathering.gather(experiment)


@main.command()
@with_experiment
def judge(experiment):
    """Judge every claim of claims.yaml on the gathered rows: verdicts.csv, effects.csv, selected.csv.

    Example: python -m wdbench judge
    """
    from wdbench import judging

    judging.judge(experiment)


@main.command("torch-flags")
@with_experiment
def torch_flags(experiment):
    """Measure what torch's own optimisers do with weight_decay in bf16, flag by flag: torch_flags.csv.

    Example: python -m wdbench torch-flags
    """
    from wdbench import sealing, work
    from wdbench import torch_flags as flags

    sealing.write_csv(work.paths(experiment)["torch_flags"], flags.measure())


@main.command()
@with_experiment
def conclude(experiment):
    """What the verdicts add up to: mechanisms.csv, mechanism_pairs.csv, advice.csv, and precision.csv.

    Example: python -m wdbench conclude
    """
    from wdbench import judging

    judging.conclude(experiment)


@main.command()
@click.option("--processes", default=1, type=click.IntRange(1), show_default=True, help="Figures drawn at a time.")
@with_experiment
def draw(experiment, processes):
    """Draw every figure from the tables, without training.

    Example: python -m wdbench draw
    """
    from wdbench import judging

    judging.draw(experiment, processes)


@main.command()
@with_experiment
def report(experiment):
    """Write the manifest and results/report.html.

    Example: python -m wdbench report
    """
    from wdbench import judging

    judging.report(experiment)


@main.command()
@click.argument("what", type=click.Choice(["runs", "claims", "claim", "cell", "identities", "advice", "mechanisms"]))
@click.argument("name", required=False)
@click.option("--where", default=None, help="Filter, e.g. 'dataset == \"khan\" and precision == \"bf16_weights\"'.")
@with_experiment
def show(experiment, what, name, where):
    """Tables on the terminal: runs, claims, claim ID, cell ID, identities, advice, mechanisms.

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
@click.option("--reference", default="results/reference", show_default=True)
@with_experiment
def verify(experiment, reference):
    """Compare this run's verdicts with the committed reference; exit 1 if one differs.

    Example: python -m wdbench verify
    """
    from wdbench import comparing

    sys.exit(0 if comparing.verify(experiment, reference) else 1)


@main.command()
@click.option("--update", is_flag=True, help="Also record changed claims; they stay post hoc, with what changed.")
@with_experiment
def register(experiment, update):
    """Enter new claims of claims.yaml in the ledger claims.lock.json, before the run that judges them.

    Example: python -m wdbench register
    """
    from wdbench import judging

    judging.register(experiment, update)


@main.command()
@with_experiment
def accept(experiment):
    """Make this run's verdicts, summary and manifest the reference, and write the verdict table into README.md.

    Example: python -m wdbench accept
    """
    from wdbench import comparing

    comparing.accept(experiment)


if __name__ == "__main__":
    main()
