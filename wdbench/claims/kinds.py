"""The kinds of test: what a kind makes of the contrasts, and by which rule it decides.

A further kind is one `Kind`, given to `register` (from a plugin too), and one call of
`wdbench.config.claimparts.register_kind` that says which keys of claims.yaml it needs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench import stats
from wdbench.config.claims import Claim
from wdbench.stats import Estimate

Effects = pd.DataFrame
"""Columns stratum, metric, component, block, effect, imputed: one number a block, positive in favour of the claim.

`imputed`: a diverged cell stands behind it. Further columns named in tables.EFFECT_COLUMNS are published as they are.
"""


@dataclass(frozen=True)
class Ruling:
    """A verdict and the sentence that says why."""

    verdict: str
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What a rule decides on: one component's estimate, its effects [n], margin, level and corrected p."""

    estimate: Estimate
    effects: NDArray[np.float64]
    margin: float
    alpha: float
    p_holm: float


def _mean_p(estimate: Estimate, margin: float) -> float:
    return estimate.p


def _mean_mde(estimate: Estimate, alpha: float) -> float:
    return estimate.mde


def _pool(
    effects: NDArray[np.float64], strata: NDArray[np.str_], clusters: NDArray[np.str_], alpha: float, rng: np.random.Generator
) -> Estimate:
    return stats.pooled_effect(effects, strata, clusters, alpha, rng)


Pool = Callable[[NDArray[np.float64], NDArray[np.str_], NDArray[np.str_], float, np.random.Generator], Estimate]


def _unchanged(claim: Claim, contrasts: pd.DataFrame, ruling: Ruling) -> Ruling:
    return ruling


@dataclass(frozen=True)
class Kind:
    """A kind of test.

    effects: contrasts of a claim (see blocks.contrasts) -> Effects. rule: Evidence -> Ruling. test: effects [n],
    alpha, generator -> Estimate. pool: effects, strata, clusters, alpha, generator -> Estimate over all strata. p:
    Estimate, margin -> p of the claim. mde: Estimate, alpha -> what could have been found. review: the last word on a
    stratum, given its contrasts. contrasts: claim, selected rows -> contrasts, where they are not those of
    blocks.contrasts, one value an arm and block.
    """

    name: str
    effects: Callable[[Claim, pd.DataFrame], Effects]
    rule: Callable[[Evidence], Ruling]
    test: Callable[[NDArray[np.float64], float, np.random.Generator], Estimate] = stats.mean_effect
    pool: Pool = _pool
    p: Callable[[Estimate, float], float] = _mean_p
    mde: Callable[[Estimate, float], float] = _mean_mde
    review: Callable[[Claim, pd.DataFrame, Ruling], Ruling] = _unchanged
    contrasts: Callable[[Claim, pd.DataFrame], pd.DataFrame] | None = None


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Make a kind of test known. Raises ValueError if its name is taken."""
    if kind.name in _KINDS:
        raise ValueError(f"kind {kind.name!r} is registered twice")
    _KINDS[kind.name] = kind
    return kind


def find(name: str) -> Kind:
    """The kind of that name. Raises KeyError for one that was never registered (claims.yaml is checked when it is
    read).
    """
    return _KINDS[name]


def number(value: float) -> str:
    """A number as reasons show it."""
    return f"{value:.3g}"
