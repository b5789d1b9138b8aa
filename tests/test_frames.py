"""Tables as mappings: every row and value is there, in order."""

import pandas as pd

from wdbench import frames

TABLE = pd.DataFrame({"name": ["b", "a", None, "b"], "value": [1.0, 2.0, 3.0, 4.0]})


def test_records_are_the_rows_in_order():
    assert frames.records(TABLE)[:2] == [{"name": "b", "value": 1.0}, {"name": "a", "value": 2.0}]
    assert len(frames.records(TABLE)) == 4 and frames.records(TABLE.head(0)) == []
    assert frames.first(TABLE.tail(1)) == {"name": "b", "value": 4.0}


def test_groups_come_in_the_order_of_their_first_rows_and_leave_out_what_has_no_name():
    assert [(name, list(rows["value"])) for name, rows in frames.groups(TABLE, "name")] == [("b", [1.0, 4.0]), ("a", [2.0])]
