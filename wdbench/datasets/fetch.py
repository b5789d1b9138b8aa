"""Wheels used as data archives: the one place that touches a network."""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from wdbench.datasets.registry import Archive, Entry, entries, entry
from wdbench.errors import UserError

COMMAND = "python -m wdbench data fetch"


class DatasetUnavailable(UserError):
    """A data set whose archive is not on this machine; the message holds the command that gets it."""


def folder() -> Path:
    """Where archives are kept: $WDBENCH_DATA, by default ~/.cache/wdbench."""
    return Path(os.environ.get("WDBENCH_DATA") or Path.home() / ".cache" / "wdbench")


def path_of(archive: Archive) -> Path:
    """Where this archive is, or would be."""
    return folder() / archive.file


def fetch(names: Iterable[str] | None = None) -> list[Path]:
    """Get the archives of these data sets (all of them by default) and return their paths.

    A whole archive is left alone; a damaged one is set aside as *.damaged and fetched anew. Raises UserError
    where pip is missing or fails, or where what it brings is not what is registered.
    """
    chosen = entries().values() if names is None else [entry(name) for name in names]
    archives = {found.archive.id: found.archive for found in chosen if found.archive}
    return [_fetch_one(archive) for archive in archives.values()]


def _fetch_one(archive: Archive) -> Path:
    target = path_of(archive)
    if target.exists():
        if _sha256(target) == archive.sha256:
            return target
        os.replace(target, target.with_name(target.name + ".damaged"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # beside the target: a rename is atomic only within one file system
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            downloaded = _pip_download(archive, Path(scratch))
            found = _sha256(downloaded)
            if found != archive.sha256:
                raise UserError(f"{downloaded.name}: sha256 {found} as downloaded; valid: {archive.sha256}")
            os.replace(downloaded, target)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror}); make space or set WDBENCH_DATA"
        ) from error
    return target


def _pip_download(archive: Archive, scratch: Path) -> Path:
    requirements = scratch / "requirements.txt"
    requirements.write_text(
        f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--dest",
        str(scratch),
        "-r",
        str(requirements),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        errors = [line for line in lines if "ERROR" in line or "No module named" in line] or lines
        raise UserError(
            f"{archive.package} {archive.version}: pip download failed ({errors[-1].strip()}); "
            f"valid: an environment with pip that reaches a package index, then `{COMMAND}`"
        )
    wheels = list(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise UserError(
            f"{archive.package} {archive.version}: pip download left {len(wheels)} wheels; valid: one"
        )
    return wheels[0]


def available(found: Entry) -> bool:
    """Whether a data set can be loaded without fetching; the archive is looked for, not hashed."""
    return found.archive is None or path_of(found.archive).exists()


def members(found: Entry) -> dict[str, bytes]:
    """Registered members of a data set's archive, path -> bytes, each verified; nothing is written to disk.

    Raises DatasetUnavailable without the archive, and UserError where archive or member is not the registered
    one.
    """
    archive = found.archive
    path = path_of(archive)
    if not path.exists():
        raise DatasetUnavailable(
            f"data set {found.id}: {path} is missing; get it with `{COMMAND} {found.id}`"
        )
    actual = _archive_sha256(str(path), path.stat().st_mtime_ns, path.stat().st_size)
    if actual != archive.sha256:
        raise UserError(
            f"{path}: damaged, expected sha256 {archive.sha256} and found {actual}; "
            f"set it aside and get it anew with `{COMMAND} {found.id}`"
        )
    contents = {}
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as wheel:
        for name, expected in found.members.items():
            contents[name] = wheel.read(name)
            if hashlib.sha256(contents[name]).hexdigest() != expected:
                raise UserError(
                    f"{path}: member {name}: not the registered content; valid: sha256 {expected}"
                )
    return contents


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def _archive_sha256(path: str, modified: int, size: int) -> str:
    return _sha256(Path(path))
