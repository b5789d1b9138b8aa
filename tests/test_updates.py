"""Steps by hand, where one number says all."""

import pytest
import torch

from wdbench import precision, updates

FP64 = precision.make("fp64")
SGD = updates.Optimiser("sgd")


def stepped(w, coupling, lambda1=0.0, lambda2=0.0, lr=0.5, gradient=0.0, schedule=1.0, form="plain", prox=False):
    w = torch.tensor(w, dtype=torch.float64)
    numbers = updates.decay(coupling, lambda1, lambda2, lr)
    start = updates.initial_state(w, SGD, FP64)
    new, _ = updates.step(w, torch.full_like(w, gradient), start, 1, lr, schedule, SGD, numbers, FP64, form, prox)
    return new.tolist()


@pytest.mark.parametrize("coupling", ["coupled_subgradient", "decoupled_subgradient"])
def test_the_subgradient_of_the_l1_norm_pulls_towards_zero_and_over_it(coupling):
    # eta lambda = 0.1; the last weight is nearer to 0 than that, and lands on the other side
    assert stepped([1.0, -1.0, 0.0, 0.05], coupling, lambda1=0.2, form="subgradient") == pytest.approx([0.9, -0.9, 0.0, -0.05])


@pytest.mark.parametrize("coupling", ["coupled", "decoupled"])
def test_the_proximal_step_stops_at_zero(coupling):
    assert stepped([1.0, -1.0, 0.0, 0.05], coupling, lambda1=0.2, prox=True) == pytest.approx([0.9, -0.9, 0.0, 0.0])


@pytest.mark.parametrize("schedule", [1.0, 0.25])
def test_l2_shrinks_by_eta_lambda_of_the_weight(schedule):
    for coupling in ("coupled", "decoupled"):
        expected = [2.0 * (1 - 0.5 * schedule * 0.3) - 0.5 * schedule * 0.7]
        assert stepped([2.0], coupling, lambda2=0.3, gradient=0.7, schedule=schedule) == pytest.approx(expected)


def test_independent_decay_does_not_know_the_learning_rate():
    assert stepped([1.0, -0.1], "independent", lambda1=0.2, prox=True) == pytest.approx([0.8, 0.0])
    assert stepped([1.0], "independent", lambda2=0.2, schedule=0.5) == pytest.approx([0.9])


def test_kahans_remainder_adds_up_steps_that_rounding_would_lose():
    # a step of 2^-12 is an eighth of the spacing at 1: to the nearest it is lost every time, with the remainder it is there after all
    kahan = precision.make("bf16_weights", "kahan")
    w, numbers = torch.tensor([1.0]), updates.decay("decoupled", 0.0, 0.0, 1.0)
    state = updates.initial_state(w, SGD, kahan)
    for t in range(1, 65):
        w, state = updates.step(w, torch.tensor([2.0**-12]), state, t, 1.0, 1.0, SGD, numbers, kahan, prox=False)
    assert (w - state.remainder).item() == pytest.approx(1.0 - 64 * 2.0**-12, abs=2.0**-14)
