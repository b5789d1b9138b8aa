"""The documentation as a site: `make docs`. Pages of tables are made from the project's own files whenever it is built."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402  (it lies beside this file)

project, author = "wdbench", "The wdbench authors"
project_copyright = "The wdbench authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "wdbench"
html_show_sphinx = False
html_last_updated_fmt = None
html_copy_source = False

generated.write(HERE / "reference")
