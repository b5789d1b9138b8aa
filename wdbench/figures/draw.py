"""Every figure of a run: one a claim and two of the whole, written as SVG and PNG."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from wdbench import atomic, orphans, sealing
from wdbench.claims.selection import in_studies
from wdbench.config.claims import Claim
from wdbench.figures import events, fidelity, forest, identity, overview, path, registry, scatter, slope, style

# the modules that register kinds; naming them here keeps the imports from looking unused
KINDS = (events, fidelity, forest, identity, path, scatter, slope)


@dataclass(frozen=True)
class Drawn:
    """What came of one figure: its SVG, or the reason why there is none."""

    name: str
    svg: bytes = b""
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
    tables: registry.Tables, claims: tuple[Claim, ...], folder: str | Path, processes: int = 1,
) -> list[Drawn]:
    """Write <claim id>.svg and .png for every claim, and the overviews, into `folder`; also index.csv, which
    names those without a figure.

    Returns one record a figure or missing figure, claims in order, overviews last. Raises UserError for an
    unknown kind of figure, an unknown option, or a missing column.
    """
    folder = Path(folder)
    # the overviews take longest and go first
    jobs = [*OVERVIEWS, *claims]
    if processes == 1:
        found = [_draw(job, tables, folder) for job in jobs]
    else:
        # forked workers see the tables without a copy
        with ProcessPoolExecutor(processes, get_context("fork"), _share, (tables, folder)) as pool:
            found = list(pool.map(_draw_shared, jobs))
    count = len(OVERVIEWS)
    drawn = found[count:] + [one for one in found[:count] if one is not None]
    index = pd.DataFrame(
        [(one.name, f"{one.name}.svg" if one.svg else "", one.reason) for one in drawn],
        columns=["figure", "file", "reason"],
    )
    sealing.write_csv(folder / "index.csv", index)
    return drawn


def _draw(job: Claim | str, tables: registry.Tables, folder: Path) -> Drawn | None:
    """A claim's figure, or an overview's by its name; None for an overview whose table is not there."""
    if isinstance(job, str):
        needed, function = OVERVIEWS[job]
        return _write(folder, job, function(tables)) if needed in tables else None
    reason = reason_not_drawn(job, tables)
    return Drawn(job.id, reason=reason) if reason else _write(folder, job.id, registry.draw(job, tables))


_shared: dict = {}


def _share(tables: registry.Tables, folder: Path) -> None:
    orphans.stop_with_parent()
    _shared.update(tables=tables, folder=folder)


def _draw_shared(job: Claim | str) -> Drawn | None:
    return _draw(job, **_shared)


def _write(folder: Path, name: str, figure: Figure) -> Drawn:
    content = style.svg(figure)
    sealing.seal(atomic.write_bytes(folder / f"{name}.svg", content))
    sealing.seal(atomic.write_bytes(folder / f"{name}.png", style.png(figure)))
    return Drawn(name, content)


def load(folder: str | Path) -> dict[str, bytes]:
    """name -> SVG of every figure that lies in `folder`."""
    return {path.stem: sealing.content(path) for path in sorted(Path(folder).glob("*.svg"))}
