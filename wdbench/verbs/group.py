"""The command line's group: global options, the experiment that they name, and errors as one sentence."""

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from wdbench import orphans
from wdbench.errors import UserError


class Sentence(click.Group):
    """A group whose user errors are one sentence on standard error and exit code 2."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            # a terminal without λ gets a question mark, not a traceback
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
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
def main(context: click.Context, config_file: str, profile: str | None, results: str | None) -> None:
    """wdbench: claims about weight decay, judged on real data.

    Example: python -m wdbench show claims
    """
    orphans.stop_with_workflow()
    context.obj = {"path": config_file, "profile": profile, "results": results}


def with_experiment(function: Callable[..., None]) -> Callable[..., None]:
    """Hands the verb the experiment that the global options name."""

    @click.pass_context
    @functools.wraps(function)
    def verb(context: click.Context, *args: Any, **kwargs: Any) -> Any:
        from wdbench import plugins
        from wdbench.config import experiment

        found = experiment.load(context.obj["path"], context.obj["profile"], context.obj["results"])
        plugins.load(found.plugins, found.source)
        return context.invoke(function, found, *args, **kwargs)

    return verb
