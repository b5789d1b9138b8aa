"""When no verdict is given, and what becomes of diverged cells."""

import numpy as np
import pandas as pd
import pytest
from claims_planted import claim, plan, world

from wdbench.claims import check, gate, judge
from wdbench.errors import UserError


def rows(runs, one, expected=None, **options):
    found = judge(runs, [one], plan(runs) if expected is None else expected, **options).verdicts
    return found.set_index("dataset")


def test_a_missing_row_stops_the_verdict():
    runs = world()
    found = rows(runs.drop(index=17), claim(), plan(runs))
    assert found["verdict"].to_dict() == {"all": "not_tested"}
    assert found.loc["all", "reason"] == f"1 of {len(runs)} rows missing"


def test_a_row_that_ended_in_an_error_is_missing_too():
    runs = world()
    expected = plan(runs)
    runs.loc[[3, 4], "status"] = ["timeout", "error"]
    assert (
        rows(runs, claim(), expected).loc["all", "reason"]
        == f"2 of {len(runs)} rows missing (2 ended in timeout or error)"
    )


def test_a_missing_row_that_the_claim_does_not_read_is_no_matter():
    runs = world()
    expected = plan(runs)
    assert (
        rows(runs[runs["dataset"] != "beta"], claim(where='dataset != "beta"'), expected).loc["all", "verdict"]
        == "supported"
    )
    elsewhere = expected.assign(study="third", cell_id="z" + expected["cell_id"])
    assert rows(runs, claim(), pd.concat([expected, elsewhere])).loc["all", "verdict"] == "supported"


def test_a_filter_on_an_outcome_does_not_hide_missing_rows():
    runs = world()
    found = rows(runs.drop(index=17), claim(where="weight_norm < 100"), plan(runs))
    assert found.loc["all", "verdict"] == "not_tested"


def test_rows_outside_the_plan_are_not_read():
    runs = world()
    old = world(0.5, seed=9)
    old["cell_id"] = "old" + old["cell_id"]
    both = pd.concat([runs, old], ignore_index=True)
    pd.testing.assert_frame_equal(rows(both, claim(), plan(runs)), rows(runs, claim()))


def test_a_study_that_is_not_in_the_plan():
    found = rows(world(), claim(study="networks"))
    assert found.loc["all", "verdict"] == "not_tested"
    assert "no row of this plan matches: study networks" in found.loc["all", "reason"]


def test_study_names_are_whole_words():
    assert rows(world(), claim(study="bas")).loc["all", "verdict"] == "not_tested"
    assert rows(world(), claim(study=["other"])).loc["all", "verdict"] == "supported"


def test_an_unavailable_data_set_is_a_row_of_its_own():
    runs = world()
    expected = plan(runs)
    expected.loc[expected["dataset"] == "beta", "cell_id"] = None
    found = rows(runs[runs["dataset"] != "beta"], claim(), expected, unavailable={"beta": "wdbench data fetch beta"})
    assert found["verdict"].to_dict() == {
        "all": "supported",
        "alpha": "supported",
        "beta": "not_tested",
        "gamma": "supported",
    }
    assert found.loc["beta", "reason"] == "beta is unavailable: wdbench data fetch beta"
    assert "not tested on beta" in found.loc["all", "reason"]


def test_an_unavailable_data_set_inside_a_stratum_is_named():
    runs = world()
    found = rows(runs[runs["dataset"] != "beta"], claim(by=["optimiser"]), plan(runs), unavailable={"beta": "fetch it"})
    assert found["verdict"].tolist() == ["supported", "supported"]
    assert found.loc["all", "reason"].endswith("; without beta (unavailable)")


def test_no_data_at_all():
    runs = world()
    found = rows(runs[:0], claim(), plan(runs), unavailable=dict.fromkeys(("alpha", "beta", "gamma"), "fetch it"))
    assert found["verdict"].to_dict() == dict.fromkeys(("all", "alpha", "beta", "gamma"), "not_tested")


