"""Exact minimisers of penalised linear models in fp64, each with a bound on what it misses."""

from wdbench.oracle.anchors import Anchors, anchors, expected_smoothness
from wdbench.oracle.path import Solution, solve

__all__ = ["Anchors", "Solution", "anchors", "expected_smoothness", "solve"]
