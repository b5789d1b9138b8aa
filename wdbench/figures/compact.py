"""Matplotlib's SVG without what a reader does not need: a quarter of the bytes, the same picture."""

import re

from wdbench.figures import glyphs
from wdbench.figures.paths import relative

_NUMBER = re.compile(r"(-?\d+\.\d)\d+")
_PLACES = re.compile(r' d="[^"]*"|translate\([^)]*\)|\b(?:x|y|cx|cy|width|height)="[\d.\-]+"')
_UNNEEDED = (
    (re.compile(r"<!DOCTYPE[^>]*>|<!--.*?-->|<metadata>.*?</metadata>", re.S), ""),
    (re.compile(r'<g id="[^"]*"'), "<g"),
    (re.compile(r"DejaVuSans-(Bold-)?"), r"\1"),
    (re.compile(r"\n\s*(?=<)"), ""),
    (re.compile(r" ?\n(?=[A-Za-z\"])"), ""),
    (re.compile(r'(?<=[ "\d])([MLQCz]) '), r"\1"),
)
# of all but outlines of letters, which have their own grid
_PATH = re.compile(r' d="([^"]*)"(?! transform="scale\(0\.015625\)")')
_GROUP = re.compile(r"<g\b[^>]*>|</g>")
_NAME = re.compile(r"\b[mpC][0-9a-f]{8,}(?:_[0-9a-f_]+)?\b")
# marks of one look, one after the other; opacity of a whole would not be that of each
_MARKERS = re.compile(r'<use [^>]*(?P<style> style="(?!opacity|[^"]*; opacity)[^"]*")/>(?:<use [^>]*(?P=style)/>)+')
_STYLE = re.compile(r' style="([^"]*)"')


def svg(text: str) -> str:
    """`text` with coordinates to 1/10 pt, repeated styles as classes, short names; comments and empty groups
    left out.

    Depends on nothing but `text`, so that equal figures stay equal bytes.
    """
    text = _PLACES.sub(lambda match: _NUMBER.sub(r"\1", match[0]), text)
    for pattern, replacement in _UNNEEDED:
        text = pattern.sub(replacement, text)
    text = _PATH.sub(lambda match: f' d="{relative(match[1])}"', _ungrouped(text))
    # SVG 2 links need no namespace
    text = glyphs.compact(text).replace("xlink:href=", "href=").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    return _classes(_short_names(text))


def _ungrouped(text: str) -> str:
    """`text` without the groups that have no attributes: what stands in them stays."""
    kept: list[bool] = []

    def put(match: re.Match[str]) -> str:
        if match[0].endswith("/>"):
            return ""
        if match[0] == "</g>":
            return match[0] if kept.pop() else ""
        kept.append(match[0] != "<g>")
        return match[0] if kept[-1] else ""

    return _GROUP.sub(put, text)


def _short_names(text: str) -> str:
    names: dict[str, str] = {}
    return _NAME.sub(lambda match: names.setdefault(match[0], f"_{len(names)}"), text)


def _together(match: re.Match[str]) -> str:
    style = match["style"]
    return f"<g{style}>{match[0].replace(style, '')}</g>"


def _classes(text: str) -> str:
    names: dict[str, str] = {}
    text = _MARKERS.sub(_together, text)
    body = _STYLE.sub(lambda match: f' class="{names.setdefault(match[1], f"s{len(names)}")}"', text)
    rules = "".join(
        f".{name}{{{rule.replace(': ', ':').replace('; ', ';')}}}" for rule, name in names.items()
    )
    # matplotlib's own rule for all strokes stands in the first <style>
    return body.replace("</style>", f"{rules}</style>", 1)
