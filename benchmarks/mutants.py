"""Do the tests notice mistakes? Each patch of tests/mutants/ is tried on a copy, and the tests that it names have to turn red.

    python benchmarks/mutants.py [--minutes 60] [--only stats] [--retry]

The copy lies in a temporary folder; the working tree is never patched. First the named tests have to pass on the copy as it is. Outcomes
are kept in results/mutants.csv as they come, so that a run that was stopped goes on where it was; an outcome is dropped when the patched
file, or a test that it rests on, has changed. When all are known the table in docs/mutants.md is written again. Exit 1: a mutant survived
that is not said to be equivalent, 2: a patch is stale or a test is red without any.
"""

import argparse
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import mutation  # noqa: E402

from wdbench import atomic  # noqa: E402
from wdbench.errors import UserError  # noqa: E402

OUTCOMES, PAGE = ROOT / "results" / "mutants.csv", ROOT / "docs" / "mutants.md"
LIMIT = 120
"""Seconds of processor time that one mutant's tests may take; a mutant that hangs them is as good as killed, and said so."""

TOO_LONG = -1
PRELOADED = ("hypothesis", "pandas", "pyarrow.parquet", "scipy.optimize", "scipy.stats", "scipy.sparse.linalg", "sklearn.linear_model",
             "sklearn.metrics", "sklearn.datasets", "statsmodels.stats.proportion", "statsmodels.stats.power", "torch", "torch.func")


