"""One function a kind of figure: tables in, matplotlib Figure out, no input or output.

`wdbench.figures.draw.draw_all` draws every claim; `labels` and `words` (no matplotlib) also serve the report
and the terminal.
"""
