"""What the Snakefile asks: which packs, which files, and digests that change exactly when a job has work to do.

Digests go into `params:`, where Snakemake compares them with those of the last run. Source files are not inputs: a comment
would then start a job; the digest of the syntax tree changes only when the code does.
"""

import hashlib
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from wdbench import atomic, datasets, grid, plugins, progress, project, provenance, sealing
from wdbench.config import experiment as experiments
from wdbench.errors import UserError
from wdbench.work import evidence, paths


class Workflow:
    """One per Snakefile evaluation; `overrides` is what `snakemake --config` gave."""

    def __init__(self, overrides: Mapping[str, object]):
        known = {"config_file", "profile", "results"}
        unknown = sorted(set(overrides) - known)
        try:
            if unknown:
                raise UserError(f"snakemake --config: key {unknown[0]!r} is unknown; valid: {', '.join(sorted(known))}")
            self.given = {k: str(v) for k, v in overrides.items()}
            self.experiment = experiments.load(self.given.get("config_file", "config.yaml"), self.given.get("profile"),
                                               self.given.get("results"))
            plugins.load(self.experiment.plugins, self.experiment.source)
            if self.experiment.device != "cpu":
                provenance.platform_facts(self.experiment.device)
            self.packs, self.absent = grid.available_packs(self.experiment)
            if not self.packs:
                raise UserError(f"profile {self.experiment.profile!r}: none of its data sets is here; get one first: "
                                + "; ".join(f"{name}: {command}" for name, command in sorted(self.absent.items())))
        except UserError as error:
            # one sentence instead of Snakemake's traceback through the Snakefile
            print(f"wdbench: {error}", file=sys.stderr)
            sys.exit(2)
        for name, command in sorted(self.absent.items()):
            print(f"wdbench: data set {name} is unavailable; get it with: {command}", file=sys.stderr)

    @property
    def command(self) -> str:
        """The verbs' front, with the same configuration as this evaluation."""
        options = {"config_file": "--config-file", "profile": "--profile", "results": "--results"}
        words = [sys.executable, "-m", "wdbench"]
        for key, option in options.items():
            if key in self.given:
                words += [option, self.given[key]]
        # $PPID of the job's shell is the workflow itself; a job whose workflow was killed stops by it
        return "WDBENCH_PARENT=$PPID " + shlex.join(words)

    def path(self, name: str) -> str:
        """A file of the run's folder."""
        return str(self.experiment.folder / name)

    def file(self, name: str) -> str:
        """A file by the name that `work.paths` gives it."""
        return str(paths(self.experiment)[name])

    @property
    def published(self) -> list[str]:
        """Every file that a run is for: asked for one by one, so that a deleted table is made again though the report is there."""
        tables = ("plan", "runs", "trajectories", "supports", "oracle", "summary", "datasets", "identities", "selected", "effects",
                  "verdicts", "mechanisms", "mechanism_pairs", "advice", "precision", "controls", "torch_flags", "dictionary",
                  "manifest", "report")
        return [self.file(name) for name in tables]

    def set_damaged_aside(self) -> None:
        """Move every file of the run whose bytes are not those that were written out of the way, so that it is made again.

        A figure takes the list of figures with it, which is what Snakemake knows of them, and a copy in the gallery the whole gallery.
        Only for a workflow that is alone here: a file that is being replaced has for a moment the sum of the one before it. What killed
        writers left goes as well.
        """
        folders = (self.experiment.folder, *(paths(self.experiment)[name] for name in ("packs", "oracles", "figures")))
        for folder in folders:
            found = sealing.damaged(folder)
            if found and folder.name == "figures":
                found = list(dict.fromkeys([*found, folder / "index.csv"]))
            for path in found:
                sealing.set_aside(path)
        where, gallery = paths(self.experiment), Path(self.path("gallery"))
        copies = sealing.damaged(gallery, where["figures"] / sealing.FOLDER)
        for path in copies:
            sealing.set_aside(path, where["folder"])
        if copies:
            shutil.rmtree(gallery)
        for path in sorted(where["progress"].glob("*.json")):
            try:
                progress.read(path)
            except sealing.Damaged:
                sealing.set_aside(path)
        for folder in (*folders, where["progress"]):
            atomic.sweep(folder)
            atomic.sweep(folder / sealing.FOLDER)
        atomic.sweep(where["store"], below=True)

    def pack_files(self) -> list[str]:
        return [self.path(f"packs/{pack}.parquet") for pack in self.packs]

    def oracle_files(self) -> list[str]:
        bases = {p.split("~")[0] for p in self.packs if grid.has_oracle(p)}
        return [self.path(f"oracle/{base}.parquet") for base in sorted(bases)]

    def oracle_of(self, pack: str) -> list[str]:
        return [self.path(f"oracle/{pack.split('~')[0]}.parquet")] if grid.has_oracle(pack) else []

    @cached_property
    def digests(self) -> dict[str, str]:
        return grid.pack_digests(self.experiment)

    def cells(self, pack: str) -> str:
        """Digest of a pack's cells, data and governing code."""
        base, model, optimiser, *_ = pack.split("~")
        return _digest(self.digests[pack], datasets.fingerprint(base), provenance.governing(model, optimiser), provenance.outside())

    def problems(self, base: str) -> str:
        trained = [p for p in self.packs if p.split("~")[0] == base and grid.has_oracle(p)]
        models = sorted({p.split("~")[1] for p in trained})
        return _digest(*(self.digests[p] for p in trained), datasets.fingerprint(base),
                       *(provenance.governing(model, "exact") for model in models))

    @cached_property
    def grid(self) -> str:
        """Digest of the whole plan: what gather must find."""
        return _digest(*(self.cells(pack) for pack in self.packs), *sorted(self.absent))

    def code(self, *parts: str) -> str:
        return provenance.digest(*parts)

    @cached_property
    def registration(self) -> str:
        """Digest of the committed ledger of claims, if there is one."""
        ledger = self.experiment.ledger
        return _digest(ledger.read_text(encoding="utf-8")) if ledger.exists() else "none"

    @property
    def identities(self) -> str:
        """Digest of the identities that the claims name: those are checked."""
        claims = self.experiment.claims
        text = claims.read_text(encoding="utf-8", errors="replace") if claims.is_file() else ""
        return _digest(*sorted(set(re.findall(r"\bidentity: *([^\s,}]+)", text))))

    @property
    def conclusions(self) -> str:
        """Digest of what each outcome of a claim is said to mean, and of the claims of which it is said."""
        said = sorted((provenance.PACKAGE / "conclusions").glob("*.yaml"))
        return _digest(*(f.read_text(encoding="utf-8") for f in (*said, project.file("claims.yaml"))))

    @property
    def evidence(self) -> str:
        """Digest of the tables beside the run's own that the report shows."""
        found = (evidence(self.experiment, name) for name in ("calibration", "replication", "published"))
        return _digest(*("none" if path is None else path.read_text(encoding="utf-8") for path in found))

    @property
    def templates(self) -> str:
        root = provenance.PACKAGE / "report"
        return _digest(*(f.read_text(encoding="utf-8") for f in sorted(root.rglob("*")) if f.suffix in (".html", ".css", ".js", ".jinja")))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
