"""A claim's estimand in words: what one unit of its estimate is, and its formula."""

from collections.abc import Iterable

from wdbench.config.claimparts import Tolerance
from wdbench.config.claims import Claim


def effect_unit(claim: Claim) -> str:
    """What one unit of `estimate` is; empty for identities and claims that are not tested."""
    if not claim.tested:
        return ""
    what = "event rate" if claim.event is not None else ", ".join(claim.metric)
    if claim.tolerance is not None:
        what = _tolerated(claim.tolerance, what)
    unit = {"difference": what, "relative": f"{what}, relative", "log_ratio": f"log({what})"}[claim.effect]
    if claim.x is None:
        return unit
    return (
        f"Kendall tau of {unit} with {_x(claim)}" if claim.statistic == "kendall" else f"{unit} per unit of {_x(claim)}"
    )


def _tolerated(asked: Tolerance, what: str) -> str:
    if asked.draws:
        return f"expected {what} of the best of {_listed(asked.draws)} cells drawn at random"
    ends = _listed([f"{100 * e:g}" for e in asked.within])
    whose = "the arm's own best" if asked.of == "own" else "the better arm's best"
    return f"share of cells with {what} within {ends} % of {whose}"


def _listed(values: Iterable[int | str]) -> str:
    return ", ".join(map(str, values))


def equation(claim: Claim) -> str:
    """The estimand in one line: t is the treatment's value in a block, c the control's."""
    if not claim.tested:
        return ""
    control = "c" if claim.threshold is None else f"{claim.threshold:g}"
    if "control" not in claim.arms and claim.threshold is None:
        pair = "t" if claim.effect == "difference" else "log t"
    else:
        pair = {
            "difference": f"t - {control}",
            "relative": f"(t - {control})/|{control}|",
            "log_ratio": f"log(t/{control})",
        }[claim.effect]
    inner = pair
    match claim.kind:
        case "slope":
            inner = f"{'tau' if claim.statistic == 'kendall' else 'slope'}({pair} on {_x(claim)})"
        case "ushape":
            side = "a valley" if claim.direction == "lower" else "a hill"
            return (
                f"lesser mean over blocks of the two end slopes of parabola({pair} on {_x(claim)}), signed for {side}"
            )
        case "interaction":
            inner = f"({pair}) where claimed - ({pair}) where other"
        case "share":
            inner = f"({pair}) where claimed - 1/2 ({pair}) where other"
        case "event":
            inner = "event in t - event in c"
    return f"{'-' if claim.direction == 'lower' else ''}mean over blocks of [{inner}]"


def _x(claim: Claim) -> str:
    return f"{claim.x}" if claim.x_transform == "none" else f"{claim.x_transform}({claim.x})"
