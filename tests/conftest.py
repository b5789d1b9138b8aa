from tried import pytest_terminal_summary, tried  # noqa: F401  (here: a process that only gathers reports loads no other conftest)

from wdbench import provenance

provenance.one_thread()

LONGEST_FIRST = (
    "test_workflow.py", "test_damage.py", "test_kill.py", "test_paper_studies.py", "test_networks.py", "test_engine.py", "test_figures.py",
    "test_language_models.py",
)
"""Files of more than a minute. One worker has a whole file, so a long one that starts last is waited for by all others."""


def pytest_collection_modifyitems(items):
    order = {name: position for position, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
