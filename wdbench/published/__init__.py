"""Our numbers against published ones that this project did not produce."""

from wdbench.published.agreement import COLUMNS, compare, load, page
from wdbench.published.measured import Evidence

__all__ = ["COLUMNS", "Evidence", "compare", "load", "page"]
