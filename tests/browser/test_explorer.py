"""The explorer and the heatmaps in a real browser: what they show is what the tables hold, and nothing leaves the page."""

import numpy as np
import pandas as pd
import planted
import planted_grid
import pytest

from wdbench.report import page
from wdbench.report.explorer import explorer
from wdbench.report.heatmaps import heatmaps

TABLES = planted_grid.tables()
RUNS = TABLES["runs"]
VALUES = {"training loss (nats)": "train_loss", "validation loss (nats)": "val_loss", "test loss (nats)": "test_loss",
          "test error (share)": "test_error", "Brier score (squared probability)": "brier",
          "confidence − accuracy (share)": "confidence_gap"}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    around = planted.tables(("khan", "hitters"), replicates=2)
    made = page.render(around, planted.claim_list(), planted.manifest(), {}, explorer(TABLES), heatmaps(TABLES))
    path.write_text(made, "utf-8")
    return path.as_uri()


@pytest.fixture
def view(chromium, address):
    """Opens one view of the page; afterwards there must have been no request but for the file, and nothing on the console."""
    wrong, tabs = [], []

    def show(name, width=1440, scheme="light", query=""):
        tab = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        tab.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(("data:", "blob:", address)) else None)
        tab.goto(f"{address}#{name}{query}")
        tab.wait_for_selector(f"#{name}[data-ready]")
        tabs.append(tab)
        return tab

    yield show
    for tab in tabs:
        tab.close()
    assert wrong == []


def choose(tab, **choices):
    for name, text in choices.items():
        tab.locator(f"#explorer [name={name}]").select_option(text)


def lambdas(tab):
    """What the slider says, at every step from its first to its last, moved by the keyboard alone."""
    slider = tab.locator("#explorer [name=lambda]")
    slider.focus()
    tab.keyboard.press("Home")
    told = [slider.get_attribute("aria-valuetext")]
    for _ in range(int(slider.get_attribute("max"))):
        tab.keyboard.press("ArrowRight")
        told.append(slider.get_attribute("aria-valuetext"))
    return told


def shown(tab):
    """Quantity -> lower quartile, median, upper quartile, as text."""
    rows = tab.locator("#explorer tbody tr")
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}


def test_values_at_every_lambda_are_those_of_the_tables(view):
    tab = view("explorer")
    choose(tab, dataset="Khan", method="adam, decoupled", lr="0.1")
    tab.locator("#explorer [name=lambda]").focus()
    tab.keyboard.press("Home")
    for lam in (0.0, *planted_grid.LAMBDAS):
        penalty = (RUNS["penalty"] == "none") if lam == 0 else (RUNS["coupling"] == "decoupled") & (RUNS["lambda"] == lam)
        here = RUNS[(RUNS["dataset"] == "khan") & (RUNS["lr"] == 0.1) & penalty]
        table = shown(tab)
        for text, column in VALUES.items():
            expected = [f"{float(f'{np.percentile(here[column], share):.4g}'):g}" for share in (25, 50, 75)]
            assert table[text] == expected, (lam, column)
        tab.keyboard.press("ArrowRight")


def test_the_keyboard_moves_lambda_and_the_charts_follow(view):
    tab = view("explorer")
    choose(tab, dataset="Khan", method="adam, coupled", lr="0.1")
    told = lambdas(tab)
    assert [text.split(";")[0] for text in told] == ["λ = 0, no penalty", "λ = 0.001", "λ = 0.01", "λ = 0.1", "λ = 1"]
    rule = tab.locator("#explorer .chart svg .mark-rule.role-mark line").first
    before = rule.get_attribute("transform")
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function("([line, was]) => line.getAttribute('transform') !== was", arg=[rule.element_handle(), before])


def test_a_diverged_cell_is_a_status_and_no_number(view):
    tab = view("explorer")
    choose(tab, dataset="Khan", method="adam, decoupled", lr="1")
    told = lambdas(tab)
    assert "3 of 4 replicates finished, 1 diverged" in told[2] and "2 of 4 replicates finished, 2 diverged" in told[3]
    assert told[4] == "λ = 1; all 4 replicates diverged"
    assert {cell for cells in shown(tab).values() for cell in cells} == {"diverged"}


def test_choices_narrow_each_other(view):
    tab = view("explorer")
    choose(tab, dataset="Hitters")
    assert tab.locator("#explorer [name=penalty] option").all_inner_texts() == ["ℓ1"]
    assert tab.locator("#explorer [name=method] option").all_inner_texts() == ["exact minimiser"]
    assert tab.locator("#explorer [name=setting] option").all_inner_texts() == ["narrow", "wide"]
    titles = tab.locator("#explorer .chart-card h2").all_inner_texts()
    assert any(title.startswith("Features kept") for title in titles)
    assert any(title.startswith("Weights, coefficient by coefficient") for title in titles)


