"""Generators: laws, exact risks, and pairing of their draws."""

import numpy as np
import pytest
from scipy import integrate, stats

from wdbench import datasets
from wdbench.datasets import designs, registry
from wdbench.datasets.truth import BinaryTruth, mean_softplus

GENERATORS = [name for name, entry in registry.entries().items() if entry.provider == "synthetic"]
REGRESSION = [name for name in GENERATORS if name != "twoclass"]


@pytest.mark.parametrize("name", GENERATORS)
def test_replicates_are_fresh_and_reproducible(name):
    one, again, two = datasets.block(name, 0), datasets.block(name, 0), datasets.block(name, 1)
    assert one.sha256 == again.sha256 != two.sha256
    assert one.sha256 == datasets.load(name).sha256
    assert one.descriptors["n_train"] == one.X["train"].shape[0] == len(one.y["train"])
    assert not np.array_equal(one.X["train"][:10], one.X["val"][:10])
    assert one.X["train"].shape[1] == len(one.truth.w) == len(one.truth.groups)


@pytest.mark.parametrize(
    "spec",
    [
        *REGRESSION,
        "measurement:test=noisy",
        "grouped:truth=one_per_group",
        "sparse:p=20,rho=0.7,colscale=1,noise_features=3",
        "zou4:corrupt=2",
    ],
)
def test_risk_is_what_a_large_sample_gives(spec):
    joint = "," if ":" in spec else ":"
    block = datasets.block(f"{spec}{joint}n_test=40000", 0)
    truth, rng = block.truth, np.random.default_rng(0)
    W = truth.w[:, None] + rng.standard_normal((len(truth.w), 3)) * np.array([0, 0.3, 1]) * (
        0.01 + np.abs(truth.w).max()
    )
    b = truth.b + np.array([0.0, 0.5, -1.0]) * truth.sigma
    losses = 0.5 * (block.y["test"][:, None] - block.X["test"] @ W - b) ** 2
    error = losses.std(axis=0) / np.sqrt(len(losses))
    assert np.all(np.abs(losses.mean(axis=0) - truth.risk(W, b)) < 4.5 * error)
    if "noisy" not in spec:
        assert truth.risk(W, b)[0] == pytest.approx(0.5 * truth.sigma**2)


def test_risk_of_a_solution_does_not_depend_on_the_others():
    for spec in ("sparse:rho=0.5", "twoclass"):
        truth = datasets.block(spec, 0).truth
        W, b = np.random.default_rng(0).standard_normal((len(truth.w), 7)), np.linspace(-1, 1, 7)
        together = truth.risk(W, b)
        assert np.array_equal(together, [truth.risk(W[:, [c]], b[[c]])[0] for c in range(7)])


@pytest.mark.parametrize(
    "spec",
    [
        "twoclass",
        "twoclass:prior=0.1,delta=1",
        "twoclass:label_noise=0.2,noisy_test=1",
        "twoclass:colscale=1,noise_features=2",
    ],
)
def test_two_class_risk_and_error_are_what_a_large_sample_gives(spec):
    joint = "," if ":" in spec else ":"
    block = datasets.block(f"{spec}{joint}n_test=40000", 1)
    truth, X, y = block.truth, block.X["test"], block.y["test"]
    W = (
        truth.w[:, None] * np.array([0.0, 1.0, 6.0])
        + np.random.default_rng(0).standard_normal((len(truth.w), 3)) * 0.01
    )
    b = np.array([0.3, truth.b, truth.b])
    logits = X @ W + b
    losses = np.logaddexp(0, logits) - y[:, None] * logits
    wrong = (logits > 0) != (y[:, None] == 1)
    for sample, exact in ((losses, truth.risk(W, b)), (wrong, truth.error(W, b))):
        assert np.all(
            np.abs(sample.mean(axis=0) - exact) < 4.5 * sample.std(axis=0) / np.sqrt(len(y)) + 1e-12
        )
    assert np.argmin(truth.risk(W, b)) == 1 or truth.label_noise


def test_bayes_error_has_its_closed_form():
    for delta in (0.5, 2.0, 4.0):
        truth = datasets.block(f"twoclass:delta={delta}", 0).truth
        assert truth.bayes_error == pytest.approx(stats.norm.cdf(-delta / 2), rel=1e-12)
    rare = datasets.block("twoclass:prior=0.05", 0).truth
    assert rare.bayes_error < 0.05
    assert rare.error(rare.w[:, None], np.array([rare.b + 0.3]))[0] > rare.bayes_error


def test_a_constant_classifier_has_the_risk_of_its_bias():
    truth = BinaryTruth(np.ones(2), 0.0, np.ones(2), np.eye(2), 0.2, np.arange(2), np.full(2, -1))
    W = np.zeros((2, 1))
    assert truth.risk(W, np.array([np.log(0.2 / 0.8)]))[0] == pytest.approx(stats.bernoulli(0.2).entropy())
    assert truth.error(W, np.array([-1.0]))[0] == 0.2


