"""The third move: files of stories → the store.

One publisher writes at a time, everywhere, in bounded slices; between two slices the lease is given back, so that live
stories never wait for an archive. A slice is a stretch of a file, in order of time, of at most 30 days; what is near
it in the store is read once a slice, so a slice of an archive is larger than a live one. What a slice changes, and how
far the file is published, is written in one go.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import orjson

from ingest.errors import LeaseLost, SitrepError, TryAgain
from ingest.landing import Part
from ingest.models import Quarantined
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.planning import Plan, Planner, unpublished
from ingest.pipeline.runs import is_live, live_first
from ingest.pipeline.surroundings import Surroundings, renewal
from ingest.store import Booking, Lease, Store

ASK_AGAIN = 0.2  # seconds
REFUSED = "refused_by_store"
TRIES = 3  # a file that failed so often is set aside


def publish(
    pipe: Pipe,
    parts: Iterable[str] | None = None,
    *,
    run: str,
    progress: Progress = silent,
    around: Surroundings | None = None,
) -> dict[str, Booking]:
    """Publish these files of stories, or all that the store does not have; live ones first.

    Gives the bookings of all of them: how many entries came to which outcome. A file that is published already is left
    alone. Raises SitrepError at the end, naming it, for a file that failed; the others are published all the same.
    `around` is what an earlier call of the same process left at hand.
    """
    planner = Planner(pipe, around or Surroundings(pipe.store))
    asked = live_first(pipe.landing.parts() if parts is None else parts)
    booked = pipe.store.bookings(asked)
    failed: list[str] = []
    for done, path in enumerate(asked, 1):
        try:
            coming = asked[done] if done < len(asked) and asked[done] not in booked else None
            booked[path] = _publish_file(pipe, path, booked.get(path), run, progress, planner, coming)
        except TryAgain:
            raise
        except Exception as error:  # noqa: BLE001 - named below; it costs no other file
            failed.append(_set_aside(pipe, path, error))
        progress(Step("publish", done, len(asked), "files"))
    if failed:
        raise SitrepError("; ".join(failed), subject="publish", advice="Everything else is published.")
    return booked


def _publish_file(
    pipe: Pipe,
    path: str,
    booking: Booking | None,
    run: str,
    progress: Progress,
    planner: Planner,
    coming: str | None,
) -> Booking:
    """`coming`: the file that is published next, of which nothing is yet."""
    part = pipe.landing.part(path)
    if booking is None or booking.version != part.version or not _is_begun(booking):
        booking = unpublished(part, run)
    if not booking.complete and is_set_aside(pipe, path):
        raise SitrepError(f"set aside after {TRIES} failures", advice=f"To try again, delete {_noted(path)}.")
    for booking in _slices(pipe, part, booking, planner, coming):  # noqa: B020 - each is the one before, further on
        progress(Step(f"publish {path}", booking.done, part.count, "stories"))
    return booking


def is_set_aside(pipe: Pipe, path: str) -> bool:
    """Whether a file of stories failed so often that it is not tried any more."""
    return _failures(pipe, path, pipe.landing.part(path).version) >= TRIES


def _noted(path: str) -> str:
    return f"failures/{path}.json"


def _failures(pipe: Pipe, path: str, version: str) -> int:
    if not pipe.landing.exists(_noted(path)):
        return 0
    note = pipe.landing.read_json(_noted(path))
    return int(note["tries"]) if note["version"] == version else 0


def _set_aside(pipe: Pipe, path: str, error: Exception) -> str:
    """Note that a file failed once more, and say so."""
    version = pipe.landing.part(path).version
    tries = _failures(pipe, path, version) + 1
    what = f"{type(error).__name__}: {error}"
    if tries <= TRIES:
        pipe.landing.write_json(_noted(path), {"version": version, "tries": tries, "error": what})
    return f"{path} could not be published ({what})"


def _slices(pipe: Pipe, part: Part, booking: Booking, planner: Planner, coming: str | None) -> Iterator[Booking]:
    """Publish what is left of a file; yields the booking after each slice."""
    store = pipe.store
    while not booking.complete:
        try:
            with publishing(store, live=is_live(booking.file)) as lease:
                booking = _as_booked(store, booking)
                if not booking.complete:
                    booking = _publish_slice(pipe, part, booking, lease, planner, coming)
        except LeaseLost:  # nothing was written: the same slice again
            continue
        yield booking


def _as_booked(store: Store, booking: Booking) -> Booking:
    """How far the file is at this moment: another publisher may have gone on with it, or died while it did."""
    booked = store.bookings([booking.file]).get(booking.file, booking)
    return booked if booked.version == booking.version and _is_begun(booked) else booking


def _is_begun(booking: Booking) -> bool:
    """Whether somebody published something of the file. Of one whose month was let in again nobody did: who publishes
    it books what comes back as that run's."""
    return booking.complete or booking.done > 0


@contextmanager
def publishing(store: Store, *, live: bool) -> Iterator[Lease]:
    """The lease, as soon as it is to be had."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    while isinstance(lease := store.lease(holder, live=live), str):
        time.sleep(ASK_AGAIN)
    try:
        yield lease
    finally:
        store.release(lease)


def _publish_slice(
    pipe: Pipe, part: Part, booking: Booking, lease: Lease, planner: Planner, coming: str | None
) -> Booking:
    """Publish the next slice of a file, and decide meanwhile the one after it."""
    store, alive = pipe.store, renewal(pipe.store, lease)
    plan = planner.plan(part, booking, lease, alive)
    refused = store.write(plan.slice, lease, lambda: planner.plan_ahead(plan, part, coming, alive))
    while refused:
        plan = planner.without(plan, refused, _quarantine(pipe, plan, refused), alive)
        refused = store.write(plan.slice, lease)
    planner.written(plan)
    return plan.after


def _quarantine(pipe: Pipe, plan: Plan, refused: Mapping[str, str]) -> dict[str, int]:
    """Keep what the store refuses, and count it; gives the booking's reasons with it."""
    reasons = Counter(plan.after.reasons)
    for (content, _), (_, id_, _) in zip(plan.items, plan.work.outcomes, strict=True):
        if id_ in refused:
            pipe.landing.quarantine(
                Quarantined(
                    reason=REFUSED,
                    detail=refused[id_],
                    where=plan.after.file,
                    kind="story",
                    feed=content.feed,
                    captured=content.captured,
                    meta={"url": content.url, "trusted": is_live(plan.after.file)},
                    data=orjson.dumps(content.to_json()),
                    url=content.url,
                    source=content.source,
                    run=plan.after.run,
                )
            )
            reasons[REFUSED] += 1
    return dict(reasons)
