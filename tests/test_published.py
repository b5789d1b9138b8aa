"""Published values: R's sampler, the labs and the toy against direct computations, the rules of agreement, and a page that is current."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import Lasso

from wdbench import dictionary, published, sealing
from wdbench.config import experiment
from wdbench.datasets import DatasetUnavailable
from wdbench.errors import UserError
from wdbench.published import agreement, labs, measured, toy
from wdbench.published.measured import Evidence, Found
from wdbench.published.rsample import Stream
from wdbench.verbs import main

DOCS = "docs"


@pytest.fixture
def known():
    return published.load()


def entry(**changes):
    given = {"id": "x", "source": "s", "where": "", "quantity": "q", "published": 1.0, "rule": "printed", "tolerance": 0.1,
             "ours": {"measure": "bf16_threshold"}} | changes
    return agreement.Entry(**{name: value for name, value in given.items() if value is not None})


def test_r_draws_what_r_prints():
    """set.seed(1): runif(3), and sample(10) as R prints it from 3.6.0 on and before."""
    stream = Stream(1)
    np.testing.assert_allclose([stream.uniform() for _ in range(3)], [0.2655087, 0.3721239, 0.5728534], atol=5e-8)
    assert list(Stream(1).sample(10, 10) + 1) == [9, 4, 7, 1, 2, 5, 3, 10, 6, 8]
    assert list(Stream(1, rejection=False).sample(10, 10) + 1) == [3, 4, 5, 7, 2, 8, 9, 6, 10, 1]
    with pytest.raises(ValueError, match="cannot take 11 of 10"):
        Stream(1).sample(10, 11)


def lab_data():
    try:
        return labs.hitters()
    except DatasetUnavailable as error:
        pytest.skip(str(error))


def test_lab_coefficients_are_those_of_the_normal_equations_and_of_scikit_learn():
    data = lab_data()
    mean, sd = data.X.mean(0), data.X.std(0)
    Z, y, n = (data.X - mean) / sd, data.y - data.y.mean(), len(data.y)
    w = np.linalg.solve(Z.T @ Z + n * 300.0 / data.y.std() * np.eye(Z.shape[1]), Z.T @ y) / sd
    np.testing.assert_allclose(labs.coefficients(data.X, data.y, "l2", [300.0])[0], np.append(w, data.y.mean() - mean @ w), rtol=1e-9)
    lasso = Lasso(alpha=20.0, tol=1e-12, max_iter=10**6).fit(Z, data.y)
    np.testing.assert_allclose(labs.coefficients(data.X, data.y, "l1", [20.0])[0][:-1] * sd, lasso.coef_, atol=1e-5)


def test_between_two_lambdas_of_the_lab_coefficients_are_interpolated():
    data = lab_data()
    above, below = labs.GRID[74:76]
    ends = labs.coefficients(data.X, data.y, "l1", [above, below])
    found = labs.interpolated(data.X, data.y, "l1", 0.25 * above + 0.75 * below)
    np.testing.assert_allclose(found, 0.25 * ends[0] + 0.75 * ends[1], rtol=1e-6)
    np.testing.assert_array_equal(labs.interpolated(data.X, data.y, "l1", below), ends[1])


def test_the_toy_is_the_books_loop(monkeypatch):
    """The stacked run against a plain loop over the same rows, with the loss of the book's optimiser version (no 1/2)."""
    monkeypatch.setattr(toy, "REPLICATES", 2)
    toy._blocks.cache_clear()
    toy.trained.cache_clear()
    try:
        norms, risks = toy.trained("concise", 3.0)
        asked, blocks = toy.PROTOCOLS["concise"], toy._blocks()
    finally:
        toy._blocks.cache_clear()
        toy.trained.cache_clear()
    from wdbench import engine, seeds
    for r, block in enumerate(blocks):
        X, y = block.X["train"], block.y["train"]
        w, b = asked.init * seeds.generator("d2l", r, "init", 0).standard_normal((200,)), 0.0
        for rows in engine.batches("d2l", r, 20, 40, 5):
            residual = X[rows] @ w + b - y[rows]
            # d/dw of mean r^2, and torch's weight_decay w
            w, b = w - asked.lr * (2 * X[rows].T @ residual / 5 + 3.0 * w), b - asked.lr * 2 * residual.mean()
        assert norms[r] == pytest.approx(np.linalg.norm(w), rel=1e-4)
        risk = 0.5 * (((w - 0.01) ** 2).sum() + (b - 0.05) ** 2 + 0.01**2)
        assert risks[r] == pytest.approx(risk, rel=1e-4)


