"""The report in a real browser: Debian's Chromium, driven by Playwright. `make test-browser` runs these tests."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import planted
import pytest

from wdbench import atomic, sealing
from wdbench.figures import draw, registry, style  # noqa: F401 (draw registers every kind)
from wdbench.report import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RESULTS = Path(__file__).parents[2] / "results"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    reason = "make test-browser runs it" if "WDBENCH_BROWSER" not in os.environ else "no Chromium here; valid: apt-get install chromium"
    if "WDBENCH_BROWSER" not in os.environ or CHROMIUM is None:
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


class Report(NamedTuple):
    """A page and the tables that it was made from."""

    file: Path
    tables: dict[str, pd.DataFrame]

    @property
    def overall(self) -> pd.DataFrame:
        verdicts = self.tables["verdicts"]
        return verdicts[verdicts["dataset"] == "all"].drop_duplicates("claim_id").set_index("claim_id")


def _planted(folder: Path) -> Report:
    claims, tables = planted.claim_list(), planted.tables(("khan", "hitters", "digits"), replicates=4)
    figures = {c.id: style.svg(registry.draw(c, tables)) for c in claims if c.id in ("A2", "C6b", "C2", "I5")}
    file = folder / "report.html"
    atomic.write_text(file, render(tables, claims, planted.manifest(), figures))
    return Report(file, tables)


@pytest.fixture(scope="session", params=["planted", "results"])
def report(request, tmp_path_factory) -> Report:
    """A page from planted tables, and that of results/ where there is one."""
    if request.param == "planted":
        return _planted(tmp_path_factory.mktemp("report"))
    if not (RESULTS / "report.html").exists():
        pytest.skip("no results/report.html; snakemake --cores 2 makes it")
    names = ("verdicts", "effects", "selected")
    return Report(RESULTS / "report.html",
                  {name: sealing.read(RESULTS / f"{name}.csv", keep_default_na=False, na_values=[""]) for name in names})


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; valid: pip install .[browser]")
    with playwright.sync_playwright() as driver:
        # the sandbox needs privileges that a container does not give
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else [])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(chromium, report):
    """opened(width, theme) -> a page that shows the report; what it loads, logs or throws is kept in `page.seen`."""
    contexts = {}

    def page_of(width: int = 1440, theme: str = "light", **options):
        key = (width, theme, *sorted(options.items()))
        if key not in contexts:
            context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True, **options)
            page = context.new_page()
            page.seen = {"requests": [], "console": [], "errors": [], "dialogs": []}
            page.on("request", lambda request: page.seen["requests"].append(request.url))
            page.on("console", lambda message: page.seen["console"].append(message.text) if message.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: page.seen["errors"].append(str(error)))
            page.on("dialog", lambda dialog: (page.seen["dialogs"].append(dialog.message), dialog.dismiss()))
            page.goto(report.file.as_uri())
            contexts[key] = page
        return contexts[key]

    yield page_of
    for page in contexts.values():
        page.context.close()
