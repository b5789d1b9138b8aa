"""Where numbers come from: code digests, platform, commit."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from wdbench import rules, trees
from wdbench.errors import UserError

PACKAGE = Path(__file__).parent

_MEASURE = ("cells", "rows", "metrics", "penalties", "seeds", "oracle", "resolve", "models/families", "models/losses")
_TRAIN = ("engine", "stack", "measure", "tokens", "endprobes", "runprobes", "dynamics", "divergence", "follow", "sphere", "affine",
          "stacked", "lone", "apart", "updates", "rules", "kernels", "advance", "feed", "precision", "probes", "schedules")
# from a data set's values to a block; how the values are read does not enter, their sha256 is in a cell's id
_DATA = tuple(f"datasets/{name}" for name in ("assembly", "colour", "designs", "disturb", "generators", "language", "options", "records",
                                              "scaling", "spec", "splits", "synthetic", "text", "tokenfile", "truth"))


@cache
def digest(*parts: str) -> str:
    """16 hex digits over the syntax trees of modules or sub-packages of wdbench.

    Comments, docstrings, annotations and layout do not enter; a changed formula does.
    """
    state = hashlib.sha256()
    for part in parts:
        root = PACKAGE / part
        files = sorted(root.rglob("*.py")) if root.is_dir() else [root.with_suffix(".py")]
        for file in files:
            state.update(str(file.relative_to(PACKAGE)).encode())
            state.update(trees.kept(file.read_text(encoding="utf-8")))
    return state.hexdigest()[:16]


@cache
def governing(model: str, optimiser: str, coupling: str | None = None) -> str:
    """16 hex digits: the code that decides what a cell of that model, optimiser and coupling yields.

    Of the models only the family's own module and what it imports: another family, or a further one, changes nothing here. The
    modules of plugins count too, each for what it registers.
    """
    parts = (*_MEASURE, *_DATA) if optimiser == "exact" else (*_MEASURE, *_DATA, *_TRAIN)
    name = model.partition(":")[0]
    outside = [file for file in (rules.source(optimiser), rules.source(coupling or "")) if file is not None]
    if name in ("linear", "logistic", "softmax"):
        module = "wdbench.models.linear"
    else:
        # torch is loaded for networks alone: planning a convex study must not wait for it
        from wdbench import models

        module = models.FAMILIES[name].build.__module__
    if module.startswith("wdbench."):
        own = digest(*dict.fromkeys((*parts, *siblings(module))))
    else:
        own, outside = digest(*parts), [Path(sys.modules[module].__file__), *outside]
    if not outside:
        return own
    return hashlib.sha256((own + "".join(trees.tree(file.read_text(encoding="utf-8")) for file in outside)).encode()).hexdigest()[:16]


def outside() -> str:
    """16 hex digits over the files of all couplings from outside; empty where there are none."""
    files = sorted({rules.source(name) for name in rules.couplings})
    text = "".join(trees.tree(file.read_text(encoding="utf-8")) for file in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if files else ""


def siblings(module: str) -> list[str]:
    """A module of the package, and those of its own sub-package that it imports, directly or not; as parts for `digest`."""
    found = [module]
    for one in found:
        package = one.rpartition(".")[0]
        for node in ast.walk(ast.parse((PACKAGE.parent / f"{one.replace('.', '/')}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == package:
                found += [name for name in (f"{package}.{alias.name}" for alias in node.names) if name not in found]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.") and node.module not in found:
                found.append(node.module)
    return sorted(one.removeprefix("wdbench.").replace(".", "/") for one in found)


@cache
def platform_key(device: str = "cpu") -> str:
    """What besides code and data decides bits: torch, numpy, scipy and scikit-learn builds, vector instructions, and the GPU used."""
    return key(platform_facts(device))


def key(facts: Mapping[str, str]) -> str:
    """12 hex digits that stand for a platform's facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@cache
def platform_facts(device: str = "cpu") -> dict[str, str]:
    """Versions, instruction set and GPU that results depend on. Raises UserError for a device that is not there."""
    import torch

    facts = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "scikit-learn")}
    if device != "cpu":
        if not torch.cuda.is_available():
            raise UserError(f"config.yaml: device: value {device!r}: torch sees no such device here; valid: cpu")
        facts["device"] = torch.cuda.get_device_name()
    return facts | {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def commit(folder: str | Path = ".") -> dict[str, str | bool | None]:
    """Commit, whether the tree differs from it, and its date; None where this is no git checkout."""
    def git(*words: str) -> str | None:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    return {
        "commit": git("rev-parse", "HEAD"),
        "commit_date": git("log", "-1", "--format=%cI"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
    }


def one_thread() -> None:
    """One thread in every numerical library, before it is loaded: core count must not reach the bits."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = "1"
    # without it MKL takes another kernel for a matrix that does not start at 16 bytes, and a cell's bits depend on its slot
    os.environ["MKL_CBWR"] = "AUTO"
