"""Blocks drawn from a known law: fresh train, validation and test samples, and their truth.

The risk of a solution is exact under its truth; X["test"] and y["test"] are a modest sample of the same law,
for pictures and for metrics that have no closed form. Streams are counted apart for truth, train, val and
test, and rows are drawn one after the other: a smaller n gives the first rows of a larger one, and a
treatment changes nothing but itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wdbench import seeds
from wdbench.datasets import disturb, synthetic
from wdbench.datasets import options as opt
from wdbench.datasets.records import SPLITS, Block, Dataset, describe, digest
from wdbench.datasets.spec import Spec
from wdbench.datasets.truth import BinaryTruth, Truth

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry

MOST_ROWS, MOST_COLUMNS, MOST_NUMBERS = 1_000_000, 10_000, 10**8
"""Largest samples that are drawn; 10^8 numbers are 0.8 GB."""

SIZES = {
    "n": opt.count("number of train rows, nested", high=MOST_ROWS),
    "n_val": opt.count("number of validation rows (default: n, and at least 100)", high=MOST_ROWS),
    "n_test": opt.count("number of test rows", high=MOST_ROWS),
}
GENERAL = {"corrupt": opt.CORRUPT, "noise_features": opt.NOISE_FEATURES, "colscale": opt.COLSCALE}
P, S = opt.count("number of columns", high=MOST_COLUMNS), opt.count("number of nonzero weights")
SIGMA = opt.real("sd of the noise", open_low=True)
SNR = opt.real("w' Sigma w / sigma^2", open_low=True)
RHO = opt.real("correlation of neighbouring columns", low=0, high=0.999)


@dataclass(frozen=True)
class Generator:
    """A generator: law of its truth (None for twoclass), defaults, and its options beyond the common ones."""

    law: Callable | None
    defaults: Mapping
    options: Mapping[str, opt.Option]
    citation: str = "generated"


_ZOU = "Zou, Hastie (2005), Regularization and variable selection via the elastic net, JRSS B 67:301-320"
_TABLE = {
    "d2l": Generator(
        synthetic.d2l,
        {"n": 20, "p": 200, "sigma": 0.01},
        {"p": P, "sigma": SIGMA},
        "Zhang et al., Dive into Deep Learning, section 3.7",
    ),
    "noisy": Generator(synthetic.noisy, {"n": 100, "p": 100, "sigma": 1.0}, {"p": P, "sigma": SIGMA}),
    "gauss": Generator(synthetic.gauss, {"n": 200, "p": 100, "sigma": 1.0}, {"p": P, "sigma": SIGMA}),
    "sparse": Generator(
        synthetic.sparse,
        {"n": 100, "p": 200, "s": 5, "snr": 2.0, "rho": 0.0},
        {"p": P, "s": S, "snr": SNR, "rho": RHO},
    ),
    "strong": Generator(
        synthetic.strong, {"n": 100, "p": 200, "s": 5, "snr": 4.0}, {"p": P, "s": S, "snr": SNR}
    ),
    "grouped": Generator(
        synthetic.grouped,
        {"n": 60, "p": 40, "rho": 0.9, "snr": 4.0, "truth": "dense"},
        {
            "p": P,
            "rho": RHO,
            "snr": SNR,
            "truth": opt.choice("which columns carry weight", "dense", "one_per_group"),
        },
    ),
    "shifted": Generator(
        synthetic.shifted,
        {"n": 60, "p": 30, "y_shift": 0.0},
        {"p": P, "y_shift": opt.Option("float", "true bias, in units of the noise sd", low=-1e9, high=1e9)},
    ),
    "measurement": Generator(
        synthetic.measurement,
        {"n": 200, "tau": 1.0, "sigma": 1.0, "test": "clean"},
        {
            "tau": opt.real("sd of the error in x_1"),
            "sigma": SIGMA,
            "test": opt.choice("inputs on which risk is measured", "clean", "noisy"),
        },
    ),
    "zou1": Generator(synthetic.zou1, {"n": 20, "n_val": 20}, {}, _ZOU),
    "zou2": Generator(synthetic.zou2, {"n": 20, "n_val": 20}, {}, _ZOU),
    "zou3": Generator(synthetic.zou3, {"n": 100, "n_val": 100}, {}, _ZOU),
    "zou4": Generator(synthetic.zou4, {"n": 50, "n_val": 50}, {}, _ZOU),
    "twoclass": Generator(
        None,
        {"n": 200, "d": 20, "delta": 2.0, "prior": 0.5, "n_test": 10000},
        {
            "d": opt.count("number of columns", high=MOST_COLUMNS),
            "prior": opt.real("P(y=1)", high=0.5, open_low=True),
            "delta": opt.real("Mahalanobis distance of the class means", open_low=True),
            "label_noise": opt.LABEL_NOISE,
            "noisy_test": opt.NOISY_TEST,
        },
    ),
}


def _settings(name: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    made = {**_TABLE[name].defaults, **chosen}
    made.setdefault("n_val", max(made["n"], 100))
    made.setdefault("n_test", 1000)
    return made


def _conflict(name: str, chosen: Mapping[str, Any]) -> str | None:
    o = _settings(name, chosen)
    rows, columns = o["n"] + o["n_val"] + o["n_test"], o.get("p", o.get("d", 40)) + chosen.get("noise_features", 0)
    if rows * columns > MOST_NUMBERS:
        return f"{rows:,} rows of {columns:,} columns; valid: at most {MOST_NUMBERS:,} numbers in all"
    if "s" in o and o["s"] > o["p"]:
        return f"option s: value {o['s']} with p={o['p']}; valid: at most p"
    if "noisy_test" in chosen and "label_noise" not in chosen:
        return "noisy_test needs label noise; valid: label_noise=0.1,noisy_test=1"
    if name == "twoclass" and round(o["prior"] * min(o["n"], o["n_val"])) < 1:
        return f"option prior: value {o['prior']:g} leaves no positive row; valid: at least 1/n"
    return None


@cache
def entries() -> dict[str, Any]:
    """Registry entries of the generators, by id."""
    from wdbench.datasets.registry import Entry

    def made(name: str, generator: Generator) -> "Entry":
        task = "binary" if name == "twoclass" else "regression"
        options = {**SIZES, **GENERAL, **generator.options}
        return Entry(
            id=name,
            provider="synthetic",
            kind="synthetic",
            task=task,
            load=lambda: _dataset(name, task),
            options=options,
            conflict=lambda chosen: _conflict(name, chosen),
            n_classes=2 if task == "binary" else 1,
            licence="generated",
            citation=generator.citation,
            redistributable=True,
        )

    return {name: made(name, generator) for name, generator in _TABLE.items()}


def _dataset(name: str, task: str) -> Dataset:
    from wdbench.datasets.assembly import block as make

    return Dataset(
        name, task, None, None, classes=("0", "1") if task == "binary" else (), sha256=make(name, 0).sha256
    )


def block(spec: Spec, replicate: int) -> Block:
    """Block of a generator; spec as parsed. Arrays are in the units of the law, not rescaled."""
    o = _settings(spec.name, spec.options)
    if spec.name == "twoclass":
        X, y, truth = _twoclass(o, replicate)
        known = {"prior": o["prior"], "label_noise": o.get("label_noise"), "n_true": len(truth.support)}
    else:
        X, y, truth = _regression(spec.name, o, replicate)
        known = {
            "n_true": len(truth.support),
            "snr": truth.signal / truth.sigma**2,
            "rho": o.get("rho"),
            "y_shift": truth.b,
        }
    X, truth = _disturbed(spec.name, o, replicate, X, truth)
    task = entries()[spec.name].task
    described = describe(
        task,
        X,
        y,
        entries()[spec.name].n_classes,
        corrupt=o.get("corrupt"),
        colscale=o.get("colscale"),
        noise_features=o.get("noise_features"),
        **known,
    )
    sha256 = digest(*(X[part] for part in SPLITS), *(y[part] for part in SPLITS))
    return Block(spec.text, replicate, X, y, task, 1, truth, described, sha256)


def _sizes(o: Mapping[str, Any]) -> dict[str, int]:
    return {"train": o["n"], "val": o["n_val"], "test": o["n_test"]}


def _regression(name: str, o: Mapping[str, Any], replicate: int) -> tuple[dict[str, Any], dict[str, Any], Truth]:
    design, truth = _TABLE[name].law(o, seeds.generator(name, replicate, "sample", 0))
    X, y = {}, {}
    for counter, (part, n) in enumerate(_sizes(o).items(), start=1):
        X[part] = design.draw(seeds.generator(name, replicate, "sample", 10 * counter), n)
        noise = seeds.generator(name, replicate, "sample", 10 * counter + 1).standard_normal(n)
        # a sum by row: a BLAS product may round a row differently as n changes
        y[part] = (X[part] * truth.w).sum(axis=1) + truth.b + truth.sigma * noise
        if name == "measurement" and (part != "test" or o["test"] == "noisy"):
            X[part][:, 0] += o["tau"] * disturb.errors(name, replicate, n, 10 + counter)
    return X, y, truth


def _twoclass(o: Mapping[str, Any], replicate: int) -> tuple[dict[str, Any], dict[str, Any], BinaryTruth]:
    """x | y ~ N(+-mu, I) with |mu| = delta/2 in a random direction; every sample holds round(prior n) rows of
    class 1.

    The exact share, rather than one drawn at random, keeps a rare class from being absent.
    """
    direction = seeds.generator("twoclass", replicate, "sample", 0).standard_normal(o["d"])
    mu = 0.5 * o["delta"] * direction / np.linalg.norm(direction)
    rate = o.get("label_noise", 0.0)
    noisy_test = o.get("noisy_test") == "1"
    truth = BinaryTruth(
        2 * mu,
        float(np.log(o["prior"] / (1 - o["prior"]))),
        mu,
        np.eye(o["d"]),
        o["prior"],
        np.arange(o["d"]),
        np.full(o["d"], -1),
        rate if noisy_test else 0.0,
    )
    X, y = {}, {}
    for counter, (part, n) in enumerate(_sizes(o).items(), start=1):
        # positives are spread evenly over the rows, so that the first rows of a sample hold their share too
        steps = np.diff(np.floor(o["prior"] * np.arange(n + 1) + 0.5)).astype(np.int64)
        normal = seeds.generator("twoclass", replicate, "sample", 10 * counter).standard_normal((n, o["d"]))
        X[part] = normal + np.where(steps[:, None] == 1, mu, -mu)
        rng = seeds.generator("twoclass", replicate, "label_noise", counter)
        y[part] = disturb.flip_labels(steps, 2, rate, rng) if part != "test" or noisy_test else steps
    return X, y, truth


def _disturbed(name: str, o: Mapping[str, Any], replicate: int, X: dict[str, Any], truth: Truth | BinaryTruth) -> tuple[dict[str, Any],
               object]:
    """Options corrupt, noise_features, colscale; the truth in the new columns, risk still on clean x."""
    counters = {part: (n, counter) for counter, (part, n) in enumerate(_sizes(o).items(), start=1)}
    if "corrupt" in o:
        errors = {
            part: disturb.errors(name, replicate, n, counter) for part, (n, counter) in counters.items()
        }
        X = disturb.corrupt(name, replicate, X, np.sqrt(np.diag(truth.Sigma)), o["corrupt"], errors)
    if "noise_features" in o:
        k = o["noise_features"]
        X = {
            part: np.hstack([X[part], disturb.noise_columns(name, replicate, n, k, counter)])
            for part, (n, counter) in counters.items()
        }
        truth = _padded(truth, k)
    if "colscale" in o:
        factors = disturb.column_scales(name, replicate, X["train"].shape[1], o["colscale"])
        X = {part: X[part] * factors for part in SPLITS}
        truth = _rescaled(truth, factors)
    return X, truth


def _padded(truth: Any, k: int) -> Any:
    """The truth with k more columns, N(0, 1) and of weight zero."""

    def square(matrix: np.ndarray, fill: float) -> np.ndarray:
        out = np.diag(np.full(len(matrix) + k, fill))
        out[: len(matrix), : len(matrix)] = matrix
        return out

    changed = {
        "w": np.pad(truth.w, (0, k)),
        "Sigma": square(truth.Sigma, 1.0),
        "groups": np.pad(truth.groups, (0, k), constant_values=-1),
    }
    if isinstance(truth, BinaryTruth):
        changed["mu"] = np.pad(truth.mu, (0, k))
    elif truth.noise_cov is not None:
        changed["noise_cov"] = square(truth.noise_cov, 0.0)
    return replace(truth, **changed)


def _rescaled(truth: Any, factors: np.ndarray) -> Any:
    """The truth in columns multiplied by `factors`: the same function of x, so weights are divided by them.
    """
    both = np.outer(factors, factors)
    changed = {"w": truth.w / factors, "Sigma": truth.Sigma * both}
    if isinstance(truth, BinaryTruth):
        changed["mu"] = truth.mu * factors
    elif truth.noise_cov is not None:
        changed["noise_cov"] = truth.noise_cov * both
    return replace(truth, **changed)
