"""A table as LaTeX, Markdown or CSV, for a paper, a page or another program."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from pandas import DataFrame

from wdbench.figures import words

Form = Literal["latex", "markdown", "csv"]


@dataclass(frozen=True)
class Sheet:
    """Where a table is to be written, and in which form; stands in for a stream."""

    stream: TextIO
    form: Form


def text(headers: Sequence[str], rows: Sequence[Sequence[object]], form: Form) -> str:
    """The table in that form, with a line end.

    latex: a tabular with the rules of booktabs, special characters escaped; markdown: a pipe table; csv: numbers in full.
    Columns of numbers are aligned to the right.
    """
    frame = DataFrame([list(row) for row in rows], columns=list(headers), dtype=object)
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    numeric = [all(words.missing(value) or isinstance(value, int | float) for value in frame[name]) for name in frame]
    shown = frame.map(lambda value: " ".join(words.plain(value).split()))
    if form == "latex":
        columns = "".join("r" if right else "l" for right in numeric)
        styled = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        return str(styled.to_latex(hrules=True, column_format=columns))
    barred = shown.replace(r"\|", r"\\|", regex=True)
    align = tuple("right" if right else "left" for right in numeric)
    # a cell's id of digits and one e is no number
    return barred.to_markdown(index=False, disable_numparse=True, colalign=align if len(barred) else None) + "\n"
