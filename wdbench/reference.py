"""The accepted run in results/reference: a user's run held against it, and a run made the accepted one."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wdbench import atomic, frames, grid, judging, pace, sealing, work
from wdbench.comparing import VERDICT_KEYS, changed_verdicts
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError

PACK = ["dataset", "model", "optimiser", "replicate"]
ROUNDING = 1e-6
"""Relative difference of effects without an interval that platforms may leave."""


def verify(experiment: Experiment, reference: str | Path | None = None) -> bool:
    """Compare a run with the reference: its cells, its bits where platform and code agree, its verdicts, its effects. True if all agree.

    Effects agree where their difference is within the joint half width of both intervals (`outside`). reference: None for `folder`. Raises
    UserError for a missing or damaged file, and a reference of another profile.
    """
    where = work.paths(experiment)
    reference = folder(experiment) if reference is None else Path(reference)
    for path in (where["verdicts"], where["manifest"], reference / "verdicts.csv", reference / "manifest.json"):
        if not path.exists():
            raise UserError(f"{path}: missing; run snakemake --cores 2 first, and give a reference with verdicts.csv and manifest.json")
    mine, theirs = (sealing.manifest(folder) for folder in (where["folder"], reference))
    if mine["profile"] != theirs["profile"]:
        raise UserError(f"{where['manifest']}: profile: value {mine['profile']!r}: the reference is of profile {theirs['profile']!r}")
    # the manifest speaks for the rows only as long as they are what it saw
    if hashlib.sha256(sealing.content(where["runs"])).hexdigest() != mine["tables"]["runs.parquet"]["sha256"]:
        raise UserError(f"{where['manifest']}: is of other rows than {where['runs']}; run snakemake --cores 2")
    for name in ("effects", "selected", "verdicts"):
        sealing.content(where[name])
    cells = mine["tables"]["plan.csv"]["sha256"] == theirs["tables"]["plan.csv"]["sha256"]
    print(f"cells: {mine['cells']:,}, {'the same as' if cells else 'NOT THE SAME AS'} the reference's {theirs['cells']:,}"
          + ("" if cells else " (other config, data or code)"))
    bits = True
    if mine["platform_key"] == theirs["platform_key"] and mine["code"] == theirs["code"]:
        bits = mine["tables"]["runs.parquet"]["content_sha256"] == theirs["tables"]["runs.parquet"]["content_sha256"]
        print(f"same platform and code: the rows are {'equal bit for bit' if bits else 'DIFFERENT'}")
    else:
        print("another platform or other code than the reference: bits are not compared")
    changed = changed_verdicts(reference, where["folder"])
    overall = changed[changed["dataset"] == "all"]
    print(f"verdicts: {len(changed)} differ from the reference, {len(overall)} of them overall verdicts")
    for row in changed.itertuples():
        print(f"  {row.claim_id} [{row.dataset}]: reference {row.verdict_a}, here {row.verdict_b}")
    far = outside(sealing.read(reference / "verdicts.csv"), sealing.read(where["verdicts"]))
    print(f"estimates: {len(far)} differ from the reference's by more than both intervals together")
    for row in far.itertuples():
        print(f"  {row.claim_id} [{row.dataset}]: reference {row.estimate_a:.4g}, here {row.estimate_b:.4g}, "
              f"joint half width {row.joint:.2g}")
    return cells and bits and changed.empty and far.empty


def outside(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Effects of two verdicts.csv that differ by more than the joint half width √(h_a² + h_b²) of their intervals; identities, which
    keep to a bound, are left out. Columns claim_id, dataset, estimate_a, estimate_b, joint.
    """
    columns = [*VERDICT_KEYS, "kind", "estimate", "ci_low", "ci_high"]
    both = a[columns].merge(b[columns], on=VERDICT_KEYS, suffixes=("_a", "_b"))
    both = both[both["kind_a"].ne("identity") & both["estimate_a"].notna() & both["estimate_b"].notna()]
    half = [(both[f"ci_high_{side}"] - both[f"ci_low_{side}"]).fillna(0.0) / 2 for side in "ab"]
    both["joint"] = np.maximum(np.hypot(half[0], half[1]), ROUNDING * np.maximum(both["estimate_a"].abs(), 1.0))
    far = (both["estimate_a"] - both["estimate_b"]).abs() > both["joint"]
    return both.loc[far, [*VERDICT_KEYS, "estimate_a", "estimate_b", "joint"]]


def folder(experiment: Experiment) -> Path:
    """Where the accepted run of the experiment's profile lies."""
    accepted = experiment.results / "reference"
    return accepted if experiment.profile == "core" else accepted / experiment.profile