def test_the_button_goes_to_the_lambda_chosen_most_often(view):
    tab = view("explorer")
    choose(tab, dataset="Khan", method="adam, decoupled", lr="0.1")
    lambdas(tab)
    tab.locator("#explorer button").click()
    chosen = TABLES["selected"].query("claim_id == 'E2' and arm == 'treatment' and stratum == 'khan'")["lambda"].value_counts()
    told = tab.locator("#explorer [name=lambda]").get_attribute("aria-valuetext")
    lam = float(told.split(";")[0].removeprefix("λ = "))
    assert chosen[lam] == chosen.max() and f"lowest validation loss in {chosen.max()} of 4" in told


def test_a_link_opens_the_arm_that_it_names(view):
    tab = view("explorer")
    choose(tab, dataset="Khan", method="adam, decoupled", lr="1")
    tab.locator("#explorer [name=lambda]").focus()
    tab.keyboard.press("End")
    link = tab.locator("#explorer .here").get_attribute("href")
    other = view("explorer", query=link.removeprefix("#explorer"))
    other.wait_for_function("document.querySelector('#explorer [name=lr]').value === '1'")
    assert other.locator("#explorer [name=method]").input_value() == "adam, decoupled"
    assert other.locator("#explorer [name=lambda]").get_attribute("aria-valuetext").startswith("λ = 1;")


def test_dragging_over_a_chart_moves_lambda(view):
    tab = view("explorer")
    choose(tab, dataset="Khan", method="adam, decoupled", lr="0.1")
    chart = tab.locator("#explorer .chart").first
    box = chart.bounding_box()
    tab.mouse.click(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    assert tab.locator("#explorer [name=lambda]").get_attribute("aria-valuetext").startswith("λ = 1;")


@pytest.mark.parametrize("panel, arm", [(0, "control"), (1, "treatment")])
def test_marks_of_a_heatmap_are_the_cells_of_selected_csv(view, panel, arm):
    tab = view("heatmaps")
    tab.locator("#heatmaps select").select_option(label="Khan · mlp · adam")
    card = tab.locator("#heatmaps .panel").nth(panel)
    card.locator("summary").click()
    head = [float(text) for text in card.locator("thead th").all_inner_texts()[1:]]
    chosen = {}
    for row in card.locator("tbody tr").all():
        for lam, text in zip(head, row.locator("td").all_inner_texts(), strict=True):
            if "(" in text:
                chosen[lam, float(row.locator("th").inner_text())] = int(text.split("(")[1].rstrip(")"))
    wanted = TABLES["selected"].query("claim_id == 'E1' and arm == @arm and stratum == 'khan'")
    assert chosen == wanted.groupby(["lambda", "lr"]).size().to_dict()
    # drawn: one disc with its number for each chosen cell, at the cell's place
    texts = card.locator("svg .mark-text.role-mark text").all_text_contents()
    assert sorted(map(int, texts)) == sorted(chosen.values())
    places = {text.get_attribute("transform") for text in card.locator("svg .mark-text.role-mark text").all()}
    assert len(places) == len(chosen)


def test_diverged_cells_of_a_heatmap_are_hatched(view):
    tab = view("heatmaps")
    tab.locator("#heatmaps select").select_option(label="Khan · mlp · adam")
    card = tab.locator("#heatmaps .panel").first
    failed = RUNS[(RUNS["dataset"] == "khan") & (RUNS["coupling"] == "coupled") & (RUNS["penalty"] == "l2")]
    cells = failed[failed["status"] == "diverged"].groupby(["lambda", "lr"]).ngroups
    assert card.locator("svg .role-mark path[stroke='#8a8a8a'], svg .role-mark path[stroke='#ffffff']").count() == cells == 3
    card.locator("summary").click()
    assert [text.split()[0] for text in card.locator("td.lost").all_inner_texts()] == ["diverged"] * 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("name", ["explorer", "heatmaps"])
def test_a_view_fits_its_window_and_is_legible(view, name, width, scheme):
    tab = view(name, width, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    charts = tab.locator(f"#{name} .chart")
    assert charts.count() >= 2
    for chart in charts.all():
        drawn = chart.locator("svg").first.bounding_box()
        assert 200 < drawn["width"] <= width and drawn["height"] > 60
        assert chart.get_attribute("role") == "img" and chart.get_attribute("aria-label")
    label = charts.first.locator("svg .role-axis-label text").first
    ink, ground = label.get_attribute("fill"), tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert contrast(ink, ground) > 4.5


def test_the_views_follow_a_change_of_colours(view):
    tab = view("heatmaps")
    fill = "document.querySelector('#heatmaps .chart svg .role-axis-label text')?.getAttribute('fill')"
    before = tab.evaluate(fill)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"was => ({fill} ?? was) !== was", arg=before)


def contrast(one: str, two: str) -> float:
    """WCAG 2 contrast ratio of two rgb(...) colours."""
    def luminance(text):
        parts = np.array([float(v) for v in text[text.index("(") + 1:-1].split(",")[:3]]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_page_of_no_grid_has_no_view(chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page.render({"runs": pd.DataFrame()}, (), {}, {}), "utf-8")
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    assert tab.locator("#explorer, #heatmaps, #plot-library").count() == 0
    tab.close()
