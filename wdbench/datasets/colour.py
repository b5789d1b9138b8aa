"""CIFAR-10 and CIFAR-100: colour images that stay bytes until a batch is taken.

Read from the publisher's binary archives, in which a row is its label bytes and 3072 pixels, channel by channel: nothing is unpickled.
Values are then centred and scaled by channel with the constants of the paper's own loader (github.com/tml-epfl/why-weight-decay,
overparameterized_nets/data/get_dataset.py, in units of bytes), the same for both sets.
"""

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wdbench.datasets import fetch
from wdbench.datasets.records import SPLITS, Dataset, digest
from wdbench.errors import UserError

if TYPE_CHECKING:
    from wdbench.datasets.registry import Entry

PIXELS = 3 * 32 * 32
MEAN, SD = (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)


@dataclass(frozen=True)
class Pixels:
    """Rows [n, 3072] of images kept as bytes `codes`; rows that are taken from it come as float32, (code - mean) / sd by channel."""

    codes: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        taken = self.codes[rows].astype(np.float32)
        return (taken - _by_channel(MEAN)) / _by_channel(SD)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)


def _by_channel(numbers: tuple[float, ...]) -> np.ndarray:
    return np.repeat(np.array(numbers, dtype=np.float32), PIXELS // len(numbers))


def columns(data: Dataset, rows: dict[str, np.ndarray]) -> dict[str, Pixels]:
    """X of every split of a block."""
    return {part: Pixels(data.X[rows[part]]) for part in SPLITS}


def load(entry: "Entry") -> Dataset:
    """Dataset of an entry of kind colour: X [n, 3072] uint8, the published test rows last.

    An entry's members are the files of train rows and then that of test rows; a row's label is the last byte before its pixels
    (CIFAR-100 has the coarse label first). Raises DatasetUnavailable, or UserError for an archive that is not the registered one
    or holds files of another length.
    """
    path, labels, pixels = fetch.archive_of(entry), [], []
    head = 1 if entry.n_classes == 10 else 2
    with tarfile.open(path) as archive:
        for name in entry.members:
            content = np.frombuffer(archive.extractfile(name).read(), dtype=np.uint8)
            if not len(content) or len(content) % (head + PIXELS):
                raise UserError(f"{path}: member {name}: {len(content)} bytes; valid: a multiple of {head + PIXELS}, "
                                f"{head} of labels and {PIXELS} of pixels a row")
            rows = content.reshape(-1, head + PIXELS)
            labels.append(rows[:, head - 1].astype(np.int64))
            pixels.append(rows[:, head:])
    X, y = np.concatenate(pixels), np.concatenate(labels)
    if X.shape != entry.shape or set(np.unique(y)) != set(range(entry.n_classes)):
        raise UserError(f"{path}: {len(X)} rows of {len(np.unique(y))} classes; valid: {entry.shape[0]} of {entry.n_classes}")
    X.flags.writeable = y.flags.writeable = False
    features = tuple(f"pixel{j}" for j in range(PIXELS))
    given_test = np.arange(len(X) - len(pixels[-1]), len(X))
    return Dataset(entry.id, entry.task, X, y, features, tuple(map(str, range(entry.n_classes))), given_test, digest(X, y))
