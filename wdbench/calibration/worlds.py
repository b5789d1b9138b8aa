"""A planted world: rows as runs.parquet has them, and the claim about them whose truth is known."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdbench.calibration.settings import DATASETS, Setting, noise
from wdbench.config.claims import Claim

MARGIN = 0.03
EVENT_MARGIN = 0.3
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
BEST = 1e-2
SIDE = 4
"""Learning rates, and λ, of a planted grid of kind tolerance."""
WIDTH = 0.17
"""Margin of kind tolerance: its effects, differences of shares of SIDE² cells, have about this standard deviation."""

Row = dict[str, Any]
Made = tuple[list[Row], dict[str, Any], float]
"""(rows, fields of the claim, true effect in the unit of its estimate)."""

TUNED = {"where": 'penalty == "l2"', "select": {"over": ["lambda_rel"]}}
PLAIN = {"where": 'penalty == "none"'}
BASE = {"sentence": "planted", "source": "calibration", "family": "calibration"}


def world(setting: Setting, rng: np.random.Generator, name: str = "planted") -> tuple[pd.DataFrame, Claim, float]:
    """(rows, claim, true effect in the unit of the verdict's estimate). `name`: study of the rows and id of the claim."""
    rows, fields, truth = _MAKERS[setting.kind](setting, rng)
    table = pd.DataFrame(rows)
    table["study"] = name
    table["cell_id"] = [f"{name}-{i:05d}" for i in range(len(table))]
    same: dict[str, str | float] = {"optimiser": "sgd", "precision": "fp32", "model": "linear", "fidelity": np.nan, "n_classes": np.nan}
    for column, value in same.items():
        table[column] = value
    table["status"] = table.get("status", pd.Series("ok", index=table.index)).fillna("ok")
    return table, Claim.model_validate(BASE | {"id": name, "study": name, "kind": setting.kind} | fields), truth


def planned(rows: pd.DataFrame) -> pd.DataFrame:
    """The plan that the rows fulfil: the columns that are known before a run."""
    outcomes = {"status", "val_loss", "test_loss", "weight_norm", "fidelity"}
    return rows[[column for column in rows if column not in outcomes]]


def _effects(setting: Setting, rng: np.random.Generator, margin: float = MARGIN) -> NDArray[np.float64]:
    """[datasets, blocks] true effect and deviation, in the unit of the claim."""
    found = margin * (setting.truth + noise(setting, (DATASETS, setting.blocks), rng))
    return np.round(found / (margin / 2)) * (margin / 2) if setting.spread == "ties" else found


def _blocks(setting: Setting) -> Iterator[tuple[int, int, Row]]:
    """(data set, replicate, what names both in a row); a correlated world has one data set under three names."""
    for d, r in product(range(DATASETS), range(setting.blocks)):
        base = "one" if setting.spread == "correlated" else f"set{d}"
        yield d, r, {"dataset": f"{base}:{d}" if setting.spread == "correlated" else base, "dataset_base": base, "replicate": r}


def _paired(setting: Setting, effects: NDArray[np.float64], rng: np.random.Generator, **more: str) -> list[Row]:
    """Rows of a run without penalty, and of one a λ; at the λ that validation rows prefer the loss is lower by `effects`, relatively."""
    best = GRID[0] if setting.spread == "edge" else BEST
    rows: list[Row] = []
    for d, r, named in _blocks(setting):
        level = 1.0 + 0.3 * rng.random()
        none = {"penalty": "none", "lambda": 0.0, "lambda_rel": 0.0, "val_loss": level, "test_loss": level}
        tuned = [{"penalty": "l2", "lambda": lam, "lambda_rel": lam, "val_loss": level * (0.8 + 0.1 * away),
                  "test_loss": level * (1 - effects[d, r] + 0.1 * away)}
                 for lam in GRID for away in [abs(np.log10(lam / best))]]
        rows += [named | more | row for row in (none, *tuned)]
    if setting.spread == "diverged":
        for row in rows:
            if rng.random() < 0.1:
                row |= {"status": "diverged", "val_loss": np.nan, "test_loss": np.nan}
    return rows


def _superiority(setting: Setting, rng: np.random.Generator) -> Made:
    fields = {"arms": {"treatment": TUNED, "control": PLAIN}, "metric": "test_loss", "effect": "relative", "direction": "lower",
              "margin": MARGIN}
    return _paired(setting, _effects(setting, rng), rng), fields, MARGIN * setting.truth


def _equivalence(setting: Setting, rng: np.random.Generator) -> Made:
    fields = {"arms": {"treatment": TUNED, "control": PLAIN}, "metric": "test_loss", "effect": "relative", "margin": MARGIN}
    # where arms are to be found equal their difference must be known to a fraction of the margin
    effects = MARGIN * (setting.truth + 0.5 * noise(setting, (DATASETS, setting.blocks), rng))
    if setting.spread == "ties":
        effects = np.round(effects / (MARGIN / 4)) * (MARGIN / 4)
    return _paired(setting, effects, rng), fields, -MARGIN * setting.truth


def _interaction(setting: Setting, rng: np.random.Generator) -> Made:
    both = _effects(setting, rng)
    common = 0.05 * rng.standard_normal(both.shape)
    rows = _paired(setting, both + common, rng, scale="raw") + _paired(setting, common, rng, scale="zscore")
    fields = {"by": "dataset", "conditions": {"claimed": 'scale == "raw"', "other": 'scale == "zscore"'},
              "arms": {"treatment": TUNED, "control": PLAIN}, "metric": "test_loss", "effect": "relative", "direction": "lower",
              "margin": MARGIN}
    return rows, fields, MARGIN * setting.truth


def _share(setting: Setting, rng: np.random.Generator) -> Made:
    """A control with half of a treatment's effect of 0.3, and `truth` margins more."""
    rows, deviations = [], _effects(setting, rng)
    for d, r, named in _blocks(setting):
        level, whole = 1.0 + 0.3 * rng.random(), 0.3 + 0.02 * rng.standard_normal()
        gains = {("none", "coupled"): 0.0, ("l2", "decoupled"): whole, ("l2", "norm_replay"): whole / 2 + deviations[d, r]}
        rows += [named | {"penalty": p, "coupling": c, "test_loss": level - gain} for (p, c), gain in gains.items()]
    fields = {"conditions": {"claimed": 'coupling == "norm_replay" or penalty == "none"',
                             "other": 'coupling == "decoupled" or penalty == "none"'},
              "arms": {"treatment": {"where": 'penalty == "l2"'}, "control": PLAIN},
              "metric": "test_loss", "direction": "lower", "margin": 0.0}
    return rows, fields, MARGIN * setting.truth


def _slope(setting: Setting, rng: np.random.Generator) -> Made:
    rows, slopes = [], _effects(setting, rng)
    for d, r, named in _blocks(setting):
        level = 1.0 + rng.random()
        rows += [named | {"penalty": "l2", "lambda_rel": lam, "weight_norm": level - slopes[d, r] * np.log10(lam)} for lam in GRID]
    fields = {"arms": {"treatment": {}}, "metric": "weight_norm", "x": "lambda_rel", "x_transform": "log10", "direction": "lower",
              "margin": MARGIN}
    return rows, fields, MARGIN * setting.truth


def _ushape(setting: Setting, rng: np.random.Generator) -> Made:
    """A parabola over log λ with end slopes of -(truth margins) and +(truth margins); without effect it is flat."""
    rows, slopes = [], _effects(setting, rng)
    middle, half = np.mean(np.log10(GRID)), np.ptp(np.log10(GRID)) / 2
    for d, r, named in _blocks(setting):
        level = 1.0 + rng.random()
        rows += [named | {"penalty": "l2", "lambda_rel": lam,
                          "test_loss": level + slopes[d, r] / (2 * half) * (np.log10(lam) - middle) ** 2} for lam in GRID]
    fields = {"arms": {"treatment": {}}, "metric": "test_loss", "x": "lambda_rel", "x_transform": "log10", "direction": "lower",
              "margin": MARGIN}
    return rows, fields, MARGIN * setting.truth


def _event(setting: Setting, rng: np.random.Generator) -> Made:
    """Divergence in half of the control's and the treatment's blocks; with an effect in more of the one's than of the other's."""
    rows, change = [], EVENT_MARGIN * setting.truth
    shape = (1 if setting.spread == "correlated" else DATASETS, setting.blocks)
    lots = [np.broadcast_to(rng.random(shape), (DATASETS, setting.blocks)) for _ in range(2)]
    for d, r, named in _blocks(setting):
        for penalty, lot, rate in (("none", lots[0][d, r], 0.5 + change / 2), ("l2", lots[1][d, r], 0.5 - change / 2)):
            rows.append(named | {"penalty": penalty, "status": "diverged" if lot < rate else "ok"})
    fields = {"arms": {"treatment": {"where": 'penalty == "l2"'}, "control": PLAIN}, "event": 'status == "diverged"',
              "direction": "lower", "margin": EVENT_MARGIN}
    return rows, fields, change


def _tolerance(setting: Setting, rng: np.random.Generator) -> Made:
    """Two grids of cells, of which each is near its arm's best, or far, by lot; one of them always near."""
    # away from both ends of both axes
    rows, n, best = [], SIDE * SIDE, SIDE * (SIDE // 2) + SIDE // 2
    change = WIDTH * setting.truth * n / (n - 1)
    shape = (1 if setting.spread == "correlated" else DATASETS, setting.blocks, n)
    lots = [np.broadcast_to(rng.random(shape), (DATASETS, setting.blocks, n)) for _ in range(2)]
    for d, r, named in _blocks(setting):
        for coupling, lot, rate in (("decoupled", lots[0][d, r], 0.4 + change / 2), ("coupled", lots[1][d, r], 0.4 - change / 2)):
            near = lot < rate
            near[best] = True
            rows += [named | {"penalty": "l2", "coupling": coupling, "lambda": 10.0 ** -(i % SIDE), "lr": 10.0 ** -(i // SIDE),
                              "val_loss": 1.0 if i == best else 1.02 if near[i] else 1.5,
                              "test_loss": 1.0 if i == best else 1.02 if near[i] else 1.5} for i in range(n)]
    grid = {"rule": "grid", "over": ["lambda", "lr"]}
    fields = {"arms": {"treatment": {"where": 'coupling == "decoupled"', "select": grid},
                       "control": {"where": 'coupling == "coupled"', "select": grid}},
              "tolerance": {"within": [0.05], "of": "own"}, "metric": "test_loss", "direction": "higher", "margin": WIDTH}
    return rows, fields, WIDTH * setting.truth


_MAKERS: Mapping[str, Callable[[Setting, np.random.Generator], Made]] = {
    "superiority": _superiority, "equivalence": _equivalence, "interaction": _interaction, "share": _share, "slope": _slope,
    "ushape": _ushape, "event": _event, "tolerance": _tolerance,
}
