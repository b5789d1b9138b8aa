"""claims.yaml: what is read, what is refused, what the registered hash depends on."""

from pathlib import Path

import claims_planted
import pytest
import yaml
from pydantic import ValidationError

from wdbench.claims import kinds
from wdbench.config import claimparts, claims
from wdbench.errors import UserError

TEXT = (Path(__file__).parent.parent / "docs/claims.md").read_text()
KEYS, EXAMPLES = TEXT.split("## One example of each kind")


def documented() -> list[dict]:
    return yaml.safe_load(EXAMPLES.split("```")[1].removeprefix("yaml"))["claims"]


def read(*entries: dict):
    return claims.from_mapping({"claims": list(entries)}, "claims.yaml")


def example(kind: str) -> dict:
    return next(entry for entry in documented() if entry["kind"] == kind)


def test_documented_examples_are_read_one_of_each_kind():
    found = read(*documented())
    assert {claim.kind for claim in found} == set(claims.KINDS)
    assert len({claim.digest() for claim in found}) == len(found)


def test_every_key_is_documented():
    documentation = KEYS.replace("\n", " ")
    for name in {*claims.Claim.model_fields, *claims.Select.model_fields, *claims.Arm.model_fields}:
        assert f" {name} " in documentation.replace(",", " ").replace(":", " ").replace("{", " "), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margni": 0.1}, "claim A2: unknown key 'margni'; did you mean margin"),
        ({"margin": "1e-4"}, r"claim A2.margin.*'1e-4' is text, not a number"),
        ({"margin": -0.1}, "claim A2.margin.*-0.1"),
        ({"margin": None}, "needs margin"),
        ({"direction": "less"}, "claim A2.direction"),
        ({"kind": "superority"}, "unknown kind; valid: superiority"),
        ({"study": None}, "study"),
        ({"alpha": 0.9}, "claim A2.alpha"),
        ({"where": "penalty = 'l2'"}, "claim A2.where.*not a formula"),
        ({"metric": "test_loss >"}, "claim A2.metric.*not a formula"),
        ({"x": "lambda"}, "kind superiority has no x"),
        ({"event": "status == 'diverged'"}, "kind superiority has no event"),
        ({"threshold": 0.5}, "arms.control or threshold, not both"),
        ({"conditions": {"claimed": "", "other": ""}}, "has no conditions"),
        ({"arms": {"treatment": {}}}, "needs arms.control or threshold"),
        (
            {"arms": {"treatment": {"wher": ""}, "control": {}}},
            "arms.treatment: unknown key 'wher'; did you mean where",
        ),
        ({"margin": {"test_loss": 0.1, "nll": 0.1}}, "margin must name exactly the metrics: test_loss"),
        ({"fidelity_gate": "no"}, "claim A2.fidelity_gate"),
        ({"id": "A 2"}, "claim A 2.id"),
        ({"not_tested": " "}, "not_tested needs a reason"),
        ({"margin": float("nan")}, "claim A2.margin"),
    ],
)
def test_misfits_are_one_sentence_with_file_claim_and_field(change, message):
    entry = example("superiority") | change
    with pytest.raises(UserError, match=message) as caught:
        read(entry)
    assert str(caught.value).startswith("claims.yaml: claim A")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"over": ["lambda_rel"], "by": "test_loss"}, "no validation column"),
        ({"over": ["lambda_rel"], "by": "train_loss"}, "no validation column"),
        ({"over": ["lambda_rel"], "by": "test_loss", "rule": "match", "match": "control"}, "no validation column"),
        ({"over": []}, "over"),
        ({"over": ["lambda_rel"], "rule": "match"}, "go together"),
        ({"over": ["lambda_rel"], "rule": "match", "match": "treatment"}, "must name the other arm"),
        ({"over": ["lambda_rel"], "edge": {"lr.low": "why"}}, "valid: lambda_rel.low, lambda_rel.high"),
        ({"over": ["lambda_rel"], "edge": {"lambda_rel.low": " "}}, "needs a reason"),
        ({"over": ["lambda_rel"], "rule": "best"}, "rule"),
    ],
)
def test_selections_that_are_refused(select, message):
    entry = example("superiority")
    entry["arms"]["treatment"]["select"] = select
    entry.pop("naive")
    with pytest.raises(UserError, match=message):
        read(entry)


