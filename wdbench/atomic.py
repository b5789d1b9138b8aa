"""Atomic writes: a file under its final name is always whole."""

import contextlib
import fcntl
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wdbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# a results folder may hold hidden files of others: only the names that `tempfile` gives ours
LEFT = re.compile(r"\..+\.(?:csv|html|json|md|parquet|pdf|png|svg)\.[a-z0-9_]{8}\.tmp")


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write `content` to a temporary sibling, flush it to disk, then rename it onto `path`.

    Raises UserError where the folder cannot be written or the disk is full; `path` is then as it was before.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = _temporary(path)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            # mkstemp makes private files; results are for everyone the user's umask allows
            os.chmod(temporary, 0o666 & ~umask())
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise UserError(f"{path}: cannot be written ({error.strerror}); make space or make the folder writable") from error
    except BaseException:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return path


def _temporary(path: Path) -> tuple[int, str]:
    """A file beside `path` that is locked until its descriptor is closed, which the kernel does where the process is killed."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # a sweep may have come before the lock
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """A rename outlives a power cut only once the folder is on the disk as well; where a file system has no such thing, so be it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(folder: str | Path, below: bool = False) -> list[Path]:
    """Delete what writers that were killed left in `folder` (and in those below it), and return it; whoever still writes holds a lock."""
    gone = []
    for path in sorted(Path(folder).glob("**/.*.tmp" if below else ".*.tmp")):
        if not LEFT.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                gone.append(path)
            finally:
                os.close(descriptor)
    return gone


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
