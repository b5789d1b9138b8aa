"""Every view opens, alone, on any screen, in either colour, by keyboard, offline, and without a complaint of the browser or of axe."""

import pytest
from routes import arrived, go, views

VISIBLE = "() => [...document.querySelectorAll('.view')].filter((view) => view.getClientRects().length).map((view) => view.id)"


def test_every_view_opens_alone_and_names_itself(opened):
    page = opened()
    titles = set()
    for route in views(page):
        go(page, route)
        visible = page.evaluate(VISIBLE)
        assert visible == ["stage" if route.startswith("slide-") else route]
        heading = page.locator(f"#{visible[0]} h1").first
        assert heading.is_visible() and heading.inner_text().strip()
        titles.add(page.title())
        assert page.locator(".bar nav a[aria-current=page]").count() == 1
    assert len(titles) == len(views(page))


def test_a_claim_has_sentence_verdict_figure_rows_and_command(opened, report):
    page = opened()
    for claim_id in report.overall.index[:: max(1, len(report.overall) // 12)]:
        go(page, f"claim-{claim_id}")
        text = page.locator(f"#claim-{claim_id}").inner_text()
        row = report.overall.loc[claim_id]
        assert str(row["sentence"]) in text and str(row["source"]) in text
        assert str(row["verdict"]).replace("_", " ") in text
        assert f"python -m wdbench show claim {claim_id}" in text
        drawing = page.locator(f"#claim-{claim_id} .drawing > svg")
        if drawing.count():
            assert drawing.bounding_box()["height"] > 50 and drawing.get_attribute("aria-label")


def test_forest_plot_puts_estimates_where_they_belong(opened, report):
    """Marks of one claim are in the order of their estimates, each inside its interval."""
    page = opened()
    verdicts = report.tables["verdicts"]
    strata = verdicts[(verdicts["dataset"] != "all") & verdicts["estimate"].notna()]
    claim_id = strata.groupby("claim_id").size().idxmax()
    go(page, f"claim-{claim_id}")
    mine = verdicts[(verdicts["claim_id"] == claim_id) & (verdicts["dataset"] != "all")]
    places = page.evaluate("""id => [...document.querySelectorAll(`#claim-${id} .forest tbody tr:not(.all) .line`)].map((line) => {
        const [bar, dot] = ["i", "b"].map((tag) => line.querySelector(tag)?.getBoundingClientRect());
        return dot ? [dot.x + dot.width / 2, bar.left, bar.right] : null; })""", claim_id)
    assert len(places) == len(mine)
    seen = [(estimate, place) for estimate, place in zip(mine["estimate"], places, strict=True) if place]
    assert seen and all(left - 1 <= at <= right + 1 for _, (at, left, right) in seen)
    ordered = [place[0] for _, place in sorted(seen, key=lambda one: one[0])]
    assert all(a <= b + 0.5 for a, b in zip(ordered, ordered[1:], strict=False))


def test_an_address_inside_a_view_opens_it(opened):
    page = opened()
    go(page, "dictionary")
    assert page.evaluate(VISIBLE) == ["provenance"]
    go(page, "no-such-place")
    assert page.evaluate(VISIBLE) == ["board"]


def test_slides_turn_by_arrow_keys(opened):
    page = opened()
    frames = page.evaluate("() => [...document.querySelectorAll('a.frame')].map((link) => link.dataset.frame)")
    go(page, frames[0])
    where = "() => decodeURIComponent(location.hash.slice(1))"
    for key, place in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", -1), ("Home", 0)):
        expected = frames[place]
        page.keyboard.press(key)
        arrived(page, expected)
        claim = page.locator(f"a.frame[data-frame='{expected}']").first.get_attribute("data-claim")
        assert claim in page.locator("#stage .where").inner_text()
        assert page.locator("#stage h1").inner_text() == page.locator(f"#claim-{claim} h1").text_content()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("first => document.body.dataset.drawn === location.hash && !location.hash.includes(first)", arg=frames[0])
    first, second = frames[0].rsplit("-", 1)[0], page.evaluate(where).rsplit("-", 1)[0]
    assert first != second
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.getElementById('slides').classList.contains('on')")


def test_a_figure_shown_on_a_slide_is_back_on_its_claim(opened):
    page = opened()
    frame = page.evaluate("""() => [...document.querySelectorAll("a.frame")].find((link) =>
        document.querySelector(`#claim-${link.dataset.claim} .drawing`))?.dataset.frame""")
    if frame is None:
        pytest.skip("no claim of this page has a figure")
    go(page, frame)
    claim = page.locator(f"a.frame[data-frame='{frame}']").first.get_attribute("data-claim")
    assert page.locator("#stage .frame-figure > svg").bounding_box()["height"] > 50
    go(page, f"claim-{claim}")
    assert page.locator(f"#claim-{claim} .drawing > svg").bounding_box()["height"] > 50


def test_ids_are_single(opened):
    page = opened()
    for route in views(page):
        go(page, route)
    twice = page.evaluate("""() => { const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
        return ids.filter((id, place) => ids.indexOf(id) !== place); }""")
    assert twice == []
    assert page.evaluate("""() => [...document.querySelectorAll("use")]
        .every((use) => document.getElementById(use.getAttribute("href").slice(1)))""")


def test_keyboard_reaches_content_navigation_and_filters(opened):
    page = opened(1280)
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("() => document.activeElement.id || document.activeElement.hash || document.activeElement.className"))
    assert {"#board", "#slides", "theme", "search", "family", "verdict", "dataset", "sort"} <= set(seen)
    page.keyboard.press("Shift+Tab")
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_colours_follow_the_system_and_the_button(opened):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light, dark = opened(theme="light").evaluate(ground), opened(theme="dark").evaluate(ground)
    assert light == "rgb(255, 255, 255)" and dark != light
    page = opened(theme="dark")
    go(page, "board")
    page.click("#theme")
    assert page.evaluate(ground) == light and page.locator("#theme").get_attribute("aria-label") == "Colours: light"
    page.click("#theme")
    assert page.evaluate(ground) == dark
    page.click("#theme")
    assert page.locator("#theme").get_attribute("aria-label") == "Colours: as the system"


def test_nothing_is_wider_than_a_phone(opened):
    page = opened(390, "dark")
    claims = page.evaluate("() => [...document.querySelectorAll('.claim')].map((claim) => claim.id)")
    wide = []
    for route in (*views(page), *claims[:: max(1, len(claims) // 40)]):
        go(page, route)
        if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
            wide.append(route)
    assert wide == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_serious(opened, theme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed; valid: pip install .[browser]").Axe()
    page = opened(width, theme)
    found = []
    for route in views(page):
        go(page, route)
        # axe walks the whole document; what is not shown is taken out of it for as long, which spares minutes
        page.evaluate("""() => { window.away = [...document.querySelectorAll(".view:not(.on)")].map((view) => {
            const mark = document.createComment(""); view.replaceWith(mark); return [mark, view]; }); }""")
        result = axe.run(page, options={"resultTypes": ["violations"]}).response
        page.evaluate("() => { for (const [mark, view] of window.away) mark.replaceWith(view); }")
        found += [(route, one["id"], one["nodes"][0]["target"], one["help"]) for one in result["violations"]
                  if one["impact"] in ("serious", "critical")]
    assert found == []


def test_without_scripts_it_is_one_long_page(opened, report):
    page = opened(java_script_enabled=False)
    shown = page.locator(".view:visible").count()
    assert shown >= len(report.overall) + 7
    assert page.locator(".filters:visible, .downloads:visible, #stage:visible, #theme:visible").count() == 0
    drawing = page.locator(".claim .drawing svg").first
    assert drawing.bounding_box()["height"] > 50


def test_print_leaves_the_controls_out(opened):
    page = opened(1000, "dark")
    routes = views(page)
    try:
        for route in routes:
            page.emulate_media(media="screen")
            go(page, route)
            page.emulate_media(media="print")
            assert page.locator(".bar:visible, .downloads:visible, .filters:visible").count() == 0
            # dark on white whatever the screen shows, and no wider than the text of an A4 page
            assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            page.set_viewport_size({"width": 718, "height": 1040})
            for table in page.locator(".claim .forest:visible").all():
                assert table.bounding_box()["width"] <= 718, route
            page.set_viewport_size({"width": 1000, "height": 900})
        assert len(page.pdf()) > 10_000
    finally:
        page.emulate_media(media="screen")


def test_nothing_leaves_the_page_and_nothing_complains(opened, report):
    for width, theme in ((1440, "light"), (390, "dark")):
        page = opened(width, theme)
        for route in views(page):
            go(page, route)
        own = (report.file.as_uri(), "data:", "blob:")
        assert [url for url in page.seen["requests"] if not url.startswith(own)] == []
        assert page.seen["errors"] == [] and page.seen["console"] == [] and page.seen["dialogs"] == []
