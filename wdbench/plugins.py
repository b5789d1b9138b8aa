"""Modules outside the repository that register data sets, models, kinds of tests or figures."""

import importlib

from wdbench.errors import UserError


def load(names: tuple[str, ...]) -> None:
    """Import each module of `plugins:`. Raises UserError for one that cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"config.yaml: plugins: value {name!r}: cannot be imported ({error}); "
                            f"it must be a module on the Python path") from None
