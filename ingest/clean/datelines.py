"""The day of publication in the line that shows it to readers: near the heading, short, in an element named for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from ingest import dates
from ingest.clean.blocks import Block, Element, names_around

_LONGEST_LINE = 300
_LONGEST_HEADING = 300
_AROUND = range(-5, 13)  # blocks from the heading
_BEHIND = range(9)
_PARAGRAPH = 120  # characters
_BESIDE = 35  # characters beside the day in a line that is about it
_ENOUGH = 3  # measured: of ten such days nine are right, of those with two points three of four
_NAMED = re.compile(
    r"date|time|publi|posted|created|meta|byline|info|author|stamp|fecha|data|dato|datum|pub", re.IGNORECASE
)
# A day behind one of these words is another one's.
_OTHER_DAY = re.compile(
    r"updat|modif|revis|aktualis|geändert|обновл|оновл|actuali|mis à jour|aggiorn|atualiz|aktualiz|ενημέρωση"
    r"|copyright|©|archiv",
    re.IGNORECASE,
)


def day(elements: Sequence[Element], blocks: Sequence[Block], *, title: str | None, captured: datetime) -> str | None:
    """The day that the page shows as that of its story, as ISO 8601; None where no line stands out."""
    heading = _heading(blocks, title)
    near = blocks if heading is None else blocks[max(0, heading + _AROUND.start) : heading + _AROUND.stop]
    first = 0 if heading is None else max(0, heading + _AROUND.start)
    best: tuple[int, date] | None = None
    paragraphs = 0  # of the story, between the heading and the line
    for number, block in enumerate(near, start=first):
        paragraphs += heading is not None and number > heading and len(block.text) > _PARAGRAPH
        if len(block.text) > _LONGEST_LINE:
            continue
        for told, start, end in dates.days_in(block.text)[:3]:
            if not dates.read(told.isoformat(), captured=captured):
                continue
            if told == captured.astimezone(UTC).date() and (heading is None or number < heading):
                continue  # that of the visit, as the head of every page shows it
            named = _NAMED.search(names_around(elements, block.element, 3)) is not None
            points = 2 * named + (len(block.text) - (end - start) < _BESIDE)
            if heading is not None:
                points += 2 if number - heading in _BEHIND and paragraphs < 2 else number < heading
            points -= (block.linked > 0.8 * len(block.text)) + (_OTHER_DAY.search(block.text[:start]) is not None)
            if best is None or points > best[0]:
                best = points, told
    return best[1].isoformat() if best and best[0] >= _ENOUGH else None


def _heading(blocks: Sequence[Block], title: str | None) -> int | None:
    """The number of the block that is the story's heading."""
    for number, block in enumerate(blocks):
        if block.tag == "h1" and len(block.text) > 20:
            return number
    start = (title or "")[:40]
    return next(
        (n for n, block in enumerate(blocks) if start and start in block.text and len(block.text) < _LONGEST_HEADING),
        None,
    )
