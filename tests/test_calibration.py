"""Planted worlds reach the judge as real runs do, and a judge that is wrong shows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from wdbench import seeds, stats
from wdbench.calibration import COLUMNS, calibrate, settings
from wdbench.calibration.settings import BLOCKS, KINDS, Setting, noise
from wdbench.calibration.worlds import MARGIN, planned, world
from wdbench.claims import judge, kinds
from wdbench.config.claimparts import RULES
from wdbench.report import trust

WORLDS = 12


def judged(setting, number=0):
    rows, claim, truth = world(setting, seeds.generator(f"test/{setting.name}", number, "sample"))
    return judge(rows, [claim], planned(rows)), truth


def whole(judgement):
    return judgement.verdicts[judgement.verdicts["dataset"] == "all"].iloc[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_what_is_planted(kind):
    truth = 0.0 if kind == "equivalence" else 2.0
    judgement, planted = judged(Setting(kind, "normal", truth, 20))
    row = whole(judgement)
    assert row["verdict"] in ("supported", "equivalent"), row["reason"]
    assert row["ci_low"] - 0.5 * row["margin"] <= planted <= row["ci_high"] + 0.5 * row["margin"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "share"])
def test_no_kind_finds_what_is_not_there(kind):
    judgement, _ = judged(Setting(kind, "normal", 2.0 if kind == "equivalence" else 0.0, 20), 1)
    assert whole(judgement)["verdict"] not in ("supported", "equivalent")


def test_the_planted_effect_is_what_the_judge_reads_from_each_block():
    setting = Setting("superiority", "normal", 1.5, 8)
    judgement, _ = judged(setting)
    effects = judgement.effects
    assert len(effects) == 3 * 8
    assert abs(effects["effect"].mean() - 1.5 * MARGIN) < 4 * MARGIN / np.sqrt(24)
    assert effects["effect"].std() == pytest.approx(MARGIN, rel=0.5)


def test_a_best_setting_at_the_end_of_its_grid_is_no_verdict():
    judgement, _ = judged(Setting("superiority", "edge", 2.0, BLOCKS))
    assert whole(judgement)["verdict"] == "inconclusive" and "grid" in " ".join(judgement.verdicts["reason"])


def test_spreads_have_the_deviation_that_they_are_said_to_have():
    rng = np.random.default_rng(0)
    for spread, kurtosis in (("normal", 0.0), ("skew", 6.0)):
        drawn = noise(Setting("slope", spread, 0.0, 10), (3, 200_000), rng)
        assert drawn.mean() == pytest.approx(0, abs=0.01) and drawn.std() == pytest.approx(1, abs=0.02)
        assert reference.kurtosis(drawn.ravel()) == pytest.approx(kurtosis, abs=1)
    heavy = noise(Setting("slope", "heavy", 0.0, 10), (3, 200_000), rng)
    assert np.median(np.abs(heavy)) == pytest.approx(reference.t(3).ppf(0.75) / np.sqrt(3), rel=0.02)
    one = noise(Setting("slope", "correlated", 0.0, 10), (3, 50), rng)
    assert np.array_equal(one[0], one[2])


def test_every_kind_has_every_truth_and_number_of_replicates():
    for kind in KINDS:
        normal = {(s.truth, s.blocks) for s in settings((kind,)) if s.spread == "normal"}
        assert normal == {(truth, blocks) for truth in (0.0, 1.0, 2.0) for blocks in (5, 6, 8, 10, 20)}
        assert sum(s.spread == "family" for s in settings((kind,))) == 1
    assert len(set(settings())) == len(settings())


def test_shares_do_not_depend_on_processes_and_say_what_was_judged():
    chosen = [Setting("superiority", "normal", 0.0, 6), Setting("superiority", "normal", 2.0, 10)]
    told = []
    one, two = calibrate(chosen, WORLDS, 1, told.append), calibrate(chosen, WORLDS, 2)
    assert one.equals(two) and list(one) == list(COLUMNS) and sum(told) == WORLDS * len(chosen)
    assert (one["rules"] == RULES).all() and one["worlds"].tolist() == [WORLDS] * 2
    false, true = (row for _, row in one.iterrows())
    assert false["upheld"] <= 2 / WORLDS and false["goal"] == "at most 0.05" and false["meets_goal"] == "yes"
    assert true["upheld"] == 1 and true["goal"] == "at least 0.8"
    assert (true["upheld_low"], true["upheld_high"]) == pytest.approx(stats.clopper_pearson(WORLDS, WORLDS, 0.05))


def test_of_a_family_any_claim_counts(monkeypatch):
    monkeypatch.setattr("wdbench.calibration.run.ProcessPoolExecutor", Inline)
    family = Setting("event", "family", 0.0, 6)
    row = calibrate([family], 2, 1).loc[0]
    assert np.isnan(row["coverage"]) and row["covers"] == "" and row["goal"] == "at most 0.05"
    monkeypatch.setitem(kinds._KINDS, "event", dataclasses.replace(kinds.find("event"), rule=_first_only(), p=lambda estimate, margin: 0.0))
    assert calibrate([family], 2, 1).loc[0, "upheld"] == 1


def _first_only():
    """A rule that upholds the strata of the first claim that it is asked about."""
    asked = iter(range(10**6))
    return lambda seen: kinds.Ruling("supported" if next(asked) % 18 < 3 else "inconclusive", "")


def test_a_judge_that_ignores_margin_and_noise_misses_its_goal(monkeypatch):
    def any_positive(seen):
        return kinds.Ruling("supported" if seen.estimate.mean > 0 else "inconclusive", "")

    careless = dataclasses.replace(kinds.find("superiority"), rule=any_positive, p=lambda estimate, margin: 0.0)
    monkeypatch.setitem(kinds._KINDS, "superiority", careless)
    monkeypatch.setattr("wdbench.calibration.run.ProcessPoolExecutor", Inline)
    found = calibrate([Setting("superiority", "normal", 0.0, 6)], WORLDS, 1)
    assert found.loc[0, "upheld"] > 0.3 and found.loc[0, "meets_goal"] == "no"


def test_intervals_that_are_too_narrow_are_told(monkeypatch):
    def half(mean, se, dof, alpha):
        low, high = reference.t.interval(1 - alpha, dof, mean, se)
        return mean + (low - mean) / 3, mean + (high - mean) / 3, mean, mean

    monkeypatch.setattr(stats, "_t_intervals", half)
    monkeypatch.setattr("wdbench.calibration.run.ProcessPoolExecutor", Inline)
    found = calibrate([Setting("superiority", "normal", 1.0, 6)], 20, 1)
    assert found.loc[0, "coverage"] < 0.8 and found.loc[0, "covers"] == "less"


class Inline:
    """A pool of no processes, so that what a test has changed holds for the work too."""

    def __init__(self, *args, **options):
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def test_the_report_tells_what_missed():
    base = {"kind": "slope", "spread": "normal", "truth": 0.0, "replicates": 10, "worlds": 50, "upheld": 0.3, "upheld_low": 0.2,
            "upheld_high": 0.4, "coverage": 0.8, "coverage_low": 0.7, "coverage_high": 0.9, "goal": "at most 0.05", "meets_goal": "no",
            "covers": "less", "rules": RULES - 1}
    found = trust.calibration({"calibration": pd.DataFrame([base])})
    assert found["stale"] == [RULES - 1] and len(found["missed"]) == len(found["narrow"]) == 1
    assert found["kinds"][0]["worst"] == "30.0 % [20.0 %, 40.0 %]" and found["kinds"][0]["power"] == "–"
    assert trust.calibration({}) is None
