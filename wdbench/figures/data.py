"""What a figure shows, as a table: each figure keeps the rows that it draws, and they are written as CSV beside it."""

from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib.figure import Figure, SubFigure
from pandas import DataFrame

_KEPT: WeakKeyDictionary[Figure | SubFigure, list[DataFrame]] = WeakKeyDictionary()


def keep(figure: Figure | SubFigure, shown: str, rows: DataFrame, columns: tuple[str, ...] | None = None) -> None:
    """Remember rows that `figure` draws; shown: as what (estimate, block, mean), which becomes their first column.

    Numbers are those of the tables: where an axis is in %, the figure shows a hundred times the number. columns: those that are drawn
    (None: all); one that `rows` lacks is left out.
    """
    chosen = rows if columns is None else rows[[name for name in columns if name in rows]]
    chosen = chosen.reset_index(drop=True)
    chosen.insert(0, "shown", shown)
    _KEPT.setdefault(figure, []).append(chosen)


def of(figure: Figure) -> DataFrame:
    """Everything that the figure kept, one below the other; a column that some rows do not have is empty there."""
    kept = [rows for rows in _KEPT.get(figure, []) if len(rows)]
    return pd.concat([rows.astype(object) for rows in kept], ignore_index=True) if kept else DataFrame({"shown": []})
