"""Options of a spec string: their types, their ranges, and which of them exclude or need each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCALES = ("zscore", "raw", "minmax", "unit", "tfidf")


@dataclass(frozen=True)
class Option:
    """One key of a spec string. kind: int, float or choice; low is inclusive unless open_low, high always."""

    kind: str
    help: str
    low: float = 0
    high: float = float("inf")
    open_low: bool = False
    choices: tuple[str, ...] = ()

    @property
    def valid(self) -> str:
        """What a value may be, in words."""
        if self.kind == "choice":
            return " ".join(self.choices)
        noun = "an integer" if self.kind == "int" else "a number"
        bounds = f" {'above' if self.open_low else 'of at least'} {self.low:g}"
        most = str(int(self.high)) if self.kind == "int" and self.high != float("inf") else f"{self.high:g}"
        return noun + bounds + (f" and at most {most}" if self.high != float("inf") else "")

    def read(self, text: str) -> int | float | str:
        """The value written as `text`; raises ValueError where it is not valid."""
        if self.kind == "choice":
            if text not in self.choices:
                raise ValueError(text)
            return text
        value = int(text) if self.kind == "int" else float(text)
        inside = (value > self.low if self.open_low else value >= self.low) and value <= self.high
        if not inside or value != value or value in (float("inf"), float("-inf")):
            raise ValueError(text)
        return value

    def write(self, value: int | float | str) -> str:
        """Canonical text of a value: the shortest that reads back the same, 1 rather than 1.0."""
        if self.kind == "float":
            return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
        return str(value)


def count(help: str, low: int = 1, high: float = float("inf")) -> Option:
    return Option("int", help, low=low, high=high)


def real(help: str, low: float = 0, high: float = float("inf"), open_low: bool = False) -> Option:
    return Option("float", help, low=low, high=high, open_low=open_low)


def choice(help: str, *choices: str) -> Option:
    return Option("choice", help, choices=choices)


COLSCALE = real("multiply column j by 10^U(-c, c), the same draw for every arm of a replicate", high=12)
CORRUPT = real("add N(0, c^2), in units of the column's sd, to one random column of train and val")
NOISE_FEATURES = count("append k columns of pure N(0, 1) noise", high=10_000)
LABEL_NOISE = real("share of train and val labels moved to another class", high=1)
NOISY_TEST = choice("1: test labels get the label noise too", "0", "1")
IMBALANCE = real("train rows of the largest class over those of the smallest, exponential in between", low=1)
N_ROWS = count("number of train rows, nested: the rows of a smaller n are the first of a larger one")
PER_CLASS = count("number of train rows of each class, nested")
OF_LANGUAGE = {
    "context": Option("int", "symbols a chunk takes in, and predicts", low=1, high=1024),
    "n": count("number of train chunks, nested"),
    "holdout": choice("chunks held out: interleaved with those of train, or the last plays", "interleaved", "play"),
}


def of_real_data(task: str, kind: str, scales: tuple[str, ...]) -> dict[str, Option]:
    """Options of a real data set of this task and kind (tabular, image, text or language)."""
    if kind == "tokens":
        return {name: OF_LANGUAGE[name] for name in ("context", "n")}
    if task == "language":
        return dict(OF_LANGUAGE)
    if kind == "colour":
        return {"n": N_ROWS, "per_class": PER_CLASS, "label_noise": LABEL_NOISE, "noisy_test": NOISY_TEST, "imbalance": IMBALANCE}
    found = {
        "n": N_ROWS,
        "scale": choice("transform of the columns, fitted on train", *scales),
        "corrupt": CORRUPT,
        "noise_features": NOISE_FEATURES,
    }
    if "zscore" in scales:
        found["scaler"] = choice(
            "rows the scaler is fitted on; all leaks the test rows and is there to show it", "train", "all"
        )
        found["colscale"] = COLSCALE
    if task == "regression":
        found["y_shift"] = Option("float", "added to y, in units of the training sd", low=-1e9, high=1e9)
    else:
        found["per_class"] = PER_CLASS
        found["label_noise"] = LABEL_NOISE
        found["noisy_test"] = NOISY_TEST
    if task == "binary":
        found["minority"] = real(
            "share to which the rarer class is thinned out in train and val", high=0.5, open_low=True
        )
    if task == "multiclass" and kind == "image":
        found["imbalance"] = IMBALANCE
    if kind == "text":
        found["top"] = count("keep the k terms of the highest document frequency in train, dense")
        found["svd"] = count("project to k components of a truncated SVD fitted on train, dense")
    return found


def conflict(kind: str, default_scale: str, chosen: Mapping[str, Any]) -> str | None:
    """First pair of chosen options of a real data set that does not go together, as a sentence, or None."""
    scale = chosen.get("scale", default_scale)
    fitted = scale in ("zscore", "minmax")
    if "n" in chosen and "per_class" in chosen:
        return "n and per_class exclude each other; valid: one of them"
    if "n" in chosen and "imbalance" in chosen:
        return "n and imbalance exclude each other; valid: per_class=100,imbalance=10, the size of the largest class"
    if "top" in chosen and "svd" in chosen:
        return "top and svd exclude each other; valid: one of them"
    if "colscale" in chosen and scale != "zscore":
        return f"colscale needs z-scored columns, scale is {scale}; valid: scale=zscore"
    if chosen.get("scaler") == "all" and not fitted:
        return f"scaler=all needs a fitted scale, scale is {scale}; valid: scale=zscore or minmax"
    if "noisy_test" in chosen and "label_noise" not in chosen:
        return "noisy_test needs label noise; valid: label_noise=0.1,noisy_test=1"
    if kind == "text" and not {"top", "svd"} & set(chosen):
        for name in ("corrupt", "noise_features"):
            if name in chosen:
                return f"{name} needs dense columns; valid: together with top=2000 or svd=50"
        if fitted:
            return f"scale={scale} needs dense columns; valid: together with top=2000 or svd=50"
    return None
