"""Thousands of bad inputs: each is taken, or refused in one sentence that names where it is wrong; never a traceback, never a hang."""

import os
import random
import sys
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
from wdbench.datasets import idx, spec
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

tried = settings(max_examples=1, deadline=5000, derandomize=True, database=None,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture,
                                        HealthCheck.filter_too_much, HealthCheck.large_base_example])


def times(n):
    return settings(tried, max_examples=fuzzing.count(n))


@pytest.fixture(scope="module", autouse=True)
def no_code_is_run():
    """No input may reach a shell, eval of this process' own, or open a network connection: Python itself reports each."""
    watching = [True]
    forbidden = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class"}

    def hook(event, arguments):
        if watching[0] and event in forbidden:
            raise AssertionError(f"{event}{arguments}")

    sys.addaudithook(hook)
    yield
    watching[0] = False


def one_sentence(error, *names):
    text = str(error)
    assert "\n" not in text.strip() and "Traceback" not in text and len(text) < 3000, text
    for name in names:
        assert str(name) in text, text


@times(300)
@given(tree=fuzzing.damaged(SMALL))
def test_a_damaged_config_is_taken_or_refused_by_file_and_field(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    try:
        found = experiments.load(path)
        assert found.studies
    except UserError as error:
        one_sentence(error, path)
    assert os.listdir(path.parent) == ["config.yaml"]


@times(150)
@given(content=st.one_of(st.binary(max_size=200), fuzzing.TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_bytes_that_are_no_config_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        experiments.load(path)
    one_sentence(refused.value, path)


@times(400)
@given(entry=st.sampled_from(KINDS).flatmap(fuzzing.damaged))
def test_a_damaged_claim_is_taken_or_refused_by_its_name(entry):
    try:
        claim_config.from_mapping({"claims": [entry]}, "claims.yaml")
    except UserError as error:
        one_sentence(error, "claims.yaml")


@times(1500)
@given(text=st.one_of(fuzzing.WORDS, fuzzing.TEXT))
def test_a_filter_is_data(text):
    try:
        parsed = filters.parse(text, "--where")
        mask = parsed.mask(RUNS) if set(parsed.columns) <= set(RUNS.columns) else None
        assert mask is None or (mask.dtype == bool and len(mask) == len(RUNS))
    except UserError as error:
        one_sentence(error, "--where")


@times(300)
@given(text=st.one_of(fuzzing.TEXT, st.lists(st.sampled_from(
    ["khan", "digits", "gauss", ":", ",", "n=", "label_noise=", "0.1", "-1", "1e999", "=", "mlp", "svd=", "nan", "é", " "]),
    max_size=8).map("".join)))
def test_a_data_set_by_any_name(text):
    try:
        spec.parse(text)
    except UserError as error:
        one_sentence(error)


ARGUMENTS = st.lists(st.one_of(
    st.sampled_from(["show", "claims", "claim", "runs", "cell", "plan", "data", "list", "check", "replay", "verify", "diff", "--where",
                     "--profile", "smoke", "core", "--config-file", "config.yaml", "--results", "", "0f3a9c", "-h", "--help", "--", "-x",
                     "dataset == 'khan'", "register", "--kind", "event", "--worlds", "0", "/dev/null", "/nowhere", "L17d"]), fuzzing.TEXT),
    max_size=5)
WRITING = {"fetch", "train", "gather", "identities", "torch-flags", "oracle", "conclude", "draw", "report", "accept", "register",
           "calibrate", "replicate", "judge", "compare-published"}


@times(250)
@given(words=ARGUMENTS)
def test_a_command_line_ends_with_an_exit_code_and_a_sentence(tmp_path_factory, words):
    if WRITING & set(words) - {"register"} or "plan" in words:
        return
    folder = tmp_path_factory.mktemp("cli")
    before = os.getcwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(main, ["--results", str(folder / "none"), *words])
    finally:
        os.chdir(before)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in (0, 1, 2) and "Traceback" not in done.output
    assert sorted(os.listdir(folder)) == []


def whole_idx() -> bytes:
    return bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (5, 4, 4)) + bytes(range(80))


@times(500)
@given(seed=st.integers(0, 10**9))
def test_a_damaged_idx_file_is_refused_by_name(seed):
    draw = random.Random(seed)
    content = bytearray(whole_idx())
    for _ in range(draw.randint(1, 4)):
        match draw.randint(0, 2):
            case 0:
                content[draw.randrange(len(content))] = draw.randrange(256)
            case 1:
                del content[draw.randrange(len(content)):]
                content = content or bytearray(b"\0")
            case 2:
                content += bytes(draw.randrange(256) for _ in range(draw.randint(1, 20)))
    try:
        assert idx.read(bytes(content), "train-images", 3).ndim == 3
    except UserError as error:
        one_sentence(error, "train-images")
