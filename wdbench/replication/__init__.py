"""Do verdicts stand? The same claims on other replicates, on fewer data sets, with other margins and metrics: replication.csv."""

from wdbench.replication.run import COLUMNS, replicate
from wdbench.replication.variants import with_best_iterates

__all__ = ["COLUMNS", "replicate", "with_best_iterates"]
