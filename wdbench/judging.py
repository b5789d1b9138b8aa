"""The last stages as the command line calls them: judge, draw, report, show, register. Reads tables, writes tables."""

import datetime
import io
import sys
from collections.abc import Sequence

import pandas as pd

from wdbench import atomic, claims, datasets, dictionary, gather, grid, sealing, work
from wdbench.claims import history, reach, registration, unmatched
from wdbench.config import claims as schema
from wdbench.config import yamlio
from wdbench.config.experiment import Experiment
from wdbench.errors import UserError
from wdbench.export import Form, Sheet

# tables that no run makes by itself, and the verb that does
BY_HAND = {"replication": "replicate", "calibration": "calibrate", "published": "compare-published"}


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
    if name in BY_HAND:
        known = work.evidence(experiment, name)
        if known is None:
            raise UserError(f"{path}: missing; run: python -m wdbench {BY_HAND[name]}")
        path = known
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

    What mechanisms.yaml, advice.yaml and controls.yaml say of claims that the run does not have is left out, and the tables say so.
    """
    from wdbench.conclusions import advice, catalogue, controls, mechanisms, precision
    from wdbench.conclusions import schema as meanings

    where, found = work.paths(experiment), registered_claims(experiment)
    structure, rules, demanded = meanings.mechanisms(), meanings.advice(), meanings.controls()
    named = {source.claim for one in (structure, rules, demanded) for source in one.sources()}
    meant = catalogue.meant(named, found, structure.claims)
    ours = [claim for claim in found if claim.id in meant]
    verdicts, effects = table(experiment, "verdicts"), table(experiment, "effects")
    evidence = mechanisms.table(structure, ours, verdicts, effects)
    sealing.write_csv(where["mechanisms"], evidence)
    sealing.write_csv(where["mechanism_pairs"], mechanisms.pairs(evidence, structure))
    sealing.write_csv(where["advice"], advice.table(rules, ours, verdicts, effects))
    sealing.write_csv(where["controls"], controls.table(demanded, found, verdicts, effects, meant))
    sealing.write_csv(where["precision"], precision.table(table(experiment, "runs")))


def draw(experiment: Experiment, processes: int = 1, pdf: bool = False) -> None:
    """Draw every figure from the tables, in so many processes; pdf: for papers, beside what is drawn otherwise."""
    from wdbench.figures.draw import draw_all

    names = ("runs", "trajectories", "oracle", "summary", "verdicts", "effects", "selected", "identities")
    draw_all({name: table(experiment, name) for name in names}, registered_claims(experiment),
             work.paths(experiment)["figures"], processes, pdf)


def report(experiment: Experiment) -> None:
    """Write dictionary.csv, manifest.json and report.html."""
    from wdbench.figures.draw import load
    from wdbench.report import render
    from wdbench.report.explorer import explorer
    from wdbench.report.heatmaps import heatmaps

    where = work.paths(experiment)
    names = ("plan", "runs", "trajectories", "supports", "oracle", "summary", "datasets", "identities", "selected", "effects",
             "verdicts", "mechanisms", "mechanism_pairs", "advice", "precision", "controls", "torch_flags")
    tables = {name: table(experiment, name) for name in names}
    for name in BY_HAND:
        path = work.evidence(experiment, name)
        tables[name] = pd.DataFrame() if path is None else sealing.read(path, keep_default_na=False, na_values=[""])
    tables["dictionary"] = dictionary.describe(tables)
    sealing.write_csv(where["dictionary"], tables["dictionary"])
    gather.manifest(experiment)
    checks = where["folder"] / "data_checks.csv"
    tables["data_checks"] = sealing.read(checks) if checks.exists() else pd.DataFrame()
    html = render(tables, registered_claims(experiment), sealing.manifest(where["folder"]), load(where["figures"]),
                  explorer({**tables, "solutions": solutions(experiment)}), heatmaps(tables))
    sealing.seal(atomic.write_text(where["report"], html))


def solutions(experiment: Experiment) -> pd.DataFrame:
    """The exact minimisers of every data set of the run, weights included; empty where it has none."""
    packs, _ = grid.available_packs(experiment)
    frames = [work.solutions(experiment, base) for base in sorted({pack.split("~")[0] for pack in packs if grid.has_oracle(pack)})]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def show(experiment: Experiment, what: str, name: str | None, where: str | None, form: Form | None = None) -> None:
    """Print a table, form: as a document has it; see `wdbench show --help`."""
    from wdbench import show as printing

    out = None if form is None else Sheet(sys.stdout, form)
    if what == "registrations":
        printing.registrations(history.table(registered_claims(experiment), experiment.ledger), name, where, out)
        return
    printing.show(lambda table_name: table(experiment, table_name), registered_claims(experiment), what, name, where, out)


def unreachable(experiment: Experiment) -> dict[str, str]:
    """claim id -> why no outcome of this plan could uphold it; see `claims.reach`.

    Raises UserError for a claim that names a figure, an identity, a column or cells that there are not.
    """
    # through CSV, as the judge reads it: a column of numbers with gaps is no text then
    plan = pd.read_csv(io.StringIO(gather.plan(experiment).to_csv(index=False)), keep_default_na=False, na_values=[""], low_memory=False)
    bases = {name: datasets.base_name(name) for name in plan["dataset"].unique()}
    found, expected = registered_claims(experiment), expected_rows(plan.assign(dataset_base=plan["dataset"].map(bases)))
    # an outcome has no column yet: its name must be one that the dictionary has, since no other is ever published
    published = {column for column in dictionary.entries() if "." not in column}
    claims.check(found, columns=sorted(published | set(plan.columns)), path=str(experiment.claims))
    check_names(found, str(experiment.claims))
    unmatched.check(found, expected, experiment.elsewhere, str(experiment.claims))
    return reach.unreachable(found, expected)


def check_names(found: Sequence[schema.Claim], path: str) -> None:
    """Every figure and identity that the claims name must exist. Raises UserError naming file, claim and field."""
    from wdbench import identities
    from wdbench.figures import draw, registry  # noqa: F401  (draw imports every figure, which registers it)

    known = sorted({check.identity for check in identities.CHECKS.values()}, key=identities.registry.number)
    for claim in found:
        if claim.kind == "identity" and claim.not_tested is None and claim.identity not in known:
            raise UserError(f"{path}: claim {claim.id}.identity: value {claim.identity!r}: no such identity; valid: {', '.join(known)}")
        try:
            registry.check(claim)
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
    # what does not fit is refused before anything is entered
    hopeless = unreachable(experiment)
    done = registration.register(found, path, datetime.date.today().isoformat(), seen, update)
    print(f"{path}: {len(done.added)} added, {len(done.updated)} updated")
    for claim_id in done.differing:
        print(f"  {claim_id}: differs from its entry and is post hoc; --update records the change and keeps the old entry")
    for claim_id in done.withdrawn:
        print(f"  {claim_id}: in the ledger, and no longer in {experiment.claims}")
    for sentence in hopeless.values():
        print(f"  {sentence}")
