"""Exact statements about weight decay, each held against the production code.

`run_all` runs the checks (seconds, one thread, fixed inputs), `verdicts` reduces their rows to one verdict an identity.
"""

from collections.abc import Iterable

import pandas as pd
import torch

from wdbench.identities import (  # noqa: F401  (importing a file registers its checks)
    attention,
    averages,
    bias_scale_noise,
    classes,
    conventions,
    coupling,
    decay,
    invariance,
    lambda_zero,
    logistic,
    norms,
    penalty,
    rotation,
    rounding,
    scale_free,
    sparsity,
    update_equation,
    variants,
)
from wdbench.identities.registry import CHECKS, COLUMNS, KINDS, Check, Result, check, counter, table, verdicts

__all__ = ["CHECKS", "COLUMNS", "KINDS", "Check", "Result", "check", "counter", "run_all", "verdicts"]


def run_all(only: Iterable[str] | None = None) -> pd.DataFrame:
    """Table of all rows of the identities `only` (such as ["I5", "I15"]; all where None).

    Columns: identity, check, case, kind (statement | counter), inputs, max_error, relation (<= | >=), tolerance,
    unit, holds (boolean; NA where it could not be tried), note. Deterministic; torch runs on one thread meanwhile.
    Raises ValueError for an unknown identity.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return table(only)
    finally:
        torch.set_num_threads(threads)
