"""What comes from outside: pinned packages, archives that try to write elsewhere, and code that could run what it is given."""

import ast
import hashlib
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import smoke
import yaml

from wdbench import datasets, sealing
from wdbench.config import yamlio
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


BY_NAME = {"eval", "exec", "compile", "__import__", "breakpoint"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "runpy", "code", "codeop"}
"""Modules of which nothing is imported."""
CALLS = {("os", "system"), ("os", "popen"), ("pty", "spawn"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput"),
         ("yaml", "unsafe_load"), ("yaml", "full_load"), ("yaml", "unsafe_load_all"), ("yaml", "full_load_all"),
         ("pd", "read_pickle"), ("pandas", "read_pickle"), ("pd", "eval"), ("pandas", "eval"), ("torch", "load"), ("torch", "hub"),
         ("shutil", "unpack_archive"), ("importlib", "reload")}
METHODS = {"read_pickle", "to_pickle", "extract", "extractall", "unsafe_load", "unpack_archive"}
"""Of whatever object."""
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "_Loader"}
"""_Loader of config/yamlio.py is a SafeLoader, which the test below holds it to."""


def run_what_they_are_given(source):
    """(line, what) of every import and call in some Python source that could run or unpack what it is given."""
    tree = ast.parse(source)
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                first = (module or alias.name).partition(".")[0]
                if first in MODULES and not getattr(node, "level", 0):
                    yield node.lineno, f"import {first}"
                # from os import system as s: s is os.system
                imported[alias.asname or alias.name] = (module, alias.name) if module else (alias.name, "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from ((node.lineno, what) for what in _of_call(node, imported))


def _of_call(node, imported):
    target = node.func
    if isinstance(target, ast.Name):
        module, name = imported.get(target.id, ("", target.id))
        if name in BY_NAME and module in ("", "builtins") or (module, name) in CALLS or name in METHODS:
            yield f"{module} {name}".strip()
    elif isinstance(target, ast.Attribute):
        module, name = None, target.attr
        if isinstance(target.value, ast.Name):
            module = imported.get(target.value.id, (target.value.id, ""))[0]
        else:
            # torch.hub.load
            module = ast.unparse(target.value)
        if (module, name) in CALLS or tuple(module.rpartition(".")[::2]) in CALLS or name in METHODS or module == "builtins":
            yield f"{module}.{name}"
    else:
        name, module = "", ""
    words = {word.arg: word.value for word in node.keywords}
    for word, refused in (("allow_pickle", True), ("shell", True), ("weights_only", False)):
        if word in words and getattr(words[word], "value", None) is not (not refused):
            yield f"{word}={ast.unparse(words[word])}"
    if module == "yaml" and name in ("load", "load_all"):
        loader = words.get("Loader", node.args[1] if len(node.args) > 1 else None)
        if (getattr(loader, "attr", None) or getattr(loader, "id", None)) not in SAFE_LOADERS:
            yield f"yaml.{name} with {ast.unparse(loader) if loader else 'no loader'}"


def test_no_input_reaches_an_interpreter_a_shell_or_a_pickle():
    found = [(str(file.relative_to(ROOT)), line, what) for file in sorted(PACKAGE.rglob("*.py"))
             for line, what in run_what_they_are_given(file.read_text(encoding="utf-8"))]
    assert found == []


def test_the_loader_of_yaml_is_a_safe_one():
    assert issubclass(yamlio._Loader, yaml.SafeLoader)
    assert not {*yamlio._Loader.yaml_constructors} & {*yaml.UnsafeLoader.yaml_constructors} - {*yaml.SafeLoader.yaml_constructors}


DANGEROUS = [
    "eval('1')", "exec(text)", "compile(text, '', 'exec')", "__import__(name)", "import builtins; builtins.eval('1')",
    "from builtins import eval as look; look('1')", "import os; os.system('true')", "from os import system as s; s('true')",
    "from os import popen; popen('true')", "import os as o; o.popen('true')", "import subprocess; subprocess.run('true', shell=True)",
    "import subprocess as s; s.Popen(x, shell=loud)", "from subprocess import run; run(x, shell=1)",
    "import subprocess; subprocess.getoutput(x)", "import pickle", "import pickle as p", "from pickle import loads",
    "import marshal", "import shelve", "from joblib import load", "import dill", "import pandas as pd; pd.read_pickle(x)",
    "import pandas; pandas.read_pickle(x)", "from pandas import read_pickle; read_pickle(x)", "frame.to_pickle(x)",
    "import yaml; yaml.load(x)", "import yaml; yaml.load(x, Loader=yaml.Loader)", "import yaml; yaml.load(x, yaml.UnsafeLoader)",
    "import yaml; yaml.load(x, Loader=yaml.FullLoader)", "import yaml as y; y.unsafe_load(x)", "from yaml import full_load; full_load(x)",
    "import torch; torch.load(x)", "import torch; torch.load(x, weights_only=False)", "import torch; torch.hub.load(x)",
    "import numpy as np; np.load(x, allow_pickle=True)", "import numpy as np; np.load(x, allow_pickle=flag)",
    "archive.extractall(x)", "archive.extract(x)", "import shutil; shutil.unpack_archive(x)", "import runpy", "breakpoint()",
]
HARMLESS = [
    "import re; re.compile('x')", "import yaml; yaml.safe_load(x)", "import yaml; yaml.load(x, Loader=yaml.SafeLoader)",
    "import subprocess; subprocess.run(['true'])", "import numpy as np; np.load(x)", "np.load(x, allow_pickle=False)",
    "import ast; ast.parse(x, mode='eval')", "def evaluate(x): pass", "model.eval()", "import json; json.loads(x)",
    "subprocess.run(x, shell=False)",
]


@pytest.mark.parametrize("source", DANGEROUS)
def test_the_check_notices(source):
    assert list(run_what_they_are_given(source))


@pytest.mark.parametrize("source", HARMLESS)
def test_the_check_does_not_cry_wolf(source):
    assert not list(run_what_they_are_given(source))


HOSTILE = "<script>alert('planted')</script><img src=x onerror=\"alert('planted')\">"


class Markup(HTMLParser):
    """Everything in a page that would run, were planted text read as markup."""

    def __init__(self, text):
        super().__init__()
        self.running = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if ("src", "x") in attributes or any(key.startswith("on") and "planted" in str(value) for key, value in attributes):
            self.running.append((tag, attributes))

    def handle_data(self, data):
        if self.cdata_elem == "script" and data.startswith("alert('planted')"):
            self.running.append(("script", data))


def test_markup_in_a_data_set_s_name_and_in_a_sentence_is_text_in_the_report(undisturbed, tmp_path):
    """By way of the tables and of claims.yaml: a data set that registers under such a name is refused already."""
    folder = tmp_path / "hostile"
    shutil.copytree(undisturbed[0], folder)
    assert Markup(HOSTILE).running
    results = folder / "results/smoke"
    name = pd.read_csv(results / "datasets.csv")["dataset"][0]
    for path in [*results.glob("*.csv"), *results.glob("*.parquet")]:
        table = sealing.read(path, **({"keep_default_na": False, "na_values": [""]} if path.suffix == ".csv" else {}))
        for column in {"dataset", "dataset_base", "case", "reason", "licence", "citation", "provider"} & {*table}:
            if isinstance(table[column].dropna().iloc[0] if table[column].notna().any() else None, str):
                named = column in ("dataset", "dataset_base", "case")
                table[column] = [text.replace(name, HOSTILE) if named else HOSTILE for text in table[column].fillna("").astype(str)]
        (sealing.write_csv if path.suffix == ".csv" else sealing.write_parquet)(path, table)
    assert HOSTILE in sealing.read(results / "datasets.csv")["dataset"].tolist()
    before = (results / "report.html").read_bytes()
    smoke.wdbench(folder, "report")
    page = (results / "report.html").read_text(encoding="utf-8")
    assert page.encode() != before and "planted" in page
    assert Markup(page).running == []


@pytest.mark.parametrize("name", [HOSTILE, "<script>", "../../x", "a b", "A", "x;y", ""])
def test_a_data_set_cannot_register_under_a_name_that_is_markup_or_a_path(name):
    with pytest.raises(UserError, match="valid: lower-case letters, digits and underscores"):
        datasets.register(name, lambda: None, task="regression")


def test_no_package_has_a_known_hole():
    """pip-audit, where it and its data can be had."""
    command = shutil.which("pip-audit", path=smoke.environment()["PATH"])
    if command is None:
        pytest.skip("pip-audit is not installed")
    words = ["--requirement", str(ROOT / "requirements.lock"), "--no-deps", "--disable-pip", "--progress-spinner=off"]
    done = subprocess.run([command, *words], capture_output=True, text=True, timeout=300)
    if "ConnectionError" in done.stderr or "Failed to" in done.stderr or "resolve" in done.stderr:
        pytest.skip(f"the data of pip-audit cannot be had here: {done.stderr.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stdout + done.stderr
