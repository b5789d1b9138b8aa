"""Losses of stacked affine models and their slopes, in place of the outputs: `affine.loss_and_slope`, and the mean over rows.

z [R, B, k, C] comes in as a product without bias and goes out as the derivative of the mean loss; exponentials and logarithms are
PyTorch's, between the passes. Sums over rows run row by row, over outputs in their order: neither depends on the other cells.
"""

import numpy as np
import torch

from wdbench.kernels.compiled import jit


@jit
def _squared(z: np.ndarray, b: np.ndarray, y: np.ndarray, loss: np.ndarray, bias: np.ndarray) -> None:
    R, B, C = z.shape
    rows, half = z.dtype.type(B), z.dtype.type(0.5)
    for r in range(R):
        for i in range(B):
            for c in range(C):
                residual = z[r, i, c] + b[r, c] - y[r, i]
                slope = residual / rows
                z[r, i, c] = slope
                loss[r, c] += half * residual * residual
                bias[r, c] += slope
        for c in range(C):
            loss[r, c] /= rows


@jit
def _logits(z: np.ndarray, b: np.ndarray, small: np.ndarray) -> None:
    R, B, C = z.shape
    for r in range(R):
        for i in range(B):
            for c in range(C):
                z[r, i, c] += b[r, c]
                small[r, i, c] = -abs(z[r, i, c])


@jit
def _logistic(z: np.ndarray, y: np.ndarray, small: np.ndarray, logs: np.ndarray, loss: np.ndarray, bias: np.ndarray) -> None:
    R, B, C = z.shape
    rows, one, zero = z.dtype.type(B), z.dtype.type(1), z.dtype.type(0)
    for r in range(R):
        for i in range(B):
            for c in range(C):
                at, e = z[r, i, c], small[r, i, c]
                slope = ((one if at >= zero else e) / (one + e) - y[r, i]) / rows
                loss[r, c] += (at if at > zero else zero) - y[r, i] * at + logs[r, i, c]
                z[r, i, c] = slope
                bias[r, c] += slope
        for c in range(C):
            loss[r, c] /= rows


@jit
def _shift(z: np.ndarray, b: np.ndarray, y: np.ndarray, picked: np.ndarray, peak: np.ndarray) -> None:
    R, B, K, C = z.shape
    for r in range(R):
        for i in range(B):
            for k in range(K):
                for c in range(C):
                    z[r, i, k, c] += b[r, k, c]
                    peak[c] = z[r, i, k, c] if k == 0 else max(peak[c], z[r, i, k, c])
            label = int(y[r, i])
            for k in range(K):
                for c in range(C):
                    z[r, i, k, c] -= peak[c]
            for c in range(C):
                picked[r, i, c] = z[r, i, label, c]


@jit
def _softmax(z: np.ndarray, y: np.ndarray, total: np.ndarray, bias: np.ndarray) -> None:
    R, B, K, C = z.shape
    rows, one = z.dtype.type(B), z.dtype.type(1)
    for r in range(R):
        for i in range(B):
            for k in range(K):
                for c in range(C):
                    total[r, i, c] = z[r, i, k, c] if k == 0 else total[r, i, c] + z[r, i, k, c]
            label = int(y[r, i])
            for k in range(K):
                hit = one if k == label else one - one
                for c in range(C):
                    slope = (z[r, i, k, c] / total[r, i, c] - hit) / rows
                    z[r, i, k, c] = slope
                    bias[r, k, c] += slope


@jit
def _mean(logs: np.ndarray, picked: np.ndarray, loss: np.ndarray) -> None:
    R, B, C = logs.shape
    rows = logs.dtype.type(B)
    for r in range(R):
        for i in range(B):
            for c in range(C):
                loss[r, c] += logs[r, i, c] - picked[r, i, c]
        for c in range(C):
            loss[r, c] /= rows


def replace_by_slope(task: str, z: torch.Tensor, b: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean data loss [R, C], gradient of the bias [R, k, C]) of outputs z + b; z [R, B, k, C] becomes the derivative of the loss by it.

    b [R, k, C], y [R, B]; all of one type, contiguous, on the CPU.
    """
    replicates, _, outputs, arms = z.shape
    loss, bias = z.new_zeros(replicates, arms), torch.zeros_like(b)
    targets = y.numpy()
    if task == "multiclass":
        picked, total = (z.new_empty(z[:, :, 0].shape) for _ in range(2))
        _shift(z.numpy(), b.numpy(), targets, picked.numpy(), np.empty(arms, targets.dtype))
        z.exp_()
        _softmax(z.numpy(), targets, total.numpy(), bias.numpy())
        _mean(total.log_().numpy(), picked.numpy(), loss.numpy())
        return loss, bias
    flat, one = z.view(replicates, -1, arms), bias.view(replicates, arms).numpy()
    if task == "regression":
        _squared(flat.numpy(), b.view(replicates, arms).numpy(), targets, loss.numpy(), one)
        return loss, bias
    small = torch.empty_like(flat)
    _logits(flat.numpy(), b.view(replicates, arms).numpy(), small.numpy())
    logs = small.exp_().add(1.0).log_()
    _logistic(flat.numpy(), targets, small.numpy(), logs.numpy(), loss.numpy(), one)
    return loss, bias
