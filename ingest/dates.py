"""Dates of publication: read, judged and placed in time.

`published` is a string everywhere: ISO 8601 with the offset that the source gave (UTC where it gave none), or a date
alone (`2022-05-24`) where no time was given.
"""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """An aware datetime as ISO 8601 in UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant(published: str) -> datetime:
    """The instant in UTC of what `iso` or `read` wrote; a date alone is midnight UTC.

    Raises ValueError for anything else.
    """
    moment = datetime.fromisoformat(published)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
