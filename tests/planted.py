"""Made-up tables with the published columns, for the tests of figures, report and terminal."""

import numpy as np
import pandas as pd

from wdbench.config import claims as claim_config

HOSTILE = "<script>alert(1)</script>"
REAL = ("diabetes", "hitters", "college", "khan", "digits", "caravan", "reuters_r8")
TASKS = {
    "diabetes": "linear",
    "hitters": "linear",
    "college": "linear",
    "khan": "softmax",
    "digits": "softmax",
}


def claim_list() -> tuple[claim_config.Claim, ...]:
    """One claim of each kind, one not tested, one with a hostile sentence."""
    exact = 'optimiser == "exact"'
    over = {"select": {"over": ["lambda_rel"]}}
    both = {
        "treatment": {"where": 'penalty == "l2"', "label": "L2", **over},
        "control": {"where": 'penalty == "none"', "label": "no penalty"},
    }
    common = {"source": "slide 5", "study": "base", "where": exact}
    precise = {"source": "literature", "study": "base", "where": 'optimiser != "exact" and penalty == "l2"'}
    entries = [
        {
            "id": "I5",
            "sentence": "w ← (1−ηλ)w − (η/|B|)Σ x(w·x+b−y)",
            "source": "slide 7",
            "family": "identities",
            "kind": "identity",
            "identity": "I5",
        },
        {
            "id": "A2",
            "sentence": "use a regularization technique: lasso, ridge",
            "family": "A",
            "kind": "superiority",
            "arms": both,
            "metric": "test_loss",
            "effect": "relative",
            "direction": "lower",
            "margin": 0.03,
            "experiment": "ridge against no penalty",
            "expect": "supported on noisy sets",
            "trap": "λ chosen on the test rows",
            "naive": {
                "trap": "λ chosen on the test rows",
                "arms": {
                    "treatment": {
                        "where": 'penalty == "l2"',
                        "select": {"over": ["lambda_rel"], "by": "test_loss"},
                    }
                },
            },
            **common,
        },
        {
            "id": "C6b",
            "sentence": "(or use much smaller λ)",
            "family": "C",
            "kind": "equivalence",
            "arms": both,
            "metric": "test_loss",
            "effect": "relative",
            "margin": 0.05,
            **common,
        },
        {
            "id": "C2",
            "sentence": f"Limited training data {HOSTILE}",
            "family": "C",
            "kind": "slope",
            "arms": {"treatment": {"where": 'penalty == "l2"', "label": "ridge"}},
            "metric": "weight_norm",
            "x": "lambda_rel",
            "x_transform": "log10",
            "direction": "lower",
            "margin": 0.1,
            **common,
        },
        {
            "id": "C3u",
            "sentence": "Prevents overconfident predictions",
            "family": "C",
            "kind": "ushape",
            "arms": {"treatment": {"where": 'penalty == "l2"', "label": "ridge"}},
            "metric": "test_loss",
            "x": "lambda_rel",
            "x_transform": "log10",
            "direction": "lower",
            "margin": 0.01,
            **common,
        },
        {
            "id": "L17",
            "sentence": "decay is lost in bf16 weights",
            "family": "L",
            "kind": "interaction",
            "conditions": {"claimed": 'precision == "bf16_weights"', "other": 'precision == "fp32"'},
            "arms": {
                "treatment": {"where": 'coupling == "decoupled"', "label": "decoupled", **over},
                "control": {"where": 'coupling == "coupled"', "label": "coupled", **over},
            },
            "metric": "test_loss",
            "effect": "log_ratio",
            "direction": "higher",
            "margin": 0.03,
            **precise,
        },
        {
            "id": "L17f",
            "sentence": "fidelity below one half",
            "family": "L",
            "kind": "superiority",
            "arms": {"treatment": {"where": 'precision == "bf16_weights"', **over}},
            "threshold": 0.5,
            "metric": "fidelity",
            "direction": "lower",
            "margin": 0.1,
            "figure": "fidelity",
            **precise,
        },
        {
            "id": "E1c",
            "sentence": "Ensuring stability of low-precision training",
            "family": "E",
            "kind": "event",
            "arms": {
                "treatment": {"where": 'coupling == "decoupled"', "label": "decoupled"},
                "control": {"where": 'coupling == "coupled"', "label": "coupled"},
            },
            "event": 'status == "diverged"',
            "direction": "lower",
            "margin": 0.3,
            **precise,
        },
        {
            "id": "C8",
            "sentence": "Use ℓ2 by default with learning rate schedules",
            "family": "C",
            "kind": "superiority",
            "source": "slide 9",
            "not_tested": "needs networks, which this run does not train",
        },
    ]
    return claim_config.from_mapping({"claims": entries}, "claims.yaml")


