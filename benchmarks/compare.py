"""The same cells trained in different ways, side by side in one run: cells a second, and how many times the plain loop.

    python -m benchmarks.compare [--repeats 5] [--case softmax ...] [--out benchmarks/results]

Every way runs on one core and one thread, in turn, `--repeats` times; before a ratio is printed the weights of all ways are held against
each other. Writes repeats.csv, a row a way and repeat, compare.csv, their medians, and compare.svg. JAX is timed where it is installed
(pip install .[bench]).
"""

import argparse
import importlib.util
import os
import statistics
import timeit
from pathlib import Path

from wdbench import provenance

provenance.one_thread()
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import numpy as np  # noqa: E402  (the libraries read the number of threads when they are loaded)
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from rich.progress import Progress  # noqa: E402

from benchmarks.cases import CASES, Case  # noqa: E402
from benchmarks.ways import jax_measured, jax_vmap, loop, process, stacked, torch_compiled  # noqa: E402
from wdbench.figures import style  # noqa: E402

WAYS = {"wdbench": stacked, "torch.optim loop": loop, "a process a cell": process, "JAX jit(vmap)": jax_vmap,
        "JAX, measuring the same": jax_measured, "torch.compile": torch_compiled}
SIZE = 1024


def gemm(dtype: torch.dtype) -> float:
    """Rate of a square matrix product on this core, GFLOP/s, the median of 7."""
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return 2 * SIZE**3 / 1e9 / statistics.median(timeit.repeat(lambda: a @ b, number=1, repeat=7))


def apart(a: dict[int, np.ndarray], b: dict[int, np.ndarray]) -> float:
    """Largest distance |a - b| / |a| of two ways' weights over the cells that both trained."""
    return max(float(np.linalg.norm(a[i] - b[i]) / np.linalg.norm(a[i])) for i in a.keys() & b.keys())


def time_case(case: Case, repeats: int, advance) -> list[dict]:
    """A row a way and repeat: rate in cells/s, ratio to the loop of the same repeat."""
    rows = []
    ways = {name: way for name, way in WAYS.items() if not name.startswith("JAX") or importlib.util.find_spec("jax")}
    stacked.train(case)  # the first run of a shape pays for its set-up, in every way
    for repeat in range(repeats):
        results = {}
        # every repeat begins with another way, so that none is always first
        turn = list(ways)[repeat % len(ways):] + list(ways)[: repeat % len(ways)]
        for name in turn:
            results[name] = ways[name].train(case)
            advance()
        results = {name: result for name, result in results.items() if result is not None}
        for name, (_, count, found) in results.items():
            assert len(found) == count, f"{case.name}: {name} trained {len(found)} cells of {count}"
            gap = apart(results["torch.optim loop"][2], found)
            assert gap <= case.tolerance, f"{case.name}: weights of {name} and of the loop differ by a share of {gap:.2g}"
        base = results["torch.optim loop"][1] / results["torch.optim loop"][0]
        for name, (taken, count, found) in results.items():
            rate = count / taken
            rows.append({"case": case.name, "way": name, "repeat": repeat, "cells": count, "cells_per_second": rate,
                         "times_the_loop": rate / base, "gflops": case.flops() * rate / 1e9,
                         "apart": apart(results["torch.optim loop"][2], found)})
    return rows


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row a case and way: medians, and the spread of the ratio over the repeats."""
    grouped = table.groupby(["case", "way"], sort=False)
    return grouped.agg(
        cells=("cells", "first"), repeats=("repeat", "count"), cells_per_second=("cells_per_second", "median"),
        times_the_loop=("times_the_loop", "median"), lowest=("times_the_loop", "min"), highest=("times_the_loop", "max"),
        gflops=("gflops", "median"), apart=("apart", "max")).reset_index()


@style.styled
def draw(table: pd.DataFrame) -> bytes:
    """SVG: times the loop, a case a row, a dot a repeat."""
    import seaborn as sns

    others = table[table["way"] != "torch.optim loop"]
    figure = style.new_figure(0.45 * table["case"].nunique() + 1.0)
    axis = figure.subplots()
    colours = list(style.PALETTE[: others["way"].nunique()])
    sns.stripplot(others, x="times_the_loop", y="case", hue="way", dodge=True, ax=axis, palette=colours, size=4, jitter=False)
    axis.set(xscale="log", xlabel="cells a second, in units of the torch.optim loop of the same repeat", ylabel="")
    axis.axvline(1, color=style.GREY, linewidth=1)
    axis.legend(title=None, loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=3)
    figure.tight_layout()
    return style.svg(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES), dest="cases")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        task = progress.add_task("ways timed", total=chosen.repeats * len(chosen.cases) * len(WAYS))
        for name in chosen.cases:
            # a case at a time: what has been timed is kept whatever the next one does
            keep(chosen.out / "repeats.csv", pd.DataFrame(time_case(CASES[name], chosen.repeats, lambda: progress.advance(task))))
        progress.update(task, completed=progress.tasks[0].total)
    table = pd.read_csv(chosen.out / "repeats.csv")
    ceilings = {"fp32": gemm(torch.float32), "bf16": gemm(torch.bfloat16)}
    found = summary(table)
    found["share_of_gemm"] = [g / ceilings["bf16" if CASES[c].precision.startswith("bf16") else "fp32"]
                              for g, c in zip(found["gflops"], found["case"], strict=True)]
    found.to_csv(chosen.out / "compare.csv", index=False, float_format="%.4g")
    (chosen.out / "compare.svg").write_bytes(draw(table))
    print(found.to_string(index=False, float_format=lambda v: f"{v:.3g}"))
    print("matrix product of 1,024 x 1,024, GFLOP/s:", ", ".join(f"{name} {rate:.0f}" for name, rate in ceilings.items()))


def keep(path: Path, rows: pd.DataFrame) -> None:
    """Write the rows of a case in the place of its former ones; of other cases they stay."""
    if path.exists():
        before = pd.read_csv(path)
        rows = pd.concat([before[before["case"].isin(CASES) & ~before["case"].isin(rows["case"])], rows])
    rows = rows.sort_values("case", key=lambda names: names.map(list(CASES).index), kind="stable")
    rows.to_csv(path, index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
