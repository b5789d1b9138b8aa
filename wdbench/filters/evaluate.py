"""The value of a checked syntax tree on the rows of a table."""

import ast
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wdbench.filters.grammar import ARITHMETIC, FUNCTIONS, ORDER, is_numeric, refuse, unmark

if TYPE_CHECKING:
    from wdbench.filters.formula import Formula


def floats(series: pd.Series) -> pd.Series:
    """A numeric column of any dtype as float64, missing values as NaN."""
    values = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(values, index=series.index)


def _is_text(series: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series)) and bool(series.notna().any())


def _column(name: str, table: pd.DataFrame) -> pd.Series:
    return table[unmark(name)]


def number(node: ast.expr, table: pd.DataFrame, formula: "Formula") -> np.ndarray | float:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            try:
                return float(value)
            except OverflowError:
                return float("inf")
        case ast.Name(id=name):
            column = _column(name, table)
            if _is_text(column):
                raise formula.wrong(f"column {unmark(name)!r} holds text, not numbers; valid: a column of numbers")
            return floats(column).to_numpy()
        case ast.UnaryOp(operand=operand):
            return -number(operand, table, formula)
        case ast.BinOp(left=left, op=op, right=right):
            # numpy scalars, so that 1/0 is inf here as it is in a column
            return ARITHMETIC[type(op)](np.float64(number(left, table, formula)), number(right, table, formula))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return FUNCTIONS[name](number(argument, table, formula))
    return refuse(node, formula)


def boolean(node: ast.expr, table: pd.DataFrame, formula: "Formula") -> np.ndarray:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [boolean(value, table, formula) for value in values]
            return np.logical_and.reduce(parts) if isinstance(op, ast.And) else np.logical_or.reduce(parts)
        case ast.UnaryOp(operand=operand):
            return ~boolean(operand, table, formula)
        case ast.Constant(value=value):
            return np.full(len(table), bool(value))
        case ast.Call(args=[ast.Name(id=name)]):
            return _column(name, table).isna().to_numpy()
        case ast.Name(id=name):
            column = _column(name, table)
            if not pd.api.types.is_bool_dtype(column):
                raise formula.wrong(f"column {unmark(name)!r} is not true or false; valid: a comparison of it with a value")
            return column.fillna(False).to_numpy(dtype=bool)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            with np.errstate(all="ignore"):
                sides = [left, *comparators]
                parts = [_compare(op, a, b, table, formula) for op, a, b in zip(ops, sides, sides[1:], strict=False)]
            return np.logical_and.reduce(parts)
    return refuse(node, formula)


def _compare(op: ast.cmpop, left: ast.expr, right: ast.expr, table: pd.DataFrame, formula: "Formula") -> np.ndarray:
    if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.List | ast.Tuple):
        found = np.zeros(len(table), dtype=bool)
        for item in right.elts:
            found |= _equal(left, item, table, formula)
        return ~found if isinstance(op, ast.NotIn) else found
    if isinstance(op, ast.Eq):
        return _equal(left, right, table, formula)
    if isinstance(op, ast.NotEq):
        return ~_equal(left, right, table, formula)
    a, b = (number(_numeric_side(side, formula), table, formula) for side in (left, right))
    return np.broadcast_to(ORDER[type(op)](a, b), len(table))


def _numeric_side(node: ast.expr, formula: "Formula") -> ast.expr:
    if isinstance(node, ast.Constant) and not is_numeric(node.value):
        raise formula.wrong(f"{node.value!r} has no order; valid: numbers beside < and >")
    return node


def _equal(left: ast.expr, right: ast.expr, table: pd.DataFrame, formula: "Formula") -> np.ndarray:
    if isinstance(left, ast.Constant) and not isinstance(right, ast.Constant):
        left, right = right, left
    if isinstance(right, ast.Constant) and isinstance(right.value, str | bool):
        if not isinstance(left, ast.Name):
            raise formula.wrong(f"{right.value!r} is compared with something that is not a column; valid: a column's name")
        column = _column(left.id, table)
        if isinstance(right.value, str) and not _is_text(column) and column.notna().any():
            raise formula.wrong(f"column {unmark(left.id)!r} holds numbers, {right.value!r} is text; valid: a number")
        return np.asarray((column == right.value).fillna(False), dtype=bool)
    if isinstance(left, ast.Name) and isinstance(right, ast.Name):
        a, b = _column(left.id, table), _column(right.id, table)
        if _is_text(a) and _is_text(b):
            return np.asarray((a.astype(object) == b.astype(object)) & a.notna(), dtype=bool)
    one, other = number(left, table, formula), number(right, table, formula)
    return np.broadcast_to(np.isclose(one, other, rtol=1e-9, atol=0.0), len(table))
