"""Designs that cannot win: told exactly where the best outcome that the blocks allow is not upheld by the judge itself."""

import numpy as np
import pytest
from claims_planted import claim, plan, world

from wdbench import stats
from wdbench.claims import judge, reach


@pytest.mark.parametrize("n", [6, 7, 10, 13])
def test_the_least_p_of_sign_flips_is_that_of_blocks_that_all_agree(n):
    found = stats.mean_effect(1.0 + 0.01 * np.arange(n), 0.05, np.random.default_rng(0)).p
    assert reach.least_p("superiority", n) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("n", [1, 4, 6, 10])
def test_the_least_p_of_an_event_is_that_of_blocks_that_all_change(n):
    assert reach.least_p("event", n) == pytest.approx(stats.event_effect(np.ones(n), 0.05).p, rel=1e-12)


def test_few_blocks_in_the_student_range_and_one_block():
    assert reach.least_p("superiority", 5) == reach.least_p("equivalence", 12) == 0.0
    assert np.isnan(reach.least_p("superiority", 1)) and np.isnan(reach.least_p("equivalence", 1))


@pytest.mark.parametrize(("replicates", "told"), [(6, True), (7, False), (10, False)])
def test_what_is_called_unreachable_is_not_upheld_whatever_the_effect(replicates, told):
    runs = world(-0.5)
    runs = runs[runs["replicate"] < replicates].reset_index(drop=True)
    found = reach.unreachable([claim()], plan(runs))
    assert bool(found) == told
    verdicts = judge(runs, [claim()], plan(runs)).verdicts.set_index("dataset")["verdict"]
    assert (verdicts["all"] == "supported") == (not told)
    if told:
        sentence = found[claim().id]
        strata = runs["dataset"].nunique()
        assert f"{replicates} blocks in {strata} strata" in sentence and f"{0.05 / strata:.3g}" in sentence and "0.0312" in sentence


def test_a_large_family_can_put_a_claim_out_of_reach():
    runs = world(-0.5)
    runs = runs[(runs["replicate"] < 7) & (runs["dataset"] == runs["dataset"].iloc[0])].reset_index(drop=True)
    few = [claim(id=f"F{i}") for i in range(3)]
    many = [claim(id=f"F{i}") for i in range(4)]
    # 7 blocks: least p 2/128; 3 x 2/128 = 0.047, 4 x 2/128 = 0.0625
    assert not reach.unreachable(few, plan(runs))
    found = reach.unreachable(many, plan(runs))
    assert set(found) == {c.id for c in many} and "4 claims of family" in found["F0"]
