"""The last stages as the command line calls them: judge, draw, report, show, register. Reads tables, writes tables."""

import datetime
import io
from collections.abc import Sequence

import pandas as pd

from wdbench import atomic, claims, datasets, dictionary, gather, grid, sealing, work
from wdbench.claims import history, reach, registration, unmatched
from wdbench.config import claims as schema
from wdbench.config import yamlio
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError


def registered_claims(experiment: Experiment) -> tuple[schema.Claim, ...]:
    """The claims of the experiment's claims file; studies must exist in its config."""
    if not experiment.claims.exists():
        raise UserError(f"{experiment.source}: claims: value {str(experiment.claims)!r}: no such file; valid: the path of a file of claims")
    found = schema.from_mapping(yamlio.read(experiment.claims), str(experiment.claims))
    claims.check(found, studies={*experiment.studies, *experiment.elsewhere}, path=str(experiment.claims))
    return found


def table(experiment: Experiment, name: str) -> pd.DataFrame:
    """A published table. Raises UserError where it is missing or damaged."""
    path = work.paths(experiment)[name]
    if name == "replication" and (path := work.evidence(experiment, name)) is None:
        raise UserError(f"{work.paths(experiment)[name]}: missing; run: python -m wdbench replicate")
    return sealing.read(path) if path.suffix == ".parquet" else sealing.read(path, keep_default_na=False, na_values=[""])


def judge(experiment: Experiment) -> None:
    """Write verdicts, effects and selected."""
    found = registered_claims(experiment)
    where = work.paths(experiment)
    plan = table(experiment, "plan")
    judgement = claims.judge(table(experiment, "runs"), found, expected_rows(plan), registration.load(experiment.ledger),
                             table(experiment, "identities"), grid.absent(experiment), str(experiment.claims), experiment.elsewhere)
    for name in ("selected", "effects", "verdicts"):
        sealing.write_csv(where[name], getattr(judgement, name))


def expected_rows(plan: pd.DataFrame) -> pd.DataFrame:
    """The plan with the columns of the runs table that it can know, for the completeness gate."""
    relative, relative_lr = plan["lambda_unit"] == "relative", plan["lr_unit"] == "relative"
    on_clock = plan["lambda_given"].where(plan["lambda_unit"] == "clock")
    return plan.assign(
        lambda_rel=plan["lambda_given"].where(relative), lambda_clock=on_clock, lr_rel=plan["lr_given"].where(relative_lr)
    ).rename(columns={"lambda_given": "_lambda", "lr_given": "_lr"})


def conclude(experiment: Experiment) -> None:
    """Write mechanisms, mechanism_pairs, advice, precision and controls.

    Raises UserError where mechanisms.yaml, advice.yaml or controls.yaml names a claim that is not in the claims file that it is about.
    A claims file of another name (that of the profile smoke) may hold fewer.
    """
    from wdbench.conclusions import advice, controls, mechanisms, precision
    from wdbench.conclusions import schema as meanings

    where, found = work.paths(experiment), registered_claims(experiment)
    ids = [claim.id for claim in found]
    structure, rules, demanded = meanings.mechanisms(), meanings.advice(), meanings.controls()
    if experiment.claims.name == structure.claims:
        structure, rules, demanded = meanings.mechanisms(ids), meanings.advice(ids), meanings.controls(ids)
    verdicts, effects = table(experiment, "verdicts"), table(experiment, "effects")
    evidence = mechanisms.table(structure, found, verdicts, effects)
    sealing.write_csv(where["mechanisms"], evidence)
    sealing.write_csv(where["mechanism_pairs"], mechanisms.pairs(evidence, structure))
    sealing.write_csv(where["advice"], advice.table(rules, found, verdicts, effects))
    sealing.write_csv(where["controls"], controls.table(demanded, found, verdicts, effects))
    sealing.write_csv(where["precision"], precision.table(table(experiment, "runs")))


def draw(experiment: Experiment, processes: int = 1) -> None:
    """Draw every figure from the tables, in so many processes."""
    from wdbench.figures.draw import draw_all

    names = ("runs", "trajectories", "oracle", "summary", "verdicts", "effects", "selected", "identities")
    draw_all({name: table(experiment, name) for name in names}, registered_claims(experiment),
             work.paths(experiment)["figures"], processes)


