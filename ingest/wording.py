"""Numbers, instants and kinds of pages as people read them, in a terminal and on a page."""

from __future__ import annotations

from datetime import UTC, datetime


def plural(number: int, one: str, many: str = "") -> str:
    """1 story, 2 stories; `many` where it is not `one` with an s."""
    return f"{number:,d} {one if number == 1 else many or one + 's'}"


def when(moment: str | datetime | None) -> str:
    """An instant or a date: 2022-05-24 10:00 +02:00; a date alone stays one, none is "no date"."""
    if not moment:
        return "no date"
    if isinstance(moment, str):
        if "T" not in moment:
            return moment
        moment = datetime.fromisoformat(moment)
    return f"{moment:%Y-%m-%d %H:%M} {'UTC' if moment.tzinfo in (None, UTC) else moment.isoformat()[-6:]}"


# What a story's `page_kind` says to a reader; an article needs no word.
KINDS = {
    "live_blog": "Live blog: entries with their times.",
    "gallery": "Gallery: its captions are the text.",
    "index": "Perhaps a list of other stories.",
}
PARTIAL = "Only the beginning: the rest must be paid for, or the page is longer than what is read."


def of_page(kind: str | None, partial: bool) -> str:
    """What a reader should know of the page that gave the text, "" for a whole article."""
    return " ".join(filter(None, [KINDS.get(kind or ""), PARTIAL if partial else ""]))
