"""Losses and gradients of stacked affine models (linear, logistic, softmax) as two matrix products.

Arms of one replicate share their batch, so that the stack is one wide model: x [R, B, d] times w [R, d, k*C], where R is
replicates, B rows, d features, k outputs, C arms. Arms are innermost, so that a sum over outputs or a per-arm number is one
vector operation. `stacked.py` does the same for any module; a test holds one to the other.

A column's bits do not depend on the columns beside it as long as their number is a multiple of ARMS_MULTIPLE (other widths
take other kernels at the edge; `engine.py` pads), and as long as sums run along contiguous rows or in a written-out order.
"""

from functools import reduce

import torch

from wdbench.kernels import slopes

WEIGHT, BIAS = "out.weight", "out.bias"
CELL_AXIS = 3
# widths in which every column of a product goes through the same kernel, found by trial, held by tests/test_engine.py
ARMS_MULTIPLE = {torch.float64: 24, torch.float32: 16}


def initial(init: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
    """Stack of start values: weights init [R, d, k] * scale [R, C], zero bias [R, 1, k, C]."""
    weight = init[..., None] * scale[:, None, None, :]
    return {WEIGHT: weight.contiguous(), BIAS: torch.zeros_like(weight[:, :1])}


def predict(params: dict[str, torch.Tensor], x: torch.Tensor, compute: torch.dtype) -> torch.Tensor:
    """Outputs [R, B, k, C] in the master type: product in `compute`, bias added in the master type."""
    w, b = params[WEIGHT], params[BIAS]
    replicates, features, outputs, arms = w.shape
    z = torch.bmm(x.to(compute), w.to(compute).reshape(replicates, features, outputs * arms)).to(w.dtype)
    return z.reshape(replicates, -1, outputs, arms) + b.to(compute).to(b.dtype)


def mean_over_rows(values: torch.Tensor) -> torch.Tensor:
    """Mean over axis 1 (rows). Rows are moved last first: a sum along the contiguous axis does not depend on its neighbours."""
    return values.movedim(1, -1).contiguous().sum(-1) / values.shape[1]


def total(values: torch.Tensor, cell_axis: int) -> torch.Tensor:
    """Sum over all axes but replicates (0) and cells, [R, C]; along contiguous rows, for the same reason."""
    return values.movedim(cell_axis, 1).flatten(2).contiguous().sum(-1)


def _log_sum_exp(z: torch.Tensor) -> torch.Tensor:
    """log sum exp over axis 2 (outputs) of [R, B, k, C], in a written-out order."""
    parts = z.unbind(2)
    peak = reduce(torch.maximum, parts)
    return peak + reduce(torch.add, [(part - peak).exp_() for part in parts]).log_()


def loss(task: str, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean data loss [R, C] of outputs z [R, B, k, C] against targets y [R, B]."""
    if task == "regression":
        return mean_over_rows(0.5 * (z[:, :, 0] - y[..., None]).square())
    if task == "binary":
        return _logistic(z[:, :, 0], y[..., None])[0]
    return mean_over_rows(_log_sum_exp(z) - z.gather(2, _index(z, y)).squeeze(2))


def _logistic(z: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss [R, C] and slope [R, B, C] for logits z [R, B, C], targets y [R, B, 1].

    Written with exp and log alone: torch's own softplus and sigmoid round differently at the end of a vector than inside it.
    """
    small = (-z.abs()).exp_()
    value = z.clamp_min(0.0) - y * z + (1.0 + small).log_()
    return mean_over_rows(value), torch.where(z >= 0, 1.0, small) / (1.0 + small) - y


def _index(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return y.long()[:, :, None, None].expand(*z.shape[:2], 1, z.shape[3])


def loss_and_slope(task: str, z: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean data loss [R, C] and the derivative of each row's loss with respect to z, [R, B, k, C]."""
    if task == "regression":
        residual = z - y[:, :, None, None]
        return mean_over_rows(0.5 * residual[:, :, 0].square()), residual
    if task == "binary":
        value, slope = _logistic(z[:, :, 0], y[..., None])
        return value, slope.unsqueeze(2)
    total = _log_sum_exp(z)
    index = _index(z, y)
    value = mean_over_rows(total - z.gather(2, index).squeeze(2))
    slope = (z - total[:, :, None]).exp_()
    return value, slope.scatter_add_(2, index, slope.new_full((1, 1, 1, 1), -1.0).expand_as(index))


class Gradient:
    """Mean data loss [R, C] and its gradient, keyed and shaped like the parameters; x [R, B, d] in the compute type, y [R, B].

    in_place: the gradient's memory is that of the last call, for who uses it up before the next; else every call's is its own.
    """

    def __init__(self, params: dict[str, torch.Tensor], task: str, compute: torch.dtype, in_place: bool = False) -> None:
        self.params, self.task, self.compute, self.in_place = params, task, compute, in_place
        self.outputs = self.grad = None

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        w, b = self.params[WEIGHT], self.params[BIAS]
        replicates, features, outputs, arms = w.shape
        rows, wide = x.shape[1], w.to(self.compute).reshape(replicates, features, -1)
        if self.outputs is None or not self.in_place or self.outputs.shape[1] != rows:
            self.outputs = w.new_empty(replicates, rows, outputs * arms, dtype=self.compute)
            self.grad = torch.empty_like(wide)
        z = torch.bmm(x, wide, out=self.outputs).to(w.dtype).view(replicates, rows, outputs, arms)
        if w.device.type == "cpu":
            value, bias = slopes.replace_by_slope(self.task, z, b.to(self.compute).to(b.dtype)[:, 0], y)
        else:
            value, z = loss_and_slope(self.task, z + b.to(self.compute).to(b.dtype), y)
            z /= rows
            bias = mean_over_rows(z) * rows
        flat = z.to(self.compute).view(replicates, rows, outputs * arms)
        grad = torch.bmm(x.transpose(1, 2), flat, out=self.grad).to(w.dtype).view(w.shape)
        return value, {WEIGHT: grad, BIAS: bias.unsqueeze(1)}


def gradient(params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor, task: str, compute: torch.dtype) -> tuple[torch.Tensor,
             dict[str, torch.Tensor]]:
    """`Gradient` of one batch."""
    return Gradient(params, task, compute)(x, y)