def runs(datasets=REAL, replicates=6, seed=0, grid=9) -> pd.DataFrame:
    """Exact and trained cells of every data set, some of them diverged (their losses NaN)."""
    rng = np.random.default_rng(seed)
    lambdas = np.geomspace(1e-4, 10, grid)
    exact = [("exact", "none", None, "fp64", "none", 0.0)]
    exact += [("exact", "l2", None, "fp64", "none", lam) for lam in lambdas]
    trained = [
        (optimiser, "l2", coupling, precision, rounding, lam)
        for optimiser in ("sgd", "adam")
        for coupling in ("coupled", "decoupled")
        for precision, rounding in (("fp32", "none"), ("bf16_weights", "nearest_split"))
        for lam in lambdas
    ]
    frame = pd.DataFrame(
        [(d, r, *arm) for d in datasets for r in range(replicates) for arm in exact + trained],
        columns=[
            "dataset",
            "replicate",
            "optimiser",
            "penalty",
            "coupling",
            "precision",
            "rounding",
            "lambda_rel",
        ],
    )
    n = len(frame)
    base = frame["dataset"].str.partition(":")[0]
    place = frame["dataset"].map({name: i for i, name in enumerate(datasets)}).to_numpy()
    lam = frame["lambda_rel"].to_numpy()
    at = np.log10(np.maximum(lam, 1e-5))
    loss = (1 + place) * (
        0.4 + 0.03 * (at + 1.5) ** 2 + 0.01 * frame["replicate"] + 0.01 * rng.standard_normal(n)
    )
    lost_decay = (
        frame["precision"].eq("bf16_weights") & frame["coupling"].eq("decoupled") & (lam * 0.01 < 2**-9)
    )
    diverged = frame["optimiser"].eq("sgd") & (lam > 5) & (rng.random(n) < 0.5)
    frame = frame.assign(
        cell_id=[f"{i:016x}" for i in range(n)],
        study="base",
        dataset_base=base,
        model=base.map(TASKS).fillna("logistic"),
        l1_ratio=0.0,
        lr=np.where(frame["optimiser"].eq("exact"), np.nan, 0.01),
        lr_rel=1.0,
        steps=300.0,
        batch_size=32.0,
        decay_mask="weights",
        status=np.where(diverged, "diverged", "ok"),
        **{"lambda": lam * (1 + place / 3)},
        test_loss=loss,
        val_loss=loss + 0.01 * rng.standard_normal(n),
        train_loss=loss - 0.1,
        test_error=0.1 + 0.01 * at**2,
        weight_norm=3 - 0.3 * at + 0.1 * rng.standard_normal(n),
        fidelity=np.where(lost_decay, 0.0, 1.0) + 0.01 * rng.standard_normal(n),
        updates_lost=np.where(lost_decay, 0.7, 0.0),
        oracle_gap=10.0 ** rng.uniform(-9, -2, n),
        n_train=100.0 * (1 + place),
    )
    outcome = [
        "test_loss",
        "val_loss",
        "train_loss",
        "test_error",
        "weight_norm",
        "fidelity",
        "oracle_gap",
        "updates_lost",
    ]
    frame.loc[diverged, outcome] = np.nan
    return frame.drop(columns=["optimiser"]).assign(optimiser=frame["optimiser"])


