"""Benchopt's view of `benchmarks.exact`: one penalised problem for a path of lambdas, its objective averaged over the path.

    pip install .[bench]; PYTHONPATH=. benchopt run benchmarks/benchopt
"""

import numpy as np
from benchopt import BaseObjective

from benchmarks import exact
from wdbench.oracle import problem


class Objective(BaseObjective):
    name = "Penalised linear models, a path of lambdas"
    min_benchopt_version = "1.8"
    sampling_strategy = "run_once"

    def set_data(self, kind):
        self.kind = kind
        self.found = exact.block(exact.KINDS[kind][0], exact.KINDS[kind][3])
        self.built = problem.build(self.found.X["train"], self.found.y["train"], exact.KINDS[kind][0], self.found.n_outputs)
        self.lambdas = np.geomspace(1.0, 1e-3, exact.LAMBDAS)

    def get_objective(self):
        return {"kind": self.kind, "found": self.found, "lambdas": self.lambdas}

    def evaluate_result(self, path):
        """path: (weight [d, k], bias [k]) of every lambda."""
        values = [exact.objective(self.built, self.kind, solution, lam) for solution, lam in zip(path, self.lambdas, strict=True)]
        return {"value": float(np.mean(values)), "largest": float(np.max(values))}

    def get_one_result(self):
        shape = self.found.X["train"].shape[1], self.found.n_outputs
        return {"path": [(np.zeros(shape), np.zeros(shape[1]))] * len(self.lambdas)}
