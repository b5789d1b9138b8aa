"""The three data losses as the exact solver sees them: value, slope, curvature and conjugate.

Scores are z [k, n], one row an output: that layout makes both the products with the data and the sums over
classes fast. `target` is [k, n]: y itself, or indicators of classes. Values are means over the n rows;
slopes are per row, without 1/n.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import xlogy


class Squared:
    """l = 1/2 (z - y)^2; l*(a) = 1/2 a^2 + a y."""

    smoothness = 1.0

    def slope(self, z: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, Any]:
        """(mean loss, dl/dz [k, n], state): state is what `curvature` and its kin need at z."""
        residual = z - target
        return 0.5 * np.square(residual).sum() / z.shape[1], residual, None

    def curvature(self, state: Any, u: np.ndarray) -> np.ndarray:
        """Hessian of every row's loss times u [k, n]."""
        return u

    def block(self, state: Any, a: int, b: int) -> np.ndarray | float:
        """Entry (a, b) of the Hessian of every row's loss: [n] or a scalar."""
        return 1.0

    def mean_curvature(self, state: Any) -> np.ndarray:
        """Hessian of the mean loss over the k outputs' biases [k, k]."""
        return np.ones((1, 1))

    def diagonal(self, state: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Diagonal of the Hessian of every row's loss [k, n]."""
        return np.ones(shape)

    def conjugate(self, slope: np.ndarray, target: np.ndarray) -> float:
        """Mean of l* at the slopes [k, n]."""
        return (0.5 * np.square(slope) + slope * target).sum() / target.shape[1]


class Logistic:
    """l = log(1 + exp(z)) - y z for y in {0, 1}; l*(a) = q log q + (1 - q) log(1 - q), q = a + y in [0, 1]."""

    smoothness = 0.25

    def slope(self, z: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, Any]:
        sign = 1.0 - 2.0 * target
        wrong = sign * z
        loss = np.logaddexp(0.0, wrong)
        miss = np.exp(wrong - loss)
        return loss.sum() / z.shape[1], sign * miss, miss * (1.0 - miss)

    def curvature(self, state: Any, u: np.ndarray) -> np.ndarray:
        return state * u

    def block(self, state: Any, a: int, b: int) -> np.ndarray | float:
        return state[0]

    def mean_curvature(self, state: Any) -> np.ndarray:
        return state.mean(1, keepdims=True)

    def diagonal(self, state: Any, shape: tuple[int, ...]) -> np.ndarray:
        return state

    def conjugate(self, slope: np.ndarray, target: np.ndarray) -> float:
        q = np.clip(slope + target, 0.0, 1.0)
        return (xlogy(q, q) + xlogy(1.0 - q, 1.0 - q)).sum() / target.shape[1]


class Softmax:
    """l = logsumexp(z) - z_y; l*(a) = sum_k q_k log q_k with q = a + indicator(y) in the simplex.

    smoothness 1/2 is the largest eigenvalue of Boehning's (1992) bound 1/2 (I - 11'/k) on the Hessian.
    """

    smoothness = 0.5

    def slope(self, z: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, Any]:
        shifted = z - z.max(0)
        probability = np.exp(shifted)
        total = probability.sum(0)
        loss = (np.log(total).sum() - (shifted * target).sum()) / z.shape[1]
        probability /= total
        return loss, probability - target, probability

    def curvature(self, state: Any, u: np.ndarray) -> np.ndarray:
        weighted = state * u
        return weighted - state * weighted.sum(0)

    def block(self, state: Any, a: int, b: int) -> np.ndarray | float:
        return state[a] * (1.0 - state[a]) if a == b else -state[a] * state[b]

    def mean_curvature(self, state: Any) -> np.ndarray:
        matrix = state @ state.T / -state.shape[1]
        # p(1 - p) itself: p - p^2 would cancel where p is near 1
        np.fill_diagonal(matrix, (state * (1.0 - state)).mean(1))
        return matrix

    def diagonal(self, state: Any, shape: tuple[int, ...]) -> np.ndarray:
        return state * (1.0 - state)

    def conjugate(self, slope: np.ndarray, target: np.ndarray) -> float:
        q = np.maximum(slope + target, 0.0)
        return xlogy(q, q).sum() / target.shape[1]


if TYPE_CHECKING:
    Loss = Squared | Logistic | Softmax

LOSSES: "dict[str, Loss]" = {"linear": Squared(), "logistic": Logistic(), "softmax": Softmax()}
TASKS = {"linear": "regression", "logistic": "binary", "softmax": "multiclass"}
