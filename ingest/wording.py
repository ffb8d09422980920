"""Numbers and instants as people read them, in a terminal and on a page."""

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
