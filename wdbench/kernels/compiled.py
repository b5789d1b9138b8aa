"""Numba's compiler as it is used here: IEEE arithmetic, results kept on disk where there is a place for them."""

from collections.abc import Callable
from typing import Any

import numba

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": False, "boundscheck": False}


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled at its first call for each combination of types.

    The machine code is kept beside the module, or in the user's cache folder (NUMBA_CACHE_DIR); where neither can be written to it
    is made again by every process.
    """
    try:
        return numba.njit(function, cache=True, **OPTIONS)
    except RuntimeError:  # no place to keep it
        return numba.njit(function, **OPTIONS)
