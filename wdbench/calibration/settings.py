"""What is planted: a kind of claim, the size of the true effect, how effects are spread over blocks, and how many blocks there are."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

KINDS = ("superiority", "equivalence", "slope", "ushape", "interaction", "share", "event", "tolerance")
Spread = Literal["normal", "measured", "heavy", "skew", "ties", "diverged", "correlated", "edge", "family"]
DATASETS = 3
BLOCKS = 10
FAMILY = 6
MEASURED = {"superiority": (2.5, 20), "interaction": (3.5, 10), "ushape": (3.0, 10)}
"""Kind -> (standard deviation of the effects over blocks in margins, blocks): medians over claims and data sets of a core run, of the
kinds in which it was well above one margin."""


@dataclass(frozen=True)
class Setting:
    """truth: true effect in margins (superiority, ...); for equivalence the distance of the arms. spread: see `settings`.
    blocks: replicates a data set.
    """

    kind: str
    spread: Spread
    truth: float
    blocks: int

    @property
    def false(self) -> bool:
        """Whether upholding the claim would be an error."""
        return self.truth >= 1 if self.kind == "equivalence" else self.truth <= 0

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.spread}/{self.truth:g}/{self.blocks}"


def settings(kinds: tuple[str, ...] = KINDS) -> list[Setting]:
    """All settings of the given kinds.

    normal: N(effect, margin) in each of 5, 6, 8, 10 and 20 blocks, at no effect, at the margin and at twice it; and, at ten blocks
    and both ends of these, heavy: Student's t(3); skew: exponential; ties: effects rounded to half margins; diverged: one cell in ten
    of either arm has no value; correlated: the three data sets are one, under three names; edge: the best λ is the least of its grid;
    family: six claims at once, of which none is true. All of these have the standard deviation of one margin (equivalence: half of it,
    since arms are found equal only where noise is small beside the margin); measured has that of MEASURED. An event is there or
    not, and the cells of a tolerance are near the best or not: they have their own spread, and neither ties nor tails.
    """
    found = []
    for kind in kinds:
        own = kind in ("event", "tolerance")
        found += [Setting(kind, "normal", truth, blocks) for blocks in (5, 6, 8, 10, 20) for truth in (0.0, 1.0, 2.0)]
        if kind in MEASURED:
            found += [Setting(kind, "measured", truth, MEASURED[kind][1]) for truth in (0.0, 1.0, 2.0)]
        if not own:
            found += [Setting(kind, spread, truth, BLOCKS) for spread in ("heavy", "skew", "ties") for truth in (0.0, 1.0, 2.0)]
        if kind in ("superiority", "equivalence", "interaction"):
            found += [Setting(kind, "diverged", truth, BLOCKS) for truth in (0.0, 1.0)]
            found += [Setting(kind, "edge", truth, BLOCKS) for truth in (0.0, 2.0)]
        found += [Setting(kind, "correlated", truth, BLOCKS) for truth in (0.0, 1.0, 2.0)]
        found.append(Setting(kind, "family", 1.0 if kind == "equivalence" else 0.0, BLOCKS))
    return found


def noise(setting: Setting, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """[datasets, blocks] deviations of mean 0, in margins."""
    spread = setting.spread
    if spread == "correlated":
        return np.repeat(rng.standard_normal((1, shape[1])), shape[0], axis=0)
    if spread == "heavy":
        return rng.standard_t(3, shape) / np.sqrt(3)
    if spread == "skew":
        return rng.exponential(size=shape) - 1
    return (MEASURED[setting.kind][0] if spread == "measured" else 1.0) * rng.standard_normal(shape)
