"""The ledger: what was registered when, and what makes a claim post hoc."""

import json
import os
import subprocess

import pytest
from claims_planted import claim, plan, world

from wdbench.claims import history, judge, register, registration
from wdbench.errors import UserError


def test_registered_and_unchanged_is_not_post_hoc(tmp_path):
    path = tmp_path / "claims.lock.json"
    done = register([claim()], path, "2025-01-01")
    assert done.added == ("T1",)
    ledger = registration.load(path)
    assert ledger["T1"]["hash"] == claim().digest()
    assert registration.post_hoc(claim(), ledger) == (False, "")
    assert registration.post_hoc(claim(figure="other", experiment="prose"), ledger) == (False, "")
    row = judge(world(), [claim()], plan(world()), ledger=ledger).verdicts.iloc[0]
    assert (row["registered"], row["post_hoc"]) == (claim().digest(), False)
    assert len(row["registered"]) == 12


def test_a_changed_claim_is_post_hoc_and_says_what_changed(tmp_path):
    path = tmp_path / "claims.lock.json"
    register([claim()], path, "2025-01-01")
    changed = claim(margin=0.01, where='optimiser == "exact"')
    found, why = registration.post_hoc(changed, registration.load(path))
    assert found
    assert why == 'changed since 2025-01-01: margin: 0.03 -> 0.01, where: "True" -> "optimiser == \'exact\'"'
    row = judge(world(), [changed], plan(world()), ledger=registration.load(path)).verdicts.iloc[0]
    assert (bool(row["post_hoc"]), row["post_hoc_why"]) == (True, why)


def test_a_change_inside_an_arm_is_named_by_its_path():
    other = claim(
        arms={
            **{"treatment": {"where": 'penalty == "l1"', "select": {"over": ["lambda_rel"]}}},
            "control": {"where": 'penalty == "none"'},
        }
    )
    said = registration.changes(claim().judged(), other.judged())
    assert said == "arms.treatment.where: \"penalty == 'l2'\" -> \"penalty == 'l1'\""


def test_an_unregistered_claim_is_post_hoc():
    assert registration.post_hoc(claim(), {}) == (True, "not registered")


def test_registering_again_changes_nothing_and_an_update_keeps_the_former_entry(tmp_path):
    path = tmp_path / "claims.lock.json"
    register([claim()], path, "2025-01-01")
    before = path.read_bytes()
    assert register([claim()], path, "2025-02-01").added == ()
    assert path.read_bytes() == before
    changed = claim(margin=0.01)
    assert register([changed], path, "2025-02-01").differing == ("T1",)
    assert path.read_bytes() == before
    assert register([changed], path, "2025-02-01", update=True).updated == ("T1",)
    entry = registration.load(path)["T1"]
    assert (entry["hash"], entry["registered_on"]) == (changed.digest(), "2025-02-01")
    assert entry["history"][0]["hash"] == claim().digest()
    found, why = registration.post_hoc(changed, registration.load(path))
    assert found
    assert why == "changed on 2025-02-01: margin: 0.03 -> 0.01"
    # back to the first wording: that is a change too, and stays on record
    register([claim()], path, "2025-03-01", update=True)
    assert registration.post_hoc(claim(), registration.load(path))[0]
    assert len(registration.load(path)["T1"]["history"]) == 2


def test_a_claim_registered_after_its_rows_stays_post_hoc(tmp_path):
    path = tmp_path / "claims.lock.json"
    register([claim()], path, "2025-01-01", rows_seen={"T1": 210})
    assert registration.post_hoc(claim(), registration.load(path)) == (
        True,
        "registered on 2025-01-01, after 210 of its rows",
    )


def test_withdrawn_claims_are_told(tmp_path):
    path = tmp_path / "claims.lock.json"
    register([claim(), claim(id="T2")], path, "2025-01-01")
    assert register([claim()], path, "2025-01-02").withdrawn == ("T2",)
    assert "T2" in registration.load(path)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"T1": {}}', '{"T1": {"hash": 1, "fields": {}, "history": [], "registered_on": ""}}', "\x00"],
)
def test_a_damaged_ledger_is_one_sentence(tmp_path, content):
    path = tmp_path / "claims.lock.json"
    path.write_text(content)
    with pytest.raises(UserError, match="claims.lock.json: is not a ledger") as caught:
        registration.load(path)
    assert "\n" not in str(caught.value)


def test_the_ledger_is_readable_json_in_a_fixed_order(tmp_path):
    path = tmp_path / "claims.lock.json"
    register([claim(id="T2"), claim()], path, "2025-01-01")
    assert list(json.loads(path.read_text())) == ["T1", "T2"]


