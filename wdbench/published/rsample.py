"""R's random permutations, so that a split that a book made by `set.seed(1); sample(n, k)` is made again here.

Mersenne Twister as in R's src/main/RNG.c (seeding: 50 rounds of the congruential generator 69069 s + 1, then 625 more for the state), and
`sample` without replacement as in R_unif_index: by rejection from R 3.6.0 on, by rounding before.
"""

import math

import numpy as np

_TO_UNIT = 2.3283064365386963e-10


class Stream:
    """The stream after `set.seed(seed)`. rejection: sample.kind "Rejection" (R >= 3.6.0), else "Rounding"."""

    def __init__(self, seed: int, rejection: bool = True) -> None:
        state = []
        for position in range(50 + 625):
            seed = (69069 * seed + 1) % 2**32
            if position >= 50:
                state.append(seed)
        self._rejection = rejection
        self._generator = np.random.MT19937()
        # the first of the 625 words is the position, which R sets to the end of the block
        self._generator.state = {"bit_generator": "MT19937", "state": {"key": np.array(state[1:], np.uint32), "pos": 624}}

    def uniform(self) -> float:
        """runif(1)."""
        return int(self._generator.random_raw()) * _TO_UNIT

    def _below(self, n: int) -> int:
        if not self._rejection:
            return int(n * self.uniform())
        bits = math.ceil(math.log2(n))
        while True:
            value = 0
            for _ in range(0, bits + 1, 16):
                value = 65536 * value + int(self.uniform() * 65536)
            value &= 2**bits - 1
            if value < n:
                return value

    def sample(self, n: int, size: int) -> np.ndarray:
        """sample(n, size) less 1: `size` different numbers from 0 ... n - 1. Raises ValueError where size exceeds n."""
        if size > n:
            raise ValueError(f"cannot take {size} of {n} without replacement")
        left, taken = list(range(n)), []
        for _ in range(size):
            chosen = self._below(n)
            taken.append(left[chosen])
            n -= 1
            left[chosen] = left[n]
        return np.array(taken, dtype=np.int64)
