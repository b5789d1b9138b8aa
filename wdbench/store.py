"""The cell store: finished rows, content-addressed, below `results/store`, which the workflow does not own.

A chunk of finished cells is one file `<platform>/<pack>/<kind>-<sha256 of its bytes>.parquet`. Files are written atomically and
never changed; deleting the store is always safe. A file whose bytes do not match its name is set aside, named in a warning,
and its cells are trained again.
"""

import hashlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from wdbench import atomic, provenance, sealing

KINDS = ("trajectories", "supports", "rows")
# a file costs as much as dozens of small cells; what is held back is all that a killed job loses
HOLD_SECONDS = 3.0
FACTS = "platform.json"


class Store:
    """Rows of one platform. `root`: results/store; `platform`: provenance.platform_key()."""

    def __init__(self, root: str | Path, platform: str) -> None:
        self.root = Path(root)
        self.folder = self.root / platform
        self.damaged: set[str] = set()
        """Kinds of table of which a file was found damaged, and set aside."""

    def load(self, pack: str, kind: str, cell_ids: set[str] | None = None) -> pd.DataFrame:
        """Rows of `kind` of a pack, only those of `cell_ids` if given; an empty frame where there are none.

        A cell that stands in two chunks (two runs at once) is taken from the first by file name: both hold the same bits.
        """
        frames: list[pd.DataFrame] = []
        seen: set[str] = set()
        for path in sorted((self.folder / pack).glob(f"{kind}-*.parquet")):
            frame = self._read(path)
            if frame is None:
                continue
            keep = ~frame["cell_id"].isin(seen)
            if cell_ids is not None:
                keep &= frame["cell_id"].isin(cell_ids)
            seen |= set(frame["cell_id"])
            frames.append(frame[keep])
        frames = [f for f in frames if len(f)]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"cell_id": pd.Series(dtype=str)})

    def save(self, pack: str, tables: dict[str, pd.DataFrame]) -> None:
        """Store one chunk; rows last, so that a row is there only when all that belongs to it is."""
        for kind in KINDS:
            table = tables.get(kind)
            if table is None or not len(table):
                continue
            buffer = io.BytesIO()
            table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
            content = buffer.getvalue()
            name = f"{kind}-{hashlib.sha256(content).hexdigest()}.parquet"
            atomic.write_bytes(self.folder / pack / name, content)

    def writer(self, pack: str) -> "Writer":
        """A context in which chunks of a pack are added one by one and written a few seconds' worth at a time."""
        return Writer(self, pack)

    def _read(self, path: Path) -> pd.DataFrame | None:
        content = path.read_bytes()
        expected = path.stem.split("-", 1)[1]
        if hashlib.sha256(content).hexdigest() != expected:
            aside = self.root / "damaged" / f"{path.parent.name}-{path.name}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside)
            self.damaged.add(path.stem.split("-", 1)[0])
            print(f"warning: {path}: its content does not match its name; set aside as {aside}, its cells are trained again",
                  file=sys.stderr)
            return None
        return pd.read_parquet(io.BytesIO(content))

    def describe(self, facts: dict[str, str]) -> None:
        """Write down what the platform's key stands for, once, for whoever finds its rows from another one; again where it is damaged."""
        path, text = self.folder / FACTS, json.dumps(facts, indent=1, sort_keys=True)
        try:
            if path.read_bytes() == text.encode():
                return
            sealing.set_aside(path)
        except FileNotFoundError:
            pass
        atomic.write_text(path, text)

    def facts(self, platform: str) -> dict[str, str]:
        """What `describe` wrote of a platform; empty, and said, where that is not what the platform's key was made from."""
        path = self.root / platform / FACTS
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            found = None
        if isinstance(found, dict) and provenance.key(found) == platform:
            return found
        print(f"warning: {path}: damaged; what its rows differ in cannot be said", file=sys.stderr)
        return {}

    def other_platforms(self) -> dict[str, int]:
        """platform key -> stored chunk files of other platforms, which are never mixed into results."""
        if not self.root.exists():
            return {}
        folders = [f for f in self.root.iterdir() if f.is_dir() and f != self.folder and f.name != "damaged"]
        return {f.name: sum(1 for _ in f.rglob("rows-*.parquet")) for f in folders}


class Writer:
    """Chunks of one pack on their way into a store; what was added is in it when the context is left, also by an error."""

    def __init__(self, store: Store, pack: str) -> None:
        self.store, self.pack = store, pack
        self.held: list[dict[str, pd.DataFrame]] = []
        self.written = time.monotonic()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, tables: dict[str, pd.DataFrame]) -> None:
        """Take a chunk; it is written now if the last writing is HOLD_SECONDS ago."""
        if self.held and _columns(self.held[0]) != _columns(tables):
            self.flush()
        self.held.append(tables)
        if time.monotonic() - self.written >= HOLD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one chunk."""
        held, self.held = self.held, []
        if held:
            # chunks of the same columns alone: filling up a column could change its type
            self.store.save(self.pack, {kind: pd.concat([tables[kind] for tables in held], ignore_index=True) for kind in held[0]})
        self.written = time.monotonic()


def _columns(tables: dict[str, pd.DataFrame]) -> dict[str, list[Any]]:
    return {kind: [*table.dtypes.items()] for kind, table in tables.items()}
