"""A month of stories goes out of the store, and stays out: `sitrep store drop`.

The month is closed first, so that nothing new of it comes in; then its stories go, slice by slice, and what they meant
to others with them: links, clusters, leads, and whether a phrase that they shared is boilerplate. Killed in between,
the same call goes on. The landing zone keeps what it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ingest.errors import LeaseLost, UsageError
from ingest.models import Story
from ingest.pipeline.deciding import Work, related_to
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.planning import unpublished
from ingest.pipeline.publishing import publishing
from ingest.pipeline.surroundings import Surroundings, renewal
from ingest.pipeline.upcoming import second
from ingest.store import Lease, Query, Slice, Store

SLICE = 2000  # stories: their neighbourhood is judged again


def span(month: str) -> tuple[datetime, datetime]:
    """The instants at which a month like "2022-05" begins and ends, in UTC. Raises UsageError."""
    told = re.fullmatch(r"([1-9]\d{3})-(0[1-9]|1[0-2])", month)
    if not told or int(told[1]) > datetime.now(UTC).year + 1:
        raise UsageError("is no month", subject=month, advice="Write it like 2022-05.")
    year, number = int(told[1]), int(told[2])
    return datetime(year, number, 1, tzinfo=UTC), datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def holds(pipe: Pipe, month: str) -> int:
    """How many stories of this month (of publication, else of when they were first seen) the store holds."""
    since, until = span(month)
    return pipe.store.search(Query(since=since, until=until, limit=0)).total


def _undisturbed(pipe: Pipe) -> Store:
    if pipe.store.successor(make=False):
        raise UsageError("the store is being rebuilt", advice="Let `sitrep store rebuild` finish first.")
    return pipe.store


def drop(pipe: Pipe, month: str, *, progress: Progress = silent) -> int:
    """Close the month and remove its stories; gives how many went."""
    since, until = span(month)
    store = _undisturbed(pipe)
    with publishing(store, live=True) as lease:
        store.close_month(month, lease)
    total, gone, around = holds(pipe, month), 0, Surroundings(store)
    while True:
        try:
            with publishing(store, live=False) as lease:
                hits = store.search(Query(since=since, until=until, limit=SLICE)).hits
                if not hits:
                    store.sweep(lease)
                    return gone
                _remove(store, [hit.story for hit in hits], month, lease, around)
        except LeaseLost:  # nothing was written: the same slice again
            continue
        gone += len(hits)
        progress(Step("drop", gone, total, "stories"))


def _remove(store: Store, stories: Sequence[Story], month: str, lease: Lease, around: Surroundings) -> None:
    work = Work({story.id: story for story in stories}, removed={story.id: month for story in stories})
    moved = {story.id: [second(story)] for story in stories}
    verdicts = around.judge(store, work, moved, lease.token, renewal(store, lease))
    related = related_to(store, work, verdicts, moved)
    slice_ = Slice(
        links=verdicts.linked,
        unlinked=verdicts.unlinked,
        clusters=related.moved(),
        rewritten_from=related.made_anew(),
        removed=work.removed,
    )
    store.write(slice_, lease)
    around.written(lease.token)


def undo(pipe: Pipe, month: str) -> list[str] | None:
    """Open the month again; None where it is not closed. What the landing zone has of it can be published again: gives
    the files of stories for which that is so."""
    since, until = span(month)
    with publishing(_undisturbed(pipe), live=True) as lease:
        if month not in pipe.store.closed_months():
            return None
        alive = renewal(pipe.store, lease)
        parts = [path for path in pipe.landing.parts() if _reopened(pipe, path, since, until, lease, alive)]
        pipe.store.open_month(month, lease)
        return parts


def _reopened(pipe: Pipe, path: str, since: datetime, until: datetime, lease: Lease, alive: Callable[[], None]) -> bool:
    """Whether a file has something of that time and was published; it counts as not published from now on."""
    alive()
    part = pipe.landing.part(path)
    inside = (part.instants >= since.timestamp()) & (part.instants < until.timestamp())
    booking = pipe.store.bookings([path]).get(path) if inside.any() else None
    if booking:
        pipe.store.write(Slice(booking=unpublished(part, booking.run)), lease)
    return booking is not None
