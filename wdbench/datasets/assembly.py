"""One replicate of a real data set: split, subsample, disturb, then transforms fitted on the train rows."""

from typing import Any

import numpy as np

from wdbench import seeds
from wdbench.datasets import colour, disturb, generators, language, registry, scaling, splits, tokenfile
from wdbench.datasets.records import SPLITS, Block, Dataset, describe, digest
from wdbench.datasets.spec import Spec, parse
from wdbench.errors import UserError


def block(spec: str, replicate: int) -> Block:
    """Block of a spec string and a replicate number; bit-identical in every process.

    Raises UserError for a spec that is not valid or that the data cannot satisfy (more rows of a class than
    there are), and DatasetUnavailable where the data were not fetched.
    """
    parsed = parse(spec)
    entry = registry.entry(parsed.name)
    if entry.provider == "synthetic":
        return generators.block(parsed, replicate)
    if entry.kind == "tokens":
        return tokenfile.block(parsed, registry.load(parsed.name), replicate)
    if entry.task == "language":
        return language.block(parsed, registry.load(parsed.name), replicate)
    return _real_block(parsed, entry, registry.load(parsed.name), replicate)


def rows_of(spec: Spec, entry: registry.Entry, data: Dataset, replicate: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(row numbers of each split after the options that thin them out, all train rows) of a replicate."""
    rows = splits.rows(
        data.y, data.task, data.given_test, entry.shares, seeds.generator(spec.name, replicate, "split")
    )
    return _subsample(spec, data, rows, replicate), rows["train"]


def _real_block(spec: Spec, entry: registry.Entry, data: Dataset, replicate: int) -> Block:
    chosen = spec.options
    rows, whole = rows_of(spec, entry, data, replicate)
    n_classes = entry.n_classes
    X = colour.columns(data, rows) if entry.kind == "colour" else _columns(spec, entry, data, rows, whole, replicate)
    y = _targets(spec, data, n_classes, rows, whole, replicate)
    stored = {part: getattr(X[part], "codes", X[part]) for part in SPLITS}
    described = describe(
        data.task,
        stored,
        y,
        n_classes,
        per_class=chosen.get("per_class"),
        imbalance=chosen.get("imbalance"),
        label_noise=chosen.get("label_noise"),
        y_shift=chosen.get("y_shift"),
        noise_features=chosen.get("noise_features"),
        corrupt=chosen.get("corrupt"),
        colscale=chosen.get("colscale"),
        scale=chosen.get("scale", entry.scale),
    )
    sha256 = digest(*(stored[part] for part in SPLITS), *(y[part] for part in SPLITS))
    n_outputs = n_classes if data.task == "multiclass" else 1
    return Block(spec.text, replicate, X, y, data.task, n_outputs, None, described, sha256, rows)


def _subsample(spec: Spec, data: Dataset, rows: dict[str, Any], replicate: int) -> dict[str, np.ndarray]:
    """Rows in a nested random order, thinned by options minority, n, per_class and imbalance; test rows stay."""
    chosen, kept = spec.options, {"test": rows["test"]}
    for counter, part in enumerate(("train", "val")):
        rng = seeds.generator(spec.name, replicate, "subsample", counter)
        order = rows[part][splits.nested_order(data.y[rows[part]], data.task, rng)]
        if "minority" in chosen:
            order = _thin(spec, data.y, order, chosen["minority"], part)
        kept[part] = order
    if "n" in chosen:
        if chosen["n"] > len(kept["train"]):
            raise UserError(
                f"data set {spec.text!r}: option n: value {chosen['n']}; valid: up to {len(kept['train'])}"
            )
        kept["train"] = kept["train"][: chosen["n"]]
    if "per_class" in chosen:
        kept["train"] = _first_of_each(spec, data, kept["train"], chosen["per_class"])
    if "imbalance" in chosen:
        kept["train"] = _long_tailed(spec, data, kept["train"], chosen["imbalance"], replicate)
    return {part: kept[part] for part in SPLITS}


def _thin(spec: Spec, y: np.ndarray, order: np.ndarray, share: float, part: str) -> np.ndarray:
    positives, negatives = order[y[order] == 1], order[y[order] == 0]
    wanted = round(share / (1 - share) * len(negatives))
    if not 1 <= wanted <= len(positives):
        raise UserError(
            f"data set {spec.text!r}: option minority: value {share:g} asks for {wanted} {part} rows "
            f"of the rarer class; valid: a share that takes 1 to {len(positives)}"
        )
    kept = set(positives[:wanted].tolist()) | set(negatives.tolist())
    return np.array([row for row in order if row in kept])


def _first_of_each(spec: Spec, data: Dataset, order: np.ndarray, m: int) -> np.ndarray:
    labels = data.y[order]
    for label, members in enumerate(np.bincount(labels, minlength=len(data.classes))):
        if members < m:
            raise UserError(
                f"data set {spec.text!r}: option per_class: value {m}, but class {data.classes[label]} has "
                f"{members} train rows; valid: up to the size of the smallest class"
            )
    return order[splits.place_in_class(labels) < m]


def _long_tailed(spec: Spec, data: Dataset, order: np.ndarray, factor: float, replicate: int) -> np.ndarray:
    """Train rows of exponentially falling class counts, the classes ranked at random by the replicate.

    The largest class keeps as many rows as the smallest has in `order`, so that any ranking is possible; val and test keep their
    shares. A larger factor keeps a subset of a smaller one's rows.
    """
    labels, n_classes = data.y[order], len(data.classes)
    largest = int(np.bincount(labels, minlength=n_classes).min())
    if factor > largest:
        raise UserError(
            f"data set {spec.text!r}: option imbalance: value {factor:g} leaves the smallest class no train row; "
            f"valid: from 1 to {largest}, the rows of the largest class"
        )
    rank = seeds.generator(spec.name, replicate, "subsample", 2).permutation(n_classes)
    counts = splits.long_tail(largest, n_classes, factor)[rank]
    kept = order[splits.place_in_class(labels) < counts[labels]]
    # the rows of the tail are the first of their classes: without a new order a prefix would hold too many of them
    rng = seeds.generator(spec.name, replicate, "subsample", 3)
    return kept[splits.nested_order(data.y[kept], data.task, rng)]


def _columns(
    spec: Spec, entry: registry.Entry, data: Dataset, rows: dict[str, Any], whole: np.ndarray, replicate: int
) -> dict[str, Any]:
    """X of every split. whole: all train rows of the replicate, whose spread is the unit of `corrupt`."""
    chosen = spec.options
    scale = chosen.get("scale", entry.scale)
    if entry.kind == "text":
        X = _text_columns(spec, data, rows, scale, replicate)
    else:
        X = {part: _numbers(entry, data, scale, rows[part]) for part in SPLITS}
    if "corrupt" in chosen:
        sd = X["train"].std(axis=0) if entry.kind == "text" else _numbers(entry, data, scale, whole).std(axis=0)
        errors = disturb.errors(spec.name, replicate, len(data.y))
        X = disturb.corrupt(
            spec.name, replicate, X, sd, chosen["corrupt"], {part: errors[rows[part]] for part in SPLITS}
        )
    if "noise_features" in chosen:
        noise = disturb.noise_columns(spec.name, replicate, len(data.y), chosen["noise_features"])
        X = {part: np.hstack([X[part], noise[rows[part]]]) for part in SPLITS}
    X = scaling.fit_apply(X, scale, on_all=chosen.get("scaler") == "all")
    if "colscale" in chosen:
        factors = disturb.column_scales(spec.name, replicate, X["train"].shape[1], chosen["colscale"])
        X = {part: X[part] * factors for part in SPLITS}
    return X


def _numbers(entry: registry.Entry, data: Dataset, scale: str, rows: np.ndarray) -> np.ndarray:
    """Columns of these rows before any fitted transform, float64."""
    taken = data.X[rows] / entry.unit if scale == "unit" else data.X[rows]
    return taken.astype(np.float64, copy=False)


def _text_columns(spec: Spec, data: Dataset, rows: dict[str, Any], scale: str, replicate: int) -> dict[str, Any]:
    from wdbench.datasets import text

    top, svd = spec.options.get("top"), spec.options.get("svd")
    seed = int(
        seeds.generator(spec.name, replicate, "sample").integers(2**31)
    )  # of the randomised SVD's start
    features = text.features(data.X, rows["train"], scale=scale, top=top, svd=svd, seed=seed)
    X = {part: features[rows[part]] for part in SPLITS}
    return {part: X[part].toarray() for part in SPLITS} if top is not None else X


def _targets(
    spec: Spec, data: Dataset, n_classes: int, rows: dict[str, Any], whole: np.ndarray, replicate: int
) -> dict[str, np.ndarray]:
    """y of every split: classes with label noise, or a regression target in units of the sd over all train
    rows.

    The unit is that of all train rows also where option n takes fewer of them, so that losses compare along
    n.
    """
    chosen = spec.options
    if data.task == "regression":
        y = data.y / data.y[whole].std() + chosen.get("y_shift", 0.0)
        return {part: y[rows[part]] for part in SPLITS}
    noisy = data.y
    if "label_noise" in chosen:
        rng = seeds.generator(spec.name, replicate, "label_noise")
        noisy = disturb.flip_labels(data.y, n_classes, chosen["label_noise"], rng)
    test = noisy if chosen.get("noisy_test") == "1" else data.y
    return {"train": noisy[rows["train"]], "val": noisy[rows["val"]], "test": test[rows["test"]]}
