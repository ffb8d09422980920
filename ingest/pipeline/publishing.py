"""The third move: files of stories → the store.

One publisher writes at a time, everywhere, in bounded slices; between two slices the lease is given back, so that live
stories never wait for an archive. A slice is a stretch of a file, in order of time, of at most 30 days; what is near
it in the store is read once a slice, so a slice of an archive is larger than a live one. What a slice changes, and how
far the file is published, is written in one go.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson

from ingest import dedup
from ingest.errors import LeaseLost, SitrepError, TryAgain
from ingest.landing import Part
from ingest.models import TOLD, Content, Fingerprint, Head, Outcome, Quarantined, Story, Window
from ingest.pipeline import revisions
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.runs import is_live, live_first
from ingest.store import Booking, Lease, Slice, Store
from ingest.store.holders import now_and_then

SLICE = 1000  # stories: a second's work, since others wait for the lease meanwhile
ARCHIVE_SLICE = 5_000  # they are in memory at once, with their texts: 200,000 of 100 words took 470 MB at 10,000
SLICE_SPAN = timedelta(days=30)
ASK_AGAIN = 0.2  # seconds
REFUSED = "refused_by_store"
PRINTS = "fingerprints"  # in a file's header: the version of its fingerprints
CLOSED = "month_dropped"
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
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
    around = around or Surroundings(pipe.store)
    asked = live_first(pipe.landing.parts() if parts is None else parts)
    booked = pipe.store.bookings(asked)
    failed: list[str] = []
    for done, path in enumerate(asked, 1):
        try:
            booked[path] = _publish_file(pipe, path, booked.get(path), run, progress, around)
        except TryAgain:
            raise
        except Exception as error:  # noqa: BLE001 - named below; it costs no other file
            failed.append(_set_aside(pipe, path, error))
        progress(Step("publish", done, len(asked), "files"))
    if failed:
        raise SitrepError("; ".join(failed), subject="publish", advice="Everything else is published.")
    return booked


def _publish_file(
    pipe: Pipe, path: str, booking: Booking | None, run: str, progress: Progress, around: Surroundings
) -> Booking:
    part = pipe.landing.part(path)
    if booking is None or booking.version != part.version:
        booking = unpublished(part, run)
    if not booking.complete and is_set_aside(pipe, path):
        raise SitrepError(f"set aside after {TRIES} failures", advice=f"To try again, delete {_noted(path)}.")
    for booking in _slices(pipe, part, booking, around):  # noqa: B020 - each is the one before, further on
        progress(Step(f"publish {path}", booking.done, part.count, "stories"))
    return booking


def unpublished(part: Part, run: str) -> Booking:
    """The booking of a file of which nothing is published: what digest counted beside its stories."""
    return Booking(part.path, part.version, run, 0, False, part.header["counts"], part.header["reasons"])


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


def _slices(pipe: Pipe, part: Part, booking: Booking, around: Surroundings) -> Iterator[Booking]:
    """Publish what is left of a file; yields the booking after each slice."""
    store = pipe.store
    while not booking.complete:
        try:
            with publishing(store, live=is_live(booking.file)) as lease:
                booking = _as_booked(store, booking)
                if not booking.complete:
                    stop = _stop(part, booking.done, live=is_live(booking.file))
                    booking = _publish_slice(pipe, part, booking, stop, lease, around)
        except LeaseLost:  # nothing was written: the same slice again
            continue
        yield booking


def _as_booked(store: Store, booking: Booking) -> Booking:
    """How far the file is at this moment: another publisher may have gone on with it, or died while it did."""
    booked = store.bookings([booking.file]).get(booking.file, booking)
    return booked if booked.version == booking.version else booking


def _stop(part: Part, start: int, *, live: bool) -> int:
    """Where the slice that begins at `start` ends: a matter of the file alone."""
    seconds = part.instants[start : start + (SLICE if live else ARCHIVE_SLICE)]
    if not len(seconds):
        return start
    return start + int(np.searchsorted(seconds, seconds[0] + SLICE_SPAN.total_seconds(), side="right"))


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


@dataclass(slots=True)
class Work:
    """A slice in the making: stories as they were and as they become; those that go are in `before` alone."""

    before: dict[str, Story]
    after: dict[str, Story] = field(default_factory=dict)
    prints: dict[str, Fingerprint] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    removed: dict[str, str] = field(default_factory=dict)  # story → the closed month for which it was not let in
    outcomes: list[tuple[str, str, Outcome]] = field(default_factory=list)  # feed, story, outcome

    def leave_out(self, refused: Collection[str]) -> None:
        """As if these stories had not been among what is published now."""
        for id_ in refused:
            del self.after[id_]
            self.prints.pop(id_, None)
        self.rewritten.difference_update(refused)
        self.aliases = {key: id_ for key, id_ in self.aliases.items() if id_ not in refused}
        self.outcomes = [
            (feed, id_, Outcome.QUARANTINED if id_ in refused else outcome) for feed, id_, outcome in self.outcomes
        ]


def _publish_slice(pipe: Pipe, part: Part, booking: Booking, stop: int, lease: Lease, around: Surroundings) -> Booking:
    store = pipe.store
    items = _items(part, booking.done, stop)
    work = _decide(pipe, items, datetime.now(UTC))
    booking = replace(booking, reasons=_with_closed(booking.reasons, work))
    store.renew(lease)
    while True:
        slice_ = _slice(store, work, booking, lease, around)
        done = replace(slice_.booking or booking, done=stop, complete=stop >= part.count)
        refused = store.write(replace(slice_, booking=done), lease)
        if not refused:
            around.written()
            return done
        booking = replace(booking, reasons=_quarantine(pipe, booking, work, items, refused))
        work.leave_out(refused)


def _with_closed(reasons: Mapping[str, int], work: Work) -> dict[str, int]:
    closed = sum(outcome is Outcome.REJECTED for _, _, outcome in work.outcomes)
    return {**reasons, **({CLOSED: reasons.get(CLOSED, 0) + closed} if closed else {})}


def _items(part: Part, start: int, stop: int) -> list[tuple[Content, Fingerprint]]:
    """Stories of a file with their fingerprints, made anew where another version made them."""
    items = part.slice(start, stop)
    if part.header.get(PRINTS, dedup.VERSION) == dedup.VERSION:
        return items
    contents = [content for content, _ in items]
    prints = dedup.fingerprints([(content.title, content.text) for content in contents])
    return list(zip(contents, prints, strict=True))


def _quarantine(
    pipe: Pipe,
    booking: Booking,
    work: Work,
    items: Sequence[tuple[Content, Fingerprint]],
    refused: Mapping[str, str],
) -> dict[str, int]:
    """Keep what the store refuses, and count it; gives the booking's reasons with it."""
    reasons = Counter(booking.reasons)
    for (content, _), (_, id_, _) in zip(items, work.outcomes, strict=True):
        if id_ in refused:
            pipe.landing.quarantine(
                Quarantined(
                    reason=REFUSED,
                    detail=refused[id_],
                    where=booking.file,
                    kind="story",
                    feed=content.feed,
                    captured=content.captured,
                    meta={"url": content.url, "trusted": is_live(booking.file)},
                    data=orjson.dumps(content.to_json()),
                    url=content.url,
                    source=content.source,
                    run=booking.run,
                )
            )
            reasons[REFUSED] += 1
    return dict(reasons)


