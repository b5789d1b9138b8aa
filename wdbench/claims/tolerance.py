"""How forgiving an arm's grid of hyperparameters is: the share of its cells that are near the best, or what few draws find.

Both read whole grids of cells (select rule `grid`) of one loss or error, where low is good.

    within, of own      share of cells whose loss is at most (1 + e) times that of the arm's own cell chosen on validation rows
    within, of common   the same, against the lower of the two arms' chosen cells: an arm whose best is bad gains nothing by it
    draws               expected loss of the cell with the lowest validation loss among k cells drawn without replacement

With the losses in the order of their validation losses, t_(1) ... t_(N), the chosen one of k draws is t_(i) with probability
C(N - i, k - 1)/C(N, k), the chance that i is drawn and no better one is; the expectation is their sum, without simulation (cf.
Dodge et al. 2019, arXiv 1909.03004, for draws with replacement). Cells of equal validation loss share their mean.

A window makes two arms' grids equal in size and log-range: `points` values of the window's column, evenly spaced in its logarithm over
`decades`, centred on the arm's own chosen cell; losses between two cells are interpolated in the logarithm. Where the window reaches
beyond the grid the block has no effect.
"""

import math
from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench.claims import blocks, superiority
from wdbench.claims.kinds import Kind, register
from wdbench.claims.selection import KEYS
from wdbench.config.claimparts import Arm, Tolerance, Window
from wdbench.config.claims import Claim


def best_of(k: int, val: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    """Expected `loss` [N] of the lowest `val` [N] among k of N cells drawn without replacement; NaN where k > N."""
    n = len(val)
    if k > n:
        return math.nan
    _, group, size = np.unique(val, return_inverse=True, return_counts=True)
    ordered = (np.bincount(group, loss) / size)[np.sort(group)]
    chance = [math.comb(n - i, k - 1) / math.comb(n, k) for i in range(1, n - k + 2)]
    return float(np.dot(chance, ordered[: n - k + 1]))


def share_within(tolerance: float, best: float, loss: NDArray[np.float64]) -> float:
    """Share of cells with `loss` [N] at most (1 + tolerance) best; NaN where best is not above 0."""
    return float((loss <= (1.0 + tolerance) * best * (1.0 + 1e-12)).mean()) if best > 0 else math.nan


def windowed(cells: pd.DataFrame, over: tuple[str, ...], window: Window) -> pd.DataFrame | None:
    """`cells` (val, loss and the columns `over`) resampled as the module says; None where the window reaches beyond them."""
    chosen = cells[window.column].iloc[int(np.argmin(cells["val"]))]
    with np.errstate(divide="ignore"):
        targets = np.log10(chosen) + window.decades * np.linspace(-0.5, 0.5, window.points)
        cells = cells.assign(_at=np.log10(cells[window.column]))
    others = [column for column in over if column != window.column]
    parts = []
    for _, line in cells.groupby(others, sort=True) if others else [((), cells)]:
        line = line.sort_values("_at")
        at = line["_at"].to_numpy()
        if not (len(at) > 1 and at[0] - 1e-9 <= targets[0] and targets[-1] <= at[-1] + 1e-9):
            return None
        left = np.clip(np.searchsorted(at, targets + 1e-9, side="right") - 1, 0, len(at) - 2)
        share = (targets - at[left]) / (at[left + 1] - at[left])
        parts.append(pd.DataFrame({name: _between(line[name].to_numpy(), left, share) for name in ("val", "loss")}))
    return pd.concat(parts, ignore_index=True)


def _between(y: NDArray[np.float64], left: NDArray[np.intp], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear between neighbours; a cell that is met exactly is itself, also where its neighbour is infinite."""
    with np.errstate(invalid="ignore"):
        mixed = (1.0 - share) * y[left] + share * y[left + 1]
    return np.where(share < 1e-6, y[left], np.where(share > 1 - 1e-6, y[left + 1], mixed))


def contrasts(claim: Claim, table: pd.DataFrame) -> pd.DataFrame:
    """One row a block, metric and component: KEYS, metric, component, treatment, control, contrast (not yet oriented), imputed."""
    asked = claim.tolerance
    assert asked is not None, "see check_fields: the kind needs it"
    treatment, control = claim.arms["treatment"], claim.arms["control"]
    rows: list[tuple[Hashable, ...]] = []
    for key, points in table.groupby([*KEYS, "metric"], sort=True, dropna=False):
        one = _surface(treatment, points[points["arm"] == "treatment"], asked.window)
        other = _surface(control, points[points["arm"] == "control"], asked.window)
        imputed = bool(points["imputed"].any())
        for component, values in _measured(asked, one, other):
            rows.append((*key, component, *values, imputed))
    columns = [*KEYS, "metric", "component", "treatment", "control", "imputed"]
    found = pd.DataFrame(rows, columns=columns).astype({"treatment": float, "control": float})
    return found.assign(contrast=blocks.contrast(claim.effect, found["treatment"], found["control"]))


def _surface(arm: Arm, rows: pd.DataFrame, window: Window | None) -> pd.DataFrame | None:
    """The arm's grid in a block: val (infinite where the cell diverged) and loss; None where it has none."""
    assert arm.select is not None, "see check_arms: the kind needs rule grid"
    over = arm.select.over
    val = rows["selected_value"].where((rows["status"] == "ok") & rows["selected_value"].notna(), np.inf)
    cells = rows[list(over)].astype(float).assign(val=val, loss=rows["value_used"]).dropna(subset=["loss"])
    cells = cells.sort_values(["val", *over], kind="stable", ignore_index=True)
    if cells.empty or not np.isfinite(cells["val"].iloc[0]):
        return None
    return cells if window is None else windowed(cells, over, window)


def _measured(
    asked: Tolerance, treatment: pd.DataFrame | None, control: pd.DataFrame | None
) -> Iterator[tuple[str, tuple[float, float]]]:
    """(component, (treatment's value, control's value)); NaN where an arm has no grid."""
    names = [*(f"best of {k}" for k in asked.draws), *(f"within {share:g}" for share in asked.within)]
    if treatment is None or control is None:
        yield from ((name, (math.nan, math.nan)) for name in names)
        return
    (t_val, t), (c_val, c) = ((side["val"].to_numpy(float), side["loss"].to_numpy(float)) for side in (treatment, control))
    for name, k in zip(names, asked.draws, strict=False):
        yield name, (best_of(k, t_val, t), best_of(k, c_val, c))
    t_best, c_best = float(t[np.argmin(t_val)]), float(c[np.argmin(c_val)])
    if asked.of == "common":
        t_best = c_best = min(t_best, c_best)
    for name, share in zip(names[len(asked.draws):], asked.within, strict=True):
        yield name, (share_within(share, t_best, t), share_within(share, c_best, c))


def effects(claim: Claim, found: pd.DataFrame) -> pd.DataFrame:
    """Oriented contrast of each block and component."""
    return found.assign(effect=blocks.orientation(claim) * found["contrast"])


tolerance = register(Kind("tolerance", effects, superiority.rule, contrasts=contrasts))
