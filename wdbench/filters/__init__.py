"""Row filters and arithmetic over the columns of a table, as text: `penalty == "l2" and lambda_rel > 0`.

The language is Python's expression grammar, read by `ast` and evaluated by this module alone (nothing is run):

    == != < <= > >= (chains too)   in [..]   not in [..]   and  or  not  ( )   + - * /
    numbers, "strings", True, False, column names   isnull(column)   abs(x)   log(x)   sqrt(x)

A column may carry a Python keyword as its name (`lambda`). Numbers are equal when they agree to 1e-9 relative,
because grids are rounded decimals. A missing value satisfies no comparison but `!=` and `not in`;
`isnull(column)` asks for it.
"""

from wdbench.filters.evaluate import floats
from wdbench.filters.formula import Expression, Filter, Formula, near, parse, parse_expression
from wdbench.filters.grammar import MAX_DEPTH, MAX_LENGTH

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "Expression", "Filter", "Formula", "floats", "near", "parse", "parse_expression"]
