"""The graph of the workflow's rules in README.md, as snakemake gives it, less the arrows that follow from others.

    python tests/rulegraph.py     # writes it into README.md
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import networkx
from smoke import ROOT, environment, project

from wdbench import atomic

MARKS = ("<!-- rules: begin -->", "<!-- rules: end -->")


def mermaid(targets: tuple[str, ...] = ("all", "figures")) -> str:
    """A flowchart of the rules that the targets need, in the profile smoke; the same for the same Snakefile."""
    with tempfile.TemporaryDirectory() as name:
        words = [sys.executable, "-m", "snakemake", "--cores", "1", *targets, "--rulegraph", "mermaid-js", "--config", "profile=smoke"]
        done = subprocess.run(words, cwd=project(Path(name) / "p"), env=environment(), capture_output=True, text=True, check=True)
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]$", done.stdout, re.M))
    graph = networkx.DiGraph((names[one], names[other]) for one, other in re.findall(r"^\s*(id\d+) --> (id\d+)$", done.stdout, re.M))
    arrows = sorted(networkx.transitive_reduction(graph).edges)
    return "\n".join(["```mermaid", "flowchart LR", *(f"    {one} --> {other}" for one, other in arrows), "```"])


def within(text: str) -> str:
    """What stands between the marks of README.md."""
    return text.split(MARKS[0])[1].split(MARKS[1])[0].strip()


def main() -> None:
    path = ROOT / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    atomic.write_text(path, f"{before}{MARKS[0]}\n{mermaid()}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
