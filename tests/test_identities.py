"""The identities hold on the code as it is, and fail on each of many mutants of it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from wdbench import affine, datasets, identities, models, oracle, penalties, precision, updates
from wdbench.cells import FORMS
from wdbench.datasets.truth import Truth
from wdbench.identities import attention, averages, registry, rotation, scale_free

CATALOGUE = [*(f"I{i}" for i in range(1, 34)), "P15m"]


@cache
def _rows() -> pd.DataFrame:
    return identities.run_all()


@cache
def _verdicts() -> pd.DataFrame:
    return identities.verdicts(_rows()).set_index("identity")


def test_every_identity_is_there():
    assert list(_verdicts().index) == CATALOGUE
    assert tuple(_rows().columns) == identities.COLUMNS


@pytest.mark.parametrize("identity", CATALOGUE)
def test_holds(identity):
    rows = _rows()[_rows().identity == identity]
    assert _verdicts().verdict[identity] == "holds", rows[~rows.holds.fillna(True)].to_string()


def test_counter_cases_are_seen():
    missing = _rows()[(_rows().kind == "counter") & ~_rows().holds.fillna(True)]
    assert missing.empty, missing.to_string()


def test_only_fetched_data_can_be_missing():
    untried = _rows()[_rows().holds.isna()]
    assert untried.note.str.startswith("unavailable; run: ").all()
    assert datasets.status("hitters").available or (untried.identity == "I3").any()
    assert not untried.identity.isin(["I15", "I30", "I5"]).any()


def test_data_that_were_not_fetched(monkeypatch):
    missing = datasets.Status(False, "wdbench data fetch it", "")
    monkeypatch.setattr(datasets, "status", lambda name: missing)
    rows = identities.run_all(["I3", "I26"])
    assert rows.holds.isna().sum() == 4
    assert set(rows.note[rows.holds.isna()]) == {"unavailable; run: wdbench data fetch it"}
    found = identities.verdicts(rows)
    assert found.verdict.tolist() == ["holds", "holds"]
    assert found.reason.str.contains("2 rows could not be tried").all()


def test_fixed_inputs():
    cheap = ["I2", "I6", "I12", "I13", "I17", "I27"]
    pd.testing.assert_frame_equal(identities.run_all(cheap), identities.run_all(cheap))


def test_threads_are_left_as_they_were():
    before = torch.get_num_threads()
    identities.run_all(["I12"])
    assert torch.get_num_threads() == before


def test_unknown_identity():
    with pytest.raises(ValueError, match="I99"):
        identities.run_all(["I99"])


# Mutants: each is one mistake somebody could make, and the identity that has to notice it.

MUTANTS = []


def mutant(identity):
    def registered(function):
        MUTANTS.append(pytest.param(function, identity, id=f"{function.__name__}-{identity}"))
        return function

    return registered


def _decay_with(change):
    """updates.decay with `change(coupling, lambda1, lambda2, lr_max, right answer)` in its place."""
    original = updates.decay

    def mutated(coupling, lambda1, lambda2, lr_max):
        return change(coupling, lambda1, lambda2, lr_max, original(coupling, lambda1, lambda2, lr_max))

    return mutated


@mutant("I5")
def wrong_sign(patch):
    patch(updates, "decay", _decay_with(lambda c, l1, l2, lr, right: right.map(lambda v: -v)))


@mutant("I5")
@mutant("I19")
@mutant("I20")
@mutant("I21")
@mutant("I22")
@mutant("I23")
@mutant("I33")
def decay_without_the_half(patch):
    patch(updates, "decay", _decay_with(lambda c, l1, l2, lr, right: right.map(lambda v: 2 * v)))


@mutant("I5")
def lambda1_and_lambda2_swapped(patch):
    original = updates.decay
    patch(updates, "decay", lambda c, lambda1, lambda2, lr: original(c, lambda2, lambda1, lr))


@mutant("I7")
@mutant("I19")
@mutant("I20")
def decay_lost(patch):
    patch(updates, "decay", _decay_with(lambda c, l1, l2, lr, right: replace(right, d2=0.0)))


@mutant("I7")
@mutant("I16")
@mutant("I17")
def coupled_is_decoupled(patch):
    def change(coupling, lambda1, lambda2, lr_max, right):
        return replace(right, a2=0.0, d2=lambda2) if coupling == "coupled" else right

    patch(updates, "decay", _decay_with(change))


@mutant("I16")
@mutant("I21")
@mutant("I33")
def independent_scales_with_lr(patch):
    def change(coupling, lambda1, lambda2, lr_max, right):
        return replace(right, i2=0.0, d2=lambda2) if coupling == "independent" else right

    patch(updates, "decay", _decay_with(change))


@mutant("I16")
@mutant("I33")
def independent_ignores_the_schedule(patch):
    original = updates.step

    def step(w, g, state, t, lr, schedule, *rest):
        return original(w, g, state, t, lr * schedule, 1.0, *rest)

    patch(updates, "step", step)


@mutant("I16")
@mutant("I14")
def momentum_without_its_gain(patch):
    patch(updates.Optimiser, "gain", property(lambda self: 1.0))


@mutant("I1")
def decay_at_lambda_zero(patch):
    def change(coupling, lambda1, lambda2, lr_max, right):
        return replace(right, d2=1e-13) if coupling == "decoupled" else right

    patch(updates, "decay", _decay_with(change))


@mutant("I1")
def prox_at_lambda_zero(patch):
    original = updates.soft
    patch(updates, "soft", lambda w, threshold: original(w, threshold) * (1 - 1e-15))


@mutant("I1")
def adam_without_bias_correction(patch):
    original = updates.step

    def step(w, g, state, t, *rest):
        return original(w, g, state, 10**6, *rest)

    patch(updates, "step", step)


@mutant("I14")
def no_prox(patch):
    patch(updates, "soft", lambda w, threshold: w)


@mutant("I14")
def hard_threshold(patch):
    patch(updates, "soft", lambda w, threshold: torch.where(w.abs() > threshold, w, torch.zeros_like(w)))


@mutant("I14")
def subgradient_with_prox(patch):
    def change(coupling, lambda1, lambda2, lr_max, right):
        return replace(right, q1=lambda1) if FORMS[coupling] == "subgradient" else right

    patch(updates, "decay", _decay_with(change))


def _nearest(patch, function):
    for module in (precision, updates):
        patch(module, "nearest", function)


def _toward_zero(x):
    return (x.float().contiguous().view(torch.int32) & -65536).view(torch.float32).to(x.dtype)


@mutant("I15")
@mutant("I30")
@mutant("P15m")
def truncation(patch):
    _nearest(patch, _toward_zero)


@mutant("I15")
def ties_toward_zero(patch):
    _nearest(patch, lambda x: _toward_zero((x.float().contiguous().view(torch.int32) + 0x7FFF).view(torch.float32)))


@mutant("I15")
@mutant("I30")
@mutant("P15m")
def no_rounding(patch):
    _nearest(patch, lambda x: x)


@mutant("P15m")
def maximum_that_is_not_moved(patch):
    original = attention.weights
    patch(attention, "weights", lambda scores, shifted=False: original(scores))


@mutant("P15m")
def ties_that_are_none(patch):
    original = attention.rows
    patch(attention, "rows", lambda ties, remainder=attention.FAR, seed=0: original(1, remainder, seed))


@mutant("I30")
def biased_noise(patch):
    original = precision.stochastic
    for module in (precision, updates):
        patch(module, "stochastic", lambda x, bits: original(x, bits // 2))


@mutant("I30")
def kahan_forgets(patch):
    original = updates.step

    def step(*arguments):
        w, state = original(*arguments)
        return w, state if state.remainder is None else replace(state, remainder=torch.zeros_like(w))

    patch(updates, "step", step)


@mutant("I30")
def ulp_of_the_next_binade(patch):
    original = precision.ulp
    patch(precision, "ulp", lambda w: 2 * original(w))


@mutant("I2")
@mutant("I12")
def value_without_the_half(patch):
    original = penalties.value
    patch(penalties, "value", lambda w, lambda1, lambda2: original(w, lambda1, 2 * lambda2))


@mutant("I2")
def gradient_with_lambdas_swapped(patch):
    original = penalties.gradient
    patch(penalties, "gradient", lambda w, lambda1, lambda2: original(w, lambda2, lambda1))


@mutant("I1")
def prox_divides_wrongly(patch):
    original = penalties.prox
    patch(penalties, "prox", lambda w, t1, t2: original(w, t1, t2) / (1 + 1e-15))


def _convention(patch, name, **changes):
    patch(penalties, "CONVENTIONS", penalties.CONVENTIONS | {name: replace(penalties.CONVENTIONS[name], **changes)})


@mutant("I3")
def ridge_sum_without_n(patch):
    _convention(patch, "sum_ridge", to=lambda l1, l2, n: {"Lambda": l2})


@mutant("I3")
def lasso_sum_without_two(patch):
    _convention(patch, "sum_lasso", to=lambda l1, l2, n: {"Lambda": n * l1})


@mutant("I3")
def logistic_without_n(patch):
    _convention(patch, "sklearn_logistic", to=lambda l1, l2, n: {"C": 1 / l2, "l1_ratio": 0.0})


@mutant("I3")
def glmnet_without_sd(patch):
    if not datasets.status("hitters").available:
        pytest.skip("hitters is not fetched")
    _convention(patch, "glmnet_gaussian", back=lambda y_sd, **p: (0.0, p["lambda"]))


@mutant("I2")
def repository_constant_without_half(patch):
    _convention(patch, "why_weight_decay", to=lambda l1, l2: {"l2_reg": l2})


@mutant("I16")
def independent_convention_without_lr(patch):
    _convention(patch, "independent", to=lambda l1, l2, lr_max: {"weight_decay": l2})


@mutant("I5")
@mutant("I28")
def squared_loss_without_the_half(patch):
    def loss(z, y):
        return (z.squeeze(-1) - y).square().mean()

    patch(models, "squared_loss", loss)
    patch(models, "FAMILIES", models.FAMILIES | {"linear": replace(models.FAMILIES["linear"], loss=loss)})


@mutant("I6")
def cross_entropy_summed(patch):
    original = models.softmax_loss
    patch(models, "softmax_loss", lambda z, y: original(z, y) * len(y))


@mutant("I5")
def stacked_gradient_summed(patch):
    original = affine.gradient

    def gradient(params, x, y, task, compute):
        loss, grads = original(params, x, y, task, compute)
        return loss, {name: value * x.shape[1] for name, value in grads.items()}

    patch(affine, "gradient", gradient)


def _oracle(patch, change):
    original = oracle.solve
    patch(oracle, "solve", lambda *arguments: change(original, *arguments))


@mutant("I2")
@mutant("I3")
@mutant("I27")
@mutant("I28")
def oracle_without_the_half(patch):
    def solve(original, block, model, penalty, ratio, lambdas, *rest):
        return original(block, model, penalty, ratio, [2 * v for v in lambdas], *rest)

    _oracle(patch, solve)


@mutant("I10")
@mutant("I24")
def oracle_penalises_the_bias(patch):
    def solve(original, block, model, penalty, ratio, lambdas, mask, *rest):
        return original(block, model, penalty, ratio, lambdas, "all", *rest)

    _oracle(patch, solve)


@mutant("I10")
@mutant("I14")
def oracle_stops_early(patch):
    def solve(original, *arguments):
        rng = np.random.default_rng(0)
        return [replace(s, W=s.W + 1e-4 * rng.standard_normal(s.W.shape)) for s in original(*arguments)]

    _oracle(patch, solve)


@mutant("I9")
@mutant("I32")
def oracle_without_penalty(patch):
    def solve(original, block, model, penalty, ratio, lambdas, *rest):
        return original(block, model, "none", 0.0, [0.0 for _ in lambdas], *rest)

    _oracle(patch, solve)


@mutant("I13")
def oracle_drops_lambda2(patch):
    def solve(original, block, model, penalty, ratio, *rest):
        return original(block, model, "l1" if penalty == "elastic" else penalty, 1.0, *rest)

    _oracle(patch, solve)


@mutant("I26")
@mutant("I25")
def oracle_standardises_quietly(patch):
    def solve(original, block, *rest):
        scale = block.X["train"].std(0)
        scaled = replace(block, X={split: x / scale for split, x in block.X.items()})
        return [replace(s, W=s.W / scale[:, None]) for s in original(scaled, *rest)]

    _oracle(patch, solve)


@mutant("I31")
def oracle_ignores_strength(patch):
    def solve(original, block, model, penalty, ratio, lambdas, *rest):
        return original(block, model, penalty, ratio, [1.01 * v for v in lambdas], *rest)

    _oracle(patch, solve)


@mutant("I8")
@mutant("I31")
def decay_that_grows(patch):
    def change(coupling, lambda1, lambda2, lr_max, right):
        return right.map(lambda v: -v)

    patch(updates, "decay", _decay_with(change))


@mutant("I11")
@mutant("I4")
def penalty_is_the_norm(patch):
    patch(penalties, "value", lambda w, lambda1, lambda2: lambda1 * abs(w).sum() + lambda2 * (w * w).sum() ** 0.5)


@mutant("I28")
def risk_without_input_noise(patch):
    original = Truth.risk
    patch(Truth, "risk", lambda self, W, b: original(replace(self, noise_cov=None), W, b))


@mutant("I18")
def normalisation_with_eps(patch):
    patch(scale_free, "EPS", 1e-5)


@mutant("I18")
def penalty_of_the_norm_not_squared(patch):
    patch(penalties, "value", lambda w, lambda1, lambda2: lambda2 * (w * w).sum() ** 0.5)


@mutant("I18")
@mutant("I19")
def normalisation_without_the_variance(patch):
    patch(scale_free, "_batch_norm", lambda z: z - z.mean(0))
    patch(scale_free, "NORMS", (("centred", lambda z: z - z.mean(0)),))
    patch(scale_free.network, "__defaults__", (lambda z: z - z.mean(0),))
    patch(scale_free._gradients, "__defaults__", (lambda z: z - z.mean(0),))


@mutant("I19")
def replay_one_power_short(patch):
    patch(scale_free, "replay", lambda t, rate: (1 - rate) ** (-2 * t))


@mutant("I19")
def replay_with_half_the_exponent(patch):
    patch(scale_free, "replay", lambda t, rate: (1 - rate) ** (-t))


@mutant("I20")
def average_one_step_late(patch):
    original = averages.average
    patch(averages, "average", lambda first, taken, rates, lam: original(first, taken.roll(1, 0), rates, lam))


@mutant("I20")
def average_without_the_start(patch):
    original = averages.average
    patch(averages, "average", lambda first, *rest: original(0 * first, *rest))


@mutant("I21")
def box_too_small(patch):
    original = averages.box
    patch(averages, "box", lambda first, largest, *rest: original(first, 0.9 * largest, *rest))


@mutant("I21")
def largest_update_as_often_quoted(patch):
    patch(averages, "largest_update", lambda beta1, beta2: (1 - beta1) / (1 - beta2) ** 0.5)


@mutant("I22")
def momentum_rotates_like_sgd(patch):
    original = rotation.angle
    patch(rotation, "angle", lambda name, rate: original("sgd" if name == "momentum" else name, rate))


@mutant("I22")
def angle_without_the_two(patch):
    original = rotation.angle
    patch(rotation, "angle", lambda name, rate: original(name, rate / 2))


@mutant("I22")
def adam_with_l2_is_adamw(patch):
    # momentum stays coupled, so that it is the second statement that has to notice
    original = rotation.noise
    patch(rotation, "noise", lambda optimiser, coupling, *rest: original(
        optimiser, "decoupled" if optimiser.name == "adam" else coupling, *rest))


@mutant("I23")
def ratio_without_the_two(patch):
    patch(rotation, "gradient_over_weight", lambda lr, lam: (lam / lr) ** 0.5)


@mutant("I29")
def cautious_the_other_way(patch):
    patch(updates, "agrees", lambda u, w: (u * w <= 0).type_as(w))


@mutant("I29")
def cautious_spares_the_stationary_point(patch):
    patch(updates, "agrees", lambda u, w: (u * w > 0).type_as(w))


@mutant("I29")
def cautious_is_decoupled(patch):
    patch(updates, "agrees", lambda u, w: torch.ones_like(w))


@mutant("I33")
def corrected_is_decoupled(patch):
    def change(coupling, lambda1, lambda2, lr_max, right):
        return replace(right, c2=0.0, d2=lambda2) if coupling == "corrected" else right

    patch(updates, "decay", _decay_with(change))


@mutant("I33")
def corrected_corrects_twice(patch):
    original = updates.step

    def step(w, g, state, t, lr, schedule, optimiser, decay, *rest):
        return original(w, g, state, t, lr, schedule, optimiser, replace(decay, c2=decay.c2 * schedule), *rest)

    patch(updates, "step", step)


def _fails(identity: str) -> bool:
    """Whether the verdict on `identity` is `fails`; stops at the first statement that does not hold."""
    statements = [c for c in identities.CHECKS.values() if c.identity == identity and c.kind == "statement"]
    return any(row["holds"] is False for check in statements for row in check.rows())


@pytest.mark.parametrize("mutate, identity", MUTANTS)
def test_mutant_is_noticed(mutate, identity, monkeypatch):
    mutate(monkeypatch.setattr)
    assert _fails(identity)


def test_one_mutant_through_the_front_door(monkeypatch):
    wrong_sign(monkeypatch.setattr)
    found = identities.verdicts(identities.run_all(["I2", "I5"])).set_index("identity")
    assert found.verdict.to_dict() == {"I2": "holds", "I5": "fails"}
    assert "is not <=" in found.reason["I5"]


def test_mutants_cover_the_identities():
    assert len(MUTANTS) >= 40
    assert {p.values[1] for p in MUTANTS} == set(CATALOGUE)


# The registry


def _table(*rows) -> pd.DataFrame:
    filled = [
        {"case": "", "kind": "statement", "inputs": 1, "relation": "<=", "unit": "", "note": ""} | row for row in rows
    ]
    return pd.DataFrame(filled, columns=list(identities.COLUMNS)).astype({"holds": "boolean"})


def _row(error, tolerance, holds, **more):
    return {
        "identity": "I1",
        "check": f"error {error}",
        "max_error": error,
        "tolerance": tolerance,
        "holds": holds,
    } | more


@pytest.mark.parametrize("rows, verdict", [
    ([_row(0.1, 1, True), _row(0.2, 1, True)], "holds"),
    ([_row(0.1, 1, True), _row(2.0, 1, False)], "fails"),
    ([_row(0.1, 1, True), _row(2.0, 1, False, kind="counter")], "holds"),
    ([_row(0.1, 1, True), _row(np.nan, 1, pd.NA, inputs=0)], "holds"),
    ([_row(np.nan, 1, pd.NA, inputs=0)], "not_tested"),
    ([_row(5.0, 1, True, kind="counter", relation=">=")], "not_tested"),
])  # fmt: skip
def test_verdicts(rows, verdict):
    assert identities.verdicts(_table(*rows)).verdict.tolist() == [verdict]


def test_worst_row():
    rows = _table(
        _row(0.5, 1.0, True), _row(2e-9, 1e-9, False), _row(0.0, 0.0, True), _row(1.5, 1.0, True, relation=">=")
    )
    (found,) = identities.verdicts(rows).to_dict("records")
    assert (found["worst"], found["max_error"], found["verdict"]) == ("error 2e-09", 2e-9, "fails")
    assert "2e-09 is not <= 1e-09 (1 of 4 rows)" in found["reason"]
    close = identities.verdicts(_table(_row(0.5, 1.0, True), _row(1.5, 1.0, True, relation=">=")))
    assert close.worst.tolist() == ["error 1.5"]


def test_missing_counter_case_is_said():
    rows = _table(_row(0.1, 1, True), _row(0.2, 1, False, kind="counter", relation=">="))
    (found,) = identities.verdicts(rows).to_dict("records")
    assert found["counter_missing"] == 1 and "counter-case not seen: error 0.2" in found["reason"]


@pytest.mark.parametrize("relation, error, holds", [
    ("<=", 1.0, True), ("<=", 1.1, False), ("<=", np.nan, False),
    (">=", 1.0, True), (">=", 0.9, False), (">=", np.nan, False),
])  # fmt: skip
def test_a_row_is_judged(relation, error, holds):
    check = identities.Check("I1", "x", "statement", relation, 1.0, "", lambda: [identities.Result(3, error)])
    assert check.rows()[0]["holds"] is holds


def test_checks_refuse_what_they_cannot_mean(monkeypatch):
    monkeypatch.setattr(registry, "CHECKS", {})
    register = identities.check("I1", "x", tolerance=0)
    register(lambda: identities.Result(1, 0.0))
    with pytest.raises(ValueError, match="registered already"):
        identities.check("I1", "x", tolerance=0)
    with pytest.raises(ValueError, match="kind"):
        identities.check("I1", "y", tolerance=0, kind="theorem")
    with pytest.raises(ValueError, match="relation"):
        identities.check("I1", "y", tolerance=0, relation="<")
    assert registry.table().holds.tolist() == [True]


def test_relative_error():
    assert registry.relative([1.0, 3.0], [1.0, 4.0]) == 0.25
    assert registry.relative([0.5], [0.0]) == 0.5
    with pytest.raises(ValueError, match="shapes"):
        registry.relative([1.0], [[1.0]])
