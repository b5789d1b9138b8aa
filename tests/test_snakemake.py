"""What Snakemake's own tools say of the Snakefile, and the workflow as a module of another one."""

import re
import shutil
import subprocess
import sys

import pytest
import rulegraph
from smoke import ROOT, environment, project, run

from wdbench import gallery, work
from wdbench.config import experiment as experiments

SNAKEFILES = ("Snakefile", "wdbench/starter/Snakefile", "examples/module/Snakefile")


def test_snakefiles_are_formatted():
    run(ROOT, sys.executable, "-m", "snakefmt", "--check", *SNAKEFILES)


def test_the_linter_says_nothing_but_that_rules_name_no_environment(tmp_path):
    done = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], cwd=project(tmp_path / "p"), env=environment(),
                          capture_output=True, text=True, timeout=120)
    text = done.stdout + done.stderr
    said = re.findall(r"^ {4}\* (.*)$", text, re.M)
    rules = re.findall(r"^rule (?!all|figures|report)(\w+):", (ROOT / "Snakefile").read_text(), re.M)
    assert said == ["Specify a conda environment or container for each rule.:"] * len(rules), text[-3000:]


def test_the_graph_of_rules_in_the_readme_is_that_of_the_snakefile():
    assert rulegraph.within((ROOT / "README.md").read_text(encoding="utf-8")) == rulegraph.mermaid(), "make graph"


def test_every_table_and_the_figures_have_a_caption_of_their_own():
    captions = {path.stem for path in gallery.HERE.glob("*.rst")}
    assert captions == {*gallery.FILES, "figures", "workflow"}
    files = set(work.paths(experiments.load(ROOT / "config.yaml"))) | {"data_checks"}
    assert set(gallery.FILES) <= files
    flagged = set(re.findall(r'told\("(\w+)"\)', (ROOT / "Snakefile").read_text()))
    flagged |= {name for names in re.findall(r"told\(name\)\)\s+for name in \(([^)]*)\)", (ROOT / "Snakefile").read_text())
                for name in re.findall(r'"(\w+)"', names)}
    assert flagged == {*gallery.FILES, "figures"}


@pytest.fixture
def outside(tmp_path):
    shutil.copytree(ROOT / "examples/module", tmp_path / "mine")
    return tmp_path / "mine"


def test_the_example_of_a_module_runs_with_the_rules_of_wdbench_and_its_own(outside):
    text = run(outside, sys.executable, "-m", "snakemake", "--cores", "2")
    assert "localrule upheld" in text or "rule upheld" in text
    assert (outside / "upheld.txt").read_text() == "3\n"
    assert "Nothing to be done" in run(outside, sys.executable, "-m", "snakemake", "--cores", "2")


def test_a_module_that_is_given_an_unknown_key_says_which_there_are(outside):
    path = outside / "config/main.yaml"
    path.write_text(path.read_text() + "  colour: red\n")
    text = run(outside, sys.executable, "-m", "snakemake", "--cores", "2", code=2)
    assert "valid: config_file, profile, results" in text and "Traceback" not in text
