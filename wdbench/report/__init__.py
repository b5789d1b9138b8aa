"""One self-contained report.html from the published tables: `render`."""

from wdbench.report.page import render

__all__ = ["render"]
