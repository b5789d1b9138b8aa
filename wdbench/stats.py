"""Paired statistics over blocks: intervals, exact tests, equivalence, events, power, corrections.

Thin over scipy and statsmodels. Arrays of effects are float64 [n], one number a block, already differences.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 9999
"""Random sign flips of a permutation test; all are enumerated where there are no more than this many."""

SIGN_FLIP_FROM = 6
"""From this many blocks on p comes from sign flips (its least value is 2/2^n), below it from Student's t."""

POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A mean effect and what is known about it.

    `low`, `high`: two-sided 1 - alpha interval; `low_tost`, `high_tost`: two-sided 1 - 2 alpha interval. `p`:
    two-sided, of a zero mean. `se`, `dof`: standard error of the mean and its degrees of freedom; `mde`: see
    `minimum_detectable`. `method`: how the interval was made: t, constant (every block gave the same effect), cluster t,
    Clopper-Pearson, none.
    """

    mean: float
    low: float
    high: float
    low_tost: float
    high_tost: float
    p: float
    n: int
    se: float
    dof: float
    mde: float
    method: str


def mean_effect(effects: np.ndarray, alpha: float, rng: np.random.Generator) -> Estimate:
    """Mean of paired effects [n] with its interval and p.

    Student's t interval; p by sign flips for n >= 6, else by t. The BCa bootstrap (Efron 1987) covers less at every
    number of blocks that is usual here: nominal 95 % covers, simulated, 89 % of normal, 86 % of t(3) and 88 % of
    exponential effects at n = 10, where t covers 95, 96 and 91 %; they meet near n = 30. Raises ValueError for effects that are
    empty or not finite.
    """
    effects = _finite(effects)
    n, mean = len(effects), float(effects.mean())
    if n == 1:
        return Estimate(mean, np.nan, np.nan, np.nan, np.nan, np.nan, 1, np.nan, 0, np.nan, "none")
    spread = float(effects.std(ddof=1))
    if spread <= 1e-12 * max(abs(mean), np.finfo(float).tiny):
        mean, p = float(effects[0]), sign_flip_p(effects, rng)
        return Estimate(mean, mean, mean, mean, mean, p, n, 0.0, n - 1, 0.0, "constant")
    se, dof = float(spread / np.sqrt(n)), n - 1
    p = sign_flip_p(effects, rng) if n >= SIGN_FLIP_FROM else t_p(mean, se, dof)
    return Estimate(mean, *_t_intervals(mean, se, dof, alpha), p, n, se, dof, minimum_detectable(se, dof, alpha), "t")


def pooled_effect(
    effects: np.ndarray, strata: np.ndarray, clusters: np.ndarray, alpha: float, rng: np.random.Generator
) -> Estimate:
    """Mean over strata of the strata's mean effects, for these strata (not for strata at large).

    effects [n]; strata [n] labels; clusters [n] labels of blocks, of which one may appear in several strata (its
    effects are then dependent). Variance: cluster-robust, sum over clusters of the squared sum of centred
    contributions, each stratum's scaled by n/(n-1); t with max(clusters - strata, smallest stratum - 1) degrees of
    freedom. p: sign flips of whole clusters (at least 6), else t.
    """
    effects = _finite(effects)
    _, strata = np.unique(strata, return_inverse=True)
    _, clusters = np.unique(clusters, return_inverse=True)
    counts = np.bincount(strata)
    means = np.bincount(strata, effects) / counts
    mean, n_clusters = float(means.mean()), int(clusters.max()) + 1
    if counts.min() < 2:
        return Estimate(mean, np.nan, np.nan, np.nan, np.nan, np.nan, len(effects), np.nan, 0, np.nan, "none")
    weights = 1.0 / (len(counts) * counts[strata])
    centred = weights * (effects - means[strata]) * np.sqrt(counts / (counts - 1))[strata]
    se = float(np.sqrt((np.bincount(clusters, centred) ** 2).sum()))
    dof = max(n_clusters - len(counts), int(counts.min()) - 1)
    contributions = np.bincount(clusters, weights * effects)
    p = sign_flip_p(contributions, rng) if n_clusters >= SIGN_FLIP_FROM or se == 0 else t_p(mean, se, dof)
    intervals = _t_intervals(mean, se, dof, alpha)
    return Estimate(mean, *intervals, p, len(effects), se, dof, minimum_detectable(se, dof, alpha), "cluster t")


def sign_flip_p(effects: np.ndarray, rng: np.random.Generator) -> float:
    """Two-sided p of a zero mean by sign flips of the paired differences.

    All 2^n of them where that is at most RESAMPLES, else as many random ones.
    """
    effects = _finite(effects)
    if not effects.any():
        return 1.0
    result = stats.permutation_test(
        (effects, np.zeros_like(effects)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=rng,
    )
    return float(result.pvalue)


def t_p(mean: float, se: float, dof: float) -> float:
    """Two-sided p of Student's t."""
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / se, dof))


def tost_p(estimate: Estimate, margin: float) -> float:
    """Two one-sided t tests (Schuirmann 1987): p of |true mean| >= margin."""
    if not np.isfinite(estimate.se):
        return np.nan
    if estimate.se == 0:
        return 0.0 if abs(estimate.mean) < margin else 1.0
    above = stats.t.sf((estimate.mean + margin) / estimate.se, estimate.dof)
    below = stats.t.cdf((estimate.mean - margin) / estimate.se, estimate.dof)
    return float(max(above, below))


