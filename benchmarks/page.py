"""Puts the tables of benchmarks/results between the marks of docs/performance.md.

    python -m benchmarks.page
"""

from pathlib import Path

import pandas as pd

from wdbench import atomic

RESULTS, PAGE = Path("benchmarks/results"), Path("docs/performance.md")
NAMES = {"cells_per_second": "cells/s", "times_the_loop": "× loop", "apart": "weights apart", "share_of_gemm": "of GEMM rate",
         "wdbench_seconds": "wdbench, s", "sklearn_seconds": "scikit-learn, s", "objective_above_ours": "objective above ours",
         "seconds": "s", "core_seconds_a_pack": "core-seconds a further pack", "mib": "MiB", "gflops": "GFLOP/s"}


def table(name: str) -> str:
    """A CSV file of results as a Markdown table; of scaling one row an axis and size, the median."""
    found = pd.read_csv(RESULTS / f"{name}.csv")
    if name == "scaling":
        found = found.groupby(["axis", "size"], sort=False)["seconds"].agg(["median", "min", "max"]).reset_index()
    found = found.rename(columns=NAMES)
    written = found.map(lambda v: f"{v:,.3g}" if isinstance(v, float) and abs(v) < 1000 else f"{v:,.0f}" if isinstance(v, float) else v)
    header = ["| " + " | ".join(map(str, written.columns)) + " |", "|" + " --- |" * len(written.columns)]
    return "\n".join(header + ["| " + " | ".join(map(str, row)) + " |" for row in written.itertuples(index=False)])


def filled(text: str) -> str:
    """The page with every table between its marks; marks of results that are not there stay as they are."""
    for path in sorted(RESULTS.glob("*.csv")):
        begin, end = (f"<!-- {path.stem}: {where} -->" for where in ("begin", "end"))
        if begin in text and end in text:
            head, rest = text.split(begin, 1)
            text = f"{head}{begin}\n{table(path.stem)}\n{end}{rest.split(end, 1)[1]}"
    return text


if __name__ == "__main__":
    atomic.write_text(PAGE, filled(PAGE.read_text(encoding="utf-8")))
