"""A wheel, installed where there is no clone: it has every file, and runs a new project.

The runs themselves take minutes and are part of `make test-wheel` alone (WDBENCH_WHEEL=1).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pandas as pd
import pytest
from smoke import ROOT

from wdbench import project

runs = pytest.mark.skipif(os.environ.get("WDBENCH_WHEEL") != "1", reason="takes minutes: make test-wheel")


def called(folder, *words, code=0):
    """Output of a command that sees neither the clone nor this process' environment of Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WDBENCH_"))}
    done = subprocess.run([str(word) for word in words], cwd=folder, env=kept, capture_output=True, text=True, timeout=1200)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that `python -m build` makes from the source distribution that it makes from the files under version control."""
    source, out = tmp_path_factory.mktemp("source") / "wdbench", tmp_path_factory.mktemp("dist")
    ignored = shutil.ignore_patterns(".venv", ".git", ".snakemake", "results", "build", "*.egg-info", "__pycache__", ".*_cache", "site")
    shutil.copytree(ROOT, source, ignore=ignored)
    called(source, sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ".")
    assert len(list(out.glob("*.tar.gz"))) == 1
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of an environment with that wheel and the libraries of this one; an editable install here is not seen there."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    found = folder / "bin/python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # a path file that is named in a path file is not read: what makes an install editable stays behind
    (folder / "lib" / version / "site-packages/libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    called(folder, found, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", "--disable-pip-version-check", wheel)
    where = called(folder, found, "-c", "import wdbench.project; print(wdbench.project.__file__)").strip()
    assert where.startswith(str(folder)), where
    return found


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "wdbench").rglob("*")
              if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"}
    assert wanted <= held, sorted(wanted - held)
    for name in ("Snakefile", *project.FULL, *project.PROFILES):
        assert zipfile.ZipFile(wheel).read(f"wdbench/project/{name}") == (ROOT / name).read_bytes(), name


def test_a_new_project_is_planned_without_the_clone(python, tmp_path):
    wdbench = python.parent / "wdbench"
    for folder, words in (("small", ()), ("full", ("--full",))):
        called(tmp_path, wdbench, "init", *words, folder)
        text = called(tmp_path / folder, python, "-m", "snakemake", "--cores", "1", "-n", "--config", "profile=smoke")
        assert "gather" in text and "render" in text and "This was a dry-run" in text


@runs
@pytest.mark.parametrize("profile", ["core", "smoke"])
def test_a_new_project_runs_without_the_clone(python, tmp_path, profile):
    called(tmp_path, python.parent / "wdbench", "init", "mine")
    called(tmp_path / "mine", python.parent / "wdbench", "register")
    called(tmp_path / "mine", python, "-m", "snakemake", "--cores", "1", "--config", f"profile={profile}")
    results = tmp_path / "mine/results" / ("" if profile == "core" else profile)
    verdicts = pd.read_csv(results / "verdicts.csv").query("dataset == 'all'").set_index("claim_id")
    assert set(verdicts["verdict"]) <= {"supported", "conditional"} and not verdicts["post_hoc"].any()
    assert {"OWN1", "OWN2", "OWN3"} == set(verdicts.index) and (results / "report.html").stat().st_size > 50_000


@runs
def test_the_smoke_profile_of_the_whole_experiment_gives_the_clone_s_bytes(python, tmp_path):
    import smoke

    called(tmp_path, python.parent / "wdbench", "init", "--full", "installed")
    called(tmp_path / "installed", python, "-m", "snakemake", "--cores", "2", "--config", "profile=smoke")
    smoke.snakemake(smoke.project(tmp_path / "clone"))
    assert smoke.digests(tmp_path / "installed") == smoke.digests(tmp_path / "clone")
