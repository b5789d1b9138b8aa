"""Metrics: each against scikit-learn or its definition; alone and in a stack, with ties and NaN."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, softmax
from sklearn import metrics as reference

from wdbench import metrics

RNG = np.random.default_rng(0)
N, C, K = 301, 37, 5
Y = RNG.choice(K, N, p=[0.4, 0.3, 0.15, 0.1, 0.05])
Z = RNG.standard_normal((N, C, K)) * 2 + 3 * RNG.random((1, C, 1)) * np.eye(K)[Y][:, None]
Y2 = (RNG.random(N) < 0.2).astype(np.int64)
Z2 = np.round(RNG.standard_normal((N, C, 1)) + Y2[:, None, None], 1)
MULTI = metrics.classification(Z, Y, minority=4)
BINARY = metrics.classification(Z2, Y2, minority=1)


def agree(found, one_by_one):
    assert found.shape == (C,)
    np.testing.assert_allclose(found, [one_by_one(c) for c in range(C)], rtol=1e-11, atol=1e-14)


def test_multiclass_against_sklearn():
    prob, predicted = softmax(Z, -1), Z.argmax(-1)
    labels = np.arange(K)
    agree(MULTI["nll"], lambda c: reference.log_loss(Y, prob[:, c], labels=labels))
    agree(MULTI["brier"], lambda c: reference.brier_score_loss(Y, prob[:, c], labels=labels))
    agree(MULTI["error"], lambda c: reference.zero_one_loss(Y, predicted[:, c]))
    agree(MULTI["balanced_accuracy"], lambda c: reference.balanced_accuracy_score(Y, predicted[:, c]))
    agree(MULTI["minority_recall"],
          lambda c: reference.recall_score(Y, predicted[:, c], labels=[4], average=None, zero_division=0)[0])
    assert np.isnan(MULTI["auc"]).all() and np.isnan(MULTI["average_precision"]).all()


def test_recall_of_the_tail_against_sklearn():
    predicted, tail = Z.argmax(-1), (2, 4)
    found = metrics.classification(Z, Y, 4, tail)["tail_recall"]
    agree(found, lambda c: reference.recall_score(Y, predicted[:, c], labels=tail, average="macro", zero_division=0))
    assert np.isnan(MULTI["tail_recall"]).all() and np.isnan(BINARY["tail_recall"]).all()
    assert np.isnan(metrics.classification(Z, Y, 4, (2, 9))["tail_recall"]).all(), "class 9 has no row"


def test_the_tail_is_the_rarer_third_of_the_training_rows():
    counts = [5, 9, 1, 1, 7, 1, 4, 4]
    y = np.repeat(np.arange(8), counts)
    assert metrics.rarest_classes(y, 8).tolist() == [2, 3]
    assert metrics.rarest_classes(y, 10).tolist() == [2, 8, 9], "a class without a row is the rarest"
    assert metrics.rarest_classes(y[:14], 2).tolist() == []


def test_balance_of_the_classes_norms():
    W = RNG.standard_normal((6, 4, 9))
    W[1] = 0.0
    W[2, 3, 5] = np.inf
    W[3] = 1.0
    ratio = metrics.norm_ratio(metrics.class_norms(W))
    plain = np.linalg.norm(W[[0, 4, 5]], axis=-1)
    np.testing.assert_allclose(ratio[[0, 4, 5]], plain.min(1) / plain.max(1), rtol=1e-12)
    assert np.isnan(ratio[[1, 2]]).all() and ratio[3] == 1.0
    assert metrics.norm_ratio(metrics.class_norms(W[4:5]))[0] == ratio[4]


def test_binary_against_sklearn():
    prob, predicted = expit(Z2[..., 0]), Z2[..., 0] > 0
    agree(BINARY["nll"], lambda c: reference.log_loss(Y2, prob[:, c]))
    agree(BINARY["brier"], lambda c: reference.brier_score_loss(Y2, prob[:, c]))
    agree(BINARY["error"], lambda c: reference.zero_one_loss(Y2, predicted[:, c]))
    agree(BINARY["balanced_accuracy"], lambda c: reference.balanced_accuracy_score(Y2, predicted[:, c]))
    agree(BINARY["minority_recall"], lambda c: reference.recall_score(Y2, predicted[:, c]))
    agree(BINARY["auc"], lambda c: reference.roc_auc_score(Y2, Z2[:, c, 0]))
    agree(BINARY["average_precision"], lambda c: reference.average_precision_score(Y2, Z2[:, c, 0]))


def test_ranking_is_full_of_ties():
    assert all(len(np.unique(Z2[:, c])) < 0.3 * N for c in range(C))


def plain_ece(confidence, correct, resamples=0):
    order = np.argsort(confidence)
    correct = np.array([correct[confidence == value].mean() for value in confidence])
    total, resampled = 0.0, 0.0
    for rows in np.split(order, [i * N // 15 for i in range(1, 15)]):
        accuracy, mean = correct[rows].mean(), confidence[rows].mean()
        total += len(rows) / N * abs(mean - accuracy)
        if resamples:
            drawn = RNG.normal(accuracy, np.sqrt(accuracy * (1 - accuracy) / len(rows)), resamples)
            resampled += len(rows) / N * abs(drawn - mean).mean()
    return total, 2 * total - resampled


def test_calibration_against_its_definition():
    prob = softmax(Z, -1)
    confidence, correct = prob.max(-1), Z.argmax(-1) == Y[:, None]
    agree(MULTI["confidence_gap"], lambda c: confidence[:, c].mean() - correct[:, c].mean())
    agree(MULTI["ece"], lambda c: plain_ece(confidence[:, c], correct[:, c])[0])
    rare = Y == 4
    agree(MULTI["minority_confidence_gap"], lambda c: confidence[rare, c].mean() - correct[rare, c].mean())
    drawn = [plain_ece(confidence[:, c], correct[:, c], 20_000)[1] for c in range(5)]
    np.testing.assert_allclose(MULTI["ece_debiased"][:5], drawn, atol=1e-3)
    sure, right = expit(abs(Z2[..., 0])), (Z2[..., 0] > 0) == Y2[:, None]
    agree(BINARY["ece"], lambda c: plain_ece(sure[:, c], right[:, c])[0])


def test_calibration_does_not_depend_on_the_order_of_rows():
    shuffle = RNG.permutation(N)
    again = metrics.classification(Z2[shuffle], Y2[shuffle], 1)
    np.testing.assert_allclose(again["ece"], BINARY["ece"], rtol=1e-12)
    prior = metrics.classification(np.full((N, 1, 1), -1.5), Y2, 1)
    assert abs(prior["ece"][0] - abs(prior["confidence_gap"][0])) < 1e-15


def test_debiasing_takes_away_part_of_the_bias_of_a_calibrated_model():
    rows, stack = 1000, 200
    logit = RNG.normal(0, 1.5, rows)
    plain, debiased = [], []
    for _ in range(stack):
        y = (RNG.random(rows) < expit(logit)).astype(np.int64)
        found = metrics.classification(logit[:, None, None], y, 1)
        plain.append(found["ece"][0])
        debiased.append(found["ece_debiased"][0])
    assert np.mean(plain) > 0.03 and abs(np.mean(debiased)) < 0.65 * np.mean(plain)


def test_data_loss_and_error():
    agree(metrics.data_loss(Z, Y, "multiclass"), lambda c: MULTI["nll"][c])
    agree(metrics.data_loss(Z2, Y2, "binary"), lambda c: BINARY["nll"][c])
    agree(metrics.error(Z, Y), lambda c: MULTI["error"][c])
    agree(metrics.error(Z2, Y2), lambda c: BINARY["error"][c])
    target = RNG.standard_normal(N)
    agree(metrics.data_loss(Z2, target, "regression"),
          lambda c: reference.mean_squared_error(target, Z2[:, c, 0]) / 2)


def test_extreme_logits_stay_exact():
    z, y = np.array([[[1e4, -1e4]], [[1e4, -1e4]]]), np.array([0, 1])
    assert metrics.data_loss(z, y, "multiclass")[0] == 1e4
    assert metrics.data_loss(z[:, :, :1], 1 - y, "binary")[0] == 5e3
    found = metrics.classification(z[:, :, :1], 1 - y, 1)
    assert (found["nll"][0], found["confidence_gap"][0], found["brier"][0]) == (5e3, 0.5, 0.5)


@pytest.mark.parametrize("z, y", [(Z, Y), (Z2, Y2)])
def test_a_broken_neighbour_changes_no_bit(z, y):
    broken = z.copy()
    broken[7, 3, 0], broken[0, 20, 0] = np.nan, np.inf
    clean, found = metrics.classification(z, y, 1), metrics.classification(broken, y, 1)
    intact = np.setdiff1d(np.arange(C), [3, 20])
    for name, value in found.items():
        assert np.isnan(value[[3, 20]]).all()
        assert value[intact].tobytes() == clean[name][intact].tobytes()
    loss = metrics.data_loss(broken, y, "binary")
    assert np.isnan(loss[[3, 20]]).all() and np.isfinite(loss[intact]).all()


@pytest.mark.parametrize("z, y", [(Z, Y), (Z2, Y2)])
def test_alone_and_in_a_stack_give_the_same_bits(z, y, monkeypatch):
    stacked = metrics.classification(z, y, 1)
    monkeypatch.setattr(metrics.chunks, "CHUNK_BYTES", 30_000)
    rechunked = metrics.classification(z, y, 1)
    for c in (0, 17, C - 1):
        alone = metrics.classification(z[:, [c]], y, 1)
        for name, value in stacked.items():
            assert value[c].tobytes() == alone[name].tobytes() == rechunked[name][c].tobytes()


def test_absent_classes_and_wrong_shapes():
    found = metrics.classification(Z[Y != 4], Y[Y != 4], minority=4)
    assert np.isnan(found["minority_recall"]).all() and np.isfinite(found["balanced_accuracy"]).all()
    assert np.isnan(metrics.classification(Z2[Y2 == 0], Y2[Y2 == 0], 1)["auc"]).all()
    assert metrics.rarest_class(Y) == 4
    with pytest.raises(ValueError):
        metrics.data_loss(Z, Y[:-1], "multiclass")


def test_temperature_undoes_a_known_scale():
    rows = 20_000
    logits = RNG.standard_normal((rows, 1, K)) * 2
    y = (softmax(logits[:, 0], -1).cumsum(-1) > RNG.random((rows, 1))).argmax(-1)
    stack = np.concatenate([logits, 3 * logits, logits / 2], 1)
    t = metrics.temperature(stack, y)
    np.testing.assert_allclose(t, t[0] * np.array([1, 3, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(t[0], 1, atol=0.05)
    around = [metrics.data_loss(logits / (t[0] * f), y, "multiclass")[0] for f in (0.99, 1.0, 1.01)]
    assert around[1] == min(around)


def test_weight_statistics():
    W = RNG.standard_normal((C, 11, 3))
    W[6, :, 0] = 0.0
    flat = W.reshape(C, -1)
    found = metrics.weights(W, b=W[:, 0])
    for name, order in (("weight_norm", 2), ("weight_norm_1", 1), ("weight_norm_inf", np.inf)):
        np.testing.assert_allclose(found[name], np.linalg.norm(flat, order, axis=-1), rtol=1e-14)
    agree(found["participation_ratio"], lambda c: (flat[c] ** 2).sum() ** 2 / (flat[c] ** 4).sum())
    agree(found["max_sq_weight"], lambda c: (flat[c] ** 2).max())
    agree(found["mean_sq_weight"], lambda c: (flat[c] ** 2).mean())
    agree(found["bias_norm"], lambda c: np.linalg.norm(W[c, 0]))
    assert found["zero_fraction"][6] == 1 / 3 and not found["zero_fraction"][7:].any()


def test_weight_statistics_at_the_extremes():
    W = np.ones((3, 4, 1))
    W[0], W[1, 2] = 0.0, np.nan
    W[2] *= 1e200
    found = metrics.weights(W)
    assert found["weight_norm"][0] == 0 and found["zero_fraction"][0] == 1
    assert np.isnan(found["participation_ratio"][0])
    assert all(np.isnan(value[1]) for value in found.values())
    assert metrics.weights(np.array([[[1e-300], [0.0], [1e-5], [1.0]]]))["zero_fraction"][0] == 0.25
    assert found["weight_norm"][2] == 2e200 and found["participation_ratio"][2] == 4


def test_support():
    W = np.zeros((4, 10, 1))
    W[0, [0, 1, 2, 7], 0] = [3, -2, 0.1, 1]
    W[1, [0, 1, 2], 0] = 1
    W[3] = np.nan
    found = metrics.support(W, np.array([0, 1, 2]), marginal=np.arange(10.0))
    np.testing.assert_allclose(found["support_tpr"], [1, 1, 0, np.nan])
    np.testing.assert_allclose(found["support_fdp"], [0.25, 0, 0, np.nan])
    np.testing.assert_allclose(found["support_f1"], [6 / 7, 1, 0, np.nan])
    np.testing.assert_allclose(found["support_f1_topk"], [2 / 3, 1, 1, np.nan])
    np.testing.assert_allclose(found["support_f1_marginal"], [0, 0, 0, np.nan])
    mask = np.isin(np.arange(10), [0, 1, 2])
    assert metrics.support(W, mask)["support_f1"][0] == found["support_f1"][0]
    assert np.isnan(metrics.support(W, np.array([], int))["support_f1"]).all()


def test_marginal_score():
    X = RNG.standard_normal((50, 6)) * (RNG.random((50, 6)) < 0.4)
    X[:, 5] = 0.1
    y = X[:, 0] + RNG.standard_normal(50)
    expected = [abs(np.corrcoef(X[:, j], y)[0, 1]) for j in range(5)] + [0.0]
    np.testing.assert_allclose(metrics.marginal_score(X, y, "regression"), expected, rtol=1e-12)
    as_csr = metrics.marginal_score(sparse.csr_array(X), y, "regression")
    np.testing.assert_allclose(as_csr, expected, rtol=1e-12)
    classes = RNG.integers(0, 3, 50)
    expected = max(abs(np.corrcoef(X[:, 1], classes == j)[0, 1]) for j in range(3))
    np.testing.assert_allclose(metrics.marginal_score(X, classes, "multiclass")[1], expected, rtol=1e-12)
