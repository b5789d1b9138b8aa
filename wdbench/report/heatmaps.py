"""Learning rate x lambda: median validation loss of every cell, where it diverged, and which cells the replicates choose."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from wdbench.figures import labels, words
from wdbench.report import charts, interactive
from wdbench.report.explorer import BATCH_IS_FULL, PENALTIES, decayed
from wdbench.report.slices import LEAST, SELECTED_BY, SHARED, chosen, claims_that_chose, each_study, with_design

GROUP = [name for name in SHARED if name not in ("lr", "ema")] + ["penalty", "l1_ratio"]
PANEL = ["study", "coupling", "decay_mask", "decay_phase"]
RULES = {
    "coupled": "L2 joins the gradient",
    "decoupled": "a step takes the share ηλ of the weights",
    "independent": "a step takes a share of the weights that η does not scale",
    "corrected": "a step takes the share η²λ ÷ largest η",
    "cautious": "decoupled, only where it agrees with the step",
    "moment_split_m": "L2 joins Adam's first moment alone",
    "scheduled": "decoupled, divided by the size of the gradient",
}
ORDER = list(RULES)
BRIGHT = 0.75  # share of cells whose loss the colour scale tells apart; the worst of them are one colour


def heatmaps(tables: Mapping[str, DataFrame]) -> dict[str, Any] | None:
    """What the view needs, packed; None where no arm has a grid of learning rates and lambdas. tables: runs, and selected if there."""
    made = content(tables)
    if not made["groups"]:
        return None
    return {
        "data": interactive.packed(interactive.as_json(made)),
        "charts": interactive.packed(interactive.as_json(charts.heatmaps())),
        "script": interactive.own("heatmaps.js"),
        "groups": [group["label"] for group in made["groups"]],
        "panels": sum(len(group["panels"]) for group in made["groups"]),
    }


def content(tables: Mapping[str, DataFrame]) -> dict[str, Any]:
    """`groups` of panels, one a grid of learning rate and lambda (LEAST values of each or more, every pair trained)."""
    runs = tables.get("runs", DataFrame())
    if runs.empty:
        return {"groups": []}
    runs = with_design(runs)
    rows = grids(runs)
    selected = tables.get("selected", DataFrame())
    claims = claims_that_chose(selected, rows[["panel", "cell_id", "chosen"]].rename(columns={"panel": "group"}))
    firsts, groups = [], []
    for _, group in rows.groupby(GROUP, dropna=False, sort=True):
        panels = [_panel(panel, claims.get(int(panel["panel"].iloc[0]), []), runs) for _, panel in group.groupby("panel")]
        panels.sort(key=lambda panel: (ORDER.index(panel["coupling"]) if panel["coupling"] in ORDER else len(ORDER), panel["title"]))
        firsts.append(group.iloc[0])
        groups.append({"panels": panels, "range": _range(panels)})
    named = [{"label": name, **group} for name, group in zip(_names(firsts), groups, strict=True)]
    return {"groups": sorted(named, key=lambda group: -len(group["panels"]))}


def grids(runs: DataFrame) -> DataFrame:
    """Penalised rows of every full grid of learning rate and lambda, with `panel` (a number) and, by the claims' rule, `chosen`."""
    rows = each_study(runs[(runs["penalty"] != "none") & runs["lr"].notna()])
    number = rows.groupby([*GROUP, *PANEL], dropna=False, sort=True).ngroup()
    size = rows.groupby(number).agg(lambdas=("lambda", "nunique"), rates=("lr", "nunique"))
    pairs = rows.assign(number=number).drop_duplicates(["number", "lambda", "lr"]).groupby("number").size()
    full = (size["lambdas"] >= LEAST) & (size["rates"] >= LEAST) & (size["lambdas"] * size["rates"] == pairs)
    number = number[number.map(full)]
    rows = rows.loc[number.index].assign(panel=number)
    return rows.assign(chosen=rows.index.isin(chosen(rows, ["panel", "replicate"], ["lambda", "lr"]).index))


def _panel(rows: DataFrame, claims: list[str], runs: DataFrame) -> dict[str, Any]:
    first = rows.iloc[0]
    cells = _cells(rows)
    plain = _plain(rows, runs)
    lambdas, rates = sorted(rows["lambda"].unique()), sorted(rows["lr"].unique())
    best = int(cells["loss"].argmin()) if np.isfinite(cells["loss"]).any() else None
    ridge = cells[np.isfinite(cells["loss"])].sort_values(["lr", "loss", "lambda"]).drop_duplicates("lr")
    title = ", ".join([str(first["coupling"]).replace("_", " "), *decayed(first)])
    return {
        "title": title, "coupling": first["coupling"], "rule": RULES.get(first["coupling"], ""), "study": first["study"],
        "claims": claims, "replicates": int(rows["replicate"].nunique()),
        "lambdas": lambdas, "rates": rates, "x": _edges(lambdas), "y": _edges(rates), "lines": _lines(lambdas, rates),
        # by learning rate and then lambda; no loss: at least half of the replicates diverged
        "loss": interactive.numbers(cells["loss"]), "diverged": cells["diverged"].tolist(), "chosen": cells["chosen"].tolist(),
        "plain": interactive.numbers(plain.reindex(rates)["loss"]) if len(plain) else None,
        "plain_diverged": [int(n) for n in plain.reindex(rates)["diverged"].fillna(0)] if len(plain) else None,
        "best": best,
        "ridge": ridge.index.tolist(),
    }


