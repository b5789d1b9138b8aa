"""Judged again: each variant sees its rows and its margin, families stay whole, and what stands is told from what does not."""

import claims_planted
import numpy as np
import pandas as pd
import planted
import pytest

from wdbench.claims import judge
from wdbench.config import experiment as experiments
from wdbench.errors import UserError
from wdbench.replication import COLUMNS, replicate
from wdbench.replication.run import stands
from wdbench.replication.variants import variants, with_best_iterates
from wdbench.report import render
from wdbench.report import replication as told


def claim(**changes):
    return claims_planted.claim(**changes)


def again(runs, claims, fresh=None):
    plan = claims_planted.plan(runs)
    verdicts = judge(runs, claims, plan).verdicts
    return verdicts, replicate(runs, claims, plan, verdicts, {}, {}, fresh, 1)


@pytest.fixture(scope="module")
def replicated():
    runs = claims_planted.world({"alpha": -0.1, "beta": -0.2, "gamma": -0.15}, replicates=20)
    return again(runs, [claim()])


def test_a_clear_effect_stands_in_every_variant(replicated):
    verdicts, table = replicated
    assert list(table) == list(COLUMNS)
    assert set(table["variant"]) == {"half", "without", "margin"}
    assert sorted(table.loc[table["variant"] == "without", "detail"]) == ["alpha", "beta", "gamma"]
    assert (table["stands"] == "yes").all() and (table["same_sign"] == "yes").all()
    assert (table["main_verdict"] == "supported").all()


def test_halves_are_disjoint_and_together_the_whole(replicated):
    verdicts, table = replicated
    halves = table[table["variant"] == "half"]
    whole = verdicts[verdicts["dataset"] == "all"].iloc[0]
    assert halves["n"].tolist() == [30, 30] and whole["n"] == 60
    assert halves["estimate"].mean() == pytest.approx(whole["estimate"], rel=1e-12)
    assert halves["estimate"].iloc[0] != halves["estimate"].iloc[1]


def test_leaving_out_the_data_set_that_carries_an_effect_shows():
    runs = claims_planted.world({"alpha": -0.1, "beta": 0.1, "gamma": -0.1})
    _, table = again(runs, [claim()])
    without = table[table["variant"] == "without"].set_index("detail")
    assert (table["main_verdict"] == "conditional").all()
    assert without.loc["beta", ["verdict", "stands"]].tolist() == ["supported", "partly"]
    assert without.loc["alpha", ["verdict", "stands"]].tolist() == ["conditional", "yes"]


def test_the_margin_is_halved_and_doubled():
    runs = claims_planted.world(-0.1, noise=0.005)
    small = claim(margin=0.06)
    _, table = again(runs, [small])
    margin = table[table["variant"] == "margin"].set_index("detail")["verdict"]
    assert margin.to_dict() == {"half": "supported", "twice": "refuted"}
    assert table.set_index("detail").loc["twice", "stands"] == "depends"


def test_a_variant_has_whole_families_for_the_correction():
    runs = claims_planted.world({"alpha": -0.1, "beta": -0.2}, datasets=("alpha", "beta"))
    claims = [claim(), claim(id="X2", where='dataset == "alpha"'), claim(id="X3", family="other", where='dataset == "alpha"')]
    plan = claims_planted.plan(runs)
    without = [v for v in variants(claims, runs, plan) if v.name == "without"]
    assert [v.detail for v in without] == ["alpha", "beta"]
    assert all({c.id for c in v.claims} == {claims[0].id, "X2"} and v.changed == {claims[0].id} for v in without)


def test_error_stands_in_for_loss_only_where_it_is_measured_and_the_margin_has_no_unit():
    runs = claims_planted.world(-0.1)
    plan = claims_planted.plan(runs)
    names = lambda table, one: [v.detail for v in variants([one], table, plan) if v.name == "metric"]
    assert names(runs, claim()) == []
    runs["test_error"] = runs["test_loss"]
    assert names(runs, claim()) == ["error for loss, loss for error"]
    assert names(runs, claim(effect="difference")) == []
    (swapped,) = [v for v in variants([claim()], runs, plan) if v.name == "metric"]
    assert swapped.claims[0].metric == ("test_error",)
    assert names(runs.assign(test_error=np.nan), claim()) == []


