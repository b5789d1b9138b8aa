"""Letters of matplotlib's SVG in fewer bytes: each outline once and in short numbers, each word that comes again drawn once.

matplotlib draws a text as one <use> a letter, offsets in hundredths of the font's size, outlines in 64ths of those.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from wdbench.figures.paths import relative

# outlines and offsets in 8ths of a hundredth of the font's size: 0.01 pt at 8 pt, a tenth of what coordinates elsewhere keep
PER_UNIT, OUTLINE_PER_UNIT = 8, 64
_SAME = 2  # steps by which two printings of a word may differ, as offsets before it were cut to a tenth

_OUTLINE = re.compile(r'<path id="(?!_)([^"]+)"(?: d="([^"]*)")? transform="scale\(0\.015625\)"/>')
_USE = re.compile(
    r'<use xlink:href="#([^"]+)"(?: transform="translate\((-?[\d.]+) (-?[\d.]+)\)(?: scale\((-?[\d.]+)\))?")?/>'
)
_TEXT = re.compile(
    r'(<g [^>]*?transform="translate\([^)]*\)(?: rotate\([^)]*\))? scale\()([\d.]+) -\2(\)"[^>]*>)'
    r"((?:<use xlink:href=[^>]*/>)+)</g>"
)


@dataclass(frozen=True)
class Letter:
    """One <use> of an outline: offsets in 1/PER_UNIT of matplotlib's, and its own scale where it has one (an exponent, say)."""

    name: str
    x: int
    y: int
    scale: str


def compact(text: str) -> str:
    """`text`, an SVG without line breaks inside, with shared outlines and words in its first <defs>.

    Returned unchanged where a letter stands in a text of another form (mathematics with drawn lines): its outlines keep their size.
    """
    outlines = dict(_OUTLINE.findall(text))
    bare = _OUTLINE.sub("", text).replace("<defs></defs>", "")
    groups = _TEXT.findall(bare)
    inside = sum(name in outlines for _, _, _, body in groups for name, *_ in _USE.findall(body))
    names = re.findall(r'<use xlink:href="#([^"]+)"', bare)
    if not outlines or inside != sum(name in outlines for name in names) or any(
        "".join(match[0] for match in _USE.finditer(body)) != body for *_, body in groups
    ):
        return text
    seen: list[list[list[Letter]]] = [_words(body, outlines) for *_, body in groups]
    shared = _Shared([word for words in seen for word in words])
    written = iter(["".join(map(shared.write, words)) for words in seen])

    def put(match: re.Match[str]) -> str:
        scale = f"{float(match[2]) / PER_UNIT:.8g}"
        return f"{match[1]}{scale} -{scale}{match[3]}{next(written)}</g>"

    body = _TEXT.sub(put, bare)
    glyphs = "".join(f'<path id="{name}" d="{outline(path)}"/>' for name, path in sorted(outlines.items()) if path)
    return body.replace("</style>", f"</style>{glyphs}{shared.definitions()}", 1)


def outline(path: str) -> str:
    """A path in absolute 64ths as one of relative 8ths."""
    return relative(path, PER_UNIT / OUTLINE_PER_UNIT, str)


def _words(body: str, outlines: dict[str, str]) -> list[list[Letter]]:
    """The letters of one text, in runs between its blanks."""
    words: list[list[Letter]] = [[]]
    for name, x, y, scale in _USE.findall(body):
        if name in outlines and not outlines[name]:
            words.append([])
        else:
            words[-1].append(Letter(name, round(float(x or 0) * PER_UNIT), round(float(y or 0) * PER_UNIT), scale))
    return [word for word in words if word]


class _Shared:
    """Words that occur more than once, each under a short name."""

    def __init__(self, words: list[list[Letter]]) -> None:
        self._forms: dict[tuple[Any, ...], list[tuple[Letter, ...]]] = {}
        self._count = Counter(self._form(word) for word in words if len(word) > 1)
        again = [form for form, n in self._count.items() if n > 1]
        self._names = {form: f"w{place}" for place, form in enumerate(again)}

    def _form(self, word: list[Letter]) -> tuple[Letter, ...]:
        """The word as if it began at 0; a printing within _SAME of an earlier one counts as that."""
        x, y = word[0].x, word[0].y
        form = tuple(Letter(one.name, one.x - x, one.y - y, one.scale) for one in word)
        known = self._forms.setdefault(tuple((one.name, one.scale) for one in word), [])
        for other in known:
            if all(max(abs(a.x - b.x), abs(a.y - b.y)) <= _SAME for a, b in zip(form, other, strict=True)):
                return other
        known.append(form)
        return form

    def write(self, word: list[Letter]) -> str:
        name = self._names.get(self._form(word)) if len(word) > 1 else None
        return _use(Letter(name, word[0].x, word[0].y, "")) if name else "".join(map(_use, word))

    def definitions(self) -> str:
        return "".join(f'<g id="{name}">{"".join(map(_use, form))}</g>' for form, name in self._names.items())


def _use(letter: Letter) -> str:
    if letter.scale:
        return f'<use xlink:href="#{letter.name}" transform="translate({letter.x} {letter.y}) scale({letter.scale})"/>'
    x, y = (f' {axis}="{at}"' if at else "" for axis, at in (("x", letter.x), ("y", letter.y)))
    return f'<use xlink:href="#{letter.name}"{x}{y}/>'