def verdicts(claims, datasets=REAL, seed=1) -> pd.DataFrame:
    """Rows with every verdict word, with and without numbers."""
    rng = np.random.default_rng(seed)
    words = ("supported", "refuted", "inconclusive", "equivalent")
    rows = []
    for claim in claims:
        common = {
            "claim_id": claim.id,
            "sentence": claim.sentence,
            "source": claim.source,
            "family": claim.family,
            "kind": claim.kind,
            "registered": claim.digest(),
            "post_hoc": claim.id == "C6b",
        }
        nothing = {
            "estimate": np.nan,
            "ci_low": np.nan,
            "ci_high": np.nan,
            "margin": np.nan,
            "p_value": np.nan,
            "p_holm": np.nan,
            "n": np.nan,
            "mde": np.nan,
        }
        if claim.not_tested or claim.kind == "identity":
            verdict = "not_tested" if claim.not_tested else "holds"
            rows.append(
                {
                    **common,
                    **nothing,
                    "dataset": "all",
                    "verdict": verdict,
                    "reason": claim.not_tested or "ok",
                }
            )
            continue
        for place, name in enumerate([*datasets, "all"]):
            estimate = rng.normal(0.05, 0.05) * (20 if place == 2 else 1)
            half = abs(rng.normal(0.03, 0.02)) + 0.005
            verdict = "conditional" if name == "all" and claim.id == "A2" else words[place % 4]
            rows.append(
                {
                    **common,
                    "dataset": name,
                    "estimate": estimate,
                    "ci_low": estimate - half,
                    "ci_high": np.inf if place == 1 else estimate + half,
                    "margin": 0.03,
                    "p_value": 0.01,
                    "p_holm": 0.04,
                    "n": 6 if name != "all" else 6 * len(datasets),
                    "mde": 0.08,
                    "verdict": verdict,
                    "reason": f"interval against margin on {name}",
                    "equation": "mean of t - c",
                    "method": "t",
                    "naive_estimate": estimate + 0.02,
                    "naive_verdict": "supported",
                    "estimate_secondary": estimate,
                    "verdict_secondary": verdict,
                    "n_imputed": place,
                }
            )
    return pd.DataFrame(rows)


