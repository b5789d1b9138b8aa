"""What lies beside a figure's SVG: its data as CSV, and a PDF whose text is text."""

import io

import numpy as np
import pandas as pd
import planted
import pytest
from pypdf import PdfReader

from wdbench.config.claims import Figure
from wdbench.figures import data, draw, overview, registry, style

CLAIMS = {claim.id: claim for claim in planted.claim_list()}


@pytest.fixture(scope="module")
def tables():
    return planted.tables(planted.REAL[:2], replicates=3, grid=6)


@pytest.fixture(scope="module")
def figures(tables):
    found = {name: registry.draw(claim, tables) for name, claim in CLAIMS.items() if not draw.reason_not_drawn(claim, tables)}
    for kind in ("paired", "path", "forest"):
        found[kind] = registry.draw(CLAIMS["A2"].model_copy(update={"figure": Figure(name=kind)}), tables)
    return found | {name: function(tables) for name, (_, function) in draw.OVERVIEWS.items()}


def drawn(figure) -> set[float]:
    """Every finite number that a line of the figure goes through, to 9 digits."""
    ends = [np.asarray(axis, float) for axes in figure.axes for line in axes.lines for axis in line.get_data()]
    values = np.concatenate(ends) if ends else np.array([])
    return {float(f"{value:.9g}") for value in values[np.isfinite(values)]}


def test_every_figure_keeps_what_it_shows(figures):
    for name, figure in figures.items():
        kept = data.of(figure)
        assert len(kept) and list(kept)[0] == "shown", name


@pytest.mark.parametrize(("shown", "numbers"), [
    ("mean", ["mean"]), ("block", ["y"]), ("block", ["control", "treatment"]), ("share", ["low", "share", "high"]),
    ("check", ["max_error"]),
])
def test_the_numbers_kept_are_those_drawn(figures, shown, numbers):
    seen = 0
    for name, figure in figures.items():
        rows = data.of(figure)
        rows = rows[rows["shown"] == shown]
        if rows.empty or not set(numbers) <= set(rows) or rows[numbers].isna().all().all():
            continue
        values = rows[numbers].to_numpy(float).ravel()
        values = values[np.isfinite(values) & (values != 0)]
        lines = drawn(figure)
        assert {float(f"{value:.9g}") for value in values} <= lines, name
        seen += 1
    assert seen, "no figure of these claims shows it"


def test_the_csv_beside_a_figure_is_what_it_kept(tables, tmp_path):
    one = CLAIMS[next(name for name in CLAIMS if not draw.reason_not_drawn(CLAIMS[name], tables))]
    draw.draw_all(tables, (one,), tmp_path)
    kept = data.of(registry.draw(one, tables))
    assert (tmp_path / f"{one.id}.csv").read_text() == kept.to_csv(index=False, lineterminator="\n")
    board = pd.read_csv(tmp_path / "overview_board.csv")
    counted = overview.overall(tables["verdicts"])["verdict"].value_counts().to_dict()
    assert board[list(counted)].sum().to_dict() == counted
    assert not list(tmp_path.glob("*.pdf"))


def test_the_figure_of_a_claim_that_was_withdrawn_goes_and_a_file_of_someone_else_stays(tables, tmp_path):
    two = [claim for claim in CLAIMS.values() if not draw.reason_not_drawn(claim, tables)][:2]
    draw.draw_all(tables, tuple(two), tmp_path)
    (tmp_path / "notes.csv").write_text("mine")
    draw.draw_all(tables, (two[0],), tmp_path)
    assert not list(tmp_path.rglob(f"{two[1].id}.*")) and (tmp_path / f"{two[0].id}.svg").exists()
    assert (tmp_path / "notes.csv").read_text() == "mine" and (tmp_path / "index.csv").exists()


def texts(figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    return [line for text in found for line in text.split("\n") if line.strip()]


def test_a_pdf_has_its_text_as_text_in_embedded_fonts(figures):
    for name, figure in figures.items():
        content = style.pdf(figure)
        page = PdfReader(io.BytesIO(content)).pages[0]
        said = "".join(page.extract_text().split())
        for line in texts(figure):
            assert "".join(line.split()) in said, (name, line)
        for font in page["/Resources"]["/Font"].get_object().values():
            font = font.get_object()
            below = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
            assert font["/Subtype"] != "/Type3" and "/FontFile2" in below["/FontDescriptor"].get_object(), name


def test_a_pdf_has_the_same_bytes_in_another_process_and_no_date(tables, tmp_path):
    some = tuple(claim for claim in CLAIMS.values() if not draw.reason_not_drawn(claim, tables))[:3]
    draw.draw_all(tables, some, tmp_path / "one", pdf=True)
    draw.draw_all(tables, some, tmp_path / "two", processes=2, pdf=True)
    names = sorted(path.name for path in (tmp_path / "one").glob("*.pdf"))
    assert len(names) == len(some) + len(draw.OVERVIEWS)
    for name in (*names, "index_pdf.csv"):
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes() and b"CreationDate" not in content and b"Matplotlib" not in content
