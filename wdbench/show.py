"""What `wdbench show` prints: the rows and columns of each kind of table."""

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence

import pandas as pd
from pandas import DataFrame

from wdbench import filters, sealing
from wdbench.conclusions import controls
from wdbench.config.claims import Claim
from wdbench.errors import UserError
from wdbench.export import Sheet
from wdbench.figures import labels, words
from wdbench.terminal import Out, facts, is_terminal, say, table

Load = Callable[[str], DataFrame]

RUN_COLUMNS = (
    "cell_id dataset optimiser penalty lambda_rel coupling precision rounding lr replicate status "
    "val_loss test_loss test_error weight_norm fidelity oracle_gap"
).split()
# a pipe gets the numbers themselves
PIPED = (
    "claim_id",
    "dataset",
    "verdict",
    "estimate",
    "ci_low",
    "ci_high",
    "margin",
    "p_holm",
    "n",
    "sentence",
)
ADVICE_COLUMNS = "model precision question advice no_advice claim_id part verdict estimate ci_low ci_high n".split()
MECHANISM_COLUMNS = "model discriminator claim_id part outcome story predicted agreement".split()
CONTROL_COLUMNS = "kind claim_id part what expected found estimate outcome marks".split()
REPLICATION_COLUMNS = "claim_id variant detail main_verdict verdict stands main_estimate estimate ci_low ci_high n".split()
IDENTITY_COLUMNS = ("identity check case kind inputs max_error relation tolerance unit result").split()
# beside a relation >= a number is no error: it had to be that large
IDENTITY_HEADERS = ["measured" if c == "max_error" else "bound" if c == "tolerance" else c for c in IDENTITY_COLUMNS]
# every other published table is shown as it is
TABLES = ("verdicts", "effects", "selected", "summary", "plan", "trajectories", "supports", "oracle", "datasets", "mechanism_pairs",
          "precision", "torch_flags", "calibration", "published", "dictionary")


def show(
    load: Load,
    claims: Sequence[Claim],
    what: str,
    name: str | None = None,
    where: str | None = None,
    out: Out | None = None,
) -> None:
    """Print what `wdbench show` asks for: runs, claims, claim ID, cell ID, identities, advice, mechanisms, controls, replication; or one
    of TABLES with all of its columns.

    load: name of a published table -> the table. where: a filter over the rows shown. Raises UserError for an
    unknown id, a missing one, or a filter that does not fit.
    """
    kinds = {"runs": _runs, "claims": _claims, "claim": _claim, "cell": _cell, "identities": _identities,
             "advice": _advice, "mechanisms": _mechanisms, "controls": _controls, "replication": _replication}
    if what not in kinds and what not in TABLES:
        raise UserError(f"show: value {what!r}: valid: {', '.join((*kinds, *TABLES))}")
    if what in ("claim", "cell") and not name:
        raise UserError(
            f"show {what}: needs an id, as in: wdbench show {what} {claims[0].id if what == 'claim' and claims else 'ID'}"
        )
    if name is not None and what not in ("claim", "cell", "identities"):
        raise UserError(f"show {what}: value {name!r}: takes no id; narrow its rows with --where")
    if where is not None and not where.strip():
        raise UserError(f"--where: value {where!r}: an empty filter; leave --where out to see every row")
    if where is not None and what == "cell":
        raise UserError(f"--where: value {where!r}: show cell has one row, that of its id; valid: no filter")
    if what in kinds:
        kinds[what](load, claims, name, where or "", out or sys.stdout)
        return
    rows = _filtered(load(what), where or "")
    columns = [str(name) for name in rows]
    table(columns, _records(rows, columns), out, title=f"{len(rows)} rows")


def registrations(rows: DataFrame, name: str | None, where: str | None, out: Out | None = None) -> None:
    """Print a table of `claims.history`; name: one claim. Raises UserError for an unknown one, or a filter that does not fit."""
    if name is not None:
        if name not in set(rows["claim_id"]):
            raise UserError(f"show registrations: value {name!r}: unknown claim; valid: {', '.join(rows['claim_id'])}")
        rows = rows[rows["claim_id"] == name]
    rows = _filtered(rows, where or "")
    columns = [str(name) for name in rows]
    table(columns, _records(rows, columns), out, title=f"{len(rows)} claims", most=len(rows))


