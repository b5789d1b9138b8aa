"""The cell store, code digests and atomic writes."""

import ast
import dataclasses
import importlib
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from wdbench import atomic, datasets, provenance, trees
from wdbench.errors import UserError
from wdbench.store import Store


def rows(*names):
    return pd.DataFrame({"cell_id": list(names), "train_loss": [0.1 * i for i in range(len(names))]})


def test_a_chunk_comes_back_as_it_was(tmp_path):
    store = Store(tmp_path, "here")
    store.save("p", {"rows": rows("a", "b"), "trajectories": rows("a")})
    store.save("p", {"rows": rows("c")})
    assert sorted(store.load("p", "rows")["cell_id"]) == ["a", "b", "c"]
    assert store.load("p", "rows", {"b"})["train_loss"].tolist() == [0.1]
    assert store.load("p", "trajectories")["cell_id"].tolist() == ["a"]
    assert store.load("other", "rows").empty


def test_a_cell_stored_twice_is_read_once(tmp_path):
    store = Store(tmp_path, "here")
    store.save("p", {"rows": rows("a", "b")})
    store.save("p", {"rows": rows("b", "c")})
    assert sorted(store.load("p", "rows")["cell_id"]) == ["a", "b", "c"]


@pytest.mark.parametrize("damage", [b"", b"PAR1", "flip", "foreign"])
def test_a_damaged_file_is_set_aside_named_and_never_read(tmp_path, damage, capsys):
    store = Store(tmp_path, "here")
    store.save("p", {"rows": rows("a")})
    path = next((tmp_path / "here" / "p").glob("rows-*"))
    content = path.read_bytes()
    if damage == "flip":
        content = content[:50] + bytes([content[50] ^ 1]) + content[51:]
    elif damage == "foreign":
        Store(tmp_path / "else", "here").save("p", {"rows": rows("z")})
        content = next((tmp_path / "else").rglob("rows-*")).read_bytes()
    else:
        content = damage
    path.write_bytes(content)
    assert store.load("p", "rows").empty
    assert path.name in capsys.readouterr().err
    assert not path.exists() and len(list((tmp_path / "damaged").iterdir())) == 1


def test_rows_of_another_platform_are_not_mixed_in(tmp_path):
    Store(tmp_path, "there").save("p", {"rows": rows("a")})
    here = Store(tmp_path, "here")
    assert here.load("p", "rows").empty and here.other_platforms() == {"there": 1}


def test_a_comment_changes_no_digest_and_a_formula_does():
    one = 'def f(x):\n    """What."""\n    return 0.5 * x\n'
    assert trees.tree(one) == trees.tree('# why\ndef f(x):\n    """Else."""\n\n    return 0.5*x  # half\n')
    assert trees.tree(one) != trees.tree(one.replace("0.5", "0.25"))
    typed = "from typing import Any\n" + one.replace("(x)", "(x: Any) -> float")
    assert trees.tree(one) == trees.tree(typed)
    # a dataclass makes its fields of annotations
    assert trees.tree("class A:\n    x: int = 1") != trees.tree("class A:\n    x = 1")


@pytest.mark.parametrize("harm", [lambda b: b, lambda b: b[:40], lambda b: b"", lambda b: b[:70] + bytes([b[70] ^ 1]) + b[71:]])
def test_a_kept_tree_is_the_tree_whatever_became_of_its_file(tmp_path, monkeypatch, harm):
    source = "def f(x):\n    return 0.5 * x\n"
    monkeypatch.setattr(trees, "FOLDER", tmp_path)
    first = trees.kept.__wrapped__(source)
    (file,) = tmp_path.iterdir()
    file.write_bytes(harm(file.read_bytes()))
    assert first == trees.kept.__wrapped__(source) == trees.tree(source).encode()
    assert trees.kept.__wrapped__(source.replace("0.5", "0.25")) != first and len(list(tmp_path.iterdir())) == 2
    # and it is read: a whole file with another content would be believed
    monkeypatch.setattr(trees, "tree", None)
    assert trees.kept.__wrapped__(source) == first


