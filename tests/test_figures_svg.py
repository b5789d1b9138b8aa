"""A compacted SVG is the same picture: every letter where matplotlib put it, every outline as it was drawn."""

import io
import re
import xml.etree.ElementTree as tree

import numpy as np
import planted
import pytest

from wdbench.figures import draw, glyphs, paths, registry, style

assert draw.KINDS  # whose import registers every kind
CLAIMS = {claim.id: claim for claim in planted.claim_list()}
HREF = ("href", "{http://www.w3.org/1999/xlink}href")


@pytest.fixture(scope="module")
def few():
    return planted.tables(planted.REAL[:3], replicates=3, grid=6)


@style.styled
def raw(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode("utf-8")


def matrix(text: str) -> np.ndarray:
    """The 3 × 3 matrix of an SVG transform."""
    found = np.eye(3)
    for name, numbers in re.findall(r"(\w+)\(([^)]*)\)", text or ""):
        values = [float(n) for n in numbers.split()]
        step = np.eye(3)
        if name == "translate":
            step[:2, 2] = values
        elif name == "scale":
            step[0, 0], step[1, 1] = values[0], values[-1]
        else:
            turn = np.deg2rad(values[0])
            step[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        found = found @ step
    return found


def letters(text: str) -> list[tuple[str, np.ndarray]]:
    """Name of every letter that leaves ink, and its matrix from 64ths of a hundredth of the font's size to points."""
    root = tree.fromstring(text)
    known = {one.get("id"): one for one in root.iter() if one.get("id")}
    found: list[tuple[str, np.ndarray]] = []

    def visit(element, at, drawn):
        here = at @ matrix(element.get("transform"))
        tag = element.tag.rpartition("}")[2]
        if tag == "use":
            shift = matrix(f"translate({element.get('x', 0)} {element.get('y', 0)})")
            target = next(element.get(name) for name in HREF if element.get(name))
            visit(known[target[1:]], here @ shift, True)
        elif tag == "path" and element.get("id") and drawn:
            name = element.get("id").removeprefix("DejaVuSans-")
            # outlines of compacted figures are in 8ths
            unit = np.diag([1, 1, 1]) if element.get("transform") else np.diag([0.125, 0.125, 1])
            if element.get("d") and re.fullmatch(r"(Bold-|Oblique-)?[0-9a-f]+", name):
                found.append((name, here @ unit))
        elif tag != "defs" and not (tag == "path" and element.get("id") and not drawn):
            for child in element:
                visit(child, here, drawn)

    visit(root, np.eye(3), False)
    return found


@pytest.mark.parametrize("name", ["A2", "I5", "C2"])
def test_every_letter_stands_where_matplotlib_put_it(few, name):
    figure = registry.draw(CLAIMS[name], few)
    before, after = letters(raw(figure)), letters(style.svg(figure).decode())
    assert len(before) > 100 and [one for one, _ in before] == [one for one, _ in after]
    for (_, old), (_, new) in zip(before, after, strict=True):
        # coordinates are cut to a tenth of a point; an em is 6400 units wide
        assert np.abs(old[:2, 2] - new[:2, 2]).max() < 0.15
        assert 6400 * np.abs(old[:2, :2] - new[:2, :2]).max() < 0.01


def ends(path: str) -> np.ndarray:
    """Every point of an absolute path of M, L, Q and C."""
    return np.array([float(n) for n in re.findall(r"-?[\d.]+", path)]).reshape(-1, 2)


def walked(path: str) -> np.ndarray:
    """Every point of a relative path, by going along it."""
    at, start, found = np.zeros(2), np.zeros(2), []
    for command, text in re.findall(r"([a-z])([^a-z]*)", path):
        if command == "z":
            at = start
            continue
        numbers = [float(n) for n in re.findall(r"-?(?:\d+(?:\.\d+)?|\.\d+)", text)]
        if command in "hv":
            numbers = [part for n in numbers for part in ((n, 0) if command == "h" else (0, n))]
        width = {"q": 4, "c": 6}.get(command, 2)
        assert numbers and len(numbers) % width == 0
        for step in np.reshape(numbers, (-1, width // 2, 2)):
            found.extend(at + step)
            at = found[-1]
        if command == "m":
            start = at
    return np.array(found)


def test_paths_are_off_by_half_a_step_at_most_however_long(few):
    text = raw(registry.draw(CLAIMS["A2"], few))
    letters = re.findall(r'<path id="DejaVu[^"]+" d="([^"]+)"', text)
    others = re.findall(r'<path d="([^"]+)"', text)
    assert len(letters) > 30 and len(others) > 30
    for path in letters:
        old, new = ends(path), 8 * walked(glyphs.outline(" ".join(path.split())))
        assert old.shape == new.shape and np.abs(old - new).max() <= 4
    for path in others:
        old, new = ends(path), walked(paths.relative(" ".join(path.split())))
        assert old.shape == new.shape and np.abs(old - new).max() <= 0.05 + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_a_long_walk_does_not_drift(seed):
    points = np.cumsum(np.random.default_rng(seed).normal(size=(2000, 2)), axis=0)
    text = " ".join(f"{'L' if place else 'M'} {x:.6f} {y:.6f}" for place, (x, y) in enumerate(points))
    found = paths.relative(text)
    assert np.abs(walked(found) - points).max() <= 0.05 + 1e-5 and len(found) < 0.5 * len(text)


def test_paths_by_hand():
    assert glyphs.outline("M 80 160 L 160 160 L 160 80 L 80 88 Q 0 0 8 16 z M 800 800 L 808 808 z") == (
        "m10 20h10v-10l-10 1q-10-11-9-9zm90 80l1 1z"
    )
    assert paths.relative("M 1 2 L 1.5 1.9 L 3 3 L 3 3.25") == "m1 2l.5-.1 1.5 1.1v.2"
    assert paths.relative("M 0 0 A 1 1 0 0 0 2 2") == "M 0 0 A 1 1 0 0 0 2 2"


@style.styled
def test_marks_of_one_look_share_it():
    figure = style.new_figure(2.0)
    axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
    axes.plot([1, 2, 3, 4], [1, 3, 2, 4], "o", color=style.BLUE)
    axes.plot([1, 2, 3], [2, 2, 2], "s", color=style.ORANGE, linestyle="-")
    content = style.svg(figure).decode()
    marks = re.findall(r'(<g class="s\d+">)((?:<use [^>]*/>)+)</g>', content)
    assert [body.count("<use") for _, body in marks if body.count("<use") in (3, 4) and 'y="' in body and "#_" in body] == [4, 3]
    places = [re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', body) for _, body in marks if "#_" in body]
    old = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style=', raw(figure))
    cut = {tuple(int(float(n) * 10) / 10 for n in place) for place in old}
    assert {(float(x), float(y)) for body in places for x, y in body} <= cut


def test_a_word_that_comes_again_is_drawn_once():
    figure = style.new_figure(1.0)
    for y in (0.2, 0.5, 0.8):
        figure.text(0.1, y, "wordword again", fontsize=8)
    content = style.svg(figure).decode()
    assert content.count('<g id="w') == 2 and len(re.findall(r'<use href="#w\d', content)) == 6
    assert [name for name, _ in letters(content)] == [name for name, _ in letters(raw(figure))]


def test_letters_under_a_drawn_line_keep_their_form():
    figure = style.new_figure(1.0)
    figure.text(0.1, 0.5, r"plain and $\sqrt{xy}$", fontsize=8)
    content = style.svg(figure).decode()
    assert 'transform="scale(0.015625)"' in content and '<g id="w' not in content
    assert len(letters(content)) == len(letters(raw(figure)))


def test_compacting_saves_more_than_half(few):
    figure = registry.draw(CLAIMS["A2"], few)
    assert len(style.svg(figure)) < 0.5 * len(raw(figure).encode())
