"""How much memory training takes, estimated before it begins, and portions of cells that stay within `budget.memory_gib`.

What is counted: the blocks of the replicates that are trained together, and the tensors of the largest stack that the engine makes of
them. The interpreter and its libraries (about 0.4 GiB a worker) come on top. A portion's cells get the same bits as all cells
together: what a cell is stacked with does not matter (`engine.py`).
"""

import ctypes
import gc
from collections.abc import Iterator
from functools import cache

import torch

from wdbench import apart, datasets, fits, lone, measure, models, tokens
from wdbench.cells import FOLLOWERS
from wdbench.errors import UserError
from wdbench.grid import Cell
from wdbench.stack import padded

GIB = 2**30
# glibc's numbers of the two settings
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
# weights, gradient, two moments, Kahan's remainder and the update's temporaries, of which only a part is ever there at once
STATE_COPIES = 8
# copies of a network's weights at the end: half-way, averaged, averaged half-way, and two in fp64
KEPT_COPIES = 8
# what the forward pass keeps, and as much again on the way back
ACTIVATION_COPIES = 3
# the largest two layers' outputs exist at once where nothing is kept for a backward pass
EVALUATED_COPIES = 2


@cache
def shape(model: str, features: int, outputs: int) -> tuple[int, int, int]:
    """(weights, numbers that a training row leaves in the forward pass, outputs of the widest layer for a row); of large models
    without making any.
    """
    family, options = models.parse(model)
    # what runs on tensors without storage loads torch's compiler, which takes longer than a small network's pass
    with torch.device("meta" if lone.is_lone(model, features, outputs) else "cpu"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        module, sizes = family.build(options, features, outputs), []
        for layer in module.modules():
            if not list(layer.children()):
                layer.register_forward_hook(lambda layer, given, out: sizes.append(out.numel()))
        dtype = torch.int64 if "language" in family.tasks else torch.float32
        # two rows: a batch norm refuses one
        last = module(torch.zeros(2, features, dtype=dtype))
    sizes.append(last.numel())
    if "language" in family.tasks:
        # attention's scores are no layer of their own: heads x context for each of the context's symbols, three times over
        sizes += [3 * 2 * options["heads"] * features**2] * options["depth"]
    return sum(p.numel() for p in module.parameters()), sum(sizes) // 2, max(sizes) // 2


def evaluated(dataset: str) -> int:
    """Rows of a block that go through a network at once, those that norms take their statistics from among them."""
    if datasets.task(dataset) == "language":
        return tokens.CHUNKS_AT_ONCE
    parsed = datasets.parse(dataset)
    whole = 3 * measure.WHOLE
    everything = max(parsed.options.get("n") or 0, fits.everything(parsed.name) or whole)
    # of so many rows some split holds more than go through whole
    return 2 * measure.ROWS_AT_ONCE if everything > whole else min(everything, 2 * measure.WHOLE)


def working_bytes(cell: Cell) -> int:
    """Bytes of what a step or an evaluation leaves between a network's layers."""
    features, outputs = fits.features(cell.dataset) or 1000, fits.outputs(cell.dataset)
    _, kept, widest = shape(cell.model, features, outputs)
    batch = min(cell.batch_size or 1, fits.rows(cell.dataset))
    if lone.is_lone(cell.model, features, outputs) and datasets.task(cell.dataset) == "language":
        batch = min(batch, max(1, lone.TOKENS_AT_ONCE // features))
    number = 8 if cell.precision == "fp64" else 4
    return number * (batch * kept * ACTIVATION_COPIES + evaluated(cell.dataset) * widest * EVALUATED_COPIES)


def cell_bytes(cell: Cell) -> int:
    """Bytes that one cell of a stack takes; where cells are computed one after another, without `working_bytes`."""
    family, _ = models.parse(cell.model)
    weights, _, _ = shape(cell.model, fits.features(cell.dataset) or 1000, fits.outputs(cell.dataset))
    state = weights * (8 if cell.precision == "fp64" else 4) * (STATE_COPIES + (0 if family.affine else KEPT_COPIES))
    runs = 3 if cell.coupling in FOLLOWERS else 1
    return runs * (state + (0 if apart.is_apart(family.name, "cpu") else working_bytes(cell)))


def shared_bytes(cells: list[Cell]) -> int:
    """Bytes that a stack takes once: the working memory of cells that are computed one after another."""
    return max((working_bytes(cell) for cell in cells if apart.is_apart(models.parse(cell.model)[0].name, "cpu")), default=0)


def block_bytes(dataset: str) -> int:
    """Bytes of a replicate's rows: fp64 in the block, and in the type that they are trained in."""
    if datasets.task(dataset) == "language":
        return 2**26
    return fits.rows(dataset) * (fits.features(dataset) or 1000) * (8 + 4)


def company(cell: Cell) -> int:
    """Cells in the smallest stack that a cell is trained in: the engine pads to so many (`stack.padded`)."""
    family, _ = models.parse(cell.model)
    alone = lone.is_lone(cell.model, fits.features(cell.dataset) or 1000, fits.outputs(cell.dataset))
    return padded(1, cell.precision, family, datasets.task(cell.dataset), alone)


def portions(cells: list[Cell], budget_gib: float) -> Iterator[list[Cell]]:
    """Cells of one data set spec in portions that each stay within the budget, replicates whole where they fit.

    Raises UserError where not even one cell does.
    """
    portion: list[Cell] = []
    allowed, taken = budget_gib * GIB, 0.0
    by_replicate: dict[int, list[Cell]] = {}
    for cell in cells:
        by_replicate.setdefault(cell.replicate, []).append(cell)
    for members in by_replicate.values():
        block = block_bytes(members[0].dataset) + shared_bytes(members)
        largest = max(map(cell_bytes, members))
        least = block + largest * company(members[0])
        if least > allowed:
            raise UserError(f"config.yaml: budget.memory_gib: value {budget_gib:g}: one cell of {members[0].pack} takes about "
                            f"{least / GIB:.2g}; valid: {1.1 * least / GIB:.2g} or more")
        room = max(1, int((allowed - block) // largest))
        for start in range(0, len(members), room):
            part = members[start : start + room]
            needed = block + largest * max(len(part), company(members[0]))
            if portion and taken + needed > allowed:
                yield portion
                portion, taken = [], 0.0
            portion, taken = portion + part, taken + needed
    if portion:
        yield portion


def give_back() -> None:
    """Return to the system what a finished portion has freed: glibc keeps freed blocks, and the next portion's fit elsewhere."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library keeps house by itself
        pass


def reuse() -> None:
    """Let a block that is freed be used again at once: glibc returns large ones to the system, and every page of the next is fetched anew.

    A third of a softmax stack's time. `give_back` returns them where it is time to.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(MMAP_THRESHOLD, 2**25)
        libc.mallopt(TRIM_THRESHOLD, 2**30)
    except (OSError, AttributeError):
        pass
