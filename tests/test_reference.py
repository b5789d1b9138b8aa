"""The accepted run: what verify tells apart, and the table that accept writes."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from wdbench import reference
from wdbench.config import experiment as experiments
from wdbench.errors import UserError


def folder(path, estimate=0.5, verdict="supported", loss=1.0, plan="a", platform="here"):
    """A result folder with what verify reads."""
    path.mkdir(parents=True)
    verdicts = pd.DataFrame({"claim_id": ["A", "I"], "dataset": ["all", "all"], "kind": ["superiority", "identity"],
                             "verdict": [verdict, "holds"], "estimate": [estimate, loss * 1e-9], "ci_low": [estimate - 0.1, np.nan],
                             "ci_high": [estimate + 0.1, np.nan]})
    verdicts.to_csv(path / "verdicts.csv", index=False)
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
