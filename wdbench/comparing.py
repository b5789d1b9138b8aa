"""Runs held against each other, and against published numbers: replay of one cell, diff of two folders, compare-published."""

from pathlib import Path
from typing import Any

import pandas as pd

from wdbench import atomic, dictionary, sealing, work
from wdbench import published as others
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError

VERDICT_KEYS = ["claim_id", "dataset"]


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


def _equal(a: Any, b: Any) -> bool:
    return a == b or (pd.isna(a) and pd.isna(b))


def diff(a: str | Path, b: str | Path) -> bool:
    """Print what differs between two result folders: cells, bits of runs, verdicts; True if nothing does."""
    left, right = Path(a), Path(b)
    for side in (a, b):
        if not str(side) or not Path(side).is_dir():
            raise UserError(f"diff: value {str(side)!r}: no such folder; valid: two result folders, each with a verdicts.csv")
    same = True
    if (left / "runs.parquet").exists() and (right / "runs.parquet").exists():
        one, two = (_runs(f / "runs.parquet") for f in (left, right))
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
    changed = changed_verdicts(left, right)
    print(f"verdicts: {len(changed)} differ")
    for row in changed.itertuples():
        print(f"  {row.claim_id} [{row.dataset}]: {row.verdict_a} -> {row.verdict_b}")
    return same and changed.empty


def _runs(path: Path) -> pd.DataFrame:
    """Runs by cell. Raises UserError where a cell has two rows."""
    found = sealing.read(path, ["cell_id"]).set_index("cell_id")
    if found.index.has_duplicates:
        twice = found.index[found.index.duplicated()][0]
        raise UserError(f"{path}: cell_id: value {twice!r}: stands in two rows; valid: one row a cell")
    return found


def changed_verdicts(a: Path, b: Path) -> pd.DataFrame:
    """claim_id, dataset, verdict_a, verdict_b of the verdicts of two folders that differ. Raises UserError for a missing table."""
    tables = []
    for folder in (a, b):
        path = folder / "verdicts.csv"
        if not path.exists():
            raise UserError(f"{path}: missing; a result folder has a verdicts.csv")
        # as text: a column that damage left empty would be read as numbers
        tables.append(sealing.read(path, [*VERDICT_KEYS, "verdict"], dtype=str, keep_default_na=False)[[*VERDICT_KEYS, "verdict"]])
    both = tables[0].merge(tables[1], on=VERDICT_KEYS, how="outer", suffixes=("_a", "_b")).fillna("(absent)")
    return both[both["verdict_a"] != both["verdict_b"]]


def published(experiment: Experiment, docs: str | Path | None = None) -> None:
    """Write published.csv, print how many published values agree, and renew docs/others.md and its table where `docs` names a folder."""
    where, known = work.paths(experiment), others.load()
    page = None if docs is None else Path(docs) / "others.md"
    if page is not None and not page.is_file():
        raise UserError(f"--docs: value {str(docs)!r}: has no others.md; valid: the folder docs of the repository")
    table = others.compare(others.Evidence(where["folder"]), known)
    text = "" if page is None else others.page(table, known, page.read_text(encoding="utf-8"))
    sealing.write_csv(where["published"], table)
    if page is not None:
        atomic.write_csv(page.parent / "published.csv", table)
        atomic.write_text(page, text)
    print(f"{len(table)} published values: " + ", ".join(f"{name} {count}" for name, count in table["agrees"].value_counts().items()))
    for row in table[table["agrees"] != "yes"].itertuples():
        print(f"  {row.agrees}: {row.source}: {row.quantity}: published {row.published}, ours {row.ours:.6g}")
