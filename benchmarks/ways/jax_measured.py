"""JAX as in `jax_vmap`, which also measures what the engine measures."""

from benchmarks.cases import Case
from benchmarks.ways import jax_vmap


def train(case: Case):
    return jax_vmap.train(case, measured=True)
