"""What the page's interactive views share: the plot library, chart specifications and data, deflated into the page.

Charts are written in Altair, compiled to Vega here, and drawn in the browser by Vega-Embed, which the page carries whole. Everything is
deflated and in base64; the browser's DecompressionStream inflates it.
"""

import base64
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup
from pandas import Series

HERE = Path(__file__).parent
DIGITS = 4  # significant digits of every number that a view shows


def packed(content: str) -> str:
    """`content` in UTF-8, deflated (zlib) and in base64: letters, digits, `+`, `/` and `=` only."""
    return base64.b64encode(zlib.compress(content.encode("utf-8"), 9)).decode("ascii")


def unpacked(text: str) -> str:
    """What `packed` was given."""
    return zlib.decompress(base64.b64decode(text)).decode("utf-8")


def as_json(content: Any) -> str:
    """Compact JSON. Raises ValueError for a number that JSON has not (NaN, infinite)."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@cache
def plot_library() -> str:
    """Vega-Embed, with Vega in it, as a script that sets `window.vegaEmbed`, packed: 0.4 MB."""
    # in a function of its own: the bundle's top level is full of short names
    return packed(f"(() => {{{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;')}\n}})();")


def assets() -> dict[str, Any]:
    """What the page holds once for all its interactive views: `library`, `script`, `style`."""
    return {"plot_library": plot_library(), "script": own("interactive.js"), "style": own("interactive.css")}


def own(name: str) -> Markup:
    """A script or style of this folder, as it stands."""
    return Markup((HERE / name).read_text("utf-8"))  # noqa: S704 (our own file)


def compiled(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as a Vega specification; its data are named and come from the page."""
    vega = vl_convert.vegalite_to_vega(chart.to_dict(validate=True))
    return {name: value for name, value in vega.items() if name != "background"}


def rounded(value: Any) -> float | None:
    """`value` to DIGITS significant digits; None where it is missing or infinite."""
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Every value `rounded`, whole numbers without a decimal point."""
    return [int(v) if v is not None and v == int(v) and abs(v) < 1e9 else v for v in map(rounded, values)]


def exact(values: Series) -> list[float | None]:
    """Values as they are stored, so that a filter finds them again; None where missing."""
    return [float(v) if math.isfinite(v) else None for v in values.astype(float)]


def coded(values: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct texts in order of their first use, and the place of each value among them."""
    order = {text: place for place, text in enumerate(dict.fromkeys(values))}
    return list(order), [order[text] for text in values]
