"""The lecture slide by slide: which claims stand for what is said on each of its slides."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_LECTURE, _SLIDE = re.compile(r"\b(?:lecture|slides?)\b"), re.compile(r"\bs(?:lides? )?(\d+)\b")


def numbers(source: str) -> list[int]:
    """Slides that a source names (`lecture s7 and s10; ...`), each once, in the order given; empty where it names none."""
    return list(dict.fromkeys(int(number) for number in _SLIDE.findall(source))) if _LECTURE.search(source) else []


def slides(cards: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Slides in order, each with its sentences and their claims; then a group for each other source.

    A claim that names several slides stands on each of them. Claims that share a sentence stand together.
    """
    by_slide: dict[int, list[Mapping[str, Any]]] = {}
    others: dict[str, list[Mapping[str, Any]]] = {}
    for card in cards:
        named = numbers(card["source"])
        for number in named:
            by_slide.setdefault(number, []).append(card)
        if not named:
            others.setdefault(card["family_title"], []).append(card)
    found = [_group(f"slide-{number}", f"Slide {number}", held, number) for number, held in sorted(by_slide.items())]
    beyond = [_group(f"beyond-{place}", title, held, None) for place, (title, held) in enumerate(others.items(), 1)]
    return found + beyond


def _group(name: str, title: str, cards: Sequence[Mapping[str, Any]], number: int | None) -> dict[str, Any]:
    sentences: dict[str, list[Mapping[str, Any]]] = {}
    for card in cards:
        sentences.setdefault(card["sentence"], []).append(card)
    return {
        "id": name, "title": title, "number": number, "n": len(cards),
        "sentences": [{"text": text, "source": held[0]["source"], "cards": held} for text, held in sentences.items()],
    }
