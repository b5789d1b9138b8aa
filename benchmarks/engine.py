"""Cells a second: the stacked engine against a torch.optim loop over the same cells, side by side in one run.

    python benchmarks/engine.py [--repeats 5]

Both train the same softmax cells (digits-sized: 64 features, 10 classes, batch 64) with the same batches, and the benchmark checks
that they end at the same weights before it prints a ratio. Five alternating repeats by default; medians and extremes are printed,
never one absolute time alone.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from wdbench import engine, models
from wdbench.cells import Data, Program, Run

STEPS, FEATURES, OUTPUTS, ROWS = 100, 64, 10, 1078


def cells(arms: int, replicates: int) -> tuple[list[Run], dict[int, Data]]:
    rng = np.random.default_rng(0)
    data = {r: Data("bench", "multiclass", OUTPUTS, rng.standard_normal((ROWS, FEATURES)),
                           rng.integers(0, OUTPUTS, ROWS).astype(float), rng.standard_normal((50, FEATURES)),
                           rng.integers(0, OUTPUTS, 50).astype(float)) for r in range(replicates)}
    program = Program("softmax", "adam", "fp32", "none", "constant", STEPS, 64, "plain")
    runs = [Run(program, "decoupled", 0.0, 0.01 * i / arms, 0.01, 0.0, 0.0, r) for i in range(arms) for r in range(replicates)]
    return runs, data


def loop(runs, data) -> list[np.ndarray]:
    """The plain way: one module, one torch.optim.AdamW, one cell after another."""
    weights = []
    for run in runs:
        d = data[run.replicate]
        model = models.FAMILIES["softmax"].build(FEATURES, OUTPUTS)
        torch.nn.init.zeros_(model.out.weight), torch.nn.init.zeros_(model.out.bias)
        groups = [{"params": [model.out.weight], "weight_decay": run.lambda2}, {"params": [model.out.bias], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=run.lr)
        x, y = torch.as_tensor(d.x, dtype=torch.float32), torch.as_tensor(d.y).long()
        for rows in engine.batches(d.base, run.replicate, len(y), STEPS, 64):
            optimizer.zero_grad()
            models.softmax_loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        weights.append(model.out.weight.detach().numpy().T.copy())
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    runs, data = cells(arms=64, replicates=8)
    few = runs[:16]
    ratios, stacked_rate, loop_rate = [], [], []
    for _ in range(repeats):
        started = time.perf_counter()
        found = dict(pair for chunk in engine.train(runs, data) for pair in chunk)
        stacked_rate.append(len(runs) / (time.perf_counter() - started))
        started = time.perf_counter()
        plain = loop(few, data)
        loop_rate.append(len(few) / (time.perf_counter() - started))
        worst = max(np.abs(found[i].weight - w).max() for i, w in enumerate(plain))
        assert len(found) == len(runs) and worst < 1e-4, f"the two ways differ by {worst}"
        ratios.append(stacked_rate[-1] / loop_rate[-1])
    for name, values in (("stacked, cells/s", stacked_rate), ("loop, cells/s", loop_rate), ("ratio", ratios)):
        print(f"{name:<18} median {statistics.median(values):>8.1f}   min {min(values):>8.1f}   max {max(values):>8.1f}")


if __name__ == "__main__":
    main()
