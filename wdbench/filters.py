"""Row filters and arithmetic over the columns of a table, as text: `penalty == "l2" and lambda_rel > 0`.

The language is Python's expression grammar, read by `ast` and evaluated by this module alone (nothing is run):

    == != < <= > >= (chains too)   in [..]   not in [..]   and  or  not  ( )   + - * /
    numbers, "strings", True, False, column names   isnull(column)   abs(x)   log(x)   sqrt(x)

A column may carry a Python keyword as its name (`lambda`). Numbers are equal when they agree to 1e-9 relative,
because grids are rounded decimals. A missing value satisfies no comparison but `!=` and `not in`;
`isnull(column)` asks for it.
"""

import ast
import difflib
import io
import keyword
import operator
import tokenize
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wdbench.errors import UserError

MAX_LENGTH = 2000
MAX_DEPTH = 40
_MARK = "_column_"
_WORDS = {"and", "or", "not", "in", "True", "False"}
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ORDER = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_FUNCTIONS = {"abs": np.abs, "log": np.log, "sqrt": np.sqrt}
_LANGUAGE = 'comparisons of columns, as in penalty == "l2" and lambda_rel > 0.1'


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
            sorted({_unmark(n.id) for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called})
        )

    @cached_property
    def canonical(self) -> str:
        """The same formula with uniform spaces, quotes and parentheses: equal for equal meanings."""
        return ast.unparse(self.tree).replace(_MARK, "")

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
        return pd.Series(_boolean(self.tree, table, self), index=table.index, dtype=bool)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of `table` that satisfy it."""
        return table[self.mask(table)]


class Expression(Formula):
    """A number computed from each row."""

    def evaluate(self, table: pd.DataFrame) -> pd.Series:
        """float64 [rows], index of `table`; NaN where a column is missing or the arithmetic has no value."""
        self.check(table.columns)
        with np.errstate(all="ignore"):
            return pd.Series(_number(self.tree, table, self), index=table.index, dtype=np.float64)


def parse(text: str, source: str = "filter") -> Filter:
    """A condition; the empty text is true of every row. Raises UserError for anything outside the language."""
    tree = _tree(text if str(text).strip() else "True", source)
    parsed = Filter(str(text), tree, source)
    _check_boolean(tree, parsed)
    return parsed


def parse_expression(text: str, source: str = "expression") -> Expression:
    """Arithmetic over columns, or one column's name. Raises UserError for anything outside the language."""
    tree = _tree(text, source)
    parsed = Expression(str(text), tree, source)
    _check_number(tree, parsed)
    return parsed


def floats(series: pd.Series) -> pd.Series:
    """A numeric column of any dtype as float64, missing values as NaN."""
    values = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(values, index=series.index)


def near(name: str, available: Iterable[str]) -> str:
    """What to write instead of `name`: its near matches among `available`, or all of them."""
    available = sorted(map(str, available))
    close = difflib.get_close_matches(name, available, n=4, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else f"valid: {', '.join(available)}"


def _unmark(name: str) -> str:
    return name.removeprefix(_MARK)


def _tree(text: str, source: str) -> ast.expr:
    if not isinstance(text, str):
        raise UserError(f"{source}: value {text!r}: must be text, {_LANGUAGE}")
    if len(text) > MAX_LENGTH:
        raise UserError(f"{source}: a formula of {len(text)} characters; at most {MAX_LENGTH} are read")
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(f"({' '.join(text.split())}\n)").readline))
        depth = deepest = 0
        words = []
        for token in tokens:
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.string, 0) if token.type == tokenize.OP else 0
            deepest = max(deepest, depth)
            reserved = token.type == tokenize.NAME and keyword.iskeyword(token.string) and token.string not in _WORDS
            words.append((token.type, _MARK + token.string if reserved else token.string))
        if deepest > MAX_DEPTH:
            raise UserError(f"{source}: value {text[:40]!r}...: nested deeper than {MAX_DEPTH}")
        with warnings.catch_warnings():
            # Python warns on standard error of a backslash that means nothing in a string
            warnings.simplefilter("ignore")
            tree = ast.parse(tokenize.untokenize(words).strip(), mode="eval").body
        if _depth(tree) > MAX_DEPTH:
            raise UserError(f"{source}: value {text[:40]!r}...: nested deeper than {MAX_DEPTH}")
        return tree
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{source}: value {text!r}: not a formula ({_problem(error)}); valid: {_LANGUAGE}") from None


def _problem(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _depth(tree: ast.AST) -> int:
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return deepest


def _refuse(node: ast.AST, formula: Formula):
    shown = ast.unparse(node).replace(_MARK, "")
    raise formula.wrong(f"{shown!r} is not in the filter language; valid: {_LANGUAGE}")


def _check_boolean(node: ast.expr, formula: Formula) -> None:
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _check_boolean(value, formula)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check_boolean(operand, formula)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            _check_side(left, formula)
            for op, side in zip(ops, comparators, strict=True):
                if isinstance(op, ast.In | ast.NotIn):
                    if not isinstance(side, ast.List | ast.Tuple) or not all(_is_constant(item) for item in side.elts):
                        _refuse(node, formula)
                elif isinstance(op, ast.Eq | ast.NotEq) or type(op) in _ORDER:
                    _check_side(side, formula)
                else:
                    _refuse(node, formula)
        case ast.Call(func=ast.Name(id="isnull"), args=[ast.Name()], keywords=[]):
            pass
        case ast.Name():
            pass
        case ast.Constant(value=bool()):
            pass
        case _:
            _refuse(node, formula)


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant) and _is_numeric(node.operand.value)
    return isinstance(node, ast.Constant) and (isinstance(node.value, str | bool) or _is_numeric(node.value))