def copy(folder: Path) -> None:
    """What git knows of the working tree, as it is now, into `folder`."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run_tests(folder: Path, tests: list[str], limit: int | None = None) -> tuple[int, str]:
    """(exit code of pytest on the copy, TOO_LONG where it took more than `limit` seconds of processor time; its last lines).

    In a fork of this process, which holds the large libraries already and none of wdbench: to import them anew for each mutant would
    take longer than most tests. Byte code is kept where there is no limit, that is, of the sources as they are.
    """
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _be_pytest(folder, tests, limit, output.fileno())
        status = os.waitpid(child, 0)[1]
        output.seek(0)
        tail = "\n".join(output.read().decode(errors="replace").splitlines()[-12:])
    code = os.waitstatus_to_exitcode(status)
    return (TOO_LONG if code in (-signal.SIGXCPU, -signal.SIGKILL) else code), tail


def _be_pytest(folder: Path, tests: list[str], limit: int | None, output: int) -> None:
    """Never returns."""
    code = 70
    try:
        for stream in (1, 2):
            os.dup2(output, stream)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        sys.dont_write_bytecode = limit is not None
        for name in [name for name in sys.modules if name.partition(".")[0] in ("wdbench", "mutation")]:
            del sys.modules[name]
        os.chdir(folder)
        sys.path[:] = [str(folder), *(entry for entry in sys.path if entry not in (str(ROOT), str(ROOT / "tests"), ""))]
        # what the tests start themselves has to see the copy too
        os.environ["PYTHONPATH"] = str(folder)
        importlib.invalidate_caches()
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--tb=line", *tests]))
        module = sys.modules.get("wdbench")
        if module is None or not str(module.__file__).startswith(str(folder)):
            print(f"wdbench was not imported from {folder}")
            code = 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def attempt(folder: Path, one: mutation.Mutant) -> str:
    """killed, survived or timeout. Raises UserError where the tests could not be run at all."""
    path, patched = folder / one.file, one.text(folder)
    original, times = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(patched, encoding="utf-8")
    # byte code of the original is told from the mutant by the time in it, which has whole seconds
    os.utime(path, (times.st_atime, times.st_mtime + 10))
    try:
        code, tail = run_tests(folder, list(one.tests), LIMIT)
    finally:
        path.write_text(original, encoding="utf-8")
        os.utime(path, (times.st_atime, times.st_mtime))
    if code not in (TOO_LONG, 0, 1):
        raise UserError(f"tests/mutants/{one.group}.toml: {one.id}: tests: value {', '.join(one.tests)}: pytest ended with {code}; valid: "
                        f"tests that run and fail\n{tail}")
    return {TOO_LONG: "timeout", 0: "survived", 1: "killed"}[code]


def known(mutants: list[mutation.Mutant], retry: bool) -> dict[str, tuple[str, str]]:
    """id -> (digest, outcome) of earlier runs that still count; retry: survivors do not."""
    if not OUTCOMES.exists():
        return {}
    table = pd.read_csv(OUTCOMES, dtype=str).set_index("mutant")
    found = {one.id: tuple(table.loc[one.id, ["digest", "outcome"]]) for one in mutants if one.id in table.index}
    digests = {one.id: one.digest() for one in mutants if one.id in found}
    return {name: pair for name, pair in found.items() if pair[0] == digests[name] and not (retry and pair[1] == "survived")}


def keep(mutants: list[mutation.Mutant], found: dict[str, tuple[str, str]]) -> None:
    rows = [(one.id, one.group, *found[one.id]) for one in mutants if one.id in found]
    atomic.write_csv(OUTCOMES, pd.DataFrame(rows, columns=["mutant", "group", "digest", "outcome"]))


def page(mutants: list[mutation.Mutant], found: dict[str, tuple[str, str]]) -> str:
    """docs/mutants.md, whole."""
    outcomes = {name: outcome for name, (_, outcome) in found.items()}
    count, proper = Counter(outcomes.values()), [one for one in mutants if not one.equivalent]
    noticed = sum(outcomes[one.id] != "survived" for one in proper)
    head = (PAGE.read_text(encoding="utf-8") if PAGE.exists() else f"{mutation.MARKS[0]}\n{mutation.MARKS[1]}\n")
    begin, end = (head.find(mark) for mark in mutation.MARKS)
    if begin < 0 or end < begin:
        raise UserError(f"{PAGE}: lacks the lines {mutation.MARKS[0]} and {mutation.MARKS[1]} between which the table goes")
    told = (f"{len(mutants)} mutants: {count['killed']} killed, {count['timeout']} stopped by the time limit, {count['survived']} "
            f"survived. {len(mutants) - len(proper)} are equivalent; of the {len(proper)} others {noticed} "
            f"({noticed / len(proper):.1%}) are noticed.")
    return f"{head[:begin + len(mutation.MARKS[0])]}\n{told}\n\n" + "\n".join(mutation.rows(mutants, outcomes)) + f"\n{head[end:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="start no mutant after so long")
    parser.add_argument("--only", help="one file of tests/mutants/, without .toml")
    parser.add_argument("--retry", action="store_true", help="try survivors again")
    chosen = parser.parse_args()
    mutants = mutation.load()
    for one in mutants:
        one.text()
    found = known(mutants, chosen.retry)
    pending = [one for one in mutants if one.id not in found and chosen.only in (None, one.group)]
    print(f"{len(mutants)} mutants, {len(found)} known, {len(pending)} to try", flush=True)
    stop = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        if pending:
            copy(folder)
            for module in PRELOADED:
                importlib.import_module(module)
            tests = sorted({test for one in pending for test in one.tests})
            code, tail = run_tests(folder, tests)
            if code:
                raise UserError(f"tests: value {len(tests)} tests: red without any mutant (pytest: {code}); valid: green ones\n{tail}")
        for number, one in enumerate(pending, 1):
            if time.monotonic() > stop:
                break
            started = time.monotonic()
            found[one.id] = (one.digest(), attempt(folder, one))
            keep(mutants, found)
            print(f"[{number}/{len(pending)}] {one.group}: {one.id}: {found[one.id][1]} ({time.monotonic() - started:.0f} s)", flush=True)
    waiting = [one.id for one in mutants if one.id not in found]
    if waiting:
        print(f"{len(waiting)} mutants wait for another run; {PAGE.relative_to(ROOT)} is left as it is")
        return 0
    atomic.write_text(PAGE, page(mutants, found))
    survivors = [one.id for one in mutants if found[one.id][1] == "survived" and not one.equivalent]
    print(f"{len(survivors)} survived{': ' + ', '.join(survivors) if survivors else ''}; {PAGE.relative_to(ROOT)} is written")
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"mutants: {error}", file=sys.stderr)
        sys.exit(2)
