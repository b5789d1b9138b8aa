"""Exact minimisers of a path of lambdas: wdbench's oracle and scikit-learn's solvers, side by side, at the objective that each reaches.

    python -m benchmarks.exact [--repeats 5] [--out benchmarks/results]

scikit-learn runs as its path functions do (coordinate descent from one lambda to the next) or, where it has none, warm from one lambda
to the next, at the tolerance that brings its objective within 1e-6 of the oracle's. The oracle's 1e-9 is certified by a duality gap,
which costs it time that scikit-learn does not spend. Writes exact.csv.
"""

import argparse
import os
import time
from pathlib import Path
from types import SimpleNamespace

from wdbench import provenance

provenance.one_thread()

import numpy as np  # noqa: E402  (numpy reads the number of threads when it is loaded)
import pandas as pd  # noqa: E402
from rich.progress import track  # noqa: E402
from sklearn import linear_model  # noqa: E402

from wdbench import oracle  # noqa: E402
from wdbench.oracle import losses, problem  # noqa: E402
from wdbench.penalties import split  # noqa: E402

ROWS, LAMBDAS, CLOSE = 400, 50, 1e-6
KINDS = {"ridge": ("linear", "l2", 0.0, 100), "lasso": ("linear", "l1", 1.0, 200), "elastic net": ("linear", "elastic", 0.5, 200),
         "logistic, L2": ("logistic", "l2", 0.0, 100), "softmax, L2": ("softmax", "l2", 0.0, 64)}


def block(model: str, features: int):
    """Correlated Gaussian rows and targets that ten of the features explain."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, features)) + rng.standard_normal((ROWS, 1))
    x = (x - x.mean(0)) / x.std(0)
    signal = x[:, :10].sum(1) + rng.standard_normal(ROWS)
    y = {"linear": signal, "logistic": (signal > 0).astype(float), "softmax": np.digitize(signal, np.quantile(signal, [0.3, 0.7]))}[model]
    task = losses.TASKS[model]
    return SimpleNamespace(task=task, n_outputs=3 if model == "softmax" else 1, X={"train": x}, y={"train": y.astype(float)})


def objective(built, kind: str, solution, lam: float) -> float:
    """The penalised loss at (weight [d, k], bias [k]), as the oracle defines it."""
    _, penalty, ratio, features = KINDS[kind]
    theta = np.concatenate([solution[0].T, solution[1][:, None]], 1)
    loss, _, _ = built.loss.slope(built.scores(theta), built.target)
    return problem.objective(loss, theta, *problem.masked(features, *split(penalty, ratio, lam), "weights"))


def peer(kind: str, found, lambdas: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """scikit-learn's (weight [d, k], bias [k]) along the path; its alpha and C are these lambdas in its own convention."""
    x, y = found.X["train"], found.y["train"]
    if kind == "ridge":
        models = [linear_model.Ridge(alpha=lam * ROWS).fit(x, y) for lam in lambdas]
        return [(m.coef_[:, None], np.atleast_1d(m.intercept_)) for m in models]
    if kind in ("lasso", "elastic net"):
        offset, centred = y.mean(), np.asfortranarray(x - x.mean(0))
        _, coefs, _ = linear_model.enet_path(centred, y - offset, l1_ratio=KINDS[kind][2], alphas=lambdas, tol=1e-7, max_iter=100_000)
        return [(w[:, None], np.atleast_1d(offset - x.mean(0) @ w)) for w in coefs.T]
    model = linear_model.LogisticRegression(warm_start=True, tol=1e-7, max_iter=10_000)
    solutions = []
    for lam in lambdas:
        model.set_params(C=1 / (lam * ROWS)).fit(x, y)
        solutions.append((model.coef_.T.copy(), model.intercept_.copy()))
    return solutions


def time_kind(kind: str, repeats: int) -> list[dict]:
    """A row a repeat: seconds of either way for the whole path."""
    model, penalty, ratio, features = KINDS[kind]
    found = block(model, features)
    built = problem.build(found.X["train"], found.y["train"], model, found.n_outputs)
    lambdas = np.geomspace(1.0, 1e-3, LAMBDAS)
    ways = {"wdbench": lambda: [(s.W, s.b) for s in oracle.solve(found, model, penalty, ratio, lambdas)],
            "scikit-learn": lambda: peer(kind, found, lambdas)}
    rows = []
    for repeat in range(repeats):
        taken, values = {}, {}
        for name in list(ways)[:: 1 if repeat % 2 else -1]:
            started = time.perf_counter()
            solutions = ways[name]()
            taken[name] = time.perf_counter() - started
            values[name] = np.array([objective(built, kind, s, lam) for s, lam in zip(solutions, lambdas, strict=True)])
        worse = (values["scikit-learn"] - values["wdbench"]) / values["wdbench"]
        assert abs(worse).max() < CLOSE, f"{kind}: the two objectives differ by a share of {abs(worse).max():.1e}"
        rows.append({"problem": kind, "repeat": repeat, "lambdas": LAMBDAS, "wdbench_seconds": taken["wdbench"],
                     "sklearn_seconds": taken["scikit-learn"], "ratio": taken["scikit-learn"] / taken["wdbench"],
                     "objective_above_ours": worse.max()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    table = pd.DataFrame([row for kind in track(KINDS, description="paths timed") for row in time_kind(kind, chosen.repeats)])
    found = table.groupby("problem", sort=False).agg(
        lambdas=("lambdas", "first"), wdbench_seconds=("wdbench_seconds", "median"), sklearn_seconds=("sklearn_seconds", "median"),
        ratio=("ratio", "median"), lowest=("ratio", "min"), highest=("ratio", "max"),
        objective_above_ours=("objective_above_ours", "max")).reset_index()
    chosen.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(chosen.out / "exact.csv", index=False, float_format="%.4g")
    print(found.to_string(index=False, float_format=lambda v: f"{v:.3g}"))


if __name__ == "__main__":
    main()
