"""The equations of `updates.py` in one pass over the weights and the optimiser's state, in place.

A stack's tensor is seen as w [A, J, K] with one number a cell as [A, 1] or [A, K]: of networks [R C, 1, weights], of affine models
[R, d k, C]. Bits are those of `updates.step`, but for Adam's root: PyTorch takes it from a library that does not always round correctly.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from wdbench.kernels.compiled import jit
from wdbench.precision import Precision
from wdbench.updates import Decay, Optimiser, State

FIELDS = tuple(Decay.__dataclass_fields__)
OPTIMISERS = {"sgd": 0, "momentum": 1, "nesterov": 2, "adam": 3}
# the other couplings' operations are done outside of the step
FORMS = ("plain", "subgradient", "cautious", "moment_split")
ROUNDINGS = {"none": 0, "nearest_split": 1, "nearest_once": 2, "stochastic": 3, "kahan": 4}


@jit
def nearest(x: float) -> float | np.floating[Any]:
    """x (fp32) on the bf16 grid, to nearest, ties to even: `precision.nearest`."""
    if x != x:
        return x
    raw = np.float32(x).view(np.int32)
    return np.int32((raw + 0x7FFF + ((raw >> 16) & 1)) & -65536).view(np.float32)


@jit
def stochastic(x: float, bits: int) -> float | np.floating[Any]:
    """x (fp32) on the bf16 grid, up or down by the noise `bits`: `precision.stochastic`."""
    if not np.isfinite(x):
        return x
    return np.int32((np.float32(x).view(np.int32) + bits) & -65536).view(np.float32)


@cache
def kernel(optimiser: int, form: str, prox: bool, rounding: int, columns: bool) -> Callable[..., Any]:
    """The pass of one program; columns: numbers are [A, K], one a column, else [A, 1]."""
    subgradient, cautious, split = form == "subgradient", form == "cautious", form == "moment_split"
    momentum, nesterov, adam = optimiser == 1, optimiser == 2, optimiser == 3
    nearest_split, nearest_once, stochastically, kahan = rounding == 1, rounding == 2, rounding == 3, rounding == 4

    @jit
    def step(w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, remainder: np.ndarray, bits: np.ndarray, arms: int,
             rate: np.ndarray, numbers: np.ndarray, schedule: np.floating, constants: tuple[np.floating, ...]) -> None:
        b1, rest1, b2, rest2, root2, eps, bias1, gain, one, zero = constants
        keep = np.empty(rate.shape[1], w.dtype)
        for a in range(w.shape[0]):
            a2, a1, d2, d1 = numbers[0, a], numbers[1, a], numbers[2, a], numbers[3, a]
            i2, c2, k2, m2 = numbers[4, a], numbers[5, a], numbers[6, a], numbers[7, a]
            v2, q1, p1 = numbers[8, a], numbers[9, a], numbers[10, a]
            for i in range(rate.shape[1]):
                lr = rate[a, i] * schedule
                keep[i] = one - lr * d2[i] - schedule * i2[i] - schedule * lr * c2[i]
            lr = rate[a, 0] * schedule
            kept, share2 = keep[0], a2[0]
            for j in range(w.shape[1]):
                for k in range(w.shape[2]):
                    i = 0
                    if columns:
                        i = k
                        lr, kept, share2 = rate[a, k] * schedule, keep[k], a2[k]
                    old = w[a, j, k]
                    u = g[a, j, k] + old * share2
                    second = u
                    if subgradient:
                        u = u + a1[i] * np.sign(old)
                        second = u
                    if split:
                        second = u + v2[i] * old
                        u = u + m2[i] * old
                    scale = gain
                    if momentum:
                        u = u + m[a, j, k] * b1
                        m[a, j, k] = u
                    if nesterov:
                        average = u + m[a, j, k] * b1
                        m[a, j, k] = average
                        u = u + average * b1
                    if adam:
                        average = m[a, j, k] * b1 + u * rest1
                        square = v[a, j, k] * b2 + (second * rest2) * second
                        m[a, j, k] = average
                        v[a, j, k] = square
                        scale = one / (np.sqrt(square) / root2 + eps)
                        u = (average * scale) / bias1
                    exact = old
                    if kahan:
                        exact = old - remainder[a, j, k]
                    factor = kept
                    if cautious and u * exact >= zero:
                        factor = kept - lr * k2[i]
                    target = exact * factor
                    if subgradient:
                        target = target - lr * d1[i] * np.sign(old)
                    if nearest_split:
                        target = nearest(target)
                    target = target - lr * u
                    if nearest_split:
                        target = nearest(target)
                    if prox:
                        threshold = lr * (q1[i] + p1[i] * scale)
                        target = target - min(max(target, -threshold), threshold)
                    if nearest_split or nearest_once:
                        target = nearest(target)
                    if stochastically:
                        target = stochastic(target, bits[a, j] if columns else bits[a // arms, k])
                    if kahan:
                        stored = nearest(target)
                        remainder[a, j, k] = nearest(stored - target)
                        target = stored
                    w[a, j, k] = target

    return step


class Update:
    """The steps of one tensor of a stack: arrays are seen once, numbers taken over when they change."""

    def __init__(self, w: torch.Tensor, state: State, cell_axis: int, optimiser: Optimiser, precision: Precision, form: str,
                 prox: bool) -> None:
        """w [R, C, ...] with cell_axis 1, or [R, d, k, C] with cell_axis 3; contiguous, changed in place as `state` is."""
        self.columns, self.arms, self.optimiser = cell_axis != 1, w.shape[cell_axis], optimiser
        self.shape = (w.shape[0], -1, self.arms) if self.columns else (w.shape[0] * self.arms, 1, -1)
        self.w = self._seen(w)
        # what an optimiser or a precision does not have is never looked at
        nothing = np.empty((1, 1, 1), self.w.dtype)
        self.m, self.v, self.remainder = (nothing if s is None else self._seen(s) for s in (state.m, state.v, state.remainder))
        self.quiet = np.zeros((1, 1), np.int32)
        self.kernel = kernel(OPTIMISERS[optimiser.name], form if form in FORMS else "plain", prox, ROUNDINGS[precision.rounding],
                             self.columns)
        self.given: Decay | None = None
        self.numbers = np.empty(0)

    def _seen(self, tensor: torch.Tensor) -> np.ndarray:
        return np.ascontiguousarray(tensor.detach().reshape(self.shape).numpy())

    def _a_cell(self, values: torch.Tensor) -> np.ndarray:
        """Numbers of cells, in any shape that broadcasts against w, as [A, K] or [A, 1]."""
        return values.reshape(self.shape[0], self.arms if self.columns else 1).numpy()

    def take(self, g: torch.Tensor, t: int, rate: torch.Tensor, schedule: float, decay: Decay, bits: torch.Tensor | None) -> None:
        """Step t = 1, 2, ... in place; arguments as in `updates.step`, rate [R, C]."""
        if decay is not self.given:
            self.given = decay
            self.numbers = np.stack([self._a_cell(getattr(decay, name)) for name in FIELDS])
        number, o = self.w.dtype.type, self.optimiser
        constants = tuple(number(c) for c in (o.beta1, 1.0 - o.beta1, o.beta2, 1.0 - o.beta2, (1.0 - o.beta2**t) ** 0.5, o.eps,
                                              1.0 - o.beta1**t, o.gain, 1.0, 0.0))
        noise = self.quiet if bits is None else bits.reshape(len(bits), -1).numpy()
        self.kernel(self.w, self._seen(g), self.m, self.v, self.remainder, noise, self.arms, self._a_cell(rate), self.numbers,
                    number(schedule), constants)
