"""How many directions the weights of a layer use."""

import torch


def ranks(weights: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """stable_rank and effective_rank [R, C], means over the layers, of weights [R, C, out, ...]; NaN where one is all zero or not finite.

    A convolution's kernel counts as the matrix [out, in * height * width]. Stable rank: |W|_F^2 / |W|_2^2 (Rudelson & Vershynin
    2007, arXiv math/0503442). Effective rank: exp of the entropy of the singular values over their sum (Roy & Vetterli 2007).
    """
    stable, effective = [], []
    for w in weights:
        matrix = w.double().flatten(3)
        # the decomposition refuses the whole stack for one cell that is not finite
        finite = matrix.isfinite().all(-1).all(-1)
        s = torch.linalg.svdvals(torch.where(finite[..., None, None], matrix, 0.0))
        stable.append(s.square().sum(-1) / s[..., 0].square())
        share = s / s.sum(-1, keepdim=True)
        effective.append(torch.special.entr(share).sum(-1).exp())
    return {"stable_rank": torch.stack(stable).mean(0), "effective_rank": torch.stack(effective).mean(0)}
