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

import numpy as np
import pandas as pd

from wdbench.claims import blocks, superiority
from wdbench.claims.kinds import Kind, register
from wdbench.claims.selection import KEYS
from wdbench.config.claimparts import Window
from wdbench.config.claims import Claim


def best_of(k: int, val: np.ndarray, loss: np.ndarray) -> float:
    """Expected `loss` [N] of the lowest `val` [N] among k of N cells drawn without replacement; NaN where k > N."""
    n = len(val)
    if k > n:
        return math.nan
    _, group, size = np.unique(val, return_inverse=True, return_counts=True)
    ordered = (np.bincount(group, loss) / size)[np.sort(group)]
    chance = [math.comb(n - i, k - 1) / math.comb(n, k) for i in range(1, n - k + 2)]
    return float(np.dot(chance, ordered[: n - k + 1]))


def share_within(tolerance: float, best: float, loss: np.ndarray) -> float:
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


def _between(y: np.ndarray, left: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Linear between neighbours; a cell that is met exactly is itself, also where its neighbour is infinite."""
    with np.errstate(invalid="ignore"):
        mixed = (1.0 - share) * y[left] + share * y[left + 1]
    return np.where(share < 1e-6, y[left], np.where(share > 1 - 1e-6, y[left + 1], mixed))


def contrasts(claim: Claim, table: pd.DataFrame) -> pd.DataFrame:
    """One row a block, metric and component: KEYS, metric, component, treatment, control, contrast (not yet oriented), imputed."""
    rows = []
    for key, points in table.groupby([*KEYS, "metric"], sort=True, dropna=False):
        surfaces = {arm: _surface(claim, arm, points[points["arm"] == arm]) for arm in ("treatment", "control")}
        imputed = bool(points["imputed"].any())
        for component, values in _measured(claim, surfaces):
            rows.append((*key, component, *values, imputed))
    columns = [*KEYS, "metric", "component", "treatment", "control", "imputed"]
    found = pd.DataFrame(rows, columns=columns).astype({"treatment": float, "control": float})
    return found.assign(contrast=blocks.contrast(claim.effect, found["treatment"], found["control"]))


def _surface(claim: Claim, arm: str, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The arm's grid in a block: val (infinite where the cell diverged) and loss; None where it has none."""
    over, window = claim.arms[arm].select.over, claim.tolerance.window
    val = rows["selected_value"].where((rows["status"] == "ok") & rows["selected_value"].notna(), np.inf)
    cells = rows[list(over)].astype(float).assign(val=val, loss=rows["value_used"]).dropna(subset=["loss"])
    cells = cells.sort_values(["val", *over], kind="stable", ignore_index=True)
    if cells.empty or not np.isfinite(cells["val"].iloc[0]):
        return None
    return cells if window is None else windowed(cells, over, window)


def _measured(claim: Claim, surfaces: dict[str, pd.DataFrame | None]):
    """(component, (treatment's value, control's value)); NaN where an arm has no grid."""
    asked, pair = claim.tolerance, [surfaces["treatment"], surfaces["control"]]
    lost = any(surface is None for surface in pair)
    for k in asked.draws:
        values = (math.nan, math.nan) if lost else tuple(best_of(k, s["val"].to_numpy(), s["loss"].to_numpy()) for s in pair)
        yield f"best of {k}", values
    for tolerance in asked.within:
        if lost:
            yield f"within {tolerance:g}", (math.nan, math.nan)
            continue
        best = [float(s["loss"].iloc[int(np.argmin(s["val"]))]) for s in pair]
        best = [min(best)] * 2 if asked.of == "common" else best
        yield f"within {tolerance:g}", tuple(share_within(tolerance, b, s["loss"].to_numpy()) for b, s in zip(best, pair, strict=True))


def effects(claim: Claim, found: pd.DataFrame) -> pd.DataFrame:
    """Oriented contrast of each block and component."""
    return found.assign(effect=blocks.orientation(claim) * found["contrast"])


tolerance = register(Kind("tolerance", effects, superiority.rule, contrasts=contrasts))