@pytest.mark.parametrize("changes, found, says", [
    ({}, Found(1.1), "yes"), ({}, Found(1.11), "no"), ({}, Found(0.89), "no"),
    ({"rule": "relative", "published": 200.0, "tolerance": 0.01}, Found(201.9), "yes"),
    ({"rule": "relative", "published": 200.0, "tolerance": 0.01}, Found(197.9), "no"),
    ({"rule": "draw", "tolerance": None}, Found(5.0, 0.9, 6.0), "yes"), ({"rule": "draw", "tolerance": None}, Found(1.0, 1.1, 2.0), "no"),
    ({"rule": "overlap", "tolerance": None, "se": 0.5}, Found(3.0, 1.9, 4.0), "yes"),
    ({"rule": "overlap", "tolerance": None, "se": 0.5}, Found(3.0, 2.1, 4.0), "no"),
    ({"rule": "overlap", "tolerance": None, "se": 0.5}, Found(-2.0, -4.0, -0.1), "no"),
    ({"rule": "direction", "published": "higher", "tolerance": None}, Found(1.0, 0.1, 2.0), "yes"),
    ({"rule": "direction", "published": "higher", "tolerance": None}, Found(-1.0, -2.0, -0.1), "no"),
    ({"rule": "direction", "published": "lower", "tolerance": None}, Found(-1.0, -2.0, 0.1), "open"),
    ({"rule": "near"}, Found(1.0, 0.95, 1.05), "yes"), ({"rule": "near"}, Found(1.0, 0.8, 1.05), "open"),
    ({"rule": "near"}, Found(1.3, 1.2, 1.4), "no"), ({"rule": "near"}, Found(0.7, 0.6, 0.8), "no"),
])
def test_agreement(changes, found, says):
    assert agreement.agreement(entry(**changes), found) == says


@pytest.mark.parametrize("changes, complaint", [
    ({"rule": "draw"}, "needs neither"), ({"tolerance": None}, "needs tolerance"), ({"published": "higher"}, "not go with rule printed"),
    ({"ours": {"measure": "nothing"}}, "'nothing' is not known"), ({"rule": "overlap", "tolerance": None}, "needs se"),
])
def test_a_value_that_cannot_be_judged_is_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        entry(**changes)


