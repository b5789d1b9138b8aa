"""Rows written by another version of config, data, code or libraries are kept apart: not used, counted, and told why."""

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


def test_another_platform(trained, monkeypatch):
    facts = provenance.platform_facts("cpu")
    monkeypatch.setattr(provenance, "platform_key", lambda device="cpu": "another")
    monkeypatch.setattr(provenance, "platform_facts", lambda device="cpu": facts | {"torch": "9.9.9"})
    found = planning.report(trained)
    assert found["cached"] == 0 and found["stale"] == 0 and sum(found["other_platforms"].values()) >= 1
    assert f"another platform (torch {facts['torch']} there, 9.9.9 here) and are not used" in planning.text(found)
    work.train(trained, PACK)
    assert set(grid.pack_cells(trained, PACK)) and len(rows(trained)) == 15
