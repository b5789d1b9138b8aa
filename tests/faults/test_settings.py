"""The same bytes whatever the settings: cores, order of jobs, folder, user, language, time zone, umask, hash seed, a second clone.

`make test` changes them all at once, where one that mattered would show as well; `make test-faults` one after the other.
"""

import ast
import functools
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import processes
import pytest
import smoke

from wdbench import engine, memory, work
from wdbench.config import experiment as experiments


@functools.cache
def locales():
    """Languages that this machine can be set to, beside C."""
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    return [name for name in listed if not name.startswith(("C", "POSIX"))]


def unprivileged():
    """Words that run a command as a user of no rights; None where that cannot be."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 and shutil.which("setpriv") else None


def run(folder, cores, changes, before=(), more=(), cwd=None, umask=0o022):
    done = subprocess.run([*before, "snakemake", "--cores", str(cores), "--config", "profile=smoke", *more], cwd=cwd or folder,
                          env=smoke.environment(**changes), capture_output=True, text=True, errors="replace", timeout=1200, umask=umask)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def one_core(folder):
    run(folder, 1, {})


def four_cores(folder):
    run(folder, 4, {"PYTHONHASHSEED": "1"})


def another_order(folder):
    """Packs in another order: those that are asked for by name come first."""
    packs = subprocess.run([sys.executable, "-m", "wdbench", "--profile", "smoke", "plan", "--json"], cwd=folder, env=smoke.environment(),
                           capture_output=True, text=True, check=True).stdout
    names = [entry["pack"] for entry in json.loads(packs)["packs"]]
    random.Random(7).shuffle(names)
    for name in names[: None if processes.FULL else 1]:
        smoke.snakemake(folder, f"results/smoke/packs/{name}.parquet")
    run(folder, 2, {})


def another_language(folder):
    for name in locales()[:3] or ["C.UTF-8"]:
        run(folder, 2, {"LC_ALL": name, "LANG": name, "TZ": "Pacific/Kiritimati"})


def plain_ascii(folder):
    run(folder, 2, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "America/St_Johns"})


def another_umask_and_hash_seed(folder):
    run(folder, 2, {"PYTHONHASHSEED": "4242"}, umask=0o077)


def another_folder(folder):
    run(folder, 2, {}, more=["--snakefile", str(folder / "Snakefile"), "--directory", str(folder)], cwd="/")


def another_user(folder):
    """Who has no home, and may write here alone."""
    words = unprivileged()
    if words is None:
        pytest.skip("only root can become another user")
    reachable(folder)
    home = folder / "home"
    home.mkdir()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    data = str(Path(os.environ.get("WDBENCH_DATA") or Path.home() / ".cache/wdbench"))
    run(folder, 2, {"HOME": str(home), "USER": "nobody", "WDBENCH_DATA": data, "NUMBA_CACHE_DIR": str(home)}, before=words)
    assert {path.stat().st_uid for path in (folder / "results/smoke").glob("*.csv")} == {65534}


def reachable(folder):
    """Skips where another user cannot come to the folder, or to the package and its Python."""
    words = unprivileged()
    for place in (folder, Path(sys.executable), smoke.ROOT / "wdbench" / "__init__.py"):
        for parent in place.parents:
            if parent.stat().st_mode & 0o001 == 0 and parent.is_relative_to(folder.parents[2]):
                # pytest's folders are its user's alone
                parent.chmod(parent.stat().st_mode | 0o011)
        if subprocess.run([*words, "test", "-r", str(place)], check=False).returncode:
            pytest.skip(f"another user cannot read {place}")


def everything(folder):
    """All of the above at once, as far as they go together."""
    language = {"LC_ALL": (locales() or ["C"])[0], "PYTHONUTF8": "1", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "4242"}
    more = ["--snakefile", str(folder / "Snakefile"), "--directory", str(folder)]
    run(folder, 4, language, more=more, cwd="/", umask=0o077)


SETTINGS = {"one core": one_core, "four cores": four_cores, "packs in another order": another_order, "another language": another_language,
            "plain ASCII": plain_ascii, "another umask and hash seed": another_umask_and_hash_seed, "another folder": another_folder,
            "another user": another_user}


@pytest.mark.parametrize("name", SETTINGS if processes.FULL else ["all at once"])
def test_tables_and_figures_have_the_same_bytes(undisturbed, tmp_path, tried, name):
    whole, expected, _ = undisturbed
    folder = processes.begun(tmp_path / "a place with ünïcode", whole)
    SETTINGS.get(name, everything)(folder)
    tried("settings", name)
    assert smoke.digests(folder) == expected
    for path in [*(folder / "results/smoke").glob("*.csv"), *(folder / "results/smoke/figures").glob("*.svg")]:
        text = path.read_text(encoding="utf-8")
        assert str(folder) not in text and str(Path.home()) not in text, path
        assert path.suffix != ".svg" or "<dc:date>" not in text, path


@pytest.mark.skipif(not processes.FULL, reason="takes a clone and a workflow more: make test-faults")
def test_a_second_clone_has_the_same_bytes(undisturbed, tmp_path, tried):
    """The package itself at another path, as git has it."""
    _, expected, _ = undisturbed
    clone = tmp_path / "a second clone"
    done = subprocess.run(["git", "clone", "--quiet", str(smoke.ROOT), str(clone)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no git checkout: {done.stderr.strip()}")
    folder = processes.project(tmp_path / "run")
    run(folder, 2, {"PYTHONPATH": str(clone)})
    tried("settings", "second clone")
    assert smoke.digests(folder) == expected


CONFIG = """\
results: "{0}/results"
studies:
  steps: {{datasets: ["noisy:p=8,n=40"], penalties: [none, l2], lambda: {{l2: {{unit: absolute, values: [0.1, 0.3]}}}}, optimisers: [sgd],
          lr: {{sgd: {{unit: absolute, values: [0.02, 0.05]}}}}, schedule: constant, steps: 5, batch_size: 8, replicates: 3}}
"""


def of_a_portion(monkeypatch, cells):
    monkeypatch.setattr(memory, "portions", lambda members, _: (members[i : i + cells] for i in range(0, len(members), cells)))


def of_a_stack(monkeypatch, coordinates):
    monkeypatch.setattr(engine, "CACHE_COORDINATES", coordinates)


@pytest.mark.parametrize(("limit", "size"), [(of_a_portion, 1), (of_a_portion, 2), (of_a_portion, 5), (of_a_stack, 1), (of_a_stack, 10**9)])
def test_rows_do_not_depend_on_the_size_of_a_chunk(tmp_path, monkeypatch, tried, limit, size):
    tables = []
    for name in ("as it is", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(CONFIG.format(folder))
        if name == "other":
            limit(monkeypatch, size)
        found = experiments.load(folder / "config.yaml")
        work.oracle(found, "noisy")
        tables.append(pd.read_parquet(work.train(found, "noisy~linear~sgd")).drop(columns="train_seconds"))
    tried("settings", "chunk sizes")
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_no_text_is_read_or_written_in_the_language_s_own_encoding():
    """Where the machine is set to plain ASCII, or to Latin 1, files are UTF-8 all the same."""
    bare = []
    for file in sorted((smoke.ROOT / "wdbench").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and not any(word.arg == "encoding" for word in node.keywords):
                name = getattr(node.func, "attr", getattr(node.func, "id", None))
                text = any(word.arg == "text" and getattr(word.value, "value", None) is True for word in node.keywords)
                if name == "read_text" and not node.args or name == "run" and text:
                    bare.append(f"{file.relative_to(smoke.ROOT)}:{node.lineno}: {name}")
    assert bare == []
