"""docs/tour.ipynb runs from its first cell to its last on the accepted tables, and is kept without outputs."""

import nbclient
import nbformat
import pytest
import smoke

PAGE = smoke.ROOT / "docs" / "tour.ipynb"


@pytest.fixture(scope="module")
def ran():
    notebook = nbformat.read(PAGE, as_version=4)
    place = {"metadata": {"path": str(PAGE.parent)}}
    return nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()


def test_it_is_kept_without_outputs():
    cells = nbformat.read(PAGE, as_version=4).cells
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells if cell.cell_type == "code")


def test_it_ends_with_a_figure_and_a_number_for_every_data_set(ran):
    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    last = next(cell for cell in reversed(ran.cells) if cell.cell_type == "code").outputs[-1]["data"]["text/plain"]
    assert all(name in last for name in ("diabetes", "hitters", "college", "factor"))
