"""claims.yaml as frozen models: the language in which a claim is written down.

The file maps `claims:` to a list. A claim compares *arms* inside *blocks* (data set x replicate: same split,
initialisation and batches), once per *stratum* (a data set, or a case), and overall. Keys of a claim:

    id            short name, unique (B1)
    sentence      what is claimed, quoted
    source        where it is said
    family        claims that share one Holm correction (A, B, C, ...)
    kind          superiority | equivalence | slope | ushape | interaction | share | event | tolerance | identity
    study         one name or a list: the studies of config.yaml whose rows are read
    where         row filter that holds for every arm (see wdbench.filters); default: every row
    by            what a stratum is: a column or a list of columns; default: dataset; []: one stratum of all
    cases         instead of `by`: {name: filter}, one stratum a name
    block         the columns that make a block; default: [dataset_base, replicate]
    arms          {treatment: ARM, control: ARM}; control is left out where `threshold` stands in for it
    conditions    {claimed: filter, other: filter}: the two sides of an interaction; of a share: a control that is
                  said to have at least half of the effect, and the treatment whose effect that is
    metric        a column, or arithmetic over columns ("test_loss - train_loss"); a list: each of them must
                  bear the claim out
    effect        difference (treatment - control), relative ((treatment - control)/|control|) or log_ratio
                  (log(treatment/control)); with neither control nor threshold (slopes), difference is the
                  value itself and log_ratio its logarithm
    direction     lower | higher: the sign of that effect (of the slope, of the event rate) which supports the
                  claim; ushape: lower is a valley, higher a hill. Published estimates are turned so that
                  positive supports the claim. Not given for equivalence: there it is the plain effect
    margin        smallest effect of interest, in the unit of the effect (of the slope; of the event rate): a
                  number, or {metric: number}. Usual ones: classification error .005 (digits .01), NLL .02
                  relative, regression risk .03 relative, ECE .01, weight norm .05 relative, event rate .3
    alpha         level, default .05
    x             slope, ushape: the column on the horizontal axis (or arithmetic)
    x_transform   none | log | log2 | log10 (rows without a finite value, as lambda = 0 under a log, are left out)
    statistic     slope: `slope` (least squares in a block, default) or `kendall` (rank correlation in a block)
    threshold     number that takes the control's place (one-sample tests: fidelity below .5)
    event         event: the filter that says that a row had the event (status == "diverged")
    worse         lower | higher: which values of the metric are bad, for cells that diverged; known for losses,
                  errors and scores, elsewhere: the side that is against the claim
    diverged      worst_rank (default: a diverged cell counts as the worst value seen) or exclude; the other one
                  is shown as the secondary analysis
    fidelity_gate false: do not disqualify an arm whose decay was not applied (off by itself where the metric
                  reads `fidelity`)
    tolerance     kind tolerance: how forgiving an arm's grid is, for losses and errors, where low is good; one of
                  {within: [.01, .02, .05], of: own | common}: share of cells at most so much above the cell that is
                  chosen on validation rows, of the arm itself or of the better arm; {draws: [4, 8, 16]}: expected
                  value of the cell with the lowest `by` among so many drawn without replacement. Each of them must
                  bear the claim out. window: {column: lambda, decades: 2, points: 9} makes grids equal: resampled
                  around the arm's own choice (see wdbench.claims.tolerance)
    identity      kind identity: the name of the check (I5)
    not_tested    reason why this run cannot test it; then id, sentence, source, family and kind suffice
    title, experiment, expect, trap, figure
                  prose and drawing, no part of the registered hash. figure: a name, or {name: .., options: {..}}
    naive         the wrong way, shown beside the right one: {trap: text, and any of where, study, arms,
                  conditions, metric, effect, x, x_transform, statistic, threshold, block, event, tolerance that
                  it does differently}; an arm given there replaces that arm

An ARM is {where: filter, select: SELECT, metric: column (where it differs), label: text}. Without `select` it
must have exactly one row in each block (and condition, and x); an event's arm may have several (the event
happened in the block if it did in any). SELECT:

    rule    min     (default) lowest `by`; ties go to the smaller value of the first `over` column, then of the
                    next, then of the cell id; a diverged cell counts as infinite
            match   `by` closest to the value that the arm named in `match` got in that block; same ties
            one_se  largest value of the first `over` column whose `by` is within one standard error (over the
                    stratum's blocks) of the block's lowest
            mean    no choice: the mean over all rows
            grid    no choice: all rows, for kind tolerance
    by      the column to choose by, default val_loss; a validation column (val_...), except in `naive`; rule match may
            take train_loss too
    over    the columns that are chosen over: [lambda_rel, lr_rel]
    match   the other arm's name, for rule match
    edge    {lambda_rel.low: "why an optimum at this end of the grid is fine"}; ends are <column>.low and
            <column>.high. Where more than half of an arm's blocks choose an end that is not named here, the
            verdict is inconclusive (grid). A grid that starts at 0 has no low edge; `mean` has none at all

In a mapping in braces a filter with a comma must be quoted: {where: 'penalty in ["l1", "l2"]'}.

One example of each kind:

claims:
  - id: A2
    sentence: "use a regularization technique: lasso, ridge"
    source: slide 2
    family: A
    kind: superiority
    study: base
    where: optimiser == "exact"
    arms:
      treatment: {where: penalty == "l2", select: {over: [lambda_rel]}, label: ridge}
      control: {where: penalty == "none", label: no penalty}
    metric: test_loss
    effect: relative
    direction: lower
    margin: 0.03
    naive:
      trap: λ chosen on the test rows
      arms:
        treatment: {where: penalty == "l2", select: {over: [lambda_rel], by: test_loss}}
    figure: paired
  - id: C6b
    sentence: "(or use much smaller λ)"
    source: slide 9
    family: C
    kind: equivalence
    study: masks
    arms:
      treatment: {where: decay_mask == "bias_hundredth", select: {over: [lambda_rel]}}
      control: {where: decay_mask == "weights", select: {over: [lambda_rel]}}
    metric: test_loss
    effect: relative
    margin: 0.01
  - id: C0i
    sentence: "Weight decay works for any differentiable model"
    source: slide 8
    family: C
    kind: slope
    study: base
    where: penalty == "l2" and optimiser == "exact"
    by: model
    arms: {treatment: {label: ridge}}
    metric: weight_norm
    x: lambda_rel
    statistic: kendall
    direction: lower
    margin: 0.5
  - id: C3u
    sentence: "Prevents overconfident predictions"
    source: slide 9
    family: C
    kind: ushape
    study: base
    where: penalty == "l2" and optimiser == "exact"
    arms: {treatment: {label: ridge}}
    metric: ece
    x: lambda_rel
    x_transform: log10
    direction: lower
    margin: 0.01
  - id: C4
    sentence: "Can hurt when: Features have different scales (normalize first!)"
    source: slide 9
    family: C
    kind: interaction
    study: scales
    by: dataset_base
    conditions: {claimed: scale == "raw", other: scale == "zscore"}
    arms:
      treatment:
        where: penalty == "l2"
        select: {over: [lambda_rel], edge: {lambda_rel.high: "raw columns may want more than the grid holds"}}
      control: {where: penalty == "none"}
    metric: test_loss
    effect: log_ratio
    direction: higher
    margin: 0.03
  - id: E5c
    sentence: "weight decay acts through the norm of the weights"
    source: slide 10
    family: E
    kind: share
    study: replay
    conditions:
      claimed: coupling == "norm_replay" or penalty == "none"
      other: coupling == "decoupled" or penalty == "none"
    arms:
      treatment: {where: penalty == "l2", select: {over: [lambda]}}
      control: {where: penalty == "none"}
    metric: test_error
    direction: lower
    margin: 0.0
  - id: E1c
    sentence: "Ensuring stability of low-precision training"
    source: slide 10
    family: E
    kind: event
    study: precision
    cases: {bf16: precision == "bf16_weights", fp32: precision == "fp32"}
    arms:
      treatment: {where: penalty == "l2"}
      control: {where: penalty == "none"}
    event: status == "diverged"
    direction: lower
    margin: 0.3
  - id: E4a
    sentence: "it just eases the hyperparameter tuning"
    source: slide 10
    family: E
    kind: tolerance
    study: [coupled, decoupled]
    arms:
      treatment: {where: coupling == "decoupled", select: {rule: grid, over: [lambda, lr]}}
      control: {where: coupling == "coupled", select: {rule: grid, over: [lambda, lr]}}
    tolerance: {within: [0.01, 0.05], of: common, window: {column: lambda, decades: 2.0, points: 9}}
    metric: test_loss
    direction: higher
    margin: 0.05
  - id: I5
    sentence: "the update equation"
    source: slide 7
    family: identities
    kind: identity
    identity: I5
"""

