"""Thousands of bad inputs: each is taken, or refused in one sentence that names where it is wrong; never a traceback, never a hang."""

import os
from pathlib import Path

import fuzzing
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wdbench import filters
from wdbench.config import claims as claim_config
from wdbench.config import experiment as experiments
from wdbench.config import yamlio
from wdbench.datasets import spec
from wdbench.errors import UserError
from wdbench.verbs import main

ROOT = Path(__file__).parent.parent.parent
CONFIG = yamlio.read(ROOT / "config.yaml")
SMALL = {**CONFIG, "studies": {name: CONFIG["studies"][name] for name in ("grid", "rounding", "mlp_decoupled", "sample_size")},
         "profiles": {"smoke": CONFIG["profiles"]["smoke"]}}
CLAIMS = yamlio.read(ROOT / "claims.yaml")["claims"]
KINDS = [next(entry for entry in CLAIMS if entry["kind"] == kind) for kind in
         ("superiority", "equivalence", "slope", "ushape", "interaction", "event", "tolerance", "identity")]
RUNS = pd.DataFrame({"dataset": ["khan", "digits"], "penalty": ["l2", None], "lambda": [0.1, float("nan")], "replicate": [0, 1],
                     "optimiser": ["sgd", "adam"], "status": ["ok", "diverged"], "test_loss": [1.0, float("nan")]})

bounded = settings(max_examples=1, deadline=None, derandomize=True, database=None,
                   suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture,
                                          HealthCheck.filter_too_much, HealthCheck.large_base_example])
"""No deadline of hypothesis': `fuzzing.within` holds what is tried to one, and ends what never would."""


def times(n):
    return settings(bounded, max_examples=fuzzing.count(n))


pytestmark = pytest.mark.usefixtures("no_code_is_run")


def one_sentence(error, *names):
    text = str(error)
    assert "\n" not in text.strip() and "Traceback" not in text and len(text) < 3000, text
    for name in names:
        assert str(name) in text, (name, text)


VALID = ("valid", "must ", "write ", "at most", "at least", "missing", "needs ", "give ", "the keys there are listed", "did you mean")


def names_the_planted_one(error, where, value, path):
    """The sentence has file, field, value, and what would be valid; what is not there at all has no value to name."""
    text = str(error)
    one_sentence(error, where)
    field = next(str(step) for step in reversed(path) if isinstance(step, str))
    # a mapping is read on: the field at fault is then the one in it
    assert field in text or "planted" in text, (field, text)
    inside = [] if not isinstance(value, dict) else [str(item) for pair in value.items() for item in pair]
    assert any(shown in text for shown in (yamlio.shown(value), str(value), "missing", "needs ", "unknown key", *inside)), (value, text)
    assert any(word in text for word in VALID), text


@times(300)
@given(tree=fuzzing.damaged(SMALL))
def test_a_damaged_config_is_taken_or_refused_by_file(tmp_path_factory, tried, tree):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    tried("fuzz inputs", "of config.yaml")
    try:
        with fuzzing.within():
            found = experiments.load(path)
        assert found.studies
    except UserError as error:
        one_sentence(error, path)
    assert os.listdir(path.parent) == ["config.yaml"]


@times(300)
@given(case=fuzzing.planted(SMALL))
def test_one_wrong_field_of_a_config_is_named_with_its_value_and_what_is_valid(tmp_path_factory, tried, case):
    tree, value, path = case
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    tried("fuzz inputs", "of config.yaml")
    try:
        with fuzzing.within():
            experiments.load(file)
    except UserError as error:
        names_the_planted_one(error, file, value, path)


@times(150)
@given(content=st.one_of(st.binary(max_size=200), fuzzing.TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_bytes_that_are_no_config_are_refused(tmp_path_factory, tried, content):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_bytes(content)
    tried("fuzz inputs", "of config.yaml")
    with pytest.raises(UserError) as refused, fuzzing.within():
        experiments.load(path)
    one_sentence(refused.value, path)


@times(500)
@given(entry=st.sampled_from(KINDS).flatmap(fuzzing.damaged))
def test_a_damaged_claim_is_taken_or_refused_by_its_file(tried, entry):
    tried("fuzz inputs", "of claims.yaml")
    try:
        with fuzzing.within():
            claim_config.from_mapping({"claims": [entry]}, "claims.yaml")
    except UserError as error:
        one_sentence(error, "claims.yaml")


@times(500)
@given(case=st.sampled_from(KINDS).flatmap(fuzzing.planted))
def test_one_wrong_field_of_a_claim_is_named_with_its_value_and_what_is_valid(tried, case):
    entry, value, path = case
    tried("fuzz inputs", "of claims.yaml")
    try:
        with fuzzing.within():
            claim_config.from_mapping({"claims": [entry]}, "claims.yaml")
    except UserError as error:
        names_the_planted_one(error, "claims.yaml", value, path)


@times(1500)
@given(text=st.one_of(fuzzing.WORDS, fuzzing.TEXT))
def test_a_filter_is_data(tried, text):
    tried("fuzz inputs", "of --where")
    try:
        with fuzzing.within():
            parsed = filters.parse(text, "--where")
            mask = parsed.mask(RUNS) if set(parsed.columns) <= set(RUNS.columns) else None
        assert mask is None or (mask.dtype == bool and len(mask) == len(RUNS))
    except UserError as error:
        one_sentence(error, "--where")
        assert any(word in str(error) for word in VALID), str(error)


@times(300)
@given(text=st.one_of(fuzzing.TEXT, st.lists(st.sampled_from(
    ["khan", "digits", "gauss", ":", ",", "n=", "label_noise=", "0.1", "-1", "1e999", "=", "mlp", "svd=", "nan", "é", " "]),
    max_size=8).map("".join)))
def test_a_data_set_by_any_name(tried, text):
    tried("fuzz inputs", "of data set names")
    try:
        with fuzzing.within():
            spec.parse(text)
    except UserError as error:
        one_sentence(error, "data set", repr(text))
        assert "valid" in str(error) or "exclude" in str(error), str(error)


ARGUMENTS = st.lists(st.one_of(
    st.sampled_from(["show", "claims", "claim", "runs", "cell", "plan", "data", "list", "check", "replay", "verify", "diff", "--where",
                     "--profile", "smoke", "core", "--config-file", "config.yaml", "--results", "", "0f3a9c", "-h", "--help", "--", "-x",
                     "dataset == 'khan'", "register", "--kind", "event", "--worlds", "0", "/dev/null", "/nowhere", "L17d"]), fuzzing.TEXT),
    max_size=5)
WRITING = {"fetch", "train", "gather", "identities", "torch-flags", "oracle", "conclude", "draw", "report", "accept", "register",
           "calibrate", "replicate", "judge", "compare-published"}


@times(250)
@given(words=ARGUMENTS)
def test_a_command_line_ends_with_an_exit_code_and_a_sentence(tmp_path_factory, tried, words):
    if WRITING & set(words) - {"register"} or "plan" in words:
        return
    tried("fuzz inputs", "of command lines")
    folder = tmp_path_factory.mktemp("cli")
    before = os.getcwd()
    os.chdir(folder)
    try:
        with fuzzing.within():
            done = CliRunner().invoke(main, ["--results", str(folder / "none"), *words])
    finally:
        os.chdir(before)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in (0, 1, 2) and "Traceback" not in done.output
    assert sorted(os.listdir(folder)) == []
