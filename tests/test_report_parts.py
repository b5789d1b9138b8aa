"""The parts of the report that compute: what would have changed a verdict, places on an axis, slides, rows, shared drawings."""

import base64
import gzip
import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import planted
import pytest

from wdbench import stats
from wdbench.claims import equivalence, superiority, vote
from wdbench.claims.kinds import Evidence
from wdbench.errors import UserError
from wdbench.figures import draw, registry, style  # noqa: F401 (draw registers every kind)
from wdbench.report import drawings, intervals, rows, slides, telling

CLAIMS = {claim.id: claim for claim in planted.claim_list()}


def judged(claim, samples, margin=None):
    """Rows as in verdicts.csv of one sample of effects a stratum, by the rules themselves, and the overall verdict."""
    margin = float(claim.margin) if margin is None else margin
    rule = equivalence.rule if claim.kind == "equivalence" else superiority.rule
    found, rulings = [], {}
    for name, sample in samples.items():
        effects = np.asarray(sample, float)
        estimate = stats.mean_effect(effects, claim.alpha, np.random.default_rng(0))
        rulings[name] = rule(Evidence(estimate, effects, margin, claim.alpha, p_holm=1e-6))
        found.append({"dataset": name, "estimate": estimate.mean, "ci_low": estimate.low, "ci_high": estimate.high,
                      "ci_tost_low": estimate.low_tost, "ci_tost_high": estimate.high_tost, "margin": margin, "n": estimate.n,
                      "verdict": rulings[name].verdict, "reason": rulings[name].reason})
    return found, vote.overall(rulings, 1e-6, claim.alpha).verdict


def sample(mean, spread=0.01, n=10):
    """n effects of exactly this mean."""
    noise = np.random.default_rng(n).normal(size=n)
    return mean + spread * (noise - noise.mean()) / noise.std(ddof=1)


WORLDS = {
    "supported": ("A2", {"khan": 0.20, "hitters": 0.12, "digits": 0.30}),
    "refuted": ("A2", {"khan": -0.01, "hitters": 0.004, "digits": 0.008}),
    "equivalent": ("C6b", {"khan": 0.002, "hitters": -0.01, "digits": 0.005}),
}


@pytest.mark.parametrize("verdict", WORLDS)
def test_the_margin_that_changes_the_verdict_is_where_the_rules_change_it(verdict):
    claim_id, means = WORLDS[verdict]
    claim = CLAIMS[claim_id]
    samples = {name: sample(mean) for name, mean in means.items()}
    found, overall = judged(claim, samples)
    assert overall == verdict
    limit = telling.margin_limit(verdict, claim, found)
    sign = 1 if verdict == "supported" else -1
    assert judged(claim, samples, limit * (1 - sign * 1e-6))[1] == verdict
    assert judged(claim, samples, limit * (1 + sign * 1e-6))[1] != verdict
    assert any("argin" in text for text in telling.changed(claim, {"verdict": verdict}, found))


def test_a_verdict_that_no_margin_changes_says_so():
    claim = CLAIMS["A2"]
    samples = {name: sample(-0.5) for name in ("khan", "hitters", "digits")}
    found, overall = judged(claim, samples)
    assert overall == "refuted" and judged(claim, samples, 0.0)[1] == "refuted"
    assert "no other margin" in telling.changed(claim, {"verdict": overall}, found)[-1]
    assert telling.decided_by(claim, found[0]) == ""


