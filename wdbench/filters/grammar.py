"""Text as a syntax tree of the filter language, or a sentence on what is not in it."""

import ast
import io
import keyword
import operator
import tokenize
import warnings
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.filters.formula import Formula

MAX_LENGTH = 2000
MAX_DEPTH = 40
MARK = "_column_"
_WORDS = {"and", "or", "not", "in", "True", "False"}
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
ORDER = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
FUNCTIONS = {"abs": np.abs, "log": np.log, "sqrt": np.sqrt}
LANGUAGE = 'comparisons of columns, as in penalty == "l2" and lambda_rel > 0.1'


def unmark(name: str) -> str:
    return name.removeprefix(MARK)


def syntax_tree(text: str, source: str) -> ast.expr:
    if not isinstance(text, str):
        raise UserError(f"{source}: value {text!r}: must be text, {LANGUAGE}")
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
            words.append((token.type, MARK + token.string if reserved else token.string))
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
        raise UserError(f"{source}: value {text!r}: not a formula ({_problem(error)}); valid: {LANGUAGE}") from None


def _problem(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _depth(tree: ast.AST) -> int:
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return deepest


def refuse(node: ast.AST, formula: "Formula") -> NoReturn:
    shown = ast.unparse(node).replace(MARK, "")
    raise formula.wrong(f"{shown!r} is not in the filter language; valid: {LANGUAGE}")


def check_boolean(node: ast.expr, formula: "Formula") -> None:
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                check_boolean(value, formula)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            check_boolean(operand, formula)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            _check_side(left, formula)
            for op, side in zip(ops, comparators, strict=True):
                if isinstance(op, ast.In | ast.NotIn):
                    if not isinstance(side, ast.List | ast.Tuple) or not all(_is_constant(item) for item in side.elts):
                        refuse(node, formula)
                elif isinstance(op, ast.Eq | ast.NotEq) or type(op) in ORDER:
                    _check_side(side, formula)
                else:
                    refuse(node, formula)
        case ast.Call(func=ast.Name(id="isnull"), args=[ast.Name()], keywords=[]):
            pass
        case ast.Name():
            pass
        case ast.Constant(value=bool()):
            pass
        case _:
            refuse(node, formula)


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant) and is_numeric(node.operand.value)
    return isinstance(node, ast.Constant) and (isinstance(node.value, str | bool) or is_numeric(node.value))


def is_numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_side(node: ast.expr, formula: "Formula") -> None:
    if not _is_constant(node):
        check_number(node, formula)


def check_number(node: ast.expr, formula: "Formula") -> None:
    match node:
        case ast.Constant(value=value) if is_numeric(value):
            pass
        case ast.Name():
            pass
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            check_number(operand, formula)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            check_number(left, formula)
            check_number(right, formula)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            check_number(argument, formula)
        case _:
            refuse(node, formula)
