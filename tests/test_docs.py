"""The documentation builds without a warning, every link in it leads somewhere, and what it says of conversions is so."""

import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import smoke

from wdbench import penalties


class Links(HTMLParser):
    """Targets of links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        for name in ("href", "src"):
            if values.get(name) and tag != "base":
                self.found.append(values[name])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "docs", str(folder)], cwd=smoke.ROOT,
                          env=smoke.environment(), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_link_inside_leads_to_a_page_and_an_anchor(site):
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 12
    checked = 0
    for page, links in pages.items():
        for target in links.found:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or page.name in ("search.html", "genindex.html"):
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert path.exists(), f"{page.name}: {target}"
            if parts.fragment and path in pages:
                assert unquote(parts.fragment) in pages[path].anchors, f"{page.name}: {target}"
            checked += 1
    assert checked > 300


def test_pages_of_tables_hold_every_row(site):
    from wdbench import dictionary
    from wdbench.config import claims, yamlio
    from wdbench.datasets import registry

    catalogue = (site / "reference/claims.html").read_text(encoding="utf-8")
    assert all(f">{claim.id}<" in catalogue for claim in claims.from_mapping(yamlio.read(smoke.ROOT / "claims.yaml"), "claims.yaml"))
    columns = (site / "reference/columns.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in columns for name in dictionary.entries())
    data = (site / "reference/data.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in data for name in registry.entries())


def test_the_page_on_lambda_has_every_convention_with_its_formula():
    page = (smoke.ROOT / "docs/lambda.md").read_text(encoding="utf-8").replace("\\|", "|")
    for name, convention in penalties.CONVENTIONS.items():
        assert f"`{name}`" in page and convention.formula in page, name


def test_nothing_loads_from_elsewhere(site):
    for path in site.rglob("*.html"):
        links = Links(path.read_text(encoding="utf-8"))
        assert not [target for target in links.found if target.startswith(("http:", "//")) or "cdn" in target], path.name
