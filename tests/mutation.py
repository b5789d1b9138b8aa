"""Mutants as patches: tests/mutants/*.toml, one mistake an entry, and the tests that have to notice it.

    [[mutant]]
    id = "..."            unique
    file = "wdbench/..."  what is patched
    old, new = "..."      a text that is in the file exactly once, and what stands there instead
    tests = ["..."]       pytest node ids, the fewest that should turn red
    equivalent = "..."    optional: why no test can (nor need) notice it
"""

import ast
import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from wdbench.errors import UserError

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "mutants"
MARKS = ("<!-- mutants: begin -->", "<!-- mutants: end -->")
_REQUIRED, _OPTIONAL = {"id", "file", "old", "new", "tests"}, {"equivalent"}


@dataclass(frozen=True)
class Mutant:
    """One patch. `group`: name of the file that lists it; `equivalent`: empty unless a reason is given."""

    group: str
    id: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def text(self, root: Path = ROOT) -> str:
        """The patched file. Raises UserError for a stale patch, or one that does not parse."""
        where = f"tests/mutants/{self.group}.toml: {self.id}"
        path = root / self.file
        if not path.is_file():
            raise UserError(f"{where}: file: value {self.file!r}: no such file; valid: a path from the repository's root")
        source = path.read_text(encoding="utf-8")
        if source.count(self.old) != 1:
            raise UserError(f"{where}: old: value {self.old!r}: is in {self.file} {source.count(self.old)} times; valid: a text that is "
                            f"there exactly once")
        patched = source.replace(self.old, self.new)
        try:
            changed = ast.dump(ast.parse(patched)) != ast.dump(ast.parse(source))
        except SyntaxError as error:
            raise UserError(f"{where}: new: value {self.new!r}: does not parse in {self.file} ({error.msg}); valid: Python") from None
        if not changed:
            raise UserError(f"{where}: new: value {self.new!r}: changes no code; valid: a text of another meaning than old")
        return patched

    def digest(self, root: Path = ROOT) -> str:
        """16 hex digits of everything that an outcome of this patch rests on: the patched file, the tests, their helpers."""
        state = hashlib.sha256(repr((self.text(root), self.tests)).encode())
        files = {test.partition("::")[0] for test in self.tests} | {f"tests/{path.name}" for path in (root / "tests").glob("[!t]*.py")}
        for file in sorted(files):
            state.update((root / file).read_bytes())
        return state.hexdigest()[:16]


def load(folder: Path = FOLDER) -> list[Mutant]:
    """All mutants, in the order of files and entries. Raises UserError for an entry that is not as the module says."""
    found: dict[str, Mutant] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise UserError(f"{path}: cannot be read ({error}); valid: TOML with [[mutant]] entries") from None
        for entry in entries:
            name = entry.get("id", "(no id)")
            wrong = sorted(_REQUIRED - set(entry)) or sorted(set(entry) - _REQUIRED - _OPTIONAL)
            if wrong:
                raise UserError(f"{path}: {name}: field {wrong[0]!r}; valid: exactly {', '.join(sorted(_REQUIRED))}, or also equivalent")
            if name in found:
                raise UserError(f"{path}: id: value {name!r}: is also in {found[name].group}.toml; valid: an id of its own")
            found[name] = Mutant(path.stem, **{**entry, "tests": tuple(entry["tests"])})
    return list(found.values())


def rows(mutants: list[Mutant], outcomes: dict[str, str]) -> list[str]:
    """Lines of the Markdown table of docs/mutants.md; outcomes: id -> killed, survived, or timeout."""
    lines = ["| mutant | file | was | becomes | outcome |", "|---|---|---|---|---|"]
    for one in mutants:
        outcome = outcomes[one.id] if outcomes[one.id] != "survived" else "**survived**"
        why = f": {one.equivalent}" if one.equivalent else ""
        lines.append(f"| {one.id} | {one.file.removeprefix('wdbench/')} | {_code(one.old)} | {_code(one.new)} | {outcome}{why} |")
    return lines


def _code(text: str) -> str:
    return f"`{text.strip()}`".replace("|", r"\|") if text.strip() else "(nothing)"
