"""Mechanisms, advice and precision: what is concluded is what the planted verdicts and runs say."""

import io
import itertools
from pathlib import Path

import claims_planted
import numpy as np
import pandas as pd
import planted
import pytest
import yaml

from wdbench import show
from wdbench.claims import judge
from wdbench.claims.part import Part, part
from wdbench.conclusions import advice, catalogue, controls, mechanisms, outcome, precision, schema
from wdbench.config import claims as claim_config
from wdbench.config import experiment as experiments
from wdbench.config import yamlio
from wdbench.errors import UserError
from wdbench.report import conclusions as told
from wdbench.report import render

ROOT = Path(__file__).parent.parent
REGISTERED = claim_config.from_mapping(yamlio.read(ROOT / "claims.yaml"), "claims.yaml")
IDS = [claim.id for claim in REGISTERED]

# a claim's verdict and interval, with a margin of 1, and the signs that it leaves
ROWS = {
    "positive": ("superiority", "supported", 2.0, 1.5, 2.5),
    "zero": ("superiority", "refuted", 0.1, -0.3, 0.5),
    "negative": ("superiority", "refuted", -3.0, -4.0, -2.0),
    "not positive": ("superiority", "refuted", -1.0, -2.0, 0.1),
    "inconclusive": ("superiority", "inconclusive", 0.9, -0.5, 2.0),
    "not measured": ("superiority", "not_tested", np.nan, np.nan, np.nan),
    "mixed": ("superiority", "conditional", 0.9, -0.5, 2.0),
}


def verdict_row(claim_id, kind, verdict, estimate, low, high, dataset="all", margin=1.0) -> dict:
    return {"claim_id": claim_id, "sentence": "s", "kind": kind, "dataset": dataset, "verdict": verdict, "estimate": estimate,
            "ci_low": low, "ci_high": high, "margin": margin, "n": 10 if verdict != "not_tested" else 0, "reason": "why",
            "effect_unit": "nats"}


def planted_verdicts(**by_claim) -> pd.DataFrame:
    return pd.DataFrame([verdict_row(name, *ROWS[word]) for name, word in by_claim.items()])


def claims_of(*ids) -> list:
    return [claims_planted.claim(id=name, margin=1.0, effect="difference") for name in ids]


EFFECTS = pd.DataFrame(columns=["claim_id", "dataset", "metric", "component", "block", "effect", "used", "imputed", "treatment", "control"],
                       dtype=object)
NO_EFFECTS = pd.DataFrame(columns=["claim_id", "dataset", "metric", "component", "block", "effect", "used"])


# a claim on some of its strata


@pytest.fixture(scope="module")
def judged():
    runs = claims_planted.world({"alpha": -0.1, "beta": -0.2, "gamma": 0.1})
    return judge(runs, [claims_planted.claim()], claims_planted.plan(runs))


def test_all_strata_are_the_claim_itself(judged):
    row = judged.verdicts.query("dataset == 'all'").iloc[0]
    for wanted in (None, lambda name: True):
        found = part(claims_planted.claim(), judged.verdicts, judged.effects, wanted)
        assert (found.verdict, found.estimate, found.ci_low, found.n) == ("conditional", row["estimate"], row["ci_low"], row["n"])
        assert found.strata == ("alpha", "beta", "gamma")


def test_some_strata_vote_and_are_pooled_as_the_claim_would_be(judged):
    found = part(claims_planted.claim(), judged.verdicts, judged.effects, lambda name: name != "gamma")
    runs = claims_planted.world({"alpha": -0.1, "beta": -0.2, "gamma": 0.1})
    alone = claims_planted.claim(where='dataset != "gamma"')
    wanted = judge(runs, [alone], claims_planted.plan(runs)).verdicts.query("dataset == 'all'").iloc[0]
    assert found.verdict == wanted["verdict"] == "supported" and found.strata == ("alpha", "beta")
    assert (found.estimate, found.ci_low, found.ci_high) == pytest.approx((wanted["estimate"], wanted["ci_low"], wanted["ci_high"]))
    assert found.n == wanted["n"] == 20


