"""Runs held against each other, and against published numbers: replay of one cell, diff of two folders, verify, compare-published."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from wdbench import atomic, dictionary, judging, sealing, work
from wdbench import published as others
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError

VERDICT_KEYS = ["claim_id", "dataset"]
MARKS = ("<!-- verdicts: begin -->", "<!-- verdicts: end -->")


def replay(experiment: Experiment, cell_id: str) -> bool:
    """Train a cell by itself and print how its row compares with the stored one; True if equal to the last bit."""
    stored, fresh = work.replay(experiment, cell_id)
    columns = [c for c in stored.index if c in fresh.index and c not in dictionary.TIMED]
    different = [c for c in columns if not _equal(stored[c], fresh[c])]
    print(f"cell {stored['cell_id']}: {stored['dataset']} {stored['model']} {stored['optimiser']} {stored['penalty']} "
          f"{stored['coupling']} {stored['precision']} replicate {stored['replicate']}")
    for column in different:
        print(f"  {column}: stored {stored[column]!r}, replayed {fresh[column]!r}")
    print(f"weights {stored['weights_sha256']} -> {fresh['weights_sha256']}; "
          + (f"{len(columns)} columns equal bit for bit" if not different else f"{len(different)} columns DIFFER"))
    return not different


def _equal(a, b) -> bool:
    return a == b or (pd.isna(a) and pd.isna(b))


def diff(a: str | Path, b: str | Path) -> bool:
    """Print what differs between two result folders: cells, bits of runs, verdicts; True if nothing does."""
    left, right = Path(a), Path(b)
    for side in (a, b):
        if not str(side) or not Path(side).is_dir():
            raise UserError(f"diff: value {str(side)!r}: no such folder; valid: two result folders, each with a verdicts.csv")
    same = True
    if (left / "runs.parquet").exists() and (right / "runs.parquet").exists():
        one, two = (sealing.read(f / "runs.parquet").set_index("cell_id") for f in (left, right))
        only = (len(one.index.difference(two.index)), len(two.index.difference(one.index)))
        shared = one.index.intersection(two.index)
        columns = [c for c in one if c in two and c not in dictionary.TIMED]
        x, y = one.loc[shared, columns], two.loc[shared, columns]
        unequal = ~((x == y) | (x.isna() & y.isna()))
        print(f"cells: {len(shared):,} in both, {only[0]:,} only in {left}, {only[1]:,} only in {right}; "
              f"{int(unequal.any(axis=1).sum()):,} of the shared ones differ in some bit")
        for column in unequal.columns[unequal.any()]:
            print(f"  {column}: {int(unequal[column].sum()):,} cells")
        same = not any(only) and not unequal.any(axis=None)
    changed = _changed_verdicts(left, right)
    print(f"verdicts: {len(changed)} differ")
    for row in changed.itertuples():
        print(f"  {row.claim_id} [{row.dataset}]: {row.verdict_a} -> {row.verdict_b}")
    return same and changed.empty


def _changed_verdicts(a: Path, b: Path) -> pd.DataFrame:
    tables = []
    for folder in (a, b):
        path = folder / "verdicts.csv"
        if not path.exists():
            raise UserError(f"{path}: missing; a result folder has a verdicts.csv")
        tables.append(sealing.read(path)[[*VERDICT_KEYS, "verdict"]])
    both = tables[0].merge(tables[1], on=VERDICT_KEYS, how="outer", suffixes=("_a", "_b")).fillna("(absent)")
    return both[both["verdict_a"] != both["verdict_b"]]


def verify(experiment: Experiment, reference: str | Path) -> bool:
    """Compare verdicts, and bits where platform and code agree, with the reference; True if the verdicts are the same."""
    where = work.paths(experiment)
    reference = Path(reference)
    for path in (where["verdicts"], where["manifest"], reference / "verdicts.csv", reference / "manifest.json"):
        if not path.exists():
            raise UserError(f"{path}: missing; run snakemake --cores 2 first, and give a reference with verdicts.csv and manifest.json")
    mine, theirs = (sealing.manifest(folder) for folder in (where["folder"], reference))
    if mine["profile"] != theirs["profile"]:
        raise UserError(f"{where['manifest']}: profile: value {mine['profile']!r}: the reference is of profile {theirs['profile']!r}")
    # the manifest speaks for the rows only as long as they are what it saw
    if hashlib.sha256(sealing.content(where["runs"])).hexdigest() != mine["tables"]["runs.parquet"]["sha256"]:
        raise UserError(f"{where['manifest']}: is of other rows than {where['runs']}; run snakemake --cores 2")
    if mine["platform_key"] == theirs["platform_key"] and mine["code"] == theirs["code"]:
        bits = mine["tables"]["runs.parquet"]["content_sha256"] == theirs["tables"]["runs.parquet"]["content_sha256"]
        print(f"same platform and code: the rows are {'equal bit for bit' if bits else 'DIFFERENT'}")
    else:
        print("another platform or other code than the reference: bits are not compared")
    changed = _changed_verdicts(reference, where["folder"])
    overall = changed[changed["dataset"] == "all"]
    print(f"verdicts: {len(changed)} differ from the reference, {len(overall)} of them overall verdicts")
    for row in changed.itertuples():
        print(f"  {row.claim_id} [{row.dataset}]: reference {row.verdict_a}, here {row.verdict_b}")
    return changed.empty


def accept(experiment: Experiment, reference: str | Path = "results/reference", readme: str | Path = "README.md") -> None:
    """Make this run's verdicts, summary, manifest (and calibration, replication) the reference, and renew README.md's table."""
    where, reference = work.paths(experiment), Path(reference)
    titles = {claim.id: claim.title for claim in judging.registered_claims(experiment)}
    costly = [name for name in ("calibration", "replication") if where[name].exists()]
    for name in ("verdicts", "summary", "manifest", *costly):
        sealing.content(where[name])
    sealing.manifest(where["folder"])
    reference.mkdir(parents=True, exist_ok=True)
    for name in ("verdicts", "manifest", *costly):
        shutil.copyfile(where[name], reference / where[name].name)
    # 70,000 lines: as Parquet a ninth of the CSV, which every later acceptance would add to the repository again
    atomic.write_parquet(reference / "summary.parquet", sealing.read(where["summary"]))
    text = Path(readme).read_text(encoding="utf-8")
    begin, end = (text.find(mark) for mark in MARKS)
    if begin < 0 or end < begin:
        raise UserError(f"{readme}: lacks the lines {MARKS[0]} and {MARKS[1]} between which the verdict table goes")
    table = verdict_table(sealing.read(where["verdicts"], keep_default_na=False, na_values=[""]), titles)
    atomic.write_text(readme, f"{text[: begin + len(MARKS[0])]}\n{table}\n{text[end:]}")


def published(experiment: Experiment, docs: str | Path | None = None) -> None:
    """Write published.csv, print how many published values agree, and renew docs/others.md and its table where `docs` names a folder."""
    where, known = work.paths(experiment), others.load()
    page = None if docs is None else Path(docs) / "others.md"
    if page is not None and not page.is_file():
        raise UserError(f"--docs: value {str(docs)!r}: has no others.md; valid: the folder docs of the repository")
    table = others.compare(others.Evidence(where["folder"]), known)
    text = None if page is None else others.page(table, known, page.read_text(encoding="utf-8"))
    sealing.write_csv(where["published"], table)
    if page is not None:
        atomic.write_csv(page.parent / "published.csv", table)
        atomic.write_text(page, text)
    print(f"{len(table)} published values: " + ", ".join(f"{name} {count}" for name, count in table["agrees"].value_counts().items()))
    for row in table[table["agrees"] != "yes"].itertuples():
        print(f"  {row.agrees}: {row.source}: {row.quantity}: published {row.published}, ours {row.ours:.6g}")


def verdict_table(verdicts: pd.DataFrame, titles: Mapping[str, str] | None = None) -> str:
    """Overall verdicts as a Markdown table; titles: claim id -> what it says in plain words, shown below its sentence."""
    lines = ["| claim | sentence | verdict | effect [95 %]; identities: measured and bound | n |", "|---|---|---|---|---|"]
    for row in verdicts[verdicts["dataset"] == "all"].itertuples():
        title = (titles or {}).get(row.claim_id)
        sentence = _cell(row.sentence) + (f"<br>*{_cell(title)}*" if title else "")
        verdict = f"**{row.verdict}**" + (" (post hoc)" if str(row.post_hoc) == "True" else "")
        number = "" if pd.isna(row.n) or row.verdict == "not_tested" else f"{int(row.n)}"
        lines.append(f"| {row.claim_id} | {sentence} | {verdict} | {_effect(row)} | {number} |")
    return "\n".join(lines)


def _effect(row) -> str:
    if row.verdict == "not_tested" or pd.isna(row.estimate):
        return ""
    if row.kind == "identity":
        # which side of its bound a number is on says whether it is an error or a difference that must be there
        below = row.estimate < row.margin or row.estimate == row.margin and row.verdict == "holds"
        return f"{row.estimate:.3g} {'≤' if below else '≥'} {row.margin:.3g}"
    interval = "" if pd.isna(row.ci_low) else f" [{row.ci_low:.3g}, {row.ci_high:.3g}]"
    return f"{row.estimate:.3g}{interval}"


def _cell(text: str) -> str:
    """Text that GitHub shows as it is inside a table."""
    return str(text).replace("|", r"\|")
