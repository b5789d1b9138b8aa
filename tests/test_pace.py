"""Predicted seconds: what rows with a known cost teach."""

import numpy as np
import pandas as pd
import pytest

from wdbench import grid, pace, wall
from wdbench.config import experiment

PACK = "digits~mlp:depth=1~adam"


def table(packs=("digits", "mnist_5k", "reuters_r8"), cost=1e-9):
    """Rows whose seconds are cost x steps x batch x weights, with ten per cent of noise."""
    rng, rows = np.random.default_rng(0), []
    for base in packs:
        dataset = base if base != "reuters_r8" else "reuters_r8:top=1000"
        for model in ("mlp", "mlp:depth=1", "mlp:width=32"):
            for steps in (100, 400, 1600):
                for batch in (16, 64):
                    seconds = cost * steps * batch * pace.weights(dataset, model) * np.exp(rng.normal(0, 0.1))
                    rows.append({"pack": f"{base}~{model}~adam", "dataset": dataset, "model": model, "optimiser": "adam",
                                 "precision": "fp32", "steps": steps, "batch_size": batch, "train_seconds": seconds})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def cell():
    return next(c for c in grid.pack_cells(experiment.load("config.yaml"), PACK) if c.precision == "fp32")


def test_a_pack_without_rows_is_predicted_from_the_others(cell):
    rows = table()
    learnt = pace.Pace(pace.programs(rows[rows["pack"] != PACK]))
    expected = 1e-9 * cell.steps * cell.batch_size * pace.weights(cell.dataset, cell.model)
    assert learnt.knows(PACK) and learnt.seconds(PACK, [cell] * 10, rough=1e9) == pytest.approx(10 * expected, rel=0.3)


def test_a_packs_own_rows_set_the_scale(cell):
    rows = table()
    slow = rows.assign(train_seconds=rows["train_seconds"] * np.where(rows["pack"] == PACK, 5.0, 1.0))
    assert pace.Pace(pace.programs(slow)).seconds(PACK, [cell], 1.0) > 2.5 * pace.Pace(pace.programs(rows)).seconds(PACK, [cell], 1.0)


def test_without_enough_rows_there_is_the_mean_of_the_pack_or_the_rough_cost(cell):
    few = pace.Pace(pace.programs(table().query("pack == @PACK")))
    assert few.seconds(PACK, [cell, cell], 7.0) == pytest.approx(2 * table().query("pack == @PACK")["train_seconds"].mean())
    assert few.seconds("mnist_5k~mlp~adam", [cell, cell], 7.0) == 14.0 and not few.knows("mnist_5k~mlp~adam")


def test_rows_of_the_code_as_it_is_count_alone_where_there_are_any():
    rows = table(("digits",)).query("pack == @PACK").assign(cell_id=lambda t: [f"id{i}" for i in range(len(t))])
    mixed = pace.pace({PACK: rows}, {PACK: {"id0"}})
    assert mixed.own[PACK] == pytest.approx(rows["train_seconds"].iloc[0])
    assert pace.pace({PACK: rows}, {PACK: set()}).own[PACK] == pytest.approx(rows["train_seconds"].mean())
    assert pace.pace({PACK: rows.iloc[:0]}, {PACK: set()}).own == {}


def test_an_accepted_run_speaks_for_packs_without_rows_at_this_machines_pace():
    rows = table(("digits", "mnist_5k"))
    theirs = pace.programs(rows)
    mine = pace.programs(rows[rows["pack"] == PACK].assign(train_seconds=lambda t: 3 * t["train_seconds"]))
    both = pace.Pace(pace.merged(mine, theirs))
    assert both.own[PACK] == pytest.approx(3 * pace.Pace(theirs).own[PACK])
    other = "mnist_5k~mlp~adam"
    assert both.own[other] == pytest.approx(3 * pace.Pace(theirs).own[other])
    assert pace.Pace(pace.merged(theirs.iloc[:0], theirs)).own == pace.Pace(theirs).own
    assert pace.Pace(pace.merged(mine, theirs.iloc[:0])).own == pace.Pace(mine).own


def test_a_table_of_programs_is_read_as_it_was_written(tmp_path):
    theirs = pace.programs(table(("digits",)))
    theirs.to_csv(tmp_path / "pace.csv", index=False)
    learnt = pace.pace({}, {}, [tmp_path / "pace.csv", tmp_path / "absent.csv"])
    assert learnt.own == pytest.approx(pace.Pace(theirs).own)


def test_wall_time_is_that_of_the_last_core():
    assert wall.makespan([(0, 4.0), (0, 3.0), (1, 2.0), (2, 2.0)], 2) == 6.0
    assert wall.makespan([(0, 4.0), (0, 3.0), (1, 2.0), (2, 2.0)], 1) == 11.0
    # a long job that is started last leaves the other core idle
    assert wall.makespan([(3, 10.0), (0, 1.0), (0, 1.0)], 2) == 11.0
    packs = {"digits~mlp~adam": 100.0, "digits~softmax~exact": 50.0, "digits~softmax~sgd": 10.0}
    convex = {"digits~mlp~adam": False, "digits~softmax~exact": False, "digits~softmax~sgd": True}
    closing = wall.CLOSING + wall.CLOSING_CELL * 1000 + wall.CLOSING_CLAIM * 20
    one = wall.seconds(packs, convex, {"digits": 20.0}, 1000, 20, 1)
    assert one == pytest.approx(180 + 4 * wall.START + closing)
    # three shorter jobs beside the long one
    assert wall.seconds(packs, convex, {"digits": 20.0}, 1000, 20, 2) == pytest.approx(100 + wall.START + closing)
