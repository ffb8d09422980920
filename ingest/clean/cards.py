"""Teasers of other stories in the story's element: cards in a row, each with a title in a link."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.clean.blocks import Block, Element

_MOST_LEVELS = 8  # between a card and its text
_LONGEST = 400  # characters of a card that are in no link
_FEWEST = 3
_SHORTEST_TITLE = 15
_STORY = 800.0  # of prose in no card: then it is a story, however many cards stand below
_NO_CARDS = frozenset(("p", "li", "h2", "h3", "h4", "td", "th"))
_DIGITS = re.compile(r"\d+")


def of_other_stories(elements: list[Element], blocks: Sequence[Block], core: int) -> tuple[list[Block], bool]:
    """The kept blocks that stand in cards: in elements of one parent and one name, nearly all with a title in a link
    and all with no more than a line or two beside it. And whether they are nearly all that is kept: it is a list then.

    `core` is the index of the element that holds the story.
    """
    if sum(map(_is_title, blocks)) < _FEWEST:
        return [], False
    titles: dict[int, int] = {}  # elements → how many titles in links they hold
    lengths: dict[int, int] = {}
    for block in blocks:
        is_title = _is_title(block)
        for index in _around(elements, block.element, core):
            lengths[index] = lengths.get(index, 0) + len(block.text) - block.linked
            if is_title:
                titles[index] = titles.get(index, 0) + 1
    cards = _cards(elements, titles, lengths)
    found = [block for block in blocks if block.kept and not cards.isdisjoint(_around(elements, block.element, core))]
    kept = sum(block.weight for block in blocks if block.kept)
    told = sum(block.weight for block in found)
    return found, bool(found) and told >= 0.6 * kept and kept - told < _STORY


def _is_title(block: Block) -> bool:
    return block.linked > 0.6 * len(block.text) and len(block.text) >= _SHORTEST_TITLE


def _cards(elements: list[Element], titles: dict[int, int], lengths: dict[int, int]) -> set[int]:
    alike: dict[tuple[int, str, str], list[int]] = {}
    for index in lengths:
        element = elements[index]
        if element.tag not in _NO_CARDS:
            alike.setdefault((element.up, element.tag, _DIGITS.sub("", element.names)), []).append(index)
    cards: set[int] = set()
    for group in alike.values():
        titled = [index for index in group if 0 < titles.get(index, 0) <= 2]
        if len(titled) >= max(_FEWEST, 0.8 * len(group)) and max(map(lengths.__getitem__, group)) < _LONGEST:
            cards.update(titled)
    return cards


def _around(elements: list[Element], index: int, core: int) -> list[int]:
    """An element and those around it, below the core."""
    found: list[int] = []
    while index not in (core, -1) and len(found) < _MOST_LEVELS:
        found.append(index)
        index = elements[index].up
    return found
