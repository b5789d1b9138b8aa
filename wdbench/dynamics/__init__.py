"""What training does to a network, measured: curvature, Jacobians, rotation, gradient noise, path, loss spikes.

Everything here is a function of a stack (parameters name -> [R, C, *shape], see `stacked.py`) that gives a number a cell, [R, C],
and draws nothing itself: probe batches, signs and start vectors come from the caller, so that no probe depends on a treatment.
Sums accumulate in fp64 along one cell's contiguous coordinates, never over cells. What runs the network
does so one cell at a time and batches over rows or directions instead (`stackwise.over_cells`): products of a stack of cells take
other kernels at odd widths, and then a cell's bits depend on its slot.
"""