def report(experiment: Experiment) -> None:
    """Write dictionary.csv, manifest.json and report.html."""
    from wdbench.figures.draw import load
    from wdbench.report import render

    where = work.paths(experiment)
    names = ("plan", "runs", "trajectories", "supports", "oracle", "summary", "datasets", "identities", "selected", "effects",
             "verdicts", "mechanisms", "mechanism_pairs", "advice", "precision", "controls", "torch_flags")
    tables = {name: table(experiment, name) for name in names}
    for name in ("calibration", "replication", "published"):
        path = work.evidence(experiment, name)
        tables[name] = pd.DataFrame() if path is None else sealing.read(path, keep_default_na=False, na_values=[""])
    tables["dictionary"] = dictionary.describe(tables)
    sealing.write_csv(where["dictionary"], tables["dictionary"])
    gather.manifest(experiment)
    checks = where["folder"] / "data_checks.csv"
    tables["data_checks"] = sealing.read(checks) if checks.exists() else pd.DataFrame()
    html = render(tables, registered_claims(experiment), sealing.manifest(where["folder"]), load(where["figures"]))
    sealing.seal(atomic.write_text(where["report"], html))


def show(experiment: Experiment, what: str, name: str | None, where: str | None) -> None:
    """Print a table; see `wdbench show --help`."""
    from wdbench import show as printing

    if what == "registrations":
        printing.registrations(history.table(registered_claims(experiment), experiment.ledger), name, where)
        return
    printing.show(lambda table_name: table(experiment, table_name), registered_claims(experiment), what, name, where)


def unreachable(experiment: Experiment) -> dict[str, str]:
    """claim id -> why no outcome of this plan could uphold it; see `claims.reach`.

    Raises UserError for a claim that names a figure, an identity or cells that there are not.
    """
    # through CSV, as the judge reads it: a column of numbers with gaps is no text then
    plan = pd.read_csv(io.StringIO(gather.plan(experiment).to_csv(index=False)), keep_default_na=False, na_values=[""], low_memory=False)
    bases = {name: datasets.base_name(name) for name in plan["dataset"].unique()}
    found, expected = registered_claims(experiment), expected_rows(plan.assign(dataset_base=plan["dataset"].map(bases)))
    check_names(found, str(experiment.claims))
    unmatched.check(found, expected, experiment.elsewhere, str(experiment.claims))
    return reach.unreachable(found, expected)


def check_names(found: Sequence[schema.Claim], path: str) -> None:
    """Every figure and identity that the claims name must exist. Raises UserError naming file, claim and field."""
    from wdbench import identities
    from wdbench.figures import draw

    known = sorted({check.identity for check in identities.CHECKS.values()}, key=identities.registry.number)
    for claim in found:
        if claim.kind == "identity" and claim.not_tested is None and claim.identity not in known:
            raise UserError(f"{path}: claim {claim.id}.identity: value {claim.identity!r}: no such identity; valid: {', '.join(known)}")
        try:
            draw.registry.check(claim)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


def register(experiment: Experiment, update: bool) -> None:
    """Enter new claims in the ledger, with the number of their rows that exist already; say which can never be upheld."""
    found = registered_claims(experiment)
    path = experiment.ledger
    seen: dict[str, int] = {}
    if work.paths(experiment)["runs"].exists():
        runs = table(experiment, "runs")
        per_study = {s: int(runs["study"].str.split("+").map(lambda names, s=s: s in names).sum()) for s in experiment.studies}
        seen = {c.id: sum(per_study.get(s, 0) for s in c.study) for c in found}
    done = registration.register(found, path, datetime.date.today().isoformat(), seen, update)
    print(f"{path}: {len(done.added)} added, {len(done.updated)} updated")
    for claim_id in done.differing:
        print(f"  {claim_id}: differs from its entry and is post hoc; --update records the change and keeps the old entry")
    for claim_id in done.withdrawn:
        print(f"  {claim_id}: in the ledger, and no longer in {experiment.claims}")
    for sentence in unreachable(experiment).values():
        print(f"  {sentence}")
