"""The workflow as a user runs it: the smoke profile, again, on another number of cores, extended, and damaged."""

import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from smoke import TABLES, digests, project, run, snakemake, stored, wdbench

from wdbench import gallery


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("first") / "my project é")
    output = snakemake(folder)
    assert "[wdbench] packs" in output and "cells/s" in output
    return folder


def test_the_second_time_there_is_nothing_to_do(first):
    before = digests(first)
    assert "Nothing to be done" in snakemake(first)
    assert digests(first) == before


def test_one_core_in_another_folder_gives_the_same_bytes(first, tmp_path):
    other = project(tmp_path / "elsewhere")
    snakemake(other, cores=1)
    assert digests(other) == digests(first)
    assert "0 of the shared ones differ" in wdbench(other, "diff", str(first / "results/smoke"), "results/smoke")
    manifests = [json.loads((f / "results/smoke/manifest.json").read_text()) for f in (first, other)]
    assert manifests[0]["tables"]["runs.parquet"]["content_sha256"] == manifests[1]["tables"]["runs.parquet"]["content_sha256"]


def test_a_cell_replayed_by_itself_has_the_stored_bits(first):
    runs = pd.read_parquet(first / "results/smoke/runs.parquet")
    chosen = runs[runs["precision"].isin(["bf16_weights", "fp64"])].groupby(["model", "optimiser", "rounding"]).first()
    for cell in list(chosen["cell_id"])[:2]:
        assert "equal bit for bit" in wdbench(first, "replay", cell)


def test_a_new_lambda_trains_only_its_own_cells(first, tmp_path):
    folder = tmp_path / "extended"
    shutil.copytree(first, folder)
    content = yaml.safe_load((folder / "config.yaml").read_text())
    smoke = content["profiles"]["smoke"]["studies"]["grid"]
    smoke["lambda"]["l2"] = {"values": [0.0001, 0.0173205, 3.0, 0.5]}
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    report = json.loads(wdbench(folder, "plan", "--json"))
    # one lambda x 3 data sets x 2 optimisers x 2 couplings x 3 precisions x 6 replicates
    assert report["missing"] == 3 * 2 * 2 * 3 * 6
    files = stored(folder)
    assert "train" in snakemake(folder, "-n", "--quiet", "host")
    snakemake(folder, "results/smoke/runs.parquet")
    new = pd.concat(pd.read_parquet(f) for f in stored(folder) - files)
    assert len(new) == 216 and set(new["lambda_rel"]) == {0.5} and set(new["penalty"]) == {"l2"}


def test_a_new_claim_trains_nothing(first, tmp_path):
    folder = tmp_path / "claimed"
    shutil.copytree(first, folder)
    path = folder / "tests/smoke_claims.yaml"
    path.write_text(path.read_text() + """
- id: S99
  sentence: "lasso lowers test risk"
  source: "lecture s2"
  family: smoke
  kind: superiority
  study: penalties
  arms:
    treatment: {where: penalty == "l1", select: {over: [lambda_rel], edge: {lambda_rel.low: "no penalty"}}}
    control: {where: penalty == "none"}
  metric: test_loss
  effect: relative
  direction: lower
  margin: 0.03
""")
    assert json.loads(wdbench(folder, "plan", "--json"))["missing"] == 0
    store = {f: f.stat().st_mtime_ns for f in (folder / "results/store").rglob("*.parquet")}
    snakemake(folder, "results/smoke/verdicts.csv")
    assert store == {f: f.stat().st_mtime_ns for f in (folder / "results/store").rglob("*.parquet")}
    verdicts = pd.read_csv(folder / "results/smoke/verdicts.csv").set_index(["claim_id", "dataset"])
    assert bool(verdicts.loc[("S99", "all"), "post_hoc"]) and not bool(verdicts.loc[("S1", "all"), "post_hoc"])


def test_figures_are_drawn_again_without_training_and_as_pdf(first, tmp_path):
    folder = tmp_path / "papers"
    shutil.copytree(first, folder)
    figures, before = folder / "results/smoke/figures", digests(folder)
    (figures / "index.csv").unlink()
    (figures / "S1.svg").unlink()
    store = {f: f.stat().st_mtime_ns for f in (folder / "results/store").rglob("*.parquet")}
    run(folder, "snakemake", "--cores", "2", "figures", "--config", "profile=smoke")
    assert store == {f: f.stat().st_mtime_ns for f in (folder / "results/store").rglob("*.parquet")}
    after = digests(folder)
    assert {name: after[name] for name in before} == before
    assert {f.stem for f in figures.glob("*.pdf")} == {f.stem for f in figures.glob("*.svg")}
    index = pd.read_csv(figures / "index_pdf.csv")
    assert set(index["file"].dropna()) == {f.name for f in figures.glob("*.pdf")}


