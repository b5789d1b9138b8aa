"""Text as a sequence of symbols: the corpus as published, and its chunks, which are the rows of a block.

A chunk is context + 1 consecutive symbols, of which all but the last are inputs and all but the first are the targets. Chunks
do not overlap, so no symbol of a held-out chunk is trained on. The vocabulary is that of the whole corpus, in byte order: it is
a property of the pinned archive, not fitted, and leaves bits a byte as they are.
"""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from wdbench import seeds
from wdbench.datasets import fetch
from wdbench.datasets.records import SPLITS, Block, Dataset, describe, digest
from wdbench.datasets.spec import Spec
from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry

CONTEXT = 64
ENOUGH = 4000  # held-out chunks that resolve a gap of .01 nats
PERIOD = (5, 20)  # fewest and most consecutive chunks of which one is for validation and one for test
PLAY_SHARE = 0.1  # of the corpus held out by holdout=play, to the nearest whole document


def load(entry: "Entry") -> Dataset:
    """Corpus of an entry of kind language: its archive's members by sorted path, with nothing between them.

    X [n] holds the uint8 number of each byte's symbol, y [n] the number of its document, classes the symbols and features the
    documents; sha256 is that of the bytes themselves. Raises DatasetUnavailable, or UserError for a damaged archive.
    """
    documents = dict(sorted(fetch.members(entry).items()))
    raw = np.frombuffer(b"".join(documents.values()), dtype=np.uint8)
    symbols = np.unique(raw)
    if raw.shape != entry.shape or len(symbols) != entry.n_classes:
        raise ValueError(f"{entry.id}: {len(raw)} bytes of {len(symbols)} symbols are not what is registered")
    X = np.searchsorted(symbols, raw).astype(np.uint8)
    y = np.repeat(np.arange(len(documents), dtype=np.int64), [len(content) for content in documents.values()])
    X.flags.writeable = y.flags.writeable = False
    names, vocabulary = (PurePosixPath(path).stem for path in documents), (chr(symbol) for symbol in symbols)
    return Dataset(entry.id, entry.task, X, y, tuple(names), tuple(vocabulary), None, fetch.sha256(raw))


def block(spec: Spec, data: Dataset, replicate: int) -> Block:
    """Chunks of one replicate: X[split] and y[split] [n_split, context] uint8, y the symbols after those of X.

    Rows of train and val lie in a random order, so that a prefix is a random subsample; rows[split] are the chunks' numbers.
    """
    chosen = spec.options
    context = chosen.get("context", CONTEXT)
    pieces = chunks(data.X, context)
    rng = seeds.generator(spec.name, replicate, "split")
    rows = by_document(data.y, context, rng) if chosen.get("holdout") == "play" else interleaved(len(pieces), rng)
    for counter, part in enumerate(("train", "val")):
        rows[part] = seeds.generator(spec.name, replicate, "subsample", counter).permutation(rows[part])
    if chosen.get("n", 1) > len(rows["train"]):
        raise UserError(f"data set {spec.text!r}: option n: value {chosen['n']}; valid: up to {len(rows['train'])}")
    rows["train"] = rows["train"][: chosen.get("n")]
    X = {part: np.ascontiguousarray(pieces[rows[part], :-1]) for part in SPLITS}
    y = {part: np.ascontiguousarray(pieces[rows[part], 1:]) for part in SPLITS}
    symbols = len(data.classes)
    described = describe(data.task, X, y, symbols)
    sha256 = digest(*(X[part] for part in SPLITS), *(y[part] for part in SPLITS))
    return Block(spec.text, replicate, X, y, data.task, symbols, None, described, sha256, rows)


def chunks(codes: np.ndarray, context: int) -> np.ndarray:
    """[chunks, context + 1] of codes [n], without the last few that fill no chunk."""
    count = len(codes) // (context + 1)
    return codes[: count * (context + 1)].reshape(count, context + 1)


def interleaved(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Chunk numbers of each split: of every `period` consecutive chunks one at random is for val and another for test.

    Held-out text is thus of the same documents as training text. The period is the longest, within PERIOD, that leaves ENOUGH
    chunks for each.
    """
    period = min(max(count // ENOUGH, PERIOD[0]), PERIOD[1])
    groups = count // period
    val = rng.integers(period, size=groups)
    test = (val + rng.integers(1, period, size=groups)) % period
    val, test = (period * np.arange(groups) + place for place in (val, test))
    return {"train": np.setdiff1d(np.arange(count), np.concatenate([val, test])), "val": val, "test": test}


def by_document(documents: np.ndarray, context: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Chunk numbers of each split: the last documents, about PLAY_SHARE of all, are held out, half of their chunks for val.

    documents [n] is the number of each symbol's document. A chunk with text of both sides is in no split.
    """
    starts = np.flatnonzero(np.diff(documents)) + 1
    cut = starts[np.argmin(np.abs(starts - (1 - PLAY_SHARE) * len(documents)))]
    count = len(documents) // (context + 1)
    held = rng.permutation(np.arange(-(-cut // (context + 1)), count))
    val, test = (np.sort(part) for part in np.array_split(held, 2))
    return {"train": np.arange(cut // (context + 1)), "val": val, "test": test}