import difflib
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from wdbench import filters
from wdbench.config import yamlio
from wdbench.config.claimparts import (
    KINDS,
    RULES,
    Arm,
    Direction,
    Effect,
    Figure,
    Naive,
    NotNegative,
    Number,
    Select,
    Statistic,
    Tolerance,
    Transform,
    check_arms,
    check_fields,
    formula,
)
from wdbench.config.experiment import Frozen
from wdbench.errors import UserError


class Claim(Frozen):
    """One claim; keys as in the module's docstring."""

    id: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,30}$")
    sentence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    family: str = Field(min_length=1)
    kind: str
    study: tuple[str, ...] = ()
    where: str = ""
    by: tuple[str, ...] = ("dataset",)
    cases: dict[str, str] = {}
    block: tuple[str, ...] = ("dataset_base", "replicate")
    arms: dict[Literal["treatment", "control"], Arm] = {}
    conditions: dict[Literal["claimed", "other"], str] = {}
    metric: tuple[str, ...] = ()
    effect: Effect = "difference"
    direction: Direction | None = None
    margin: NotNegative | dict[str, NotNegative] | None = None
    alpha: Annotated[float, Field(strict=True, gt=0, lt=0.5)] = 0.05
    x: str | None = None
    x_transform: Transform = "none"
    statistic: Statistic = "slope"
    threshold: Number | None = None
    event: str | None = None
    worse: Direction | None = None
    diverged: Literal["worst_rank", "exclude"] = "worst_rank"
    fidelity_gate: Annotated[bool, Field(strict=True)] = True
    tolerance: Tolerance | None = None
    identity: str | None = None
    not_tested: str | None = None
    naive: Naive | None = None
    title: str = ""
    experiment: str = ""
    expect: str = ""
    trap: str = ""
    figure: Figure | None = None

    @field_validator("study", "by", "block", "metric", mode="before")
    @classmethod
    def _listed(cls, value):
        return [value] if isinstance(value, str) else value

    @field_validator("cases", "conditions", mode="before")
    @classmethod
    def _empty(cls, value):
        return {} if value is None else value

    @field_validator("figure", mode="before")
    @classmethod
    def _named(cls, value):
        return {"name": value} if isinstance(value, str) else value

    @field_validator("where", "event")
    @classmethod
    def _a_filter(cls, text):
        return text if text is None else formula(filters.parse, text)

    @field_validator("cases", "conditions")
    @classmethod
    def _filters(cls, value):
        for text in value.values():
            formula(filters.parse, text)
        return value

    @field_validator("metric")
    @classmethod
    def _expressions(cls, value):
        for text in value:
            formula(filters.parse_expression, text)
        return value

    @field_validator("x")
    @classmethod
    def _expression(cls, text):
        return text if text is None else formula(filters.parse_expression, text)

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value):
        if value not in KINDS:
            raise ValueError(f"unknown kind; valid: {', '.join(KINDS)}")
        return value

    @model_validator(mode="after")
    def _consistent(self):
        if self.not_tested is not None:
            if not self.not_tested.strip():
                raise ValueError("not_tested needs a reason")
            return self
        check_fields(self)
        check_arms(self)
        for name, arm in self.arms.items():
            if arm.select is None or arm.select.by.startswith("val_"):
                continue
            if arm.select.rule != "match" or arm.select.by != "train_loss":
                raise ValueError(
                    f"arms.{name}.select.by {arm.select.by!r} is no validation column; valid: val_loss, ..., and train_loss for rule match"
                )
        if self.naive is not None:
            self.naive_claim()
        return self

    @property
    def tested(self) -> bool:
        return self.not_tested is None and self.kind != "identity"

    def margin_of(self, metric: str) -> float:
        """Margin of one metric; 0 for a kind that has none."""
        if self.margin is None:
            return 0.0
        return float(self.margin[metric] if isinstance(self.margin, dict) else self.margin)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """field -> columns that it reads."""
        read = {
            "where": filters.parse(self.where).columns,
            "by": () if self.cases else self.by,
            "block": self.block,
        }
        for name, text in (*self.cases.items(), *self.conditions.items()):
            read[f"{'cases' if name in self.cases else 'conditions'}.{name}"] = filters.parse(text).columns
        for metric in self.metric:
            read["metric"] = read.get("metric", ()) + filters.parse_expression(metric).columns
        if self.x is not None:
            read["x"] = filters.parse_expression(self.x).columns
        if self.event is not None:
            read["event"] = filters.parse(self.event).columns
        for name, arm in self.arms.items():
            read[f"arms.{name}.where"] = filters.parse(arm.where).columns
            if arm.metric is not None:
                read[f"arms.{name}.metric"] = filters.parse_expression(arm.metric).columns
            if arm.select is not None:
                read[f"arms.{name}.select"] = (arm.select.by, *arm.select.over)
        return read

    def naive_claim(self) -> "Claim | None":
        """The naive analysis as a claim of its own, in the same strata; None where there is none."""
        if self.naive is None:
            return None
        changes = {
            name: value
            for name in Naive.model_fields
            if name not in ("trap", "arms") and (value := getattr(self.naive, name)) is not None
        }
        changes["arms"] = {**self.arms, **self.naive.arms}
        if self.naive.metric is not None and isinstance(self.margin, dict):
            raise ValueError("naive.metric needs a margin that is one number")
        naive = self.model_copy(update={**changes, "naive": None})
        check_fields(naive)
        check_arms(naive)
        return naive

    def judged(self) -> dict[str, Any]:
        """The fields that a verdict depends on, as plain JSON values; spelling of filters made uniform."""
        if self.not_tested is not None:
            return {
                "id": self.id,
                "sentence": self.sentence,
                "kind": self.kind,
                "not_tested": True,
                "rules": RULES,
            }
        if self.kind == "identity":
            return {
                "id": self.id,
                "sentence": self.sentence,
                "kind": self.kind,
                "identity": self.identity,
                "rules": RULES,
            }
        prose = {
            "source",
            "naive",
            "title",
            "experiment",
            "expect",
            "trap",
            "figure",
            "identity",
            "not_tested",
        }
        fields = self.model_dump(mode="json", exclude=prose)
        for name, arm in fields["arms"].items():
            arm.pop("label")
            arm["where"] = filters.parse(arm["where"]).canonical
            if arm["select"] is not None:
                arm["select"]["edge"] = sorted(self.arms[name].select.edge)
        for name in ("where", "event"):
            fields[name] = fields[name] if fields[name] is None else filters.parse(fields[name]).canonical
        for name in ("cases", "conditions"):
            fields[name] = {key: filters.parse(text).canonical for key, text in fields[name].items()}
        fields["study"] = sorted(fields["study"])
        if self.tolerance is None:
            # claims of the other kinds keep the hash that they were registered with
            del fields["tolerance"]
        fields["rules"] = RULES
        return fields

    def digest(self) -> str:
        """12 hex digits of sha256 over the canonical JSON of `judged()`: what `registered` shows."""
        text = json.dumps(self.judged(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_mapping(content: dict, path: str) -> tuple[Claim, ...]:
    """Claims of a parsed claims.yaml. Raises UserError naming file, claim, field, value and what would be valid."""
    entries = content.get("claims")
    if set(content) != {"claims"} or not isinstance(entries, list):
        raise UserError(f"{path}: keys {', '.join(map(yamlio.shown, content))}: must hold one key, claims:, with a list")
    claims: dict[str, Claim] = {}
    for position, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise UserError(
                f"{path}: claims: entry {position}: value {yamlio.shown(entry)}: must be a mapping with id, sentence, kind, ..."
            )
        named = entry.get("id")
        prefix = f"claim {named}" if isinstance(named, str) and 0 < len(named) <= 40 and named.isprintable() else f"claim number {position}"
        _refuse_unknown(entry, Claim, path, prefix)
        for name, arm in entry["arms"].items() if isinstance(entry.get("arms"), dict) else ():
            if isinstance(arm, dict):
                _refuse_unknown(arm, Arm, path, f"{prefix}.arms.{name}")
                if isinstance(arm.get("select"), dict):
                    _refuse_unknown(arm["select"], Select, path, f"{prefix}.arms.{name}.select")
        claim = yamlio.validate(Claim, entry, path, prefix)
        if claim.id in claims:
            raise UserError(f"{path}: {prefix}: id {claim.id!r} is given twice; ids must differ")
        claims[claim.id] = claim
    return tuple(claims.values())


def _refuse_unknown(entry: dict, model: type[Frozen], path: str, prefix: str) -> None:
    for key in entry:
        if key not in model.model_fields:
            close = difflib.get_close_matches(yamlio.shown(key).strip("'"), model.model_fields, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(close)}?" if close else f"valid: {', '.join(model.model_fields)}"
            raise UserError(f"{path}: {prefix}: unknown key {yamlio.shown(key)}; {hint}")
