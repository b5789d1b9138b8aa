"""The files at the top of the repository, wherever the package was installed: a wheel carries copies of them (setup.py makes them)."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wdbench import atomic
from wdbench.errors import UserError

PACKAGE = Path(__file__).parent
STARTER = PACKAGE / "starter"
SMALL = ("config.yaml", "claims.yaml", "README.md")
FULL = ("config.yaml", "claims.yaml", "claims.lock.json", "tests/smoke_claims.yaml", "tests/smoke_claims.lock.json")
PROFILES = ("profiles/default/config.yaml", "profiles/slurm/config.yaml")


def file(name: str) -> Path:
    """The repository's file of that name: of the clone that the package is in, or the copy in an installed package.

    Raises UserError where neither is there.
    """
    for found in (PACKAGE / "project" / name, PACKAGE.parent / name):
        if found.is_file():
            return found
    raise UserError(f"{name}: not part of this installation of wdbench; install it again from its repository or its wheel")


def start(folder: str | Path, full: bool = False) -> list[str]:
    """Write a project into `folder`, which must be empty or not be there: a small experiment, or (full) the one of the repository.

    Returns the files' names in `folder`. Either all of them are written, or none. Raises UserError for a folder that is not empty, and
    for one that cannot be written.
    """
    folder = Path(folder)
    try:
        _refuse_full(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); valid: a folder that can be made and written") from None
    try:
        names = []
        for name, source in _contents(full):
            atomic.write_bytes(stage / name, source.read_bytes())
            names.append(name)
        stage.chmod(0o777 & ~atomic.umask())
        _move(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return names


def _contents(full: bool) -> Iterator[tuple[str, Path]]:
    """(name, source) of each file of a new project."""
    yield "Snakefile", STARTER / "Snakefile"
    for name in FULL if full else SMALL:
        yield name, file(name) if full else STARTER / name
    if full:
        yield "README.md", STARTER / "README.full.md"
    for name in PROFILES:
        yield name, file(name)


def _refuse_full(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; valid: a folder that is empty, or that is not there yet")
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if held:
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""
        raise UserError(f"{folder}: is not empty ({', '.join(held[:3])}{more}); valid: a folder that is empty, or that is not there yet")


def _move(stage: Path, folder: Path) -> None:
    """`stage` becomes `folder`, in one step where that is not there; an empty folder stays the same one, since a shell may be in it."""
    moved: list[Path] = []
    try:
        if not folder.exists():
            stage.rename(folder)
            return
        for path in sorted(stage.iterdir()):
            moved.append(path.rename(folder / path.name))
    except OSError as error:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise UserError(f"{folder}: cannot be written ({error.strerror}); valid: a folder that can be made and written") from None
