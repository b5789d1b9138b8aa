"""Data files, tables and plugins from outside that are not what they should be: refused by name, and nothing of them is run or written.

Every byte of a registered data set is under a sha256, so that a damaged file is refused whatever the damage, before it is parsed; what the
parsers say of bytes that nobody hashed is tried on the formats themselves.
"""

import gzip
import hashlib
import os
import random
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import fuzzing
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from test_bad_input import VALID, one_sentence, times

from wdbench import datasets, plugins, sealing
from wdbench.datasets import fetch, idx, registry, tokenfile
from wdbench.errors import UserError
from wdbench.verbs import main

SEEDS = st.integers(0, 10**9)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty data cache."""
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    registry._load_cached.cache_clear()
    yield tmp_path / "cache"
    registry._load_cached.cache_clear()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


MEMBERS = {"a/table.csv": b"x1,x2,y\n" + b"".join(b"%d,%d.5,%d\n" % (i, i, i % 2) for i in range(50)),
           "a/table.tab": b"x1\tx2\ty\n" + b"".join(b"%d\t%d.5\t%d\n" % (i, i, i % 2) for i in range(50))}


def packed(folder, members):
    path = folder / "data-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def entry_of(path):
    """A registered data set whose archive is the file as it is now."""
    known = next(e for e in registry.entries().values() if e.archive is not None and not e.archive.url)
    archive = replace(known.archive, file=path.name, sha256=sha256(path.read_bytes()))
    return replace(known, archive=archive, members={name: sha256(content) for name, content in MEMBERS.items()})


@pytest.mark.parametrize("name", MEMBERS)
@times(250)
@given(seed=SEEDS)
@pytest.mark.usefixtures("no_code_is_run")
def test_a_damaged_csv_or_tab_file_in_an_archive_is_refused_by_name(cache, tried, name, seed):
    path = packed(cache, {**MEMBERS, name: fuzzing.hurt(MEMBERS[name], seed)})
    tried("fuzz inputs", f"of {Path(name).suffix[1:]} files")
    with pytest.raises(UserError) as refused, fuzzing.within():
        fetch.members(entry_of(path))
    one_sentence(refused.value, name, path, sha256(MEMBERS[name]))


@times(250)
@given(seed=SEEDS)
@pytest.mark.usefixtures("no_code_is_run")
def test_a_damaged_archive_is_refused_before_it_is_opened(cache, tried, seed):
    path = packed(cache, MEMBERS)
    entry = entry_of(path)
    assert fetch.members(entry) == MEMBERS
    path.write_bytes(fuzzing.hurt(path.read_bytes(), seed))
    # a file that is written again within a tick of the clock and has the same size would be known from before
    os.utime(path, ns=(seed, seed))
    tried("fuzz inputs", "of archives")
    with pytest.raises(UserError) as refused, fuzzing.within():
        fetch.members(entry)
    one_sentence(refused.value, path, "damaged", entry.archive.sha256, "data fetch")


WHOLE_IDX = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (5, 4, 4)) + bytes(range(80))


@times(500)
@given(seed=SEEDS)
@pytest.mark.usefixtures("no_code_is_run")
def test_a_damaged_idx_file_is_taken_whole_or_refused_by_name(tried, seed):
    tried("fuzz inputs", "of idx files")
    try:
        with fuzzing.within():
            found = idx.read(fuzzing.hurt(WHOLE_IDX, seed), "train-images", 3)
        assert found.shape == (5, 4, 4)
    except UserError as error:
        one_sentence(error, "train-images", "valid: ")


@times(200)
@given(seed=SEEDS)
@pytest.mark.usefixtures("no_code_is_run")
def test_a_damaged_file_of_a_debian_package_is_refused_by_name(cache, tried, seed):
    entry = next(e for e in registry.entries().values() if e.package)
    known = {name: WHOLE_IDX for name in entry.members}
    entry = replace(entry, members={name: sha256(content) for name, content in known.items()}, folders=(str(cache),))
    names = list(known)
    for name in names:
        (cache / f"{name}.gz").write_bytes(gzip.compress(WHOLE_IDX, mtime=0))
    assert fetch.members(entry) == known
    victim = cache / f"{names[seed % len(names)]}.gz"
    content = fuzzing.hurt(victim.read_bytes(), seed)
    victim.write_bytes(content)
    tried("fuzz inputs", "of idx files")
    try:
        with fuzzing.within():
            # the head of a gzip file has bytes that say nothing of its content
            assert fetch.members(entry) == known
    except UserError as error:
        one_sentence(error, victim, "damaged")


@times(200)
@given(content=st.binary(max_size=64))
@pytest.mark.usefixtures("no_code_is_run")
def test_a_token_file_is_taken_or_refused_by_name(cache, tried, content):
    entry = next(e for e in registry.entries().values() if e.kind == "tokens")
    folder = cache / "openwebtext"
    folder.mkdir(exist_ok=True)
    for name in entry.members:
        (folder / name).write_bytes(bytes(range(100)))
    (folder / "train.bin").write_bytes(content)
    tried("fuzz inputs", "of token files")
    try:
        with fuzzing.within():
            found = tokenfile.load(entry)
        assert found.X.tobytes() == content
    except UserError as error:
        one_sentence(error, folder / "train.bin", "valid: ")


TABLE = pd.DataFrame({"claim_id": ["A", "A"], "dataset": ["all", "d"], "verdict": ["supported", "refuted"], "estimate": [0.5, -1.25]})


@pytest.mark.parametrize("name", ["verdicts.csv", "runs.parquet"])
@times(200)
@given(seed=SEEDS, sealed=st.booleans())
@pytest.mark.usefixtures("no_code_is_run")
def test_a_damaged_table_ends_a_comparison_with_a_sentence(tmp_path_factory, tried, name, seed, sealed):
    """One that a sum knows is always refused; of a table that somebody brought without sums, all that can be asked is no traceback."""
    folders = [tmp_path_factory.mktemp("results") for _ in range(2)]
    for folder in folders:
        sealing.write_csv(folder / "verdicts.csv", TABLE)
        sealing.write_parquet(folder / "runs.parquet", TABLE.rename(columns={"claim_id": "cell_id"}).assign(cell_id=["x", "y"]))
        if not sealed:
            shutil.rmtree(folder / sealing.FOLDER)
    victim = folders[1] / name
    victim.write_bytes(fuzzing.hurt(victim.read_bytes(), seed))
    tried("fuzz inputs", "of tables")
    with fuzzing.within():
        done = CliRunner().invoke(main, ["diff", *map(str, folders)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output and done.exit_code in ((2,) if sealed else (0, 1, 2))
    if done.exit_code == 2:
        assert str(victim) in done.output, done.output


JUNK = ["", "x", "import", "x = (", "\x00", "import nothing_of_this_name", "raise ValueError('x')", "raise SystemExit(0)", "1/0",
        "import sys; sys.exit('bye')", "def f(:", "é = 1", "\\xff", "raise KeyError", "class A(B): pass", "from wdbench import nothing",
        "assert False", "raise Exception('two\\nlines')", "[" * 300, "lambda: (yield)", "return 1", "await x"]
REGISTRATIONS = ["datasets.register({0!r}, lambda: {1!r}, task={2!r})", "datasets.register({0!r}, {1!r}, task='regression', shares={2!r})",
                 "datasets.register({0!r}, lambda: None, task='multiclass', n_classes={1!r}, split={2!r})",
                 "datasets.register({0!r}, lambda: None, task='binary', scale={1!r}, kind={2!r})"]


@times(300)
@given(lines=st.lists(st.one_of(st.sampled_from(JUNK), st.builds(lambda form, *values: form.format(*values), st.sampled_from(REGISTRATIONS),
                                                                 *[st.sampled_from(fuzzing.PLANTED[:14])] * 3)), max_size=3),
       raw=st.one_of(st.none(), st.binary(max_size=30)), number=st.integers(0, 10**12))
def test_a_plugin_that_cannot_be_imported_is_refused_by_its_file(tmp_path_factory, tried, lines, raw, number):
    folder = tmp_path_factory.mktemp("plugin")
    name = f"wild_plugin_{number}"
    file = folder / f"{name}.py"
    file.write_bytes("\n".join(["from wdbench import datasets", *lines]).encode() if raw is None else raw)
    before = dict(registry._plugins)
    tried("fuzz inputs", "of plugins")
    try:
        with fuzzing.within():
            plugins.load((name,), str(folder / "config.yaml"))
    except UserError as error:
        one_sentence(error, name)
    finally:
        sys.path[:] = [place for place in sys.path if place != str(folder)]
        sys.modules.pop(name, None)
        registry._plugins.clear()
        registry._plugins.update(before)
    assert {path.name for path in folder.iterdir()} <= {file.name, "__pycache__"}


@times(200)
@given(name=st.one_of(st.sampled_from(["os", "os.system", "../x", "/etc/passwd", "a b", "a;b", "x.py", "sys.path", "..", "é",
                                       "nothing_here"]), fuzzing.TEXT))
@pytest.mark.usefixtures("no_code_is_run")
def test_a_plugin_by_any_name_is_a_module_or_refused_with_the_field(tmp_path_factory, tried, name):
    import yaml

    from wdbench.config import experiment as experiments

    path = tmp_path_factory.mktemp("names") / "config.yaml"
    studies = {"s": {"datasets": ["noisy"], "penalties": ["none"], "lambda": {}, "replicates": 2}}
    path.write_text(yaml.safe_dump({"plugins": [name], "studies": studies}), encoding="utf-8")
    tried("fuzz inputs", "of plugins")
    before = list(sys.path)
    try:
        with fuzzing.within():
            experiments.load(path)
    except UserError as error:
        one_sentence(error, path, "plugins")
        assert any(word in str(error) for word in VALID), str(error)
    finally:
        sys.path[:] = before


ARRAYS = [None, np.zeros(3), np.zeros((0, 0)), np.full((6, 2), np.nan), np.arange(12.0).reshape(6, 2), np.arange(6), np.zeros(6), "text",
          [], np.array([["a", "b"]] * 6), {1: 2}, 7, np.array([object()] * 6)]


@times(300)
@given(X=st.sampled_from(ARRAYS), y=st.sampled_from(ARRAYS), given_test=st.sampled_from([None, np.arange(2), np.array([99]), "text"]),
       task=st.sampled_from(["regression", "binary"]), what=st.sampled_from(["dataset", "nothing", "text", "raises"]))
def test_a_plugin_s_data_of_any_shape_are_taken_or_refused_by_name(tried, X, y, given_test, task, what):
    made = {"dataset": lambda: datasets.Dataset("wild", task, X, y, given_test=given_test), "nothing": lambda: None,
            "text": lambda: "data", "raises": lambda: 1 / 0}[what]
    tried("fuzz inputs", "of plugins")
    datasets.register("wild", made, task=task)
    try:
        with fuzzing.within():
            assert datasets.block("wild", 0).X["train"].ndim == 2
    except UserError as error:
        one_sentence(error, "wild")
    finally:
        registry._plugins.pop("wild")
        registry._load_cached.cache_clear()


def test_an_input_that_hangs_is_a_failure():
    with pytest.raises(AssertionError, match="more than 0.2 s"), fuzzing.within(0.2):
        while True:
            try:
                random.random()
            except Exception:
                pass


def test_what_the_watch_forbids_is_seen(no_code_is_run):
    with pytest.raises(AssertionError, match="subprocess.Popen"):
        subprocess.run(["true"], check=True)
