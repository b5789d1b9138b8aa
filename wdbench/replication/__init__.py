"""Do verdicts stand? The same claims on other replicates, on fewer data sets, with other margins and metrics: replication.csv."""

from wdbench.replication.run import COLUMNS, replicate

__all__ = ["COLUMNS", "replicate"]