def test_one_stratum_is_its_row_and_none_is_not_tested(judged):
    row = judged.verdicts.query("dataset == 'gamma'").iloc[0]
    found = part(claims_planted.claim(), judged.verdicts, judged.effects, lambda name: name == "gamma")
    assert (found.verdict, found.estimate) == ("refuted", row["estimate"])
    assert part(claims_planted.claim(), judged.verdicts, judged.effects, lambda name: name == "delta").verdict == "not_tested"
    assert part(claims_planted.claim(id="T9"), judged.verdicts, judged.effects).verdict == "not_tested"


# signs


@pytest.mark.parametrize("word", ROWS)
def test_a_verdict_leaves_these_signs(word):
    row = verdict_row("T1", *ROWS[word])
    found = outcome.of(Part("T1", row["verdict"], "", ("all",), rows=(row,)), row["kind"])
    assert found.word == word
    assert found.signs == outcome.WORDS.get(word, frozenset(outcome.SIGNS))


@pytest.mark.parametrize(("estimate", "low", "high", "word"), [(2.0, 1.5, 2.5, "positive"), (-2.0, -2.5, -1.5, "negative")])
def test_an_equivalence_is_refuted_on_one_side(estimate, low, high, word):
    row = verdict_row("T1", "equivalence", "refuted", estimate, low, high)
    assert outcome.of(Part("T1", "refuted", "", rows=(row,)), "equivalence").word == word
    assert outcome.of(Part("T1", "equivalent", ""), "equivalence").word == "zero"


def test_strata_refuted_on_both_sides_leave_no_side():
    rows = tuple(verdict_row("T1", "equivalence", "refuted", sign * 2.0, sign * 2 - 0.5, sign * 2 + 0.5) for sign in (1, -1))
    assert outcome.of(Part("T1", "refuted", "", rows=rows), "equivalence").word == "not zero"


def test_a_share_of_at_least_half_has_no_zero():
    row = verdict_row("T1", "share", "refuted", -0.2, -0.3, -0.1, margin=0.0)
    assert outcome.of(Part("T1", "refuted", "", rows=(row,)), "share").word == "negative"


# what is said beforehand


def test_the_shipped_files_name_claims_and_models_that_exist():
    structure, rules = schema.mechanisms(IDS), schema.advice(IDS)
    assert list(structure.stories) == ["explicit", "dynamics", "noise", "precision"]
    models = {model for d in structure.discriminators for test in d.tests for model in test.claims}
    assert models == set(structure.models)
    assert {(r.model, r.precision) for r in rules.rules} == set(itertools.product(rules.models, rules.precisions))


def test_parts_of_a_claim_are_of_strata_that_its_studies_have():
    """Some stratum has the text that a part asks for and some has not; strata are named by the columns of the claim's `by`."""
    known = {claim.id: claim for claim in REGISTERED}
    studies = experiments.load(ROOT / "config.yaml", "nightly").studies
    axes = {"model": "model", "precision": "precisions", "rounding": "roundings"}
    for source in [*schema.mechanisms().sources(), *schema.advice().sources()]:
        text = source.including or source.excluding
        if text:
            claim = known[source.claim]
            values = [str(value) for study in claim.study for column in claim.by if column in axes
                      for value in np.atleast_1d(getattr(studies[study], axes[column]))]
            assert any(text in value for value in values) and any(text not in value for value in values), (source, values)


def test_each_neighbouring_pair_of_stories_has_claims_that_could_separate_it_or_says_no_control():
    structure = schema.mechanisms()
    undecided = mechanisms.table(structure, REGISTERED, planted_verdicts(I5="not measured"), NO_EFFECTS)
    pairs = mechanisms.pairs(undecided, structure).set_index(["model", "story", "other_story"])
    assert set(pairs["told_apart"]) == {"open", "no control"}
    assert pairs.loc[("plain", "dynamics", "noise"), "open_claims"].split("; ") == ["E1a", "E1an"]
    assert pairs.loc[("batch_norm", "dynamics", "noise"), "told_apart"] == "no control"


SMALL = {
    "claims": "claims.yaml",
    "stories": {"one": "the first", "two": "the second", "three": "the third"},
    "models": {"net": "networks", "line": "lines"},
    "discriminators": [
        {"id": "slope", "title": "Which slope?", "says": {"one": "0"},
         "tests": [{"predicts": {"one": "zero", "two": "positive", "three": "not negative"}, "claims": {"net": ["T1"], "line": ["T2"]}},
                   {"predicts": {"two": "negative"}, "claims": {"net": [{"claim": "T3", "including": "x"}]}}]},
        {"id": "other", "title": "And else?", "says": {}, "tests": [{"predicts": {"three": "zero"}, "claims": {"net": ["T4"]}}]},
    ],
}
RULES = {
    "claims": "claims.yaml",
    "models": {"net": "networks", "line": "lines"},
    "precisions": {"full": "fp32"},
    "questions": {"decay": {"text": "Decay?"}, "mask": {"text": "Mask?", "models": ["net"]}},
    "rules": [{"model": "net", "precision": "full", "question": "decay", "claim": "T1",
               "advice": {"positive": "yes", "not positive": "no", "negative": "never", "mixed": "try"}}],
}


