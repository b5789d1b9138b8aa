"""Worlds judged by the thousand, and how often the verdict was right."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd

from wdbench import orphans, seeds, stats
from wdbench.calibration.settings import FAMILY, Setting
from wdbench.calibration.worlds import planned, world
from wdbench.claims import judge
from wdbench.config.claimparts import RULES

COLUMNS = ("kind", "spread", "truth", "replicates", "worlds", "upheld", "upheld_low", "upheld_high", "coverage", "coverage_low",
           "coverage_high", "goal", "meets_goal", "covers", "rules")
BATCH = 10
ALPHA = 0.05
NOMINAL = (0.93, 0.97)
"""Coverage that is as good as the nominal 95 %."""

LEVEL = 0.05
"""Level of the two-sided Clopper-Pearson intervals of the shares."""


def calibrate(settings: list[Setting], worlds: int, processes: int, seen: Callable[[int], None] = lambda n: None) -> pd.DataFrame:
    """COLUMNS, one row a setting: the share of `worlds` in which the claim was upheld, and in which the interval held the true effect.

    Of a family, the share in which any claim was upheld. seen(n) is told of n more judged worlds. Shares do not depend on `processes`.
    """
    tasks = [(setting, range(start, min(start + BATCH, worlds))) for setting in settings for start in range(0, worlds, BATCH)]
    counts = {setting: np.zeros(3, int) for setting in settings}
    with ProcessPoolExecutor(processes, get_context("fork"), orphans.begin_in_a_pool) as pool:
        for (setting, numbers), found in zip(tasks, pool.map(_judged, tasks), strict=True):
            counts[setting] += found
            seen(len(numbers))
    return pd.DataFrame([_row(setting, worlds, *counts[setting]) for setting in settings], columns=list(COLUMNS))


def _judged(task: tuple[Setting, Iterable[int]]) -> np.ndarray:
    """[upheld, interval holds the truth, intervals] over the worlds of a task."""
    setting, numbers = task
    return np.sum([_one(setting, number) for number in numbers], axis=0)


def _one(setting: Setting, number: int) -> tuple[int, int, int]:
    made = [world(setting, seeds.generator(f"calibration/{setting.name}", number, "sample", i), f"planted{i}")
            for i in range(FAMILY if setting.spread == "family" else 1)]
    rows = pd.concat([table for table, _, _ in made], ignore_index=True)
    verdicts = judge(rows, [claim for _, claim, _ in made], planned(rows)).verdicts
    whole = verdicts[verdicts["dataset"] == "all"].set_index("claim_id")
    held = bool(whole["verdict"].isin(("supported", "equivalent")).any())
    if setting.spread in ("family", "edge", "diverged"):
        return held, 0, 0
    one, truth = whole.iloc[0], made[0][2]
    known = np.isfinite(one["ci_low"]) and np.isfinite(one["ci_high"])
    return held, bool(known and one["ci_low"] - 1e-12 <= truth <= one["ci_high"] + 1e-12), int(known)


def _row(setting: Setting, worlds: int, upheld: int, covered: int, intervals: int) -> tuple[str | float, ...]:
    low, high = stats.clopper_pearson(int(upheld), worlds, LEVEL)
    shares = [covered / intervals, *stats.clopper_pearson(int(covered), int(intervals), LEVEL)] if intervals else [np.nan] * 3
    goal, meets = _goal(setting, low, high)
    return (setting.kind, setting.spread, setting.truth, setting.blocks, worlds, upheld / worlds, low, high, *shares, goal, meets,
            _covers(*shares), RULES)


def _covers(share: float, low: float, high: float) -> str:
    """yes | less | more: whether the interval of the coverage meets NOMINAL; empty where no interval was to be had."""
    if np.isnan(share):
        return ""
    return "less" if high < NOMINAL[0] else "more" if low > NOMINAL[1] else "yes"


def _goal(setting: Setting, low: float, high: float) -> tuple[str, str]:
    """(goal, yes | no | ""): a goal is missed where the interval of the share excludes it."""
    if setting.false:
        return f"at most {ALPHA:g}", "no" if low > ALPHA else "yes"
    if setting.spread == "edge":
        return "0", "no" if low > 0 else "yes"
    clear = setting.truth == 0 if setting.kind == "equivalence" else setting.truth >= 2
    if clear and setting.blocks >= 8 and setting.spread != "diverged":
        return "at least 0.8", "no" if high < 0.8 else "yes"
    return "", ""
