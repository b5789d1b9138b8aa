"""Every figure of a run: one a claim and two of the whole, written as SVG and PNG."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from wdbench import atomic
from wdbench.config.claims import Claim
from wdbench.figures import events, fidelity, forest, identity, overview, path, registry, slope, style

# the modules that register kinds; naming them here keeps the imports from looking unused
KINDS = (events, fidelity, forest, identity, path, slope)


@dataclass(frozen=True)
class Drawn:
    """What came of one figure: its SVG, or the reason why there is none."""

    name: str
    svg: bytes = b""
    reason: str = ""


def overviews(tables: registry.Tables) -> dict[str, Figure]:
    """The figures of the whole run by name, those whose tables are there."""
    made = {}
    if "verdicts" in tables:
        made["overview_board"] = overview.board(tables)
    if "runs" in tables:
        made["overview_grid"] = overview.grid(tables)
        made["overview_precision"] = overview.precision(tables)
    return made


def reason_not_drawn(claim: Claim, tables: registry.Tables) -> str:
    """Why a claim gets no figure; empty where it gets one."""
    if claim.not_tested:
        return f"not tested: {claim.not_tested}"
    verdicts = tables.get("verdicts")
    if claim.kind != "identity" and verdicts is not None and not verdicts["claim_id"].eq(claim.id).any():
        return "verdicts.csv has no row of this claim: run `snakemake` again"
    return ""


def draw_all(tables: registry.Tables, claims: tuple[Claim, ...], folder: str | Path) -> list[Drawn]:
    """Write <claim id>.svg and .png for every claim, and the overviews, into `folder`; also index.csv, which
    names those without a figure.

    Returns one record a figure or missing figure, claims in order, overviews last. Raises UserError for an
    unknown kind of figure, an unknown option, or a missing column.
    """
    folder = Path(folder)
    drawn = []
    for claim in claims:
        reason = reason_not_drawn(claim, tables)
        drawn.append(
            Drawn(claim.id, reason=reason)
            if reason
            else _write(folder, claim.id, registry.draw(claim, tables))
        )
    drawn += [_write(folder, name, figure) for name, figure in overviews(tables).items()]
    index = pd.DataFrame(
        [(one.name, f"{one.name}.svg" if one.svg else "", one.reason) for one in drawn],
        columns=["figure", "file", "reason"],
    )
    atomic.write_csv(folder / "index.csv", index)
    return drawn


def _write(folder: Path, name: str, figure: Figure) -> Drawn:
    content = style.svg(figure)
    atomic.write_bytes(folder / f"{name}.svg", content)
    atomic.write_bytes(folder / f"{name}.png", style.png(figure))
    return Drawn(name, content)


def load(folder: str | Path) -> dict[str, bytes]:
    """name -> SVG of every figure that lies in `folder`."""
    return {path.stem: path.read_bytes() for path in sorted(Path(folder).glob("*.svg"))}
