"""The store: the port, its contract, and how one is opened.

The store is derived: emptied, it can be filled again from the landing zone. It is used by one publisher at a time
(the lease), and by any number of readers. Vendor errors stop at the adapter: every method raises `StoreGone` when the
store does not answer, and `LeaseLost` where a token is out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ingest.models import (
    Feed,
    FeedState,
    Fingerprint,
    Head,
    Link,
    Quarantined,
    RunReport,
    Story,
    WantedPage,
    Window,
)

PIECE = 50_000  # stories, some 30 MB


@dataclass(frozen=True, slots=True)
class Booking:
    """How far a file of stories is published, and what became of its entries.

    `version` identifies the file's bytes; `done` counts its stories that are written. `counts` maps a feed's URL (""
    where there is none) to counts by outcome, `reasons` counts rejections and quarantines by name.
    """

    file: str
    version: str
    run: str
    done: int
    complete: bool
    counts: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """What one publisher writes at once, in one transaction where the store has them.

    `stories` are new or have another text, tags or date; `touched` are only seen again (capture times, feeds).
    `clusters` maps story → (cluster, lead) for stories whose text stays as it is, `rewritten_from` story → the one that
    it was made from, or None. Aliases map address key → story.
    `removed` maps story → the closed month for which it goes, or for which it was never let in; its aliases stay.
    """

    stories: Sequence[Story] = ()
    touched: Sequence[Story] = ()
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Link] = ()
    unlinked: Sequence[tuple[str, str]] = ()
    clusters: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    rewritten_from: Mapping[str, str | None] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    booking: Booking | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What a reader asks for. `text` is what a person types: words (all must stand in the story), "phrases" in
    quotation marks, -excluded words and prefix* words, each with title: before it where it must stand in the title;
    nothing of it is an error. Instants: since ≤ instant < until.

    `weight` says how `topics` count: "any", "main" (the story is about one of them), "mentioned" (it has one of them
    that it is not about). `statuses`, `rules`: an evidence has one of these, and is of one of the `topics` where they
    are asked for. `folded`: of each cluster only the first hit, in `order`: "best", "newest" or "oldest" first (without
    words, best is newest). It matters to `search` alone. `zone`: whose days `count` and `days` count by, a name of the
    IANA database."""

    text: str = ""
    topics: Sequence[str] = ()
    weight: str = "any"
    statuses: Sequence[str] = ()
    rules: Sequence[str] = ()
    sources: Sequence[str] = ()
    languages: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    cluster: str | None = None
    leads_only: bool = False
    folded: bool = False
    order: str = "best"
    zone: str = "UTC"
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A story that was found. `snippet` is plain text; `marks` are the spans in it that match. `copies` counts the
    other stories of its cluster, `outlets` the outlets of all of them."""

    story: Story
    score: float
    snippet: str
    marks: Sequence[tuple[int, int]]
    copies: int
    outlets: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """The hits asked for, and how many there are in all: stories (`total`) and, where the query folds, `clusters`."""

    total: int
    hits: Sequence[Hit]
    clusters: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to publish. `token` is one more than that of the holder before; a write with an old one is refused."""

    holder: str
    token: int


class Mirror(Protocol):
    """Shows what stands in files of the landing zone beside the stories, to people who look into the store with tools
    of their own (Kibana). The files are the truth: nothing is read back but ids, and showing the same again changes
    nothing. `reports` and `quarantine` give what the store refuses to show: name → reason."""

    def reports(self, reports: Iterable[RunReport]) -> Mapping[str, str]:
        """Show these reports, or show them anew."""
        ...

    def quarantined(self) -> set[str]:
        """The ids of the items that are shown."""
        ...

    def quarantine(self, items: Iterable[Quarantined], *, gone: Iterable[str] = ()) -> Mapping[str, str]:
        """Show these items, or show them anew, and no longer those that are `gone`."""
        ...


