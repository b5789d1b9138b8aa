"""The product of attention weights and values in bf16: when ties of the row maximum bias its rounding (P15m).

Flash attention holds P = exp(s - m), m the row maximum, in bf16, and rounds P V to bf16. An entry at the maximum is exactly 1, so that of
several tied ones the product is a sum of bf16 values: it lies on a grid of 2^-j ulp, j the bits by which the sum outgrows its terms. The
rest of the row is far smaller, has V's sign where V has one sign, and decides every half: always away from 0. With 2^j ties and
all fractions equally likely the mean error is then

    2^-(j+1) ulp away from 0        (fractions f = 0, 2^-j, ...: f < 1/2 is cut off, f >= 1/2 is filled up)

where rounding half to even alone would have mean 0. Qiu & Yao 2025 (arXiv 2510.04212) name this as the cause of the loss explosions in
bf16 that weight decay was said to prevent, and move m where several entries tie: 2 m for m > 0, 0 for m < 0, so that P is no longer 1.
"""

from collections.abc import Iterator

import torch

from wdbench import precision
from wdbench.identities.registry import Result, check, counter, generator

GROUPS, ROWS, LENGTH, WIDTH = 100, 20, 32, 64
CLOSE = 1e-3
FAR = (14.0, 20.0)


def weights(scores: torch.Tensor, shifted: bool = False) -> torch.Tensor:
    """P = exp(s - m) in bf16, shape of `scores` [..., rows, length], fp32; `shifted`: with the moved maximum of arXiv 2510.04212."""
    m = scores.amax(-1, keepdim=True)
    if shifted:
        several = (scores >= m - CLOSE).sum(-1, keepdim=True) > 1
        m = torch.where(several & (m > 0), 2.0 * m, torch.where(several & (m < 0), torch.zeros_like(m), m))
    return precision.nearest(torch.exp(scores - m))


def signed_error(p: torch.Tensor, values: torch.Tensor, keep_fp32: bool = False) -> torch.Tensor:
    """Error of P V, summed in fp32 and rounded to bf16, against the same product in fp64; ulp of bf16, positive away from 0."""
    exact, product = p.double() @ values.double(), p @ values
    return ((product if keep_fp32 else precision.nearest(product)).double() - exact) * exact.sign() / precision.ulp(exact.float()).double()


def rows(ties: int, remainder: tuple[float, float] | None = FAR, seed: int = 0) -> torch.Tensor:
    """Scores [GROUPS, ROWS, LENGTH]: `ties` entries at a maximum between 1 and 4 at random places, the others below it by `remainder`."""
    rng = generator("P15m", seed, ties)
    top = torch.as_tensor(rng.uniform(1.0, 4.0, (GROUPS, ROWS, 1)))
    below = torch.as_tensor(rng.uniform(*remainder, (GROUPS, ROWS, LENGTH)) if remainder else 200.0)
    order = torch.as_tensor(rng.random((GROUPS, ROWS, LENGTH))).argsort(-1)
    return torch.where(order < ties, top, top - below).float()


def values(sign: float, seed: int = 1) -> torch.Tensor:
    """V [GROUPS, LENGTH, WIDTH] on the bf16 grid, of one sign (1 or -1), with sizes in [1, 2)."""
    size = 1.0 + generator("P15m", seed).integers(0, 128, (GROUPS, LENGTH, WIDTH)) / 128.0
    return sign * torch.as_tensor(size).float()


COUNT = GROUPS * ROWS * WIDTH


@check("P15m", "2^j ties of the maximum: mean error of P V is 2^-(j+1) ulp away from 0", tolerance=0.01, unit="ulp")
def _() -> Iterator[Result]:
    for sign in (1.0, -1.0):
        for j in (1, 2, 3):
            found = signed_error(weights(rows(2**j)), values(sign)).mean()
            yield Result(COUNT, abs(float(found) - 2.0 ** -(j + 1)), f"{2**j} ties, V {'above' if sign > 0 else 'below'} 0",
                         f"mean signed error {float(found):.4f} ulp")


@check("P15m", "ties of the maximum bias P V", tolerance=0.05, unit="ulp", relation=">=")
def _() -> Iterator[Result]:
    for ties in (2, 3, 4, 6, 8):
        yield Result(COUNT, float(signed_error(weights(rows(ties)), values(-1.0)).mean()), f"{ties} ties")


@check("P15m", "with the maximum moved the same rows have no bias", tolerance=0.01, unit="ulp")
def _() -> Iterator[Result]:
    for ties in (2, 3, 4, 6, 8):
        yield Result(COUNT, abs(float(signed_error(weights(rows(ties), shifted=True), values(-1.0)).mean())), f"{ties} ties")


@check("P15m", "a single maximum has no bias", tolerance=0.01, unit="ulp")
def _() -> Result:
    return Result(COUNT, abs(float(signed_error(weights(rows(1)), values(-1.0)).mean())))


@check("P15m", "a product that is not rounded to bf16 has no bias", tolerance=1e-3, unit="ulp")
def _() -> Iterator[Result]:
    for ties in (2, 4, 8):
        found = signed_error(weights(rows(ties)), values(-1.0), keep_fp32=True)
        yield Result(COUNT, abs(float(found.mean())), f"{ties} ties")


@counter("P15m", "without a rest of the row, halves go to even: no bias", tolerance=0.01, unit="ulp", relation="<=")
def _() -> Iterator[Result]:
    for ties in (2, 4, 8):
        yield Result(COUNT, abs(float(signed_error(weights(rows(ties, None)), values(-1.0)).mean())), f"{ties} ties")


@counter("P15m", "a rest of many ulp washes the bias out", tolerance=0.02, unit="ulp", relation="<=")
def _() -> Iterator[Result]:
    for ties in (2, 4):
        yield Result(COUNT, abs(float(signed_error(weights(rows(ties, (0.5, 5.0))), values(-1.0)).mean())), f"{ties} ties")


@counter("P15m", "smaller query and key weights make more ties of the rounded maximum", tolerance=2.0, unit="times as many rows")
def _() -> Iterator[Result]:
    rng = generator("P15m", 2)
    scores = torch.as_tensor(rng.standard_normal((4000, LENGTH))).float()
    share = [float(((weights(scale * scores) == 1).sum(-1) > 1).double().mean()) for scale in (1.0, 0.1)]
    yield Result(4000, share[1] / share[0], note=f"share of rows {share[0]:.4f}, with both at a third of their size {share[1]:.4f}")
