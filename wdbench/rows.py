"""From final weights to the measured columns of a results row, for a stack of solutions of one block."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from wdbench import metrics

if TYPE_CHECKING:
    from scipy import sparse

    from wdbench.datasets.records import Block

# fp64 products give a column the same bits in every slot of a multiple of 24 columns; see `affine.ARMS_MULTIPLE`
_PAD = 24


def measure(block: "Block", weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """Columns [C] of C solutions, weight [C, d, k], bias [C, k], on a `datasets.Block`.

    Losses are data losses. Where the block has a truth, test loss (and binary test error) are its exact expectation. A
    solution's numbers do not depend on what it is stacked with: the stack is padded to a multiple of 24.
    """
    count = len(weight)
    pad = -count % _PAD
    weight, bias = (np.concatenate([a, np.repeat(a[:1], pad, 0)]) for a in (weight, bias))
    outputs = {split: _outputs(block.X[split], weight, bias) for split in ("train", "val", "test")}
    columns = _losses(block, outputs) | _classification(block, outputs) | metrics.weights(weight, bias)
    if block.truth is not None:
        columns |= _against_truth(block, weight, bias)
    if block.task == "multiclass":
        columns["head_norm_ratio"] = metrics.norm_ratio(metrics.class_norms(weight.transpose(0, 2, 1)))
    columns["weights_sha256"] = _sha256(weight, bias)
    return {name: value[:count] for name, value in columns.items()}


def measure_network(block: "Block", outputs: dict[str, dict[str, np.ndarray]], weight: np.ndarray, bias: np.ndarray,
                    head_norms: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Columns [C] of C networks: outputs iterate -> split -> [n, C, k], penalised weights [C, p], the other parameters [C, q].

    head_norms: norm of each class's weights in the last layer [C, k], None where there is no layer of classes. The last weights
    (iterate "") have all columns, the others their losses and errors, named after the iterate.
    """
    columns = {}
    for iterate, splits in outputs.items():
        columns |= {f"{iterate}_{name}".lstrip("_"): value for name, value in _losses(block, splits).items()}
    columns |= _classification(block, outputs[""]) | measure_weights(weight, bias)
    if head_norms is not None and block.task == "multiclass":
        columns["head_norm_ratio"] = metrics.norm_ratio(head_norms)
    return columns


def measure_weights(weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """Columns [C] that need no data: penalised weights [C, p], the other parameters [C, q]."""
    return metrics.weights(weight[:, :, None], bias) | {"weights_sha256": _sha256(weight, bias)}


def tempered(block: "Block", outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """temperature and tempered_nll [C] of classifiers, split -> [n, C, k]: T fitted on the validation rows, then held to the test rows."""
    found = metrics.temperature(outputs["val"], block.y["val"])
    return {"temperature": found, "tempered_nll": metrics.tempered_nll(outputs["test"], block.y["test"], found)}


def _losses(block: "Block", outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    columns = {}
    for split, z in outputs.items():
        columns[f"{split}_loss"] = metrics.data_loss(z, block.y[split], block.task)
        if block.task != "regression":
            columns[f"{split}_error"] = metrics.error(z, block.y[split])
    return columns


def _classification(block: "Block", outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if block.task == "regression":
        return {}
    # the rarest classes of the training rows, so that the choice never looks at the test rows
    minority = metrics.rarest_class(block.y["train"])
    tail = metrics.rarest_classes(block.y["train"], outputs["test"].shape[2])
    return {n: v for n, v in metrics.classification(outputs["test"], block.y["test"], minority, tail).items() if n != "error"}


def _sha256(weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.array([
        hashlib.sha256(np.ascontiguousarray(w).tobytes() + np.ascontiguousarray(b).tobytes()).hexdigest()[:16]
        for w, b in zip(weight, bias, strict=True)
    ])


def _outputs(x: "np.ndarray | sparse.csr_matrix", weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Outputs [n, C, k] in fp64."""
    solutions, features, outputs = weight.shape
    wide = np.ascontiguousarray(weight.transpose(1, 0, 2).reshape(features, solutions * outputs))
    if hasattr(x, "tocsr"):
        z = x @ wide
    else:
        import torch

        z = (torch.from_numpy(np.ascontiguousarray(x)) @ torch.from_numpy(wide)).numpy()
    return z.reshape(x.shape[0], solutions, outputs) + bias[None]


def _against_truth(block: "Block", weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    columns, truth = {}, block.truth
    if block.n_outputs == 1:
        flat, offset = weight[:, :, 0].T, bias[:, 0]
        finite = np.isfinite(flat).all(0) & np.isfinite(offset)
        safe, shift = np.where(finite, flat, 0.0), np.where(finite, offset, 0.0)
        columns["test_loss"] = np.where(finite, truth.risk(safe, shift), np.nan)
        if block.task == "binary":
            columns["nll"] = columns["test_loss"]
            columns["test_error"] = np.where(finite, truth.error(safe, shift), np.nan)
    if len(truth.support) and len(truth.support) < weight.shape[1]:
        score = metrics.marginal_score(block.X["train"], block.y["train"], block.task)
        columns |= metrics.support(weight, truth.support, score)
    return columns
