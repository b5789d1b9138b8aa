"""`wdbench init`: a project outside of the clone, whole or not at all."""

import os

import pytest
import yaml
from click.testing import CliRunner

from wdbench import atomic, judging, planning, project
from wdbench.config import experiment as experiments
from wdbench.errors import UserError
from wdbench.verbs import main


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("full", [False, True])
def test_a_new_project_has_a_plan_and_claims_that_fit_it(tmp_path, monkeypatch, full):
    done = CliRunner().invoke(main, ["init", str(tmp_path / "mine"), *(["--full"] if full else [])])
    assert done.exit_code == 0, done.output
    monkeypatch.chdir(tmp_path / "mine")
    assert files(tmp_path / "mine") == sorted(line.removeprefix(f"{tmp_path}/mine/") for line in done.output.splitlines()[:-1])
    for profile in ("core", "smoke"):
        experiment = experiments.load("config.yaml", profile)
        assert judging.registered_claims(experiment)
        assert planning.report(experiment)["missing"] > 0
        if not full:
            # a starter whose claims no outcome could uphold, or that read no row, would be a bad example
            assert judging.unreachable(experiment) == {}


def test_the_whole_experiment_is_the_repository_s(tmp_path):
    project.start(tmp_path / "mine", full=True)
    for name in (*project.FULL, *project.PROFILES):
        assert (tmp_path / "mine" / name).read_bytes() == project.file(name).read_bytes(), name


def test_the_study_that_is_commented_out_is_one(tmp_path, monkeypatch):
    project.start(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    path = tmp_path / "mine/config.yaml"
    text = path.read_text()
    commented = [line for line in text.splitlines() if line.startswith(("  # few_rows:", "  #   "))]
    assert len(commented) == 7
    study = yaml.safe_load("\n".join(line.replace("# ", "", 1) for line in commented))
    path.write_text(yaml.safe_dump(yaml.safe_load(text) | {"studies": study, "profiles": {}}))
    assert experiments.load(path).studies["few_rows"].size == 3 * 8 * 20


@pytest.mark.parametrize(("old", "new", "said"), [
    ("metric: test_loss", "metric: test_los", "claim OWN1.metric: no column 'test_los' in the runs; did you mean"),
    ("metric: fidelity", "metric: fidelity - train_risk", "claim OWN3.metric: no column 'train_risk'"),
    ("x: lambda_rel", "x: lamda_rel", "claim OWN2.x: no column 'lamda_rel'"),
])
def test_register_refuses_an_outcome_that_no_run_has(tmp_path, monkeypatch, old, new, said):
    project.start(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    path = tmp_path / "mine/claims.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = CliRunner().invoke(main, ["register"])
    assert done.exit_code == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / "mine/claims.lock.json").exists()


def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    done = CliRunner().invoke(main, ["init", str(tmp_path / "mine")])
    assert done.exit_code == 2 and "is not empty (thesis.tex); valid: a folder that is empty" in done.stderr
    done = CliRunner().invoke(main, ["init", str(tmp_path / "mine/thesis.tex")])
    assert done.exit_code == 2 and "is a file; valid" in done.stderr
    assert files(tmp_path) == ["mine/thesis.tex"]


def test_the_empty_folder_that_one_is_in_stays_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.stat(".").st_ino
    project.start(".")
    assert os.stat(".").st_ino == before and "config.yaml" in os.listdir(".")


@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, monkeypatch, there):
    if there:
        (tmp_path / "mine").mkdir()
    write = atomic.write_bytes

    def full_disk(path, content):
        if path.name == "README.md":
            raise UserError(f"{path}: cannot be written (No space left on device)")
        return write(path, content)

    monkeypatch.setattr(atomic, "write_bytes", full_disk)
    with pytest.raises(UserError, match="No space left"):
        project.start(tmp_path / "mine")
    assert os.listdir(tmp_path) == (["mine"] if there else []) and files(tmp_path) == []
