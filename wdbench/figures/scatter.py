"""Scatter: two quantities of every cell, for a claim on their order (Kendall's τ) and not on a curve."""

import numpy as np
from matplotlib.figure import Figure

from wdbench.config.claims import Claim
from wdbench.figures import data, forest, labels, panels, points, rows, slope, style, words
from wdbench.figures.registry import Tables, register

DPI = 200  # of the dots, which are drawn as one picture: a vector each would be most of a page's bytes


@register("scatter")
def scatter(claim: Claim, tables: Tables, log_x: bool = True) -> Figure:
    """The claim's metric against its x (where it has none, λ), a dot a cell, one panel a stratum, with the verdict's own estimate.

    Rows without a finite x or y are left out, those with x <= 0 too where x is logarithmic; without any the forest is drawn. Needs
    runs (cell_id, study, the block's columns, val_loss, the metric, x, the columns of the filters) and verdicts.
    """
    x, metric = claim.x or "lambda_rel", claim.metric[0]
    found = points.of(claim, tables, x, metric)
    found = found[np.isfinite(found["x"]) & np.isfinite(found["y"]) & ((found["x"] > 0) | (not log_x))]
    if found.empty:
        return forest.forest(claim, tables)
    verdicts = {str(name): row for name, row in forest.rows_of(claim, tables).set_index("dataset").iterrows()}
    order = rows.in_order(claim, tables, found["stratum"].unique())
    titles = labels.strata(order, claim.by)
    n = found["stratum"].value_counts()
    span = words.count(n.min()) if n.min() == n.max() else f"{words.count(n.min())} to {words.count(n.max())}"
    task = rows.task_of(found)
    foot = f"{labels.axis(x, task)}{', log scale' if log_x else ''}. n = {span} cells a panel. {words.course(claim, metric, x)}"
    handles = [panels.handle(style.BLUE, "", "o", f"a cell: {rows.arm_names(claim).get('treatment', 'run')}", markersize=2.5)]
    lines = len(panels.foot_lines(foot))
    figure, axes = panels.sheet([titles[s] for s in order], handles, notes=True, foot_lines=lines)
    figure.set_dpi(DPI)
    data.keep(figure, "cell", found.rename(columns={"x": x, "y": metric}), ("stratum", "arm", "block", x, metric))
    for axis, stratum in zip(axes, order, strict=True):
        mine = found[found["stratum"] == stratum]
        axis.plot(mine["x"], mine["y"], ".", markersize=3, alpha=0.55, color=style.BLUE, markeredgewidth=0, rasterized=True)
        if log_x:
            panels.log_x(axis)
        panels.scale_y(axis, mine["y"].to_numpy(float), labels.is_share(metric))
        known = stratum in verdicts and not words.missing(verdicts[stratum]["estimate"])
        panels.title(axis, titles[stratum], slope.estimate_note(claim, verdicts[stratum]) if known else "no verdict")
    panels.y_label(figure, axes, labels.axis(metric, task))
    panels.x_label(figure, foot)
    return figure
