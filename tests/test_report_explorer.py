"""The explorer's and the heatmaps' numbers are those of the tables, and their marks those of the claims' own selection."""

import json
import math

import altair
import numpy as np
import pandas as pd
import planted_grid
import pytest

from wdbench import filters
from wdbench.report import charts, explorer, heatmaps, interactive
from wdbench.report.slices import slices

RUNS = planted_grid.runs()


@pytest.fixture(scope="module")
def tables():
    return planted_grid.tables()


@pytest.fixture(scope="module")
def content(tables):
    return explorer.content(slices(tables["runs"]), tables)


@pytest.fixture(scope="module")
def grids(tables):
    return heatmaps.content(tables)["groups"]


def of(content, name, number):
    return content["choices"][name]["values"][content["choices"][name]["of"][number]]


def find(content, **wanted):
    """Number of the one slice with these choices and learning rate."""
    rate = wanted.pop("lr", None)
    found = [i for i, lr in enumerate(content["slices"]["lr"]) if lr == rate and all(of(content, k, i) == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


def points(content, number):
    start, count = content["slices"]["start"][number], content["slices"]["count"][number]
    return range(start, start + count)


def four_digits(value):
    return float(f"{value:.4g}")


def test_every_arm_with_three_lambdas_is_a_slice(content):
    assert len(content["slices"]["lr"]) == 2 * 2 * 3 + 2  # data sets x couplings x learning rates, and two studies of the lasso


def test_quartiles_are_those_of_the_rows_that_finished(content):
    """By hand, one row at a time, not through the module's own grouping."""
    seen = 0
    for number in range(len(content["slices"]["lr"])):
        rows = filters.parse(content["slices"]["where"][number], "test").rows(RUNS[RUNS["penalty"] != "none"])
        study = of(content, "setting", number).partition(":")[0]
        rows = rows[[study in names.split("+") for names in rows["study"]]]
        for at in points(content, number):
            lam = content["points"]["lambda"][at]
            here = rows[rows["lambda"] == lam]
            if lam == 0:
                continue
            assert content["points"]["n"][at] == len(here) == len(set(here["replicate"])) > 0
            assert content["points"]["diverged"][at] == (here["status"] == "diverged").sum()
            for metric in planted_grid.SCORES:
                finished = [v for v, status in zip(here[metric], here["status"], strict=True) if status == "ok"]
                for side, share in (("low", 25), ("median", 50), ("high", 75)):
                    shown = content["metrics"][metric][side][at]
                    assert shown == (four_digits(np.percentile(finished, share)) if finished else None)
                    seen += 1
    assert seen > 1500


def test_lambda_0_is_the_unpenalised_twin_at_the_same_rate(content):
    number = find(content, dataset="Khan", method="adam, decoupled", lr=0.1)
    first = points(content, number)[0]
    twins = RUNS[(RUNS["dataset"] == "khan") & (RUNS["penalty"] == "none") & (RUNS["lr"] == 0.1)]
    assert content["points"]["lambda"][first] == 0 and content["points"]["n"][first] == len(twins) == 4
    assert content["metrics"]["test_loss"]["median"][first] == four_digits(np.median(twins["test_loss"]))
    assert content["points"]["chosen"][first] == 0


def test_where_all_replicates_diverged_there_is_no_number(content):
    last = points(content, find(content, dataset="Khan", method="adam, decoupled", lr=1.0))[-1]
    assert content["points"]["diverged"][last] == content["points"]["n"][last] == 4
    assert all(sides["median"][last] is None for sides in content["metrics"].values())


def test_a_row_of_two_studies_counts_in_each_with_that_studys_replicates(content):
    narrow, wide = (find(content, dataset="Hitters", setting=study) for study in ("narrow", "wide"))
    assert content["slices"]["replicates"][narrow] == 2 and content["slices"]["replicates"][wide] == 4
    assert len(points(content, narrow)) == 4 and len(points(content, wide)) == 5  # lambda = 0 included
    assert [content["points"]["n"][at] for at in points(content, narrow)] == [2, 2, 2, 2]


def test_the_chosen_lambda_is_what_the_claims_select(tables, content):
    selected = tables["selected"]
    chosen = selected[(selected["claim_id"] == "E2") & (selected["arm"] == "treatment") & (selected["stratum"] == "khan")]
    number = find(content, dataset="Khan", method="adam, decoupled", lr=0.1)
    told = {content["points"]["lambda"][at]: content["points"]["chosen"][at] for at in points(content, number)}
    assert {lam: n for lam, n in told.items() if n} == chosen["lambda"].value_counts().to_dict()
    assert content["slices"]["claims"][number] == ["E2"]
    assert content["slices"]["claims"][find(content, dataset="Khan", method="adam, decoupled", lr=0.01)] == []


def test_the_filter_shown_finds_the_rows(content):
    number = find(content, dataset="Hitters", setting="wide")
    at = points(content, number)[2]
    text = f"{content['slices']['where'][number]} and lambda == {content['points']['lambda'][at]!r}"
    assert len(filters.parse(text, "test").rows(RUNS)) == 4


def test_features_are_counted_over_replicates(content, tables):
    number = find(content, dataset="Hitters", setting="wide")
    kept = content["kept"][str(number)]
    table = tables["supports"].merge(tables["runs"][["cell_id", "lambda"]], on="cell_id")
    for feature, counts in zip(kept["features"], kept["kept"], strict=True):
        for at, count in zip(points(content, number), counts, strict=True):
            here = (table["feature"] == feature) & (table["lambda"] == content["points"]["lambda"][at])
            assert count == here.sum()
    assert kept["features"][0] == 0  # kept by most comes first


def test_paths_are_medians_of_the_exact_minimisers(content):
    path = content["paths"][content["path_of"][str(find(content, dataset="Hitters", setting="narrow"))]]
    assert path == [[four_digits(3.5 / (1 + lam)) for lam in planted_grid.LAMBDAS[:3]], [-lam for lam in planted_grid.LAMBDAS[:3]]]
    assert len(content["paths"]) == 2  # the studies have other replicates


def test_paths_want_every_replicate(tables):
    short = {**tables, "solutions": tables["solutions"].query("replicate != 6")}
    found = explorer.content(slices(tables["runs"]), short)
    assert list(found["path_of"]) == [str(find(found, dataset="Hitters", setting="narrow"))]


def panel_of(grids, dataset, coupling):
    return next(p for g in grids if g["label"].startswith(dataset) for p in g["panels"] if p["coupling"] == coupling)


@pytest.mark.parametrize("coupling, arm", [("decoupled", "treatment"), ("coupled", "control")])
def test_the_marked_cells_are_those_of_selected_csv(tables, grids, coupling, arm):
    selected = tables["selected"].query("claim_id == 'E1' and stratum == 'khan' and arm == @arm")
    panel = panel_of(grids, "Khan", coupling)
    wide = len(panel["lambdas"])
    marked = {(panel["lambdas"][i % wide], panel["rates"][i // wide]): n for i, n in enumerate(panel["chosen"]) if n}
    assert marked == selected.groupby(["lambda", "lr"]).size().to_dict()
    assert panel["claims"] == ["E1"] and sum(marked.values()) == panel["replicates"] == 4


def test_a_claim_of_other_cells_is_not_named(tables):
    other = tables["selected"].assign(cell_id=tables["selected"]["cell_id"].map(lambda cell: f"{int(cell, 16) ^ 1:016x}"))
    found = heatmaps.content({**tables, "selected": other})["groups"]
    assert all(panel["claims"] == [] for group in found for panel in group["panels"])


def test_losses_are_medians_that_count_a_diverged_run_as_worst(grids):
    checked = 0
    for coupling in ("coupled", "decoupled"):
        panel = panel_of(grids, "Khan", coupling)
        for i, shown in enumerate(panel["loss"]):
            lam, lr = panel["lambdas"][i % 4], panel["rates"][i // 4]
            here = RUNS[(RUNS["dataset"] == "khan") & (RUNS["coupling"] == coupling) & (RUNS["lambda"] == lam) & (RUNS["lr"] == lr)]
            ordered = sorted(v if status == "ok" else math.inf for v, status in zip(here["val_loss"], here["status"], strict=True))
            middle = (ordered[1] + ordered[2]) / 2
            assert shown == (four_digits(middle) if math.isfinite(middle) else None)
            assert panel["diverged"][i] == (here["status"] == "diverged").sum()
            checked += 1
        finite = [v for v in panel["loss"] if v is not None]
        assert panel["loss"][panel["best"]] == min(finite)
        assert panel["loss"][-1] is None and panel["loss"][-2] is None and panel["loss"][-3] is not None  # 4, 2 and 1 of 4 diverged
    assert checked == 24


def test_the_ridge_is_the_best_lambda_of_each_rate(grids):
    panel = panel_of(grids, "Digits", "coupled")
    for i in panel["ridge"]:
        row = panel["loss"][i // 4 * 4: i // 4 * 4 + 4]
        assert panel["loss"][i] == min(v for v in row if v is not None)
    assert [i // 4 for i in panel["ridge"]] == [0, 1, 2]


def test_lines_of_one_product_lie_in_the_grid(grids):
    panel = panel_of(grids, "Khan", "coupled")
    for power, x1, y1, x2, y2 in panel["lines"]:
        assert x1 + y1 == pytest.approx(power, abs=2e-4) and x2 + y2 == pytest.approx(power, abs=2e-4)
        assert panel["x"][0] <= x1 < x2 <= panel["x"][-1] and panel["y"][0] <= y2 < y1 <= panel["y"][-1]
    assert [line[0] for line in panel["lines"]] == [-5, -4, -3, -2, -1, 0]


def test_a_grid_with_a_hole_is_no_heatmap(tables):
    holed = tables["runs"].query("not (dataset == 'khan' and coupling == 'coupled' and lr == 0.1 and penalty == 'l2' and `lambda` > 0.5)")
    couplings = [p["coupling"] for g in heatmaps.content({"runs": holed})["groups"] if g["label"].startswith("Khan") for p in g["panels"]]
    assert couplings == ["decoupled"]


def test_coupled_stands_beside_decoupled(grids):
    assert [[panel["coupling"] for panel in group["panels"]] for group in grids] == [["coupled", "decoupled"]] * 2


def test_no_table_no_view(tables):
    assert explorer.explorer({}) is None and heatmaps.heatmaps({}) is None
    short = tables["runs"].query("`lambda` in [0, 0.001, 0.01]")
    assert explorer.explorer({"runs": short}) is None and heatmaps.heatmaps({"runs": short}) is None


def test_packing_gives_back_what_was_packed_and_ends_no_element():
    text = "λ </script> " + "x" * 1000
    assert interactive.unpacked(interactive.packed(text)) == text
    assert set(interactive.packed(text)).isdisjoint("<>&\"'")
    with pytest.raises(ValueError):
        interactive.as_json([math.nan])


def test_numbers_are_rounded_and_none_where_there_is_none():
    assert interactive.numbers([1.23456e-7, 2.0, -0.0004, math.nan, math.inf]) == [1.235e-7, 2, -0.0004, None, None]
    assert interactive.exact(pd.Series([0.1 + 0.2, None])) == [0.1 + 0.2, None]


def test_the_views_carry_what_the_page_shows(tables):
    made = explorer.explorer(tables)
    assert json.loads(interactive.unpacked(made["data"]))["points"]["n"] and made["slices"] == 14
    assert json.loads(interactive.unpacked(heatmaps.heatmaps(tables)["data"]))["groups"]


def test_the_library_is_the_same_every_time_and_small():
    assert interactive.plot_library.__wrapped__() == interactive.plot_library()
    assert len(interactive.plot_library()) < 600_000 and "vegaEmbed" in interactive.unpacked(interactive.plot_library())


@pytest.mark.parametrize("name, spec", [*charts.explorer().items(), *charts.heatmaps().items()])
def test_charts_name_their_data_and_fetch_nothing(name, spec):
    assert all("url" not in source for source in spec["data"])
    assert "background" not in spec, "the page's ground shows through, light or dark"
    assert isinstance(getattr(charts, name)(), altair.LayerChart)
