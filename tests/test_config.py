"""config.yaml: what is accepted, and the sentence for what is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import TypeAdapter

from wdbench import cells, datasets, grid, judging, plugins, verbs
from wdbench.config import experiment
from wdbench.config import study as study_config
from wdbench.errors import UserError
from wdbench.workflow import Workflow

ROOT = Path(__file__).parent.parent


def write(tmp_path, change):
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    change(content)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def study(content):
    return content["studies"]["grid"]


BAD = {
    "unknown key": (lambda c: study(c).update(optimizers=["sgd"]), ["studies.grid.optimizers", "unknown key"]),
    "negative lambda": (lambda c: study(c)["lambda"].update(l2={"values": [-1.0]}), ["studies.grid.lambda.l2.values", "-1.0"]),
    "lambda as text": (lambda c: study(c)["lambda"].update(l2={"from": "1e-4", "to": 1.0, "points": 3}),
                       ["studies.grid.lambda.l2.from", "'1e-4' is text", "1.0e-4"]),
    "unknown penalty": (lambda c: study(c).update(penalties=["none", "l3"]), ["studies.grid.penalties", "'l3'", "elastic"]),
    "no as a boolean": (lambda c: study(c).update(penalties=[False]), ["studies.grid.penalties", "False"]),
    "missing lambda": (lambda c: study(c)["lambda"].pop("l1"), ["lambda has no entry for penalty 'l1'"]),
    "missing rate": (lambda c: study(c)["lr"].pop("adam"), ["lr has no entry for optimiser 'adam'"]),
    "rate of zero": (lambda c: study(c)["lr"].update(adam={"unit": "absolute", "values": [0.0]}), ["lr.adam must be above 0"]),
    "zero replicates": (lambda c: study(c).update(replicates=0), ["studies.grid.replicates", "0"]),
    "steps as text": (lambda c: study(c).update(steps="300"), ["studies.grid.steps", "'300' is text"]),
    "twice": (lambda c: study(c).update(optimisers=["sgd", "sgd"]), ["studies.grid.optimisers", "twice"]),
    "studies of another kind": (lambda c: c.update(studies=[1]), ["studies", "[1]"]),
    "a second moment that is not there": (lambda c: study(c).update(couplings=["coupled", "moment_split_v"]),
                                          ["moment_split_v needs a second moment"]),
    "too many steps": (lambda c: study(c).update(steps=1_000_000_000), ["studies.grid.steps", "1000000000", "at most 1000000"]),
    "too many points": (lambda c: study(c)["lambda"].update(l2={"from": 0.001, "to": 1.0, "points": 1_000_000_000}),
                        ["studies.grid.lambda.l2.points", "1000000000", "at most 1000"]),
    "too many replicates": (lambda c: study(c).update(replicates=1_000_000_000),
                            ["studies.grid.replicates", "1000000000", "at most 10000"]),
    "a first block below 0": (lambda c: study(c).update(first_replicate=-1), ["studies.grid.first_replicate", "-1"]),
    "too large a batch": (lambda c: study(c).update(batch_size=1_000_000_000),
                          ["studies.grid.batch_size", "1000000000", "at most 1000000"]),
    "a number of thousands of digits": (lambda c: study(c).update(steps=10**4000), ["studies.grid.steps", "at most 1000000"]),
    "too large a product": (lambda c: study(c).update(
        replicates=10_000, steps=list(range(1, 1001)), init_scales=[i / 1000 for i in range(1000)]),
        ["studies.grid", "its axes multiply to 44,550,000,000,000 cells; at most 1,000,000 are valid"]),
    "too many studies": (lambda c: c.update(studies={f"copy{i}": study(c) for i in range(50)}),
                         ["studies: value", "2,227,500 cells in all; at most 1,000,000 are valid"]),
    "nothing to follow": (lambda c: c["studies"]["replay"].update(penalties=["l1"], **{"lambda": {"l1": {"values": [1.0]}}}),
                          ["studies.replay", "penalties: value 'l1'", "norm_replay", "valid: none, l2"]),
    "a bias that follows": (lambda c: c["studies"]["replay"].update(decay_masks=["all"]),
                            ["decay_masks: value 'all'", "valid: weights, hidden, head"]),
    "a convex follower": (lambda c: study(c).update(couplings=["lr_replay"], penalties=["none", "l2"]),
                          ["couplings: value 'lr_replay'", "not for model 'glm'"]),
    "another sphere": (lambda c: c["studies"]["sphere"].update(sphere="day"), ["studies.sphere.sphere", "'day'", "'epoch'"]),
    "no rate": (lambda c: study(c)["lr"].update(adam={"unit": "absolute", "values": []}),
                ["studies.grid.lr.adam", "values is empty; give at least one number"]),
    **{f"no {key}": (lambda c, key=key: study(c).update({key: []}), [f"studies.grid.{key}: value []", "the list is empty"])
       for key in ("datasets", "model", "penalties", "optimisers", "couplings", "precisions", "roundings", "schedule", "steps",
                   "batch_size", "decay_masks", "decay_phases", "sphere", "init_scales")},
    "no study": (lambda c: c.update(studies={}), ["studies: value {}", "at least one"]),
    "only studies of another tier": (lambda c: c.update(studies={"grid": study(c) | {"tier": "gpt"}}), ["studies: value {}", "tiers"]),
    "no tier": (lambda c: c.update(tiers=[]), ["tiers: value []", "at least 1"]),
    "results nowhere": (lambda c: c.update(results=""), ["results: value ''", "must name a path"]),
    "claims nowhere": (lambda c: c.update(claims=" "), ["claims: value ' '", "must name a path"]),
    "results in a file": (lambda c: c.update(results=__file__ + "/results"), [f"results: value {__file__!r}: is a file"]),
    "a first moment alone": (lambda c: study(c).update(couplings=["moment_split_m"]), ["moment_split_m needs a second moment"]),
    "a plugin with a path": (lambda c: c.update(plugins=["../mine.py"]), ["plugins.0: value '../mine.py'"]),
    "half a batch": (lambda c: study(c).update(batch_size="half"), ["batch_size.0: value 'half'", "a whole number or valid: 'full'"]),
    "the field of the file": (lambda c: c.update(source="x"), ["unknown key 'source'"]),
    "infinite": (lambda c: study(c)["lambda"].update(l2={"values": [float("inf")]}), ["studies.grid.lambda.l2.values", "inf"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_misfit_is_one_sentence_that_names_file_field_and_value(name, tmp_path):
    change, expected = BAD[name]
    path = write(tmp_path, change)
    with pytest.raises(UserError) as caught:
        experiment.load(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    for part in expected:
        assert part in message


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("profile: core\nprofile: smoke\n")
    with pytest.raises(UserError, match="line 2.*'profile' is given twice"):
        experiment.load(path)


@pytest.mark.parametrize("text", ["a: [1", "- 1", "\tx: 1", "a: &x [*x]"])
def test_what_is_no_mapping_is_refused(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="config.yaml"):
        experiment.load(path)


@pytest.mark.parametrize("profile", ["core", "smoke", "gpt"])
@pytest.mark.parametrize("name", ["zou", "gpt_coupled", "grid"])
def test_a_study_that_a_profile_leaves_out_or_changes_must_be_right_too(tmp_path, profile, name):
    def spoil(content):
        assert name in content["studies"]
        content["studies"][name]["penalties"] = ["none", "l7"]

    with pytest.raises(UserError, match=rf"studies\.{name}\.penalties.*'l7'"):
        experiment.load(write(tmp_path, spoil), profile)


def test_unknown_profile_and_missing_file():
    with pytest.raises(UserError, match="valid: core, gpt"):
        experiment.load(ROOT / "config.yaml", "weekly")
    with pytest.raises(UserError, match="no such file"):
        experiment.load(ROOT / "nowhere.yaml")


@pytest.mark.parametrize("key, value, expected", [
    ("datasets", "cifar", "'cifar': not known; valid: diabetes"),
    ("datasets", "digits:n=5000", "option n: value 5000: more train rows than there are; valid: up to 1088"),
    ("datasets", "caravan:n=5823", "option n: value 5823"),
    ("datasets", "digits:k=1", "option k"),
    ("model", "transformer", "transformer"),
    ("model", "mlp:breadth=3", "breadth"),
])
def test_a_data_set_or_model_that_cannot_be_is_said_with_file_and_field(key, value, expected, tmp_path):
    path = write(tmp_path, lambda c: study(c).update({key: [value]}))
    with pytest.raises(UserError) as caught:
        grid.members(experiment.load(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: studies.grid.{key}: ") and expected in message and "\n" not in message


@pytest.mark.parametrize("found", ["digits:n=1078", "caravan:n=3000", "mnist_5k:n=2000"])
def test_as_many_rows_as_there_are_can_be_asked_for(found, tmp_path):
    assert grid.members(experiment.load(write(tmp_path, lambda c: study(c).update(datasets=[found]))))


def test_a_results_folder_that_is_a_file_is_never_to_be_deleted(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("keep")
    for place in (file, file / "deeper"):
        with pytest.raises(UserError) as caught:
            experiment.load(ROOT / "config.yaml", results=str(place))
        assert str(caught.value).startswith(f"--results: value {str(file)!r}: is a file") and "delete" not in str(caught.value)
    with pytest.raises(UserError, match="--results: value ''"):
        experiment.load(ROOT / "config.yaml", results="")


def test_a_missing_file_of_claims_is_said_with_the_file_that_names_it(tmp_path):
    path = write(tmp_path, lambda c: c.update(claims=str(tmp_path / "no.yaml")))
    with pytest.raises(UserError) as caught:
        judging.registered_claims(experiment.load(path))
    assert str(caught.value).startswith(f"{path}: claims: value") and "no.yaml" in str(caught.value)


@pytest.mark.parametrize("text, expected", [
    ("def f(:\n", "line 1: is not valid Python"),
    ("x = 1\nraise ValueError('two\\nlines')\n", "line 2: ValueError: two lines"),
    ("import not_a_module_at_all\n", "line 1: No module named 'not_a_module_at_all'"),
    ("from wdbench import datasets\ndatasets.register('Bad Name', dict, task='binary')\n", "line 2: registered data set 'Bad Name'"),
])
def test_a_mistake_in_a_plugin_is_told_of_the_plugin(text, expected, tmp_path, monkeypatch):
    name = f"plugin_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as caught:
        plugins.load((name,), "config.yaml")
    message = str(caught.value)
    assert str(tmp_path / f"{name}.py") in message and expected in message and "config.yaml" not in message


def test_a_plugin_that_is_not_there_is_told_of_the_config():
    with pytest.raises(UserError, match="mine.yaml: plugins: value 'nowhere_at_all.x': cannot be imported"):
        plugins.load(("nowhere_at_all.x",), "mine.yaml")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: !!bool x", b"a: !!int ''", b"a: !!timestamp x", b"a: &a {<<: *a}",
                                     b"a: 2020-13-45", b"? {a: 1}\n: 2", b"studies: 0x" + b"f" * 9000, b"studies: &s {grid: *s}",
                                     b"studies: {grid: {? [1] : 2}}", "\u00e9tudes: 1".encode("latin-1"), b"profiles: {x: 3}\nprofile: x",
                                     b"profile: [a]", b"profile: {a: 1}", b"tiers: {a: b}\nstudies: {g: {tier: [x]}}",
                                     b"profiles: {a: 3}\nstudies: {g: {tier: gpt}}",
                                     b"profiles: {a: {tiers: 3}}\nstudies: {g: {tier: gpt}}", b"studies: {1: {}}"])
def test_every_misfit_of_the_file_is_one_sentence(content, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        experiment.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_short_file_of_aliases_that_stands_for_a_huge_value_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(["profiles:", "  p:", *(f"    {line}" for line in lines), "studies: *a29"]))
    with pytest.raises(UserError, match="studies"):
        experiment.load(path)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        experiment.load(tmp_path)


def test_unknown_data_set_names_the_valid_ones(tmp_path):
    path = write(tmp_path, lambda c: study(c).update(datasets=["cifar"]))
    with pytest.raises(UserError, match="cifar.*diabetes"):
        grid.members(experiment.load(path))


NETWORK = {"model": ["cnn"], "penalties": ["none", "l2"], "lambda": {"l2": {"unit": "absolute", "values": [0.1]}}, "optimisers": ["sgd"],
           "couplings": ["coupled"], "lr": {"sgd": {"unit": "absolute", "values": [0.1]}}, "steps": 10, "batch_size": 8}
TEXT = NETWORK | {"model": ["gpt:vocab=96"], "datasets": ["shakespeare"]}
UNFIT = {
    "no images": (NETWORK | {"datasets": ["diabetes"], "model": ["mlp"]}, "a regression task"),
    "no square": (NETWORK | {"datasets": ["khan"]}, "data set 'khan': model 'cnn': rows of 2308 features are no square images"),
    "one channel": (NETWORK | {"datasets": ["cifar10"]}, "model 'cnn': rows of 3072 features are no square images of 1 channels"),
    "another size": (NETWORK | {"datasets": ["digits"], "model": ["vgg:channels=1"]}, "'digits': .*of 1 channels of 32 x 32 pixels"),
    "columns added": (NETWORK | {"datasets": ["digits:noise_features=3"]}, "rows of 67 features are no square images"),
    "convex on bytes": (NETWORK | {"datasets": ["cifar10"], "model": ["glm"]}, "'glm' on data set 'cifar10': .*valid: another model"),
    "sparse rows": (NETWORK | {"datasets": ["reuters_r8:n=100"], "model": ["glm"]},
                    "optimisers: value 'sgd': .*sparse.*valid: optimisers .exact., or data set reuters_r8:n=100,top=1000"),
    "exact network": (NETWORK | {"datasets": ["digits"], "optimisers": ["sgd", "exact"]}, "optimisers: value 'exact': model 'cnn'"),
    "relative on bytes": (NETWORK | {"datasets": ["cifar10"], "model": ["preact"], "lambda": {"l2": {"values": [0.1]}}},
                          "lambda.l2.unit: value 'relative': data set 'cifar10'.*valid: absolute or clock"),
    "relative on text": (TEXT | {"lr": {"sgd": {"values": [0.1]}}}, "lr.sgd.unit: value 'relative': data set 'shakespeare'.*absolute"),
    "probe of numbers": (TEXT | {"probes": ["spikes", "curvature"]}, "probes: value 'curvature': data set 'shakespeare' is text"),
    "vocabulary": (TEXT | {"datasets": ["openwebtext"]}, "option vocab: value 96: data set 'openwebtext' has 50257 different symbols"),
    "context": (TEXT | {"datasets": ["openwebtext:context=256"], "model": ["gpt:vocab=50304"]}, "option context: value 64: .*256 symbols"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_models_that_do_not_fit_their_data_are_refused_with_the_plan(name, tmp_path):
    axes, expected = UNFIT[name]
    found = experiment.load(write(tmp_path, lambda c: c.update(studies={"one": axes})))
    with pytest.raises(UserError, match=f"^config.yaml: .*{expected}") as caught:
        grid.members(found)
    assert "valid: " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [
    {"datasets": ["digits", "mnist_5k"]}, {"datasets": ["cifar10", "cifar100"], "model": ["preact", "vgg", "resnet:channels=3"]},
    {"datasets": ["reuters_r8:svd=49", "khan"], "model": ["mlp"], "lambda": {"l2": {"values": [0.1]}}},
])
def test_models_that_fit_their_data_are_planned(changes, tmp_path):
    found = experiment.load(write(tmp_path, lambda c: c.update(studies={"one": NETWORK | changes})))
    assert len(grid.members(found)) == len(changes["datasets"]) * len(changes.get("model", "c"))


def test_a_profile_without_any_data_is_one_sentence_before_any_job(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WDBENCH_DATA", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        Workflow({"config_file": str(ROOT / "config.yaml"), "profile": "paper"})
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "profile 'paper': none of its data sets is here" in message and "data fetch cifar100" in message
    assert message.strip().count("\n") == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_one_sentence_before_any_job(tmp_path, capsys):
    path = write(tmp_path, lambda c: c.update(device="cuda"))
    with pytest.raises(SystemExit) as caught:
        Workflow({"config_file": str(path), "profile": "smoke"})
    assert caught.value.code == 2
    assert "device: value 'cuda': torch sees no such device here; valid: cpu" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, expected", [
    (["--profile", "weekly", "plan"], "profile"),
    (["train", "nowhere~softmax~sgd"], "nowhere~softmax~sgd"),
    (["show", "claim", "Z9"], "Z9"),
    (["--config-file", "missing.yaml", "plan"], "missing.yaml"),
    (["--config-file", "", "plan"], "--config-file: value '': must name a file"),
    (["--profile", "smoke", "replay", "zzzz"], "zzzz"),
    (["data", "check", "cifar"], "cifar"),
    (["identities", "I999"], "identities: value 'I999': no such identity; valid: I1, "),
    (["oracle", "nodata"], "oracle: value 'nodata'"),
    (["diff", "nowhere", "results"], "diff: value 'nowhere': no such folder"),
    (["--results", "/etc/passwd", "plan"], "--results: value '/etc/passwd': is a file"),
    (["show", "nonsense"], "'nonsense': valid: runs, claims"),
    (["draw", "--processes", "0"], "--processes"),
])
def test_the_command_line_says_one_sentence_and_exits_with_2(arguments, expected, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as caught:
        verbs.main(arguments)
    told = capsys.readouterr().err
    assert caught.value.code == 2 and expected in told and told.strip().count("\n") == 0


def test_so_does_a_process_of_its_own():
    done = subprocess.run([sys.executable, "-m", "wdbench", "show", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "'nonsense': valid: runs, claims" in done.stderr


def test_the_default_grid_is_the_full_factorial_that_the_project_is_named_for():
    found = experiment.load(ROOT / "config.yaml")
    default = found.studies["grid"]
    assert set(default.penalties) == {"none", "l1", "l2", "elastic"}
    assert set(default.precisions) == {"fp32", "bf16_compute", "bf16_weights"}
    assert set(default.couplings) == {"coupled", "decoupled"} and set(default.optimisers) == {"sgd", "momentum", "adam"}
    assert all(len(axis.numbers()) >= 9 for axis in default.lambdas.values()) and default.replicates >= 10
    cells = [c for d in default.datasets for o in default.optimisers for c in grid.cells(default, d, grid.GLM[datasets.task(d)], o)]
    # 3 penalties x 9 lambda x 2 couplings + no penalty, x 3 precisions x 3 optimisers x 10 replicates, a data set
    assert len(cells) == len(set(cells)) == len(default.datasets) * (3 * 9 * 2 + 1) * 3 * 3 * 10 >= 3000


def test_cells_are_counted_without_being_made():
    found = experiment.load(ROOT / "config.yaml")
    for name, one in found.studies.items():
        datasets_, small = one.datasets[:1], {a: getattr(one, a)[:2] for a in ("steps", "schedule", "couplings", "decay_masks")}
        part = one.model_copy(update={"datasets": datasets_, "replicates": 2} | small)
        made = [c for m in part.model for o in part.optimisers
                for c in grid.cells(part, datasets_[0], "linear" if m == "glm" else "mlp", o)]
        assert part.size == len(made), name


def test_a_study_may_start_at_a_later_block(tmp_path):
    first, later = _one_set(tmp_path, replicates=3), _one_set(tmp_path, replicates=3, first_replicate=2)
    assert {cell.replicate for cell in first} == {0, 1, 2} and {cell.replicate for cell in later} == {2, 3, 4}
    # a block is the same whichever study asks for it
    assert len(first & later) * 3 == len(first)


def _one_set(tmp_path, **changes):
    found = experiment.load(write(tmp_path, lambda c: study(c).update(changes)))
    return set(grid.cells(found.studies["grid"], "digits", "softmax", "adam"))


def test_networks_are_scored_under_the_law_that_their_hyperparameters_are_chosen_under():
    for name, one in experiment.load(ROOT / "config.yaml", profile="nightly").studies.items():
        if "glm" not in one.model:
            for dataset in one.datasets:
                options = datasets.parse(dataset).options
                assert ("label_noise" in options) == (options.get("noisy_test") == "1"), (name, dataset)


def test_counting_does_not_expand_an_axis(tmp_path):
    huge = {"from": 1.0e-6, "to": 1.0, "points": 1000}
    path = write(tmp_path, lambda c: study(c).update(replicates=10_000, **{"lambda": dict.fromkeys(("l1", "l2", "elastic"), huge)}))
    with pytest.raises(UserError, match=r"studies.grid: .*at most 1,000,000 are valid"):
        experiment.load(path)


def test_a_cell_belongs_to_one_pack_whatever_else_is_planned(tmp_path):
    whole = experiment.load(ROOT / "config.yaml")
    def fewer(content):
        study(content)["lambda"]["l2"] = {"values": [0.00123]}
        content["studies"] = {"grid": study(content)}
    part = experiment.load(write(tmp_path, fewer))
    pack = "digits~softmax~adam"
    assert set(grid.pack_cells(part, pack)) - set(grid.pack_cells(whole, pack)) == {
        c for c in grid.pack_cells(part, pack) if c.penalty == "l2"}
    assert all(c.pack == pack for c in grid.pack_cells(part, pack))


def test_every_coupling_of_the_engine_can_be_written():
    valid = TypeAdapter(study_config.Coupling)
    assert [valid.validate_python(name) for name in cells.FORMS] == list(cells.FORMS)


def test_a_terminal_without_greek_letters_gets_no_traceback():
    done = subprocess.run([sys.executable, "-m", "wdbench", "show", "claim", "nowhere"], capture_output=True, cwd=ROOT,
                          env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2 and b"Traceback" not in done.stderr and b"unknown claim" in done.stderr
    done = subprocess.run([sys.executable, "-c", "from wdbench.verbs.group import main\n"
                           "main.command('say')(lambda: print('λ')); main(['say'])"],
                          capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and done.stdout.strip() == b"?"


@pytest.mark.parametrize("name", ["", "a+b", "a/b", "1st"])
def test_a_study_has_a_name_that_can_stand_in_a_list_of_names(tmp_path, name):
    content = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    content["studies"] = {name: content["studies"]["grid"]}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match="studies"):
        experiment.load(path)
