"""Mean data losses, in nats where they are likelihoods. A penalty is never part of them."""

from functools import reduce

import torch
import torch.nn.functional as F

# up to so many classes the loss is faster taken class by class over all rows than row by row over all classes
FEW_CLASSES = 32


def squared_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean of 1/2 (z - y)^2; z [n, 1], y [n]."""
    return 0.5 * (z.squeeze(-1) - y).square().mean()


def logistic_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood, nats; z [n, 1] logits, y [n] in {0, 1}."""
    return F.binary_cross_entropy_with_logits(z.squeeze(-1), y)


def softmax_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, nats; z [n, k] logits, y [n] class numbers, or z [n, T, k] and y [n, T] tokens."""
    return -torch.log_softmax(z, -1).gather(-1, y.long().unsqueeze(-1)).mean()


def softmax_loss_and_slope(z: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`softmax_loss` [R, C] of a whole stack of logits z [R, C, n, k], k <= FEW_CLASSES, with targets y [R, n]; its derivative by z.

    The sum over classes is in a written-out order, so that a cell's bits do not depend on its neighbours.
    """
    planes = z.movedim(-1, 0).contiguous()
    index = y.long()[None, :, None, :].expand(1, *z.shape[:-1])
    peak = reduce(torch.maximum, planes.unbind(0))
    shares = (planes - peak).exp_()
    total = reduce(torch.add, shares.unbind(0))
    rows = z.shape[2]
    loss = (peak + total.log() - planes.gather(0, index)[0]).sum(-1) / rows
    shares.div_(total).scatter_add_(0, index, shares.new_full((1, 1, 1, 1), -1.0).expand_as(index)).div_(rows)
    return loss, shares.movedim(0, -1)
