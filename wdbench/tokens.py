"""Losses and errors of language models, some chunks of text at a time: their outputs are too many to keep."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from wdbench.cells import Data
    from wdbench.stack import Network

# chunks of text a loss is the mean over: enough that a gap of .01 nats between train and test shows at the last weights
SCORED = {"train": 4096, "test": 4096, "val": 2048, "unseen": 2048}
SCORED_BETWEEN = 512
CHUNKS_AT_ONCE = 32
# half a gigabyte in fp32: fewer chunks go through at once where the vocabulary is large
LOGITS_AT_ONCE = 2**27


def score(network: "Network", params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean cross-entropy in nats a symbol, share of symbols that are not the likeliest), each [1, C] fp64.

    params [1, C, *shape] of one replicate; x, y [1, n, T].
    """
    dtype = next(iter(params.values())).dtype
    loss, wrong = 0.0, 0.0
    at_once = max(1, min(CHUNKS_AT_ONCE, LOGITS_AT_ONCE // (x.shape[2] * network.outputs)))
    for start in range(0, x.shape[1], at_once):
        part, targets = (values[:, start : start + at_once] for values in (x, y))
        # [1, C, n, T, vocabulary]: sums run within a cell
        z = network.predict(params, part, dtype).movedim(2, 1).contiguous()
        index = targets.long()[:, None, :, :, None].expand(*z.shape[:-1], 1)
        loss = loss - torch.log_softmax(z, -1).gather(-1, index).double().flatten(2).sum(-1)
        wrong = wrong + (z.argmax(-1, keepdim=True) != index).double().flatten(2).sum(-1)
    count = x.shape[1] * x.shape[2]
    return loss / count, wrong / count


def scores(network: "Network", iterates: Mapping[str, dict[str, torch.Tensor]], i: int, data: "Data", order: np.ndarray) -> dict[str,
           np.ndarray]:
    """Columns [C] of replicate i: {iterate_}{split}_loss and _error, iterates as in `measure.Outcome`.

    Splits are val, test, train (chunks that were trained on) and unseen (training chunks that were not: the training loss of a
    single pass, NaN where every chunk was used). order: row numbers of every step.
    """
    seen = np.unique(order)
    rows = {
        "train": (data.x, data.y, seen), "unseen": (data.x, data.y, np.setdiff1d(np.arange(len(data.y)), seen)),
        "val": (data.x_val, data.y_val, np.arange(len(data.y_val))), "test": (data.x_test, data.y_test, np.arange(len(data.y_test))),
    }
    columns = {}
    for name, stack in iterates.items():
        params = {key: w[i : i + 1] for key, w in stack.items()}
        like = next(iter(params.values()))
        for split, (x, y, members) in rows.items():
            most = SCORED_BETWEEN if name else SCORED[split]
            chosen = members[np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int)]
            prefix = f"{name}_{split}".lstrip("_")
            if not len(chosen):
                columns[f"{prefix}_loss"] = columns[f"{prefix}_error"] = np.full(like.shape[1], np.nan)
                continue
            pair = [torch.as_tensor(a[chosen])[None].to(like.device, torch.int64) for a in (x, y)]
            loss, error = score(network, params, *pair)
            columns[f"{prefix}_loss"], columns[f"{prefix}_error"] = loss[0].cpu().numpy(), error[0].cpu().numpy()
    return columns
