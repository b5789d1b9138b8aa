"""What a study's models and data cannot do together, said when the plan is made and not when a job reaches it."""

from functools import cache

from wdbench import datasets
from wdbench.config.study import Study
from wdbench.datasets.language import CONTEXT
from wdbench.errors import UserError

# probes that look at rows of numbers, which text has none of
OF_NUMBERS = ("curvature", "jacobian", "temperature")


def features(dataset: str) -> int | None:
    """Numbers (of text: symbols) in a row of a data set, from the registry and the options alone; None where only its block tells."""
    parsed = datasets.parse(dataset)
    entry = datasets.registry.entry(parsed.name)
    if entry.task == "language":
        return parsed.options.get("context", CONTEXT)
    columns = entry.shape[1] if len(entry.shape) > 1 and entry.shape[1] else None
    if entry.kind == "text":
        columns = parsed.options.get("top") or parsed.options.get("svd")
    return None if columns is None else columns + parsed.options.get("noise_features", 0)


def rows(dataset: str) -> int:
    """Rows of a block, about, all splits; of a language, tokens over the context; 1,000 where neither options nor registry say."""
    parsed = datasets.parse(dataset)
    return parsed.options.get("n") or everything(parsed.name) or 1000


def everything(name: str) -> int | None:
    """Rows of all that is known of a data set; None where they are made, or not counted."""
    shape = datasets.registry.entry(name).shape
    return shape[0] if shape else None


def outputs(dataset: str) -> int:
    """Outputs of a model of a data set: classes, symbols, or 1."""
    entry = datasets.registry.entry(datasets.parse(dataset).name)
    return 1 if entry.task in ("regression", "binary") else entry.n_classes


def convex(study: Study, dataset: str) -> None:
    """Raises UserError where a linear, logistic or softmax model cannot be fitted to a data set as the study asks."""
    parsed = datasets.parse(dataset)
    kind = datasets.registry.entry(parsed.name).kind
    if kind == "colour":
        raise UserError(f"config.yaml: model 'glm' on data set {dataset!r}: its pixels are kept as bytes for networks; "
                        f"valid: another model, or data set fashion_mnist or mnist_5k")
    trained = next((name for name in study.optimisers if name != "exact"), None)
    if kind == "text" and trained and not {"top", "svd"} & set(parsed.options):
        raise UserError(f"config.yaml: optimisers: value {trained!r}: the rows of data set {dataset!r} are sparse, which only exact takes; "
                        f"valid: optimisers [exact], or data set {parsed.text}{',' if parsed.options else ':'}top=1000")


def network(study: Study, model: str, dataset: str) -> None:
    """Raises UserError where a network cannot be built for a data set's rows, or not be trained as the study asks."""
    task = datasets.task(dataset)
    if "exact" in study.optimisers:
        raise UserError(f"config.yaml: optimisers: value 'exact': model {model!r} has no exact minimiser; "
                        f"valid: sgd momentum nesterov adam")
    if task == "language" or datasets.registry.entry(datasets.base_name(dataset)).kind == "colour":
        axes = [(f"lambda.{name}", study.lambdas[name]) for name in study.penalties if name != "none"]
        for field, axis in axes + [(f"lr.{name}", axis) for name, axis in study.lr.items() if name in study.optimisers]:
            if axis.unit == "relative":
                valid = "absolute" if field.startswith("lr") else "absolute or clock"
                raise UserError(f"config.yaml: {field}.unit: value 'relative': data set {dataset!r} has no convex model that would give "
                                f"the unit; valid: {valid}")
    wrong = next((name for name in study.probes if task == "language" and name in OF_NUMBERS), None)
    if wrong is not None:
        raise UserError(f"config.yaml: probes: value {wrong!r}: data set {dataset!r} is text, which it cannot be taken on; "
                        f"valid: rotation noise path plateau spikes ball")
    count = features(dataset)
    if count is not None:
        problem = _problem(model, count, outputs(dataset))
        if problem:
            raise UserError(f"config.yaml: data set {dataset!r}: {problem}")


@cache
def _problem(model: str, count: int, k: int) -> str:
    """What a model says to rows of so many features; "" where it can be built for them."""
    # torch is loaded for networks alone: planning a convex study must not wait for it
    from wdbench import lone, models

    family, options = models.parse(model)
    try:
        lone.weights(family, options, count, k)
    except UserError as error:
        return str(error)
    return ""
