"""A claim on its way to a verdict: the values that judge.py fills and tables.py writes down."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench.claims.kinds import Ruling
from wdbench.config.claims import Claim
from wdbench.stats import Estimate


@dataclass(frozen=True)
class Component:
    """One thing that has to hold: a metric, or one end of a curve."""

    name: str
    estimate: Estimate
    effects: NDArray[np.float64]
    margin: float


@dataclass(frozen=True)
class Tested:
    """The components of a stratum, or of all strata together; `p` is the largest of theirs (intersection-union)."""

    components: tuple[Component, ...]
    p: float


@dataclass
class Case:
    """One claim on its way to a verdict."""

    claim: Claim
    fixed: Ruling | None = None
    identity_numbers: dict[str, float | str] = field(default_factory=dict)
    absent: dict[str, Ruling] = field(default_factory=dict)
    tested: dict[str, Tested] = field(default_factory=dict)
    pooled: Tested | None = None
    contrasts: pd.DataFrame | None = None
    selected: pd.DataFrame | None = None
    effects: pd.DataFrame | None = None
    n_diverged: dict[str, int] = field(default_factory=dict)
    edges: dict[str, dict[str, float]] = field(default_factory=dict)
    ends: dict[str, dict[str, str]] = field(default_factory=dict)
    note: str = ""
    secondary: "Case | None" = None
    naive: "Case | None" = None
