"""How cost grows: wall time of the engine against cells, steps and width, with the fitted exponent.

    python -m benchmarks.scaling [--repeats 3] [--out benchmarks/results]

An exponent of 1 is cost in proportion; below 1 a fixed part is spread over more. One core, one thread. Writes scaling.csv and
scaling.svg.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from wdbench import provenance

provenance.one_thread()

import numpy as np  # noqa: E402  (numpy reads the number of threads when it is loaded)
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from rich.progress import track  # noqa: E402

from benchmarks.cases import CASES, Case  # noqa: E402
from benchmarks.ways import stacked  # noqa: E402
from wdbench.figures import style  # noqa: E402

LINEAR, MLP = CASES["linear"], CASES["MLP, AdamW"]


def axes() -> dict[str, list[tuple[float, Case]]]:
    """Axis -> (size, case), all else alike."""
    base = replace(LINEAR, features=50, steps=50, rows=200, batch=5)
    mlp = lambda width: replace(MLP, model=f"mlp:width={width}", arms=8, replicates=2, steps=20)  # noqa: E731
    return {
        "cells (linear)": [(n, replace(base, arms=n // 10, replicates=10)) for n in (100, 1_000, 10_000, 100_000)],
        "steps (linear)": [(n, replace(base, arms=64, replicates=10, steps=n)) for n in (10, 100, 1_000, 10_000)],
        "features (linear)": [(n, replace(base, arms=64, replicates=4, features=n)) for n in (10, 100, 1_000, 10_000)],
        "width (MLP)": [(n, mlp(n)) for n in (16, 32, 64, 128, 256)],
    }


def exponent(sizes, seconds) -> float:
    """Least-squares slope of log seconds on log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


@style.styled
def draw(table: pd.DataFrame) -> bytes:
    """SVG: a panel an axis, seconds against size, both logarithmic."""
    figure = style.new_figure(2.2)
    panels = figure.subplots(1, table["axis"].nunique(), sharey=True)
    for panel, (name, part) in zip(panels, table.groupby("axis", sort=False), strict=True):
        median = part.groupby("size")["seconds"].median()
        panel.plot(part["size"], part["seconds"], ".", color=style.GREY)
        panel.plot(median.index, median, "-", color=style.BLUE)
        panel.set(xscale="log", yscale="log", xlabel=name, title=f"exponent {exponent(median.index, median):.2f}")
    panels[0].set_ylabel("wall time, s")
    figure.tight_layout()
    return style.svg(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    points = [(name, size, case) for name, cases in axes().items() for size, case in cases]
    rows = []
    for name, size, case in track(points, description="points timed"):
        for repeat in range(chosen.repeats):
            seconds, cells, _ = stacked.train(case)
            assert cells == case.cells, f"{name} {size}: {cells} cells of {case.cells}"
            rows.append({"axis": name, "size": size, "repeat": repeat, "cells": cells, "seconds": seconds})
    table = pd.DataFrame(rows)
    chosen.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(chosen.out / "scaling.csv", index=False, float_format="%.4g")
    (chosen.out / "scaling.svg").write_bytes(draw(table))
    for name, part in table.groupby("axis", sort=False):
        median = part.groupby("size")["seconds"].median()
        top = median.iloc[-2:]
        print(f"{name:<18} exponent {exponent(median.index, median):.2f}, between the two largest {exponent(top.index, top):.2f}: "
              + ", ".join(f"{size:,}: {value:.3g} s" for size, value in median.items()))


if __name__ == "__main__":
    main()
