"""Laws of generated regression data: what each generator's truth is. How it is drawn is in generators.py.

Sources: d2l is the high-dimensional example of Zhang et al., Dive into Deep Learning, section 3.7; zou1..zou4
are examples 1-4 of Zou and Hastie (2005), Regularization and variable selection via the elastic net, JRSS B
67:301-320, section 5.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from wdbench.datasets import designs
from wdbench.datasets.designs import Design
from wdbench.datasets.truth import Truth


def _truth(design: Design, w: np.ndarray | list[float], sigma: float, b: float = 0.0, noise_cov: np.ndarray | None = None) -> tuple[Design,
           Truth]:
    w = np.asarray(w, float)
    return design, Truth(w, float(b), float(sigma), design.Sigma, np.flatnonzero(w), design.groups, noise_cov)


def _signal(design: Design, w: np.ndarray) -> float:
    """w' Sigma w, without BLAS, whose threads would change the last bit."""
    return float((np.outer(w, w) * design.Sigma).sum())


def _signs_on_random_support(p: int, s: int, rng: np.random.Generator) -> np.ndarray:
    w = np.zeros(p)
    w[rng.permutation(p)[:s]] = 1.0
    return w * np.where(rng.uniform(size=p) < 0.5, -1.0, 1.0)


def d2l(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """w_j = 0.01, b = 0.05, sigma = 0.01: p far above n, so most of w cannot be learned."""
    return _truth(designs.isotropic(o["p"]), np.full(o["p"], 0.01), o["sigma"], b=0.05)


def noisy(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Isotropic x and |w| = 1 in a random direction; optimal ridge lambda is p sigma^2 / n (|w| = 1)."""
    w = rng.standard_normal(o["p"])
    return _truth(designs.isotropic(o["p"]), w / np.linalg.norm(w), o["sigma"])


def gauss(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Dense truth, w_j ~ N(0, 1/p)."""
    return _truth(designs.isotropic(o["p"]), rng.standard_normal(o["p"]) / np.sqrt(o["p"]), o["sigma"])


def sparse(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """s weights of +-1 on a random support, AR(1) columns, sigma^2 = w' Sigma w / snr."""
    design = designs.ar1(o["p"], o["rho"])
    w = _signs_on_random_support(o["p"], o["s"], rng)
    return _truth(design, w, np.sqrt(_signal(design, w) / o["snr"]))


def strong(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """s weights of +-sqrt(snr / s) among p isotropic columns, sigma = 1: the signal's variance is snr for
    every s.
    """
    w = _signs_on_random_support(o["p"], o["s"], rng) * np.sqrt(o["snr"] / o["s"])
    return _truth(designs.isotropic(o["p"]), w, 1.0)


def grouped(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Groups of 4 columns with correlation rho; equal weights on all, or on one random column a group.

    Weights are scaled to w' Sigma w = snr with sigma = 1, so that both truths have the same signal.
    """
    p, rho = o["p"], o["rho"]
    groups = np.arange(p) // 4
    design = designs.factors(groups, np.sqrt(rho), np.sqrt(1 - rho))
    w = np.ones(p)
    if o["truth"] == "one_per_group":
        first = np.arange(0, p, 4)
        w = np.zeros(p)
        w[first + rng.integers(0, np.minimum(4, p - first))] = 1.0
    return _truth(design, w * np.sqrt(o["snr"] / _signal(design, w)), 1.0)


def shifted(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Isotropic x, |w| = 1, sigma = 1, and a bias of y_shift."""
    w = rng.standard_normal(o["p"])
    return _truth(designs.isotropic(o["p"]), w / np.linalg.norm(w), 1.0, b=o["y_shift"])


MEASURED_SIGMA = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.3], [0.0, 0.3, 1.0]])
MEASURED_W = np.array([1.0, 0.0, 0.5])


def measurement(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """x_1 is observed as x_1 + u, u ~ N(0, tau^2), in train and val; least squares tends to (Sigma +
    Sigma_u)^-1 Sigma w.

    Risk is that on clean inputs, or with test=noisy on inputs that carry the same error.
    """
    noise_cov = np.diag([o["tau"] ** 2, 0.0, 0.0]) if o["test"] == "noisy" else None
    return _truth(designs.gaussian(MEASURED_SIGMA), MEASURED_W, o["sigma"], noise_cov=noise_cov)


def zou1(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Example 1: few effects, AR(1) with 0.5."""
    return _truth(designs.ar1(8, 0.5), [3, 1.5, 0, 0, 2, 0, 0, 0], 3.0)


def zou2(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Example 2: as example 1 with all weights 0.85."""
    return _truth(designs.ar1(8, 0.5), np.full(8, 0.85), 3.0)


def zou3(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Example 3: 20 of 40 effects, every pair correlated 0.5."""
    w = np.repeat([0.0, 2.0, 0.0, 2.0], 10)
    return _truth(designs.factors(np.zeros(40, dtype=int), np.sqrt(0.5), np.sqrt(0.5)), w, 15.0)


def zou4(o: Mapping[str, Any], rng: np.random.Generator) -> tuple[Design, Truth]:
    """Example 4: three groups of 5 near-copies (own variance 0.01) with weight 3, and 25 null columns."""
    groups = np.concatenate([np.repeat([0, 1, 2], 5), np.full(25, -1)])
    return _truth(designs.factors(groups, 1.0, 0.1), np.repeat([3.0, 0.0], [15, 25]), 15.0)