def _is_numeric(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_side(node: ast.expr, formula: Formula) -> None:
    if not _is_constant(node):
        _check_number(node, formula)


def _check_number(node: ast.expr, formula: Formula) -> None:
    match node:
        case ast.Constant(value=value) if _is_numeric(value):
            pass
        case ast.Name():
            pass
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check_number(operand, formula)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _check_number(left, formula)
            _check_number(right, formula)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            _check_number(argument, formula)
        case _:
            _refuse(node, formula)


def _is_text(series: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series)) and series.notna().any()


def _column(name: str, table: pd.DataFrame) -> pd.Series:
    return table[_unmark(name)]


def _number(node: ast.expr, table: pd.DataFrame, formula: Formula) -> np.ndarray | float:
    match node:
        case ast.Constant(value=value):
            try:
                return float(value)
            except OverflowError:
                return float("inf")
        case ast.Name(id=name):
            column = _column(name, table)
            if _is_text(column):
                raise formula.wrong(f"column {_unmark(name)!r} holds text, not numbers")
            return floats(column).to_numpy()
        case ast.UnaryOp(operand=operand):
            return -_number(operand, table, formula)
        case ast.BinOp(left=left, op=op, right=right):
            # numpy scalars, so that 1/0 is inf here as it is in a column
            return _ARITHMETIC[type(op)](np.float64(_number(left, table, formula)), _number(right, table, formula))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return _FUNCTIONS[name](_number(argument, table, formula))
    return _refuse(node, formula)


def _boolean(node: ast.expr, table: pd.DataFrame, formula: Formula) -> np.ndarray:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_boolean(value, table, formula) for value in values]
            return np.logical_and.reduce(parts) if isinstance(op, ast.And) else np.logical_or.reduce(parts)
        case ast.UnaryOp(operand=operand):
            return ~_boolean(operand, table, formula)
        case ast.Constant(value=value):
            return np.full(len(table), bool(value))
        case ast.Call(args=[ast.Name(id=name)]):
            return _column(name, table).isna().to_numpy()
        case ast.Name(id=name):
            column = _column(name, table)
            if not pd.api.types.is_bool_dtype(column):
                raise formula.wrong(f"column {_unmark(name)!r} is not true or false; compare it with a value")
            return column.fillna(False).to_numpy(dtype=bool)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            with np.errstate(all="ignore"):
                sides = [left, *comparators]
                parts = [_compare(op, a, b, table, formula) for op, a, b in zip(ops, sides, sides[1:], strict=False)]
            return np.logical_and.reduce(parts)
    return _refuse(node, formula)


def _compare(op: ast.cmpop, left: ast.expr, right: ast.expr, table: pd.DataFrame, formula: Formula) -> np.ndarray:
    if isinstance(op, ast.In | ast.NotIn):
        found = np.zeros(len(table), dtype=bool)
        for item in right.elts:
            found |= _equal(left, item, table, formula)
        return ~found if isinstance(op, ast.NotIn) else found
    if isinstance(op, ast.Eq):
        return _equal(left, right, table, formula)
    if isinstance(op, ast.NotEq):
        return ~_equal(left, right, table, formula)
    a, b = (_number(_numeric_side(side, formula), table, formula) for side in (left, right))
    return np.broadcast_to(_ORDER[type(op)](a, b), len(table))


def _numeric_side(node: ast.expr, formula: Formula) -> ast.expr:
    if isinstance(node, ast.Constant) and not _is_numeric(node.value):
        raise formula.wrong(f"{node.value!r} has no order; compare numbers with < and >")
    return node


def _equal(left: ast.expr, right: ast.expr, table: pd.DataFrame, formula: Formula) -> np.ndarray:
    if isinstance(left, ast.Constant) and not isinstance(right, ast.Constant):
        left, right = right, left
    if isinstance(right, ast.Constant) and isinstance(right.value, str | bool):
        if not isinstance(left, ast.Name):
            raise formula.wrong(f"{right.value!r} is compared with something that is not a column")
        column = _column(left.id, table)
        if isinstance(right.value, str) and not _is_text(column) and column.notna().any():
            raise formula.wrong(f"column {_unmark(left.id)!r} holds numbers, {right.value!r} is text")
        return np.asarray((column == right.value).fillna(False), dtype=bool)
    if isinstance(left, ast.Name) and isinstance(right, ast.Name):
        a, b = _column(left.id, table), _column(right.id, table)
        if _is_text(a) and _is_text(b):
            return np.asarray((a.astype(object) == b.astype(object)) & a.notna(), dtype=bool)
    a, b = _number(left, table, formula), _number(right, table, formula)
    return np.broadcast_to(np.isclose(a, b, rtol=1e-9, atol=0.0), len(table))