def _slice(store: Store, work: Work, booking: Booking, lease: Lease, around: Surroundings) -> Slice:
    """What the work changes in the store, with the booking's counts."""
    moved = _moved(work)
    verdicts = around.judge(work, moved, lease)
    store.renew(lease)
    related = related_to(store, work, verdicts, {*moved, *_reranked(work)})
    counts = _count(work, related.places, booking, live=is_live(booking.file))
    clusters, origins = related.moved(), related.made_anew()
    stories = [_placed(work.after[id_], clusters, origins) for id_ in sorted(work.rewritten)]
    touched = [
        _placed(story, clusters, origins)
        for id_, story in sorted(work.after.items())
        if id_ not in work.rewritten and story != work.before.get(id_)
    ]
    written = {story.id for story in (*stories, *touched)}
    return Slice(
        stories=stories,
        touched=touched,
        fingerprints={id_: work.prints[id_] for id_ in work.rewritten if id_ in work.prints},
        aliases=work.aliases,
        links=verdicts.linked,
        unlinked=verdicts.unlinked,
        clusters={id_: place for id_, place in clusters.items() if id_ not in written},
        rewritten_from={id_: origin for id_, origin in origins.items() if id_ not in written},
        removed=work.removed,
        booking=replace(booking, counts=counts),
    )


