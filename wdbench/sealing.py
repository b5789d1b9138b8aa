"""Sealed tables: each file's sha256 is written beside it, and whoever reads the file checks it.

The sum of `runs.parquet` is in `checksums/runs.parquet` of its folder. It cannot wait for `manifest.json`, which is written after the
verdicts that rest on these tables. A folder without sums (a copy, an accepted reference) is held to its manifest.
"""

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wdbench import atomic
from wdbench.errors import UserError

FOLDER = "checksums"


class Damaged(UserError):
    """A table whose bytes are not those that were written."""


def write_parquet(path: Path, table: pd.DataFrame) -> Path:
    """`atomic.write_parquet`, and the file's sum."""
    return seal(atomic.write_parquet(path, table))


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """`atomic.write_csv`, and the file's sum."""
    return seal(atomic.write_csv(path, table))


def seal(path: Path) -> Path:
    """Write the sum of a file as it is now."""
    atomic.write_text(path.parent / FOLDER / path.name, _sum(path.read_bytes()) + "\n")
    return path


def content(path: str | Path) -> bytes:
    """The file's bytes. Raises UserError where it is missing, Damaged where they are not those that were written.

    A file that neither a sum nor a manifest knows is taken as it is.
    """
    path = Path(path)
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run snakemake --cores 2 first") from None
    expected = _expected(path)
    if expected is not None and _sum(found) != expected:
        raise Damaged(f"{path}: damaged: its sha256 is {_sum(found)[:12]}, {expected[:12]} was written; {_cure(path)}")
    return found


def read(path: str | Path, needed: Sequence[str] = (), **options: Any) -> pd.DataFrame:
    """A table, checked; options: those of pandas for its format. Raises as `content`, and Damaged where it cannot be parsed or lacks one
    of the columns `needed`.
    """
    path = Path(path)
    found = _parsed(path, options)
    missing = [name for name in needed if name not in found]
    if missing:
        raise Damaged(f"{path}: damaged (it has no column {missing[0]!r}, and must have {', '.join(needed)}); {_cure(path)}")
    return found


def _parsed(path: Path, options: dict[str, Any]) -> pd.DataFrame:
    stream = io.BytesIO(content(path))
    try:
        return pd.read_parquet(stream, **options) if path.suffix == ".parquet" else pd.read_csv(stream, low_memory=False, **options)
    except (OSError, ValueError) as error:
        raise Damaged(f"{path}: damaged ({error}); {_cure(path)}") from None


def manifest(folder: str | Path) -> dict[str, Any]:
    """The provenance of a run. Raises UserError where it is missing, Damaged where it is not JSON."""
    path = Path(folder) / "manifest.json"
    try:
        found = json.loads(content(path))
        found["tables"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path}: damaged ({error}); {_cure(path)}") from None
    return found


def set_aside(path: Path, folder: Path | None = None) -> None:
    """Move a damaged file into `damaged/` of its folder, or of `folder`, and say so; of two processes the second does nothing."""
    aside = (folder or path.parent) / "damaged" / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(aside)
    except FileNotFoundError:
        return
    print(f"warning: {path}: damaged; set aside as {aside} and made again", file=sys.stderr)


def damaged(folder: Path, sums: Path | None = None) -> list[Path]:
    """Files of `folder` whose bytes are not those whose sum lies in its `checksums`; without those that are gone.

    sums: the folder with those sums, for copies of files that are sealed elsewhere.
    """
    found = []
    for beside in sorted((sums or folder / FOLDER).glob("*")):
        path = folder / beside.name
        try:
            if _sum(path.read_bytes()) != beside.read_text(encoding="utf-8", errors="replace").strip():
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def _expected(path: Path) -> str | None:
    beside = path.parent / FOLDER / path.name
    if beside.exists():
        return beside.read_text(encoding="utf-8", errors="replace").strip()
    whole = path.parent / "manifest.json"
    if path.name == whole.name or not whole.exists():
        return None
    return manifest(path.parent)["tables"].get(path.name, {}).get("sha256")


def _cure(path: Path) -> str:
    if path.parent.name == "reference":
        return f"restore it: git checkout -- {path}"
    try:
        profile = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8")).get("profile", "core")
    except (OSError, ValueError, AttributeError):
        profile = "core"
    which = "" if profile == "core" else f" --config profile={profile}"
    return f"delete it and make it again, without training: rm {path}; snakemake --cores 2{which}"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
