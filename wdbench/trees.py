"""Python source as what it computes, which code digests are taken over.

Kept beside the bytecode: every job of a run asks for the same seventy modules, which takes longer than to train a small pack.
"""

import ast
import contextlib
import hashlib
import sys
import zlib
from functools import cache
from pathlib import Path

from wdbench import atomic
from wdbench.errors import UserError

FOLDER = Path(__file__).parent / "__pycache__" / "trees"


@cache
def kept(source: str) -> bytes:
    """`tree` of a source, read from FOLDER where an earlier process left it there whole, and left there otherwise."""
    # another Python may dump the same tree in other words
    made = f"{sys.version_info[:2]}\0{Path(__file__).read_text(encoding='utf-8')}\0{source}"
    path = FOLDER / hashlib.sha256(made.encode()).hexdigest()[:32]
    with contextlib.suppress(OSError, ValueError, zlib.error):
        digest, _, packed = path.read_bytes().partition(b"\n")
        if digest.decode() == hashlib.sha256(packed).hexdigest():
            return zlib.decompress(packed)
    text = tree(source).encode()
    packed = zlib.compress(text)
    # an installed package may not be writable
    with contextlib.suppress(UserError):
        atomic.write_bytes(path, hashlib.sha256(packed).hexdigest().encode() + b"\n" + packed)
    return text


def tree(source: str) -> str:
    """Python source as a canonical dump of its syntax tree, without docstrings and without what is there for type checkers alone:
    annotations of arguments, results and plain variables, and `if TYPE_CHECKING`. A field of a class keeps its annotation, which a
    dataclass reads.
    """
    module = _Untyped().visit(ast.parse(source))
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(module)


class _Untyped(ast.NodeTransformer):
    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        fields = [child if isinstance(child, ast.AnnAssign) else self.visit(child) for child in node.body]
        node.body = [child for child in fields if child is not None]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.Assign | None:
        return ast.Assign([node.target], node.value, lineno=node.lineno) if node.value is not None else None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        return None if node.module in ("typing", "collections.abc", "numpy.typing") else node