class Store(Protocol):
    """See the module's docstring for what holds for every method."""

    piece: int  # stories of a window that are handed out at once
    mirror: Mirror | None = None  # None where nobody looks but by Sitrep

    def close(self) -> None: ...

    # feeds and their state -------------------------------------------------------------------------------------
    def feeds(self) -> list[Feed]:
        """All feeds, by URL."""
        ...

    def save_feeds(self, feeds: Iterable[Feed]) -> None:
        """Add feeds, or change those with the same URL."""
        ...

    def remove_feed(self, url: str) -> bool:
        """Forget a feed and its state; its stories stay. False if there was none."""
        ...

    def states(self, urls: Iterable[str]) -> dict[str, FeedState]:
        """The states of those feeds that were polled before."""
        ...

    def save_states(self, states: Iterable[FeedState]) -> None: ...

    def wanted(self, feeds: Iterable[str]) -> list[WantedPage]:
        """The pages that entries of these feeds still wait for, oldest first."""
        ...

    def save_wanted(self, pages: Iterable[WantedPage], *, fetched: Iterable[str] = ()) -> None:
        """Add or change waiting pages (by URL) and drop those that were `fetched`."""
        ...

    # the lease -------------------------------------------------------------------------------------------------
    def lease(self, holder: str, *, live: bool) -> Lease | str:
        """Try to become the publisher: the lease, or the name of who goes first.

        One holder at a time. A lease that was not renewed for 30 seconds is taken over. While a `live` publisher
        waits (asked within the last 5 seconds and was refused), one that is not live is refused.
        """
        ...

    def renew(self, lease: Lease) -> None: ...

    def release(self, lease: Lease) -> None:
        """Give the lease back; nothing happens where it was lost already."""
        ...

    # stories ---------------------------------------------------------------------------------------------------
    def resolve(self, keys: Iterable[str]) -> dict[str, str]:
        """The stories known under these address keys: key → story id."""
        ...

    def get(self, ids: Iterable[str]) -> dict[str, Story]: ...

    def ids(self, beginning: str, limit: int) -> list[str]:
        """The first `limit` ids that begin so, in order."""
        ...

    def heads(self, ids: Iterable[str]) -> dict[str, Head]: ...

    def texts(self, ids: Iterable[str]) -> dict[str, tuple[str | None, str]]:
        """Title and current text of those of these stories that are there."""
        ...

    def indexed(self, ids: Iterable[str]) -> dict[str, datetime]:
        """When each of these stories was first written."""
        ...

    def window(self, since: datetime, until: datetime) -> Iterator[Window]:
        """Fingerprints of all stories with since ≤ instant ≤ until, in the order of instant and id, in pieces of at
        most `piece` stories. Nothing is held between two pieces: other methods may be called, and what is written
        meanwhile may show."""
        ...

    def fingerprints(self, ids: Iterable[str]) -> dict[str, Fingerprint]:
        """The fingerprints of those of these stories that have one."""
        ...

    def links(self, ids: Iterable[str]) -> list[Link]:
        """All links that have an end among these stories."""
        ...

    def write(self, slice_: Slice, lease: Lease, meanwhile: Callable[[], None] | None = None) -> Mapping[str, str]:
        """Write all of it; writing the same again changes nothing. Raises LeaseLost and writes nothing when another
        publisher took over. `meanwhile` is called, once, where there is time: when nothing is left but to wait for a
        server. It may read, and renew the lease, and may find any part of the slice there.

        Gives the stories that the store refuses as they are, with the reason. Where there are any, nothing is booked,
        and the same must be decided again without them and written.
        """
        ...

    def bookings(self, files: Iterable[str] | None = None) -> dict[str, Booking]:
        """What is booked for these files of stories, or for all."""
        ...

    def bookings_of(self, run: str) -> dict[str, Booking]:
        """What is booked for the files of one run, by file, in order."""
        ...

    # closed months: their tombstones ---------------------------------------------------------------------------
    def close_month(self, month: str, lease: Lease) -> None:
        """Let no new story of this month ("2022-05") in any more; publishing asks `closed_months`. What is there stays
        until it is `removed` by a slice."""
        ...

    def open_month(self, month: str, lease: Lease) -> bool:
        """Lift that, and forget which stories were removed for it. False if the month was open."""
        ...

    def closed_months(self) -> list[str]: ...

    def removed(self, ids: Iterable[str]) -> dict[str, str]:
        """Which of these stories were removed: story → the closed month for which."""
        ...

    def sweep(self, lease: Lease) -> None:
        """Give back what removed stories took of the disk, as far as that is cheap."""
        ...

    # rebuilding ------------------------------------------------------------------------------------------------
    def successor(self, *, make: bool = True) -> Store | None:
        """The store that is built to stand in for this one, empty but for the closed months; one that an earlier try
        left is gone on with. None where there is none and `make` is False."""
        ...

    def succeed(self, successor: Store, lease: Lease) -> None:
        """Become what `successor` is, in one step for readers: stories, aliases, links and bookings. Feeds and their
        states stay. The successor is closed, and gone."""
        ...

    # readers ---------------------------------------------------------------------------------------------------
    def stay_ready(self) -> None:
        """Many readers will ask: keep what makes answers fast. They stay the same."""
        return

    def state(self) -> Hashable:
        """What is another one after each write of stories or bookings; None where that cannot be told at once."""
        return None

    def search(self, query: Query) -> Found: ...

    def export(self, query: Query) -> Iterator[Story]:
        """Every story that `query` (its limit and offset left aside) finds, in the order of ids, streamed."""
        ...

    def count(self, query: Query, by: str) -> dict[str, int]:
        """Numbers of stories by "day" (of publication; "" for undated), "topic", "main_topic", "status" and
        "rule" (of an evidence, of the topics asked for), "source", "language", most first (days: in order)."""
        ...

    def counts(self, asked: Sequence[tuple[Query, str]]) -> list[dict[str, int]]:
        """`count` for several questions at once."""
        return [self.count(query, by) for query, by in asked]

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        """Numbers of stories by "topic" or "source" ("" for none) and day of publication, in order; undated stories
        are left out."""
        ...

    def chart(self, query: Query, by: str) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """`count` by day and `days`, at once."""
        return self.count(query, "day"), self.days(query, by)

    def largest_clusters(self, limit: int) -> list[tuple[str, int]]:
        """The clusters with most stories: (cluster, number), clusters of one left out."""
        ...

    def info(self) -> Mapping[str, Any]:
        """What kind of store it is, where, its version and how many stories it holds, for people."""
        ...
