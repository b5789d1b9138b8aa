"""The decision rules one condition at a time: evidence that meets all of them but one is not upheld."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wdbench.claims import equivalence, superiority
from wdbench.claims.blocks import contrast
from wdbench.claims.judge import _joined
from wdbench.claims.kinds import Ruling
from wdbench.claims.slopes import interior


def evidence(mean, low, high, p, margin=0.03, tost=(None, None)):
    estimate = SimpleNamespace(mean=mean, low=low, high=high, n=10, mde=0.1, se=0.01, dof=9, low_tost=tost[0], high_tost=tost[1])
    return SimpleNamespace(estimate=estimate, margin=margin, p_holm=p, alpha=0.05)


@pytest.mark.parametrize("mean, low, high, p, verdict", [
    (0.10, 0.05, 0.15, 0.001, "supported"),
    (0.10, -0.01, 0.21, 0.001, "inconclusive"),   # the interval holds 0
    (0.02, 0.01, 0.05, 0.001, "inconclusive"),    # the estimate is below the margin
    (0.10, 0.05, 0.15, 0.2, "inconclusive"),      # Holm
    (0.02, 0.015, 0.025, 0.001, "refuted"),       # negligible
    (-0.10, -0.15, -0.05, 1.0, "refuted"),        # opposite
    (0.00, -0.01, 0.01, 0.5, "refuted"),          # null
])
def test_superiority(mean, low, high, p, verdict):
    assert superiority.rule(evidence(mean, low, high, p)).verdict == verdict


@pytest.mark.parametrize("mean, low, high, tost, p, verdict", [
    (0.00, -0.02, 0.02, (-0.01, 0.01), 0.001, "equivalent"),
    (0.00, -0.20, 0.20, (-0.10, 0.10), 0.001, "inconclusive"),    # only the mean is within
    (0.00, -0.02, 0.20, (-0.01, 0.10), 0.001, "inconclusive"),
    (0.00, -0.20, 0.02, (-0.10, 0.01), 0.001, "inconclusive"),
    (0.00, -0.02, 0.02, (-0.01, 0.01), 0.2, "inconclusive"),      # Holm
    (0.10, 0.05, 0.15, (0.06, 0.14), 1.0, "refuted"),
])
def test_equivalence(mean, low, high, tost, p, verdict):
    assert equivalence.rule(evidence(mean, low, high, p, tost=tost)).verdict == verdict


def test_effects_have_the_treatment_first():
    treatment, control = pd.Series([2.0, 1.0, 3.0]), pd.Series([1.0, -4.0, 0.0])
    assert contrast("difference", treatment, control).tolist() == [1.0, 5.0, 3.0]
    assert contrast("relative", treatment, control).tolist()[:2] == [1.0, 1.25]
    ratio = contrast("log_ratio", treatment, control)
    assert ratio[0] == pytest.approx(np.log(2)) and ratio[1:].isna().all()
    assert contrast("log_ratio", treatment, None).tolist() == pytest.approx(np.log([2.0, 1.0, 3.0]))


@pytest.mark.parametrize("values, verdict", [([3, 1, 2], "supported"), ([1, 2, 3], "inconclusive"), ([3, 2, 1], "inconclusive")])
def test_a_valley_has_its_lowest_point_inside(values, verdict):
    points = pd.DataFrame({"metric": "loss", "x": [0.0, 1.0, 2.0], "contrast": np.array(values, float)})
    upheld = Ruling("supported", "both end slopes")
    assert interior(SimpleNamespace(direction="lower"), points, upheld).verdict == verdict
    assert interior(SimpleNamespace(direction="higher"), points.assign(contrast=-points["contrast"]), upheld).verdict == verdict


def test_a_claim_of_several_components_is_as_uncertain_as_the_worst():
    components = [SimpleNamespace(estimate=p, margin=0.0) for p in (0.001, 0.4, 0.02)]
    assert _joined(SimpleNamespace(p=lambda estimate, margin: estimate), components).p == 0.4