def _placed(story: Story, clusters: Mapping[str, tuple[str, bool]], origins: Mapping[str, str | None]) -> Story:
    cluster, lead = clusters.get(story.id, (story.cluster, story.lead))
    return replace(story, cluster=cluster, lead=lead, rewritten_from=origins.get(story.id, story.rewritten_from))


@dataclass(frozen=True, slots=True)
class _Gate:
    """Which stories of closed months are let in: none but those that are there."""

    closed: frozenset[str]
    removed: dict[str, str]  # story → the closed month for which it went, or was not let in
    indexed: Mapping[str, datetime]  # of the store that this one will stand in for: what it holds is let in

    @classmethod
    def of(cls, pipe: Pipe, ids: Collection[str]) -> _Gate:
        closed = frozenset(pipe.store.closed_months())
        removed = pipe.store.removed(ids) if closed else {}
        return cls(closed, removed, pipe.replaced.indexed(ids) if pipe.replaced else {})

    def shuts_out(self, id_: str, content: Content, *, there: bool) -> bool:
        month = f"{content.instant().astimezone(UTC):%Y-%m}"
        if month in self.closed and not there and id_ not in self.indexed:
            self.removed.setdefault(id_, month)
        return id_ in self.removed


def _decide(pipe: Pipe, items: Sequence[tuple[Content, Fingerprint]], now: datetime) -> Work:
    """What each content makes of its story, one after the other."""
    known = pipe.store.resolve({key for content, _ in items for key in content.keys})
    ids = {content.id for content, _ in items} | set(known.values())
    work, gate = Work(pipe.store.get(ids)), _Gate.of(pipe, ids)
    for content, fingerprint in items:
        id_ = _identity(content, known, work)
        for key in _new_keys(content, id_, known):
            known[key] = work.aliases[key] = id_
        story = work.after.get(id_) or work.before.get(id_)
        if gate.shuts_out(id_, content, there=story is not None):
            work.removed[id_] = gate.removed[id_]
            work.outcomes.append((content.feed or "", id_, Outcome.REJECTED))
            continue
        first_indexed = gate.indexed.get(id_, now)
        decision = revisions.again(story, content) if story else revisions.first(content, first_indexed)
        work.after[id_] = decision.story
        work.outcomes.append((content.feed or "", id_, decision.outcome))
        if decision.rewritten:
            work.rewritten.add(id_)
        if decision.story.content.digest == content.digest:
            work.prints[id_] = fingerprint
    return work


def _identity(content: Content, known: Mapping[str, str], work: Work) -> str:
    """The id that the story has had since it was first seen, under whichever of its addresses."""
    if content.id in work.before or content.id in work.after:
        return content.id
    return next((known[key] for key in content.keys if key in known), content.id)


def _new_keys(content: Content, id_: str, known: Mapping[str, str]) -> list[str]:
    """The keys under which the story is to be known from now on. Not the address of an entry that is known as itself
    under another id: it shared its link with others once."""
    if id_ != content.id and content.keys[0].startswith(TOLD) and known.get(content.keys[0]) == id_:
        return []
    return [key for key in content.keys if key not in known]


def _moved(work: Work) -> dict[str, list[int]]:
    """The stories whose text or time is new, with the instants (s) at which that changes the picture."""
    moved: dict[str, list[int]] = {}
    for id_, after in work.after.items():
        before = work.before.get(id_)
        if before and before.content.digest == after.content.digest and second(before) == second(after):
            continue
        moved[id_] = [second(story) for story in (before, after) if story]
    return moved


def _reranked(work: Work) -> set[str]:
    """Known stories whose place among those of their cluster may be another now, though their text is the same."""
    known = work.before.keys() & work.after.keys()
    return {
        id_
        for id_ in known
        if (work.before[id_].published, work.before[id_].first_seen)
        != (work.after[id_].published, work.after[id_].first_seen)
    }


