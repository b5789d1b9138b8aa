"""Penalties of one family: lambda1 ||w||_1 + lambda2 1/2 ||w||^2, and what other tools call the same numbers.

Everything here works on numpy arrays and on torch tensors alike; weights may be stacked, coefficients may be
scalars or anything that broadcasts against the weights. The one unit of lambda:
F(w, b) = (1/n) sum_i l_i + lambda2 1/2 ||w||^2 + lambda1 ||w||_1, l = 1/2 r^2 or the cross-entropy in nats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Penalty:
    """A member of the family. shares(l1_ratio) -> the parts of lambda that become lambda1 and lambda2."""

    name: str
    shares: Callable[[float], tuple[float, float]]


PENALTIES: dict[str, Penalty] = {}


def register(penalty: Penalty) -> Penalty:
    """Add a penalty, also from a plugin. Raises ValueError where the name is taken."""
    if penalty.name in PENALTIES:
        raise ValueError(f"penalty {penalty.name!r} is registered already")
    PENALTIES[penalty.name] = penalty
    return penalty


register(Penalty("none", lambda l1_ratio: (0.0, 0.0)))
register(Penalty("l1", lambda l1_ratio: (1.0, 0.0)))
register(Penalty("l2", lambda l1_ratio: (0.0, 1.0)))
register(Penalty("elastic", lambda l1_ratio: (l1_ratio, 1.0 - l1_ratio)))


def split(penalty: str, l1_ratio: float, lam: float) -> tuple[float, float]:
    """(lambda1, lambda2) of `penalty` at strength lam (scalar or array, >= 0); l1_ratio is for elastic.

    Raises ValueError for an unknown penalty, a negative or infinite lam, an elastic l1_ratio outside [0, 1].
    """
    if penalty not in PENALTIES:
        raise ValueError(f"unknown penalty {penalty!r}; one of {', '.join(PENALTIES)}")
    if not np.all(np.isfinite(lam)) or np.any(np.asarray(lam) < 0):
        raise ValueError(f"lambda must be finite and >= 0, not {lam}")
    if penalty == "elastic" and not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio must lie in [0, 1], not {l1_ratio}")
    share1, share2 = PENALTIES[penalty].shares(l1_ratio)
    return lam * share1, lam * share2


def value(w: Any, lambda1: Any, lambda2: Any) -> Any:
    """lambda1 ||w||_1 + lambda2 1/2 ||w||^2 over all of w; a scalar of w's kind."""
    return lambda1 * abs(w).sum() + lambda2 * (0.5 * (w * w).sum())


def gradient(w: Any, lambda1: Any, lambda2: Any) -> Any:
    """lambda1 sign(w) + lambda2 w, with sign(0) = 0, a sub-gradient of the L1 part. Shape of w."""
    sign = w.sign() if hasattr(w, "sign") else np.sign(w)
    return lambda1 * sign + lambda2 * w


def prox(w: Any, t1: Any, t2: Any) -> Any:
    """argmin_v 1/2 ||v - w||^2 + t1 ||v||_1 + t2 1/2 ||v||^2 = soft(w, t1) / (1 + t2).

    Parikh & Boyd 2014, section 6.5. t1 = step * lambda1, t2 = step * lambda2. soft(w, t) = w - clip(w, -t, t)
    so that a dead coordinate is exactly 0 and t1 = 0 gives w back bit for bit (the added 0.0: even a -0.0).
    """
    return (w - (w.clip(-t1, t1) + 0.0)) / (1.0 + t2)


@dataclass(frozen=True)
class Convention:
    """How another tool writes the same penalty.

    params: its numbers; formula: the relation, for tables; l1, l2: which parts it can express.
    to(lambda1, lambda2, **context) -> dict of params; back(**params, **context) -> (lambda1, lambda2).
    context: what else is needed ("n": training rows; "y_sd": sd of y, ddof=0; "lr": the step size of
    the step, "lr_max": the largest one of the schedule).
    """

    name: str
    params: tuple[str, ...]
    formula: str
    to: Callable[..., dict]
    back: Callable[..., tuple]
    context: tuple[str, ...] = ()
    l1: bool = False
    l2: bool = True


def _mix(lambda1: float, lambda2: float) -> tuple[float, float]:
    """(lambda, l1_ratio) with lambda1 = l1_ratio lambda, lambda2 = lambda - lambda1; ratio 0 for (0, 0)."""
    total = lambda1 + lambda2
    return total, (lambda1 / total if total > 0 else 0.0)


def _to_logistic(lambda1: float, lambda2: float, n: int) -> dict[str, Any]:
    total, ratio = _mix(lambda1, lambda2)
    return {"C": 1.0 / (n * total) if total > 0 else float("inf"), "l1_ratio": ratio}


def _to_glmnet(lambda1: float, lambda2: float, y_sd: float) -> dict[str, Any]:
    lam, alpha = _mix(lambda1, lambda2 * y_sd)
    return {"lambda": lam, "alpha": alpha}


