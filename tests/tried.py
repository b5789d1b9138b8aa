"""How much the fault tests tried, told at the end of a run however many processes it had: a test that tried nothing passes as well."""

from collections import Counter

import pytest

_MARK = "tried: "


@pytest.fixture
def tried(request):
    """tried(group, kind, n=1): the running test has tried n more of them. Travels with the test's report, as it must between processes."""
    counts = Counter()

    def count(group, kind, n=1):
        counts[group, kind] += n

    yield count
    request.node.user_properties += [(_MARK + group, [kind, n]) for (group, kind), n in counts.items()]


def pytest_terminal_summary(terminalreporter):
    totals = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            # every report of a test has its properties; the last one has them all
            if getattr(report, "when", None) == "teardown":
                for name, value in report.user_properties:
                    if name.startswith(_MARK):
                        totals.setdefault(name.removeprefix(_MARK), Counter())[value[0]] += value[1]
    if totals:
        terminalreporter.section("faults tried")
    for group, kinds in sorted(totals.items()):
        each = "; ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items()))
        terminalreporter.write_line(f"{sum(kinds.values()):,} {group}: {each}")
