"""Our side of each comparison: a name that published.yaml may ask for, and how its number is made."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from wdbench import datasets, sealing, seeds, stats
from wdbench.errors import UserError
from wdbench.published import labs, toy

ALPHA = 0.05
_ZOU_NOISE = {"zou1": 3.0, "zou2": 3.0, "zou3": 15.0, "zou4": 15.0}


@dataclass(frozen=True)
class Found:
    """A number of ours, with a 95 % interval where it is an estimate (of draws: the central 95 % of them)."""

    value: float
    low: float = np.nan
    high: float = np.nan


class Evidence:
    """The published tables of a run, read when they are asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @cached_property
    def runs(self) -> pd.DataFrame:
        return sealing.read(self.folder / "runs.parquet")

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        return sealing.read(self.folder / "verdicts.csv")

    @cached_property
    def identities(self) -> pd.DataFrame:
        return sealing.read(self.folder / "identities.csv")

    @cached_property
    def torch_flags(self) -> pd.DataFrame:
        return sealing.read(self.folder / "torch_flags.csv")

    def study(self, name: str) -> pd.DataFrame:
        """Finished rows of a study. Raises UserError where the run has none."""
        rows = self.runs[(self.runs["study"] == name) & (self.runs["status"] == "ok")]
        if rows.empty:
            raise UserError(f"{self.folder / 'runs.parquet'}: study: value {name!r}: no finished row; valid: a run of profile core")
        return rows


def toy_norm(evidence: Evidence, protocol: str, lam: float, squared: bool) -> Found:
    """Median over the draws of |w|, or of 1/2 |w|^2, which the later editions print under the name of the norm."""
    norms = toy.trained(protocol, lam)[0]
    values = 0.5 * norms**2 if squared else norms
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return Found(float(np.median(values)), float(low), float(high))


def toy_gain(evidence: Evidence, protocol: str, lam: float) -> Found:
    """Mean log of the exact risk with decay over that without; protocol `exact`: of minimisers instead of trained weights."""
    risks = [toy.solved(value)[1] if protocol == "exact" else toy.trained(protocol, value)[1] for value in (lam, 0.0)]
    found = stats.mean_effect(np.log(risks[0] / risks[1]), ALPHA, seeds.generator("d2l", 0, "bootstrap"))
    return Found(found.mean, found.low, found.high)


def lab_norm(evidence: Evidence, position: int) -> Found:
    return Found(labs.norm(position))


def lab_error(evidence: Evidence, edition: int, penalty: str = "l2", lam: float | None = None) -> Found:
    return Found(labs.test_error(edition, penalty, lam))


def lab_variables(evidence: Evidence, lam: float, exact: bool) -> Found:
    return Found(labs.variables(lam, exact))


def zou_errors(evidence: Evidence) -> pd.DataFrame:
    """Model error (w - w*)' Sigma (w - w*) + (b - b*)^2 at the lambda with the least validation loss; index data set and replicate."""
    rows = evidence.study("zou")
    best = rows.loc[rows.groupby(["dataset", "penalty", "replicate"])["val_loss"].idxmin()]
    error = 2.0 * best["test_loss"] - best["dataset"].map(_ZOU_NOISE) ** 2
    return best.assign(error=error).pivot(index=["dataset", "replicate"], columns="penalty", values="error")


def zou_median(evidence: Evidence, example: int, penalty: str) -> Found:
    """Median model error, with the percentile interval of the bootstrap over replicates."""
    values = zou_errors(evidence)[penalty].loc[f"zou{example}"].to_numpy()
    return _bootstrapped(lambda pick: np.median(values[pick], axis=-1), len(values), f"zou{example}")


def zou_order(evidence: Evidence, example: int, penalty: str, against: str) -> Found:
    """Log of the ratio of two medians; replicates are drawn with both of their values."""
    table = zou_errors(evidence).loc[f"zou{example}"]
    one, other = table[penalty].to_numpy(), table[against].to_numpy()
    return _bootstrapped(lambda pick: np.log(np.median(one[pick], axis=-1) / np.median(other[pick], axis=-1)), len(one), f"zou{example}")


