"""The same bytes on one core and on four, with packs in another order, in another folder, language, time zone, umask and hash seed."""

import os
import subprocess
from pathlib import Path

import processes
import pytest
import smoke

SETTINGS = {
    "one core": (1, {}, []),
    "four cores, another order of jobs": (4, {"PYTHONHASHSEED": "1"}, ["--scheduler", "greedy"]),
    "another language, time zone and hash seed": (2, {"LC_ALL": "C.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati",
                                                      "PYTHONHASHSEED": "4242"}, []),
    "plain ASCII": (2, {"LC_ALL": "C", "PYTHONUTF8": "0", "TZ": "America/St_Johns"}, []),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = processes.project(tmp_path_factory.mktemp("here"))
    smoke.snakemake(folder)
    return smoke.digests(folder)


@pytest.mark.parametrize("name", SETTINGS if processes.FULL else ["another language, time zone and hash seed"])
def test_tables_and_figures_have_the_same_bytes(expected, tmp_path, name):
    cores, changes, words = SETTINGS[name]
    folder = processes.project(tmp_path / ("a place with ünïcode" if "ASCII" not in name else "plain"))
    before = os.umask(0o027)
    try:
        done = subprocess.run(["snakemake", "--cores", str(cores), "--config", "profile=smoke", *words], cwd=folder,
                              env=smoke.environment(**changes), capture_output=True, text=True, errors="replace", timeout=1200)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr[-3000:]
    assert smoke.digests(folder) == expected


def test_no_path_and_no_date_is_in_what_is_compared(expected, tmp_path_factory):
    folder = processes.project(tmp_path_factory.mktemp("elsewhere"))
    smoke.snakemake(folder)
    for path in [*(folder / "results/smoke").glob("*.csv"), *(folder / "results/smoke/figures").glob("*.svg")]:
        text = path.read_text(encoding="utf-8")
        assert str(folder) not in text and str(Path.home()) not in text, path
        if path.suffix == ".svg":
            assert "<dc:date>" not in text, path
