"""The strongest peer: JAX, one jitted computation, the cells by vmap, the steps in a fori_loop. Compiling is not timed.

Written for the affine models and the perceptron without norms; `train` returns None for the others. SGD and AdamW with decoupled decay.
"""

import time
from functools import cache

import numpy as np

from benchmarks.cases import Case

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def train(case: Case):
    if case.model not in ("linear", "softmax", "mlp"):
        return None
    compiled, arguments, names = _compiled(case)
    started = time.perf_counter()
    final = compiled(*arguments)
    final[names[0]].block_until_ready()
    seconds = time.perf_counter() - started
    weights = {name: np.asarray(value) for name, value in final.items()}
    found = {}
    for i, run in enumerate(case.runs):
        arm = i // case.replicates
        found[i] = np.concatenate([weights[n][run.replicate, arm].ravel() for n in names if case.decayed(n)])
    return seconds, case.cells, found


@cache
def _compiled(case: Case):
    import jax
    import jax.numpy as jnp

    compute = jnp.bfloat16 if case.precision == "bf16_compute" else jnp.float32
    starts = [case.start(r) for r in range(case.replicates)]
    names = list(starts[0])
    params = {n: jnp.asarray(np.stack([np.repeat(s[n][None], case.arms, 0) for s in starts])) for n in names}
    lam = jnp.asarray([[case.runs[a * case.replicates + r].lambda2 for a in range(case.arms)] for r in range(case.replicates)])
    x = jnp.asarray(np.stack([case.data[r].x for r in range(case.replicates)]), compute)
    y = jnp.asarray(np.stack([case.data[r].y for r in range(case.replicates)]), jnp.float32)
    order = jnp.asarray(np.stack([case.order(r) for r in range(case.replicates)]))

    def outputs(p, rows):
        p = {n: v.astype(compute) for n, v in p.items()}
        layers = sorted({n.rpartition(".")[0] for n in names if n.startswith("hidden")}) + ["head" if "head.weight" in p else "out"]
        for layer in layers:
            rows = rows @ p[f"{layer}.weight"].T + p[f"{layer}.bias"]
            if layer.startswith("hidden"):
                rows = jax.nn.relu(rows)
        return rows.astype(jnp.float32)

    def loss(p, rows, targets):
        z = outputs(p, rows)
        if case.task == "regression":
            return 0.5 * jnp.mean((z[:, 0] - targets) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), targets.astype(jnp.int32)[:, None], 1))

    def cell(p, lam, x, y, order):
        zeros = {n: jnp.zeros_like(v) for n, v in p.items()}

        def step(t, carry):
            p, m, v = carry
            g = jax.grad(loss)(p, x[order[t]], y[order[t]])
            keep = {n: 1.0 - case.lr * lam * case.decayed(n) for n in names}
            if case.optimiser == "sgd":
                return {n: p[n] * keep[n] - case.lr * g[n] for n in names}, m, v
            m = {n: ADAM["beta1"] * m[n] + (1 - ADAM["beta1"]) * g[n] for n in names}
            v = {n: ADAM["beta2"] * v[n] + (1 - ADAM["beta2"]) * g[n] ** 2 for n in names}
            first, second = 1 - ADAM["beta1"] ** (t + 1.0), 1 - ADAM["beta2"] ** (t + 1.0)
            return {n: p[n] * keep[n] - case.lr * (m[n] / first) / (jnp.sqrt(v[n] / second) + ADAM["eps"]) for n in names}, m, v

        return jax.lax.fori_loop(0, case.steps, step, (p, zeros, zeros))[0]

    arguments = (params, lam, x, y, order)
    arms = jax.vmap(cell, in_axes=(0, 0, None, None, None))
    compiled = jax.jit(jax.vmap(arms)).lower(*arguments).compile()
    return compiled, arguments, names
