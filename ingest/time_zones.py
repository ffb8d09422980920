"""Time zones by their names, and what SQLite has to know of them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo


def named(name: str) -> tzinfo:
    """The time zone of this name of the IANA database. Raises ValueError where there is none."""
    if name == "UTC":
        return UTC  # also where no database is installed
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:  # OSError: the name of a folder of the database
        raise ValueError(name) from error


_WEEK = 7 * 86_400  # no zone changes its offset twice within one


@lru_cache(maxsize=64)
def offsets(name: str, first: int, last: int) -> tuple[tuple[int, int], ...]:
    """By how many seconds a zone is ahead of UTC between two instants (seconds since 1970): (from when on, offset), in
    order; the first counts for all that is earlier."""
    there = named(name)

    def offset(at: int) -> int:
        ahead = datetime.fromtimestamp(at, there).utcoffset()
        return round(ahead.total_seconds()) if ahead else 0

    found = [(first, offset(first))]
    for start in range(first, last, _WEEK):
        low, high = start, min(start + _WEEK, last)
        before, after = offset(low), offset(high)
        while before != after and high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == before else (low, middle)
        if before != after:
            found.append((high, after))
    return tuple(found)
