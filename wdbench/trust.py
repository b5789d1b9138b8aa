"""The judge judged: what `calibrate` and `replicate` of the command line do."""

from collections.abc import Sequence

import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wdbench import calibration, datasets, grid, judging, replication, sealing, work
from wdbench.config.experiment import Experiment


def calibrate(experiment: Experiment, kinds: Sequence[str], worlds: int, processes: int) -> None:
    """Write calibration.csv, and print where a goal is missed; see `wdbench.calibration`. Kinds that are left out keep their rows."""
    path = work.paths(experiment)["calibration"]
    wanted = calibration.settings(tuple(kinds))
    with _progress("worlds judged") as bar:
        task = bar.add_task("", total=len(wanted) * worlds)
        found = calibration.calibrate(wanted, worlds, processes, lambda n: bar.advance(task, n))
    if path.exists():
        kept = judging.table(experiment, "calibration")
        found = pd.concat([kept[~kept["kind"].isin(found["kind"])], found], ignore_index=True)
    sealing.write_csv(path, found)
    missed = found[found["meets_goal"] == "no"]
    print(f"{path}: {len(found)} settings, {int(found['worlds'].sum()):,} worlds; {len(missed)} settings miss their goal")
    for row in missed.itertuples():
        print(f"  {row.kind}, {row.spread}, truth {row.truth:g}, {row.replicates} replicates: upheld in {row.upheld:.1%} of the worlds "
              f"[{row.upheld_low:.1%}, {row.upheld_high:.1%}], goal {row.goal}")


def replicate(experiment: Experiment, processes: int) -> None:
    """Write replication.csv, and print which verdicts stand; see `wdbench.replication`."""
    where = work.paths(experiment)
    other = experiment.results / "replication" / "verdicts.csv"
    fresh = sealing.read(other, keep_default_na=False, na_values=[""]) if other.exists() and other != where["verdicts"] else None
    plan = judging.table(experiment, "plan")
    expected = judging.expected_rows(plan.assign(dataset_base=plan["dataset"].map(datasets.base_name)))
    with _progress("families judged again") as bar:
        task = bar.add_task("", total=None)
        runs, verdicts, trajectories = (judging.table(experiment, name) for name in ("runs", "verdicts", "trajectories"))
        runs = replication.with_best_iterates(runs, trajectories)
        found = replication.replicate(runs, judging.registered_claims(experiment), expected, verdicts, grid.absent(experiment),
                                      experiment.elsewhere, fresh, processes,
                                      lambda done, of: bar.update(task, completed=done, total=of))
    sealing.write_csv(where["replication"], found)
    for name, rows in found.groupby("variant", sort=False):
        count = rows["stands"].value_counts()
        print(f"{name}: {len(rows)} verdicts again: " + ", ".join(f"{word} {count[word]}" for word in count.index))
    for row in found[found["stands"] == "contradicted"].itertuples():
        print(f"  contradicted: {row.claim_id}, {row.variant} ({row.detail}): {row.main_verdict}, then {row.verdict}")
    if fresh is None:
        print(f"{other}: not there; snakemake --cores 2 --config profile=replication trains and judges other replicates")


def _progress(what: str) -> Progress:
    return Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
