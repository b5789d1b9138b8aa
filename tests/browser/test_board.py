"""The board filters, sorts and searches as the tables say; the downloads are the tables."""

import io
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from routes import go

SHOWN = "() => [...document.querySelectorAll('.row')].filter((row) => row.getClientRects().length).map((row) => row.dataset.id)"


@pytest.fixture
def board(opened):
    page = opened()
    go(page, "board?sort=id")
    go(page, "slides")
    go(page, "board")
    if page.locator("#clear").is_visible():
        page.click("#clear")
    yield page


def test_all_claims_are_there_and_counted(board, report):
    assert set(report.overall.index) <= set(board.evaluate(SHOWN))
    for verdict, count in report.overall["verdict"].value_counts().items():
        assert board.locator(f".tile[data-verdict={verdict}] strong").inner_text() == str(count)


def test_verdict_filter(board, report):
    for verdict, rows in report.overall.groupby("verdict"):
        board.select_option("#verdict", verdict)
        assert set(board.evaluate(SHOWN)) == set(rows.index)
        assert board.locator("#shown").inner_text().startswith(f"{len(rows)} of ")
    board.select_option("#verdict", "")
    verdict = report.overall["verdict"].iloc[-1]
    board.click(f".tile[data-verdict={verdict}]")
    assert set(board.evaluate(SHOWN)) == set(report.overall.index[report.overall["verdict"] == verdict])
    board.click(f".tile[data-verdict={verdict}]")
    assert len(board.evaluate(SHOWN)) == board.locator(".row").count()


def test_family_filter(board, report):
    for family, rows in report.overall.groupby("family"):
        board.select_option("#family", family)
        assert set(board.evaluate(SHOWN)) == set(rows.index)


def test_data_set_filter(board, report):
    strata = report.tables["verdicts"].query("dataset != 'all'")
    bases = strata["dataset"].str.split(" / ").map(lambda parts: {part.partition(":")[0] for part in parts})
    options = board.evaluate("() => [...document.querySelectorAll('#dataset option')].map((one) => one.value).filter(Boolean)")
    assert options
    for name in options:
        board.select_option("#dataset", name)
        assert set(board.evaluate(SHOWN)) == set(strata["claim_id"][bases.map(lambda found, name=name: name in found)])


def test_search_finds_sentence_source_and_id(board, report):
    claim_id, row = report.overall.index[1], report.overall.iloc[1]
    for text in (claim_id, str(row["sentence"]).upper(), str(row["source"])):
        board.fill("#search", text)
        assert claim_id in board.evaluate(SHOWN)
    board.fill("#search", "no such word as this")
    assert board.evaluate(SHOWN) == [] and board.locator("#shown").inner_text() == "no claim fits"
    board.click("#clear")
    assert len(board.evaluate(SHOWN)) == board.locator(".row").count()


def test_sorts_by_the_effect_in_margins(board, report):
    rows = report.overall
    margin = rows["margin"].astype(float)
    size = (rows["estimate"].astype(float) / margin).where((margin > 0) & (rows["kind"] != "identity"))
    size = size[size.notna() & size.abs().lt(float("inf"))]
    for sort, key in (("for", -size), ("against", size), ("size", -size.abs())):
        board.select_option("#sort", sort)
        shown = board.evaluate(SHOWN)
        values = key[[one for one in shown if one in size.index]]
        assert (values.diff().dropna() >= -1e-3 * values.abs().iloc[1:]).all()
        assert set(shown[: len(size)]) == set(size.index)  # those without an effect come last
    board.select_option("#sort", "verdict")
    verdicts = [rows["verdict"][one] for one in board.evaluate(SHOWN) if one in rows.index]
    assert len(list(dict.fromkeys(verdicts))) == sum(a != b for a, b in zip(verdicts, ["", *verdicts], strict=False))
    board.select_option("#sort", "")
    assert board.locator("#flat").is_hidden() and board.locator(".family").first.is_visible()


def test_a_filter_is_part_of_the_address(board, report):
    verdict = report.overall["verdict"].iloc[0]
    board.select_option("#verdict", verdict)
    address = board.evaluate("() => location.href")
    assert f"verdict={verdict}" in address
    go(board, "advice")
    board.evaluate("address => { location.href = address; }", address)
    board.wait_for_function("() => document.getElementById('board').classList.contains('on')")
    assert set(board.evaluate(SHOWN)) == set(report.overall.index[report.overall["verdict"] == verdict])


def test_downloads_are_the_tables(opened, report):
    page = opened()
    for name in ("effects", "selected", "verdicts"):
        table = report.tables[name]
        ids = list(dict.fromkeys(table["claim_id"]))
        sizes = table["claim_id"].value_counts()
        for claim_id in {ids[0], sizes.idxmax(), ids[-1]}:
            go(page, f"claim-{claim_id}")
            with page.expect_download() as saved:
                page.locator(f"#claim-{claim_id} .downloads button", has_text=f"{claim_id}.{name}.csv").click()
            assert saved.value.suggested_filename == f"{claim_id}.{name}.csv"
            found = pd.read_csv(saved.value.path(), keep_default_na=False, na_values=[""])
            mine = table[table["claim_id"] == claim_id]
            # through CSV, as a reader of the tables has them
            mine = pd.read_csv(io.StringIO(mine.to_csv(index=False)), keep_default_na=False, na_values=[""])
            pd.testing.assert_frame_equal(found, mine, check_dtype=False, rtol=0, atol=0)


def test_a_downloaded_figure_stands_alone(opened):
    page = opened()
    claim = page.evaluate("() => document.querySelector('.claim .drawing')?.closest('.claim').id")
    if claim is None:
        pytest.skip("no claim of this page has a figure")
    go(page, claim)
    with page.expect_download() as saved:
        page.locator(f"#{claim} .downloads button", has_text=".svg").click()
    root = ET.parse(saved.value.path()).getroot()
    ids = {one.get("id") for one in root.iter()}
    used = {one.get("href") for one in root.iter() if one.tag.endswith("use")}
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and used and {href.removeprefix("#") for href in used} <= ids
    style = next(one.text for one in root.iter() if one.tag.endswith("style"))
    classes = {one.get("class") for one in root.iter()} - {None}
    assert classes and all(f".{name} " in style for name in classes)
