"""The tables of `wdbench show`, on a terminal and in a pipe."""

import io

import pandas as pd
import planted
import pytest

from wdbench import export, show, terminal
from wdbench.errors import UserError

CLAIMS = planted.claim_list()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def tables():
    return planted.tables(("khan", "digits"), replicates=2)


def printed(tables, *words, out=None):
    out = out or io.StringIO()
    show.show(tables.__getitem__, CLAIMS, *words, out=out)
    return out.getvalue()


def test_a_pipe_gets_tab_separated_numbers_and_no_escape_codes(tables):
    text = printed(tables, "claims")
    lines = [line.split("\t") for line in text.splitlines()]
    assert "\x1b" not in text
    assert [line[0] for line in lines[1:]] == [claim.id for claim in CLAIMS]
    assert {len(line) for line in lines} == {len(lines[0])}
    a2 = dict(zip(lines[0], lines[1 + [c.id for c in CLAIMS].index("A2")], strict=True))
    wanted = tables["verdicts"].query("claim_id == 'A2' and dataset == 'all'").iloc[0]
    assert float(a2["estimate"]) == pytest.approx(wanted["estimate"], rel=1e-5)


def test_a_pipe_gets_every_row_and_a_terminal_says_how_many_it_holds_back(tables):
    n = len(tables["runs"])
    assert len(printed(tables, "runs").splitlines()) == n + 1
    assert f"{n - terminal.MOST_ROWS} more rows" in printed(tables, "runs", out=Terminal())


def test_a_terminal_gets_aligned_columns(tables, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    lines = printed(tables, "claims", out=Terminal()).splitlines()
    starts = {
        line.index(claim.sentence[:12]) for line in lines for claim in CLAIMS if claim.sentence[:12] in line
    }
    assert len(starts) == 1


def exported(tables, form, *words):
    stream = io.StringIO()
    show.show(tables.__getitem__, CLAIMS, *words, out=export.Sheet(stream, form))
    return stream.getvalue()


@pytest.mark.parametrize("what", ["claims", "runs", "effects", "verdicts", "identities"])
def test_an_exported_csv_has_the_numbers_in_full(tables, what):
    table = pd.read_csv(io.StringIO(exported(tables, "csv", what)))
    known = tables["verdicts" if what == "claims" else what]
    for column in set(table) & set(known.select_dtypes("float")):
        assert set(table[column].dropna()) <= set(known[column].dropna()), column
    assert len(table) == (known["claim_id"].nunique() if what == "claims" else len(known))


def test_a_latex_table_is_escaped_and_has_a_cell_for_each_value(tables):
    hostile = tables["verdicts"].assign(sentence=r"100% of $x_1$ & \input{secret} ~ ^ # {λ}")
    lines = exported({**tables, "verdicts": hostile}, "latex", "claims").splitlines()
    assert lines[0].startswith("\\begin{tabular}{llr") and lines[1] == "\\toprule" and lines[-1] == "\\end{tabular}"
    assert r"100\% of \$x\_1\$ \& \textbackslash input\{secret\}" in lines[4]
    body = [line.replace(r"\&", "") for line in lines if line.endswith(r"\\")]
    assert {line.count("&") for line in body} == {len(show.PIPED) - 2} and len(body) == len(CLAIMS) + 1


def test_a_markdown_table_keeps_ids_as_they_are_and_bars_in_their_cells(tables):
    rows = [("1e5", "a|b", 0.25), ("007", "c", float("nan"))]
    lines = export.text(("cell", "text", "number"), rows, "markdown").splitlines()
    assert "1e5" in lines[2] and "007" in lines[3] and r"a\|b" in lines[2] and lines[1].endswith(":|")
    assert len({len(line) for line in lines}) == 1
    assert exported(tables, "markdown", "claims").count("\n") == len(CLAIMS) + 2


def test_an_export_of_no_row_is_a_table_of_headers(tables):
    for form in ("latex", "markdown", "csv"):
        assert "dataset" in exported(tables, form, "runs", None, 'dataset == "nowhere"')


def test_where_narrows_the_rows(tables):
    text = printed(tables, "runs", None, 'dataset == "khan" and status == "diverged"')
    wanted = tables["runs"].query("dataset == 'khan' and status == 'diverged'")
    assert (
        len(wanted) > 0
        and [line.split("\t")[0] for line in text.splitlines()[1:]] == wanted["cell_id"].tolist()
    )


def test_claim_shows_each_data_set_and_the_naive_way(tables, monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")
    text = printed(tables, "claim", "A2", out=Terminal())
    for word in (
        "khan",
        "digits",
        "slide 5",
        "ridge against no penalty",
        "λ chosen on the test rows",
        "naive way",
    ):
        assert word in text
    assert "5 of" not in text and "300 steps in fp32" in printed(tables, "claim", "I5", out=Terminal())


def test_cell_by_the_beginning_of_its_id(tables):
    cell = tables["runs"]["cell_id"].iloc[3]
    assert f"cell_id\t{cell}" in printed(tables, "cell", cell[-16:])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("claim", "Z9"), "valid: I5, A2"),
        (("claim", None), "needs an id"),
        (("cell", "zz"), "no cell begins with it"),
        (("runs", None, ""), "--where: value '': an empty filter"),
        (("runs", None, " "), "an empty filter"),
        (("runs", "khan"), "show runs: value 'khan': takes no id"),
        (("cell", "0"), "cells begin with it"),
        (("identities", "I99"), "valid: I5"),
        (("nonsense", None), "valid: runs, claims"),
        (("runs", None, "nonsense == 1"), "no column 'nonsense'"),
    ],
)
def test_mistakes_get_a_sentence(tables, words, part):
    with pytest.raises(UserError, match=part):
        printed(tables, *words)


def test_text_from_tables_cannot_steer_the_terminal():
    out, pipe = Terminal(), io.StringIO()
    rows = [("a\x1b[2Jb\tc\nd", "[red]x[/red]", 1.5)]
    terminal.table(("one", "two", "three"), rows, out)
    terminal.table(("one", "two", "three"), rows, pipe)
    assert "\x1b[2J" not in out.getvalue() + pipe.getvalue() and "[red]x[/red]" in out.getvalue()
    assert pipe.getvalue().splitlines()[1].split("\t")[1:] == ["[red]x[/red]", "1.5"]


def test_missing_values_are_empty_in_a_pipe():
    pipe = io.StringIO()
    terminal.table(("a", "b", "c"), [(float("nan"), pd.NA, None)], pipe)
    assert pipe.getvalue().splitlines()[1] == "\t\t"


def test_a_filter_that_reads_no_column_is_refused(tables):
    with pytest.raises(UserError, match="reads no column"):
        printed(tables, "runs", None, "1/0 > 1")


def test_strata_stand_in_the_order_of_their_numbers():
    from wdbench.claims.judge import _natural

    names = ["mlp / 180", "mlp / 2", "mlp / 0.6", "mlp / 20", "mlp / 1e-4", "linear / 6"]
    assert sorted(names, key=_natural) == ["linear / 6", "mlp / 1e-4", "mlp / 0.6", "mlp / 2", "mlp / 20", "mlp / 180"]
