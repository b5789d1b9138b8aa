"""Passes over memory that PyTorch would take in a dozen, compiled by Numba for the CPU.

Every operation is rounded by itself (no fused multiply-add, no reordered sum), so that a number's bits depend neither on its place
in a vector nor on the width of the machine's. `updates.py`, `affine.py` and `models/` hold the same formulas in PyTorch: they are
what runs on other devices, and what the tests hold these passes to.
"""
