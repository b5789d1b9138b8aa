"""Conditions on rows and numbers computed from them, parsed from text."""

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wdbench.errors import UserError
from wdbench.filters.evaluate import boolean, number
from wdbench.filters.grammar import MARK, check_boolean, check_number, syntax_tree, unmark


@dataclass(frozen=True)
class Formula:
    """A parsed text. `source` names where it came from, in messages."""

    text: str
    tree: ast.expr
    source: str

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads, sorted."""
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        return tuple(
            sorted({unmark(n.id) for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called})
        )

    @cached_property
    def canonical(self) -> str:
        """The same formula with uniform spaces, quotes and parentheses: equal for equal meanings."""
        return ast.unparse(self.tree).replace(MARK, "")

    def wrong(self, problem: str) -> UserError:
        """The error to raise for `problem`, with the place and the text."""
        return UserError(f"{self.source}: value {self.text!r}: {problem}")

    def check(self, available: Iterable[str]) -> None:
        """Raises UserError naming the first column that is not `available`, with near matches."""
        available = list(available)
        for column in self.columns:
            if column not in available:
                raise UserError(f"{self.source}: value {self.text!r}: no column {column!r}; {near(column, available)}")


class Filter(Formula):
    """A condition on rows."""

    def mask(self, table: pd.DataFrame) -> pd.Series:
        """bool [rows], index of `table`. Raises UserError for an unknown column, or text compared with numbers."""
        self.check(table.columns)
        return pd.Series(boolean(self.tree, table, self), index=table.index, dtype=bool)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of `table` that satisfy it."""
        return table[self.mask(table)]


class Expression(Formula):
    """A number computed from each row."""

    def evaluate(self, table: pd.DataFrame) -> pd.Series:
        """float64 [rows], index of `table`; NaN where a column is missing or the arithmetic has no value."""
        self.check(table.columns)
        with np.errstate(all="ignore"):
            return pd.Series(number(self.tree, table, self), index=table.index, dtype=np.float64)


def parse(text: str, source: str = "filter") -> Filter:
    """A condition; the empty text is true of every row. Raises UserError for anything outside the language."""
    tree = syntax_tree(text if str(text).strip() else "True", source)
    parsed = Filter(str(text), tree, source)
    check_boolean(tree, parsed)
    return parsed


def parse_expression(text: str, source: str = "expression") -> Expression:
    """Arithmetic over columns, or one column's name. Raises UserError for anything outside the language."""
    tree = syntax_tree(text, source)
    parsed = Expression(str(text), tree, source)
    check_number(tree, parsed)
    return parsed


def near(name: str, available: Iterable[str]) -> str:
    """What to write instead of `name`: its near matches among `available`, or all of them."""
    available = sorted(map(str, available))
    close = difflib.get_close_matches(name, available, n=4, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else f"valid: {', '.join(available)}"