def test_fresh_verdicts_count_where_the_claim_is_the_same():
    runs, other = (claims_planted.world(-0.1, seed=seed) for seed in (0, 1))
    claims = [claim(), claim(id="X2")]
    fresh = judge(other, claims, claims_planted.plan(other)).verdicts
    fresh.loc[fresh["claim_id"] == "X2", "registered"] = "0" * 12
    _, table = again(runs, claims, fresh)
    found = table[table["variant"] == "fresh"]
    assert found["claim_id"].tolist() == [claims[0].id]
    whole = fresh[(fresh["claim_id"] == claims[0].id) & (fresh["dataset"] == "all")].iloc[0]
    assert found["estimate"].iloc[0] == whole["estimate"] and found["stands"].iloc[0] == "yes"


def test_a_run_without_verdicts_is_refused():
    runs = claims_planted.world(-0.1)
    with pytest.raises(UserError, match="no claim has one"):
        again(runs, [claims_planted.claim(not_tested="not here")])


@pytest.mark.parametrize("main, verdict, word", [
    ("supported", "supported", "yes"), ("supported", "refuted", "contradicted"), ("refuted", "equivalent", "contradicted"),
    ("supported", "inconclusive", "undecided"), ("inconclusive", "refuted", "decided"), ("conditional", "supported", "partly"),
    ("inconclusive", "not_tested", "yes"), ("refuted", "not_tested", "undecided"),
])
def test_what_stands(main, verdict, word):
    assert stands(main, verdict, "half") == word


def test_the_profile_replication_has_the_studies_of_core_and_none_of_its_replicates():
    core, other = experiments.load("config.yaml"), experiments.load("config.yaml", "replication")
    assert list(core.studies) == list(other.studies)
    for name, study in core.studies.items():
        shifted = other.studies[name]
        assert not set(study.blocks) & set(shifted.blocks) and len(study.blocks) == len(shifted.blocks)
        assert study.model_copy(update={"first_replicate": 0}) == shifted.model_copy(update={"first_replicate": 0})


def test_the_report_counts_what_stands(replicated):
    base = replicated[1]
    bad = base.iloc[[0]].assign(verdict="refuted", stands="contradicted", same_sign="no", detail=planted.HOSTILE)
    found = told.replication({"replication": pd.concat([base, bad], ignore_index=True)})
    half = found["totals"][0]
    assert half["variant"] == told.VARIANTS["half"] and half["kept"] == "2 of 3 (67%)" and half["contradicted"] == 1
    html = render({"replication": pd.concat([base, bad])}, [claim()], {}, {})
    assert planted.HOSTILE not in html and "2 of 3; " in html
    assert told.replication({}) is None


def test_the_best_iterate_is_chosen_on_validation_rows_and_judged_on_test_rows():
    runs = claims_planted.world(-0.1).assign(cell_id=lambda t: [f"c{i}" for i in range(len(t))])
    track = pd.DataFrame([
        {"cell_id": cell, "step": step, "val_loss": val, "test_loss": loss + shift}
        for cell, loss in zip(runs["cell_id"], runs["test_loss"], strict=True)
        # the least test loss is not where the validation loss is least; of two equal steps the first counts
        for step, val, shift in ((1, 3.0, -0.5), (2, 1.0, 0.25), (3, 1.0, -0.25), (4, np.nan, 0.0))
    ])
    found = with_best_iterates(runs, track)
    np.testing.assert_allclose(found["best_test_loss"], runs["test_loss"] + 0.25)
    _, table = again(found, [claim()])
    row = table[(table["variant"] == "iterate")].iloc[0]
    assert (row["detail"], row["verdict"], row["stands"]) == ("best on validation", "supported", "yes")
    convex = with_best_iterates(runs, track.assign(test_loss=np.nan))
    assert convex["best_test_loss"].isna().all() and "iterate" not in set(again(convex, [claim()])[1]["variant"])
