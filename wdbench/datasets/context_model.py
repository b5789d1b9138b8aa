"""Bits a byte of a byte n-gram with Witten-Bell smoothing: what a language model must beat before anything is said of it.

    P_k(c | h) = (count(hc) + types(h) P_{k-1}(c | h')) / (count(h) + types(h))

where h is the context of k bytes, h' its last k-1 and types(h) the number of different bytes that followed it; P_{-1} = 1/256,
and a context never seen leaves P_{k-1} as it is (Witten, Bell 1991, IEEE Transactions on Information Theory 37:1085-1094).
"""

import numpy as np

MAX_ORDER = 6  # a context and the byte after it are packed into 64 bits


def context_model_bits(train: np.ndarray, test: np.ndarray, order: int) -> float:
    """Mean bits a byte on test [m] of the model of contexts of `order` bytes, counted on train [n]; uint8 arrays.

    The first `order` bytes of test only serve as context. Raises ValueError for an order that is not 0..6.
    """
    return context_model_curve(train, test, order)[-1]


def context_model_curve(train: np.ndarray, test: np.ndarray, order: int) -> list[float]:
    """`context_model_bits` of contexts of 0, 1, .. `order` bytes, all on the same test positions."""
    if not 0 <= order <= MAX_ORDER:
        raise ValueError(f"order {order}; valid: 0 to {MAX_ORDER}")
    probability, bits = np.full(len(test) - order, 1 / 256), []
    for k in range(order + 1):
        strings, count = np.unique(_ending_at(train, k + 1, k), return_counts=True)
        contexts, first, types = np.unique(strings >> 8, return_index=True, return_counts=True)
        asked = _ending_at(test, k + 1, order)
        follows, seen, kinds = (
            _look_up(*table)
            for table in ((strings, count, asked), (contexts, np.add.reduceat(count, first), asked >> 8), (contexts, types, asked >> 8))
        )
        probability = np.where(seen > 0, (follows + kinds * probability) / np.maximum(seen + kinds, 1), probability)
        bits.append(float(-np.log2(probability).mean()))
    return bits


def _ending_at(codes: np.ndarray, length: int, first: int) -> np.ndarray:
    """The `length` bytes that end at each position from `first` on, as one integer each, [n - first]."""
    packed = np.zeros(len(codes) - first, dtype=np.int64)
    for back in reversed(range(length)):
        packed = (packed << 8) | codes[first - back : len(codes) - back]
    return packed


def _look_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Value of each asked key, 0 for one that is not among the sorted keys."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0)
