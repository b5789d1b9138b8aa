"""The interactive charts, in Altair: what is drawn from which named data. Text and line colours come from the page's style."""

from typing import Any

import altair as alt

from wdbench.report.interactive import compiled

Chart = alt.LayerChart | alt.FacetChart  # what `alt.layer` is declared to return
SERIES = ["#2f86c8", "#c96f0a", "#1f9d74"]  # 3:1 or more on white and on the page's dark ground; dashes tell them apart too
DASHES = [[1, 0], [6, 3], [2, 2]]
NOW = "#c2457f"
_POWERS = "['⁰','¹','²','³','⁴','⁵','⁶','⁷','⁸','⁹']"
_POWER = (
    "(datum.value < 0 ? '10⁻' : '10') + (abs(datum.value) >= 10 ? '¹' : '') + " + _POWERS + "[abs(datum.value) % 10]"
)
POWER_LABEL = f"datum.value == zero ? '0' : {_POWER}"
_HATCH = "M-1,-0.4L-0.4,-1M-1,0.2L0.2,-1M-1,0.8L0.8,-1M-0.8,1L1,-0.8M-0.2,1L1,-0.2M0.4,1L1,0.4"


def explorer() -> dict[str, Any]:
    """Vega specifications by name: curves, dots, paths, kept."""
    return {name: compiled(chart) for name, chart in
            {"curves": curves(), "dots": dots(), "paths": paths(), "kept": kept()}.items()}


def heatmaps() -> dict[str, Any]:
    """Vega specifications by name: heatmap."""
    return {"heatmap": compiled(heatmap())}


def _lambda_axis(title: str | None = "λ") -> alt.X:
    axis = alt.Axis(title=title, values=alt.ExprRef("ticks"), labelExpr=POWER_LABEL, grid=False, labelOverlap=True)
    return alt.X("x:Q", scale=alt.Scale(nice=False, zero=False, padding=14), axis=axis)


def _shared() -> list[alt.Parameter]:
    return [alt.param(name="ticks", value=[]), alt.param(name="zero", value=-99)]


def _here() -> alt.Chart:
    """The line at the explorer's lambda."""
    rule: alt.Chart = alt.Chart(alt.NamedData("now")).mark_rule(color=NOW, strokeWidth=2).encode(x="x:Q")
    return rule


def curves() -> Chart:
    """Medians with quartile bands against lambda. Data: points (x, series, low, median, high and texts), now (x)."""
    colour = alt.Color("series:N", scale=alt.Scale(range=SERIES), sort=None,
                       legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1,
                                         labelLimit=0, columns=3))
    dash = alt.StrokeDash("series:N", scale=alt.Scale(range=DASHES), sort=None, legend=None)
    base = alt.Chart(alt.NamedData("points")).encode(x=_lambda_axis())
    tooltip = [alt.Tooltip(f"{name}:N", title=title) for name, title in
               (("series", "quantity"), ("lambda", "λ"), ("shown", "median [quartiles]"), ("runs", "replicates"))]
    y = alt.Y("median:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    band = base.mark_area(opacity=0.18, line=False).encode(y=alt.Y("low:Q", title=None), y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=2).encode(y=y, color=colour, strokeDash=dash)
    point = base.mark_point(filled=True, size=36, opacity=1).encode(y=y, color=colour, tooltip=tooltip)
    return alt.layer(band, line, _here(), point).add_params(*_shared()).properties(width=320, height=230)


def dots() -> Chart:
    """How many replicates chose each lambda, and how many diverged there. Data: dots (x, row, count, shown), now (x)."""
    base = alt.Chart(alt.NamedData("dots")).encode(
        x=_lambda_axis(), y=alt.Y("row:N", title=None, sort=None, axis=alt.Axis(grid=True, domain=False, ticks=False, labelLimit=0)),
    )
    colour = alt.Color("row:N", scale=alt.Scale(range=[SERIES[2], SERIES[1]]), legend=None, sort=None)
    circle = base.mark_point(filled=True, opacity=0.85).encode(
        size=alt.Size("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 420]), legend=None), color=colour,
        tooltip=[alt.Tooltip("row:N", title="replicates"), alt.Tooltip("lambda:N", title="λ"), alt.Tooltip("shown:N", title="number")],
    )
    text = base.mark_text(dy=-15, fontSize=11, color=alt.ExprRef("ink")).encode(text="shown:N")
    return alt.layer(_here(), circle, text).add_params(*_shared(), alt.param(name="ink", value="black")).properties(width=320, height=96)


def paths() -> Chart:
    """One line a coefficient. Data: points (x, feature, weight, shown), now (x)."""
    hover = alt.selection_point(name="hover", on="pointerover", fields=["feature"], nearest=False, empty=False)
    base = alt.Chart(alt.NamedData("points")).encode(
        x=_lambda_axis(), y=alt.Y("weight:Q", title=None, axis=alt.Axis(tickCount=5)), detail="feature:N",
        color=alt.Color("feature:N", scale=alt.Scale(scheme="tableau20"), legend=None),
    )
    line = base.mark_line().encode(strokeWidth=alt.condition(hover, alt.value(4), alt.value(1.5)))
    point = base.mark_point(filled=True, size=30, opacity=1).encode(
        tooltip=[alt.Tooltip("feature:N", title="column"), alt.Tooltip("lambda:N", title="λ"), alt.Tooltip("shown:N", title="weight")]
    ).add_params(hover)
    return alt.layer(line, _here(), point).add_params(*_shared()).properties(width=320, height=230)


def kept() -> Chart:
    """Share of replicates that keep a feature, features down, lambda across. Data: cells (x, left, right, feature, share), now (x)."""
    axis = alt.Axis(title="λ", values=alt.ExprRef("ticks"), labelExpr=POWER_LABEL, grid=False, labelOverlap=True)
    cells = alt.Chart(alt.NamedData("cells")).mark_rect().encode(
        x=alt.X("left:Q", scale=alt.Scale(nice=False, zero=False), axis=axis), x2="right:Q",
        y=alt.Y("feature:N", sort=None, axis=alt.Axis(title=None, labels=False, ticks=False, domain=False)),
        color=alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]),
                        legend=alt.Legend(orient="top", title="share of replicates that keep it", titleLimit=0, format=".0%",
                                          gradientLength=140)),
        tooltip=[alt.Tooltip("feature:N", title="column"), alt.Tooltip("lambda:N", title="λ"), alt.Tooltip("shown:N", title="kept by")],
    )
    return alt.layer(cells, _here()).add_params(*_shared()).properties(width=320, height=240)


