"""What comes from outside: pinned packages, archives that try to write elsewhere, and code that could run what it is given."""

import ast
import hashlib
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from wdbench.datasets import fetch, registry
from wdbench.errors import UserError

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "wdbench"


def test_every_package_is_pinned_with_its_hashes():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) > 50
    for line in lines:
        assert re.match(r"^[A-Za-z0-9_.-]+==[^ ;]+( *;.*?)?( +--hash=sha256:[0-9a-f]{64})+ *$", line), line[:80]


def test_an_archive_is_read_in_memory_and_writes_nowhere(tmp_path, monkeypatch):
    """A member that is named like a path above the folder stays a name."""
    cache = tmp_path / "a" / "b"
    cache.mkdir(parents=True)
    monkeypatch.setenv("WDBENCH_DATA", str(cache))
    content = b"x" * 10
    path = cache / "evil.whl"
    names = ["../../evil.txt", "/tmp/evil-absolute.txt", "..\\..\\evil.txt", "fine.txt"]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    known = {name: hashlib.sha256(content).hexdigest() for name in zipfile.ZipFile(path).namelist()}
    entry = next(e for e in registry.entries().values() if e.archive is not None and not e.package)
    made = replace(entry.archive, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(fetch, "path_of", lambda archive: path)
    before = {p for p in tmp_path.rglob("*")}
    assert fetch.members(replace(entry, archive=made, members=known)) == dict.fromkeys(known, content)
    assert {p for p in tmp_path.rglob("*")} == before and not Path("/tmp/evil-absolute.txt").exists()
    with pytest.raises(UserError, match="member fine.txt: not the registered content"):
        fetch.members(replace(entry, archive=made, members={"fine.txt": "0" * 64}))


FORBIDDEN = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {("os", "system"), ("os", "popen"), ("pickle", "load"), ("pickle", "loads"), ("torch", "load"), ("yaml", "unsafe_load"),
              ("shutil", "unpack_archive"), ("marshal", "loads"), ("joblib", "load")}


def calls():
    """(file, line, what) of every call in the package that could run or unpack what it is given."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            target = node.func
            if isinstance(target, ast.Name) and target.id in FORBIDDEN:
                yield file, node.lineno, target.id
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                if (target.value.id, target.attr) in ATTRIBUTES or target.attr in ("extract", "extractall"):
                    yield file, node.lineno, f"{target.value.id}.{target.attr}"
                if any(word.arg == "allow_pickle" and getattr(word.value, "value", None) is True for word in node.keywords):
                    yield file, node.lineno, "allow_pickle=True"
            if any(word.arg == "shell" and getattr(word.value, "value", None) is True for word in node.keywords):
                yield file, node.lineno, "shell=True"


def test_no_input_reaches_an_interpreter_a_shell_or_a_pickle():
    assert [f"{file.relative_to(ROOT)}:{line}: {what}" for file, line, what in calls()] == []