def written(tmp_path, content):
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
    return path


def structure_of(tmp_path):
    return schema.mechanisms(path=written(tmp_path, SMALL))


@pytest.mark.parametrize(
    ("change", "part_of_sentence"),
    [
        ({"stories": {"one": "a", "two": "b"}}, "value 'three': valid: one, two"),
        ({"models": {"net": "n"}}, "value 'line': valid: net"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"discriminators": [{"id": "s", "title": "t", "says": {}, "tests": [{"predicts": {"one": "up"}, "claims": {}}]}]},
         "'up' is no outcome; valid: positive, zero, negative"),
        ({"discriminators": [{"id": "s", "title": "t", "says": {}, "tests": [{"predicts": {}, "claims": {}}]}]}, "no story predicts"),
    ],
)
def test_a_structure_that_does_not_fit_is_refused_in_a_sentence(tmp_path, change, part_of_sentence):
    with pytest.raises(UserError, match=part_of_sentence):
        schema.mechanisms(path=written(tmp_path, SMALL | change))


@pytest.mark.parametrize(
    ("change", "part_of_sentence"),
    [
        ({"model": "tree"}, "rules.1.model: value 'tree': valid: net, line"),
        ({"question": "why"}, "rules.1.question: value 'why': valid: decay, mask"),
        ({"advice": {"perhaps": "x"}}, "'perhaps' is no outcome"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_in_a_sentence(tmp_path, change, part_of_sentence):
    with pytest.raises(UserError, match=part_of_sentence):
        schema.advice(path=written(tmp_path, RULES | {"rules": [RULES["rules"][0] | change]}))


def test_a_claim_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match="value 'T4': claims.yaml has no such claim"):
        schema.mechanisms(["T1", "T2", "T3"], written(tmp_path, SMALL))
    with pytest.raises(UserError, match="value 'T1'"):
        schema.advice(["T2"], written(tmp_path, RULES))


# mechanisms


def evidence(tmp_path, **by_claim):
    structure = structure_of(tmp_path)
    table = mechanisms.table(structure, claims_of("T1", "T2", "T3", "T4"), planted_verdicts(**by_claim), NO_EFFECTS)
    return structure, table


@pytest.mark.parametrize(
    ("word", "agreements", "told_apart"),
    [
        ("zero", ("agrees", "contradicted", "agrees"), "story"),
        ("positive", ("contradicted", "agrees", "agrees"), "other_story"),
        ("negative", ("contradicted", "contradicted", "contradicted"), "neither"),
        ("not positive", ("open", "contradicted", "open"), "story"),
        ("inconclusive", ("open", "open", "open"), "open"),
        ("mixed", ("open", "open", "open"), "open"),
        ("not measured", ("not measured",) * 3, "open"),
    ],
)
def test_an_outcome_agrees_with_the_stories_that_predict_it(tmp_path, word, agreements, told_apart):
    structure, table = evidence(tmp_path, T1=word)
    mine = table[table["claim_id"] == "T1"].set_index("story")
    assert tuple(mine.loc[["one", "two", "three"], "agreement"]) == agreements
    pairs = mechanisms.pairs(table, structure).set_index(["model", "story", "other_story"])
    assert pairs.loc[("net", "one", "two"), "told_apart"] == told_apart
    # zero and `not negative`, positive and `not negative` have a sign in common: no outcome can separate them
    assert pairs.loc[("net", "one", "three"), "told_apart"] == "no control"
    assert pairs.loc[("net", "two", "three"), "told_apart"] == "no control"


def test_claims_that_disagree_are_said_to(tmp_path):
    content = SMALL | {"discriminators": [{"id": "s", "title": "t", "says": {}, "tests": [
        {"predicts": {"one": "zero", "two": "positive"}, "claims": {"net": ["T1", "T2"]}}]}]}
    structure = schema.mechanisms(path=written(tmp_path, content))
    table = mechanisms.table(structure, claims_of("T1", "T2"), planted_verdicts(T1="zero", T2="positive"), NO_EFFECTS)
    row = mechanisms.pairs(table, structure).iloc[0]
    assert (row["told_apart"], row["for_story"], row["for_other"]) == ("both ways", "T1", "T2")
    assert {one["standing"] for story, one in mechanisms.standing(table, structure, "net").items() if story != "three"} == {"mixed"}


def test_what_no_claim_asks_or_tests_is_not_measured(tmp_path):
    structure, table = evidence(tmp_path, T1="zero", T4="not measured")
    line = table[(table["model"] == "line") & (table["discriminator"] == "other")]
    assert line["agreement"].tolist() == ["not measured"] and line["claim_id"].isna().all()
    absent = table[table["claim_id"] == "T2"]
    assert set(absent["agreement"]) == {"not measured"} and set(absent["why"]) == {"verdicts.csv has no row of this claim"}
    assert mechanisms.standing(table, structure, "line")["one"]["standing"] == "not measured"


def test_a_story_is_supported_only_by_what_contradicts_another(tmp_path):
    structure, table = evidence(tmp_path, T1="inconclusive", T4="zero")
    standing = mechanisms.standing(table, structure, "net")
    assert standing["three"] == {"standing": "consistent", "agrees": ["T4"], "contradicts": []}
    structure, table = evidence(tmp_path, T1="zero", T4="zero")
    standing = mechanisms.standing(table, structure, "net")
    assert (standing["one"]["standing"], standing["two"]["standing"]) == ("supported", "contradicted")


def test_what_is_said_of_claims_that_a_run_does_not_have_is_left_out_and_the_tables_say_so(tmp_path):
    verdicts = planted_verdicts(T1="zero")
    table = mechanisms.table(structure_of(tmp_path), claims_of("T1"), verdicts, NO_EFFECTS)
    assert set(table["claim_id"].dropna()) == {"T1"} and "T4: not among the claims of this run" in set(table["why"])
    rules = schema.advice(path=written(tmp_path, RULES))
    given = advice.table(rules, claims_of("T9"), verdicts, NO_EFFECTS)
    assert given["claim_id"].isna().all() and "T1: not among the claims of this run" in set(given["no_advice"])
    left = controls.table(schema.controls(), claims_of("T1"), verdicts, EFFECTS).query("kind == 'left out'").iloc[0]
    assert {source.claim for source in schema.controls().sources()} == set(left["found"].removesuffix(catalogue.ABSENT).split(", "))


def test_a_failed_control_marks_claims_of_ones_own_too():
    verdicts, mine = planted_verdicts(C0i="negative"), claims_of("C0i", "T1")
    rules = schema.controls().model_copy(update={"controls": tuple(
        rule.model_copy(update={"guards": ("all",)}) for rule in schema.controls().controls if rule.claim == "C0i")})
    row = controls.table(rules, mine, verdicts, EFFECTS, {"C0i"}).iloc[0]
    assert (row["outcome"], row["marks"]) == ("failed", "C0i; T1")
    assert controls.table(rules, mine, verdicts, EFFECTS, set()).query("claim_id == 'C0i'").empty


def test_a_claim_is_told_by_its_content_and_not_by_its_id_or_its_file():
    mine = [claim for claim in REGISTERED if claim.id in ("C6", "E5l", "A2r")]
    changed = [claim.model_copy(update=change) for claim, change in zip(
        mine, ({"margin": 9.0, "study": ("own",)}, {"sentence": "quite another"}, {"direction": "higher"}), strict=True)]
    assert catalogue.meant(IDS, mine) == {claim.id for claim in mine}
    assert catalogue.meant(IDS, changed) == {changed[0].id}
    assert catalogue.meant(IDS, claims_of("T1")) == catalogue.meant((), mine) == frozenset()


def test_the_report_says_which_claims_are_left_out(tmp_path):
    found = mechanisms.table(schema.mechanisms(), [], planted_verdicts(T1="zero"), NO_EFFECTS)
    entries = told.mechanisms({"mechanisms": found, "mechanism_pairs": mechanisms.pairs(found, schema.mechanisms())}, [])
    assert all("Left out: " in entry["summary"] and entry["summary"].endswith("not among the claims of this run.") for entry in entries)


# advice


@pytest.mark.parametrize(
    ("word", "text", "why"),
    [
        ("positive", "yes", None),
        ("zero", "no", None),
        ("not positive", "no", None),
        ("negative", "never", None),
        ("mixed", "try", None),
        ("inconclusive", None, "T1 is inconclusive"),
        ("not measured", None, "T1 was not tested"),
    ],
)
def test_a_verdict_gives_its_advice_and_no_other(tmp_path, word, text, why):
    rules = schema.advice(path=written(tmp_path, RULES))
    table = advice.table(rules, claims_of("T1"), planted_verdicts(T1=word), NO_EFFECTS)
    row = table[table["claim_id"] == "T1"].iloc[0]
    assert (row["advice"] if pd.notna(row["advice"]) else None) == text
    assert (row["no_advice"] if pd.notna(row["no_advice"]) else None) == why
    # questions without a rule say so, and only where they apply
    rest = table[table["claim_id"].isna()]
    assert set(zip(rest["model"], rest["question"], strict=True)) == {("net", "mask"), ("line", "decay")}
    assert set(rest["no_advice"]) == {"no claim measures it"}


def test_every_row_of_advice_has_advice_or_says_why_not():
    words = [word for word in ROWS]
    by_claim = {name: words[place % len(words)] for place, name in enumerate(IDS)}
    verdicts = planted_verdicts(**by_claim)
    table = advice.table(schema.advice(IDS), REGISTERED, verdicts, NO_EFFECTS)
    assert (table["advice"].notna() ^ table["no_advice"].notna()).all()
    decided = table["claim_id"].map(by_claim).isin(["inconclusive", "not measured"])
    assert table.loc[decided, "advice"].isna().all() and table["advice"].notna().any()


# precision


def cells(**changes) -> pd.DataFrame:
    """Cells of one replicate in fp32 and two roundings of bf16 weights, λ 0, 1 and 4 at η = 2⁻⁹."""
    rows = []
    for arithmetic, rounding, loss in (("fp32", "none", 2.0), ("bf16_weights", "nearest_split", 3.0), ("bf16_weights", "kahan", 2.1)):
        for penalty, lam in (("none", 0.0), ("l2", 1.0), ("l2", 4.0)):
            for replicate in range(2):
                scale = 1 + replicate + lam
                rows.append({"cell_id": len(rows), "study": "one+two", "dataset": "d", "model": "mlp:depth=1", "optimiser": "adam",
                             "penalty": penalty, "lambda": lam, "lr": 2.0**-9, "coupling": "decoupled", "precision": arithmetic,
                             "rounding": rounding, "replicate": replicate, "status": "ok", "train_loss": loss * scale,
                             "test_loss": scale, "fidelity": 0.25 * replicate if lam else np.nan, "updates_lost": 0.5})
    return pd.DataFrame(rows).assign(**changes)


def test_losses_are_relative_to_the_same_cell_in_fp32():
    table = precision.table(cells()).query("study == 'one'").set_index(["decay", "rounding"])
    assert set(table.index.get_level_values("decay")) == {"none", "small", "large"}
    for decay in ("none", "small", "large"):
        assert table.loc[(decay, "none"), "train_loss_change"] == 0
        assert table.loc[(decay, "nearest_split"), "train_loss_change"] == pytest.approx(0.5)
        assert table.loc[(decay, "kahan"), "train_loss_change"] == pytest.approx(0.05)
        assert table.loc[(decay, "kahan"), "test_loss_change"] == 0
    assert table.loc[("small", "kahan"), "fidelity"] == 0.125 and table.loc[("small", "kahan"), "below_half"] == 1
    assert np.isnan(table.loc[("none", "kahan"), "fidelity"]) and table["cells"].eq(2).all()


def test_a_decay_of_exactly_the_limit_is_small_and_independent_decay_is_not_multiplied_by_the_rate():
    assert set(precision.table(cells()).query("decay == 'small'")["cells"]) == {2}
    independent = precision.table(cells(coupling="independent"))
    assert set(independent["decay"]) == {"none", "large"}


def test_a_diverged_cell_has_no_loss_and_counts_as_diverged():
    rows = cells()
    lost = (rows["rounding"] == "kahan") & (rows["lambda"] == 4.0) & (rows["replicate"] == 1)
    table = precision.table(rows.assign(status=np.where(lost, "diverged", "ok"))).query("study == 'two' and rounding == 'kahan'")
    row = table.set_index("decay").loc["large"]
    assert row["diverged"] == 0.5 and row["train_loss_change"] == pytest.approx(0.05)


def test_studies_without_bf16_weights_and_exact_cells_are_left_out():
    assert precision.table(cells(precision="fp32", rounding="none")).empty
    assert precision.table(cells(optimiser="exact")).empty


# the report and the terminal


@pytest.fixture(scope="module")
def concluded():
    words = [word for word in ROWS]
    verdicts = planted_verdicts(**{name: words[place % len(words)] for place, name in enumerate(IDS)})
    structure = schema.mechanisms()
    found = mechanisms.table(structure, REGISTERED, verdicts, NO_EFFECTS)
    flags = pd.DataFrame([
        {"optimiser": "torch.optim.AdamW", "coupling": "decoupled", "implementation": f"torch {flag}", "dtype": "bf16", "lr": 0.001,
         "decay_per_step": decay, "lambda": decay / 0.001, "fidelity": fidelity, "unchanged_share": float(fidelity == 0),
         "norm_ratio": 1.0, "moved_share": moved, "train_loss": 1.0, "steps": 7}
        for flag, fidelity, moved in (("loop", 0.0, 0.5), ("fused", 0.625, 0.5), (planted.HOSTILE, 0.0, 0.0)) for decay in (0.0, 2.0**-10)
    ])
    return {"verdicts": verdicts, "mechanisms": found, "mechanism_pairs": mechanisms.pairs(found, structure),
            "advice": advice.table(schema.advice(), REGISTERED, verdicts, NO_EFFECTS), "precision": precision.table(cells()),
            "torch_flags": flags}


def test_the_report_says_which_story_stands_and_what_separates_it(concluded):
    structure = schema.mechanisms()
    for entry in told.mechanisms(concluded, REGISTERED):
        standing = mechanisms.standing(concluded["mechanisms"], structure, entry["model"])
        assert [s["agrees"] for s in entry["stories"]] == [one["agrees"] for one in standing.values()]
        supported = [structure.stories[name] for name, one in standing.items() if one["standing"] == "supported"]
        assert all(name in entry["summary"] for name in supported)
        assert sum(pair["next"] for pair in entry["pairs"]) == len(structure.stories) - 1
        assert all("not separated" in pair["told"] or pair["by"] for pair in entry["pairs"])


def test_sections_are_whole_and_text_stays_text(concluded):
    html = render(concluded, REGISTERED, {}, {})
    assert all(html.count(f'<section class="view" id="{name}"') == 1 for name in ("mechanisms", "advice", "precision"))
    given = concluded["advice"]["advice"].dropna()
    from markupsafe import escape

    assert all(str(escape(text)) in html for text in given)
    assert planted.HOSTILE not in html and "no weight moved at all" in html and "2⁻¹⁰" in html and "0.62" in html
    assert html.count("<table") == html.count("</table>")


def test_links_go_to_claims_of_the_page_only(concluded):
    few = [claim for claim in REGISTERED if claim.id in ("E5", "C3n")]
    html = render(concluded, few, {}, {})
    assert 'href="#claim-E5"' in html and 'href="#claim-E5c"' not in html and "E5c" in html


def test_a_page_without_these_tables_says_so():
    html = render({}, REGISTERED[:1], {}, {})
    assert "mechanisms.csv was not there" in html and "advice.csv was not there" in html and "precision.csv was not there" in html


def test_show_prints_the_advice(concluded, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    pipe, terminal = io.StringIO(), Terminal()
    for out in (pipe, terminal):
        show.show(concluded.__getitem__, REGISTERED, "advice", out=out)
    lines = [line.split("\t") for line in pipe.getvalue().splitlines()]
    assert len(lines) == len(concluded["advice"]) + 1 and lines[0] == list(show.ADVICE_COLUMNS)
    given = int(concluded["advice"]["advice"].notna().sum())
    assert f"{given} pieces of advice" in terminal.getvalue() and "no advice: " in terminal.getvalue()
    show.show(concluded.__getitem__, REGISTERED, "mechanisms", None, 'model == "convex"', out=(narrow := io.StringIO()))
    assert {line.split("\t")[0] for line in narrow.getvalue().splitlines()[1:]} == {"convex"}
