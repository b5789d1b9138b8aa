"""Two figures of the whole run: verdicts by family, and convergence over the grid."""

import numpy as np
import pandas as pd
import seaborn
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from wdbench import rules
from wdbench.figures import data, fidelity, labels, style, words
from wdbench.figures.registry import Tables, table

VERDICT_ORDER = (
    "supported",
    "holds",
    "equivalent",
    "conditional",
    "inconclusive",
    "refuted",
    "fails",
    "not_tested",
)
_HATCH = {"equivalent": "..", "conditional": "//", "not_tested": "xx", "refuted": "\\\\", "fails": "\\\\"}
ROOM_FOR_NUMBER, ROOM_FOR_SYMBOL = 0.035, 0.075
"""Least width of a bar, as a share of the longest row, that holds the number of claims, and that holds their symbol beside it."""
_FACE = {"inconclusive": "#b5b5b5", "not_tested": "#f2f2f2"}


def overall(verdicts: DataFrame) -> DataFrame:
    """One row a claim: the row of `all`, else the claim's only row."""
    rows = verdicts.assign(rank=verdicts["dataset"].ne("all")).sort_values("rank", kind="stable")
    return rows.drop_duplicates("claim_id").drop(columns="rank").sort_index()


@style.styled
def board(tables: Tables) -> Figure:
    """Number of claims with each verdict, by family. Needs verdicts (claim_id, family, dataset, verdict)."""
    rows = overall(table(tables, "verdicts", ("claim_id", "family", "dataset", "verdict")))
    if rows.empty:
        return style.message_figure("verdicts.csv holds no claim")
    known = list(labels.FAMILIES)
    families = sorted(
        rows["family"].astype(str).unique(), key=lambda f: (known.index(f) if f in known else len(known), f)
    )
    height = 0.95 + 0.36 * len(families)
    figure = style.new_figure(height)
    axes = figure.add_axes((0.38, 0.45 / height, 0.59, 1 - 0.95 / height))
    counted = pd.crosstab(rows["family"].astype(str), rows["verdict"])
    seen = [v for v in VERDICT_ORDER if v in counted.columns]
    data.keep(figure, "claims", counted.reindex(families).rename_axis("family").reset_index())
    left, longest = np.zeros(len(families)), counted.sum(axis=1).max()
    for verdict in seen:
        values = counted.reindex(families)[verdict].to_numpy(float)
        face = _FACE.get(verdict, style.VERDICT_STYLE[verdict][0])
        axes.barh(
            range(len(families)),
            values,
            left=left,
            color=face,
            edgecolor="white",
            linewidth=0.8,
            hatch=_HATCH.get(verdict),
            height=0.68,
        )
        for place, value in enumerate(values):
            # a narrow bar has room for its number or for nothing; its colour and hatch are in the legend
            if value >= ROOM_FOR_NUMBER * longest:
                symbol = f"{labels.VERDICT_SYMBOLS[verdict]} " if value >= ROOM_FOR_SYMBOL * longest else ""
                axes.text(
                    left[place] + value / 2,
                    place,
                    f"{symbol}{int(value)}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=style.INK,
                    bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "boxstyle": "round,pad=0.12"},
                )
        left += values
    axes.set_yticks(range(len(families)), [labels.family(f) for f in families])
    axes.set_ylim(len(families) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.set_xlabel(f"claims (n = {len(rows)})")
    figure.legend(
        handles=[
            Patch(
                facecolor=_FACE.get(v, style.VERDICT_STYLE[v][0]),
                hatch=_HATCH.get(v),
                edgecolor="white",
                label=f"{labels.VERDICT_SYMBOLS[v]} {labels.VERDICTS[v]}",
            )
            for v in seen
        ],
        loc="upper left",
        bbox_to_anchor=(0.01, 1.0),
        ncols=4,
        columnspacing=1.3,
        handlelength=1.6,
    )
    return figure


def grid_table(runs: DataFrame) -> DataFrame:
    """By data set (base name), optimiser and arithmetic: cells, share diverged, median oracle gap of the
    finite ones.
    """
    trained = runs[runs["optimiser"].ne("exact")]
    arithmetic = (
        trained["precision"]
        .astype(str)
        .where(
            trained["rounding"].isin(["none"]) | trained["rounding"].isna(),
            trained["precision"].astype(str) + " " + trained["rounding"].astype(str),
        )
    )
    grouped = trained.assign(
        arithmetic=arithmetic,
        lost=trained["status"].eq("diverged"),
        gap=trained["oracle_gap"].astype(float).clip(lower=0),
    ).groupby(["dataset_base", "optimiser", "arithmetic"], sort=True)
    return grouped.agg(cells=("lost", "size"), diverged=("lost", "mean"), gap=("gap", "median")).reset_index()


@style.styled
def grid(tables: Tables) -> Figure:
    """Median oracle gap (colour) and share diverged (number) by data set, optimiser and precision.

    Needs runs (dataset_base, optimiser, precision, rounding, status, oracle_gap).
    """
    found = grid_table(
        table(tables, "runs", ("dataset_base", "optimiser", "precision", "rounding", "status", "oracle_gap"))
    )
    if found.empty:
        return style.message_figure("runs.parquet holds no trained cell")
    present, ours = set(found["optimiser"]), rules.OPTIMISERS
    optimisers = [*(o for o in ours if o in present), *sorted(present - set(ours))]
    arithmetics = [
        a
        for a in ("fp64", "fp32", "bf16_compute", *sorted(found["arithmetic"].unique()))
        if a in set(found["arithmetic"])
    ]
    arithmetics = list(dict.fromkeys(arithmetics))
    datasets = sorted(found["dataset_base"].unique())
    columns = [
        (o, a)
        for o in optimisers
        for a in arithmetics
        if ((found["optimiser"] == o) & (found["arithmetic"] == a)).any()
    ]
    table_of = {
        name: found.pivot(index="dataset_base", columns=["optimiser", "arithmetic"], values=name).reindex(
            index=datasets, columns=pd.MultiIndex.from_tuples(columns)
        )
        for name in ("gap", "diverged", "cells")
    }
    gap = table_of["gap"].to_numpy(float)
    positive = gap[np.isfinite(gap) & (gap > 0)]
    floor = max(positive.min(), 1e-12) if positive.size else 1e-12
    top = positive.max() if positive.size else 1.0
    height = 0.75 + 0.27 * len(datasets) + 1.45
    figure = style.new_figure(height)
    data.keep(figure, "median gap, share diverged", found)
    axes = figure.add_axes((0.17, 1.42 / height, 0.70, 1 - 2.1 / height))
    bar = figure.add_axes((0.895, 1.42 / height, 0.02, 1 - 2.1 / height))
    notes = table_of["diverged"].map(
        lambda share: "" if not share > 0 else f"{100 * share:.0f}" if share >= 0.01 else "<1"
    )
    shown = pd.DataFrame(np.where(np.isfinite(gap), np.maximum(gap, floor), np.nan))
    seaborn.heatmap(
        shown,
        ax=axes,
        cbar_ax=bar,
        cmap="cividis",
        norm=LogNorm(floor, max(top, floor * 10)),
        annot=notes.to_numpy(),
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=0.5,
        linecolor="white",
        cbar_kws={"label": "median F(w) − F*"},
    )
    axes.set_facecolor("#f0f0f0")
    axes.set_yticks(np.arange(len(datasets)) + 0.5, [labels.dataset(d) for d in datasets], rotation=0)
    axes.set_xticks(
        np.arange(len(columns)) + 0.5,
        [
            a.replace("bf16_weights", "bf16w").replace("bf16_compute", "bf16 compute").replace("_", " ")
            for _, a in columns
        ],
        rotation=45,
        ha="right",
        fontsize=8,
    )
    for edge in np.flatnonzero([columns[i][0] != columns[i - 1][0] for i in range(1, len(columns))]) + 1:
        axes.axvline(float(edge), color=style.INK, linewidth=1)
    for optimiser in optimisers:
        places = [i for i, (o, _) in enumerate(columns) if o == optimiser]
        axes.text(float(np.mean(places)) + 0.5, -0.25, optimiser, ha="center", va="bottom", fontsize=9)
    axes.set_xlabel("")
    axes.set_ylabel("")
    n = words.count(found["cells"].sum())
    text = f"Number in a field: % of its cells that diverged (blank: none). n = {n} trained cells."
    figure.text(0.012, 1 - 0.2 / height, text, fontsize=8.5)
    return figure


@style.styled
def precision(tables: Tables) -> Figure:
    """Fidelity of decay over all cells with an L2 penalty and ηλ < 2, beyond which decay alone diverges.

    Needs what the kind `fidelity` needs, and penalty.
    """
    runs = table(tables, "runs", ("penalty", "lr", "lambda", "coupling", "precision", "rounding", "fidelity"))
    kept = (runs["penalty"] == "l2") & (runs["lr"].astype(float) * runs["lambda"].astype(float) < 2)
    return fidelity.draw(runs[kept], "fidelity")