class Surroundings:
    """The stories around what is published, which say what it is a copy of: read from the store once, and kept from one
    slice to the next as long as nobody else publishes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scene = dedup.Scene(self._load)
        self._token = -1  # of the lease under which the scene is as the store is
        self._written = False

    def judge(self, work: Work, moved: Mapping[str, list[int]], lease: Lease) -> dedup.Verdicts:
        """Which links come and go, by what is about to be written."""
        if not self._written or lease.token != self._token + 1:  # each lease has the number after the one before
            self._scene.forget()
        self._token, self._written = lease.token, False
        alive = renewal(self._store, lease)
        prints = self._store.fingerprints((moved.keys() & work.after.keys()) - work.prints.keys()) | work.prints
        return dedup.judge_change(
            self._scene,
            [moment for times in moved.values() for moment in times],
            moved.keys(),
            Window.of((id_, second(work.after[id_]), prints[id_]) for id_ in moved if id_ in prints),
            self._store.links,
            dedup.CloseLook(functools.partial(_texts, self._store, work), alive),
            alive=alive,
        )

    def written(self) -> None:
        """It is written: what was judged last is in the store."""
        self._written = True

    def _load(self, since: int, until: int) -> Iterator[Window]:
        first, last = (int(moment.timestamp()) for moment in (_FIRST, _LAST))
        return self._store.window(
            datetime.fromtimestamp(min(max(since, first), last), UTC),
            datetime.fromtimestamp(max(min(until, last), first), UTC),
        )


def _texts(store: Store, work: Work, ids: Collection[str]) -> dict[str, tuple[str | None, str]]:
    """Title and text of these stories, as they will be."""
    here = {id_: work.after[id_].content for id_ in ids if id_ in work.after}
    return {id_: (content.title, content.text) for id_, content in here.items()} | store.texts(ids - here.keys())


def renewal(store: Store, lease: Lease) -> Callable[[], None]:
    """Renews the lease when it is called, but not at every call."""
    return now_and_then(lambda: store.renew(lease))


def second(story: Story) -> int:
    return int(story.instant().timestamp() // 1)


@dataclass(frozen=True, slots=True)
class Related:
    """The stories of every component that was touched as they were, and what they are to each other now: cluster and
    whether it leads, and what each was made from."""

    heads: Mapping[str, Head]
    places: Mapping[str, tuple[str, bool]]
    origins: Mapping[str, str | None]

    def moved(self) -> dict[str, tuple[str, bool]]:
        return {
            id_: place for id_, place in self.places.items() if (self.heads[id_].cluster, self.heads[id_].lead) != place
        }

    def made_anew(self) -> dict[str, str | None]:
        return {id_: origin for id_, origin in self.origins.items() if self.heads[id_].rewritten_from != origin}


def related_to(store: Store, work: Work, verdicts: dedup.Verdicts, changed: Collection[str]) -> Related:
    """What is touched is followed through the store as far as it reaches."""
    ids, links = dedup.touched(changed, verdicts, store.links)
    ids -= work.before.keys() & work.removed.keys()
    heads = store.heads(ids - work.after.keys()) | {id_: _head(work.after[id_]) for id_ in ids & work.after.keys()}
    places = dedup.clusters(heads, links)
    return Related(heads, places, dedup.rewritten(heads, links, places))


def _head(story: Story) -> Head:
    return Head(story.id, story.published, story.first_seen, story.cluster, story.lead, story.rewritten_from)


def _count(
    work: Work, places: Mapping[str, tuple[str, bool]], booking: Booking, *, live: bool
) -> dict[str, dict[str, int]]:
    """The booking's counts with this slice's. A new story is a duplicate where its cluster was there before it, and
    where another new one leads it."""
    new = work.after.keys() - work.before.keys()
    old = {cluster for id_, (cluster, _) in places.items() if id_ not in new}
    counts: dict[str, Counter[str]] = defaultdict(Counter, {feed: Counter(n) for feed, n in booking.counts.items()})
    for feed, id_, outcome in work.outcomes:
        cluster, lead = places.get(id_, (id_, True))
        if outcome is Outcome.INDEXED and (cluster in old or not lead):
            outcome = Outcome.DUPLICATE
        counts[feed if live else ""][str(outcome)] += 1
    return {feed: dict(n) for feed, n in counts.items()}
