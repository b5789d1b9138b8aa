"""Mean data losses, in nats where they are likelihoods. A penalty is never part of them."""

import torch
import torch.nn.functional as F


def squared_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean of 1/2 (z - y)^2; z [n, 1], y [n]."""
    return 0.5 * (z.squeeze(-1) - y).square().mean()


def logistic_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood, nats; z [n, 1] logits, y [n] in {0, 1}."""
    return F.binary_cross_entropy_with_logits(z.squeeze(-1), y)


def softmax_loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, nats; z [n, k] logits, y [n] class numbers, or z [n, T, k] and y [n, T] tokens."""
    return -torch.log_softmax(z, -1).gather(-1, y.long().unsqueeze(-1)).mean()
