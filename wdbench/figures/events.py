"""Events: rate of each arm with its exact interval."""

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from wdbench.figures import labels, panels, rows, style
from wdbench.figures.registry import Tables, register, table
from wdbench.figures.view import ClaimView


def counts(claim: ClaimView, tables: Tables) -> DataFrame:
    """Columns dataset, arm, events, n: from effects' paired 0/1 outcomes (treatment, control), else from the status of the arms' runs."""
    effects = table(tables, "effects", ("claim_id", "dataset", "treatment", "control"))
    mine = effects[effects["claim_id"] == claim.id]
    if len(mine) and mine[["treatment", "control"]].isin([0, 1]).all(axis=None):
        names = [*map(str, claim.arms), "treatment", "control"][:2] if len(claim.arms) == 2 else ["treatment", "control"]
        found = []
        for column, name in zip(("treatment", "control"), names, strict=True):
            grouped = mine.groupby("dataset", sort=False)[column].agg(["sum", "count"]).reset_index()
            found += [(r["dataset"], name, int(r["sum"]), int(r["count"])) for r in grouped.to_dict("records")]
        return DataFrame(found, columns=["dataset", "arm", "events", "n"])
    runs = table(tables, "runs", ("dataset", "replicate", "status"))
    found = []
    for name, part in rows.arms(claim, runs).items():
        blocks = part.assign(event=part["status"].eq("diverged")).groupby(["dataset", "replicate"])["event"].any()
        for dataset, event in blocks.groupby(level=0):
            found.append((dataset, name, int(event.sum()), int(event.size)))
    return DataFrame(found, columns=["dataset", "arm", "events", "n"])


@register("events")
def events(claim: ClaimView, tables: Tables, what: str = "diverged") -> Figure:
    """Share of blocks with the event, per data set and arm, 95 % Clopper–Pearson interval, events/n written beside.

    Needs effects (claim_id, dataset, treatment, control as 0/1) or runs (dataset, replicate, status).
    """
    found = counts(claim, tables)
    if found.empty:
        return style.message_figure(f"{claim.id}: no run fits the arms of this claim")
    order = rows.datasets_in_order(claim, tables, found["dataset"].unique())
    arms = list(dict.fromkeys(found["arm"]))
    height = 0.42 + 0.55 + (0.17 * len(arms) + 0.16) * len(order)
    figure = style.new_figure(height)
    axes = figure.add_axes((0.28, 0.5 / height, 0.56, 1 - 0.92 / height))
    for place, dataset in enumerate(order):
        for step, arm in enumerate(arms):
            mine = found[(found["dataset"] == dataset) & (found["arm"] == arm)]
            if mine.empty:
                continue
            hits, n = int(mine["events"].iloc[0]), int(mine["n"].iloc[0])
            low, high = rows.clopper_pearson(hits, n)
            colour, _, marker = panels.arm_style(step)
            at = place + (step - (len(arms) - 1) / 2) * 0.7 / max(len(arms), 1)
            axes.plot([low, high], [at, at], color=colour, linewidth=1.6)
            axes.plot([hits / n if n else np.nan], [at], marker=marker, color=colour, markersize=5.5, linestyle="")
            axes.text(1.03, at, f"{hits} of {n}", transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=colour)
    axes.set_yticks(range(len(order)), [labels.dataset(d) for d in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(False, axis="y")
    axes.set_xlabel(f"share of blocks {what} (95 % Clopper–Pearson interval)")
    figure.legend(handles=[panels.handle(panels.arm_style(s)[0], "-", panels.arm_style(s)[2], str(a).replace("_", " ")) for s, a in enumerate(arms)],
                  loc="upper left", bbox_to_anchor=(0.27, 1.0), ncols=min(len(arms), 4))
    return figure