@pytest.mark.parametrize("mean", [-30.0, -2.0, 0.0, 1.3, 25.0])
@pytest.mark.parametrize("sd", [0.0, 0.05, 0.999, 1.0, 3.0, 50.0])
def test_mean_softplus_against_adaptive_quadrature(mean, sd):
    if sd == 0:
        reference = np.logaddexp(0, mean)
    else:
        points = [p for p in ((0 - mean) / sd,) if abs(p) < 12]
        reference = integrate.quad(
            lambda z: np.logaddexp(0, mean + sd * z) * stats.norm.pdf(z),
            -12,
            12,
            points=points,
            limit=500,
            epsabs=1e-12,
        )[0]
    assert mean_softplus(np.array([mean]), np.array([sd]))[0] == pytest.approx(reference, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    "design",
    [
        designs.isotropic(3),
        designs.ar1(4, 0.8),
        designs.factors(np.array([0, 0, 1, -1]), 1.0, 0.3),
        designs.gaussian(np.array([[2.0, 0.5], [0.5, 1.0]])),
    ],
)
def test_designs_have_the_covariance_they_state_and_nested_rows(design):
    X = design.draw(np.random.default_rng(0), 60000)
    assert np.allclose(np.cov(X.T), design.Sigma, atol=0.04)
    assert np.array_equal(
        design.draw(np.random.default_rng(5), 7), design.draw(np.random.default_rng(5), 30)[:7]
    )


@pytest.mark.parametrize("name", GENERATORS)
def test_smaller_samples_are_the_first_rows_of_larger_ones(name):
    small, large = (
        datasets.block(f"{name}:n=20,n_val=50,n_test=20", 0),
        datasets.block(f"{name}:n=35,n_val=50,n_test=20", 0),
    )
    for part in ("train", "val", "test"):
        n = len(small.y[part])
        assert np.array_equal(small.X[part], large.X[part][:n]) and np.array_equal(
            small.y[part], large.y[part][:n]
        )


def test_signal_to_noise_is_what_was_asked_for():
    for spec, snr in (
        ("sparse:snr=8,rho=0.9", 8),
        ("strong:snr=3,s=200", 3),
        ("grouped:snr=2", 2),
        ("grouped:snr=2,truth=one_per_group,p=42", 2),
    ):
        block = datasets.block(spec, 0)
        assert block.truth.signal / block.truth.sigma**2 == pytest.approx(snr)
        assert block.descriptors["snr"] == pytest.approx(snr)


@pytest.mark.parametrize("s", [2, 5, 20, 100, 200])
def test_strong_keeps_the_norm_of_the_signal(s):
    truth = datasets.block(f"strong:s={s}", 0).truth
    assert len(truth.support) == s and np.linalg.norm(truth.w) == pytest.approx(2)


def test_zou_examples_are_those_of_the_paper():
    shapes = {
        name: [datasets.block(name, 0).X[part].shape for part in ("train", "val")]
        for name in ("zou1", "zou2", "zou3", "zou4")
    }
    assert shapes == {
        "zou1": [(20, 8)] * 2,
        "zou2": [(20, 8)] * 2,
        "zou3": [(100, 40)] * 2,
        "zou4": [(50, 40)] * 2,
    }
    sparse, groups = datasets.block("zou1", 0).truth, datasets.block("zou4", 0).truth
    assert np.array_equal(sparse.support, [0, 1, 4]) and sparse.sigma == 3 and sparse.Sigma[0, 2] == 0.25
    assert np.array_equal(groups.Sigma[0, :6], [1.01, 1, 1, 1, 1, 0]) and np.bincount(
        groups.groups + 1
    ).tolist() == [25, 5, 5, 5]
    assert np.allclose(datasets.block("zou3", 0).truth.Sigma, 0.5 * np.eye(40) + 0.5)


def test_groups_have_one_active_column_each():
    truth = datasets.block("grouped:truth=one_per_group", 0).truth
    assert np.array_equal(truth.groups[truth.support], np.arange(10))


def test_error_in_one_variable_attenuates_least_squares_as_predicted():
    block = datasets.block("measurement:n=40000", 0)
    truth = block.truth
    noise = np.diag([1.0, 0, 0])
    limit = np.linalg.solve(truth.Sigma + noise, truth.Sigma @ truth.w)
    fitted = np.linalg.lstsq(block.X["train"], block.y["train"], rcond=None)[0]
    assert np.allclose(fitted, limit, atol=0.03)
    assert np.allclose(limit, [0.377, 0.411, 0.377], atol=1e-3)


def test_disturbances_change_only_what_they_say():
    plain, noisy = datasets.block("grouped", 0), datasets.block("grouped:corrupt=2", 0)
    columns = {
        part: np.flatnonzero((plain.X[part] != noisy.X[part]).any(axis=0))
        for part in ("train", "val", "test")
    }
    assert (
        len(columns["train"]) == 1
        and np.array_equal(columns["train"], columns["val"])
        and len(columns["test"]) == 0
    )
    assert all(np.array_equal(plain.y[part], noisy.y[part]) for part in plain.y)
    scaled = datasets.block("grouped:colscale=3", 0)
    assert np.array_equal(plain.y["train"], scaled.y["train"])
    assert np.allclose(scaled.X["val"] @ scaled.truth.w, plain.X["val"] @ plain.truth.w)
    padded = datasets.block("grouped:noise_features=4", 0)
    assert np.array_equal(padded.X["train"][:, :40], plain.X["train"]) and not padded.truth.w[40:].any()


def test_shift_moves_the_target_and_the_true_bias():
    plain, moved = datasets.block("shifted", 0), datasets.block("shifted:y_shift=10", 0)
    assert np.allclose(moved.y["train"], plain.y["train"] + 10) and moved.truth.b == 10
    assert moved.descriptors["y_shift"] == 10


def test_classes_hold_their_share_in_every_sample():
    block = datasets.block("twoclass:prior=0.02", 0)
    assert [int(block.y[part].sum()) for part in ("train", "val", "test")] == [4, 4, 200]
    assert block.descriptors["prior"] == 0.02 and block.descriptors["minority_share"] == 0.02
