"""Passes of a perceptron's layers forwards and backwards, in place; values [A, H, n], rows innermost, A = cells of all replicates.

Sums over rows run in eight interleaved chains, which are then added in a written-out order: always the same one, so that a cell's bits do
not depend on its neighbours.
"""

import numpy as np

from wdbench.kernels.compiled import jit


@jit
def _total(x: np.ndarray) -> np.floating:
    """Sum of a row [n]."""
    zero = x.dtype.type(0)
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    whole = x.size - x.size % 8
    for i in range(0, whole, 8):
        s0 += x[i]
        s1 += x[i + 1]
        s2 += x[i + 2]
        s3 += x[i + 3]
        s4 += x[i + 4]
        s5 += x[i + 5]
        s6 += x[i + 6]
        s7 += x[i + 7]
    for i in range(whole, x.size):
        s0 += x[i]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@jit
def _product(x: np.ndarray, y: np.ndarray) -> np.floating:
    """Sum of the products of two rows [n]."""
    zero = x.dtype.type(0)
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    whole = x.size - x.size % 8
    for i in range(0, whole, 8):
        s0 += x[i] * y[i]
        s1 += x[i + 1] * y[i + 1]
        s2 += x[i + 2] * y[i + 2]
        s3 += x[i + 3] * y[i + 3]
        s4 += x[i + 4] * y[i + 4]
        s5 += x[i + 5] * y[i + 5]
        s6 += x[i + 6] * y[i + 6]
        s7 += x[i + 7] * y[i + 7]
    for i in range(whole, x.size):
        s0 += x[i] * y[i]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@jit
def bias_relu(z: np.ndarray, b: np.ndarray) -> None:
    """z <- max(z + b, 0); b [A, H]."""
    zero = z.dtype.type(0)
    for a in range(z.shape[0]):
        for h in range(z.shape[1]):
            shift = b[a, h]
            for i in range(z.shape[2]):
                value = z[a, h, i] + shift
                z[a, h, i] = zero if value < zero else value


@jit
def masked(slope: np.ndarray, out: np.ndarray, b: np.ndarray) -> None:
    """slope <- slope where out > 0, else 0; b [A, H] <- its sums over rows."""
    zero = slope.dtype.type(0)
    for a in range(slope.shape[0]):
        for h in range(slope.shape[1]):
            for i in range(slope.shape[2]):
                slope[a, h, i] = zero if out[a, h, i] <= zero else slope[a, h, i]
            b[a, h] = _total(slope[a, h])


@jit
def norm_relu(z: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float, scale: np.ndarray, out: np.ndarray) -> None:
    """z <- deviations from a row's mean over the root of (variance + eps), out <- max(gain z + bias, 0), scale <- the root."""
    zero, n = z.dtype.type(0), z.dtype.type(z.shape[2])
    for a in range(z.shape[0]):
        for h in range(z.shape[1]):
            row = z[a, h]
            mean = _total(row) / n
            for i in range(row.size):
                row[i] -= mean
            root = np.sqrt(_product(row, row) / n + eps)
            scale[a, h] = root
            g, b = gain[a, h], bias[a, h]
            for i in range(row.size):
                row[i] /= root
                value = row[i] * g + b
                out[a, h, i] = zero if value < zero else value


@jit
def norm_masked(slope: np.ndarray, out: np.ndarray, z: np.ndarray, gain: np.ndarray, scale: np.ndarray, gain_slope: np.ndarray,
                bias_slope: np.ndarray) -> None:
    """The way back through `norm_relu`: slope by out becomes the slope by what was normalised.

    With y = z gain + bias and z of mean 0 and mean square 1: d = (s - mean(s) - z mean(s z)) gain / root (Ioffe & Szegedy 2015, section 3).
    """
    zero, n = slope.dtype.type(0), slope.dtype.type(slope.shape[2])
    for a in range(slope.shape[0]):
        for h in range(slope.shape[1]):
            row, values = slope[a, h], z[a, h]
            for i in range(row.size):
                row[i] = zero if out[a, h, i] <= zero else row[i]
            shift, stretch = _total(row), _product(row, values)
            bias_slope[a, h], gain_slope[a, h] = shift, stretch
            mean, along, factor = shift / n, stretch / n, gain[a, h] / scale[a, h]
            for i in range(row.size):
                row[i] = (row[i] - mean - values[i] * along) * factor


@jit
def shifted(z: np.ndarray, b: np.ndarray, y: np.ndarray, cells: int, picked: np.ndarray) -> None:
    """z [A, k, n] <- z + b less its largest over k; picked [A, n] <- that of the label; y [R, n], A = R cells."""
    for a in range(z.shape[0]):
        labels = y[a // cells]
        peak = np.empty(z.shape[2], z.dtype)
        for k in range(z.shape[1]):
            shift = b[a, k]
            for i in range(z.shape[2]):
                z[a, k, i] += shift
                peak[i] = z[a, k, i] if k == 0 else max(peak[i], z[a, k, i])
        for k in range(z.shape[1]):
            for i in range(z.shape[2]):
                z[a, k, i] -= peak[i]
        for i in range(z.shape[2]):
            picked[a, i] = z[a, int(labels[i]), i]


@jit
def softmax_slope(z: np.ndarray, y: np.ndarray, cells: int, total: np.ndarray, bias: np.ndarray) -> None:
    """z [A, k, n], exponentials, <- slope of the mean cross-entropy; total [A, n] <- sums over k, bias [A, k] <- sums of the slope."""
    n, one = z.dtype.type(z.shape[2]), z.dtype.type(1)
    for a in range(z.shape[0]):
        labels = y[a // cells]
        for k in range(z.shape[1]):
            for i in range(z.shape[2]):
                total[a, i] = z[a, k, i] if k == 0 else total[a, i] + z[a, k, i]
        for k in range(z.shape[1]):
            for i in range(z.shape[2]):
                z[a, k, i] = z[a, k, i] / total[a, i]
        for i in range(z.shape[2]):
            z[a, int(labels[i]), i] -= one
        for k in range(z.shape[1]):
            for i in range(z.shape[2]):
                z[a, k, i] /= n
            bias[a, k] = _total(z[a, k])


@jit
def mean_difference(logs: np.ndarray, picked: np.ndarray, loss: np.ndarray) -> None:
    """loss [A] <- mean of logs - picked [A, n]."""
    n = logs.dtype.type(logs.shape[1])
    for a in range(logs.shape[0]):
        loss[a] = (_total(logs[a]) - _total(picked[a])) / n
