"""The problems of `benchmarks.exact`."""

from benchopt import BaseDataset

from benchmarks import exact


class Dataset(BaseDataset):
    name = "correlated"
    parameters = {"kind": list(exact.KINDS)}

    def get_data(self):
        return {"kind": self.kind}