def effects(claims, datasets=REAL, replicates=6, seed=2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for claim in claims:
        if claim.not_tested or claim.kind == "identity":
            continue
        for name in datasets:
            for block in range(replicates):
                pair = rng.random(2) < 0.4 if claim.kind == "event" else rng.uniform(0.4, 0.6, 2)
                effect = float(pair[1]) - float(pair[0])
                rows.append((claim.id, name, f"{name}/{block}", effect, float(pair[0]), float(pair[1])))
    return pd.DataFrame(rows, columns=["claim_id", "dataset", "block", "effect", "treatment", "control"])


def selected(claims, table: pd.DataFrame) -> pd.DataFrame:
    """The L2 cell of lowest validation loss in each block, for the claims on exact cells."""
    exact = table[(table["optimiser"] == "exact") & (table["penalty"] == "l2")]
    best = exact.sort_values("val_loss").drop_duplicates(["dataset", "replicate"])
    columns = {
        "lambda": best["lambda"],
        "lr": best["lr"],
        "val_loss": best["val_loss"],
        "metric": best["test_loss"],
    }
    parts = [
        pd.DataFrame(
            {
                "claim_id": claim.id,
                "dataset": best["dataset"],
                "replicate": best["replicate"],
                "arm": "treatment",
                "cell_id": best["cell_id"],
                "lambda_rel": best["lambda_rel"],
                **columns,
            }
        )
        for claim in claims
        if claim.kind in ("superiority", "equivalence") and not claim.not_tested
    ]
    return pd.concat(parts, ignore_index=True)


def identities() -> pd.DataFrame:
    rows = [
        ("I5", "one step, fp64", "momentum 0", "statement", 1000, 2.2e-16, "<=", 1e-15, "relative", True, ""),
        ("I5", "one step, fp64", "batch 37", "statement", 1000, 4.4e-16, "<=", 1e-15, "relative", True, ""),
        ("I5", "residual 0 leaves the decay alone", "", "statement", 10, 0.0, "<=", 0.0, "bits", True, ""),
        (
            "I5",
            "300 steps in fp32",
            "",
            "statement",
            10,
            4e-5,
            "<=",
            1e-5,
            "relative",
            False,
            "a planted failure",
        ),
        (
            "I5",
            "penalty inside the per-example sum",
            "",
            "counter",
            10,
            0.8,
            ">=",
            1e-2,
            "relative",
            True,
            "",
        ),
        ("I5", "could not be tried", "", "statement", 0, np.nan, "<=", 1e-2, "relative", pd.NA, "no data"),
    ]
    columns = [
        "identity",
        "check",
        "case",
        "kind",
        "inputs",
        "max_error",
        "relation",
        "tolerance",
        "unit",
        "holds",
        "note",
    ]
    return pd.DataFrame(rows, columns=columns).astype({"holds": "boolean"})


def datasets_table() -> pd.DataFrame:
    rows = [
        (
            "hitters",
            "regression",
            "wheel",
            "263 x 19",
            "random",
            "GPL-2 (R package ISLR)",
            "https://cran.r-project.org/package=ISLR",
            "James et al. (2013)",
            "ab" * 32,
            "available",
            "",
        ),
        (
            HOSTILE,
            "binary",
            "wheel",
            "10 x 2",
            "random",
            "none",
            "javascript:alert(1)",
            "nobody",
            "",
            "unavailable",
            "python -m wdbench data fetch x",
        ),
    ]
    columns = [
        "dataset",
        "task",
        "provider",
        "shape",
        "split",
        "licence",
        "licence_url",
        "citation",
        "data_sha256",
        "status",
        "how_to_get",
    ]
    return pd.DataFrame(rows, columns=columns)


def data_checks() -> pd.DataFrame:
    columns = ["dataset", "figure", "expected", "found", "kind", "verdict"]
    return pd.DataFrame(
        [("hitters", "ridge norm at λ = 11498", "[6.36]", "[6.3604]", "published", "ok")], columns=columns
    )


def dictionary() -> pd.DataFrame:
    rows = [
        ("runs", "test_loss", "float64", "nats", "data loss on the test rows", "the cell diverged"),
        (
            "verdicts",
            "estimate",
            "float64",
            "effect",
            "turned so that positive supports the claim",
            "not tested",
        ),
    ]
    return pd.DataFrame(rows, columns=["table", "column", "dtype", "unit", "meaning", "na"])


def manifest() -> dict:
    return {
        "commit": "0123456789abcdef",
        "commit_date": "2026-11-22T10:00:00Z",
        "dirty": False,
        "profile": "core",
        "platform": {"torch": "2.13.0+cpu", "python": "3.11"},
        "cells": 4128,
        "train_seconds": 321.0,
        "status": {"ok": 4000, "diverged": 128},
        "tables": {"runs.parquet": {"sha256": "ab" * 32, "bytes": 1}},
    }


def tables(datasets=REAL, replicates=6, grid=9) -> dict[str, pd.DataFrame]:
    """Everything that figures and report read, planted."""
    claims, cells = claim_list(), runs(datasets, replicates, grid=grid)
    return {
        "controls": pd.DataFrame(),
        "runs": cells,
        "verdicts": verdicts(claims, datasets),
        "effects": effects(claims, datasets, replicates),
        "selected": selected(claims, cells),
        "identities": identities(),
        "datasets": datasets_table(),
        "data_checks": data_checks(),
        "dictionary": dictionary(),
    }
