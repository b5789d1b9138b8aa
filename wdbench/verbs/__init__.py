"""The command line: one verb a function, nothing else. Exit 0 / 1 / 2: done / a negative answer / bad input."""

from wdbench.verbs import data, ledger, reading, steps, trust  # noqa: F401  (they register themselves)
from wdbench.verbs.group import main

__all__ = ["main"]
