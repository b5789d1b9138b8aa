"""Modules outside the repository that register data sets, models, optimisers, couplings, penalties, kinds of tests or figures."""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path

from wdbench.errors import UserError


def load(names: tuple[str, ...], source: str = "config.yaml") -> None:
    """Import each module of `plugins:` in the file `source`, from that file's folder or from anywhere on the Python path.

    Raises UserError for one that is not there or fails as it is imported.
    """
    folder = str(Path(source).resolve().parent)
    if names and folder not in sys.path:
        # last: a file beside the config must not stand in for a library
        sys.path.append(folder)
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                raise UserError(f"{source}: plugins: value {name!r}: cannot be imported ({error}); "
                                f"it must be a file beside {source}, or a module on the Python path") from None
            raise UserError(f"{_place(name, error)}: {error}") from None
        except SyntaxError as error:
            raise UserError(f"{error.filename or name} line {error.lineno}: is not valid Python: {error.msg}") from None
        # whatever else a plugin's own code raises is a mistake in that file, not in the package
        except (Exception, SystemExit) as error:
            text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            raise UserError(f"{_place(name, error)}: {' '.join(text.split())}") from None


def _place(name: str, error: BaseException) -> str:
    """File of a plugin and the last of its lines that the error went through."""
    found = importlib.util.find_spec(name)
    file = found.origin if found is not None else None
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"plugin {file or name}" + (f" line {lines[-1]}" if lines else "")
