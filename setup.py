"""The wheel carries copies of the files at the top of the repository that `wdbench init` writes; everything else is in pyproject.toml."""

import ast
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


def carried() -> list[str]:
    """FULL and PROFILES of wdbench/project.py, and the Snakefile; read without an import, since nothing is installed yet."""
    source = ast.parse(Path("wdbench/project.py").read_text(encoding="utf-8"))
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in source.body
              if isinstance(node, ast.Assign) and node.targets[0].id in ("FULL", "PROFILES")}
    return ["Snakefile", *values["FULL"], *values["PROFILES"]]


class WithProject(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            for name in carried():
                target = Path(self.build_lib, "wdbench", "project", name)
                self.mkpath(str(target.parent))
                self.copy_file(name, str(target))


setup(cmdclass={"build_py": WithProject})
