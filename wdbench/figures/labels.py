"""What a column, a value or an effect is called on an axis and in a sentence, with its unit. No matplotlib here."""

import re
from collections.abc import Sequence

from wdbench import filters
from wdbench.errors import UserError
from wdbench.figures.quantities import LABELS, Label

DATASETS = {
    "diabetes": "Diabetes",
    "hitters": "Hitters",
    "college": "College",
    "breast_cancer": "Breast cancer",
    "khan": "Khan",
    "reuters_r8": "Reuters R8",
    "reuters_r52": "Reuters R52",
    "caravan": "Caravan",
    "digits": "Digits",
    "mnist_5k": "MNIST 5k",
    "fashion_mnist": "Fashion-MNIST",
    "shakespeare": "Shakespeare",
    "all": "all data sets",
}

PRECISIONS = {
    "fp64": "fp64",
    "fp32": "fp32",
    "bf16_compute": "bf16 compute",
    "bf16_weights": "bf16 weights",
}
ROUNDINGS = {
    "none": "",
    "nearest_split": "nearest split",
    "nearest_once": "nearest once",
    "stochastic": "stochastic",
    "kahan": "Kahan",
}
VERDICTS = {
    "supported": "supported",
    "refuted": "refuted",
    "equivalent": "equivalent",
    "conditional": "conditional",
    "inconclusive": "inconclusive",
    "not_tested": "not tested",
    "holds": "holds",
    "fails": "fails",
}
VERDICT_SYMBOLS = {
    "supported": "✓",
    "refuted": "✗",
    "equivalent": "≈",
    "conditional": "◐",
    "inconclusive": "?",
    "not_tested": "–",
    "holds": "✓",
    "fails": "✗",
}
FAMILIES = {
    "identities": "Identities and theorems",
    "I": "Identities and theorems",
    "A": "Overfitting and norms",
    "B": "L2 against L1",
    "C": "Classification: when decay helps and hurts",
    "E": "Why decay is used today",
    "P": "Training dynamics",
    "L": "Low precision and other literature",
    "G": "Controls of the instrument",
}


def of(column: str) -> Label:
    """Label of a column or of arithmetic over columns (their labels put in, the unit of the first).

    Raises UserError for a column that has none, so that no axis is ever drawn without a unit.
    """
    if column in LABELS:
        return LABELS[column]
    columns = filters.parse_expression(column, "figure").columns
    for name in columns:
        if name not in LABELS:
            raise UserError(
                f"figures: column {name!r} has no label; add it with wdbench.figures.labels.register"
            )
    if not columns:
        return Label(column)
    text = re.sub(
        r"[A-Za-z_][A-Za-z_0-9]*",
        lambda word: LABELS[word[0]].text if word[0] in columns else word[0],
        column,
    )
    first = LABELS[columns[0]]
    same = all(
        (LABELS[name].unit, LABELS[name].regression_unit) == (first.unit, first.regression_unit)
        for name in columns
    )
    scaled = any(sign in column for sign in "*/(")
    return Label(
        text.replace(" - ", " − ").replace(" * ", " × "), *((first.unit, first.regression_unit) if same and not scaled else ())
    )


def register(column: str, label: Label) -> None:
    """Give a plugin's column its label and unit."""
    LABELS[column] = label


def is_share(column: str) -> bool:
    """Whether a column lies between 0 and 1; False for arithmetic over columns."""
    return column in LABELS and LABELS[column].share


def axis(column: str, task: str | None = None) -> str:
    """`text (unit)` for an axis; `task` ("regression" or another) picks the unit of a loss, None names both."""
    label = of(column)
    shown = unit(label, task)
    return f"{label.text} ({shown})" if shown else label.text


def unit(label: Label, task: str | None = None) -> str:
    """The unit of a label for a task, as `axis` shows it."""
    if not label.regression_unit or task not in ("regression", None):
        return label.unit
    return label.regression_unit if task == "regression" else f"{label.unit}; regression: {label.regression_unit}"


_SYMBOLS = {"rho": "ρ", "sigma": "σ", "tau": "τ", "prior": "π", "per_class": "m", "label_noise": "flipped"}


def dataset(spec: str) -> str:
    """Reader's form of a stratum: `sparse:p=200,rho=0.5` -> `sparse p=200, ρ=0.5`; of several columns, part
    by part.
    """
    if " / " in str(spec):
        return ", ".join(dataset(part) for part in str(spec).split(" / "))
    base, _, options = str(spec).partition(":")
    name = DATASETS.get(base, base.replace("_", " "))
    pairs = [option.partition("=") for option in options.split(",") if option]
    shown = ", ".join(
        f"{_SYMBOLS.get(key, key.replace('_', ' '))}{sign}{value}" for key, sign, value in pairs
    )
    return f"{name} {shown}".strip()


_NUMBERS = {"lr": "η", "lambda_clock": "ηλT", "lambda": "λ", "batch_size": "batch", "steps": "T"}


def strata(specs: Sequence[str], by: Sequence[str] = ()) -> dict[str, str]:
    """Label of each stratum of one figure: options of a data set or model that all strata of that name share are left out.

    by: the columns that make a stratum, so that a bare number says what it is.
    """
    given: dict[tuple[int, str], list[set[str]]] = {}
    for spec in specs:
        for place, part in enumerate(str(spec).split(" / ")):
            name, _, options = part.partition(":")
            given.setdefault((place, name), []).append(set(filter(None, options.split(","))))
    shared = {key: set.intersection(*found) for key, found in given.items()}

    def short(place: int, part: str) -> str:
        name, _, options = part.partition(":")
        kept = [option for option in options.split(",") if option and option not in shared[place, name]]
        if place < len(by) and by[place] in _NUMBERS and part != "all":
            return f"{_NUMBERS[by[place]]} {part}"
        return f"{name}:{','.join(kept)}" if kept else name

    found = {str(spec): " / ".join(short(i, part) for i, part in enumerate(str(spec).split(" / "))) for spec in specs}
    # where two strata would look alike they keep their whole names
    unique = len(set(found.values())) == len(found)
    return {spec: dataset(text if unique else spec) for spec, text in found.items()}


def arithmetic(precision: str, rounding: str = "none") -> str:
    """Reader's form of a precision with its rounding."""
    note = ROUNDINGS.get(rounding, rounding)
    name = PRECISIONS.get(precision, precision)
    return f"{name}, {note}" if note else name


def family(letter: str) -> str:
    return FAMILIES.get(letter, f"Family {letter}")
