"""A search as it stands in an address, and what it asks of the store.

The whole state of the page is in the address: what is sent to somebody shows the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query, Request

from ingest import dates, time_zones
from ingest import store as port
from ingest.store import patience, typed
from ingest.web.window import window_of

PAGE = 20  # hits
DEEPEST = 10_000  # hits that can be paged through: what Elasticsearch skips at most, and nobody reads further
MOST_NAMES = 50  # of one filter
LONGEST_NAME = 300
MOST_SECONDS = 2.0  # of processor time that the embedded store may spend on a request
WEIGHTS = ("any", "main", "mentioned")
ORDERS = {"best": "best first", "newest": "newest first", "oldest": "oldest first"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks. `since` and `until` are dates like 2022-05-24, or instants as they were written; `every`:
    each telling of a story, not one of each cluster; `order`: "" for the one that suits; `zone`: whose days are meant,
    which no address says."""

    q: str = ""
    topics: tuple[str, ...] = ()
    weight: str = "any"
    statuses: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    order: str = ""
    every: bool = False
    page: int = 1
    zone: str = "UTC"

    def query(self, limit: int = PAGE) -> port.Query:
        """For the store. `until` is where it ends: a date is not part of it, as on the command line."""
        return port.Query(
            text=self.q,
            topics=self.topics,
            weight=self.weight,
            statuses=self.statuses,
            sources=self.sources,
            languages=self.languages,
            since=self.moment(self.since) if self.since else None,
            until=self.moment(self.until) if self.until else None,
            folded=not self.every,
            order=self.order or "best",
            zone=self.zone,
            limit=limit,
            offset=(self.page - 1) * limit,
        )

    def moment(self, written: str) -> datetime:
        """The instant of `since` or `until`, in UTC."""
        return dates.instant(written, time_zones.named(self.zone))

    def pairs(self, **changes: Any) -> list[tuple[str, str]]:
        """Names and values for an address, with changes; without the page, which changes with everything else."""
        told = replace(self, **{"page": 1, **changes})
        lists = (("topic", told.topics), ("status", told.statuses), ("source", told.sources), ("lang", told.languages))
        single = {
            "weight": told.weight if told.weight != "any" else "",
            "since": told.since,
            "until": told.until,
            "sort": told.order,
            "every": "1" if told.every else "",
            "page": str(told.page) if told.page > 1 else "",
        }
        names = [(name, value) for name, values in lists for value in values]
        return [
            *([("q", told.q)] if told.q else []),
            *names,
            *((name, value) for name, value in single.items() if value),
        ]

    def without(self, name: str, value: str) -> list[tuple[str, str]]:
        """The address without one of its filters."""
        values: tuple[str, ...] = getattr(self, name)
        return self.pairs(**{name: tuple(each for each in values if each != value)})

    @property
    def turned(self) -> bool:
        """Whether the dates are the wrong way round, so that nothing can be found."""
        return bool(self.since and self.until) and self.moment(self.since) >= self.moment(self.until)

    @property
    def filtered(self) -> bool:
        return bool(self.topics or self.statuses or self.sources or self.languages or self.since or self.until)


async def bounded() -> None:
    """Not in a thread of its own: what is set there would not reach the page."""
    patience.limit(MOST_SECONDS)


def asked(
    request: Request,
    _: Annotated[None, Depends(bounded)],
    q: Annotated[str, Query(description='Words; "a phrase"; -without; begin*; title:word.')] = "",
    topic: Annotated[list[str] | None, Query(description="Any of these topics.")] = None,
    weight: Annotated[str, Query(description="How the topics count: any, main or mentioned.")] = "",
    status: Annotated[list[str] | None, Query(description="An evidence has one of these statuses.")] = None,
    source: Annotated[list[str] | None, Query(description="Any of these outlets.")] = None,
    lang: Annotated[list[str] | None, Query(description="Any of these languages (ISO 639-1).")] = None,
    since: Annotated[str, Query(description="From this date or instant on.")] = "",
    until: Annotated[str, Query(description="Before this date or instant.")] = "",
    sort: Annotated[str, Query(description="best, newest or oldest.")] = "",
    every: Annotated[str, Query(description="1: every telling of a story, not one hit a cluster.")] = "",
    page: Annotated[str, Query(description=f"Of {PAGE} hits, from 1 on.")] = "",
) -> Asked:
    """What the address says. Raises HTTPException, saying what is wrong, for what cannot be asked."""
    if told := typed.refused(q):
        raise HTTPException(400, told)
    zone = window_of(request).settings.time_zone
    return Asked(
        q=" ".join(q.split()),
        topics=_names("topic", topic),
        weight=_among("weight", weight or "any", WEIGHTS),
        statuses=_names("status", status),
        sources=_names("source", source),
        languages=_names("lang", lang),
        since=_moment("since", since, zone),
        until=_moment("until", until, zone),
        order=_among("sort", sort, ("", *ORDERS)),
        every=every not in ("", "0"),
        page=_page(page),
        zone=zone,
    )


def _names(name: str, values: list[str] | None) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(value for value in values or () if value))
    if len(found) > MOST_NAMES or any(len(value) > LONGEST_NAME for value in found):
        raise HTTPException(400, f"{name}: at most {MOST_NAMES} names of {LONGEST_NAME} characters.")
    return found


def _among(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise HTTPException(400, f"{name}: one of {', '.join(filter(None, known))}.")
    return value


def _moment(name: str, value: str, zone: str) -> str:
    """A date, or an instant as it was written, if it is one."""
    value = value.strip()
    if not value:
        return ""
    try:
        there = time_zones.named(zone)
        moment = dates.instant(value[:40], there)
        moment.astimezone(there)  # a day at the end of all years may have no name there
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, f"{name}: no date like 2022-05-24 or 2022-05-24T12:00Z.") from error
    try:
        return date.fromisoformat(value).isoformat()  # 20220524 and 2022-W21-2 as well
    except ValueError:
        return value if len(value) <= 40 else dates.iso(moment)


def _page(value: str) -> int:
    if not value:
        return 1
    if not value.isdecimal() or not value.isascii() or not int(value[:9]) >= 1:
        raise HTTPException(400, "page: a whole number from 1 on.")
    check_depth(int(value[:9]), PAGE)
    return int(value)


def check_depth(page: int, limit: int) -> None:
    """Raises HTTPException for a page of so many hits that ends deeper than can be paged through."""
    if page * limit > DEEPEST:
        told = f"Only the first {DEEPEST:,d} hits can be paged through: narrow the search, or download it."
        raise HTTPException(400, told)


def last_day(until: str) -> str:
    """The last day before `until`, where that is a date: what a reader calls the end."""
    is_date = len(until) == len("2022-05-24") and until > date.min.isoformat()
    return (date.fromisoformat(until) - timedelta(days=1)).isoformat() if is_date else until
