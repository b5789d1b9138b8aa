"""Controls of a run: a failing one marks the claims that rest on it, on the page and on the terminal."""

import io
import shutil

import claims_planted
import numpy as np
import pandas as pd
import planted
import pytest

from wdbench import show
from wdbench.claims import judge
from wdbench.conclusions import controls, schema
from wdbench.config import claims as claim_config
from wdbench.config import experiment as experiments
from wdbench.config import yamlio
from wdbench.errors import UserError
from wdbench.report import render

REGISTERED = claim_config.from_mapping(yamlio.read("claims.yaml"), "claims.yaml")


def rules(**changes):
    entry = {"claim": "X1", "kind": "positive", "what": "an effect that is there", "expect": ["supported"], "guards": ["base"]}
    return schema.Controls.model_validate({"claims": "claims.yaml", "controls": [entry | changes]})


def judged(effect=-0.1, replicates=12, **changes):
    runs = claims_planted.world(effect, replicates=replicates)
    claims = [claims_planted.claim(id="X1", **changes), claims_planted.claim(id="X2", study="other"), claims_planted.claim(id="X3")]
    found = judge(runs, claims, claims_planted.plan(runs))
    return claims, found.verdicts, found.effects


def test_a_control_that_comes_out_passes_and_marks_nothing():
    claims, verdicts, effects = judged()
    table = controls.table(rules(), claims, verdicts, effects)
    assert list(table) == list(controls.COLUMNS)
    assert table.loc[0, ["outcome", "found", "marks"]].tolist() == ["passed", "supported", ""]
    assert table.loc[0, "estimate"] == verdicts.loc[(verdicts["claim_id"] == "X1") & (verdicts["dataset"] == "all"), "estimate"].iloc[0]


def test_a_control_that_does_not_marks_the_claims_of_its_studies():
    claims, verdicts, effects = judged(effect=0.1)
    table = controls.table(rules(), claims, verdicts, effects)
    assert table.loc[0, "outcome"] == "failed" and table.loc[0, "marks"] == "X1; X3"
    everything = controls.table(rules(guards=["all"]), claims, verdicts, effects)
    assert everything.loc[0, "marks"] == "X1; X2; X3"
    assert set(controls.doubts(table)) == {"X1", "X3"} and "expected supported, found refuted" in controls.doubts(table)["X1"][0]


def test_a_part_is_judged_by_itself():
    claims, verdicts, effects = judged({"alpha": -0.1, "beta": 0.1, "gamma": 0.1})
    assert controls.table(rules(including="alpha"), claims, verdicts, effects).loc[0, "outcome"] == "passed"
    assert controls.table(rules(excluding="alpha"), claims, verdicts, effects).loc[0, "outcome"] == "failed"


def test_what_was_not_run_is_no_failure():
    claims, verdicts, effects = judged()
    table = controls.table(rules(claim="gone"), claims, verdicts, effects).set_index("kind")
    assert table.loc["left out", ["outcome", "marks"]].tolist() == ["not tested", ""] and "gone" in table.loc["left out", "found"]


def same(outside_by=0.0, blocks=40, series=30, seed=0):
    """effects.csv of `series` strata whose treatment rises by `outside_by` from every even replicate to the next."""
    rng = np.random.default_rng(seed)
    rows = [{"claim_id": "X1", "dataset": f"set{s}", "metric": "test_loss", "component": np.nan, "block": f"set{s}/{r}",
             "treatment": 1 + rng.standard_normal() + outside_by * (r % 2), "control": 2.0, "effect": 1.0, "imputed": False, "used": True}
            for s in range(series) for r in range(blocks)]
    return pd.DataFrame(rows)


def test_an_arm_against_itself_differs_in_about_one_interval_of_twenty():
    (row,) = controls.same_arm(same(series=200))
    assert row["outcome"] == "passed" and row["n"] == 200 and 0.02 < row["estimate"] < 0.09


def test_replicates_that_differ_by_more_than_their_noise_fail():
    (row,) = controls.same_arm(same(outside_by=2.0))
    assert row["outcome"] == "failed" and row["found"] == "30 of 30, over 30 data sets" and row["guards"] == "all"


def test_series_of_one_data_set_count_as_one_where_they_go_together():
    # the same noise under many names: if it leaves 0 out once, it does so everywhere
    rng = np.random.default_rng(3)
    bad = np.where(np.arange(40) % 2 == 1, 1.0, 0.0)
    rows = []
    for base in range(20):
        noise = rng.standard_normal(40)
        rows += [{"claim_id": "X1", "dataset": f"set{base}/{s}", "metric": "test_loss", "component": np.nan, "block": f"set{base}/{r}",
                  "treatment": (1 + s) * (noise[r] + (2 * bad[r] if base == 0 else 0)), "control": 2.0, "effect": 1.0, "imputed": False,
                  "used": True} for s in range(20 if base == 0 else 2) for r in range(40)]
    (row,) = controls.same_arm(pd.DataFrame(rows))
    assert row["estimate"] > 0.3 and row["outcome"] == "passed"


def test_shared_arms_count_once_and_short_series_not_at_all():
    table = same(series=3)
    (row,) = controls.same_arm(pd.concat([table, table.assign(claim_id="X2")]))
    assert row["n"] == 3 and row["found"].endswith("over 3 data sets")
    assert controls.same_arm(same(blocks=8))[0]["outcome"] == "not tested"
    assert controls.same_arm(table.assign(imputed=True))[0]["outcome"] == "not tested"


def test_the_shipped_controls_name_claims_studies_and_parts_that_exist():
    found = schema.controls([claim.id for claim in REGISTERED])
    studies = set(experiments.load("config.yaml").studies) | {controls.EVERY}
    assert {rule.kind for rule in found.controls} == {"positive", "negative"}
    for rule in found.controls:
        assert set(rule.guards) <= studies, rule


@pytest.mark.parametrize("was, becomes, message", [("expect: [holds]", "expect: [maybe]", "maybe"), ("claim: I17", "claim: I999", "I999"),
                                                   ("kind: positive", "kind: good", "kind"), ("guards: [grid]", "guards: []", "guards")])
def test_a_file_of_controls_that_does_not_fit_is_refused(tmp_path, was, becomes, message):
    path = tmp_path / "controls.yaml"
    shutil.copy(schema.HERE / "controls.yaml", path)
    path.write_text(path.read_text(encoding="utf-8").replace(was, becomes, 1), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        schema.controls([claim.id for claim in REGISTERED], path)


def test_doubt_is_shown_on_the_page_and_on_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    claims, verdicts, effects = judged(effect=0.1)
    table = controls.table(rules(what=planted.HOSTILE), claims, verdicts, effects)
    tables = {"verdicts": verdicts, "controls": table}
    html = render(tables, claims, {}, {})
    # the two claims on the study, each on the board and on its page, and the sentence that explains the mark
    assert html.count("control failed</span>") == 5 and planted.HOSTILE not in html
    out = io.StringIO()
    out.isatty = lambda: True
    show.show(tables.__getitem__, claims, "claims", None, None, out)
    assert "a control of their studies failed (controls.csv): X1, X3" in out.getvalue()
    out = io.StringIO()
    show.show(tables.__getitem__, claims, "claim", "X1", None, out)
    assert "in doubt" in out.getvalue()
