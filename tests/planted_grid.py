"""A small made-up runs.parquet with whole grids of learning rate and lambda, for the tests of the interactive views."""

import itertools

import numpy as np
import pandas as pd

from wdbench.claims import selection
from wdbench.config import claims as claim_config

LAMBDAS, RATES, REPLICATES = (0.001, 0.01, 0.1, 1.0), (0.01, 0.1, 1.0), (3, 4, 5, 6)
SCORES = ("train_loss", "val_loss", "test_loss", "test_error", "weight_norm", "zero_fraction", "ece", "brier", "nll", "confidence_gap")
CLAIMS = claim_config.from_mapping({"claims": [
    {"id": "E1", "sentence": "decoupled decay is better", "source": "slide 1", "family": "E", "kind": "superiority", "study": "tuned",
     "where": 'model == "mlp"', "by": "dataset",
     "arms": {"treatment": {"where": 'penalty == "l2" and coupling == "decoupled"', "select": {"over": ["lambda", "lr"]}},
              "control": {"where": 'penalty == "l2" and coupling == "coupled"', "select": {"over": ["lambda", "lr"]}}},
     "metric": "test_loss", "effect": "difference", "direction": "lower", "margin": 0.01},
    {"id": "E2", "sentence": "ridge at one learning rate", "source": "slide 2", "family": "E", "kind": "superiority", "study": "tuned",
     "where": 'model == "mlp" and lr == 0.1', "by": "dataset",
     "arms": {"treatment": {"where": 'penalty == "l2" and coupling == "decoupled"', "select": {"over": ["lambda"]}},
              "control": {"where": 'penalty == "none"'}},
     "metric": "test_loss", "effect": "difference", "direction": "lower", "margin": 0.01},
]}, "planted")


def runs(seed: int = 5) -> pd.DataFrame:
    """Two data sets of networks (coupled and decoupled, with and without penalty) and one of exact lasso cells; the largest learning rate
    diverges in all replicates at the largest lambda, in half of them at the next and in one at the one below.
    """
    rng = np.random.default_rng(seed)
    arms = [("none", "coupled", 0.0, lr) for lr in RATES]
    arms += [("l2", coupling, lam, lr) for coupling, lam, lr in itertools.product(("coupled", "decoupled"), LAMBDAS, RATES)]
    rows = [{"dataset": name, "model": "mlp", "optimiser": "adam", "penalty": penalty, "coupling": coupling, "lambda": lam, "lr": lr,
             "replicate": replicate, "precision": "fp32", "schedule": "cosine", "steps": 500.0, "batch_size": 64.0, "study": "tuned",
             "n_classes": 10.0}
            for name in ("digits:n=300", "khan") for replicate in REPLICATES for penalty, coupling, lam, lr in arms]
    # the lasso cells of two studies: the first three lambdas are both studies', the last is of one alone, with other replicates too
    rows += [{"dataset": "hitters", "model": "linear", "optimiser": "exact", "penalty": "none" if lam == 0 else "l1", "lambda": lam,
              "replicate": replicate, "precision": "fp64", "study": "wide" if replicate > 4 or lam == 1 else "narrow+wide"}
             for lam in (0.0, *LAMBDAS) for replicate in REPLICATES]
    frame = pd.DataFrame(rows).assign(rounding="none", decay_mask="weights", decay_phase="all", sphere="none", ema=0.0, beta1=0.9,
                                      beta2=0.999, init_scale=1.0, clip=np.nan, lambda_rel=np.nan, lambda_clock=np.nan)
    frame = frame.assign(cell_id=[f"{i:016x}" for i in range(len(frame))], l1_ratio=np.where(frame["penalty"] == "l1", 1.0, 0.0),
                         dataset_base=frame["dataset"].str.partition(":")[0])
    frame = frame.assign(**{name: np.round(rng.uniform(0.1, 2.0, len(frame)), 6) for name in SCORES})
    place = frame["lambda"].map({lam: i for i, lam in enumerate(LAMBDAS)}).fillna(-1)
    unlucky = (place == 3) | ((place == 2) & frame["replicate"].isin((3, 4))) | ((place == 1) & (frame["replicate"] == 3))
    diverged = (frame["lr"] == 1.0) & unlucky
    frame.loc[diverged, list(SCORES)] = np.nan
    return frame.assign(status=np.where(diverged, "diverged", "ok"))


def selected(table: pd.DataFrame) -> pd.DataFrame:
    """What the claims' own selection chooses, with the claim's id: selected.csv."""
    return pd.concat([selection.select(claim, table).assign(claim_id=claim.id) for claim in CLAIMS], ignore_index=True)


def supports(table: pd.DataFrame) -> pd.DataFrame:
    """Features kept by each lasso cell: of feature j those of lambda below 10^-j."""
    exact = table[table["optimiser"] == "exact"]
    kept = [(cell, feature) for cell, lam in zip(exact["cell_id"], exact["lambda"], strict=True) for feature in range(4)
            if lam < 10.0**-feature]
    return pd.DataFrame(kept, columns=["cell_id", "feature"])


def solutions(table: pd.DataFrame) -> pd.DataFrame:
    """Exact minimisers of the lasso cells, two coefficients each: replicate / (1 + lambda) and minus lambda."""
    exact = table[table["optimiser"] == "exact"]
    weights = [[replicate / (1 + lam), -lam] for replicate, lam in zip(exact["replicate"], exact["lambda"], strict=True)]
    return exact[["dataset", "replicate", "model", "penalty", "l1_ratio", "lambda", "decay_mask"]].assign(
        n_features=2, n_outputs=1, weights=weights)


def tables() -> dict[str, pd.DataFrame]:
    """runs, selected, supports and solutions."""
    table = runs()
    return {"runs": table, "selected": selected(table), "supports": supports(table), "solutions": solutions(table)}
