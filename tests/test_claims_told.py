"""What a row of verdicts.csv shows: the check that stands for an identity, and no numbers where nothing was tested."""

import pandas as pd
from claims_planted import claim, plan, world

from wdbench.claims import judge
from wdbench.claims.identity import judge_identity

CHECKS = pd.DataFrame({"identity": "I", "check": ["equal", "differ"], "case": "", "kind": "statement", "inputs": 4,
                       "max_error": [0.9, 30.0], "relation": ["<=", ">="], "tolerance": [1.0, 10.0]})


def test_an_identity_that_two_things_differ_shows_how_far_they_do():
    ruling, numbers = judge_identity("I", CHECKS)
    assert ruling.verdict == "holds" and "differ: measured 30 >= 10" in ruling.reason
    assert (numbers["estimate"], numbers["margin"], numbers["equation"]) == (30.0, 10.0, "measured >= bound")


def test_a_check_that_fails_is_shown_before_all_others():
    ruling, numbers = judge_identity("I", CHECKS.assign(max_error=[1.5, 30.0]))
    assert ruling.verdict == "fails" and (numbers["estimate"], numbers["equation"]) == (1.5, "measured <= bound")


def test_a_claim_that_was_not_tested_has_no_numbers():
    runs = world()
    rare = claim(kind="event", event='status == "diverged"', metric=None, effect=None, margin=0.3,
                 arms={"treatment": {"where": 'penalty == "l2" and lambda_rel == 0.01'}, "control": {"where": 'penalty == "none"'}})
    found = judge(runs, [rare], plan(runs)).verdicts
    assert set(found["verdict"]) == {"not_tested"} and "of the control's blocks" in found["reason"].iloc[0]
    assert (found["n"] == 0).all() and found[["estimate", "ci_low", "ci_high", "p_value", "p_holm", "mde"]].isna().all(axis=None)
