"""Ways to train the same cells. Each is a module with `train(case) -> (seconds, cells, found)`.

seconds: wall time of training `cells` cells, data in memory, modules imported and compiled; found: position in `case.runs` -> the
weights that are decayed, flat and in the order of the module's parameters.
"""
