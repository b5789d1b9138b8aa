"""What a step of a large network costs before one was ever taken: its arithmetic, counted, over the speed at which machines do it.

FLOPs are those of the matrix products and convolutions of one forward and one backward pass, counted by torch's flop counter on
tensors without storage; a multiplication and an addition are two. Norms, updates, evaluation and data are left out: on a core they
add a tenth to a third.
"""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from wdbench import datasets, fits, lone, models
from wdbench.cells import FOLLOWERS
from wdbench.config.study import Study
from wdbench.models.losses import softmax_loss

# FLOP a second: one core of the machine that the accepted run is from (65 to 76e9 measured, for ResNet-18, GPT-2 and VGG); one A100
# such that the paper's runs take the hours that it states, 2 for ResNet-18 over 1,000 epochs (fp16) and 12 for GPT-2 small over 50,000
# steps of 65,536 tokens
CORE_RATE = 6.5e10
A100_RATE = {"multiclass": 2.3e13, "language": 5.8e13}
ROWS = 2


@cache
def flops(model: str, features: int, outputs: int) -> float:
    """FLOPs of one training row, forward and backward, of a network on rows of so many features."""
    family, options = models.parse(model)
    with torch.device("meta"):
        module = family.build(options, features, outputs)
        language = "language" in family.tasks
        x = torch.zeros(ROWS, features, dtype=torch.int64 if language else torch.float32)
        y = torch.zeros((ROWS, features) if language else ROWS, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter:
            softmax_loss(module(x), y).backward()
    return counter.get_total_flops() / ROWS


def cell(study: Study, dataset: str, model: str) -> float | None:
    """FLOPs of a cell of a study, on average over its numbers of steps and batch sizes; None for a model that is trained in stacks,
    whose steps are not arithmetic but calls. A follower counts threefold: it is trained beside two more (`follow.py`).
    """
    features, outputs = fits.features(dataset), fits.outputs(dataset)
    if features is None or not lone.is_lone(model, features, outputs):
        return None
    rows = [datasets.registry.entry(datasets.base_name(dataset)).shape[0] if size == "full" else size for size in study.batch_size]
    runs = sum(3 if name in FOLLOWERS else 1 for name in study.couplings) / len(study.couplings)
    return runs * sum(study.steps) / len(study.steps) * sum(rows) / len(rows) * flops(model, features, outputs)


def a100_hours(dataset: str, arithmetic: float) -> float:
    """Hours of one A100 for so many FLOPs, a rough guide."""
    return arithmetic / A100_RATE["language" if datasets.task(dataset) == "language" else "multiclass"] / 3600
