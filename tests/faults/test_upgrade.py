"""Rows written by another version of config, data, code or libraries are kept apart: not used, counted, and told why."""

import hashlib
import io
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from wdbench import grid, planning, provenance, work
from wdbench.config import experiment as experiments

PACK = "noisy~linear~exact"
STUDY = {"about": "ridge, solved exactly", "datasets": ["noisy:p=10"], "penalties": ["none", "l2"], "optimisers": ["exact"],
         "lambda": {"l2": {"from": 0.01, "to": 1, "points": 4}}, "replicates": 3}


def project(folder, **changes):
    config = {"profile": "core", "results": str(folder / "results"), "claims": "claims.yaml", "studies": {"ridge": STUDY | changes},
              "profiles": {"core": {}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return experiments.load(folder / "config.yaml")


@pytest.fixture
def trained(tmp_path):
    experiment = project(tmp_path)
    work.train(experiment, PACK)
    found = planning.report(experiment)
    assert found["cached"] == found["cells"] == 15 and found["stale"] == 0
    return experiment


def rows(experiment):
    return pd.read_parquet(work.paths(experiment)["packs"] / f"{PACK}.parquet")


def test_another_version_of_the_code(trained, monkeypatch):
    before = set(rows(trained)["cell_id"])
    monkeypatch.setattr(provenance, "governing", lambda *names: "other code")
    found = planning.report(trained)
    assert found["cached"] == 0 and found["missing"] == 15 and found["stale_by"] == {"config": 0, "data": 0, "code": 15}
    assert "15 stored rows are kept and not used: 15 of other code" in planning.text(found)
    work.train(trained, PACK)
    assert not before & set(rows(trained)["cell_id"]) and len(rows(trained)) == 15
    monkeypatch.undo()
    # what the older version had trained is there as it was
    assert planning.report(trained)["cached"] == 15 and planning.report(trained)["stale"] == 15


def test_another_config(trained, tmp_path):
    narrower = project(tmp_path, replicates=2)
    found = planning.report(narrower)
    assert found["cached"] == found["cells"] == 10 and found["stale_by"] == {"config": 5, "data": 0, "code": 0}
    work.train(narrower, PACK)
    assert sorted(rows(narrower)["replicate"].unique()) == [0, 1]


def test_other_data(trained, monkeypatch):
    real = work.datasets.status
    other = lambda name: replace(real(name), sha256="0" * 64)  # noqa: E731
    monkeypatch.setattr(work.datasets, "status", other)
    found = planning.report(trained)
    assert found["cached"] == 0 and found["stale_by"] == {"config": 0, "data": 15, "code": 0}


OTHER_TORCH = "9.9.9"


@pytest.fixture
def other_torch(monkeypatch):
    """The facts that a platform's key is made from are others; the key follows from them."""
    facts = provenance.platform_facts("cpu")
    monkeypatch.setattr(provenance, "platform_facts", lambda device="cpu": facts | {"torch": OTHER_TORCH})
    provenance.platform_key.cache_clear()
    yield facts
    monkeypatch.undo()
    provenance.platform_key.cache_clear()


def test_another_version_of_torch(trained, other_torch, tried):
    path = work.paths(trained)["store"] / provenance.key(other_torch)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    found = planning.report(trained)
    assert found["cached"] == 0 and found["stale"] == 0 and found["other_platforms"] == {path.name: 1}
    assert f"another platform (torch {other_torch['torch']} there, {OTHER_TORCH} here) and are not used" in planning.text(found)
    work.train(trained, PACK)
    tried("settings", "another version of torch")
    assert set(grid.pack_cells(trained, PACK)) and len(rows(trained)) == 15
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_facts_of_another_platform_that_are_damaged_are_named_and_not_told(trained, other_torch, capsys):
    facts = work.paths(trained)["store"] / provenance.key(other_torch) / "platform.json"
    facts.write_text(facts.read_text().replace(other_torch["torch"], "1.2.3"))
    found = planning.report(trained)
    assert f"{facts}: damaged" in capsys.readouterr().err
    assert "1.2.3" not in planning.text(found) and f"platform ({facts.parent.name}) and are not used" in planning.text(found)


def older_schema(trained, change):
    """The pack's stored chunk as another version would have written it, under the sum of what it then was."""
    (path,) = (work.paths(trained)["store"]).rglob("rows-*.parquet")
    table = change(pd.read_parquet(path))
    path.unlink()
    shutil.rmtree(work.paths(trained)["packs"])
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    content = buffer.getvalue()
    made = path.with_name(f"rows-{hashlib.sha256(content).hexdigest()}.parquet")
    made.write_bytes(content)
    return made, content


SCHEMAS = {
    "without a column of now": lambda table: table.drop(columns="test_loss"),
    "with a column of then": lambda table: table.assign(loss_of_then=1.0),
    "a column of another type": lambda table: table.assign(test_loss=table["test_loss"].astype(str)),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_another_version_of_the_schema(trained, monkeypatch, tried, name):
    """What columns a row has is decided by code that governs it: rows of another schema are rows of other code."""
    whole = rows(trained).drop(columns=["train_seconds", "cell_id"])
    renamed = lambda table: table.assign(cell_id=[f"{i:016x}" for i in range(len(table))])  # noqa: E731
    made, content = older_schema(trained, lambda table: SCHEMAS[name](renamed(table)))
    found = planning.report(trained)
    assert found["cached"] == 0 and found["missing"] == 15 and found["stale_by"] == {"config": 0, "data": 0, "code": 15}
    work.train(trained, PACK)
    tried("settings", "another schema")
    pd.testing.assert_frame_equal(rows(trained).drop(columns=["train_seconds", "cell_id"]), whole, check_exact=True)
    assert made.read_bytes() == content