def test_snakemake_s_report_has_every_figure_and_table_with_caption_and_labels(first, tmp_path):
    snakemake(first, "--report", str(tmp_path / "report.html"))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown, _ = json.JSONDecoder().raw_decode(html, re.search(r"var results = (?={\")", html).end())
    figures = {path: entry for path, entry in shown.items() if "/gallery/" in path}
    assert {path.rsplit("/", 1)[1] for path in figures} == {f.name for f in (first / "results/smoke/figures").glob("*.svg")}
    assert {path.rsplit("/", 1)[1].partition(".")[0] for path in set(shown) - set(figures)} == set(gallery.FILES)
    assert all(entry["caption"].startswith("<p>") and entry["labels"] for entry in shown.values())
    assert "Figure of claim S1" in figures["results/smoke/gallery/S1.svg"]["caption"]
    verdicts = pd.read_csv(first / "results/smoke/verdicts.csv").query("claim_id == 'S1' and dataset == 'all'").iloc[0]
    labels = figures["results/smoke/gallery/S1.svg"]["labels"]
    assert (labels["verdict"], labels["sentence"]) == (verdicts["verdict"], verdicts["sentence"])


def test_damaged_files_are_named_set_aside_and_made_again(first, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(first, folder)
    expected, results = digests(folder), folder / "results/smoke"
    victim = next((folder / "results/store").rglob("*/noisy~linear~exact/rows-*"))
    victim.write_bytes(victim.read_bytes()[:100])
    figure = sorted((results / "figures").glob("*.svg"))[0]
    flipped = [results / "verdicts.csv", results / "packs/noisy~linear~exact.parquet", figure, results / "manifest.json"]
    for path in flipped:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    (results / "runs.parquet").unlink()
    output = snakemake(folder)
    for path in (victim, *flipped):
        assert path.name in output, path
        assert (path.parent / "damaged" / path.name).exists() or path == victim
    assert "set aside" in output and digests(folder) == expected


def test_bad_input_to_the_workflow_is_one_sentence(first, tmp_path):
    folder = tmp_path / "bad"
    shutil.copytree(first, folder)
    assert "valid: config_file, profile, results" in snakemake(folder, "colour=red", code=2)
    claims = folder / "tests/smoke_claims.yaml"
    good = claims.read_text()
    claims.write_text(good.replace("metric: weight_norm", "metric: weight_nrom"))
    output = wdbench(folder, "judge", code=2)
    assert "weight_nrom" in output and "S3" in output and "weight_norm" in output and "Traceback" not in output
    claims.write_text(good.replace("study: penalties", "study: penaltys"))
    output = wdbench(folder, "judge", code=2)
    assert "penaltys" in output and "penalties" in output and "Traceback" not in output
    claims.write_text(good)
    (folder / "results/smoke/runs.parquet").write_bytes(b"not a table")
    output = wdbench(folder, "judge", code=2)
    assert "runs.parquet" in output and "damaged" in output and "Traceback" not in output
    assert "Traceback" not in wdbench(folder, "show", "runs", "--where", "__import__('os')", code=2)


def test_every_column_of_every_table_is_in_the_dictionary(first):
    results = first / "results/smoke"
    known = pd.read_csv(results / "dictionary.csv").groupby("table")["column"].agg(set)
    for name in TABLES:
        if name == "dictionary.csv":
            continue
        path = results / name
        columns = pd.read_parquet(path).columns if path.suffix == ".parquet" else pd.read_csv(path).columns
        assert set(columns) == known[path.stem]


def test_test_loss_never_holds_the_penalty_and_the_gap_is_to_the_exact_minimum(first):
    runs = pd.read_parquet(first / "results/smoke/runs.parquet")
    trained = runs[(runs["optimiser"] != "exact") & (runs["status"] == "ok")]
    penalised = trained[trained["lambda"] > 0]
    penalty = penalised["lambda1"] * penalised["weight_norm_1"] + 0.5 * penalised["lambda2"] * penalised["weight_norm"] ** 2
    assert (penalised["objective"] - penalised["train_loss"] - penalty).abs().max() < 1e-9 * (1 + penalty.max())
    convex = trained[~trained["model"].str.startswith("mlp")]
    assert (convex["oracle_gap"] > -convex["oracle_certificate"].clip(1e-9)).all()
    assert trained.drop(convex.index)["oracle_gap"].isna().all() and len(convex) < len(trained)
    none = trained[trained["penalty"] == "none"]
    assert (none["objective"] == none["train_loss"]).all()
