"""What scripts of this field do: a process a cell, which imports, trains with torch.optim and writes its weights."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.cases import CASES, Case


def train(case: Case):
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for i in range(case.processes):
            subprocess.run([sys.executable, "-m", "benchmarks.ways.process", case.name, str(i), f"{folder}/{i}.npy"], check=True,
                           cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"})
        seconds = time.perf_counter() - started
        return seconds, case.processes, {i: np.load(f"{folder}/{i}.npy") for i in range(case.processes)}


if __name__ == "__main__":
    import torch

    from benchmarks.ways import loop

    torch.set_num_threads(1)
    np.save(sys.argv[3], loop.cell(CASES[sys.argv[1]], int(sys.argv[2])))
