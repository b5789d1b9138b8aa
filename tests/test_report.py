"""report.html: everything in it, nothing fetched by it, nothing from a table ever read as markup."""

import re
from html.parser import HTMLParser

import pandas as pd
import planted
import pytest

from wdbench.figures import path, registry, style  # noqa: F401 (path registers its kinds)
from wdbench.report import board, drawings, page, render, sections

CLAIMS = planted.claim_list()
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'


class Page(HTMLParser):
    """Tags with their attributes, text by id of the enclosing claim, and whether tags are balanced."""

    VOID = {"meta", "img", "input", "br", "link", "hr"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.claims, self.problems = [], [], {}, []
        self.current = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in self.VOID:
            self.stack.append(tag)
        if tag == "article" and attributes.get("class") == "view claim":
            self.current = attributes["id"].removeprefix("claim-")
            self.claims[self.current] = ""

    def handle_endtag(self, tag):
        if not self.stack or self.stack[-1] != tag:
            self.problems.append((tag, self.stack[-3:]))
        else:
            self.stack.pop()

    def handle_data(self, text):
        if self.current and self.stack[-1:] != ["script"]:
            self.claims[self.current] += text


@pytest.fixture(scope="module")
def tables():
    tables = planted.tables(("khan", "hitters"), replicates=2)
    verdicts = tables["verdicts"]
    hostile = verdicts[verdicts["dataset"] == "khan"].assign(dataset=planted.HOSTILE, reason=planted.HOSTILE)
    runs = tables["runs"]
    bad_runs = runs[runs["dataset"] == "khan"].assign(dataset=planted.HOSTILE, dataset_base=planted.HOSTILE)
    return {**tables, "verdicts": pd.concat([verdicts, hostile]), "runs": pd.concat([runs, bad_runs])}


@pytest.fixture(scope="module")
def html(tables):
    figures = {claim.id: SVG for claim in CLAIMS} | {"overview_board": SVG}
    return render(tables, CLAIMS, planted.manifest(), figures)


@pytest.fixture(scope="module")
def parsed(html):
    return Page(html)


def test_tags_are_balanced(parsed):
    assert parsed.problems == [] and parsed.stack == []


def test_every_claim_has_its_row_with_sentence_verdict_and_command(parsed):
    assert list(parsed.claims) == [
        card["id"] for family in board.families(board.cards({}, CLAIMS)) for card in family["cards"]
    ]
    for claim in CLAIMS:
        text = parsed.claims[claim.id]
        assert (
            claim.sentence in text
            and claim.source in text
            and f"python -m wdbench show claim {claim.id}" in text
        )
    assert "needs networks" in parsed.claims["C8"] and "not tested" in parsed.claims["C8"]
    assert "post hoc" in parsed.claims["C6b"] and "post hoc" not in parsed.claims["A2"]


def test_text_from_tables_is_text(html, parsed):
    assert planted.HOSTILE not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    scripts = [attributes for tag, attributes in parsed.tags if tag == "script"]
    assert scripts == [{}, {"type": "application/json", "id": "rows"}, {}]  # the page's own: a word, the rows, and what moves it
    assert not [a for _, attributes in parsed.tags for a in attributes if a.startswith("on")]
    links = [attributes.get("href") or "" for tag, attributes in parsed.tags if tag == "a"]
    assert links and not [
        link for link in links if link.lower().startswith(("javascript:", "data:", "vbscript:"))
    ]


def test_nothing_is_loaded_from_anywhere(html, parsed):
    assert not [
        tag
        for tag, _ in parsed.tags
        if tag in ("link", "iframe", "object", "embed", "audio", "video", "base")
    ]
    assert not [attributes["src"] for _, attributes in parsed.tags if attributes.get("src")]
    links = [value or "" for tag, attributes in parsed.tags for name, value in attributes.items() if name == "href" and tag != "a"]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    policy = [a["content"] for tag, a in parsed.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and policy[0].startswith("default-src 'none'") and "http" not in policy[0]
    assert not [
        a
        for _, attributes in parsed.tags
        for a in attributes
        if a in ("srcset", "poster", "background", "action")
    ]
    style = re.search(r"<style>(.*?)</style>", html, re.S)[1]
    script = "".join(re.findall(r"<script>(.*?)</script>", html, re.S))
    assert "url(" not in style and "@import" not in style
    for word in ("fetch(", "XMLHttpRequest", "import(", "http:", "https:", "eval("):
        assert word not in script


def test_web_addresses_stand_in_links_only(html):
    without = re.sub(r'<a href="https?://[^"]*"', "", html)
    assert "http://" not in without and "https://" not in without


def test_naive_analysis_stands_beside_the_right_one(parsed):
    text = parsed.claims["A2"]
    assert "The naive way, and how it misleads" in text and "λ chosen on the test rows" in text
    assert "naive way" not in parsed.claims["C2"]


def test_inconclusive_says_what_could_have_been_found(tables):
    rows = tables["verdicts"].copy()
    rows.loc[(rows["claim_id"] == "A2") & (rows["dataset"] == "all"), "verdict"] = "inconclusive"
    text = Page(render({**tables, "verdicts": rows}, CLAIMS, {}, {})).claims["A2"]
    assert "Minimum detectable effect: 8.00 %" in text


def test_selected_lambda_is_the_median_of_the_chosen_cells(tables):
    card = next(card for card in board.cards(tables, CLAIMS) if card["id"] == "A2")
    mine = tables["selected"].query("claim_id == 'A2' and dataset == 'khan'")["lambda_rel"]
    shown = next(row for row in card["chosen"] if row["dataset"] == "khan")["lambda_rel"]
    from wdbench.figures import words

    assert shown.startswith(words.number(mine.median()))


def test_headline_counts_add_up(tables):
    cards = board.cards(tables, CLAIMS)
    counts = dict(board.counts(cards))
    assert sum(counts.values()) == len(CLAIMS) and counts["not_tested"] == 1
    overall = (
        tables["verdicts"].query("dataset == 'all'").drop_duplicates("claim_id")["verdict"].value_counts()
    )
    assert counts == overall.to_dict()


def test_provenance_is_told(html):
    for fact in ("0123456789ab", "2026-11-22", "4 128", "torch 2.13.0+cpu", "5.3 core-minutes"):
        assert fact in html, fact
    assert "with uncommitted changes" in render({}, CLAIMS, {**planted.manifest(), "dirty": True}, {})


def test_grid_counts_cells_by_status(tables):
    found = {row["dataset"]: row for row in sections.grid(tables)}
    runs = tables["runs"].query("dataset == 'khan'")
    assert int(found["Khan"]["cells"].replace(" ", "")) == len(runs)
    assert int(found["Khan"]["diverged"]) == int((runs["status"] == "diverged").sum())


def test_identities_name_the_check_nearest_to_its_tolerance(tables):
    (row,) = sections.identities(tables)
    assert (row["verdict"], row["worst"], row["statement"], row["counter"]) == (
        "fails",
        "300 steps in fp32",
        "3 of 4",
        "1 of 1",
    )


def test_unavailable_data_are_named_with_the_command(html):
    assert "unavailable" in html and "python -m wdbench data fetch x" in html


def test_a_page_is_made_of_whatever_tables_there_are():
    parsed = Page(render({}, CLAIMS, {}, {}))
    assert set(parsed.claims) == {claim.id for claim in CLAIMS}
    assert all("not tested" in text for text in parsed.claims.values())
    assert (
        Page(
            render(
                {name: table.iloc[:0] for name, table in planted.tables(("khan",), 2).items()}, CLAIMS, {}, {}
            )
        ).problems
        == []
    )


def test_size_stays_bounded_and_what_is_left_out_is_named(tables, monkeypatch):
    monkeypatch.setattr(page, "FIGURE_BUDGET", 10_000)
    html = render(tables, CLAIMS, {}, {"A2": SVG.replace(b"<path", b"<path/>" * 5000 + b"<path"), "C2": SVG})
    assert "figures/A2.svg" in html and len(html) < 500_000
    parsed = Page(html)
    assert "left out of the page" in parsed.claims["A2"] and "left out of the page" not in parsed.claims["C2"]


def test_real_figures_fit():
    many = planted.tables(planted.REAL, replicates=2)
    largest = next(claim for claim in CLAIMS if claim.id == "L17")
    drawn, shared = drawings.taken({f"L{place}": style.svg(registry.draw(largest, many)) for place in range(2)}, page.FIGURE_BUDGET)
    sizes = [len(markup) for _, markup in drawn.values()]
    # a hundred and fifty empirical claims on as many data sets as there are
    assert len(sizes) == 2 and 150 * max(sizes) + len(shared.style()) + len(shared.defs()) < page.FIGURE_BUDGET


@pytest.mark.parametrize("name", ["explorer", "heatmaps"])
def test_a_view_without_data_is_not_there(html, name):
    assert f'href="#{name}"' not in html


def test_same_input_same_page(tables):
    first, second = (render(tables, CLAIMS, planted.manifest(), {"A2": SVG}) for _ in range(2))
    assert first == second


def test_keyboard_reaches_what_scrolls_and_pictures_have_words(parsed):
    assert all(
        attributes.get("tabindex") == "0" and attributes.get("aria-label")
        for tag, attributes in parsed.tags
        if attributes.get("class") == "scroll"
    )
    assert all(attributes.get("alt") for tag, attributes in parsed.tags if tag == "img")