def minimum_detectable(se: float, dof: float, alpha: float, power: float = POWER) -> float:
    """Smallest true mean that a two-sided t test at `alpha` finds with probability `power` (noncentral t)."""
    if not np.isfinite(se) or dof < 1:
        return np.nan
    if se == 0:
        return 0.0
    critical = stats.t.isf(alpha / 2, dof)
    return float(se * optimize.brentq(lambda shift: stats.nct.sf(critical, dof, shift) - power, 0, 2 * critical + 5))


def smallest_margin(se: float, dof: float, alpha: float, power: float = POWER) -> float:
    """Smallest margin within which TOST places two arms that do not differ with probability `power` (central t)."""
    if not np.isfinite(se) or dof < 1:
        return np.nan
    return float(se * (stats.t.isf(alpha, dof) + stats.t.isf((1 - power) / 2, dof)))


def event_effect(effects: np.ndarray, alpha: float) -> Estimate:
    """Reduction of an event's rate over paired blocks.

    effects [n]: +1 where the control alone had the event, -1 where the treatment alone had it, 0 for both or neither.
    p: exact McNemar (binomial of the discordant blocks). Interval: the difference of the Clopper-Pearson bounds of
    the two discordant shares, each at 1 - alpha/2, so that both hold together with 1 - alpha. `mde`: smallest true
    share of blocks with the event in the control alone (and none the other way) that is found with probability .8.
    """
    effects = _finite(effects)
    n, gained, lost = len(effects), int((effects > 0).sum()), int((effects < 0).sum())
    p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    intervals = []
    for level in (alpha, 2 * alpha):
        low_gained, high_gained = clopper_pearson(gained, n, level / 2)
        low_lost, high_lost = clopper_pearson(lost, n, level / 2)
        intervals += [max(-1.0, low_gained - high_lost), min(1.0, high_gained - low_lost)]
    mean = (gained - lost) / n
    se = float(np.sqrt(max(gained + lost - n * mean**2, 0)) / n)
    low, high, low_tost, high_tost = intervals
    return Estimate(mean, low, high, low_tost, high_tost, p, n, se, n - 1, detectable_share(n, alpha), "Clopper-Pearson")


def clopper_pearson(count: int, n: int, alpha: float) -> tuple[float, float]:
    """Exact two-sided 1 - alpha interval of a share."""
    low, high = proportion_confint(count, n, alpha=alpha, method="beta")
    return float(low), float(high)


def share_upper_bound(count: int, n: int, alpha: float) -> float:
    """Exact one-sided 1 - alpha upper bound of a share."""
    return clopper_pearson(count, n, 2 * alpha)[1]


def detectable_share(n: int, alpha: float, power: float = POWER) -> float:
    """Smallest true share of discordant blocks, all of one sign, that exact McNemar finds with probability `power`.

    NaN where n is too small for any.
    """
    needed = next((k for k in range(1, n + 1) if 2 * 0.5**k < alpha), None)
    if needed is None:
        return np.nan
    return float(optimize.brentq(lambda share: stats.binom.sf(needed - 1, n, share) - power, 0.0, 1.0))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p values (Holm 1979); NaN (not tested) stays NaN and does not count.

    Written out because statsmodels' multipletests collects garbage on each call: 0.1 s, a few hundred times a run.
    """
    p_values = np.asarray(p_values, dtype=float)
    adjusted = np.full(p_values.shape, np.nan)
    tested = np.isfinite(p_values)
    order = np.flatnonzero(tested)[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least-squares slope of y on x, exactly 0 where y is constant; NaN with fewer than two distinct x."""
    centred = x - x.mean()
    scale = float(centred @ centred)
    # y itself would leave a constant with the rounding of x's mean for a slope, which a verdict would call a direction
    return float(centred @ (y - y[0])) / scale if scale > 0 else np.nan


def end_slopes(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slopes of the least-squares parabola of y on x at the least and at the greatest x.

    NaN with fewer than three distinct x.
    """
    if len(np.unique(x)) < 3:
        return np.nan, np.nan
    middle = x.mean()
    curvature, tilt, _ = np.polyfit(x - middle, y, 2)
    left, right = x.min() - middle, x.max() - middle
    return float(tilt + 2 * curvature * left), float(tilt + 2 * curvature * right)


def kendall_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b; 0 where y is constant (it follows x in no direction), NaN with fewer than two distinct x."""
    if len(np.unique(x)) < 2:
        return np.nan
    if len(np.unique(y)) < 2:
        return 0.0
    return float(stats.kendalltau(x, y).statistic)


def jaccard_stability(supports: np.ndarray) -> float:
    """Mean Jaccard index over all pairs of selected sets, bool [sets, features].

    Two empty sets agree fully; NaN for a single set.
    """
    supports = np.asarray(supports, dtype=float)
    both = supports @ supports.T
    sizes = supports.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - both
    index = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    pairs = np.triu_indices(len(supports), k=1)
    return float(index[pairs].mean()) if len(pairs[0]) else np.nan


def _finite(effects: np.ndarray) -> np.ndarray:
    effects = np.asarray(effects, dtype=float)
    if effects.size == 0 or not np.isfinite(effects).all():
        raise ValueError("effects must be finite, and at least one")
    return effects


def _t_intervals(mean: float, se: float, dof: float, alpha: float) -> tuple[float, float, float, float]:
    half, half_tost = float(stats.t.isf(alpha / 2, dof) * se), float(stats.t.isf(alpha, dof) * se)
    return mean - half, mean + half, mean - half_tost, mean + half_tost


def t_half_width(sd: np.ndarray, n: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """Half width of the 1 - alpha t interval of means of n values with standard deviation sd (ddof 1); NaN for n < 2."""
    n = np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, stats.t.ppf(1 - alpha / 2, np.maximum(n - 1, 1)) * np.asarray(sd, float) / np.sqrt(n), np.nan)
