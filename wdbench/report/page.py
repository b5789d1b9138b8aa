"""Tables, claims and figures to one HTML page: everything inline, nothing fetched, every value escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup
from pandas import DataFrame

from wdbench.config.claims import Claim
from wdbench.figures import labels, words
from wdbench.report import board, conclusions, replication, sections, trust

HERE = Path(__file__).parent
PREFIX, SAFE = "data:image/svg+xml,", " '=/:;,()*-+.!_~@$[]{}|"
FIGURE_BUDGET = 13_000_000  # bytes of inlined figures; the page stays below 15 MB


def render(
    tables: Mapping[str, DataFrame],
    claims: Sequence[Claim],
    manifest: Mapping[str, Any],
    figures: Mapping[str, bytes],
) -> str:
    """The report as HTML text.

    tables: published tables by name (verdicts, effects, selected, identities, runs, mechanisms, mechanism_pairs, advice,
    precision, torch_flags, calibration, controls, replication, datasets, data_checks, dictionary; one that is not there
    leaves its section out, and says so).
    figures: SVG by name, claim ids and overview_*. Figures beyond FIGURE_BUDGET are named with their file instead of shown, the
    largest first.
    """
    uris = inline(figures)
    cards = board.cards(tables, claims)
    context = {
        "cards": cards,
        "families": board.families(cards),
        "counts": board.counts(cards),
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
        "figures": uris,
        "left_out": sorted(set(figures) - set(uris)),
        "style": Markup((HERE / "style.css").read_text("utf-8")),  # noqa: S704 (our own file)
        "script": Markup((HERE / "page.js").read_text("utf-8")),  # noqa: S704 (our own file)
    }
    return _environment().get_template("report.html.jinja").render(context)


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


def web_address(text) -> str:
    """`text` where it is an http(s) address that may stand in a link, else empty (a table can hold anything)."""
    text = str(text or "")
    return text if text.startswith(("https://", "http://")) else ""


def inline(figures: Mapping[str, bytes]) -> dict[str, Markup]:
    """name -> data URI of each SVG, ready for an attribute, the smallest first until FIGURE_BUDGET is spent."""
    uris, spent = {}, 0
    for name in sorted(figures, key=lambda n: (len(figures[n]), n)):
        uri = data_uri(figures[name])
        spent += len(uri)
        if spent > FIGURE_BUDGET:
            break
        uris[name] = uri
    return uris


def data_uri(svg: bytes) -> Markup:
    """An SVG as a percent-encoded data URI (a tenth longer than it, where base64 takes a third): no quote,
    `<` or `&` is left in it.
    """
    text = " ".join(svg.decode("utf-8").replace('"', "'").split("\n"))
    # a namespace is no address that is loaded, and need not look like one to who searches the page for any
    return Markup(PREFIX + quote(text, safe=SAFE).replace("http:", "http%3A"))  # noqa: S704 (nothing in it ends an attribute)
