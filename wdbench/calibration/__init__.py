"""Are verdicts right? Tables of runs in which the truth is known go through the same judge as the real ones, a few thousand times."""

from wdbench.calibration.run import COLUMNS, calibrate
from wdbench.calibration.settings import settings

__all__ = ["COLUMNS", "calibrate", "settings"]
