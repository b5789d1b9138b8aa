"""Events: rate of each arm with its exact interval."""

import textwrap

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.config.claims import Claim
from wdbench.figures import data, labels, panels, points, rows, style, words
from wdbench.figures.registry import Tables, register

NAME_LETTERS = 28  # what the left margin holds


def counts(claim: Claim, tables: Tables) -> DataFrame:
    """dataset, arm, events, n of both arms, from the paired outcomes (0 or 1 a block) of effects."""
    paired = points.pairs(claim, tables)
    names = rows.arm_names(claim)
    found = []
    for name in ("treatment", "control"):
        for stratum, mine in paired.groupby("dataset", sort=False)[name]:
            found.append((stratum, names.get(name, name), int((mine > 0.5).sum()), int(mine.size)))
    return DataFrame(found, columns=["dataset", "arm", "events", "n"])


@register("events")
def events(claim: Claim, tables: Tables, what: str | None = None) -> Figure:
    """Share of blocks with the event, per data set and arm, 95 % Clopper–Pearson interval, events/n written
    beside.

    Needs effects (claim_id, dataset, block, treatment, control; the last two 0 or 1). `what` names the event
    in words.
    """
    found = counts(claim, tables)
    if found.empty:
        return style.message_figure(f"{claim.id}: no block of this claim in effects.csv")
    order = rows.in_order(claim, tables, found["dataset"].unique())
    arms = list(dict.fromkeys(found["arm"]))
    height = 0.42 + 0.55 + (0.17 * len(arms) + 0.16) * len(order)
    figure = style.new_figure(height)
    axes = figure.add_axes((0.28, 0.5 / height, 0.56, 1 - 0.92 / height))
    ends = [points.clopper_pearson(hits, n) for hits, n in zip(found["events"], found["n"], strict=True)]
    found = found.assign(share=found["events"] / found["n"], low=[low for low, _ in ends], high=[high for _, high in ends])
    data.keep(figure, "share", found)
    for place, dataset in enumerate(order):
        for step, arm in enumerate(arms):
            mine = found[(found["dataset"] == dataset) & (found["arm"] == arm)]
            if mine.empty:
                continue
            hits, n = int(mine["events"].iloc[0]), int(mine["n"].iloc[0])
            low, high = mine["low"].iloc[0], mine["high"].iloc[0]
            colour, _, marker = panels.arm_style(step)
            at = place + (step - (len(arms) - 1) / 2) * 0.7 / max(len(arms), 1)
            axes.plot([low, high], [at, at], color=colour, linewidth=1.6)
            axes.plot(
                [hits / n if n else np.nan], [at], marker=marker, color=colour, markersize=5.5, linestyle=""
            )
            axes.text(
                1.03,
                at,
                f"{hits} of {n}",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=8,
                color=colour,
            )
    names = ["\n".join(textwrap.wrap(name, NAME_LETTERS)) for name in labels.strata(order, claim.by).values()]
    axes.set_yticks(range(len(order)), names, linespacing=0.95)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(False, axis="y")
    axes.set_xlabel(
        f"share of blocks with {what or words.condition(claim.event or '')} (95 % Clopper–Pearson interval)"
    )
    figure.legend(
        handles=[
            panels.handle(panels.arm_style(s)[0], "-", panels.arm_style(s)[2], str(a).replace("_", " "))
            for s, a in enumerate(arms)
        ],
        loc="upper left",
        bbox_to_anchor=(0.27, 1.0),
        ncols=min(len(arms), 4),
    )
    return figure
