"""Penalties: derivative, prox and conversions, each against an independent source."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

from wdbench import penalties

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5))
Y = X @ np.array([2.0, -1.0, 0.5, 0.0, 0.0]) + RNG.standard_normal(40)
LABEL = (Y > 0).astype(int)


def kinds(w):
    return [w, torch.from_numpy(w.copy())]


@pytest.mark.parametrize("name, expected", [
    ("none", (0.0, 0.0)), ("l1", (0.3, 0.0)), ("l2", (0.0, 0.3)), ("elastic", (0.3 * 0.25, 0.3 * 0.75))])
def test_split(name, expected):
    assert penalties.split(name, 0.25, 0.3) == expected
    stacked = penalties.split(name, 0.25, np.array([0.3, 0.0]))
    assert (stacked[0][0], stacked[1][0]) == expected and stacked[0][1] == stacked[1][1] == 0


@pytest.mark.parametrize("arguments", [
    ("l3", 0.5, 1.0), ("l2", 0.5, -1.0), ("l2", 0.5, float("nan")), ("elastic", 1.5, 1.0)])
def test_split_refuses(arguments):
    with pytest.raises(ValueError):
        penalties.split(*arguments)


def test_gradient_is_the_derivative_of_value():
    w, step = RNG.standard_normal(6), 1e-6
    ahead, behind = ([penalties.value(w + s * e, 0.3, 0.7) for e in np.eye(6)] for s in (step, -step))
    numeric = (np.array(ahead) - np.array(behind)) / (2 * step)
    for kind in kinds(w):
        np.testing.assert_allclose(penalties.gradient(kind, 0.3, 0.7), numeric, rtol=1e-7)


def test_gradient_at_zero_is_zero():
    for kind in kinds(np.zeros(3)):
        assert not np.any(np.asarray(penalties.gradient(kind, 1.0, 1.0)))


def test_torch_gradient_keeps_double_precision():
    w = torch.tensor([1.5, -0.5], dtype=torch.float64)
    assert penalties.gradient(w, 0.1, 0.0).tolist() == [0.1, -0.1]


def test_prox_minimises_its_objective():
    w, t1, t2 = RNG.standard_normal(50), 0.4, 0.3
    for kind in kinds(w):
        v = np.asarray(penalties.prox(kind, t1, t2))
        assert 0 < np.mean(v == 0) < 1
        grid = np.linspace(-3, 3, 6001)[:, None]
        values = 0.5 * (grid - w) ** 2 + t1 * abs(grid) + t2 / 2 * grid**2
        assert np.all(0.5 * (v - w) ** 2 + t1 * abs(v) + t2 / 2 * v**2 <= values.min(0) + 1e-12)


def test_prox_without_threshold_is_the_identity_bit_for_bit():
    w = np.array([0.0, -0.0, 1.5, -3e-320, 1e300, np.inf, np.nan])
    for kind in kinds(w):
        assert np.asarray(penalties.prox(kind, 0.0, 0.0)).tobytes() == w.tobytes()


def test_prox_takes_one_threshold_per_cell():
    w, t1 = RNG.standard_normal((4, 3)), np.array([[0.0], [0.1], [1.0], [9.0]])
    stacked = penalties.prox(torch.from_numpy(w), torch.from_numpy(t1), 0.0)
    for i in range(4):
        np.testing.assert_array_equal(stacked[i], penalties.prox(w[i], t1[i, 0], 0.0))


CONTEXT = {"n": 40, "y_sd": 2.5, "lr": 0.1, "lr_max": 0.4}


@pytest.mark.parametrize("name", penalties.CONVENTIONS)
def test_conventions_go_there_and_back(name):
    c = penalties.CONVENTIONS[name]
    lambda1, lambda2 = 0.3 * c.l1, 0.7 * c.l2
    context = {key: CONTEXT[key] for key in c.context}
    params = penalties.to_convention(name, lambda1, lambda2, **context)
    assert tuple(params) == c.params
    back = penalties.from_convention(name, params, **context)
    np.testing.assert_allclose(back, (lambda1, lambda2), rtol=1e-15)


@pytest.mark.parametrize("call", [
    lambda: penalties.to_convention("sklearn_ridge", 0.0, 1.0),
    lambda: penalties.to_convention("sklearn_ridge", 1.0, 1.0, n=3),
    lambda: penalties.to_convention("nobody", 0.0, 1.0),
    lambda: penalties.from_convention("d2l", {"lambda": 1.0})])
def test_conventions_refuse(call):
    with pytest.raises(ValueError):
        call()


def kkt(estimator, lambda1, lambda2, logistic=False):
    """Largest violation of stationarity of our objective at a fitted estimator's solution."""
    w, b = estimator.coef_.ravel(), np.ravel(estimator.intercept_)
    z = X @ w + b
    residual = 1 / (1 + np.exp(-z)) - LABEL if logistic else z - Y
    slope = X.T @ residual / len(Y) + lambda2 * w
    inactive = np.maximum(abs(slope) - lambda1, 0)
    return np.where(w == 0, inactive, abs(slope + lambda1 * np.sign(w))).max() + abs(residual.mean())


