"""docs/tutorial.md as it is written: its files are written, its commands are typed, in a folder that is no clone."""

import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import smoke

PAGE = smoke.ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, str, str]]:
    """(kind, file name, text) of every fenced block, in order."""
    return [match.groups(default="") for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here, said = tmp_path_factory.mktemp("tutorial"), {}
    for kind, name, text in steps():
        if kind != "console":
            assert name, f"a block of {kind} without a file name"
            (here / name).write_text(text)
            continue
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ "))
            if words[0] == "cd":
                here = here / words[1]
                continue
            done = subprocess.run(words, cwd=here, env=smoke.environment(), capture_output=True, text=True, timeout=580)
            assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
            said[line.removeprefix("$ ")] = done.stdout
    return here, said


def test_the_page_has_all_that_it_promises():
    names = [name for _, name, _ in steps() if name]
    assert names == ["make_table.py", "my_data.py", "my_rules.py", "my_figure.py", "config.yaml", "claims.yaml"]
    assert not any(str(path) in PAGE.read_text() for path in (Path.home(), smoke.ROOT))


def test_its_claims_get_verdicts_and_figures(folder):
    here, said = folder
    verdicts = pd.read_csv(here / "results/verdicts.csv")
    overall = verdicts[verdicts["dataset"] == "all"].set_index("claim_id")
    assert set(overall.index) == {"MINE1", "MINE2"} and not overall["verdict"].isin(["not_tested"]).any()
    # the page says so
    assert overall.loc["MINE2", "verdict"] == "refuted"
    runs = pd.read_parquet(here / "results/runs.parquet")
    assert set(runs["optimiser"]) == {"lion"} and runs["status"].eq("ok").all()
    assert set(runs["coupling"]) == {"coupled", "half", "decoupled"}
    for claim in ("MINE1", "MINE2"):
        assert (here / f"results/figures/{claim}.svg").exists() and len(pd.read_csv(here / f"results/figures/{claim}.csv")) == 8
    assert "MINE1" in said["wdbench show claims"] and "refuted" in said["wdbench show claim MINE2 --markdown"]
    assert "Lion" in (here / "results/report.html").read_text(encoding="utf-8")
