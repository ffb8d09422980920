"""Slices of files of stories, decided one ahead: while a store has to be waited for that writes one, the next one is
decided as if that were done.

Nothing that was decided so is believed before it came true: the slice before is written, and the lease is the next one,
so that nobody else published in between. Else it is decided once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from ingest import dedup
from ingest.landing import Part
from ingest.models import Content, Fingerprint
from ingest.pipeline.deciding import Work, decide, moved, slice_of, with_closed
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.runs import is_live
from ingest.pipeline.surroundings import Surroundings
from ingest.pipeline.upcoming import Known, Upcoming
from ingest.store import Booking, Lease, Slice

SLICE = 1000  # stories: a second's work, since others wait for the lease meanwhile
ARCHIVE_SLICE = 5_000  # they are in memory at once, with their texts: 200,000 of 100 words took 470 MB at 10,000
SLICE_SPAN = timedelta(days=30)
PRINTS = "fingerprints"  # in a file's header: the version of its fingerprints

Items = Sequence[tuple[Content, Fingerprint]]
Alive = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next stories of a file change, to be written under the lease of this number: how the file was booked
    `before`, and how it is `after`."""

    before: Booking
    after: Booking
    token: int
    items: Items
    work: Work
    moved: Mapping[str, list[int]]
    slice: Slice


class Planner:
    """Decides slices. `around` is what earlier ones left at hand."""

    def __init__(self, pipe: Pipe, around: Surroundings) -> None:
        self._pipe, self._around = pipe, around
        self._early: Plan | None = None

    def plan(self, part: Part, booking: Booking, lease: Lease, alive: Alive) -> Plan:
        """The next slice of a file."""
        early, self._early = self._early, None
        if early and early.before == booking and self._around.holds(lease.token):
            return early
        return self._planned(self._pipe.store, part, booking, lease.token, alive)

    def plan_ahead(self, plan: Plan, part: Part, coming: str | None, alive: Alive) -> None:
        """Decide what comes after this slice of `part`, which is being written: the next one, or where there is none
        the first of the file that is `coming`."""
        booking = plan.after
        moments = {moment for times in plan.moved.values() for moment in times}
        upcoming = Upcoming(self._pipe.store, plan.slice, moments)
        try:
            if booking.complete and coming:
                part = self._pipe.landing.part(coming)
                booking = unpublished(part, booking.run)
            if not booking.complete:
                self._early = self._planned(upcoming, part, booking, plan.token + 1, alive, early=True)
        except Exception:  # noqa: BLE001 - it is decided again in its turn, where what is wrong can be told
            self._early = None

    def without(self, plan: Plan, refused: Collection[str], reasons: Mapping[str, int], alive: Alive) -> Plan:
        """The same slice without the stories that the store refuses, which count by these reasons."""
        plan.work.leave_out(refused)
        return self._settled(self._pipe.store, replace(plan, after=replace(plan.after, reasons=reasons)), alive)

    def written(self, plan: Plan) -> None:
        self._around.written(plan.token)

    def _planned(
        self, store: Known, part: Part, booking: Booking, token: int, alive: Alive, *, early: bool = False
    ) -> Plan:
        stop = _stop(part, booking.done, live=is_live(booking.file))
        items = _items(part, booking.done, stop)
        work = decide(store, self._pipe.replaced, items, datetime.now(UTC))
        after = replace(booking, done=stop, complete=stop >= part.count, reasons=with_closed(booking.reasons, work))
        return self._settled(store, Plan(booking, after, token, items, work, {}, Slice()), alive, early=early)

    def _settled(self, store: Known, plan: Plan, alive: Alive, *, early: bool = False) -> Plan:
        changed = moved(plan.work)
        verdicts = self._around.judge(store, plan.work, changed, plan.token, alive, early=early)
        alive()
        slice_ = slice_of(store, plan.work, verdicts, replace(plan.after, counts=plan.before.counts))
        return replace(plan, moved=changed, slice=slice_, after=slice_.booking or plan.after)


def unpublished(part: Part, run: str) -> Booking:
    """The booking of a file of which nothing is published: what digest counted beside its stories."""
    return Booking(part.path, part.version, run, 0, False, part.header["counts"], part.header["reasons"])


def _stop(part: Part, start: int, *, live: bool) -> int:
    """Where the slice that begins at `start` ends: a matter of the file alone."""
    seconds = part.instants[start : start + (SLICE if live else ARCHIVE_SLICE)]
    if not len(seconds):
        return start
    return start + int(np.searchsorted(seconds, seconds[0] + SLICE_SPAN.total_seconds(), side="right"))


def _items(part: Part, start: int, stop: int) -> Items:
    """Stories of a file with their fingerprints, made anew where another version made them."""
    items = part.slice(start, stop)
    if part.header.get(PRINTS, dedup.VERSION) == dedup.VERSION:
        return items
    contents = [content for content, _ in items]
    prints = dedup.fingerprints([(content.title, content.text) for content in contents])
    return list(zip(contents, prints, strict=True))