def test_an_arm_may_be_matched_to_the_training_loss_of_the_other():
    entry = example("superiority")
    entry.pop("naive")
    entry["arms"] = {"treatment": {"select": {"over": ["steps"], "rule": "match", "match": "control", "by": "train_loss"}},
                     "control": {"select": {"over": ["lambda_rel"]}}}
    assert read(entry)[0].columns()["arms.treatment.select"] == ("train_loss", "steps")


def test_file_shape():
    with pytest.raises(UserError, match="must hold one key, claims:"):
        claims.from_mapping({"claim": []}, "claims.yaml")
    with pytest.raises(UserError, match="given twice"):
        read(example("identity"), example("identity"))
    with pytest.raises(UserError, match="entry 1"):
        read("B1")


def test_a_claim_that_cannot_be_tested_needs_only_its_words():
    (claim,) = read(
        {
            "id": "C8",
            "sentence": "s",
            "source": "slide 9",
            "family": "C",
            "kind": "superiority",
            "not_tested": "networks",
        }
    )
    assert not claim.tested


def digest(**changes) -> str:
    return read(example("superiority") | changes)[0].digest()


def test_hash_ignores_prose_and_spelling_of_filters():
    entry = example("superiority")
    entry["arms"]["control"]["label"] = "another label"
    assert read(entry)[0].digest() == digest()
    assert (
        digest(figure="other", experiment="text", expect="text", trap="text", title="text", source="elsewhere")
        == digest()
    )
    assert digest(where="(optimiser=='exact')") == digest()
    assert digest(study=["base"]) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"margin": 0.02},
        {"where": "optimiser == 'sgd'"},
        {"sentence": "other"},
        {"alpha": 0.01},
        {"family": "B"},
        {"by": []},
    ],
)
def test_hash_follows_what_is_judged(change):
    assert digest(**change) != digest()


def test_kinds_of_schema_and_of_rules_are_the_same():
    assert all(kinds.find(name).name == name for name in claims.KINDS if name != "identity")


def test_a_kind_from_outside():
    claimparts.register_kind("outside", {"treatment", "metric"}, {"margin"})
    try:
        entry = example("superiority") | {"kind": "outside", "arms": {"treatment": {}}}
        for key in ("direction", "effect", "naive"):
            entry.pop(key)
        assert read(entry)[0].kind == "outside"
        with pytest.raises(ValueError, match="taken"):
            claimparts.register_kind("outside", set())
    finally:
        claimparts.KINDS.pop("outside")
    with pytest.raises(ValueError, match="unknown keys"):
        claimparts.register_kind("other", {"colour"})


@pytest.mark.parametrize(
    "entry",
    [{"id": 16**5000, "kind": "identity"}, {16**5000: 1}, [16**5000], {"id": "\x1b[2J"}, {"id": "x" * 5000}, None],
    ids=["id", "key", "entry", "steering", "long", "nothing"],
)
def test_what_cannot_be_shown_is_still_one_short_sentence(entry):
    with pytest.raises(UserError) as caught:
        claims.from_mapping({"claims": [entry]}, "claims.yaml")
    message = str(caught.value)
    assert message.startswith("claims.yaml: claim") and message.isprintable() and len(message) < 1000


@pytest.mark.parametrize("changes, field", [
    ({"where": "test_loss < 1"}, "where"),
    ({"cases": {"low": "test_error < 0.5"}, "by": []}, "cases.low"),
    ({"arms": {"treatment": {"where": 'penalty == "l2" and ema_test_loss < 1'}, "control": {"where": 'penalty == "none"'}}},
     "arms.treatment.where"),
    ({"arms": {"treatment": {"where": 'penalty == "l2"', "select": {"over": ["test_loss"]}}, "control": {"where": 'penalty == "none"'}}},
     "arms.treatment.select.over"),
])
def test_rows_are_not_chosen_by_what_test_rows_said(changes, field):
    with pytest.raises(ValidationError, match=f"{field} reads .*measured on test rows"):
        claims_planted.claim(**changes)
