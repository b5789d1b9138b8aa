"""torch.compile: the step of the whole stack as one function, gradient by autograd, compiled by Inductor. Compiling is not timed.

Written for the affine models and the perceptron without norms; `train` returns None for the others, and where there is no C++ compiler.
SGD and AdamW with decoupled decay. Nothing is measured.
"""

import shutil
import time
from functools import cache

import numpy as np
import torch

from benchmarks.cases import Case

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def train(case: Case):
    if case.model not in ("linear", "softmax", "mlp") or shutil.which("g++") is None:
        return None
    step, make, names, data = _compiled(case)
    started = time.perf_counter()
    state = make()
    for t, batch in enumerate(data()):
        state = step(*state, *batch, torch.tensor(t + 1.0))
    seconds = time.perf_counter() - started
    weights = {n: value.numpy() for n, value in zip(names, state[0], strict=True)}
    found = {i: np.concatenate([weights[n][run.replicate, i // case.replicates].ravel() for n in names if case.decayed(n)])
             for i, run in enumerate(case.runs)}
    return seconds, case.cells, found


@cache
def _compiled(case: Case):
    compute = torch.bfloat16 if case.precision == "bf16_compute" else torch.float32
    starts = [case.start(r) for r in range(case.replicates)]
    names = list(starts[0])
    layers = sorted({n.rpartition(".")[0] for n in names if n.startswith("hidden")}) + ["head" if "head.weight" in names else "out"]
    lam = torch.tensor([[case.runs[a * case.replicates + r].lambda2 for a in range(case.arms)] for r in range(case.replicates)])
    x = torch.stack([torch.as_tensor(case.data[r].x) for r in range(case.replicates)]).to(compute)
    y = torch.stack([torch.as_tensor(case.data[r].y) for r in range(case.replicates)]).float()
    order = torch.as_tensor(np.stack([case.order(r) for r in range(case.replicates)]))
    each = torch.arange(case.replicates)[:, None]

    def make():
        params = [torch.stack([torch.as_tensor(s[n])[None].expand(case.arms, *s[n].shape) for s in starts]).contiguous() for n in names]
        return params, [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]

    def data():
        for t in range(case.steps):
            rows = order[:, t].long()
            yield x[each, rows], y[each, rows]

    def loss(params, rows, targets):
        p = {n: v.to(compute) for n, v in zip(names, params, strict=True)}
        z = rows[:, None]
        for layer in layers:
            z = z @ p[f"{layer}.weight"].transpose(-1, -2) + p[f"{layer}.bias"][:, :, None]
            if layer.startswith("hidden"):
                z = torch.relu(z)
        z, wanted = z.float(), targets[:, None].expand(-1, case.arms, -1)
        if case.task == "regression":
            return (0.5 * (z[..., 0] - wanted) ** 2).mean(-1).sum()
        return -torch.log_softmax(z, -1).gather(-1, wanted.long()[..., None]).mean((-2, -1)).sum()

    def step(params, firsts, seconds, rows, targets, t):
        grads = torch.func.grad(loss)(params, rows, targets)
        after = [], [], []
        for name, w, g, m, v in zip(names, params, grads, firsts, seconds, strict=True):
            keep = 1.0 - case.lr * lam * case.decayed(name)
            w = w * keep.reshape(*keep.shape, *[1] * (w.ndim - 2))
            if case.optimiser == "adam":
                m = ADAM["beta1"] * m + (1 - ADAM["beta1"]) * g
                v = ADAM["beta2"] * v + (1 - ADAM["beta2"]) * g * g
                g = (m / (1 - ADAM["beta1"] ** t)) / (torch.sqrt(v / (1 - ADAM["beta2"] ** t)) + ADAM["eps"])
            for kept, value in zip(after, (w - case.lr * g, m, v), strict=True):
                kept.append(value)
        return after

    compiled = torch.compile(step, fullgraph=True, dynamic=False)
    compiled(*make(), *next(data()), torch.tensor(1.0))
    return compiled, make, names, data