def _bootstrapped(statistic: Callable[[np.ndarray], np.ndarray], n: int, name: str) -> Found:
    picks = seeds.generator(name, 0, "bootstrap").integers(0, n, (stats.RESAMPLES, n))
    low, high = np.quantile(statistic(picks), [ALPHA / 2, 1 - ALPHA / 2])
    return Found(float(statistic(np.arange(n))), float(low), float(high))


def rotation_ratio(evidence: Evidence, study: str, optimiser: str, batch_size: int) -> Found:
    """Measured over predicted angle a step of the hidden weights, over data sets, learning rates and lambdas."""
    rows = evidence.study(study)
    rows = rows[(rows["optimiser"] == optimiser) & (rows["batch_size"] == batch_size)].dropna(subset=["rotation_ratio_hidden"])
    strata = rows["dataset"].astype(str) + rows["lr"].map(" {:g}".format) + rows["lambda"].map(" {:g}".format)
    clusters = rows["dataset"].astype(str) + rows["replicate"].map(" {}".format)
    found = stats.pooled_effect(rows["rotation_ratio_hidden"].to_numpy(float), strata.to_numpy(str), clusters.to_numpy(str), ALPHA,
                                seeds.generator(study, 0, "bootstrap"))
    return Found(found.mean, found.low, found.high)


def identity_error(evidence: Evidence, identity: str, case: str) -> Found:
    """Measured error of one checked case of an identity."""
    rows = evidence.identities
    rows = rows[(rows["identity"] == identity) & (rows["case"] == case)]
    if len(rows) != 1:
        raise UserError(f"{evidence.folder / 'identities.csv'}: {identity}: case: value {case!r}: there {len(rows)} times; valid: once")
    return Found(float(rows["max_error"].iloc[0]))


def verdict_estimate(evidence: Evidence, claim: str, dataset: str = "all", model: str = "", sign: int = 1) -> Found:
    """Estimate of a claim on the stratum of a data set (its base name) and model; sign -1 turns it back where the claim expects less."""
    rows = evidence.verdicts[evidence.verdicts["claim_id"] == claim]
    parts = rows["dataset"].str.split(" / ")
    rows = rows[(parts.str[0].map(datasets.base_name) == dataset) & (parts.str[1:].str.join(" / ") == model)]
    if len(rows) != 1 or rows["estimate"].isna().any():
        raise UserError(f"{evidence.folder / 'verdicts.csv'}: claim_id: value {claim!r} on {dataset!r}: no estimate; valid: a claim that "
                        f"this run has tested")
    estimate, low, high = (float(rows[name].iloc[0]) for name in ("estimate", "ci_low", "ci_high"))
    return Found(estimate, low, high) if sign > 0 else Found(-estimate, -high, -low)


def flag_fidelity(evidence: Evidence, optimiser: str, implementation: str, dtype: str, exponent: int) -> Found:
    """Share of the decay that torch's own optimiser applies where a step should take away 2^exponent of a weight; the median."""
    rows = evidence.torch_flags
    rows = rows[(rows["optimiser"] == optimiser) & (rows["implementation"] == implementation) & (rows["dtype"] == dtype)
                & (rows["decay_per_step"] == 2.0**exponent)]
    if rows.empty:
        raise UserError(f"{evidence.folder / 'torch_flags.csv'}: implementation: value {implementation!r}: no row of {optimiser} in "
                        f"{dtype} at 2^{exponent}; valid: what `python -m wdbench torch-flags` measures")
    return Found(float(rows["fidelity"].median()))


def bf16_threshold(evidence: Evidence) -> Found:
    """Largest delta for which torch's w.mul_(1 - delta) changes no normal positive bf16 number, by bisection over all of them."""
    words = torch.arange(0x0080, 0x7F80, dtype=torch.int32).to(torch.int16)
    w = words.view(torch.bfloat16)
    low, high = 0.0, 2.0**-8
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if bool((w.clone().mul_(1 - middle) == w).all()) else (low, middle)
    return Found(low)


MEASURED: dict[str, Callable[..., Found]] = {f.__name__: f for f in (
    toy_norm, toy_gain, lab_norm, lab_error, lab_variables, zou_median, zou_order, rotation_ratio, identity_error, verdict_estimate,
    flag_fidelity, bf16_threshold)}