@pytest.mark.parametrize("estimator, name, l1, l2", [
    (Ridge, "sklearn_ridge", 0.0, 0.2), (Lasso, "sklearn_lasso", 0.2, 0.0),
    (ElasticNet, "sklearn_elasticnet", 0.1, 0.3)])
def test_sklearn_regression_minimises_our_objective(estimator, name, l1, l2):
    context = {"n": 40} if penalties.CONVENTIONS[name].context else {}
    params = penalties.to_convention(name, l1, l2, **context)
    assert kkt(estimator(tol=1e-12, **params).fit(X, Y), l1, l2) < 1e-8


@pytest.mark.parametrize("l1, l2", [(0.0, 0.1), (0.05, 0.0), (0.03, 0.07)])
def test_sklearn_logistic_minimises_our_objective(l1, l2):
    params = penalties.to_convention("sklearn_logistic", l1, l2, n=40)
    fitted = LogisticRegression(solver="saga", tol=1e-12, max_iter=100_000, **params).fit(X, LABEL)
    assert kkt(fitted, l1, l2, logistic=True) < 1e-8


def test_sum_forms_have_the_same_minimiser():
    w, n = Ridge(alpha=40 * 0.2, fit_intercept=False).fit(X, Y).coef_, 40
    Lambda = penalties.to_convention("sum_ridge", 0, 0.2, n=n)["Lambda"]
    assert abs(2 * X.T @ (X @ w - Y) + 2 * Lambda * w).max() < 1e-9
    w = Lasso(alpha=0.2, fit_intercept=False, tol=1e-12).fit(X, Y).coef_
    Lambda = penalties.to_convention("sum_lasso", 0.2, 0, n=n)["Lambda"]
    slope = 2 * X.T @ (X @ w - Y)
    assert np.all(abs(slope[w == 0]) <= Lambda)
    assert abs(slope[w != 0] + Lambda * np.sign(w[w != 0])).max() < 1e-7


@pytest.mark.parametrize("optimiser, name, context", [
    (torch.optim.SGD, "torch", {}), (torch.optim.AdamW, "adamw_per_step", {"lr": 0.1})])
def test_torch_decay_of_one_step(optimiser, name, context):
    w = torch.tensor([2.0, -3.0], dtype=torch.float64, requires_grad=True)
    w.grad = torch.zeros_like(w)
    optimiser([w], lr=0.1, weight_decay=0.5).step()
    number, = penalties.to_convention(name, 0, 0.5, **context).values()
    assert number == (0.5 if name == "torch" else 0.05)
    np.testing.assert_allclose(w.detach(), np.array([2.0, -3.0]) * (1 - 0.1 * 0.5), rtol=1e-15)


def test_glmnet_lambda_does_not_depend_on_the_unit_of_y():
    """glmnet's lambda carries y's unit: in other units of y its ridge coefficients only rescale."""
    for unit in (1.0, 450.0):
        y = Y * unit
        theirs = {"lambda": 0.2 * unit, "alpha": 0.0}
        ours = penalties.from_convention("glmnet_gaussian", theirs, y_sd=y.std())
        w = Ridge(**penalties.to_convention("sklearn_ridge", *ours, n=40)).fit(X, y).coef_
        np.testing.assert_allclose(w / unit, Ridge(alpha=40 * 0.2 / Y.std()).fit(X, Y).coef_, rtol=1e-12)


def test_the_documentation_lists_every_convention_as_it_is():
    text = (Path(__file__).parent.parent / "docs" / "lambda.md").read_text(encoding="utf-8").replace("\\|", "|")
    for convention in penalties.CONVENTIONS.values():
        assert f"`{convention.name}`" in text and convention.formula in text


def test_the_released_code_has_no_half():
    # its loss adds l2_reg ||w||^2, whose gradient is 2 l2_reg w
    assert penalties.to_convention("why_weight_decay", 0.0, 0.3) == {"l2_reg": 0.15}
    assert penalties.from_convention("why_weight_decay", {"l2_reg": 0.15}) == (0.0, 0.3)