def accept(experiment: Experiment, reference: str | Path | None = None, readme: str | Path = "README.md") -> None:
    """Make this run's verdicts, summary, manifest (and calibration, replication) the reference, and renew README.md's table.

    reference: None for `folder`. Of a profile other than core, the table has the claims that core does not test, and the summary the
    rows that core does not have. Raises UserError for a
    missing or damaged table, and a README.md without the marks of the profile.
    """
    where = work.paths(experiment)
    reference = folder(experiment) if reference is None else Path(reference)
    titles = {claim.id: claim.title for claim in judging.registered_claims(experiment)}
    costly = [name for name in ("calibration", "replication") if where[name].exists()]
    for name in ("verdicts", "summary", "manifest", *costly):
        sealing.content(where[name])
    sealing.manifest(where["folder"])
    verdicts, summary = sealing.read(where["verdicts"], keep_default_na=False, na_values=[""]), sealing.read(where["summary"])
    if experiment.profile != "core":
        core = experiment.results / "reference"
        known = sealing.read(core / "verdicts.csv", keep_default_na=False, na_values=[""])
        verdicts = verdicts[verdicts["claim_id"].isin(known.loc[_of_another_profile(known), "claim_id"])]
        accepted = sealing.read(core / "summary.parquet")
        # named twice, so that no row of core's is left
        summary = pd.concat([summary, accepted, accepted]).drop_duplicates(keep=False)
    programs = _pace(where["runs"])
    table = verdict_table(verdicts, titles)
    text = _with_table(Path(readme), marks(experiment.profile), table)
    reference.mkdir(parents=True, exist_ok=True)
    for name in ("verdicts", "manifest", *costly):
        shutil.copyfile(where[name], reference / where[name].name)
    # 70,000 lines: as Parquet a ninth of the CSV, which every later acceptance would add to the repository again
    atomic.write_parquet(reference / "summary.parquet", summary)
    atomic.write_csv(reference / "pace.csv", programs)
    atomic.write_text(readme, text)


def _pace(runs: Path) -> pd.DataFrame:
    """What each program of a run took: `plan` predicts from it where nothing has been trained yet."""
    rows = sealing.read(runs, columns=[*pace.KEYS, "replicate", "train_seconds"])
    packs = {key: grid.pack_id(*key) for key in rows[PACK].drop_duplicates().itertuples(index=False, name=None)}
    return pace.programs(rows.assign(pack=[packs[key] for key in rows[PACK].itertuples(index=False, name=None)]))


def marks(profile: str) -> tuple[str, str]:
    """The lines of README.md between which the verdicts of a profile stand."""
    name = "verdicts" if profile == "core" else f"verdicts of {profile}"
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def _with_table(readme: Path, between: tuple[str, str], table: str) -> str:
    text = readme.read_text(encoding="utf-8")
    begin, end = (text.find(mark) for mark in between)
    if begin < 0 or end < begin:
        raise UserError(f"{readme}: lacks the lines {between[0]} and {between[1]} between which the verdict table goes")
    return f"{text[: begin + len(between[0])]}\n{table}\n{text[end:]}"


def _of_another_profile(verdicts: pd.DataFrame) -> pd.Series:
    """bool [rows]: claims whose runs this profile does not train."""
    return verdicts["verdict"].eq("not_tested") & verdicts["reason"].astype(str).str.contains("its runs are not part of this profile")


def verdict_table(verdicts: pd.DataFrame, titles: Mapping[str, str] | None = None) -> str:
    """Overall verdicts as a Markdown table, and how many claims are left to other profiles; titles: claim id -> what it says in plain
    words, shown below its sentence.
    """
    elsewhere = _of_another_profile(verdicts)
    lines = ["| claim | sentence | verdict | effect [95 %]; identities: measured and bound | n |", "|---|---|---|---|---|"]
    for row in frames.records(verdicts[verdicts["dataset"].eq("all") & ~elsewhere]):
        title = (titles or {}).get(str(row["claim_id"]))
        sentence = _cell(str(row["sentence"])) + (f"<br>*{_cell(title)}*" if title else "")
        verdict = f"**{row['verdict']}**" + (" (post hoc)" if str(row["post_hoc"]) == "True" else "")
        number = "" if pd.isna(row["n"]) or row["verdict"] == "not_tested" else f"{int(row['n'])}"
        lines.append(f"| {row['claim_id']} | {sentence} | {verdict} | {_effect(row)} | {number} |")
    if elsewhere.any():
        lines += ["", f"{int(elsewhere.sum())} more claims are about runs of other profiles (`show claims` names the command)."]
    return "\n".join(lines)


def _effect(row: Mapping[str, Any]) -> str:
    estimate, margin = row["estimate"], row["margin"]
    if row["verdict"] == "not_tested" or pd.isna(estimate):
        return ""
    if row["kind"] == "identity":
        # which side of its bound a number is on says whether it is an error or a difference that must be there
        below = estimate < margin or estimate == margin and row["verdict"] == "holds"
        return f"{estimate:.3g} {'≤' if below else '≥'} {margin:.3g}"
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.3g}, {row['ci_high']:.3g}]"
    return f"{estimate:.3g}{interval}"


def _cell(text: str) -> str:
    """Text that GitHub shows as it is inside a table."""
    return str(text).replace("|", r"\|")