def heatmap() -> Chart:
    """Validation loss over lambda (across) and learning rate (up), both on log scales.

    Data: cells (x, x2, y, y2, loss and texts), diverged (x, y, size, stroke), lines (x, y, line: learning rate times
    lambda constant), ridge (x, y: the best lambda at each learning rate), choices (x, y, count, share: replicates that choose the cell),
    best (x, y).
    """
    def axis(title: str, ticks: str) -> alt.Axis:
        return alt.Axis(title=title, values=alt.ExprRef(ticks), labelExpr=POWER_LABEL if ticks == "ticks" else _POWER, grid=False,
                        labelOverlap=True)

    scale = alt.Scale(nice=False, zero=False, padding=0)
    tooltip = [alt.Tooltip(f"{name}:N", title=title) for name, title in
               (("lambda", "λ"), ("lr", "η"), ("shown", "validation loss"), ("runs", "diverged"), ("chosen", "chosen by"))]
    cells = alt.Chart(alt.NamedData("cells")).mark_rect(strokeWidth=0.5, stroke="#80808060").encode(
        x=alt.X("x:Q", scale=scale, axis=axis("λ", "ticks")), x2="x2:Q",
        y=alt.Y("y:Q", scale=scale, axis=axis("learning rate η", "rates")), y2="y2:Q",
        color=alt.Color("loss:Q", legend=None, scale=alt.Scale(scheme="viridis", reverse=True, clamp=True, domain=[0, 1], type="log")),
        tooltip=tooltip,
    )
    hatch = alt.Chart(alt.NamedData("diverged")).mark_point(shape=_HATCH, strokeWidth=1.2, filled=False, opacity=0.9).encode(
        x="x:Q", y="y:Q", size=alt.Size("size:Q", scale=None), stroke=alt.Stroke("stroke:N", scale=None),
    )
    lines = alt.Chart(alt.NamedData("lines")).mark_line(color="white", strokeDash=[4, 4], strokeWidth=1.2, opacity=0.85, clip=True).encode(
        x="x:Q", y="y:Q", detail="line:N",
    )
    ridge = alt.Chart(alt.NamedData("ridge")).mark_line(color="#d1316f", strokeWidth=2.5).encode(x="x:Q", y="y:Q", order="y:Q")
    disc = alt.Chart(alt.NamedData("choices")).mark_point(filled=True, fill="white", stroke="black", strokeWidth=1.3, opacity=0.95)
    choices = disc.encode(
        x="x:Q", y="y:Q", size=alt.Size("share:Q", scale=alt.Scale(domain=[0, 1], range=[120, 700]), legend=None),
    )
    counts = alt.Chart(alt.NamedData("choices")).mark_text(fontSize=10, color="black", fontWeight="bold").encode(
        x="x:Q", y="y:Q", text="count:N",
    )
    best = alt.Chart(alt.NamedData("best")).mark_point(shape="diamond", filled=False, color="#d1316f", strokeWidth=2.6, size=640).encode(
        x="x:Q", y="y:Q",
    )
    layers: Chart = alt.layer(cells, hatch, lines, ridge, choices, counts, best).resolve_scale(size="independent")
    return layers.add_params(*_shared(), alt.param(name="rates", value=[])).properties(width=320, height=260)