@pytest.mark.parametrize("claim_id, mean, spread, then", [
    ("A2", 0.05, 0.10, "supported"), ("A2", 0.01, 0.06, "refuted"), ("C6b", 0.01, 0.10, "equivalent"), ("C6b", 0.08, 0.10, "refuted"),
])
def test_so_many_blocks_would_decide(claim_id, mean, spread, then):
    """With the number of blocks that is named, and the same mean and spread, the rule does decide; with half of them it does not."""
    claim = CLAIMS[claim_id]
    (row,), overall = judged(claim, {"khan": sample(mean, spread)})
    assert overall == "inconclusive"
    told = telling.decided_by(claim, row)
    needed = int(told.split(" blocks")[0].removeprefix("about ").replace(" ", ""))
    assert then in told
    assert judged(claim, {"khan": sample(mean, spread, needed)})[1] == then
    assert judged(claim, {"khan": sample(mean, spread, max(needed // 2, 10))})[1] == "inconclusive"


def test_one_stratum_changes_where_its_cell_says():
    for claim_id, mean in (("A2", 0.2), ("A2", 0.005), ("C6b", 0.01), ("C6b", 0.3)):
        claim, effects = CLAIMS[claim_id], {"khan": sample(mean)}
        (row,), overall = judged(claim, effects)
        side, percent = telling.decided_by(claim, row).removeprefix("δ ").split(" ", 1)
        limit = float(percent.split("\u00a0")[0]) / 100
        far = limit * (1.01 if side == "above" else 0.99)
        near = limit * (0.99 if side == "above" else 1.01)
        assert judged(claim, effects, far)[1] != overall == judged(claim, effects, near)[1]


def test_a_grid_is_not_mended_by_blocks():
    row = {"estimate": 0.1, "ci_low": -0.1, "ci_high": 0.3, "verdict": "inconclusive", "n": 10, "reason": "grid: treatment chose an end"}
    assert telling.decided_by(CLAIMS["A2"], row) == "a wider grid, not more blocks"


def test_places_on_an_axis_keep_order_and_ends():
    found = [{"estimate": e, "ci_low": e - 0.02, "ci_high": e + 0.02, "margin": 0.03} for e in (-0.1, 0.0, 0.05)]
    forest = intervals.forest(found, CLAIMS["A2"])
    places = [mark["at"] for mark in forest["marks"]]
    assert places == sorted(places) and abs(places[1] - forest["zero"]) < 0.02
    assert all(mark["left"] <= mark["at"] <= mark["left"] + mark["width"] and not mark["beyond_left"] for mark in forest["marks"])
    assert forest["zero"] < forest["margin"] and forest["margin_low"] == forest["zero"] and 3 <= len(forest["ticks"]) <= 7
    wild = [*found * 3, {"estimate": 50.0, "ci_low": -100.0, "ci_high": math.inf, "margin": 0.03}]
    last = intervals.forest(wild, CLAIMS["A2"])["marks"][-1]
    assert last["beyond_left"] and last["beyond_right"] and (last["at"], last["left"], last["width"]) == (100, 0, 100)
    assert intervals.forest([{"estimate": float("nan")}], CLAIMS["A2"]) is None


def test_small_plots_share_one_scale():
    claim = CLAIMS["A2"]
    for times, place in ((0, 50), (3, 100), (-1.5, 25), (9, 100)):
        row = {"estimate": 0.03 * times, "ci_low": math.nan, "ci_high": math.nan, "margin": 0.03}
        assert intervals.small(row, claim)["at"] == place and intervals.in_margins(row, claim) == pytest.approx(times)
    assert intervals.small({"estimate": 1.0, "margin": 0.0}, claim) is None


@pytest.mark.parametrize("source, expected", [
    ("lecture s5", [5]), ("lecture s2, s4", [2, 4]), ("corollary of lecture s7 and s10; Zamirai et al. 2020", [7, 10]), ("slide 7", [7]),
    ("lecture s6; s9: Try ℓ1 if feature selection is important", [6, 9]), ("D'Angelo et al. 2024, figure 2", []),
    ("see s9 of the appendix", []),
])
def test_slides_are_read_from_the_source(source, expected):
    assert slides.numbers(source) == expected


def test_slides_come_in_order_and_sentences_together():
    cards = [{"id": i, "source": s, "sentence": t, "family_title": "F"} for i, s, t in
             (("a", "lecture s9", "x"), ("b", "lecture s2 and s9", "y"), ("c", "Xie 2023", "z"), ("d", "lecture s9", "x"))]
    found = slides.slides(cards)
    assert [one["title"] for one in found] == ["Slide 2", "Slide 9", "F"]
    assert [[card["id"] for card in one["cards"]] for one in found[1]["sentences"]] == [["a", "d"], ["b"]]


def unpacked(text):
    """What the page's script makes of `rows.packed`."""
    held = json.loads(gzip.decompress(base64.b64decode(text)))
    full = []
    for column in held["columns"]:
        if isinstance(column, list):
            full.append(column)
        elif "all" in column:
            full.append([column["all"]] * held["n"])
        elif "of" in column:
            full.append([column["of"][place] for place in column["at"]])
        else:
            full.append([column["but"].get(str(row), value) for row, value in enumerate(full[column["as"]])])
    return pd.DataFrame(dict(zip(held["names"], full, strict=True)))


def test_rows_come_back_as_they_were():
    table = pd.DataFrame({
        "claim_id": ["A"] * 4, "text": ["a,b", 'c"d', None, "</script>"], "value": [1.5, math.nan, math.inf, 1e-12],
        "same": [1.5, math.nan, math.inf, 1e-12], "near": [1.5, math.nan, math.inf, 7.0],
        "flag": [True, False, True, True], "count": [1, 2, 2, 1],
    })
    back = unpacked(rows.packed(table))
    assert list(back) == list(table)
    for name in table:
        values = [None if value is None or value != value else value for value in table[name].astype(object)]
        expected = [str(value) if isinstance(value, bool) or value == math.inf else value for value in values]
        assert [None if value != value else value for value in back[name].astype(object)] == expected, name
    assert rows.packed(table) == rows.packed(table.copy())
    embedded = rows.embedded({"effects": table}, [CLAIMS["A2"].model_copy(update={"id": "A"})])
    assert "<" not in embedded and set(json.loads(embedded)) == {"A"}


def test_drawings_share_letters_and_rules_and_stay_whole():
    tables = planted.tables(("khan", "hitters"), replicates=2)
    figures = {claim_id: style.svg(registry.draw(CLAIMS[claim_id], tables)) for claim_id in ("A2", "C6b")}
    drawn, shared = drawings.taken(figures, 10**7)
    page = "".join(f'<svg viewBox="{view}">{markup}</svg>' for view, markup in drawn.values())
    root = ET.fromstring(f"<div><svg><defs>{shared.defs()}</defs></svg>{page}</div>")
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    used = {one.get("href").removeprefix("#") for one in root.iter() if one.tag == "use"}
    classes = {one.get("class") for one in root.iter() if one.get("class")}
    assert len(ids) == len(set(ids)) and used <= set(ids) and used & set(shared.outlines.values())
    assert classes == set(shared.rules.values()) and all(f".{name}{{" in shared.style() for name in classes)
    assert len(page) < 0.7 * sum(map(len, figures.values()))
    assert "light-dark(#222222,#e6e8eb)" in shared.style()


@pytest.mark.parametrize("bad", [
    b"<script>alert(1)</script>", b'<path onload="alert(1)" d=""/>', b"<foreignObject></foreignObject>", b'<use href="https://example.org/x#y"/>',
])
def test_an_svg_that_does_more_than_draw_is_refused(bad):
    with pytest.raises(UserError, match="figures/A2.svg"):
        drawings.Drawings().add("A2", b'<svg viewBox="0 0 1 1">' + bad + b"</svg>")
