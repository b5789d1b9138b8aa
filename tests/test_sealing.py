"""Sealed tables: what was damaged after it was written is refused by name, and what the store can make again is made again."""

import hashlib
import json
from types import SimpleNamespace

import pandas as pd
import pytest

from wdbench import comparing, gather, sealing, work
from wdbench.errors import UserError

TABLE = pd.DataFrame({"cell_id": ["a", "b"], "test_loss": [0.25, 0.5]})


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE = {"flipped": flip, "truncated": lambda content: content[:-7], "emptied": lambda content: b""}
WRITE = {"t.parquet": sealing.write_parquet, "t.csv": sealing.write_csv}


@pytest.mark.parametrize("name", WRITE)
def test_a_table_comes_back_as_it_was(tmp_path, name):
    path = WRITE[name](tmp_path / name, TABLE)
    pd.testing.assert_frame_equal(sealing.read(path), TABLE)
    assert (tmp_path / "checksums" / name).read_text().strip() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("known_by", ["sum", "manifest"])
def test_a_damaged_table_is_refused_by_name_with_the_command_that_makes_it_again(tmp_path, name, damage, known_by):
    path = WRITE[name](tmp_path / name, TABLE)
    if known_by == "manifest":
        (tmp_path / "checksums" / name).unlink()
        facts = {"profile": "smoke", "tables": {name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}}
        (tmp_path / "manifest.json").write_text(json.dumps(facts))
        pd.testing.assert_frame_equal(sealing.read(path), TABLE)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(sealing.Damaged) as refusal:
        sealing.read(path)
    assert str(path) in str(refusal.value) and f"rm {path}; snakemake --cores 2" in str(refusal.value) and "\n" not in str(refusal.value)
    assert ("--config profile=smoke" in str(refusal.value)) == (known_by == "manifest")


def test_a_hand_edited_verdict_is_refused_by_diff(tmp_path):
    verdicts = pd.DataFrame({"claim_id": ["A"], "dataset": ["all"], "verdict": ["refuted"]})
    for folder in ("a", "b"):
        sealing.write_csv(tmp_path / folder / "verdicts.csv", verdicts)
    assert comparing.diff(tmp_path / "a", tmp_path / "b")
    edited = tmp_path / "b" / "verdicts.csv"
    edited.write_text(edited.read_text().replace("refuted", "supported"))
    with pytest.raises(sealing.Damaged, match="b/verdicts.csv: damaged"):
        comparing.diff(tmp_path / "a", tmp_path / "b")


def test_a_damaged_manifest_is_one_sentence(tmp_path):
    (tmp_path / "manifest.json").write_text('{"tables": ')
    with pytest.raises(UserError, match="manifest.json: damaged"):
        sealing.manifest(tmp_path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_pack_is_set_aside_and_made_again(tmp_path, monkeypatch, damage):
    experiment = SimpleNamespace(folder=tmp_path, results=tmp_path)
    path = sealing.write_parquet(tmp_path / "packs" / "p.parquet", TABLE)
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole))
    monkeypatch.setattr(work, "train", lambda _, pack: sealing.write_parquet(tmp_path / "packs" / f"{pack}.parquet", TABLE))
    pd.testing.assert_frame_equal(gather._concatenate(experiment, ["p"], ""), TABLE)
    assert path.read_bytes() == whole
    assert (tmp_path / "packs" / "damaged" / "p.parquet").read_bytes() == DAMAGE[damage](whole)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_oracle_table_is_set_aside_and_made_again(tmp_path, monkeypatch, damage):
    experiment = SimpleNamespace(folder=tmp_path, results=tmp_path)
    path = sealing.write_parquet(tmp_path / "oracle" / "khan.parquet", TABLE)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    monkeypatch.setattr(work, "oracle", lambda _, base: sealing.write_parquet(tmp_path / "oracle" / f"{base}.parquet", TABLE))
    pd.testing.assert_frame_equal(work.solutions(experiment, "khan"), TABLE)
    assert (tmp_path / "oracle" / "damaged" / "khan.parquet").exists()


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_of_a_folder_are_found_and_whole_or_missing_ones_are_not(tmp_path, damage):
    names = [sealing.write_csv(tmp_path / f"{n}.csv", TABLE) for n in "abc"]
    names[0].write_bytes(DAMAGE[damage](names[0].read_bytes()))
    names[1].unlink()
    assert sealing.damaged(tmp_path) == [names[0]]
    assert sealing.damaged(tmp_path / "nowhere") == []


def test_a_sum_of_nonsense_is_damage_too(tmp_path):
    path = sealing.write_csv(tmp_path / "a.csv", TABLE)
    (tmp_path / "checksums" / "a.csv").write_bytes(b"\xff\x00")
    assert sealing.damaged(tmp_path) == [path]