CONVENTIONS: dict[str, Convention] = {c.name: c for c in (
    Convention(
        "sklearn_ridge", ("alpha",), "sum r^2 + alpha ||w||^2: alpha = n lambda2", context=("n",),
        to=lambda l1, l2, n: {"alpha": n * l2}, back=lambda alpha, n: (0.0, alpha / n)),
    Convention(
        "sklearn_lasso", ("alpha",), "1/(2n) sum r^2 + alpha ||w||_1: alpha = lambda1",
        l1=True, l2=False, to=lambda l1, l2: {"alpha": l1}, back=lambda alpha: (alpha, 0.0)),
    Convention(
        "sklearn_elasticnet", ("alpha", "l1_ratio"), "alpha = lambda1 + lambda2, l1_ratio = lambda1 / alpha",
        l1=True, to=lambda l1, l2: dict(zip(("alpha", "l1_ratio"), _mix(l1, l2), strict=True)),
        back=lambda alpha, l1_ratio: (alpha * l1_ratio, alpha * (1 - l1_ratio))),
    Convention(
        "sklearn_logistic", ("C", "l1_ratio"), "C sum l + (1-r)/2 ||w||^2 + r ||w||_1: C = 1 / (n lambda)",
        l1=True, context=("n",), to=_to_logistic,
        back=lambda C, l1_ratio, n: (l1_ratio / (n * C), (1 - l1_ratio) / (n * C))),
    Convention(
        "sum_ridge", ("Lambda",), "sum r^2 + Lambda ||w||^2 (no 1/n, no 1/2): Lambda = n lambda2",
        context=("n",), to=lambda l1, l2, n: {"Lambda": n * l2}, back=lambda Lambda, n: (0.0, Lambda / n)),
    Convention(
        "sum_lasso", ("Lambda",), "sum r^2 + Lambda ||w||_1: Lambda = 2 n lambda1",
        l1=True, l2=False, context=("n",),
        to=lambda l1, l2, n: {"Lambda": 2 * n * l1}, back=lambda Lambda, n: (Lambda / (2 * n), 0.0)),
    Convention(
        "why_weight_decay", ("l2_reg",),
        "mean l + l2_reg ||w||^2 (D'Angelo et al. 2024, released code): l2_reg = lambda2 / 2",
        to=lambda l1, l2: {"l2_reg": l2 / 2}, back=lambda l2_reg: (0.0, 2 * l2_reg)),
    Convention(
        "d2l", ("lambd",), "mean l + lambd 1/2 ||w||^2 (Dive into Deep Learning, 3.7): lambd = lambda2",
        to=lambda l1, l2: {"lambd": l2}, back=lambda lambd: (0.0, lambd)),
    Convention(
        "torch", ("weight_decay",), "g += weight_decay w in torch.optim SGD and Adam: weight_decay = lambda2",
        to=lambda l1, l2: {"weight_decay": l2}, back=lambda weight_decay: (0.0, weight_decay)),
    Convention(
        "adamw_per_step", ("decay",), "w *= 1 - decay at this step (torch AdamW): decay = lr lambda2",
        context=("lr",), to=lambda l1, l2, lr: {"decay": lr * l2}, back=lambda decay, lr: (0.0, decay / lr)),
    Convention(
        "independent", ("weight_decay",),
        "w -= s_t weight_decay w, s_t = lr_t/lr_max (Loshchilov, Hutter 2019): weight_decay = lr_max lambda2",
        context=("lr_max",),
        to=lambda l1, l2, lr_max: {"weight_decay": lr_max * l2},
        back=lambda weight_decay, lr_max: (0.0, weight_decay / lr_max)),
    Convention(
        "glmnet_gaussian", ("lambda", "alpha"),
        "glmnet fits y / sd(y) (ddof 0), its lambda is in y's unit: lambda1 = alpha lambda, "
        "lambda2 = (1 - alpha) lambda / sd(y)", l1=True, context=("y_sd",),
        to=_to_glmnet, back=lambda y_sd, **params: (
            params["alpha"] * params["lambda"], (1 - params["alpha"]) * params["lambda"] / y_sd)),
)}


def _convention(name: str, context: dict[str, Any]) -> Convention:
    if name not in CONVENTIONS:
        raise ValueError(f"unknown convention {name!r}; one of {', '.join(CONVENTIONS)}")
    convention = CONVENTIONS[name]
    if set(context) != set(convention.context):
        raise ValueError(f"convention {name} needs {convention.context or 'nothing'}, not {tuple(context)}")
    return convention


def to_convention(name: str, lambda1: float, lambda2: float, **context: float) -> dict[str, float]:
    """The numbers that convention `name` uses for (lambda1, lambda2); context: CONVENTIONS[name].context.

    Raises ValueError for an unknown name, missing or superfluous context, or a part that it cannot express.
    """
    convention = _convention(name, context)
    if (lambda1 and not convention.l1) or (lambda2 and not convention.l2):
        raise ValueError(f"convention {name} cannot express lambda1={lambda1}, lambda2={lambda2}")
    return convention.to(lambda1, lambda2, **context)


def from_convention(name: str, params: dict[str, float], **context: float) -> tuple[float, float]:
    """(lambda1, lambda2) of the numbers `params` of convention `name`; the inverse of `to_convention`."""
    convention = _convention(name, context)
    if set(params) != set(convention.params):
        raise ValueError(f"convention {name} has {convention.params}, not {tuple(params)}")
    return convention.back(**params, **context)
