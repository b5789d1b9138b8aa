"""Named random streams, from (data set, replicate, purpose) and never from the treatment.

Two arms of a study therefore see the same split, the same initialisation, the same batches and the same rounding noise, which
is what makes their difference a paired one.
"""

import hashlib

import numpy as np

PURPOSES = (
    "split", "subsample", "sample", "label_noise", "corruption", "scales", "init", "batches", "rounding", "bootstrap", "probes",
)


def key(dataset: str, replicate: int, purpose: str, *counters: int) -> int:
    """128-bit key of a stream. `dataset` is the base name, without options; `counters` index within the stream (a step, a tensor).

    Raises ValueError for a purpose that is not in PURPOSES, so that no stream is named by accident.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"unknown purpose {purpose!r}; one of {', '.join(PURPOSES)}")
    text = "\x1f".join([dataset, str(int(replicate)), purpose, *(str(int(c)) for c in counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def generator(dataset: str, replicate: int, purpose: str, *counters: int) -> np.random.Generator:
    """Counter-based generator (Philox4x64; Salmon et al. 2011) of the named stream; see `key`."""
    return np.random.Generator(np.random.Philox(key=key(dataset, replicate, purpose, *counters)))
