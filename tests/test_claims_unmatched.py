"""Claims that name figures, identities or cells that there are not are refused before a run."""

import pytest
from claims_planted import claim, plan, world

from wdbench import judging
from wdbench.claims import unmatched
from wdbench.errors import UserError


@pytest.fixture(scope="module")
def expected():
    return plan(world(-0.5))


def changed(**fields):
    return claim().model_copy(update=fields)


def with_arm(name, where):
    arms = claim().arms
    return changed(arms=arms | {name: arms[name].model_copy(update={"where": where})})


@pytest.mark.parametrize(("one", "field"), [
    (lambda: changed(where='optimiser == "lion"'), "where"),
    (lambda: with_arm("treatment", 'penalty == "l3"'), "arms.treatment.where"),
    (lambda: with_arm("control", "replicate > 1000"), "arms.control.where"),
    (lambda: changed(cases={"here": "replicate >= 0", "none": "replicate < 0"}), "cases.none"),
    (lambda: changed(study=("nowhere",)), "where"),
])
def test_a_filter_that_no_cell_satisfies_is_named(one, field, expected):
    with pytest.raises(UserError) as caught:
        unmatched.check([one()], expected, path="mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml: claim {claim().id}.{field}: value ")


def test_outcomes_and_studies_of_another_profile_are_passed_over(expected):
    unmatched.check([claim(), with_arm("treatment", 'status == "diverged"')], expected)
    unmatched.check([changed(study=("nowhere",))], expected, elsewhere={"nowhere": "nightly"})


@pytest.mark.parametrize(("fields", "message"), [
    ({"figure": {"name": "pie"}}, "figure: value 'pie': unknown kind of figure; valid: "),
    ({"figure": {"name": "forest", "options": {"colour": 1}}}, "figure.options: value 'colour'"),
    ({"kind": "identity", "identity": "I999"}, "identity: value 'I999': no such identity; valid: I1, "),
])
def test_a_figure_or_identity_that_there_is_not_is_named(fields, message):
    from wdbench.config.claims import Figure

    figure = Figure(**fields["figure"]) if "figure" in fields else None
    with pytest.raises(UserError) as caught:
        judging.check_names([changed(**fields | {"figure": figure})], "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ") and message in str(caught.value)
    judging.check_names([claim()], "mine.yaml")
