"""Known laws of generated data, and the exact risk of a linear solution under them."""

from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Truth:
    """y = x'w + b + e with x ~ N(0, Sigma) and e ~ N(0, sigma^2).

    w is [d], Sigma is [d, d], support holds the indices of the nonzero weights, groups [d] the group number
    of each feature (-1 for none). noise_cov [d, d], if any, is the covariance of an error added to the inputs
    on which risk is measured.
    """

    w: np.ndarray
    b: float
    sigma: float
    Sigma: np.ndarray
    support: np.ndarray
    groups: np.ndarray
    noise_cov: np.ndarray | None = None

    @property
    def signal(self) -> float:
        """Variance of x'w."""
        return float(self.w @ self.Sigma @ self.w)

    def risk(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Exact expected loss E[1/2 (y - x'W - b)^2] of C solutions, W [d, C], b [C] -> [C].

        1/2 [(W-w)' Sigma (W-w) + W' noise_cov W + (b_hat-b)^2 + sigma^2], the cross terms vanishing because x
        has mean zero.
        """
        squared = _quadratic(self.Sigma, W - self.w[:, None]) + (np.asarray(b) - self.b) ** 2 + self.sigma**2
        if self.noise_cov is not None:
            squared = squared + _quadratic(self.noise_cov, W)
        return 0.5 * squared


@dataclass(frozen=True)
class BinaryTruth:
    """Two Gaussian classes, x | y=1 ~ N(mu, Sigma) and x | y=0 ~ N(-mu, Sigma), P(y=1) = prior.

    The Bayes rule is linear, with logit x'w + b, w = 2 Sigma^-1 mu and b = log(prior / (1-prior)).
    label_noise is the probability that a label of the measured law is flipped after the draw.
    """

    w: np.ndarray
    b: float
    mu: np.ndarray
    Sigma: np.ndarray
    prior: float
    support: np.ndarray
    groups: np.ndarray
    label_noise: float = 0.0

    @property
    def bayes_error(self) -> float:
        """Bayes error on clean labels: Phi(-Delta/2) for prior 1/2, Delta^2 = 4 mu' Sigma^-1 mu."""
        clean = BinaryTruth(self.w, self.b, self.mu, self.Sigma, self.prior, self.support, self.groups)
        return float(clean.error(self.w[:, None], np.array([self.b]))[0])

    def _logits(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of the logit in class 1 and class 0, and its sd, each [C]."""
        shift, sd = (np.ascontiguousarray(W.T) * self.mu).sum(axis=1), np.sqrt(_quadratic(self.Sigma, W))
        return np.asarray(b) + shift, np.asarray(b) - shift, sd

    def error(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Exact error rate of C solutions, W [d, C], b [C] -> [C]; a logit of 0 predicts class 0."""
        positive, negative, sd = self._logits(W, b)
        with np.errstate(divide="ignore", invalid="ignore"):
            missed = np.where(sd > 0, special.ndtr(-positive / sd), positive <= 0)
            false_alarm = np.where(sd > 0, special.ndtr(negative / sd), negative > 0)
        clean = self.prior * missed + (1 - self.prior) * false_alarm
        return (1 - self.label_noise) * clean + self.label_noise * (1 - clean)

    def risk(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Expected cross-entropy in nats of C solutions, W [d, C], b [C] -> [C].

        The logit is Gaussian in each class, so this is an integral over one dimension, done by quadrature to
        about 1e-9.
        """
        positive, negative, sd = self._logits(W, b)
        eta = self.label_noise
        ones = (1 - eta) * mean_softplus(-positive, sd) + eta * mean_softplus(positive, sd)
        zeros = (1 - eta) * mean_softplus(negative, sd) + eta * mean_softplus(-negative, sd)
        return self.prior * ones + (1 - self.prior) * zeros


def mean_softplus(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """E[log(1 + exp(u))] for u ~ N(mean, sd^2), elementwise on arrays [C].

    Gauss-Hermite for sd < 1. For larger sd softplus is split into max(u, 0), whose mean is known, and log(1 +
    exp(-|u|)), which is integrated by Gauss-Legendre over |u| < 40: Hermite nodes would step over a kink that
    is narrow beside sd.
    """
    mean, sd = np.broadcast_arrays(np.asarray(mean, float), np.asarray(sd, float))
    z, weight = special.roots_hermitenorm(80)
    near = np.logaddexp(0, mean[..., None] + np.minimum(sd, 1)[..., None] * z)
    small = (near * weight).sum(axis=-1) / np.sqrt(2 * np.pi)

    x, weight = special.roots_legendre(400)
    u, weight = 20 * (x + 1), 20 * weight
    safe = np.maximum(sd, 1)
    ratio = mean / safe
    density = (
        sum(_normal_density((sign * u - mean[..., None]) / safe[..., None]) for sign in (1, -1))
        / safe[..., None]
    )
    hinge = mean * special.ndtr(ratio) + safe * _normal_density(ratio)
    large = hinge + (density * weight * np.log1p(np.exp(-u))).sum(axis=-1)
    return np.where(sd < 1, small, large)


def _quadratic(M: np.ndarray, W: np.ndarray) -> np.ndarray:
    """w' M w of each column of W [d, C] -> [C], one by one: rounding must not depend on the others."""
    return np.array([(w * (M @ w)).sum() for w in np.ascontiguousarray(W.T)])


def _normal_density(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
