"""What `snakemake --report` shows of each file: a category, labels and a caption (captions/*.rst)."""

import mimetypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

# or the report takes them for text
mimetypes.add_type("application/vnd.apache.parquet", ".parquet")
HERE = Path(__file__).parent / "captions"

# file -> (category, what one of its rows is)
FILES = {
    "verdicts": ("Verdicts", "a claim and data set"),
    "effects": ("Verdicts", "a claim, data set and block"),
    "selected": ("Verdicts", "a choice of λ or η on validation rows"),
    "identities": ("Verdicts", "a check of an exact statement"),
    "mechanisms": ("Conclusions", "a story's prediction of a claim"),
    "mechanism_pairs": ("Conclusions", "two stories"),
    "advice": ("Conclusions", "a question, kind of model and precision"),
    "controls": ("Conclusions", "a control"),
    "precision": ("Conclusions", "an arithmetic, coupling and size of ηλ"),
    "torch_flags": ("Conclusions", "an optimiser of torch, flag and type"),
    "summary": ("Cells", "an arm and metric"),
    "runs": ("Cells", "a cell"),
    "trajectories": ("Cells", "a cell and step"),
    "supports": ("Cells", "a cell"),
    "oracle": ("Cells", "a convex problem"),
    "plan": ("Cells", "a planned cell"),
    "datasets": ("Data", "a data set"),
    "data_checks": ("Data", "a data set's reference figure"),
    "dictionary": ("Data", "a column of a table"),
    "manifest": ("Data", "–"),
    "report": ("Report", "–"),
}
NO_CLAIM = "–"
Wildcards = Mapping[str, str]


def told(name: str) -> dict[str, object]:
    """Keyword arguments of snakemake's report() for a published file, or for the folder of figures; raises KeyError for another name."""
    if name == "figures":
        return {"caption": str(HERE / "figures.rst"), "category": "Figures", "subcategory": _family, "labels": _labels,
                "patterns": ["{figure}.svg"]}
    category, row = FILES[name]
    return {"caption": str(HERE / f"{name}.rst"), "category": category, "labels": {"file": name.replace("_", " "), "a row is": row}}


def _labels(wildcards: Wildcards, input: list[str]) -> dict[str, str]:
    """Claim, verdict and sentence of a figure."""
    row = _verdicts(_beside(input)).get(wildcards["figure"], {})
    return {"figure": wildcards["figure"].replace("_", " "), "verdict": row.get("verdict", NO_CLAIM),
            "sentence": row.get("sentence", NO_CLAIM)}


def _family(wildcards: Wildcards, input: list[str]) -> str:
    from wdbench.figures import labels

    family = _verdicts(_beside(input)).get(wildcards["figure"], {}).get("family")
    return labels.family(family) if family else "The whole run"


def _beside(files: list[str]) -> Path:
    """verdicts.csv of the run whose figures are listed in the first of `files`."""
    return Path(files[0]).parent.parent / "verdicts.csv"


@cache
def _verdicts(path: Path) -> dict[Any, dict[Any, str]]:
    # only where a report is made: a dry run must not wait for pandas
    from wdbench import sealing

    rows = sealing.read(path, keep_default_na=False, na_values=[""])[["claim_id", "dataset", "verdict", "sentence", "family"]].astype(str)
    rows = rows.assign(rank=rows["dataset"].ne("all")).sort_values("rank", kind="stable").drop_duplicates("claim_id")
    return rows.set_index("claim_id").to_dict("index")
