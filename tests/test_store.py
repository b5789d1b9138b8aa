"""The cell store, code digests and atomic writes."""

import ast
import os

import pandas as pd
import pytest

from wdbench import atomic, provenance
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
    assert provenance.tree(one) == provenance.tree('# why\ndef f(x):\n    """Else."""\n\n    return 0.5*x  # half\n')
    assert provenance.tree(one) != provenance.tree(one.replace("0.5", "0.25"))


def test_exact_cells_do_not_depend_on_the_training_code_but_trained_ones_on_both():
    assert provenance.governing("exact") != provenance.governing("sgd") == provenance.governing("adam")


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
    governing = {*provenance._MEASURE, *provenance._TRAIN, *provenance._DATA}
    assert imported("resolve", {"resolve"}) == governing
