"""The idx format of the MNIST family: a magic number, the sizes, then unsigned bytes in row-major order."""

import math

import numpy as np

from wdbench.errors import UserError

_UBYTE = 0x08


def read(content: bytes, where: str, n_dims: int) -> np.ndarray:
    """uint8 array of `n_dims` dimensions that an idx file holds; `where` names the file in messages.

    Raises UserError for a magic number that is not that of bytes in so many dimensions, and for a length that is not what the
    sizes announce.
    """
    magic, expected = content[:4], bytes([0, 0, _UBYTE, n_dims])
    if magic != expected:
        raise UserError(f"{where}: magic number 0x{magic.hex()}; valid: 0x{expected.hex()}, an idx file of bytes in {n_dims} dimensions")
    head = 4 + 4 * n_dims
    if len(content) < head:
        raise UserError(f"{where}: ends within its header, after {len(content)} bytes; valid: {head} and the values")
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">u4", count=n_dims, offset=4))
    if len(content) != head + math.prod(shape):
        raise UserError(
            f"{where}: {len(content)} bytes; valid: {head + math.prod(shape)}, as its sizes {' x '.join(map(str, shape))} announce"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)
