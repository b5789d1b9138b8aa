"""The strongest peer: JAX, one jitted computation, the cells by vmap, the steps in a fori_loop. Compiling is not timed.

Written for the affine models and the perceptron without norms; `train` returns None for the others. SGD and AdamW with decoupled decay.
`measured` does on the way what the engine does: losses on held rows and the weights' norm at its checkpoints, the share of the decay
that arrives at its probed steps (in fp32), divergence at every step, outputs on three splits at the end.
"""

import time
from functools import cache

import numpy as np

from benchmarks.cases import Case
from wdbench import engine, probes
from wdbench.divergence import DIVERGED_FACTOR
from wdbench.measure import TRAJECTORY_ROWS

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def train(case: Case, measured: bool = False):
    if case.model not in ("linear", "softmax", "mlp"):
        return None
    compiled, arguments, names = _compiled(case, measured)
    started = time.perf_counter()
    final, kept = compiled(*arguments)
    final[names[0]].block_until_ready()
    kept = [np.asarray(part) for part in kept]
    seconds = time.perf_counter() - started
    assert not measured or all(np.isfinite(part).all() for part in kept)
    weights = {name: np.asarray(value) for name, value in final.items()}
    found = {}
    for i, run in enumerate(case.runs):
        arm = i // case.replicates
        found[i] = np.concatenate([weights[n][run.replicate, arm].ravel() for n in names if case.decayed(n)])
    return seconds, case.cells, found


@cache
def _compiled(case: Case, measured: bool):
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

    def update(p, g, m, v, t, lam):
        keep = {n: 1.0 - case.lr * lam * case.decayed(n) for n in names}
        if case.optimiser == "sgd":
            return {n: p[n] * keep[n] - case.lr * g[n] for n in names}, m, v
        m = {n: ADAM["beta1"] * m[n] + (1 - ADAM["beta1"]) * g[n] for n in names}
        v = {n: ADAM["beta2"] * v[n] + (1 - ADAM["beta2"]) * g[n] ** 2 for n in names}
        first, second = 1 - ADAM["beta1"] ** (t + 1.0), 1 - ADAM["beta2"] ** (t + 1.0)
        return {n: p[n] * keep[n] - case.lr * (m[n] / first) / (jnp.sqrt(v[n] / second) + ADAM["eps"]) for n in names}, m, v

    def cell(p, lam, x, y, order):
        zeros = {n: jnp.zeros_like(v) for n, v in p.items()}

        def step(t, carry):
            p, m, v = carry
            return update(p, jax.grad(loss)(p, x[order[t]], y[order[t]]), m, v, t, lam)

        return jax.lax.fori_loop(0, case.steps, step, (p, zeros, zeros))[0], []

    def watched(p, lam, x, y, order, splits):
        zeros = {n: jnp.zeros_like(v) for n, v in p.items()}
        held = [tuple(part[np.unique(np.linspace(0, len(part) - 1, min(TRAJECTORY_ROWS, len(part))).round().astype(int))] for part in pair)
                for pair in splits[: 2 if case.model in ("linear", "softmax") else 3]]

        def step(t, carry):
            p, m, v, limit, diverged = carry
            value, g = jax.value_and_grad(loss)(p, x[order[t]], y[order[t]])
            limit = jnp.where(t == 0, DIVERGED_FACTOR * (1 + value), limit)
            diverged = jnp.where((diverged == 0) & ~(value <= limit), t + 1, diverged)
            return *update(p, g, m, v, t, lam), limit, diverged

        def fidelity(t, carry):
            p, m, v = carry[:3]
            g = jax.grad(loss)(p, x[order[t]], y[order[t]])
            weights = [n for n in names if case.decayed(n)]
            differences = [update(p, g, m, v, t, lam)[0][n] - update(p, g, m, v, t, 0.0)[0][n] for n in weights]
            wanted = [-case.lr * lam * p[n] for n in weights]
            return jnp.stack([sum((a * b).sum() for a, b in zip(part, wanted, strict=True)) for part in (differences, wanted)])

        carry, now, kept, arrived = (p, zeros, zeros, jnp.inf, 0), 0, [], 0.0
        probed, checked = probes.probe_steps(case.steps), set(engine.checkpoint_steps(case.steps))
        for t in sorted(probed | checked):
            carry = jax.lax.fori_loop(now, t - 1, step, carry)
            if t in probed:
                arrived += fidelity(t - 1, carry)
            carry, now = step(t - 1, carry), t
            if t in checked:
                kept += [loss(carry[0], *pair) for pair in held]
                kept.append(jnp.sqrt(sum((carry[0][n] ** 2).sum() for n in names if case.decayed(n))))
        numbers = jnp.stack([*kept, arrived[0] / arrived[1], carry[4].astype(jnp.float32)])
        return carry[0], [numbers, *(outputs(carry[0], rows) for rows, _ in splits)]

    arguments = (params, lam, x, y, order)
    if measured:
        arguments += ([tuple(jnp.asarray(np.stack([np.asarray(getattr(case.data[r], name + split)) for r in range(case.replicates)]),
                                         compute if name == "x" else jnp.float32) for name in "xy") for split in ("", "_val", "_test")],)
    arms = jax.vmap(watched if measured else cell, in_axes=(0, 0, *[None] * (len(arguments) - 2)))
    compiled = jax.jit(jax.vmap(arms)).lower(*arguments).compile()
    return compiled, arguments, names
