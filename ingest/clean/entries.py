"""Live blogs and galleries in the story's element: the times of entries and the captions of pictures, which of other
stories are none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.clean.blocks import HEADINGS, Block, Element, names_around
from ingest.clean.container import width
from ingest.clean.furniture import OWN

_FEWEST_ENTRIES = 3
_FEWEST_PICTURES = 5
_SHORTEST_CAPTION = 20
# Names that systems give the entries of a live blog, or what holds them.
_LIVE = re.compile(
    r"live-?_?(?:blog|ticker|update|post|entry|feed|event|report|center|stream)|ticker-?_?(?:entry|post|item)", re.I
)
_CLOCK = re.compile(r"(?<![\d.:])(?:[01]?\d|2[0-3])(?:[:.h]| h )[0-5]\d(?![\d%])")
_LONGEST_TIME = 50  # characters of a line that says when: "Tuesday 24 May 2022, 14:05 CEST"


def are_live(elements: list[Element], blocks: Sequence[Block]) -> bool:
    """Whether the blocks of the story's element are entries of a live blog, by their names and times."""
    times = [block for block in blocks if _is_time(block)]
    if len(times) < _FEWEST_ENTRIES:
        return False
    named = (_LIVE.search(names_around(elements, block.element, _LEVELS)) for block in times)
    return sum(map(bool, named)) >= _FEWEST_ENTRIES


def keep_times(blocks: Sequence[Block]) -> None:
    """Keep the time of each entry: a line that says little else, above kept ones."""
    ahead = 0
    for block in reversed(blocks):
        if block.kept:
            ahead = _NEAR
        elif ahead and _is_time(block):
            block.kept, block.why = True, "time of an entry"
            ahead = 0
        else:
            ahead -= ahead > 0


_NEAR = 4  # blocks between an entry's time and its text: who wrote it, links to share it


def _is_time(block: Block) -> bool:
    return len(block.text) <= _LONGEST_TIME and block.tag not in HEADINGS and _CLOCK.search(block.text) is not None


_LEVELS = 6


def keep_captions(blocks: Sequence[Block], *, stated: bool) -> bool:
    """Keep the captions where they are the story: the page states that it is a gallery, or they are many and say more
    than all other text does. Whether that is so."""
    captions: dict[str, Block] = {}
    for block in blocks:
        if "caption" in block.why and len(block.text) >= _SHORTEST_CAPTION and not OWN.match(block.text):
            captions.setdefault(block.text, block)  # many pages hold each twice, small and large
    others = sum(width(block.text) for block in blocks if block.kept)
    told = sum(map(width, captions))
    if not captions or not (told > 0.3 * others if stated else len(captions) >= _FEWEST_PICTURES and told > others):
        return False
    for block in captions.values():
        block.kept, block.why = True, "caption of a gallery"
    return True
