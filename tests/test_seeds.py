"""Random streams: one for every purpose, block and counter, and never another one for another treatment."""

import pytest

from wdbench import seeds


def test_each_part_of_a_name_makes_another_stream():
    parts = [("a", 0, "init"), ("b", 0, "init"), ("a", 1, "init"), ("a", 0, "batches"), ("a", 0, "init", 0), ("a", 0, "init", 1),
             ("a", 0, "init", 0, 1), ("a", 0, "init", 1, 0), ("a", 0, "init", 11)]
    draws = [tuple(seeds.generator(*name).standard_normal(3)) for name in parts]
    assert len(set(draws)) == len(parts) and len({seeds.key(*name) for name in parts}) == len(parts)


def test_a_stream_is_the_same_everywhere():
    # published rows rest on these numbers: another key is another experiment
    assert seeds.key("digits", 3, "rounding", 2, 7) == seeds.key("digits", 3, "rounding", 2, 7) < 2**128
    assert (seeds.generator("digits", 3, "init", 1).standard_normal(2) == seeds.generator("digits", 3, "init", 1).standard_normal(2)).all()


def test_no_stream_is_named_by_accident():
    with pytest.raises(ValueError, match="unknown purpose 'inits'"):
        seeds.key("digits", 0, "inits")