def test_a_stratum_without_the_other_arm_is_named():
    runs = world()
    runs = runs[~((runs["dataset"] == "beta") & (runs["penalty"] == "none"))].reset_index(drop=True)
    found = rows(runs, claim())
    assert found.loc["beta", "verdict"] == "not_tested"
    assert "treatment in 10" in found.loc["beta", "reason"]
    assert found.loc["all", "verdict"] == "supported"


def test_an_arm_without_its_treatment_is_not_eligible():
    runs = world()
    runs.loc[(runs["dataset"] == "beta") & (runs["lambda_rel"] > 0), "fidelity"] = 0.02
    found = rows(runs, claim())
    assert found.loc["beta", "verdict"] == "not_tested"
    assert found.loc["beta", "reason"] == "treatment is not eligible: its decay was not applied (fidelity 0.02)"
    assert rows(runs, claim(fidelity_gate=False)).loc["beta", "verdict"] == "supported"


def test_an_undefined_metric_is_not_tested_and_a_few_are_counted():
    runs = world()
    block = (runs["dataset"] == "alpha") & (runs["lambda_rel"] == 1)
    some = runs.copy()
    some.loc[block & (runs["replicate"] < 2), "test_loss"] = np.nan
    row = rows(some, claim()).loc["alpha"]
    assert (row["verdict"], row["n"], row["n_undefined"]) == ("supported", 8, 2)
    some.loc[block & (runs["replicate"] < 4), "test_loss"] = np.nan
    row = rows(some, claim()).loc["alpha"]
    assert (row["verdict"], row["reason"]) == ("not_tested", "the effect is undefined in 4 of 10 blocks")


def diverge(runs, dataset, replicates, where):
    lost = (runs["dataset"] == dataset) & runs["replicate"].isin(replicates) & where
    runs.loc[lost, "status"] = "diverged"
    runs.loc[lost, ["val_loss", "test_loss"]] = np.nan
    return runs


def test_a_block_that_diverged_counts_as_the_worst_and_is_left_out_beside():
    runs = diverge(world(-0.1, noise=0.005), "alpha", [0, 1], world()["penalty"] == "l2")
    found = judge(runs, [claim()], plan(runs))
    row = found.verdicts.set_index("dataset").loc["alpha"]
    assert (row["n"], row["n_imputed"], row["n_diverged"]) == (10, 2, 12)
    assert row["estimate_secondary"] == pytest.approx(0.1, abs=0.01)
    assert row["verdict_secondary"] == "supported"
    assert row["estimate"] < row["estimate_secondary"]
    picked = found.selected[(found.selected["dataset"] == "alpha") & found.selected["imputed"]]
    finite = found.selected[(found.selected["dataset"] == "alpha") & ~found.selected["imputed"]]["value_used"]
    assert set(picked["value_used"]) == {finite.max()}
    assert picked["value"].isna().all()
    untouched = found.verdicts.set_index("dataset").loc["beta"]
    assert (untouched["estimate_secondary"], untouched["verdict_secondary"]) == (
        untouched["estimate"],
        untouched["verdict"],
    )


def test_leaving_out_can_be_the_primary_analysis():
    runs = diverge(world(-0.1), "alpha", [0, 1], world()["penalty"] == "l2")
    found = judge(runs, [claim(diverged="exclude")], plan(runs))
    row = found.verdicts.set_index("dataset").loc["alpha"]
    assert row["n"] == 8
    effects = found.effects[found.effects["dataset"] == "alpha"]
    assert effects["used"].sum() == 8
    assert effects["imputed"].sum() == 2


def test_a_diverged_classifier_is_at_least_as_bad_as_the_uniform_one():
    runs = diverge(world(-0.1).assign(n_classes=10.0), "alpha", [0], world()["penalty"] == "l2")
    found = judge(runs, [claim()], plan(runs))
    assert found.selected.loc[found.selected["imputed"], "value_used"].tolist() == [pytest.approx(np.log(10))]


