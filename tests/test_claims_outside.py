"""What others build on: a kind of test from outside, and the dictionary of the published columns."""

import numpy as np
import pytest
from claims_planted import claim, plan, world

from wdbench.claims import dictionary, judge, kinds, superiority, tables
from wdbench.config import claimparts


def test_every_published_column_is_in_the_dictionary():
    published = {
        "verdicts.csv": tables.VERDICT_COLUMNS,
        "selected.csv": tables.SELECTED_COLUMNS,
        "effects.csv": tables.EFFECT_COLUMNS,
    }
    assert {name: tuple(columns) for name, columns in dictionary.TABLES.items()} == published
    for columns in dictionary.TABLES.values():
        assert all(len(entry) == 4 and entry[0] and entry[2] and entry[3] for entry in columns.values())


@pytest.fixture
def signs():
    """A kind that counts in how many blocks the treatment wins."""

    def effects(one, contrasts):
        found = superiority.effects(one, contrasts)
        return found.assign(effect=np.sign(found["effect"]))

    claimparts.register_kind("signs", {"treatment", "control", "metric", "direction", "margin"}, {"effect"})
    kinds.register(kinds.Kind("signs", effects, superiority.rule))
    yield
    claimparts.KINDS.pop("signs")
    kinds._KINDS.pop("signs")


def test_a_kind_from_outside_is_judged(signs):
    runs = world(-0.1)
    row = judge(runs, [claim(kind="signs", margin=0.5)], plan(runs)).verdicts.iloc[0]
    assert (row["verdict"], row["estimate"], row["kind"]) == ("supported", 1.0, "signs")
    with pytest.raises(ValueError, match="registered twice"):
        kinds.register(kinds.find("signs"))
