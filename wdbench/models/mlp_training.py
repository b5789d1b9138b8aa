"""The gradient of a stack of perceptrons written out: products into memory that is used again, what lies between them in single passes.

What autograd makes of `mlp.stacked`, to rounding; a test holds one to the other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from wdbench.kernels import layers

Params = Mapping[str, torch.Tensor]


class Training:
    """(x [R, n, d] in the compute type, y [R, n]) -> mean cross-entropy [R, C] and its gradient, keyed and shaped like `params`.

    The gradient's memory is that of the last call.
    """

    def __init__(self, options: Mapping[str, Any], params: Params, compute: torch.dtype) -> None:
        self.params, self.compute = params, compute
        self.depth, self.eps = options["depth"], options["eps"]
        self.normed, self.affine = options["norm"] == "bn", options["affine"] == "yes"
        self.replicates, self.cells = params["head.weight"].shape[:2]
        self.stack = self.replicates * self.cells
        self.names = [f"hidden.{i}" for i in range(self.depth)]
        self.grads = {name: torch.zeros_like(w) for name, w in params.items()}
        # products in the type of the weights go straight to their place
        self.products = self.grads if compute == params["head.weight"].dtype else {
            name: torch.empty_like(w, dtype=compute) for name, w in params.items() if name.endswith("weight")}
        self.rows = 0

    def _make_room(self, rows: int) -> None:
        """Memory for a batch of `rows`."""
        self.rows, width, outputs = rows, self.params["hidden.0.weight"].shape[2], self.params["head.weight"].shape[2]
        empty = lambda *shape: torch.empty(self.stack, *shape, dtype=self.compute)  # noqa: E731
        self.values = [empty(width, rows) for _ in self.names]
        self.normalised = [empty(width, rows) for _ in self.names] if self.normed else self.values
        self.roots = [empty(width) for _ in self.names]
        self.slopes = [empty(width, rows) for _ in self.names]
        self.logits = empty(outputs, rows)
        self.ones, self.zeros = (np.full((self.stack, width), value, self.params["head.weight"].numpy().dtype) for value in (1, 0))

    def _cast(self, name: str) -> torch.Tensor:
        """A tensor in the compute type, cells of all replicates along the first axis."""
        return self.params[name].to(self.compute).flatten(0, 1)

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if x.shape[1] != self.rows:
            self._make_room(x.shape[1])
        weights = {name: self._cast(f"{name}.weight") for name in [*self.names, "head"]}
        for i, name in enumerate(self.names):
            z = self.normalised[i]
            if i == 0:
                wide = weights[name].view(self.replicates, -1, x.shape[2])
                torch.bmm(wide, x.transpose(1, 2), out=z.view(self.replicates, -1, self.rows))
            else:
                torch.bmm(weights[name], self.values[i - 1], out=z)
            self._activate(i, z)
        torch.bmm(weights["head"], self.values[-1], out=self.logits)
        loss, slope = self._loss(y)
        torch.bmm(slope, self.values[-1].transpose(1, 2), out=self.products["head.weight"].flatten(0, 1))
        for i in reversed(range(self.depth)):
            above = weights[self.names[i + 1]] if i + 1 < self.depth else weights["head"]
            torch.bmm(above.transpose(1, 2), slope, out=self.slopes[i])
            slope = self.slopes[i]
            self._deactivate(i, slope)
            into = self.products[f"hidden.{i}.weight"]
            if i == 0:
                torch.bmm(slope.view(self.replicates, -1, self.rows), x, out=into.view(self.replicates, -1, x.shape[2]))
            else:
                torch.bmm(slope, self.values[i - 1].transpose(1, 2), out=into.flatten(0, 1))
        if self.products is not self.grads:
            for name, product in self.products.items():
                self.grads[name].copy_(product)
        return loss, self.grads

    def _a_unit(self, name: str) -> np.ndarray:
        """A bias or gain [A, H]."""
        return self.params[name].flatten(0, 1).numpy()

    def _affine(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return (self._a_unit(f"norms.{i}.gain"), self._a_unit(f"norms.{i}.bias")) if self.affine else (self.ones, self.zeros)

    def _activate(self, i: int, z: torch.Tensor) -> None:
        if self.normed:
            layers.norm_relu(z.numpy(), *self._affine(i), z.numpy().dtype.type(self.eps), self.roots[i].numpy(), self.values[i].numpy())
        elif self.compute == torch.bfloat16:
            z.add_(self._cast(f"hidden.{i}.bias")[..., None]).relu_()
        else:
            layers.bias_relu(z.numpy(), self._a_unit(f"hidden.{i}.bias"))

    def _deactivate(self, i: int, slope: torch.Tensor) -> None:
        if self.normed:
            gain, bias = (self.grads.get(f"norms.{i}.{name}", self.roots[i].clone()) for name in ("gain", "bias"))
            layers.norm_masked(slope.numpy(), self.values[i].numpy(), self.normalised[i].numpy(), self._affine(i)[0],
                               self.roots[i].numpy(), gain.view(self.stack, -1).numpy(), bias.view(self.stack, -1).numpy())
            return
        into = self.grads[f"hidden.{i}.bias"].view(self.stack, -1)
        if self.compute == torch.bfloat16:
            torch.ops.aten.threshold_backward.grad_input(slope, self.values[i], 0, grad_input=slope)
            into.copy_(slope.sum(-1))
        else:
            layers.masked(slope.numpy(), self.values[i].numpy(), into.numpy())

    def _loss(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss [R, C], slope of the outputs [A, k, n] in the compute type)."""
        master = self.params["head.weight"].dtype
        z = self.logits.to(master)
        picked, total = (z.new_empty(self.stack, self.rows) for _ in range(2))
        bias, loss = self._a_unit("head.bias"), z.new_empty(self.stack)
        if self.compute == torch.bfloat16:
            # the outputs are rounded with their bias, as `mlp.stacked` does
            z = (self.logits + self._cast("head.bias")[..., None]).to(master)
            bias = np.zeros_like(bias)
        targets = y.numpy()
        layers.shifted(z.numpy(), bias, targets, self.cells, picked.numpy())
        z.exp_()
        layers.softmax_slope(z.numpy(), targets, self.cells, total.numpy(), self.grads["head.bias"].view(self.stack, -1).numpy())
        layers.mean_difference(total.log_().numpy(), picked.numpy(), loss.numpy())
        return loss.view(self.replicates, self.cells), z.to(self.compute)


def training(options: Mapping[str, Any], params: Params, compute: torch.dtype) -> Training | None:
    """`Training` where it is written: on a CPU; of norms in the type that the weights are stored in."""
    first = params["head.weight"]
    if first.device.type != "cpu" or options["norm"] not in ("none", "bn") or (options["norm"] == "bn" and first.dtype != compute):
        return None
    return Training(options, params, compute)