def test_everything_diverged():
    runs = diverge(world(), "alpha", range(10), world()["dataset"] == "alpha")
    found = rows(runs, claim())
    assert found.loc["alpha", "verdict"] == "not_tested"
    assert found.loc["alpha", "n_diverged"] == 70
    assert found.loc["all", "verdict"] == "supported"


def test_the_bad_side_of_a_score_is_the_low_one():
    runs = world(-0.1)
    runs["auc"] = 1 - runs["test_loss"] / 10
    runs = diverge(runs, "alpha", [0], runs["penalty"] == "l2")
    one = claim(metric="auc", direction="higher", effect="difference", margin=0.001)
    found = judge(runs, [one], plan(runs)).selected
    here = found[found["dataset"] == "alpha"]
    assert here.loc[here["imputed"], "value_used"].iloc[0] == here.loc[~here["imputed"], "value_used"].min()


def test_unknown_columns_and_studies_are_refused_with_near_matches():
    runs = world()
    for change, message in (
        (
            {"metric": "tets_loss"},
            "claims.yaml: claim T1.metric: no column 'tets_loss' in the runs; did you mean test_loss",
        ),
        ({"where": "lamda_rel > 0"}, "claim T1.where: no column 'lamda_rel'"),
        ({"by": ["datset"]}, "claim T1.by: no column 'datset'.*dataset"),
        ({"naive": {"trap": "t", "where": "nothing > 0"}}, "claim T1.naive.where: no column 'nothing'"),
    ):
        with pytest.raises(UserError, match=message):
            judge(runs, [claim(**change)], plan(runs))
    with pytest.raises(UserError, match="claim T1.study: value 'base': unknown study; valid: main"):
        check([claim()], studies=["main"])
    check([claim()], columns=runs.columns, studies=["base"])


def test_a_claim_that_says_it_is_not_tested():
    found = rows(world(), claim(not_tested="needs a network"))
    assert found[["verdict", "reason"]].loc["all"].tolist() == ["not_tested", "needs a network"]


def test_damaged_tables():
    runs = world()
    with pytest.raises(UserError, match="no column 'status'"):
        judge(runs.drop(columns="status"), [claim()], plan(runs))
    with pytest.raises(UserError, match="is there twice"):
        judge(pd.concat([runs, runs[:1]]), [claim()], plan(runs))


def test_a_claim_of_another_profile_may_name_a_column_that_only_its_runs_have():
    runs = world()
    here, there = claim(), claim(id="T2", study="large", metric="unseen_loss")
    verdicts = judge(runs, [here, there], plan(runs), elsewhere={"large": "gpt"}).verdicts.set_index("claim_id")
    assert verdicts.loc["T2", "verdict"] == "not_tested" and "--config profile=gpt" in verdicts.loc["T2", "reason"]
    assert (verdicts.loc["T1", "verdict"] != "not_tested").all()
    with pytest.raises(UserError, match="no column 'unseen_loss'"):
        judge(runs, [here, there], plan(runs))


def test_a_choice_at_the_end_in_one_condition_is_not_diluted_by_the_other():
    arm = claim().arms["treatment"]
    rows = pd.DataFrame([{"stratum": "a", "condition": condition, "x": x, "block": block, "arm": "treatment",
                          "cell_id": f"{condition}{x}{block}",
                          "edge": "lambda_rel.low" if condition == "small" and x == 1.0 and block < 9 else "", "selected_value": 1.0}
                         for condition in ("small", "large") for x in (1.0, 2.0) for block in range(10)])
    assert arm.select is not None
    assert gate.edge_shares(claim(), rows) == {"treatment": 0.9}
    without = rows.iloc[:10].assign(condition="", x=np.nan)
    assert gate.edge_shares(claim(), without) == {"treatment": 0.9}
