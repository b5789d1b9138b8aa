"""Column transforms that are fitted on the train rows."""

from typing import Any

import numpy as np


def fit_apply(X: dict[str, Any], scale: str, on_all: bool = False) -> dict[str, Any]:
    """Scale the columns of X[split] [n_split, d]; zscore: (x - mean) / sd with ddof=0, minmax: onto [0, 1].

    Fitted on X["train"], or on all splits where on_all, which leaks the test rows. A column that is constant
    on the rows fitted is only centred. Any other scale leaves X as it is.
    """
    if scale not in ("zscore", "minmax"):
        return X
    fitted = np.vstack([X[part] for part in X]) if on_all else X["train"]
    if scale == "zscore":
        centre, spread = fitted.mean(axis=0), fitted.std(axis=0)
    else:
        centre, spread = fitted.min(axis=0), np.ptp(fitted, axis=0)
    # the sd of a constant column may come out as a rounding error rather than 0
    spread = np.where(np.ptp(fitted, axis=0) > 0, spread, 1.0)
    return {part: (X[part] - centre) / spread for part in X}
