"""The accepted run: what verify tells apart, and the table that accept writes."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from wdbench import reference, sealing
from wdbench.config import experiment as experiments
from wdbench.errors import UserError


def folder(path, estimate=0.5, verdict="supported", loss=1.0, plan="a", platform="here"):
    """A result folder with what verify reads."""
    path.mkdir(parents=True)
    verdicts = pd.DataFrame({"claim_id": ["A", "I"], "dataset": ["all", "all"], "kind": ["superiority", "identity"],
                             "verdict": [verdict, "holds"], "estimate": [estimate, loss * 1e-9], "ci_low": [estimate - 0.1, np.nan],
                             "ci_high": [estimate + 0.1, np.nan]})
    verdicts.to_csv(path / "verdicts.csv", index=False)
    for name in ("effects", "selected"):
        sealing.write_csv(path / f"{name}.csv", pd.DataFrame({"claim_id": ["A"], "value": [estimate]}))
    pd.DataFrame({"cell_id": ["x"], "test_loss": [loss]}).to_parquet(path / "runs.parquet")
    sums = {name: {"sha256": hashlib.sha256((path / name).read_bytes()).hexdigest()} for name in ("verdicts.csv", "runs.parquet")}
    tables = sums | {"plan.csv": {"sha256": plan}}
    tables["runs.parquet"]["content_sha256"] = str(loss)
    facts = {"profile": "core", "cells": 1, "platform_key": platform, "code": {}, "tables": tables}
    (path / "manifest.json").write_text(json.dumps(facts))
    return path


def verified(tmp_path, **mine):
    accepted = folder(tmp_path / "accepted")
    folder(tmp_path / "mine", **mine)
    return reference.verify(experiments.load("config.yaml", results=str(tmp_path / "mine")), accepted)


def test_the_same_run_is_the_same(tmp_path, capsys):
    assert verified(tmp_path)
    assert "equal bit for bit" in capsys.readouterr().out


@pytest.mark.parametrize("mine, told", [
    ({"verdict": "refuted"}, "A [all]: reference supported, here refuted"),
    ({"loss": 2.0}, "the rows are DIFFERENT"),
    ({"plan": "b"}, "NOT THE SAME AS the reference's 1"),
    # 0.1 and 0.1 make a joint half width of 0.141
    ({"estimate": 0.65, "platform": "there"}, "A [all]: reference 0.5, here 0.65, joint half width 0.14"),
])
def test_what_differs_is_told_and_fails(tmp_path, capsys, mine, told):
    assert not verified(tmp_path, **mine)
    assert told in capsys.readouterr().out


def test_another_platform_may_differ_within_both_intervals(tmp_path, capsys):
    assert verified(tmp_path, estimate=0.63, loss=1.1, platform="there")
    assert "bits are not compared" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["effects.csv", "selected.csv"])
def test_a_damaged_table_is_named(tmp_path, name):
    accepted, mine = folder(tmp_path / "accepted"), folder(tmp_path / "mine")
    (mine / name).write_text("claim_id,value\nA,0.7\n")
    with pytest.raises(UserError, match=name):
        reference.verify(experiments.load("config.yaml", results=str(mine)), accepted)


def test_rows_that_the_manifest_does_not_know_are_refused(tmp_path):
    accepted, mine = folder(tmp_path / "accepted"), folder(tmp_path / "mine")
    pd.DataFrame({"cell_id": ["y"], "test_loss": [1.0]}).to_parquet(mine / "runs.parquet")
    with pytest.raises(UserError, match="damaged|other rows"):
        reference.verify(experiments.load("config.yaml", results=str(mine)), accepted)


def test_the_verdict_table_goes_between_its_marks_and_nowhere_else():
    verdicts = pd.DataFrame({"claim_id": ["A"], "dataset": ["all"], "sentence": ["x | y"], "verdict": ["supported"],
                             "kind": ["superiority"], "post_hoc": [True], "margin": [0.1], "estimate": [0.5],
                             "ci_low": [0.25], "ci_high": [0.75], "n": [10], "reason": ["why"]})
    assert reference.verdict_table(verdicts).splitlines()[-1] == r"| A | x \| y | **supported** (post hoc) | 0.5 [0.25, 0.75] | 10 |"
    assert reference.verdict_table(verdicts, {"A": "a title"}).splitlines()[-1].startswith(r"| A | x \| y<br>*a title* |")
    nothing = reference.verdict_table(verdicts.assign(verdict="not_tested"))
    assert nothing.splitlines()[-1] == r"| A | x \| y | **not_tested** (post hoc) |  |  |"
    identity = verdicts.assign(kind="identity", verdict="holds", post_hoc=False, ci_low=np.nan, margin=[0.7])
    assert identity.pipe(reference.verdict_table).splitlines()[-1] == r"| A | x \| y | **holds** | 0.5 ≤ 0.7 | 10 |"
    assert "| 0.5 ≥ 0.2 |" in reference.verdict_table(identity.assign(margin=0.2))
    elsewhere = verdicts.assign(verdict="not_tested", reason="its runs are not part of this profile: snakemake", claim_id="B")
    both = reference.verdict_table(pd.concat([verdicts, elsewhere]))
    assert "| B |" not in both and "1 more claims are about runs of other profiles" in both


def test_the_readme_has_a_place_for_each_accepted_profile():
    text = open("README.md", encoding="utf-8").read()
    for profile in ("core", "gpt"):
        begin, end = reference.marks(profile)
        assert 0 <= text.find(begin) < text.find(end)


def run_of(path, claims, summary):
    """A folder that accept takes: claims: id -> (verdict, reason)."""
    folder(path)
    same = {"dataset": "all", "kind": "superiority", "post_hoc": False, "margin": 0.1, "estimate": 0.5, "ci_low": 0.4, "ci_high": 0.6,
            "n": 10}
    rows = [same | {"claim_id": name, "sentence": f"sentence {name}", "verdict": verdict, "reason": reason}
            for name, (verdict, reason) in claims.items()]
    sealing.write_csv(path / "verdicts.csv", pd.DataFrame(rows))
    facts = json.loads((path / "manifest.json").read_text())
    facts["tables"]["verdicts.csv"]["sha256"] = hashlib.sha256((path / "verdicts.csv").read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(facts))
    program = {"dataset": "digits", "model": "softmax", "optimiser": "sgd", "precision": "fp32", "steps": 100, "batch_size": 64}
    sealing.write_parquet(path / "runs.parquet", pd.DataFrame([program | {"replicate": r, "train_seconds": r + 1.0} for r in (0, 1)]))
    sealing.write_csv(path / "summary.csv", pd.DataFrame(summary, columns=["dataset", "metric", "mean"]))


def test_accepting_core_and_then_another_profile(tmp_path):
    results, readme = tmp_path / "results", tmp_path / "README.md"
    elsewhere = "its runs are not part of this profile: snakemake --cores 2 --config profile=gpt"
    core = {"A": ("supported", "why"), "G": ("not_tested", elsewhere), "N": ("not_tested", elsewhere)}
    run_of(results, core, [("khan", "test_loss", 1.0), ("khan", "nll", np.nan)])
    of_core = [("khan", "test_loss", 1.0), ("khan", "nll", np.nan)]
    run_of(results / "gpt", core | {"G": ("refuted", "why")}, [*of_core, ("shakespeare", "nll", 2.0)])
    readme.write_text("\n".join(["head", *reference.marks("core"), "middle", *reference.marks("gpt"), "foot"]))
    reference.accept(experiments.load("config.yaml", results=str(results)), readme=readme)
    reference.accept(experiments.load("config.yaml", "gpt", results=str(results)), readme=readme)
    program = pd.read_csv(results / "reference/pace.csv").iloc[0]
    assert (program["pack"], program["seconds"], program["cells"]) == ("digits~softmax~sgd", 1.5, 2)
    lines = readme.read_text().splitlines()
    middle = lines.index("middle")
    assert any("| A |" in line for line in lines[:middle]) and not any("| A |" in line for line in lines[middle:])
    assert not any("| G |" in line for line in lines[:middle]) and any("**refuted**" in line for line in lines[middle:])
    assert lines[0] == "head" and lines[-1] == "foot"
    kept = pd.read_parquet(results / "reference/gpt/summary.parquet")
    assert kept.to_dict("records") == [{"dataset": "shakespeare", "metric": "nll", "mean": 2.0}]
    assert (results / "reference/gpt/verdicts.csv").read_bytes() == (results / "gpt/verdicts.csv").read_bytes()


def test_a_readme_without_a_place_for_the_table_is_refused_and_nothing_is_accepted(tmp_path):
    run_of(tmp_path / "results", {"A": ("supported", "why")}, [("khan", "nll", 1.0)])
    readme = tmp_path / "README.md"
    readme.write_text("no marks")
    with pytest.raises(UserError, match="lacks the lines"):
        reference.accept(experiments.load("config.yaml", results=str(tmp_path / "results")), readme=readme)
    assert not (tmp_path / "results/reference").exists() and readme.read_text() == "no marks"
