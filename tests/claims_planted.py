"""Planted worlds: tables of runs in which the truth about a claim is known."""

import numpy as np
import pandas as pd

from wdbench.config.claims import Claim

DATASETS = ("alpha", "beta", "gamma")
LAMBDAS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)


def world(effect=-0.1, noise=0.02, datasets=DATASETS, replicates=10, best=1.0, seed=0, lambdas=LAMBDAS) -> pd.DataFrame:
    """Rows of one study: per block a run without penalty and one per λ with l2.

    `effect`: number, or {data set: number}: how much lower (negative) than the unpenalised test loss (1 + noise) that
    of the best λ is, relatively. `best`: λ that has the lowest validation loss; away from it both losses rise by 0.2
    per decade.
    """
    rng = np.random.default_rng(seed)
    effects = effect if isinstance(effect, dict) else dict.fromkeys(datasets, effect)
    rows = []
    for dataset in datasets:
        for replicate in range(replicates):
            level = 1.0 + 0.3 * rng.random()
            relative = effects[dataset] + noise * rng.standard_normal()
            base = {
                "study": "base+other", "dataset": dataset, "dataset_base": dataset.partition(":")[0],
                "replicate": replicate, "optimiser": "exact", "precision": "fp64", "status": "ok", "n_classes": np.nan,
            }  # fmt: skip
            none = {
                "penalty": "none",
                "lambda": 0.0,
                "lambda_rel": 0.0,
                "val_loss": level,
                "test_loss": level,
                "fidelity": np.nan,
            }
            rows.append(base | none)
            for lam in lambdas:
                decades = abs(np.log10(max(lam, 1e-3) / best))
                rows.append(
                    base
                    | {
                        "penalty": "l2",
                        "lambda": lam * 0.5,
                        "lambda_rel": lam,
                        "val_loss": level * (0.8 + 0.2 * decades),
                        "test_loss": level * (1 + relative + 0.2 * decades),
                        "fidelity": 1.0 if lam else np.nan,
                    }
                )
    table = pd.DataFrame(rows)
    table["weight_norm"] = 5.0 - np.log10(table["lambda_rel"] + 1e-3)
    table.insert(0, "cell_id", [f"c{position:05d}" for position in range(len(table))])
    return table


def plan(runs: pd.DataFrame) -> pd.DataFrame:
    """The plan that these runs fulfil: no outcome columns."""
    axes = [
        "cell_id",
        "study",
        "dataset",
        "dataset_base",
        "replicate",
        "penalty",
        "lambda_rel",
        "optimiser",
        "precision",
    ]
    return runs[axes].copy()


def claim(**changes) -> Claim:
    """L2 lowers the test loss by at least 3 %."""
    fields = {
        "id": "T1",
        "sentence": "ridge helps",
        "source": "planted",
        "family": "T",
        "kind": "superiority",
        "study": "base",
        "arms": {
            "treatment": {"where": 'penalty == "l2"', "select": {"over": ["lambda_rel"]}},
            "control": {"where": 'penalty == "none"'},
        },
        "metric": "test_loss",
        "effect": "relative",
        "direction": "lower",
        "margin": 0.03,
    }
    merged = fields | changes
    return Claim.model_validate({key: value for key, value in merged.items() if value is not None})
