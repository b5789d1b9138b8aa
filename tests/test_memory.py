"""The budget of a worker: what is estimated, what is refused before it starts, and what a training process really takes."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from wdbench import fits, grid, measure, memory, work
from wdbench.config import experiment as experiments
from wdbench.errors import UserError

PACK = "digits~softmax~adam"


@pytest.fixture(scope="module")
def cells():
    """Cells of one data set spec of a convex pack, several replicates."""
    found = list(grid.pack_cells(experiments.load("config.yaml"), PACK))
    return [cell for cell in found if cell.dataset == found[0].dataset]


def test_portions_hold_every_cell_once_and_no_more_than_the_budget(cells):
    budget = 0.05
    portions = list(memory.portions(cells, budget))
    assert len(portions) > 1 and sorted(map(repr, cells)) == sorted(repr(cell) for part in portions for cell in part)
    for part in portions:
        blocks = memory.block_bytes(part[0].dataset) * len({cell.replicate for cell in part})
        assert blocks + sum(map(memory.cell_bytes, part)) <= budget * memory.GIB


def test_a_large_budget_divides_nothing(cells):
    assert [len(part) for part in memory.portions(cells, 100.0)] == [len(cells)]


def test_a_cell_that_cannot_fit_says_so_before_it_starts(cells):
    with pytest.raises(UserError, match=r"config.yaml: budget.memory_gib: value 0.0001: one cell of .* takes about .*; valid: .* or more"):
        list(memory.portions(cells, 0.0001))


def test_a_cell_that_is_trained_beside_others_takes_theirs_too(cells):
    assert memory.cell_bytes(replace(cells[0], coupling="norm_replay")) == 3 * memory.cell_bytes(cells[0])


def test_a_set_that_is_made_has_a_size_too():
    assert fits.rows("noisy:p=20,n=60") == 60 and fits.rows("noisy:p=20") == 1000
    assert memory.evaluated("noisy:p=20,n=60") == 2 * measure.WHOLE and memory.evaluated("digits") == 1797


def test_shape_of_a_perceptron():
    # 64 x 8 + 8, 8 x 10 + 10; two layers and a ReLU that is no module leave 8 + 10 outputs, and the last ones
    weights, kept, widest = memory.shape("mlp:depth=1,width=8", 64, 10)
    assert weights == 64 * 8 + 8 + 8 * 10 + 10 and widest == 10 and 18 <= kept <= 40


TRAINS = """
import json, re, sys
from wdbench import provenance
provenance.one_thread()
import numpy as np
from wdbench import engine, memory
from wdbench.cells import Data, Program, Run
from wdbench.grid import Cell

budget, arms = float(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
draw = lambda n: (rng.standard_normal((n, 784)), rng.integers(0, 10, n).astype(float))
data = {0: Data("bench", "multiclass", 10, *draw(1000), *draw(100), draw(100)[0])}
cells = [Cell("mnist_5k:n=1200", "mlp:depth=1,width=64", "adam", "l2", 0.0, 0.001 * i, "absolute", "decoupled", "fp32", "none", 0.001,
              "absolute", "constant", 3, 64, "weights", 1.0, 0) for i in range(1, arms + 1)]
program = Program("mlp:depth=1,width=64", "adam", "fp32", "none", "constant", 3, 64, prox=False)
run = lambda cell: Run(program, "decoupled", 0.0, cell.lam, 0.001, "weights", 1.0, 0)
warm = [outcome for chunk in engine.train([run(cells[0])], data) for outcome in chunk]
# not ru_maxrss, which a process inherits from the one that started it
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
before = peak()
trained = portions = 0
for part in memory.portions(cells, budget):
    portions += 1
    for chunk in engine.train([run(cell) for cell in part], data):
        trained += len(chunk)
        del chunk
    memory.give_back()
print(json.dumps([portions, trained, (peak() - before) / 2**20]))
"""


def test_a_process_stays_within_a_tenth_of_the_default_budget():
    """Peak of a process that trains more than the budget holds, over what it took with its libraries loaded and one cell trained."""
    budget, arms = 0.2, 200
    done = subprocess.run([sys.executable, "-c", TRAINS, str(budget), str(arms)], capture_output=True, text=True, check=True)
    portions, trained, peak = json.loads(done.stdout)
    assert trained == arms and portions > 2 and peak <= budget
    # an estimate ten times too large would keep any budget
    assert peak > 0.2 * budget


def test_work_trains_a_pack_in_portions():
    """That it changes no bit is what the engine's tests hold for every model: a cell's neighbours do not matter."""
    experiment = experiments.load("config.yaml", "smoke")
    cells = dict.fromkeys(list(grid.pack_cells(experiment, "digits~softmax~sgd"))[:40], "x")
    whole = list(work._portions(experiment, cells))
    small = experiment.model_copy(update={"budget": experiment.budget.model_copy(update={"memory_gib": 0.005})})
    parts = list(work._portions(small, cells))
    assert len(whole) == 1 < len(parts)
    assert sorted(repr(cell) for part in parts for cell in part) == sorted(map(repr, whole[0]))


def test_small_models_are_estimated_without_torchs_compiler():
    """Loading it takes longer than training a small pack."""
    asked = "from wdbench import memory; memory.shape('linear', 19, 1); memory.shape('mlp:depth=2,norm=bn', 64, 10)"
    done = subprocess.run([sys.executable, "-c", f"{asked}; import sys; sys.exit('torch._dynamo' in sys.modules)"], timeout=120)
    assert done.returncode == 0
