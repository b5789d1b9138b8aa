"""Decoder-only transformers after GPT-2 (Radford et al. 2019) as nanoGPT writes it, without biases and dropout.

Attention is written out, because torch's fused one has no rule for vmap and says nothing of the type its softmax is rounded to.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from wdbench import precision
from wdbench.datasets.options import choice, count
from wdbench.errors import UserError
from wdbench.models.families import Family, Setting, group, register
from wdbench.models.losses import softmax_loss
from wdbench.models.norms import LayerNorm

STD = 0.02


class Attention(nn.Module):
    """Causal self-attention, x [n, T, w] -> [n, T, w].

    softmax=compute: the weights P are rounded to the type of x and P V is formed from them; softmax=master: scores are widened
    to fp32 (at least), P stays unrounded, P V is formed in that type and rounded once.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        width = options["width"]
        self.heads, self.wide = options["heads"], options["softmax"] == "master"
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) / sqrt(q.shape[-1])
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        mixed = precision.widened(_mix, scores, v, later) if self.wide else _mix(scores, v, later)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, width))


def _mix(scores: torch.Tensor, v: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
    """softmax(scores) v over the positions that are not later; scores [n, heads, T, T], v [n, heads, T, w / heads]."""
    return torch.softmax(scores.masked_fill(later, float("-inf")), -1) @ v


class MLP(nn.Module):
    """x [..., w] -> gelu(x A') B' [..., w] with 4 w hidden units; the exact GELU, as nanoGPT's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, 4 * width, bias=False)
        self.proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(F.gelu(self.fc(x)))


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.ln1, self.attn = LayerNorm(options["width"]), Attention(options)
        self.ln2, self.mlp = LayerNorm(options["width"]), MLP(options["width"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    """Tokens [n, T] of an integer type -> logits of the next token [n, T, vocab]; T at most `context`."""

    def __init__(self, options: Mapping[str, Any], n_features: int, n_outputs: int) -> None:
        super().__init__()
        for have, key, what in ((n_features, "context", "tokens a row"), (n_outputs, "vocab", "different tokens")):
            if have > options[key]:
                raise UserError(f"model 'gpt': option {key}: value {options[key]} is below the {have} {what} of the data; "
                                f"valid: {key}={have} or more")
        width, vocab = options["width"], options["vocab"]
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(options["context"], width)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options["depth"]))
        self.ln = LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False) if options["tied"] == "no" else None

    def forward(self, x: torch.Tensor, reference: int | None = None) -> torch.Tensor:
        x = self.wte(x) + self.wpe.weight[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = self.ln(x)
        return F.linear(x, self.wte.weight) if self.head is None else self.head(x)


def initial(options: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[str, float]:
    """GPT-2's start values: std 0.02, projections into the residual stream divided by sqrt(2 depth), gains 1."""
    if group(name) == "norm":
        return "constant", 1.0
    return "normal", STD / sqrt(2 * options["depth"]) if name.endswith("proj.weight") else STD


def _conflict(options: Mapping[str, Any]) -> str | None:
    if options["width"] % options["heads"]:
        return f"option heads: value {options['heads']} does not divide width={options['width']}; valid: a divisor of it"
    return None


OPTIONS = {
    "depth": Setting(count("blocks", high=1000), 2),
    "width": Setting(count("width of the residual stream", high=100_000), 64),
    "heads": Setting(count("attention heads", high=1000), 4),
    "context": Setting(count("most tokens of a sequence", high=100_000), 64),
    "vocab": Setting(count("tokens known", low=2, high=1_000_000), 256),
    "tied": Setting(choice("the head is the token embedding", "yes", "no"), "yes"),
    "softmax": Setting(choice("type of the attention weights, of use in bf16", "master", "compute"), "master"),
}

register(Family("gpt", ("language",), GPT, softmax_loss, initial, options=OPTIONS, conflict=_conflict))
