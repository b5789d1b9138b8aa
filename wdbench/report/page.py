"""Tables, claims and figures to one HTML page: everything inline, nothing fetched, every value escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from pandas import DataFrame

from wdbench.config.claims import Claim
from wdbench.figures import labels, words
from wdbench.report import board, conclusions, drawings, interactive, replication, rows, sections, slides, trust

HERE = Path(__file__).parent
FIGURE_BUDGET = 10_000_000  # bytes of figures in the page, which stays below 15 MB
STYLES, SCRIPTS = ("style.css", "board.css", "claim.css", "slides.css"), ("views.js", "board.js", "slides.js", "rows.js")


def render(
    tables: Mapping[str, DataFrame],
    claims: Sequence[Claim],
    manifest: Mapping[str, Any],
    figures: Mapping[str, bytes],
    explorer: Mapping[str, Any] | None = None,
    heatmaps: Mapping[str, Any] | None = None,
) -> str:
    """The report as HTML text.

    tables: published tables by name (verdicts, effects, selected, identities, runs, mechanisms, mechanism_pairs, advice,
    precision, torch_flags, calibration, controls, replication, datasets, data_checks, dictionary; one that is not there
    leaves its section out, and says so).
    figures: SVG by name, claim ids and overview_*. Figures beyond FIGURE_BUDGET are named with their file instead of shown, the
    largest first.
    explorer, heatmaps: what the templates of these two views need; None leaves the view out.
    """
    drawn, shared = drawings.taken(figures, FIGURE_BUDGET)
    cards = board.cards(tables, claims)
    families = board.families(cards)
    context = {
        "cards": cards,
        "families": families,
        "ordered": [card for family in families for card in family["cards"]],
        "filter_datasets": board.datasets(cards),
        "counts": board.counts(cards),
        "slides": slides.slides(cards),
        "run": sections.run(manifest, tables),
        "identities": sections.identities(tables),
        "grid": sections.grid(tables),
        "mechanisms": conclusions.mechanisms(tables, claims),
        "stories": conclusions.stories(),
        "advice": conclusions.advice(tables, claims),
        "precision": conclusions.precision(tables),
        "torch_flags": conclusions.torch_flags(tables),
        "calibration": trust.calibration(tables),
        "controls": trust.controls(tables),
        "replication": replication.replication(tables),
        "known_claims": {claim.id for claim in claims},
        "datasets": sections.datasets(tables),
        "dictionary": sections.dictionary(tables),
        "interactive": interactive.assets() if explorer or heatmaps else None,
        "explorer": explorer,
        "heatmaps": heatmaps,
        "figures": drawn,
        "left_out": sorted(set(figures) - set(drawn)),
        "letters": shared.defs(),
        "style": _ours(STYLES, shared.style()),
        "script": _ours(SCRIPTS),
        "rows": Markup(rows.embedded(tables, claims)),  # noqa: S704 (JSON without any <)
    }
    return _environment().get_template("report.html.jinja").render(context)


def _ours(names: Sequence[str], more: str = "") -> Markup:
    """Files of this folder, one after the other, as they are."""
    return Markup("\n".join([*((HERE / name).read_text("utf-8") for name in names), more]))  # noqa: S704 (our own files)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": words.number,
        "count": words.count,
        "pval": words.p_value,
        "dataset": labels.dataset,
    }
    environment.globals |= {
        "SYMBOLS": labels.VERDICT_SYMBOLS,
        "VERDICTS": labels.VERDICTS,
        "family_name": labels.family,
        "web": web_address,
    }
    return environment


def web_address(text: object) -> str:
    """`text` where it is an http(s) address that may stand in a link, else empty (a table can hold anything)."""
    text = str(text or "")
    return text if text.startswith(("https://", "http://")) else ""
