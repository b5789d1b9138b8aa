"""Every figure of a run: one a claim and those of the whole, written as SVG, PNG and PDF, with their data as CSV."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from wdbench import atomic, orphans, sealing
from wdbench.claims.selection import in_studies
from wdbench.config.claims import Claim
from wdbench.figures import data, events, fidelity, forest, identity, overview, path, registry, scatter, slope, style

# the modules that register kinds; naming them here keeps the imports from looking unused
KINDS = (events, fidelity, forest, identity, path, scatter, slope)


@dataclass(frozen=True)
class Drawn:
    """What came of one figure: its SVG or PDF, or the reason why there is none."""

    name: str
    content: bytes = b""
    reason: str = ""


# the figures of the whole run: name -> the table that each needs, and its function
OVERVIEWS = {
    "overview_board": ("verdicts", overview.board),
    "overview_grid": ("runs", overview.grid),
    "overview_precision": ("runs", overview.precision),
}


def reason_not_drawn(claim: Claim, tables: registry.Tables) -> str:
    """Why a claim gets no figure; empty where it gets one."""
    if claim.not_tested:
        return f"not tested: {claim.not_tested}"
    verdicts, runs = tables.get("verdicts"), tables.get("runs")
    if claim.study and runs is not None and not in_studies(runs["study"], claim.study).any():
        return "no run of its studies is part of this profile"
    if claim.kind != "identity" and verdicts is not None and not verdicts["claim_id"].eq(claim.id).any():
        return "verdicts.csv has no row of this claim: run `snakemake` again"
    return ""


def draw_all(
    tables: registry.Tables, claims: tuple[Claim, ...], folder: str | Path, processes: int = 1, pdf: bool = False,
) -> list[Drawn]:
    """Write <claim id>.svg, .png and .csv for every claim, and the overviews, into `folder`; also index.csv, which names those without a
    figure. pdf: write <claim id>.pdf and index_pdf.csv instead; PDF takes as long as the other formats together.

    Returns one record a figure or missing figure, claims in order, overviews last. Raises UserError for an
    unknown kind of figure, an unknown option, or a missing column.
    """
    folder = Path(folder)
    # the overviews take longest and go first
    jobs: list[Claim | str] = [*OVERVIEWS, *claims]
    if processes == 1:
        found = [_draw(job, tables, folder, pdf) for job in jobs]
    else:
        # forked workers see the tables without a copy
        with ProcessPoolExecutor(processes, get_context("fork"), _share, (tables, folder, pdf)) as pool:
            found = list(pool.map(_draw_shared, jobs))
    count = len(OVERVIEWS)
    drawn = [one for one in (*found[count:], *found[:count]) if one is not None]
    index = pd.DataFrame(
        [(one.name, f"{one.name}.{'pdf' if pdf else 'svg'}" if one.content else "", one.reason) for one in drawn],
        columns=["figure", "file", "reason"],
    )
    sealing.write_csv(folder / ("index_pdf.csv" if pdf else "index.csv"), index)
    _forget(folder, {one.name for one in drawn if one.content} | {"index", "index_pdf"})
    return drawn


def _forget(folder: Path, names: set[str]) -> None:
    """Remove figures that were drawn of claims that are there no more: whatever was sealed in `folder` under another name."""
    for beside in (folder / sealing.FOLDER).glob("*"):
        if Path(beside.name).stem not in names:
            (folder / beside.name).unlink(missing_ok=True)
            beside.unlink()


def _draw(job: Claim | str, tables: registry.Tables, folder: Path, pdf: bool) -> Drawn | None:
    """A claim's figure, or an overview's by its name; None for an overview whose table is not there."""
    if isinstance(job, str):
        needed, function = OVERVIEWS[job]
        return _write(folder, job, function(tables), pdf) if needed in tables else None
    reason = reason_not_drawn(job, tables)
    return Drawn(job.id, reason=reason) if reason else _write(folder, job.id, registry.draw(job, tables), pdf)


_shared: dict[str, Any] = {}


def _share(tables: registry.Tables, folder: Path, pdf: bool) -> None:
    orphans.stop_with_parent()
    _shared.update(tables=tables, folder=folder, pdf=pdf)


def _draw_shared(job: Claim | str) -> Drawn | None:
    return _draw(job, **_shared)


def _write(folder: Path, name: str, figure: Figure, pdf: bool) -> Drawn:
    if pdf:
        content = style.pdf(figure)
        sealing.seal(atomic.write_bytes(folder / f"{name}.pdf", content))
        return Drawn(name, content)
    sealing.write_csv(folder / f"{name}.csv", data.of(figure))
    content = style.svg(figure)
    sealing.seal(atomic.write_bytes(folder / f"{name}.svg", content))
    sealing.seal(atomic.write_bytes(folder / f"{name}.png", style.png(figure)))
    return Drawn(name, content)


def load(folder: str | Path) -> dict[str, bytes]:
    """name -> SVG of every figure that lies in `folder`."""
    return {path.stem: sealing.content(path) for path in sorted(Path(folder).glob("*.svg"))}
