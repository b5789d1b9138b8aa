"""Figures as inline SVG that share letters and looks: a page's worth of them in half the bytes, drawn in the page's colours.

A figure of `wdbench.figures.style.svg` brings its own outlines of letters and its own style rules, and all figures have nearly the same
ones. Here each outline and each rule stands once in the page. Colours become pairs, one for a light page and one for a dark one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from wdbench.errors import UserError

DARK = {  # colours of wdbench.figures.style, and what stands for each on a dark page; others are the same on both
    "#ffffff": "#14171b", "#222222": "#e6e8eb", "#262626": "#e6e8eb", "#6b6b6b": "#a9b0b8", "#777777": "#a9b0b8", "#949494": "#9aa1a9",
    "#9a9a9a": "#7b828a", "#b5b5b5": "#666d75", "#d9d9d9": "#41474e", "#e6e6e6": "#30353b", "#efefef": "#262a30", "#f0f0f0": "#262a30",
    "#f2f2f2": "#262a30", "#0173b2": "#5aaef0", "#d55e00": "#ff8f4d", "#de8f05": "#f2b347", "#029e73": "#45cfa2", "#cc78bc": "#e39ad5",
    "#ca9161": "#dba982", "#56b4e9": "#7cc8f2",
}
_TAGS = {"svg", "defs", "style", "path", "g", "use", "clipPath", "rect", "image", "circle", "line", "polygon", "polyline", "pattern"}
_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.S)
_RULE = re.compile(r"\.(s\d+)\{([^}]*)\}")
_OUTLINE = re.compile(r'<path id="((?:Bold-|Oblique-)*[0-9a-f]+)" d="([^"]*)"/>')
_VIEW = re.compile(r'viewBox="([\d. \-]+)"')
_BODY = re.compile(r"<svg\b[^>]*>(.*)</svg>", re.S)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_OWN = re.compile(r'(id="|href="#|url\(#)([^")]+)')
_UNWANTED = re.compile(r"\son\w+\s*=|javascript:|href=\"(?!#|data:image/png;base64,)|&(?!(?:amp|lt|gt|quot|apos|#\d+);)", re.I)


@dataclass
class Drawings:
    """Figures that were taken in so far. `add` gives each one's (viewBox, markup), to be put in an <svg> beside `defs` and `style`."""

    outlines: dict[str, str] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def add(self, name: str, svg: bytes) -> tuple[str, Markup]:
        """viewBox and inner markup of one figure. Raises UserError for an SVG that holds anything but drawing."""
        text = svg.decode("utf-8")
        body, view = _BODY.search(text), _VIEW.search(text)
        tags = set(re.findall(r"<([A-Za-z][\w:]*)", text))
        if body is None or tags - _TAGS or _UNWANTED.search(text):
            found = ", ".join(sorted(tags - _TAGS)) or "an attribute or address that draws nothing"
            raise UserError(f"figures/{name}.svg: value {found!r}: no drawing of wdbench; draw it again: python -m wdbench draw")
        self.count += 1
        prefix = f"f{self.count}-"
        style = _STYLE.search(body[1])
        looks = {own: self._rule(rule) for own, rule in _RULE.findall(style[1] if style else "")}
        letters: dict[str, str] = {}

        def letter(match: re.Match[str]) -> str:
            letters[match[1]] = self.outlines.setdefault(match[2], f"ol{len(self.outlines)}")
            return ""

        inner = _OUTLINE.sub(letter, _STYLE.sub("", body[1]))
        inner = _OWN.sub(lambda match: match[1] + (letters.get(match[2]) or prefix + match[2]), inner)
        inner = re.sub(r'class="(s\d+)"', lambda match: f'class="{looks[match[1]]}"', inner)
        return (view[1] if view else "0 0 504 360"), Markup(inner.replace("<defs></defs>", ""))  # noqa: S704 (only what draws: see above)

    def _rule(self, rule: str) -> str:
        return self.rules.setdefault(rule, f"fg{len(self.rules)}")

    def defs(self) -> Markup:
        """The outlines of all letters, for one hidden <svg>."""
        return Markup("".join(f'<path id="{name}" d="{path}"/>' for path, name in self.outlines.items()))  # noqa: S704 (paths of our figures)

    def style(self) -> str:
        """The style rules of all figures."""
        return "".join(f".{name}{{{paired(rule)}}}" for rule, name in self.rules.items())


def paired(rule: str) -> str:
    """`fill:#222222` -> `fill:#222222;fill:light-dark(#222222,#e6e8eb)`: the first for browsers that know no pairs."""
    parts = []
    for part in rule.split(";"):
        parts.append(part)
        colour = _COLOUR.search(part)
        if colour is not None and colour[0].lower() in DARK:
            parts.append(part.replace(colour[0], f"light-dark({colour[0]},{DARK[colour[0].lower()]})"))
    return ";".join(parts)


def taken(figures: Mapping[str, bytes], budget: int) -> tuple[dict[str, tuple[str, Markup]], Drawings]:
    """(name -> viewBox and markup, what they share), the smallest first until `budget` bytes are spent."""
    drawings, kept, spent = Drawings(), {}, 0
    for name in sorted(figures, key=lambda each: (len(figures[each]), each)):
        drawn = drawings.add(name, figures[name])
        spent += len(drawn[1].encode("utf-8"))
        if spent > budget:
            break
        kept[name] = drawn
    return kept, drawings
