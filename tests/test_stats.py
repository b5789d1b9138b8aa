"""Statistics against scipy, statsmodels, closed forms, and their coverage."""

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from wdbench import stats


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [5, 6, 10, 30])
def test_intervals_are_student_t_and_p_exact_sign_flips_from_six_blocks_on(n):
    effects = rng().normal(0.5, 1, n)
    estimate = stats.mean_effect(effects, 0.05, rng(1))
    assert estimate.method == "t"
    np.testing.assert_allclose([estimate.low, estimate.high], DescrStatsW(effects).tconfint_mean(0.05))
    np.testing.assert_allclose([estimate.low_tost, estimate.high_tost], DescrStatsW(effects).tconfint_mean(0.1))
    if n == 5:
        np.testing.assert_allclose(estimate.p, reference.ttest_1samp(effects, 0).pvalue)
    if n in (6, 10):
        signs = np.array(np.meshgrid(*[[-1, 1]] * n)).reshape(n, -1)
        np.testing.assert_allclose(estimate.p, np.mean(np.abs(effects @ signs / n) >= abs(effects.mean()) - 1e-12))


def test_same_seed_same_bits_other_seed_other_bits():
    effects = rng().normal(size=20)
    first, again, other = (stats.mean_effect(effects, 0.05, rng(seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_degenerate_samples():
    constant = stats.mean_effect(np.full(10, 0.3), 0.05, rng())
    assert (constant.method, constant.low, constant.mean, constant.high, constant.mde) == (
        "constant",
        0.3,
        0.3,
        0.3,
        0.0,
    )
    assert constant.p == pytest.approx(2 / 2**10)
    assert stats.mean_effect(np.zeros(10), 0.05, rng()).p == 1.0
    # five equal differences are no more than 2/2^5 evidence
    assert stats.mean_effect(np.full(5, 0.3), 0.05, rng()).p == pytest.approx(2 / 2**5)
    single = stats.mean_effect(np.array([0.3]), 0.05, rng())
    assert single.mean == 0.3
    assert np.isnan([single.low, single.high, single.p, single.mde]).all()
    with pytest.raises(ValueError, match="finite"):
        stats.mean_effect(np.array([1.0, np.nan]), 0.05, rng())


def test_intervals_cover():
    generator = rng(7)
    found = [stats.mean_effect(sample, 0.05, generator) for sample in generator.normal(0.2, 1, (600, 8))]
    assert 0.93 <= np.mean([e.low <= 0.2 <= e.high for e in found]) <= 0.97


def test_sign_flip_keeps_its_level():
    generator = rng(8)
    p = np.array([stats.sign_flip_p(sample, generator) for sample in generator.standard_t(3, (200, 8))])
    assert np.mean(p < 0.05) <= 0.09
    assert p.min() >= 2 / 2**8


def test_pooled_effect_of_independent_strata_is_the_stratified_mean():
    generator = rng(9)
    samples = [generator.normal(0.3, 1, 10), generator.normal(0.1, 2, 12)]
    effects, strata = np.concatenate(samples), np.repeat(["a", "b"], [10, 12])
    estimate = stats.pooled_effect(effects, strata, np.arange(22), 0.05, generator)
    se = np.sqrt(sum(s.var(ddof=1) / len(s) for s in samples)) / 2
    np.testing.assert_allclose(estimate.mean, np.mean([s.mean() for s in samples]))
    np.testing.assert_allclose(estimate.se, se)
    assert estimate.dof == 20


def test_pooled_effect_does_not_count_a_shared_block_twice():
    """The same blocks under two names of one data set: no more evidence than once."""
    effects = rng(10).normal(0.3, 1, 10)
    once = stats.mean_effect(effects, 0.05, rng())
    twice = stats.pooled_effect(np.tile(effects, 2), np.repeat(["a", "b"], 10), np.tile(np.arange(10), 2), 0.05, rng())
    np.testing.assert_allclose(twice.se, once.se)
    np.testing.assert_allclose(twice.p, once.p)


def test_tost_matches_statsmodels():
    effects = rng(11).normal(0.1, 0.5, 12)
    estimate = stats.mean_effect(effects, 0.05, rng())
    np.testing.assert_allclose(stats.tost_p(estimate, 0.4), DescrStatsW(effects).ttost_mean(-0.4, 0.4)[0])
    constant = stats.mean_effect(np.full(9, 0.1), 0.05, rng())
    assert (stats.tost_p(constant, 0.2), stats.tost_p(constant, 0.05)) == (0.0, 1.0)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_minimum_detectable_matches_statsmodels(n):
    found = stats.minimum_detectable(1 / np.sqrt(n), n - 1, 0.05)
    if n > 2:
        expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert np.isfinite(found)


def test_smallest_margin_has_its_power():
    n, generator = 10, rng(12)
    margin = stats.smallest_margin(1 / np.sqrt(n), n - 1, 0.05)
    samples = generator.normal(0, 1, (2000, n))
    half = reference.t.isf(0.05, n - 1) * samples.std(axis=1, ddof=1) / np.sqrt(n)
    inside = np.abs(samples.mean(axis=1)) + half < margin
    assert 0.7 < inside.mean() < 0.9


def test_events():
    estimate = stats.event_effect(np.array([1] * 8 + [-1] + [0] * 3), 0.05)
    assert estimate.mean == pytest.approx(7 / 12)
    assert estimate.p == pytest.approx(reference.binomtest(8, 9).pvalue)
    assert estimate.low < 7 / 12 < estimate.high
    # each of the two discordant shares has its interval at half of alpha, so that both hold together
    (low_gained, high_gained), (low_lost, high_lost) = (proportion_confint(count, 12, alpha=0.025, method="beta") for count in (8, 1))
    assert (estimate.low, estimate.high) == (pytest.approx(low_gained - high_lost), pytest.approx(high_gained - low_lost))
    assert stats.event_effect(np.zeros(10), 0.05).p == 1.0
    assert np.isnan(stats.detectable_share(5, 0.05))
    share = stats.detectable_share(10, 0.05)
    assert reference.binom.sf(5, 10, share) == pytest.approx(0.8)


def test_clopper_pearson_bounds():
    low, high = stats.clopper_pearson(0, 10, 0.05)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert stats.share_upper_bound(0, 14, 0.05) == pytest.approx(1 - 0.05 ** (1 / 14))
    assert stats.clopper_pearson(10, 10, 0.05)[1] == 1.0


def test_holm_by_hand():
    adjusted = stats.holm(np.array([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(adjusted, [0.03, np.nan, 0.06, 0.06])
    assert np.isnan(stats.holm(np.array([np.nan]))).all()


def test_holm_matches_statsmodels():
    p = rng(13).random(12) ** 3
    np.testing.assert_allclose(stats.holm(p), multipletests(p, method="holm")[1])


def test_slopes():
    x = np.array([-2.0, -1.0, 0.0, 1.0])
    assert stats.slope(x, 3 * x + 1) == pytest.approx(3)
    assert np.isnan(stats.slope(np.ones(3), np.arange(3.0)))
    assert stats.slope(np.log([0.004, 0.008, 0.016]), np.full(3, np.log(1.7))) == 0
    left, right = stats.end_slopes(x, (x + 1) ** 2)
    assert (left, right) == (pytest.approx(-2), pytest.approx(4))
    assert np.isnan(stats.end_slopes(np.array([0.0, 0.0, 1.0]), np.arange(3.0))).all()


def test_kendall_tau():
    x = np.arange(6.0)
    assert stats.kendall_tau(x, -(x**3)) == pytest.approx(-1)
    assert stats.kendall_tau(x, np.zeros(6)) == 0.0
    assert np.isnan(stats.kendall_tau(np.ones(4), np.arange(4.0)))


def test_jaccard_stability():
    supports = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]], dtype=bool)
    assert stats.jaccard_stability(supports) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert stats.jaccard_stability(np.zeros((3, 4), dtype=bool)) == 1.0
    assert np.isnan(stats.jaccard_stability(supports[:1]))
