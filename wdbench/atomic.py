"""Atomic writes: a file under its final name is always whole."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wdbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write `content` to a temporary sibling, flush it to disk, then rename it onto `path`.

    Raises UserError where the folder cannot be written or the disk is full; `path` is then as it was before.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; results are for everyone the user's umask allows
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise UserError(f"{path}: cannot be written ({error.strerror}); make space or make the folder writable") from error
    except BaseException:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return path


def umask() -> int:
    """The process' file mode creation mask, left as it is."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> Path:
    """UTF-8 text, atomically; see `write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))


def write_parquet(path: str | Path, table: "pd.DataFrame") -> Path:
    """A pandas DataFrame as zstd parquet, atomically; equal tables give equal bytes."""
    import io

    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return write_bytes(path, buffer.getvalue())


def write_csv(path: str | Path, table: "pd.DataFrame") -> Path:
    """A pandas DataFrame as CSV (LF line ends, no index, shortest float form that round-trips), atomically."""
    return write_text(path, table.to_csv(index=False, lineterminator="\n"))