@pytest.mark.parametrize("old, new, complaint", [
    ("source: ISLR", "source: ISLRR", "source: value 'ISLRR': unknown; valid: d2l, ISLR"),
    ("id: islr-norm-60", "id: islr-norm-50", "id: value 'islr-norm-50': is given twice"),
    ("rule: printed", "rule: painted", "published.yaml"),
])
def test_a_file_with_a_mistake_is_refused(tmp_path, old, new, complaint):
    path = tmp_path / "published.yaml"
    path.write_text(agreement.VALUES.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        published.load(path)


def planted(folder):
    """A run with known answers: ridge errs half as much as the lasso on zou1, and turns by 1.2 of the formula."""
    rows = []
    for r in range(20):
        for penalty, error in (("l1", 4.0), ("l2", 2.0), ("elastic", 3.0)):
            for lam, val in ((0.1, 1.0), (0.2, 2.0)):
                # the other lambda is better on test rows, where nobody may look
                loss = 0.5 * (error * (1 + 0.01 * r) * (1.0 if lam == 0.1 else 0.1) + 9.0)
                rows.append({"study": "zou", "status": "ok", "dataset": "zou1", "penalty": penalty, "replicate": r, "val_loss": val,
                             "test_loss": loss, "optimiser": "exact", "batch_size": 0, "lr": 0.0, "lambda": lam})
        rows.append({"study": "rotation", "status": "ok", "dataset": f"d{r % 2}", "replicate": r, "optimiser": "sgd", "batch_size": 16,
                     "lr": 0.1, "lambda": 1.0, "rotation_ratio_hidden": 1.2 + 0.01 * (r % 5 - 2)})
    sealing.write_parquet(folder / "runs.parquet", pd.DataFrame(rows))
    sealing.write_csv(folder / "verdicts.csv", pd.DataFrame([
        {"claim_id": "E5", "dataset": "all", "estimate": 0.5, "ci_low": 0.2, "ci_high": 0.6},
        {"claim_id": "E5", "dataset": "digits:n=3 / mlp:depth=1", "estimate": 0.7, "ci_low": 0.6, "ci_high": 0.9},
        {"claim_id": "E5", "dataset": "digits:n=3 / mlp:depth=1,norm=bn", "estimate": 0.1, "ci_low": 0.0, "ci_high": 0.2}]))
    return Evidence(folder)


def test_measurements_read_the_tables(tmp_path):
    evidence = planted(tmp_path)
    medians = {p: measured.zou_median(evidence, 1, p).value for p in ("l1", "l2")}
    assert medians == pytest.approx({"l1": 4.0 * 1.095, "l2": 2.0 * 1.095})
    order = measured.zou_order(evidence, 1, "l2", "l1")
    # drawn together, the two medians have one ratio in every resample
    assert (order.value, order.low, order.high) == pytest.approx((-np.log(2),) * 3)
    ratio = measured.rotation_ratio(evidence, "rotation", "sgd", 16)
    assert ratio.value == pytest.approx(1.2) and ratio.low < 1.2 < ratio.high
    assert measured.verdict_estimate(evidence, "E5", sign=-1) == Found(-0.5, -0.6, -0.2)
    assert measured.verdict_estimate(evidence, "E5", "digits", "mlp:depth=1") == Found(0.7, 0.6, 0.9)
    with pytest.raises(UserError, match="'E6' on 'all': no estimate"):
        measured.verdict_estimate(evidence, "E6")
    with pytest.raises(UserError, match="study: value 'rotation_adam': no finished row"):
        measured.rotation_ratio(evidence, "rotation_adam", "adam", 8)


def test_the_threshold_of_torch_is_a_quarter_of_its_eps():
    assert measured.bf16_threshold(None).value == pytest.approx(2.0**-9, abs=1e-7)


def test_every_measurement_is_asked_for(known):
    assert {one.ours["measure"] for one in known.values} == set(measured.MEASURED)


def test_columns_are_in_the_dictionary():
    for column in published.COLUMNS:
        assert dictionary.entry("published", column)["meaning"]


def committed():
    return pd.read_csv(f"{DOCS}/published.csv", dtype={"published": str, "where": str})


def test_the_page_is_current(known):
    table, text = committed(), open(f"{DOCS}/others.md", encoding="utf-8").read()
    assert published.page(table, known, text) == text


def test_the_table_is_that_of_the_published_values(known):
    table = committed().set_index("id")
    assert list(table.index) == [one.id for one in known.values]
    for one in known.values:
        row = table.loc[one.id]
        assert (row["published"], row["rule"], row["quantity"], row["source"]) == (
            agreement._text(one), agreement._rule(one), one.quantity, one.source)
        assert row["agrees"] == agreement.agreement(one, Found(row["ours"], row["ci_low"], row["ci_high"]))
        assert pd.isna(row["why"]) == (row["agrees"] == "yes")


def test_what_needs_no_run_is_measured_again(known):
    lab_data()
    table = committed().set_index("id")
    cheap = [one for one in known.values if one.ours["measure"] in ("lab_norm", "lab_error", "lab_variables", "bf16_threshold")]
    assert len(cheap) >= 14
    for one in cheap:
        assert agreement.measure(one, None).value == pytest.approx(table.loc[one.id, "ours"], rel=1e-6)


def test_docs_without_the_page_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "measure", lambda one, evidence: Found(1.0, 0.9, 1.1))
    found = CliRunner().invoke(main, ["--results", str(tmp_path / "r"), "compare-published", "--docs", str(tmp_path)])
    folder = experiment.load("config.yaml", None, str(tmp_path / "r")).folder
    assert found.exit_code == 2 and "has no others.md" in found.output
    assert not (folder / "published.csv").exists() and not (tmp_path / "published.csv").exists()