def test_a_claim_that_said_not_tested_may_be_filled_in(tmp_path):
    path = tmp_path / "claims.lock.json"
    waiting = claim(not_tested="needs networks")
    register([waiting], path, "2025-01-01")
    register([claim()], path, "2025-02-01", update=True)
    assert registration.post_hoc(claim(), registration.load(path)) == (False, "")
    register([claim(margin=0.5)], path, "2025-03-01", update=True)
    found, why = registration.post_hoc(claim(margin=0.5), registration.load(path))
    assert found and "margin: 0.03 -> 0.5" in why


def test_new_rules_alone_make_no_claim_post_hoc_and_hide_no_other_change(tmp_path, monkeypatch):
    path = tmp_path / "claims.lock.json"
    register([claim()], path, "2025-01-01")
    first = claim().digest()
    monkeypatch.setattr("wdbench.config.claims.RULES", 1000)
    assert claim().digest() != first
    assert registration.post_hoc(claim(), registration.load(path)) == (True, "changed since 2025-01-01: rules: 2 -> 1000")
    # rows that were seen under the old rules are no reason: they were no reason then
    assert register([claim()], path, "2025-02-01", rows_seen={"T1": 210}).updated == ("T1",)
    entry = registration.load(path)["T1"]
    assert (entry["hash"], entry["registered_on"], entry["rows_at_registration"]) == (claim().digest(), "2025-01-01", 0)
    assert entry["history"][0]["changed"] == "rules: 2 -> 1000"
    assert registration.post_hoc(claim(), registration.load(path)) == (False, "")
    # a margin that moves together with the rules is a margin that moved
    monkeypatch.setattr("wdbench.config.claims.RULES", 1001)
    assert register([claim(margin=0.01)], path, "2025-03-01").differing == ("T1",)
    register([claim(margin=0.01)], path, "2025-03-01", update=True)
    assert "margin: 0.03 -> 0.01" in registration.post_hoc(claim(margin=0.01), registration.load(path))[1]


def _committed(folder, ledger, claims, day, message):
    registration.register(claims, ledger, day, update=True)
    when = {"GIT_COMMITTER_DATE": f"{day}T12:00:00+00:00", "GIT_AUTHOR_DATE": f"{day}T12:00:00+00:00"}
    names = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (["add", "."], ["commit", "-qm", message]):
        subprocess.run(["git", *words], cwd=folder, check=True, env={**os.environ, **when, **names})


def test_git_tells_when_a_claim_was_first_as_it_is(tmp_path):
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    ledger = tmp_path / "claims.lock.json"
    one, two = claim(), claim(id="T2")
    _committed(tmp_path, ledger, [one], "2026-01-01", "first")
    _committed(tmp_path, ledger, [one, two], "2026-01-02", "second")
    moved = claim(margin=0.2)
    _committed(tmp_path, ledger, [moved, two], "2026-01-03", "margin moved")
    rows = history.table([moved, two], ledger).set_index("claim_id")
    assert rows.loc[moved.id, ["registered_on", "committed", "state"]].tolist() == ["2026-01-03", "2026-01-03", "post hoc"]
    assert "margin" in rows.loc[moved.id, "post_hoc_why"]
    assert rows.loc["T2", ["registered", "committed", "state"]].tolist() == [two.digest(), "2026-01-02", "registered"]
    back = history.table([one], ledger).iloc[0]
    assert back["committed"] == "2026-01-01" and back["registered_on"] == "" and back["state"] == "post hoc"


def test_a_change_of_the_rules_alone_leaves_a_claim_its_first_commit(tmp_path, monkeypatch):
    from wdbench.config import claims as schema

    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    ledger = tmp_path / "claims.lock.json"
    monkeypatch.setattr(schema, "RULES", 1)
    _committed(tmp_path, ledger, [claim()], "2026-01-01", "first")
    monkeypatch.setattr(schema, "RULES", 2)
    _committed(tmp_path, ledger, [claim()], "2026-01-02", "rules")
    row = history.table([claim()], ledger).iloc[0]
    assert (row["committed"], row["state"], row["registered"]) == ("2026-01-01", "registered", claim().digest())


def test_without_git_only_the_ledger_speaks(tmp_path):
    ledger = tmp_path / "claims.lock.json"
    registration.register([claim()], ledger, "2026-01-01")
    row = history.table([claim()], ledger).iloc[0]
    assert row["registered_on"] == "2026-01-01" and row["commit"] == row["committed"] == ""
