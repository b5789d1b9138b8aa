"""Tables and facts: aligned and coloured on a terminal, tab-separated and plain in a pipe, or as a document has them (`export`)."""

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wdbench import export
from wdbench.figures import labels, words

Out = TextIO | export.Sheet

MOST_ROWS = 50  # on a terminal; a pipe gets every row
_STYLES = {
    "supported": "bold blue",
    "holds": "bold blue",
    "equivalent": "bold green",
    "conditional": "bold yellow",
    "refuted": "bold red",
    "fails": "bold red",
    "inconclusive": "dim",
    "not_tested": "dim",
    "diverged": "red",
}


def table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], out: Out | None = None, title: str = "", most: int = MOST_ROWS
) -> None:
    """Print rows of texts or numbers below their headers: a table on a terminal, tab-separated lines in a pipe, the form of a sheet."""
    out = out or sys.stdout
    if isinstance(out, export.Sheet):
        out.stream.write(export.text(headers, rows, out.form))
        return
    if not is_terminal(out):
        print(*headers, sep="\t", file=out)
        for row in rows:
            print(*(_one_line(words.plain(value)) for value in row), sep="\t", file=out)
        return
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(headers))]
    shown = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for header, right in zip(headers, numeric, strict=True):
        shown.add_column(header, justify="right" if right else "left", overflow="fold")
    for row in rows[:most]:
        shown.add_row(*(_cell_text(value) for value in row))
    console = Console(file=out)
    console.print(shown)
    if len(rows) > most:
        console.print(
            f"{len(rows) - most} more rows; pipe the command to see all, or narrow it with --where",
            style="dim",
            highlight=False,
        )


def say(text: str, out: Out) -> None:
    """A line for the person at a terminal; `out` must be a stream."""
    assert not isinstance(out, export.Sheet)
    print(text, file=out)


def is_terminal(out: Out) -> bool:
    return not isinstance(out, export.Sheet) and hasattr(out, "isatty") and out.isatty()


def _is_number(value: object) -> bool:
    return words.missing(value) or isinstance(value, int | float) and not isinstance(value, bool)


def _one_line(text: str) -> str:
    """Spaces for line ends and tabs, nothing for control characters: no text may steer the terminal or break
    a row.
    """
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _cell_text(value: object) -> Text:
    """As it is, never read as markup: a data set may be named [red]."""
    if isinstance(value, float):
        return Text(words.number(value, 4))
    text = _one_line(words.plain(value))
    if text in _STYLES:
        symbol = labels.VERDICT_SYMBOLS.get(text)
        return Text(f"{symbol} {labels.VERDICTS[text]}" if symbol else text, style=_STYLES[text])
    return Text(text)


def facts(pairs: Sequence[tuple[str, object]], out: Out) -> None:
    """`name  value` lines, values aligned and wrapped on a terminal; a table of two columns in a sheet."""
    if isinstance(out, export.Sheet):
        table(("field", "value"), pairs, out)
        return
    if not is_terminal(out):
        for key, value in pairs:
            print(key, _one_line(words.plain(value)), sep="\t", file=out)
        return
    grid = Table.grid(padding=(0, 2))
    for key, value in pairs:
        grid.add_row(Text(key, style="dim"), _cell_text(value))
    Console(file=out).print(grid)
