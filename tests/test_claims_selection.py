"""Selection: on validation only, ties, edges, diverged candidates, matching, one standard error."""

import numpy as np
import pandas as pd
import pytest
from claims_planted import claim, plan, world

from wdbench.claims import judge
from wdbench.claims.selection import select
from wdbench.errors import UserError


def chosen(runs, one, arm="treatment"):
    table = select(one, runs)
    return table[table["arm"] == arm].set_index("block")


def arms(select=None, where='penalty == "l2"', control=None):
    return {
        "treatment": {"where": where, "select": {"over": ["lambda_rel"]} | (select or {})},
        "control": control or {"where": 'penalty == "none"'},
    }


def test_the_lowest_validation_loss_is_chosen_in_each_block():
    runs = world(best=1.0)
    block = (runs["dataset"] == "beta") & (runs["replicate"] == 3)
    runs.loc[block & (runs["lambda_rel"] == 10), "val_loss"] = 0.01
    found = chosen(runs, claim())
    assert found.loc["beta/3", "lambda_rel"] == 10
    assert set(found.drop("beta/3")["lambda_rel"]) == {1.0}
    assert set(chosen(runs, claim(), "control")["lambda_rel"]) == {0.0}


def test_selection_does_not_see_the_test_rows():
    runs = world(noise=0.1)
    first = select(claim(), runs)
    leaked = runs.copy()
    generator = np.random.default_rng(5)
    for column in [c for c in runs if c.startswith("test_")] + ["weight_norm"]:
        leaked[column] = generator.permutation(leaked[column])
    again = select(claim(), leaked)
    pd.testing.assert_frame_equal(first.drop(columns="value"), again.drop(columns="value"))
    assert not np.allclose(first["value"], again["value"])


def test_ties_go_to_the_smaller_lambda_then_the_smaller_lr():
    runs = world(datasets=("alpha",), replicates=2)
    runs["val_loss"] = 1.0
    slow, fast = runs.assign(lr=0.1), runs.assign(lr=0.01)
    fast["cell_id"] = "a" + fast["cell_id"]
    both = pd.concat([slow, fast], ignore_index=True)
    one = claim(arms=arms({"over": ["lambda_rel", "lr"]}, control={"where": 'penalty == "none" and lr == 0.1'}))
    found = chosen(both, one)
    assert found["lambda_rel"].tolist() == [0.0, 0.0]
    assert found["lr"].tolist() == [0.01, 0.01]


def test_a_diverged_candidate_is_never_the_best():
    runs = world(best=1.0)
    lost = runs["lambda_rel"] == 1.0
    runs.loc[lost, "status"] = "diverged"
    runs.loc[lost, "val_loss"] = 0.0
    assert set(chosen(runs, claim())["lambda_rel"]) == {0.1}


def test_match_takes_the_closest_validation_loss_of_the_other_arm():
    runs = world(best=1.0, datasets=("alpha",), replicates=3)
    one = claim(arms=arms({"rule": "match", "match": "control"}))
    # l2 at λ has validation loss level * (.8 + .2 per decade), the control has level: equal one decade off
    assert chosen(runs, one)["lambda_rel"].tolist() == [0.1, 0.1, 0.1]
    selected = {"over": ["lambda_rel"]}
    other = claim(
        arms=arms({"rule": "match", "match": "control"}, control={"where": 'penalty == "l2"', "select": selected})
    )
    assert chosen(runs, other)["lambda_rel"].tolist() == [1.0, 1.0, 1.0]


def test_one_standard_error_takes_the_largest_lambda_within_it():
    runs = world(datasets=("alpha",), replicates=4, best=1.0)
    penalised = runs["penalty"] == "l2"
    lowest = np.array([1.0, 1.2, 1.4, 1.6])
    error = lowest.std(ddof=1) / 2
    rise = {0.0: 3.0, 0.01: 2.0, 0.1: 0.5, 1.0: 0.0, 10.0: 0.9, 100.0: 1.1}
    runs.loc[penalised, "val_loss"] = (
        lowest[runs["replicate"][penalised]] + runs["lambda_rel"][penalised].map(rise) * error
    )
    assert set(chosen(runs, claim(arms=arms({"rule": "one_se"})))["lambda_rel"]) == {10.0}
    assert set(chosen(runs, claim(arms=arms()))["lambda_rel"]) == {1.0}


def test_mean_takes_every_row():
    runs = world(datasets=("alpha",), replicates=3)
    one = claim(arms=arms({"rule": "mean"}))
    found = judge(runs, [one], plan(runs))
    l2 = runs[runs["penalty"] == "l2"].groupby("replicate")["test_loss"].mean()
    np.testing.assert_allclose(found.effects["treatment"], l2)
    assert (found.selected["arm"] == "treatment").sum() == len(runs[runs["penalty"] == "l2"])


def test_an_arm_that_leaves_the_row_open_is_refused_with_the_columns_that_differ():
    runs = world()
    with pytest.raises(
        UserError, match="arms.treatment: 6 rows in block alpha/0 of alpha differ in lambda, lambda_rel"
    ):
        select(claim(arms={"treatment": {"where": 'penalty == "l2"'}, "control": {"where": 'penalty == "none"'}}), runs)
    twice = pd.concat([runs, runs.assign(precision="fp32", cell_id="x" + runs["cell_id"])], ignore_index=True)
    with pytest.raises(UserError, match="differ in precision; narrow where, or add to select.over"):
        select(claim(), twice)


@pytest.mark.parametrize(("best", "edge"), [(100.0, "lambda_rel.high"), (0.01, "lambda_rel.low")])
def test_an_optimum_at_the_edge_is_inconclusive_unless_the_claim_allows_it(best, edge):
    runs = world(-0.1, best=best, lambdas=(0.01, 0.1, 1.0, 10.0, 100.0))
    row = judge(runs, [claim()], plan(runs)).verdicts.iloc[1]
    assert (row["verdict"], row["selection_edge_share"]) == ("inconclusive", 1.0)
    end = f"lambda_rel {'highest' if best == 100.0 else 'lowest'} ({best:g}) in 10 of 10"
    assert row["reason"] == f"grid: treatment chose an end of its grid in 100% of the blocks: {end}"
    allowed = claim(arms=arms({"edge": {edge: "a reason"}}))
    row = judge(runs, [allowed], plan(runs)).verdicts.iloc[1]
    assert (row["verdict"], row["selection_edge_share"]) == ("supported", 0.0)
    assert set(chosen(runs, allowed)["edge"]) == {edge}


def test_a_grid_that_starts_at_zero_has_no_low_edge():
    runs = world(-0.1, best=1e-3)
    assert set(chosen(runs, claim())["lambda_rel"]) == {0.0}
    assert judge(runs, [claim()], plan(runs)).verdicts.iloc[1]["verdict"] == "supported"


def test_half_of_the_blocks_at_an_edge_is_not_yet_too_many():
    runs = world(-0.1, best=1.0)
    lost = (runs["replicate"] < 5) & (runs["lambda_rel"] == 100)
    runs.loc[lost, "val_loss"] = 0.01
    runs.loc[lost, "test_loss"] = runs.loc[lost, "test_loss"] - 0.4
    row = judge(runs, [claim()], plan(runs)).verdicts.iloc[1]
    assert (row["verdict"], row["selection_edge_share"]) == ("supported", 0.5)
