"""Token files that a user prepares: OpenWebText as nanoGPT writes it, uint16 numbers of GPT-2's byte-pair vocabulary.

train.bin and val.bin (github.com/karpathy/nanoGPT, data/openwebtext/prepare.py) are mapped into memory and never read as a whole: the
first has 9 billion tokens, 18 GB. A chunk is context + 1 consecutive tokens, as in `language`. Chunks of train.bin are trained on,
those of val.bin are held out, half of them (at random, by replicate) for validation and half for test.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from wdbench import seeds
from wdbench.datasets import fetch
from wdbench.datasets.language import CONTEXT, chunks
from wdbench.datasets.records import SPLITS, Block, Dataset, describe
from wdbench.datasets.spec import Spec
from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry

SAMPLES, SAMPLE_TOKENS = 1024, 32_768
END_OF_TEXT = 50256


def load(entry: "Entry") -> Dataset:
    """The two files as they lie on disk: X maps train.bin, given_test maps val.bin, both [n] uint16; y is None.

    sha256 covers the sizes of both files, and of each SAMPLES evenly spaced pieces of SAMPLE_TOKENS tokens, all of a file that is
    smaller: a hash of all 18 GB would be taken by every job. Raises DatasetUnavailable, and UserError for a file that is empty, that
    has an odd number of bytes, or of which a sampled token is none of GPT-2's.
    """
    state, parts = hashlib.sha256(), []
    for path in fetch.files_of(entry):
        size = path.stat().st_size
        if size == 0 or size % 2:
            raise UserError(f"{path}: {size} bytes; valid: an even number above 0, as tokens are uint16")
        tokens = np.memmap(path, dtype="<u2", mode="r")
        state.update(f"{path.name}:{size};".encode())
        for start in np.unique(np.linspace(0, max(len(tokens) - SAMPLE_TOKENS, 0), SAMPLES).astype(np.int64)):
            piece = np.ascontiguousarray(tokens[start : start + SAMPLE_TOKENS])
            if piece.max() > END_OF_TEXT:
                raise UserError(f"{path}: token {piece.max()} near position {start}; valid: 0 to {END_OF_TEXT}, GPT-2's vocabulary")
            state.update(piece.tobytes())
        parts.append(tokens)
    return Dataset(entry.id, entry.task, parts[0], None, (), (), parts[1], state.hexdigest())


def block(spec: Spec, data: Dataset, replicate: int) -> Block:
    """Chunks of one replicate: X[split] and y[split] [n_split, context] uint16, y the tokens after those of X; train's map the file.

    Train chunks keep the order of the file, which is a random one of documents; option n takes the first n. sha256 covers the data's
    own sha256, the options and the replicate. Raises UserError for a file that is too short for the context or for n.
    """
    from wdbench.datasets import registry

    context = spec.options.get("context", CONTEXT)
    train, held = chunks(data.X, context), chunks(data.given_test, context)
    for pieces, file, least in ((train, "train.bin", spec.options.get("n", 1)), (held, "val.bin", 2)):
        if len(pieces) < least:
            raise UserError(f"data set {spec.text!r}: {file} has {len(pieces)} chunks of {context + 1} tokens; valid: {least} or more")
    order = seeds.generator(spec.name, replicate, "split").permutation(len(held))
    val, test = (np.sort(part) for part in np.array_split(order, 2))
    train = train[: spec.options.get("n")]
    pieces = {"train": train, "val": held[val], "test": held[test]}
    X, y = ({part: pieces[part][:, place] for part in SPLITS} for place in (slice(None, -1), slice(1, None)))
    symbols = registry.entry(spec.name).n_classes
    described = describe(data.task, X, y, symbols)
    sha256 = hashlib.sha256(f"{data.sha256} {spec.text} {replicate}".encode()).hexdigest()
    rows = {"train": np.arange(len(train)), "val": val, "test": test}
    return Block(spec.text, replicate, X, y, data.task, symbols, None, described, sha256, rows)
