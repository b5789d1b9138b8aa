"""Reference pages that are read off the project's own files: claims, columns, data sets."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wdbench import atomic, dictionary, penalties
from wdbench.config import claims as schema
from wdbench.config import yamlio
from wdbench.datasets import registry
from wdbench.figures import labels

ROOT = Path(__file__).parent.parent


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    folder.mkdir(exist_ok=True)
    for name, lines in {"claims": claims(), "columns": columns(), "data": data(), "conventions": conventions()}.items():
        atomic.write_text(folder / f"{name}.md", "\n".join(lines) + "\n")


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    yield from ("| " + " | ".join(map(_cell, row)) + " |" for row in rows)
    yield ""


def claims() -> Iterator[str]:
    """Every claim as it is registered, by family."""
    yield from ("# The claims", "", "As they stand in `claims.yaml`: what is compared, by which number, and the margin that was set",
                "before the run. The verdicts are in the report of a run, and in the table at the end of README.md.", "")
    families: dict[str, list] = {}
    for claim in schema.from_mapping(yamlio.read(ROOT / "claims.yaml"), "claims.yaml"):
        families.setdefault(claim.family, []).append(claim)
    for family, members in families.items():
        yield from (f"## {_cell(labels.family(family))}", "")
        for claim in members:
            yield from (f"### {claim.id}", "", f"*{_cell(claim.sentence)}*", "")
            facts: dict[str, object] = {"source": claim.source, "experiment": claim.experiment, "expected": claim.expect,
                                        "trap": claim.trap, "not tested": claim.not_tested}
            if claim.tested:
                facts |= {"kind": claim.kind, "study": claim.study, "metric": ", ".join(claim.metric), "margin": claim.margin}
            for name, value in facts.items():
                if value not in (None, "", ()):
                    yield from (f"- {name}: {_cell(value)}",)
            yield ""


def columns() -> Iterator[str]:
    """The data dictionary."""
    yield from ("# The columns of the tables", "", "What `dictionary.csv` of a run says, for every column there is. A name with a table",
                "before it is about that table alone.", "")
    yield from _table(("column", "meaning", "unit", "empty means"), [
        (f"`{name}`", *(entry.get(key, "") for key in ("meaning", "unit", "na"))) for name, entry in dictionary.entries().items()])


def data() -> Iterator[str]:
    """Licences and sources of the data sets."""
    yield from ("# The data sets", "", "wdbench redistributes none of them; `wdbench data fetch` gets the archives from where they are",
                "published and checks their sha256. Generated sets are made by wdbench itself.", "")
    sizes = {name: " × ".join(str(size) for size in entry.shape or () if size) for name, entry in registry.entries().items()}
    rows = [(f"`{name}`", entry.task, sizes[name], entry.licence, entry.citation) for name, entry in registry.entries().items()]
    yield from _table(("name", "task", "shape", "licence, as its publisher states it", "source"), rows)


def conventions() -> Iterator[str]:
    """Numbers of other tools for our lambda, worked out for one example."""
    yield from ("# One λ in every convention", "", "What λ₁ = 0.02 and λ₂ = 0.1 are elsewhere, for n = 100 rows, η = η_max = 0.01",
                "and sd(y) = 2. The formulas: [λ in other tools](../lambda.md).", "")
    context: Mapping[str, float] = {"n": 100, "lr": 0.01, "lr_max": 0.01, "y_sd": 2.0}
    rows = []
    for name, convention in penalties.CONVENTIONS.items():
        lambdas = 0.02 * convention.l1, 0.1 * convention.l2
        found = penalties.to_convention(name, *lambdas, **{key: context[key] for key in convention.context})
        numbers = ", ".join(f"{key} = {value:.6g}" for key, value in found.items())
        rows.append((f"`{name}`", f"λ₁ = {lambdas[0]:g}, λ₂ = {lambdas[1]:g}", numbers))
    yield from _table(("tool", "ours", "its numbers"), rows)