def test_exact_cells_do_not_depend_on_the_training_code_but_trained_ones_on_both():
    assert provenance.governing("softmax", "exact") != provenance.governing("softmax", "sgd") == provenance.governing("softmax", "adam")


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """edited(file): the package copied, with one more statement in a file of it."""
    def edit(file):
        root = tmp_path / file.replace("/", "_") / "wdbench"
        shutil.copytree(provenance.PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
        with (root / file).open("a") as handle:
            handle.write("\nEDITED = 1\n")
        monkeypatch.setattr(provenance, "PACKAGE", root)
        provenance.digest.cache_clear()
        provenance.governing.cache_clear()
    yield edit
    provenance.digest.cache_clear()
    provenance.governing.cache_clear()


@pytest.mark.parametrize("file, changed", [
    ("models/cnn.py", {"cnn", "resnet"}), ("models/resnet.py", {"resnet"}), ("models/norms.py", {"mlp", "cnn", "resnet", "gpt"}),
    ("models/linear.py", {"softmax"}), ("models/losses.py", {"softmax", "mlp", "cnn", "resnet", "gpt"}), ("datasets/fetch.py", set()),
    ("datasets/splits.py", {"softmax", "mlp", "cnn", "resnet", "gpt"}), ("engine.py", {"softmax", "mlp", "cnn", "resnet", "gpt"}),
])
def test_an_edited_model_changes_the_ids_of_its_own_cells_alone(edited, file, changed):
    models = ("softmax", "mlp", "cnn", "resnet", "gpt")
    before = {model: provenance.governing(model, "sgd") for model in models}
    edited(file)
    assert {model for model in models if provenance.governing(model, "sgd") != before[model]} == changed


def test_a_plugins_code_governs_the_cells_of_its_family(monkeypatch, tmp_path):
    from wdbench import models

    file = tmp_path / "plugged.py"
    file.write_text("def build(options, features, outputs):\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugged = importlib.import_module("plugged")
    monkeypatch.setitem(models.FAMILIES, "plugged", dataclasses.replace(models.FAMILIES["mlp"], name="plugged", build=plugged.build))
    provenance.governing.cache_clear()
    before = provenance.governing("plugged", "sgd")
    file.write_text("def build(options, features, outputs):\n    return 2\n")
    provenance.governing.cache_clear()
    assert provenance.governing("plugged", "sgd") != before


def test_the_registered_split_of_a_data_set_is_part_of_its_fingerprint(monkeypatch):
    before = datasets.fingerprint("diabetes")
    entry = datasets.registry.entry("diabetes")
    monkeypatch.setattr(datasets.registry, "entry", lambda name: dataclasses.replace(entry, shares=(0.5, 0.25, 0.25)))
    assert datasets.fingerprint("diabetes") != before


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    atomic.write_text(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="table.csv: cannot be written .No space left on device"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


ASKED_FOR = {"grid", "config", "errors", "atomic"}
"""What a cell is asked for is in its id; errors and atomic writes do not compute."""
VALUES = {"registry", "fetch", "images", "tabular", "idx"}
"""Modules of `datasets` that bring a set's values, whose sha256 is in the id, and its registration, which is too."""


def imported(part, seen):
    """Top-level parts of wdbench that a part imports, and what those import, without ASKED_FOR."""
    root = provenance.PACKAGE / part
    for file in root.rglob("*.py") if root.is_dir() else [root.with_suffix(".py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wdbench"):
                inner = node.module.split(".")[1:]
                names = inner[:1] or [alias.name for alias in node.names]
            for name in set(names) - seen - ASKED_FOR:
                seen.add(name)
                imported(name, seen)
    return seen


def test_whatever_training_imports_governs_the_rows():
    """A module that a row's numbers come from and that is in no digest would be edited without a cell being trained again."""
    governing = {part.partition("/")[0] for part in (*provenance._MEASURE, *provenance._TRAIN, *provenance._DATA)}
    assert imported("resolve", {"resolve"}) == governing


def test_whatever_makes_a_block_governs_the_rows():
    listed = {part.partition("/")[2] for part in provenance._DATA}
    assert {Path(part).name for part in provenance.siblings("wdbench.datasets.assembly")} - VALUES == listed
    for model in ("linear", "mlp", "cnn", "resnet", "gpt"):
        assert {"models/families", "models/losses"} <= set(provenance.siblings(f"wdbench.models.{model}"))


def test_a_writer_holds_small_chunks_back_and_leaves_none_behind(tmp_path, monkeypatch):
    store = Store(tmp_path, "here")
    with store.writer("p") as writer:
        writer.add({"rows": rows("a")})
        writer.add({"rows": rows("b"), "trajectories": rows("b")})
        assert set(store.load("p", "rows")["cell_id"]) == {"a"}, "chunks of other tables are not mixed"
    assert set(store.load("p", "rows")["cell_id"]) == {"a", "b"}
    with pytest.raises(KeyboardInterrupt), store.writer("q") as writer:
        writer.add({"rows": rows("a", "b")})
        writer.add({"rows": rows("c")})
        assert not len(store.load("q", "rows"))
        raise KeyboardInterrupt
    assert list(store.load("q", "rows")["cell_id"]) == ["a", "b", "c"]
    assert len(list((tmp_path / "here" / "q").iterdir())) == 1
    monkeypatch.setattr("wdbench.store.HOLD_SECONDS", 0.0)
    with store.writer("r") as writer:
        writer.add({"rows": rows("a")})
        assert list(store.load("r", "rows")["cell_id"]) == ["a"], "what is old enough is written at once"


def test_a_writer_mixes_no_columns_of_another_type(tmp_path):
    store = Store(tmp_path, "here")
    with store.writer("p") as writer:
        writer.add({"rows": rows("a").assign(k=1)})
        writer.add({"rows": rows("b").assign(k=0.5)})
    assert len(list((tmp_path / "here" / "p").iterdir())) == 2
