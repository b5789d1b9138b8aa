"""The ways in which a claim is judged again: which rows, and what of the claim is changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wdbench.claims import gate
from wdbench.claims.selection import claim_rows
from wdbench.config.claims import Claim

OTHER_METRIC = {"test_loss": "test_error", "test_error": "test_loss"}
AVERAGED = {"test_loss": "ema_test_loss", "test_error": "ema_test_error"}
BEST = {"test_loss": "best_test_loss"}
FREE_OF_UNITS = ("relative", "log_ratio")
"""Effects whose margin means the same for another metric."""


@dataclass(frozen=True)
class Variant:
    """One way. `where`: rows that it is judged on, for `pandas.DataFrame.query`, or empty for all. `claims`: the claims as this variant
    states them, whole families (Holm's correction needs them); `changed`: ids of those that are not as they were, or have lost rows.
    """

    name: str
    detail: str
    where: str
    claims: tuple[Claim, ...]
    changed: frozenset[str]


def variants(claims: Sequence[Claim], runs: pd.DataFrame, expected: pd.DataFrame) -> Iterator[Variant]:
    """half: even or odd replicates only. without: all but one data set, where a claim has others. margin: half and twice it. metric: error
    for loss and loss for error, where the effect has no unit. iterate: for the last weights the running average, or those of the step that
    was best on validation rows (`with_best_iterates`).
    """
    tested = [claim for claim in claims if claim.tested]
    for rest, name in ((0, "even replicates"), (1, "odd replicates")):
        yield Variant("half", name, f"replicate % 2 == {rest}", tuple(tested), frozenset(claim.id for claim in tested))
    bases = {claim.id: set(gate.planned(claim, expected)["dataset_base"]) for claim in tested}
    for base in sorted(set().union(*bases.values())):
        changed = {name for name, found in bases.items() if base in found and len(found) > 1}
        yield from _whole(Variant("without", base, f"dataset_base != {base!r}", (), frozenset(changed)), tested, {})
    for factor, name in ((0.5, "half"), (2.0, "twice")):
        scaled = {claim.id: claim.model_copy(update={"margin": _times(claim.margin, factor)})
                  for claim in tested if _positive(claim.margin)}
        yield from _whole(Variant("margin", name, "", (), frozenset(scaled)), tested, scaled)
    free = [claim for claim in tested if claim.effect in FREE_OF_UNITS and not claim.columns().get("event")]
    for name, detail, renamed in (("metric", "error for loss, loss for error", OTHER_METRIC), ("iterate", "running average", AVERAGED),
                                  ("iterate", "best on validation", BEST)):
        swapped = {claim.id: found for claim in (free if name == "metric" else tested) if (found := _with_metric(claim, renamed, runs))}
        yield from _whole(Variant(name, detail, "", (), frozenset(swapped)), tested, swapped)


def with_best_iterates(runs: pd.DataFrame, trajectories: pd.DataFrame) -> pd.DataFrame:
    """runs with best_test_loss: the test loss at the step, of those that a trajectory keeps, with the least validation loss (the first of
    equals). Both are of up to 256 rows. NaN where no test loss was kept: for convex models, whose last weights are near their minimiser.
    """
    kept = trajectories.dropna(subset=["val_loss", "test_loss"]).sort_values(["cell_id", "step"], kind="stable")
    best = kept.loc[kept.groupby("cell_id")["val_loss"].idxmin()].set_index("cell_id")["test_loss"]
    return runs.assign(best_test_loss=runs["cell_id"].map(best))


def _whole(variant: Variant, tested: list[Claim], instead: dict[str, Claim]) -> Iterator[Variant]:
    """The variant with every claim of the families that it touches, if it touches any."""
    families = {claim.family for claim in tested if claim.id in variant.changed}
    members = tuple(instead.get(claim.id, claim) for claim in tested if claim.family in families)
    if members:
        yield Variant(variant.name, variant.detail, variant.where, members, variant.changed)


def _positive(margin: float | dict[str, float] | None) -> bool:
    return any(value > 0 for value in (margin.values() if isinstance(margin, dict) else [margin or 0.0]))


def _times(margin: Any, factor: float) -> float | dict[str, float]:
    return {name: value * factor for name, value in margin.items()} if isinstance(margin, dict) else margin * factor


def _with_metric(claim: Claim, renamed: dict[str, str], runs: pd.DataFrame) -> Claim | None:
    """The claim on another column, where each of its metrics is a column that has such, measured in all of its finished rows."""
    if not claim.metric or not set(claim.metric) <= set(renamed) or any(arm.metric for arm in claim.arms.values()):
        return None
    metric = tuple(renamed[name] for name in claim.metric)
    if not set(metric) <= set(runs.columns):
        return None
    rows = claim_rows(claim, runs)
    if rows.empty or rows.loc[rows["status"] == "ok", list(metric)].isna().any(axis=None):
        return None
    margin = {renamed[name]: value for name, value in claim.margin.items()} if isinstance(claim.margin, dict) else claim.margin
    return claim.model_copy(update={"metric": metric, "margin": margin})