def _filtered(rows: DataFrame, where: str) -> DataFrame:
    if not where:
        return rows
    parsed = filters.parse(where, "--where")
    if not parsed.columns:
        raise UserError(f"--where: value {where!r}: reads no column; valid: a filter over columns, such as {rows.columns[0]} == \"...\"")
    return parsed.rows(rows)


def _records(rows: DataFrame, columns: Sequence[str]) -> list[tuple[object, ...]]:
    return list(rows[list(columns)].astype(object).itertuples(index=False, name=None))


def _runs(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    rows = _filtered(load("runs"), where)
    columns = [column for column in RUN_COLUMNS if column in rows]
    if is_terminal(out):  # columns without a value in these rows take room from the others
        columns = [column for column in columns if rows[column].notna().any()]
    table(columns, _records(rows, columns), out, title=f"{len(rows)} cells")


def _claims(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    known = {claim.id: claim for claim in claims}
    rows = load("verdicts")
    overall = (
        rows.assign(_rank=rows["dataset"].ne("all"))
        .sort_values("_rank", kind="stable")
        .drop_duplicates("claim_id")
    )
    overall = _filtered(overall.drop(columns="_rank"), where)
    order = {claim_id: place for place, claim_id in enumerate(known)}
    overall = overall.sort_values(
        "claim_id", key=lambda ids: ids.map(order).fillna(len(order)), kind="stable"
    )
    if not is_terminal(out):
        table(PIPED[:1] + PIPED[2:], _records(overall, PIPED[:1] + PIPED[2:]), out)
        return
    found = []
    for row in overall.to_dict("records"):
        claim = known.get(row["claim_id"])
        estimate = words.estimate(row, claim) if claim is not None else words.number(row["estimate"])
        found.append(
            (
                row["claim_id"],
                str(row["verdict"]),
                estimate,
                words.count(row["n"]) if row["n"] else "–",
                str(row["sentence"]),
            )
        )
    table(("claim", "verdict", "estimate [interval]", "n", "sentence"), found, out)
    counted = overall["verdict"].value_counts()
    text = ", ".join(f"{n} {labels.VERDICTS.get(str(v), str(v))}" for v, n in counted.items())
    example = overall["claim_id"].iloc[0] if len(overall) else "ID"
    say(f"\n{len(overall)} claims: {text}. One of them: wdbench show claim {example}", out)
    doubted = [claim_id for claim_id in overall["claim_id"] if claim_id in _doubts(load)]
    if doubted:
        say(f"In doubt, since a control of their studies failed (controls.csv): {', '.join(doubted)}", out)


def _doubts(load: Load) -> dict[str, list[str]]:
    try:
        return controls.doubts(load("controls"))
    except sealing.Damaged:
        raise
    except UserError:  # verdicts can be looked at before anything was concluded from them
        return {}


def _claim(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    known = {claim.id: claim for claim in claims}
    if name not in known:
        raise UserError(f"show claim: value {name!r}: unknown claim; valid: {', '.join(known)}")
    claim, verdicts = known[name], load("verdicts")
    rows = _filtered(verdicts[verdicts["claim_id"] == name], where)
    overall = next((row for row in rows.to_dict("records") if row["dataset"] == "all"), None)
    doubts = _doubts(load).get(claim.id, [])
    if not isinstance(out, Sheet):
        # a document's table is the verdicts by themselves
        facts(_claim_facts(claim, overall or {}) + [("in doubt", f"a control failed: {doubt}") for doubt in doubts], out)
    if claim.kind == "identity":
        _identities(load, claims, claim.identity, "", out)
        return
    if not is_terminal(out):
        table(PIPED, _records(rows, PIPED), out)
        return
    found = [
        (
            row["dataset"],
            str(row["verdict"]),
            words.estimate(row, claim),
            words.count(row["n"]),
            words.p_value(row["p_holm"]),
            words.effect_value(row["mde"], claim).removeprefix("+"),
            _naive(row, claim),
            _text(row["reason"]),
        )
        for row in rows.to_dict("records")
    ]
    say("", out)
    table(
        ("data set", "verdict", "estimate [interval]", "n", "p (Holm)", "MDE", "naive way", "reason"),
        found,
        out,
    )


def _claim_facts(claim: Claim, overall: Mapping[Hashable, object]) -> list[tuple[str, object]]:
    """What is known of a claim as a whole; empty facts left out."""
    told = {
        "claim": claim.id,
        "sentence": claim.sentence,
        "source": claim.source,
        "kind": claim.kind,
        "experiment": claim.experiment,
        "expected": claim.expect,
        "trap": claim.trap or (claim.naive.trap if claim.naive else ""),
        "not tested": claim.not_tested,
        "estimate is": words.effect_name(claim) if claim.tested else "",
        "equation": overall.get("equation"),
        "registered": overall.get("registered"),
        "post hoc": overall.get("post_hoc_why") if overall.get("post_hoc") in (True, "True") else "",
        "verdict": overall.get("verdict", "not_tested"),
        "reason": overall.get("reason"),
    }
    return [(name, value) for name, value in told.items() if not words.missing(value) and str(value)]


def _text(value: object) -> str:
    return "" if words.missing(value) else str(value)


def _naive(row: Mapping[Hashable, object], claim: Claim) -> str:
    verdict = _text(row.get("naive_verdict"))
    return f"{words.effect_value(row.get('naive_estimate'), claim)} {verdict}" if verdict else ""


def _cell(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    runs = load("runs")
    hits = runs[runs["cell_id"].astype(str).str.startswith(name or "")]
    if hits["cell_id"].nunique() != 1:
        found = "no cell begins" if hits.empty else f"{hits['cell_id'].nunique()} cells begin"
        raise UserError(f"show cell: value {name!r}: {found} with it; wdbench show runs lists them")
    row = hits.iloc[0]
    facts([(column, row[column]) for column in hits.columns if not pd.isna(row[column])], out)


def _advice(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    rows = _filtered(load("advice"), where)
    if not is_terminal(out):
        table(ADVICE_COLUMNS, _records(rows, ADVICE_COLUMNS), out)
        return
    known = {claim.id: claim for claim in claims}
    found = []
    for row in rows.to_dict("records"):
        text = row["advice"] if not words.missing(row["advice"]) else f"no advice: {row['no_advice']}"
        estimate = words.estimate(row, known[row["claim_id"]]) if row["claim_id"] in known and not words.missing(row["advice"]) else ""
        rests = " ".join(_text(row[column]) for column in ("claim_id", "part"))
        found.append((row["model"], row["precision"], row["question"], text, estimate, rests, _text(row["verdict"])))
    table(("model", "precision", "question", "advice", "effect [interval]", "rests on", "verdict"), found, out,
          most=len(found))
    count = int(rows["advice"].notna().sum())
    say(f"\n{count} pieces of advice; {len(rows) - count} times none, since no verdict supports any", out)


def _mechanisms(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    rows = _filtered(load("mechanisms"), where)
    if is_terminal(out):
        rows = rows[rows["story"].notna()]
    table(MECHANISM_COLUMNS, _records(rows, MECHANISM_COLUMNS), out)


def _controls(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    rows = _filtered(load("controls"), where)
    table(CONTROL_COLUMNS, _records(rows, CONTROL_COLUMNS), out)


def _replication(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    rows = _filtered(load("replication"), where)
    table(REPLICATION_COLUMNS, _records(rows, REPLICATION_COLUMNS), out)


def _identities(load: Load, claims: Sequence[Claim], name: str | None, where: str, out: Out) -> None:
    rows = _filtered(load("identities"), where)
    known = list(dict.fromkeys(rows["identity"]))
    if name:
        rows = rows[rows["identity"] == name]
        if rows.empty:
            raise UserError(f"show identities: value {name!r}: no such identity; valid: {', '.join(known)}")
    rows = rows.astype({"holds": "boolean"})
    rows["result"] = rows["holds"].map({True: "holds", False: "fails"}).astype(object).fillna("not_tested")
    table(IDENTITY_HEADERS, _records(rows, IDENTITY_COLUMNS), out)
