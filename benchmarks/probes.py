"""What the probes of a run cost: the same cells with and without them, side by side in one process, in processor time.

    python benchmarks/probes.py [--repeats 5] [--steps 400] [--probes rotation path ...]

Networks of the size that the studies train (64 features, 10 classes, batch 32). The steps at which probes look are the same number in
a longer run, so that their share falls with the length; it is given for the length of the studies too, from the cost a run.
"""

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
import torch

from wdbench import engine, provenance, runprobes
from wdbench.cells import Data, Program, Run

FEATURES, OUTPUTS, ROWS, STUDY = 64, 10, 300, 2000
MODELS = {"mlp:depth=1": "sgd", "mlp:norm=bn,affine=no,head=frozen": "momentum", "mlp:norm=bn": "adam"}


def cells(model: str, optimiser: str, steps: int, arms: int, replicates: int) -> tuple[list[Run], dict[int, Data]]:
    rng = np.random.default_rng(0)
    draw = lambda n: (rng.standard_normal((n, FEATURES)), rng.integers(0, OUTPUTS, n).astype(float))  # noqa: E731
    data = {r: Data("bench", "multiclass", OUTPUTS, *draw(ROWS), *draw(ROWS), draw(ROWS)[0]) for r in range(replicates)}
    program = Program(model, optimiser, "fp32", "none", "constant", steps, 32, prox=False)
    coupling = "decoupled" if optimiser == "adam" else "coupled"
    return [Run(program, coupling, 0.0, 0.01 * i / arms, 0.01, "weights", 1.0, r) for i in range(arms) for r in range(replicates)], data


def seconds(runs, data) -> float:
    started = time.process_time()
    for _ in engine.train(runs, data):
        pass
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--arms", type=int, default=16)
    parser.add_argument("--replicates", type=int, default=2)
    parser.add_argument("--probes", nargs="+", default=list(runprobes.PROBES), choices=runprobes.PROBES)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for model, optimiser in MODELS.items():
        runs, data = cells(model, optimiser, chosen.steps, chosen.arms, chosen.replicates)
        taken = {name: [] for name in ("", *chosen.probes, "+".join(chosen.probes))}
        seconds(runs, data)  # the first run of a shape pays for its set-up
        for _ in range(chosen.repeats):
            for name, found in taken.items():
                found.append(seconds([replace(run, program=replace(run.program, probes=name)) for run in runs], data))
        bare = statistics.median(taken.pop(""))
        print(f"{model}, {optimiser}: {1e6 * bare / len(runs) / chosen.steps:.0f} us a step and cell without probes")
        for name, found in taken.items():
            more = statistics.median(found) - bare
            # spikes look at every step, the others at a number of steps that does not grow with the run
            study = more / bare if name == "spikes" else more / bare * chosen.steps / STUDY
            print(f"  {name if name in chosen.probes else 'all':<10} {more / bare:>+7.1%} of {chosen.steps} steps   "
                  f"about {study:>+6.1%} of {STUDY}   (min {min(found) / bare - 1:+.1%}, max {max(found) / bare - 1:+.1%})")


if __name__ == "__main__":
    provenance.one_thread()
    main()