def _cells(rows: DataFrame) -> DataFrame:
    """lr, lambda, loss (median over all replicates, a diverged one worse than any number; infinite where that is the median), diverged,
    chosen; by lr and then lambda.
    """
    loss = rows[SELECTED_BY].where((rows["status"] == "ok") & rows[SELECTED_BY].notna(), np.inf)
    grouped = rows.assign(loss=loss, failed=rows["status"] != "ok").groupby(["lr", "lambda"])
    return grouped.agg(loss=("loss", _median), diverged=("failed", "sum"), chosen=("chosen", "sum")).reset_index()


def _median(values: pd.Series) -> float:
    """The median where some values are infinite: infinite as soon as one of the middle ones is."""
    middle = np.sort(values.to_numpy(float))
    return float(middle[[(len(middle) - 1) // 2, len(middle) // 2]].mean())


def _plain(rows: DataFrame, runs: DataFrame) -> DataFrame:
    """The same without penalty, by lr: loss, diverged."""
    shared = [name for name in (*SHARED, "replicate") if name != "ema"]
    twins = runs[(runs["penalty"] == "none") & (runs["lambda"] == 0)].drop_duplicates(shared)
    found = rows[shared].drop_duplicates().merge(twins, on=shared, how="inner").assign(chosen=False)
    return _cells(found).set_index("lr") if len(found) else DataFrame()


def _edges(values: Sequence[float]) -> list[float]:
    """Where the cells of a log axis meet: log10 of the geometric means of neighbours, and as far again at both ends."""
    at = np.log10(np.asarray(values, float))
    middle = (at[1:] + at[:-1]) / 2
    return [round(float(v), 4) for v in [2 * at[0] - middle[0], *middle, 2 * at[-1] - middle[-1]]]


def _lines(lambdas: Sequence[float], rates: Sequence[float]) -> list[list[float]]:
    """Within the grid, the lines on which log10(learning rate x lambda) is a whole number: that number, and both ends (x, y, x, y)."""
    x, y = _edges(lambdas), _edges(rates)
    lines = []
    for power in range(math.ceil(x[0] + y[0]), math.floor(x[-1] + y[-1]) + 1):
        left, right = max(x[0], power - y[-1]), min(x[-1], power - y[0])
        if right - left > 0.05:
            lines.append([power, *(round(v, 4) for v in (left, power - left, right, power - right))])
    return lines


def _range(panels: list[dict[str, Any]]) -> list[float]:
    """Ends of the panels' common colour scale: the lowest loss, and the loss that the share BRIGHT of cells does not exceed."""
    losses = sorted(itertools.chain.from_iterable([v for v in panel["loss"] if v is not None and v > 0] for panel in panels))
    if not losses:
        return [0.5, 1.0]
    return [losses[0], interactive.rounded(max(float(np.quantile(losses, BRIGHT)), 1.02 * losses[0]))]


def _names(firsts: list[pd.Series]) -> list[str]:
    """A name for each group: data set, model, optimiser and penalty, and of the rest what tells the groups of one such name apart."""
    datasets = labels.strata(sorted({first["dataset"] for first in firsts}))
    short = [f"{datasets[f['dataset']]} · {f['model']} · {f['optimiser']}" for f in firsts]
    more = []
    for first in firsts:
        batch = "full batch" if first["batch_size"] >= BATCH_IS_FULL else f"batch {words.short(first['batch_size'])}"
        given = [PENALTIES.get(first["penalty"], first["penalty"]), labels.arithmetic(first["precision"], first["rounding"]),
                 f"{first['schedule']} schedule", f"{first['steps']:g} steps", batch, f"initial scale {first['init_scale']:g}"]
        more.append(given)
    return [_told_apart(place, short, more) for place in range(len(firsts))]


def _told_apart(place: int, names: list[str], more: list[list[str]]) -> str:
    """The name at `place`, with those of its details in which it differs from others of the name."""
    others = [details for name, details in zip(names, more, strict=True) if name == names[place]]
    kept = [text for i, text in enumerate(more[place]) if len({details[i] for details in others}) > 1]
    return " · ".join([names[place], *([", ".join(kept)] if kept else [])])
