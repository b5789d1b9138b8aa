"""Exact minimisers: parity with scikit-learn, optimality, certificates, and the theorems they must obey."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

from wdbench import datasets, oracle
from wdbench.oracle import unpenalised
from wdbench.oracle.problem import build
from wdbench.penalties import from_convention, split, to_convention

MODELS = {"regression": "linear", "binary": "logistic", "multiclass": "softmax"}
SHARE = {"weights": 0.0, "all": 1.0, "bias_hundredth": 0.01}


def make(X, y, task):
    n_outputs = int(y.max()) + 1 if task == "multiclass" else 1
    return SimpleNamespace(X={"train": X}, y={"train": y}, task=task, n_outputs=n_outputs)


def standardised(X):
    sd = X.std(0)
    return (X - X.mean(0)) / np.where(sd > 0, sd, 1)


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return make(standardised(X), y / y.std(), "regression")


def wide(n=40, p=120):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, p))
    return make(X, X[:, :4].sum(1) + rng.standard_normal(n) + 3.0, "regression")


def binary():
    X, y = load_breast_cancer(return_X_y=True)
    return make(standardised(X)[::3], y[::3], "binary")


def overlapping():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((150, 4))
    return make(X, (rng.random(150) < expit(X[:, 0] - 1)).astype(int), "binary")


def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    return make(standardised(X[:150]), y[:150], "multiclass")


BLOCKS = {"diabetes": diabetes(), "wide": wide(), "binary": binary(), "overlapping": overlapping(), "digits": digits()}


def parts(block, W, b):
    """(loss, gradient in W, gradient in b) written out anew."""
    X, y = block.X["train"], block.y["train"]
    n, z = len(y), X @ W + b
    if block.task == "regression":
        slope = z - y[:, None]
        loss = 0.5 * np.mean(slope**2)
    elif block.task == "binary":
        slope = expit(z) - y[:, None]
        loss = np.logaddexp(0, np.where(y > 0, -1, 1) * z[:, 0]).mean()
    else:
        slope = softmax(z, 1) - np.eye(block.n_outputs)[y]
        loss = -log_softmax(z, 1)[np.arange(n), y].mean()
    return loss, X.T @ slope / n, slope.mean(0)


def solve(block, penalty, lambdas, mask="weights", l1_ratio=0.5, tol=1e-12):
    return oracle.solve(block, MODELS[block.task], penalty, l1_ratio, lambdas, mask, tol)


def grid(block, penalty, decades=3, count=7):
    anchors = oracle.anchors(block)
    top = {"l1": anchors.l1, "l2": anchors.l2, "elastic": anchors.l1 / 0.5}[penalty]
    return top * np.logspace(0.1, -decades, count)


@pytest.mark.parametrize("mask", SHARE)
@pytest.mark.parametrize("penalty", ["l1", "l2", "elastic"])
@pytest.mark.parametrize("name", BLOCKS)
def test_stationary_and_certified(name, penalty, mask):
    block = BLOCKS[name]
    for found in solve(block, penalty, grid(block, penalty), mask):
        lambda1, lambda2 = split(penalty, 0.5, found.lam)
        loss, gW, gb = parts(block, found.W, found.b)
        penalised = lambda1 * abs(found.W).sum() + lambda2 / 2 * (found.W**2).sum() + SHARE[mask] * (
            lambda1 * abs(found.b).sum() + lambda2 / 2 * (found.b**2).sum())
        assert abs(found.objective - loss - penalised) <= 1e-12 * found.objective
        for weight, gradient, share in ((found.W, gW, 1.0), (found.b, gb, SHARE[mask])):
            smooth = gradient + share * lambda2 * weight
            zero = weight == 0
            assert np.all(abs(smooth[zero]) <= share * lambda1 + 1e-8)
            assert np.all(abs(smooth + share * lambda1 * np.sign(weight))[~zero] <= 1e-8)
        assert found.certificate <= 1e-11 * found.objective and found.kind == "duality gap"


@pytest.mark.parametrize("name", ["diabetes", "wide"])
@pytest.mark.parametrize("penalty", ["l1", "l2", "elastic"])
def test_regression_is_sklearns(name, penalty):
    block = BLOCKS[name]
    X, y = block.X["train"], block.y["train"]
    for found in solve(block, penalty, grid(block, penalty, decades=2)):
        if penalty == "l2":
            theirs = Ridge(**to_convention("sklearn_ridge", 0, found.lam, n=len(y))).fit(X, y)
        elif penalty == "l1":
            theirs = Lasso(alpha=found.lam, tol=1e-14, max_iter=1_000_000).fit(X, y)
        else:
            theirs = ElasticNet(alpha=found.lam, l1_ratio=0.5, tol=1e-14, max_iter=1_000_000).fit(X, y)
        np.testing.assert_allclose(found.W[:, 0], theirs.coef_, atol=1e-6)
        np.testing.assert_allclose(found.b[0], theirs.intercept_, atol=1e-6)


@pytest.mark.parametrize("name", ["overlapping", "digits"])
@pytest.mark.parametrize("penalty", ["l1", "l2", "elastic"])
def test_classification_is_sklearns(name, penalty):
    block = BLOCKS[name]
    X, y = block.X["train"], block.y["train"]
    for found in solve(block, penalty, grid(block, penalty, decades=1, count=3)[1:]):
        params = to_convention("sklearn_logistic", *split(penalty, 0.5, found.lam), n=len(y))
        solver = "lbfgs" if penalty == "l2" else "saga"
        theirs = LogisticRegression(solver=solver, tol=1e-10, max_iter=50_000, **params).fit(X, y)
        W, b = theirs.coef_.T, theirs.intercept_
        lambda1, lambda2 = split(penalty, 0.5, found.lam)
        value = parts(block, W, b)[0] + lambda1 * abs(W).sum() + lambda2 / 2 * (W**2).sum()
        assert -1e-12 <= value - found.objective <= 1e-7
        if penalty != "l1":
            np.testing.assert_allclose(found.W, W, atol=2e-4)


@pytest.mark.parametrize("penalty, ratio", [("l1", 1), ("l2", 0)])
def test_liblinear_penalises_the_bias_too(penalty, ratio):
    block = BLOCKS["binary"]
    X, y = block.X["train"], block.y["train"]
    for found in solve(block, penalty, grid(block, penalty, decades=2, count=4), "all"):
        C = 1 / (len(y) * found.lam)
        theirs = LogisticRegression(l1_ratio=ratio, C=C, solver="liblinear", tol=1e-12, max_iter=100_000).fit(X, y)
        np.testing.assert_allclose(found.W, theirs.coef_.T, atol=1e-5)
        np.testing.assert_allclose(found.b, theirs.intercept_, atol=1e-5)


@pytest.mark.parametrize("name, penalty", [
    ("diabetes", "l2"), ("diabetes", "l1"), ("diabetes", "elastic"), ("binary", "l2"), ("overlapping", "l1")])
def test_norm_falls_and_loss_rises_along_200_lambdas(name, penalty):
    block = BLOCKS[name]
    path = solve(block, penalty, np.sort(grid(block, penalty, decades=4, count=200)), tol=1e-13)
    losses = np.array([parts(block, found.W, found.b)[0] for found in path])
    size = {"l2": lambda W: np.linalg.norm(W), "l1": lambda W: abs(W).sum(),
            "elastic": lambda W: 0.5 * abs(W).sum() + 0.25 * (W**2).sum()}[penalty]
    norms = np.array([size(found.W) for found in path])
    assert np.all(np.diff(norms) <= 1e-9) and np.all(np.diff(losses) >= -1e-9)
    assert norms[0] > 2 * norms[-1] and losses[-1] > losses[0]


@pytest.mark.parametrize("name", BLOCKS)
def test_lambda_max_is_where_weights_leave_zero(name):
    block = BLOCKS[name]
    top = oracle.anchors(block).l1
    above, at, below = solve(block, "l1", [2 * top, top, 0.99 * top])
    assert not above.W.any() and not at.W.any() and below.W.any()
    y = block.y["train"]
    if block.task == "regression":
        np.testing.assert_allclose(above.b, y.mean(), rtol=1e-12)
    elif block.task == "binary":
        np.testing.assert_allclose(expit(above.b), y.mean(), rtol=1e-12)
    else:
        np.testing.assert_allclose(softmax(above.b), np.bincount(y) / len(y), rtol=1e-12)
    elastic = solve(block, "elastic", [top / 0.5, 0.99 * top / 0.5])
    assert not elastic[0].W.any() and elastic[1].W.any()
    ridge, = solve(block, "l2", [1e9])
    assert np.all(ridge.W != 0) or block.task == "multiclass"
    assert abs(ridge.W).max() < 1e-7


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("penalty", ["l1", "l2", "elastic"])
def test_the_certificate_bounds_what_is_missing(name, penalty):
    block = BLOCKS[name]
    lambdas = grid(block, penalty)
    unfinished = 0
    for tol in (0.5, 1e-2, 1e-4):
        exact = solve(block, penalty, lambdas, tol=1e-14)
        for rough, fine in zip(solve(block, penalty, lambdas, tol=tol), exact, strict=True):
            missing = rough.objective - fine.objective
            assert -1e-13 * fine.objective <= missing <= rough.certificate + 1e-13 * fine.objective
            assert rough.certificate <= tol * rough.objective and rough.converged
            unfinished += missing > 1e-9 * fine.objective
    assert unfinished or (block.task == "regression" and penalty == "l2")


@pytest.mark.parametrize("mask, share", [("all", 1.0), ("bias_hundredth", 0.01)])
def test_penalised_bias_of_ridge_is_the_normal_equations(mask, share):
    block = BLOCKS["wide"]
    X, y = block.X["train"], block.y["train"]
    A = np.column_stack([X, np.ones(len(y))])
    for found in solve(block, "l2", [0.01, 1.0, 30.0], mask):
        penalty = np.diag(np.append(np.full(X.shape[1], found.lam), share * found.lam))
        direct = np.linalg.solve(A.T @ A / len(y) + penalty, A.T @ y / len(y))
        np.testing.assert_allclose(np.append(found.W[:, 0], found.b), direct, atol=1e-10)


@pytest.mark.parametrize("mask, share", [("all", 1.0), ("bias_hundredth", 0.01)])
def test_penalised_bias_of_logistic_is_a_direct_minimisation(mask, share):
    block = BLOCKS["overlapping"]

    def value(v):
        W, b = v[:-1, None], v[-1:]
        loss, gW, gb = parts(block, W, b)
        gradient = np.append(gW[:, 0] + 0.3 * v[:-1], gb + share * 0.3 * b)
        return loss + 0.15 * (v[:-1] @ v[:-1] + share * b[0] ** 2), gradient

    direct = minimize(value, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-11}).x
    found, = solve(block, "l2", [0.3], mask)
    np.testing.assert_allclose(np.append(found.W[:, 0], found.b), direct, atol=1e-8)


@pytest.mark.parametrize("name", ["wide", "overlapping", "digits"])
@pytest.mark.parametrize("penalty", ["none", "l1", "l2", "elastic"])
def test_sparse_data_give_the_dense_solution(name, penalty):
    block = BLOCKS[name]
    X = np.where(abs(block.X["train"]) > 0.5, block.X["train"], 0.0)
    dense = make(X, block.y["train"], block.task)
    csr = make(sparse.csr_matrix(X), block.y["train"], block.task)
    lambdas = [0.0] if penalty == "none" else grid(dense, penalty)
    for a, b in zip(solve(dense, penalty, lambdas), solve(csr, penalty, lambdas), strict=True):
        if penalty == "none" and block.task != "regression":
            assert abs(a.objective - b.objective) < 1e-3
        else:
            np.testing.assert_allclose(a.objective, b.objective, rtol=1e-10, atol=1e-20)
            np.testing.assert_allclose(a.W, b.W, atol=1e-5)
    a, b = oracle.anchors(dense), oracle.anchors(csr)
    np.testing.assert_allclose([b.l1, b.l2, b.curvature], [a.l1, a.l2, a.curvature], rtol=1e-10)
    np.testing.assert_allclose(oracle.expected_smoothness(csr, 7), oracle.expected_smoothness(dense, 7), rtol=1e-10)


def test_no_penalty_is_least_squares_of_least_norm():
    block = BLOCKS["wide"]
    X, y = block.X["train"], block.y["train"]
    found, = solve(block, "none", [0.0])
    direct = np.linalg.lstsq(X - X.mean(0), y - y.mean(), rcond=None)[0]
    np.testing.assert_allclose(found.W[:, 0], direct, atol=1e-12)
    assert found.objective < 1e-25 and found.certificate < 1e-25 and found.converged
    path = solve(block, "l2", [1e-9, 0.0])
    np.testing.assert_allclose(path[0].W, found.W, atol=1e-6)
    np.testing.assert_array_equal(path[1].W, found.W)


def test_no_penalty_where_a_minimum_exists():
    block = BLOCKS["overlapping"]
    found, = solve(block, "none", [0.0])
    loss, gW, gb = parts(block, found.W, found.b)
    assert abs(gW).max() < 1e-8 and abs(gb).max() < 1e-8
    assert found.kind == "projection" and found.certificate < 1e-12 and found.converged


@pytest.mark.parametrize("name", ["binary", "digits"])
def test_no_penalty_on_separable_classes(name):
    block = BLOCKS[name]
    found, = solve(block, "none", [0.0])
    z = block.X["train"] @ found.W + found.b
    predicted = z[:, 0] > 0 if block.task == "binary" else z.argmax(1)
    assert np.all(predicted == block.y["train"])
    assert found.kind == "loss" and found.certificate == found.objective
    assert found.converged and 0 < found.violation <= 1e-4 and found.iterations > 5


def test_ridge_spreads_weight_evenly_over_copies_of_a_column():
    X, y = BLOCKS["diabetes"].X["train"], BLOCKS["diabetes"].y["train"]
    doubled = make(np.column_stack([X, X[:, 2], X[:, 2]]), y, "regression")
    for penalty in ("l2", "elastic"):
        found, = solve(doubled, penalty, [0.1])
        np.testing.assert_allclose(found.W[[10, 11]], found.W[[2, 2]], atol=1e-10 if penalty == "l2" else 1e-7)
    single, = solve(BLOCKS["diabetes"], "l1", [0.1])
    found, = solve(doubled, "l1", [0.1])
    np.testing.assert_allclose(found.objective, single.objective, rtol=1e-10)
    np.testing.assert_allclose(found.W[[2, 10, 11]].sum(), single.W[2, 0], atol=1e-6)


@pytest.mark.parametrize("penalty", ["l1", "l2", "elastic"])
def test_a_free_bias_takes_up_a_shift_of_y_and_a_penalised_one_does_not(penalty):
    block = BLOCKS["diabetes"]
    shifted = make(block.X["train"], block.y["train"] - 10.0, "regression")
    (plain,), (moved,) = solve(block, penalty, [0.05]), solve(shifted, penalty, [0.05], tol=1e-14)
    np.testing.assert_allclose(moved.W, plain.W, atol=1e-7)
    np.testing.assert_allclose(moved.b, plain.b - 10.0, atol=1e-10)
    (plain,), (moved,) = solve(block, penalty, [0.05], "all"), solve(shifted, penalty, [0.05], "all")
    assert abs(moved.b - plain.b + 10.0) > 1e-2


def test_anchors():
    for block in BLOCKS.values():
        X, anchors = block.X["train"], oracle.anchors(block)
        A = np.column_stack([X, np.ones(len(X))])
        scale = {"regression": 1, "binary": 0.25, "multiclass": 0.5}[block.task]
        np.testing.assert_allclose(anchors.l2, scale * np.linalg.norm(X - X.mean(0), 2) ** 2 / len(X), rtol=1e-10)
        np.testing.assert_allclose(anchors.curvature, scale * np.linalg.norm(A, 2) ** 2 / len(X), rtol=1e-10)
        np.testing.assert_allclose(oracle.expected_smoothness(block, len(X)), anchors.curvature, rtol=1e-12)
        largest = scale * (A**2).sum(1).max()
        np.testing.assert_allclose(oracle.expected_smoothness(block, 1), largest, rtol=1e-12)
        assert anchors.curvature < oracle.expected_smoothness(block, 8) < largest
        with pytest.raises(ValueError):
            oracle.expected_smoothness(block, len(X) + 1)


def test_expected_smoothness_bounds_every_pair_of_batches():
    """E ||g_B(x) - g_B(x*)||^2 <= 2 L(b) (f(x) - f(x*)), over all batches (definition 2.1 of the paper)."""
    rng = np.random.default_rng(3)
    block = make(rng.standard_normal((8, 3)), rng.standard_normal(8), "regression")
    A, y = np.column_stack([block.X["train"], np.ones(8)]), block.y["train"]
    best = np.linalg.lstsq(A, y, rcond=None)[0]
    for size in (1, 2, 5, 7):
        bound, tightest = oracle.expected_smoothness(block, size), 0.0
        for _ in range(50):
            x = best + rng.standard_normal(4)
            excess = 0.5 * np.mean((A @ (x - best)) ** 2)
            batches = [list(rows) for rows in combinations(range(8), size)]
            mean = np.mean([np.sum((A[rows].T @ (A[rows] @ (x - best)) / size) ** 2) for rows in batches])
            tightest = max(tightest, mean / (2 * excess))
        assert 0.2 * bound < tightest <= bound


def test_order_repeats_and_zero_in_a_path():
    block = BLOCKS["overlapping"]
    lambdas = [0.01, 0.1, 0.0, 0.01]
    path = solve(block, "l1", lambdas)
    assert [found.lam for found in path] == lambdas
    assert path[0].W.tobytes() == path[3].W.tobytes() and path[2].kind == "projection"
    assert path[0].W.shape == (4, 1) and path[0].b.shape == (1,)


@pytest.mark.parametrize("change", [
    {"model": "softmax"}, {"model": "mlp"}, {"penalty": "l3"}, {"decay_mask": "none"}, {"lambdas": [-1.0]}])
def test_refusals(change):
    arguments = {"model": "linear", "penalty": "l2", "l1_ratio": 0.5, "lambdas": [1.0], "decay_mask": "weights"}
    with pytest.raises(ValueError):
        oracle.solve(BLOCKS["diabetes"], **(arguments | change))


def test_broken_data_are_refused():
    X = BLOCKS["diabetes"].X["train"].copy()
    X[3, 3] = np.nan
    with pytest.raises(ValueError):
        solve(make(X, BLOCKS["diabetes"].y["train"], "regression"), "l2", [1.0])


@pytest.mark.parametrize("name, penalty", [
    ("wide", "l1"), ("diabetes", "elastic"), ("diabetes", "l2"), ("binary", "l2"), ("binary", "none"),
    ("digits", "l1")])
def test_a_solution_has_the_same_bits_alone_and_in_any_path(name, penalty):
    block = BLOCKS[name]
    lambdas = [0.0] if penalty == "none" else grid(block, penalty)
    path = solve(block, penalty, lambdas)
    longer = solve(block, penalty, np.concatenate([0.7 * np.asarray(lambdas), lambdas]))[len(lambdas):]
    for lam, found, among in zip(lambdas, path, longer, strict=True):
        alone, = solve(block, penalty, [lam])
        assert alone.W.tobytes() == found.W.tobytes() == among.W.tobytes()
        assert alone.b.tobytes() == found.b.tobytes() and alone.certificate == found.certificate


@pytest.mark.parametrize("glmnet_lambda, norm", [(11498, 6.36), (705, 57.1)])
def test_glmnets_lambda_on_hitters(glmnet_lambda, norm):
    """Norms printed in James, Witten, Hastie & Tibshirani (2013), section 6.6.1."""
    if not datasets.status("hitters").available:
        pytest.skip("hitters is not fetched")
    raw = datasets.load("hitters")
    theirs = {"lambda": glmnet_lambda, "alpha": 0.0}
    _, lambda2 = from_convention("glmnet_gaussian", theirs, y_sd=raw.y.std())
    found, = solve(make(standardised(raw.X), raw.y, "regression"), "l2", [lambda2])
    np.testing.assert_allclose(np.linalg.norm(found.W[:, 0] / raw.X.std(0)), norm, rtol=1e-3)


@pytest.mark.parametrize("penalty", ["l1", "l2", "none"])
def test_a_class_without_training_rows(penalty):
    full = BLOCKS["digits"]
    rows = full.y["train"] != 2
    block = make(full.X["train"][rows], full.y["train"][rows], "multiclass")
    found, = solve(block, penalty, [0.02 if penalty != "none" else 0.0])
    z = block.X["train"] @ found.W + found.b
    assert found.converged and np.isfinite(z).all() and (z.argmax(1) == block.y["train"]).mean() > 0.9


@pytest.mark.parametrize("mask", SHARE)
def test_strong_correlation_and_a_small_lambda_are_solved_too(mask):
    """Where guessing one face at a time cycles: equal correlation .9 and more weights in use than rows."""
    for replicate in range(2):
        block = datasets.block("sparse:p=200,rho=0.9", replicate)
        found, = solve(block, "l1", [1e-4 * oracle.anchors(block).l1], mask, tol=1e-8)
        assert found.converged


def test_who_separates_is_seen():
    """Two rows on the line, one of each class: the right slope separates them, the wrong one does not; nor does one through a row."""
    x, y = np.array([[-1.0], [1.0]]), np.array([0.0, 1.0])
    for model, outputs in (("logistic", 1), ("softmax", 2)):
        problem = build(x, y, model, outputs)
        for slope, separated in ((2.0, True), (-2.0, False), (0.0, False)):
            theta = np.array([[slope, 0.0]]) if outputs == 1 else np.array([[-slope, 0.0], [slope, 0.0]])
            assert unpenalised.separates(problem, theta) is separated, (model, slope)
