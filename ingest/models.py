"""The nouns of the pipe: Feed → Capture → Entry → Story; Topic, Evidence, Outcome, RunReport.

Everything here is frozen and typed, and crosses the borders between stages as it is. Instants are aware datetimes in
UTC. A date of publication is kept as it was said (`published`: ISO 8601 with the offset that the source gave, or a
date alone) and turned into an instant by `dates.instant` where one is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from ingest import addresses, dates

if TYPE_CHECKING:  # a search needs no arrays, and would wait twice as long for its answer
    import numpy as np
    from numpy.typing import NDArray


class Outcome(StrEnum):
    """What became of an entry; every entry ends in exactly one of these."""

    INDEXED = "indexed"  # a new story
    DUPLICATE = "duplicate"  # a new story that tells one that was there: kept, and linked to it
    REVISED = "revised"  # its outlet changed it, or told more of it
    RECLEANED = "recleaned"  # the same bytes, read better
    RETAGGED = "retagged"  # the same text, other rules
    UNCHANGED = "unchanged"  # known as it is
    REJECTED = "rejected"  # not a story, for a named reason
    QUARANTINED = "quarantined"  # could be a story, but handling it failed: kept with its bytes


NEW = (Outcome.INDEXED, Outcome.DUPLICATE)  # of a story that was not there before


class TextFrom(StrEnum):
    """Where a story's text came from, from poorest to richest. A poorer text never replaces a richer one."""

    MENTION = "mention"  # another site's feed told of it
    TEASER = "teaser"  # the few lines in its own site's feed
    FULL_FEED = "full_feed"  # the whole text in its own site's feed
    PAGE = "page"  # its page, or an archive's text

    @property
    def rank(self) -> int:
        return list(TextFrom).index(self)


class FullText(StrEnum):
    """Whether the pages of a feed's entries are fetched."""

    AUTO = "auto"  # where the feed's own text is a teaser
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as its reader configured it.

    `url` is what the OPML names and never changes; where the feed has moved to is state. `site` (OPML `htmlUrl`) is
    trusted: entries on that site are the feed's own.
    """

    url: str
    title: str | None = None
    site: str | None = None
    full_text: FullText = FullText.AUTO
    language: str | None = None
    delay: float | None = None  # seconds between two requests to its host; None: the default
    group: str | None = None  # the OPML outline that it stands under
    paused: bool = False


@dataclass(frozen=True, slots=True)
class FeedState:
    """What earlier polls taught about a feed."""

    url: str
    address: str  # where it is fetched from now: `url`, or where 301s moved it to
    etag: str | None = None
    last_modified: str | None = None
    polled: datetime | None = None  # the last poll, whatever came of it
    due: datetime | None = None
    interval: float = 3600.0  # seconds between polls, learned
    status: str = "active"  # active, backoff, retired
    reason: str | None = None  # why it is in back-off or retired
    failures: int = 0  # in a row
    gone: int = 0  # 410s in a row
    moving_to: str | None = None  # the target of the permanent redirects seen so far
    moved: int = 0  # how often in a row
    moving_since: datetime | None = None
    body: str | None = None  # digest of the last body, to notice one that never changes its ETag
    whole: datetime | None = None  # the last answer that was a feed with a body, not a 304
    known: Mapping[str, str] = field(default_factory=dict)  # entry key → digest of what the feed said of it

    def to_json(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in self.__slots__}
        record["known"] = dict(self.known)
        for name in ("polled", "due", "moving_since", "whole"):
            record[name] = dates.iso(record[name]) if record[name] else None
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> FeedState:
        plain = {name: record[name] for name in cls.__slots__}
        for name in ("polled", "due", "moving_since", "whole"):
            plain[name] = dates.instant(plain[name]) if plain[name] else None
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class WantedPage:
    """A page that an entry asked for and that has not been fetched yet."""

    url: str
    feed: str
    entry: Mapping[str, Any]  # the entry as `Entry.to_json` writes it
    since: datetime
    tries: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "feed": self.feed,
            "entry": dict(self.entry),
            "since": dates.iso(self.since),
            "tries": self.tries,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> WantedPage:
        since = dates.instant(record["since"])
        return cls(record["url"], record["feed"], record["entry"], since, record["tries"])


ANSWERED = (200, 203)  # statuses of an answer; in 203 a proxy between changed something of it


@dataclass(frozen=True, slots=True)
class Capture:
    """One response as it came over the wire or out of an archive, its body decoded from transfer and content codings.

    `url` is the address whose bytes these are (after redirects); `addresses` are the others on the way to it, first
    the one that was asked for. `entry` is the feed entry that asked for a page, None for a feed or a foreign archive.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    captured: datetime
    addresses: tuple[str, ...] = ()
    feed: str | None = None  # the feed (its `Feed.url`) for whose sake it was fetched
    entry: Mapping[str, Any] | None = None
    where: str = ""  # file and offset of its record, for messages
    site: str | None = None  # what its reader says of the feed (`Feed.site`, `Feed.language`), for a feed's document
    language: str | None = None

    @property
    def answers(self) -> bool:
        """Whether it is what was asked for."""
        return self.status in ANSWERED

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A field of an archive's line that cannot be taken, and why: its story is kept without it."""

    field: str
    detail: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a JSON Lines archive, or one saved file of text, its fields checked for type; `dropped` are those
    that are of another. `number` counts the lines of its file from 1."""

    guid: str | None
    url: str | None
    title: str | None
    html: str | None
    text: str | None
    published: str | None
    source: str | None
    language: str | None
    authors: tuple[str, ...]
    first_seen: datetime | None
    where: str = ""
    dropped: tuple[Dropped, ...] = ()
    number: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """An entry that is no story, and why: `reason` is a name from a closed list, `detail` says it for this one."""

    reason: str
    detail: str = ""
    where: str = ""
    feed: str | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something that could be a story, but whose handling failed, kept with its bytes.

    `kind` says what `data` is ("record", "line", "story", …), `meta` what is needed to handle it again (its "url" is
    part of its identity). `url` and `source` are what is known of it without handling it, `run` is the one that set it
    aside. `id` and `size` are given by the landing zone; `data` is empty in what it lists.
    """

    reason: str
    detail: str
    where: str
    kind: str
    feed: str | None
    captured: datetime
    meta: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""
    id: str = ""
    url: str | None = None
    source: str | None = None
    run: str = ""
    size: int = 0

    def identity(self) -> str:
        """The same bytes of the same address in the same feed are one item, whatever failed about them."""
        parts = (self.kind, self.feed or "", str(self.meta.get("url") or ""))
        head = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.sha256(head + b"\0" + self.data).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Entry:
    """One story as a feed, a page or an archive's line tells it, before cleaning.

    Exactly one of `html` and `text` is the body (both None: nothing but a title). `page` says that `html` is a whole
    page, not a fragment of a feed.
    """

    guid: str | None
    url: str | None
    title: str | None
    html: str | None
    text: str | None
    page: bytes | None
    published: str | None
    published_from: str | None
    authors: tuple[str, ...]
    language: str | None
    source: str | None
    feed: str | None
    captured: datetime
    text_from: TextFrom
    addresses: tuple[str, ...] = ()
    charset: str | None = None  # of `page`, as HTTP said
    where: str = ""
    id_by: str = "address"  # what makes it this story: "address", "guid" or "content"

    def to_json(self) -> dict[str, Any]:
        """As JSON, without the bytes of a page; `from_json` reads it back."""
        record = {name: getattr(self, name) for name in self.__slots__ if name != "page"}
        record.update(
            authors=list(self.authors),
            addresses=list(self.addresses),
            captured=dates.iso(self.captured),
            text_from=str(self.text_from),
        )
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Entry:
        """The entry that `to_json` wrote. Raises KeyError, TypeError or ValueError where the record is none."""
        plain = {name: record[name] for name in cls.__slots__ if name != "page"}
        plain.update(
            authors=tuple(record["authors"]),
            addresses=tuple(record["addresses"]),
            captured=dates.instant(record["captured"]),
            text_from=TextFrom(record["text_from"]),
        )
        return cls(**plain, page=None)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What cleaning found in a page or a fragment; None where it says nothing."""

    text: str
    title: str | None = None
    published: str | None = None
    published_from: str | None = None
    authors: tuple[str, ...] = ()
    language: str | None = None  # ISO 639-1, or "und"
    language_score: float | None = None  # how sure that is, from 0 to 1
    canonical_url: str | None = None
    site: str | None = None
    wall: str | None = None  # what stands there instead: "error-page", "robot-check", "consent-wall", "no-story"
    page_kind: str | None = None  # of a page: "article", "live_blog", "gallery", "index"
    partial: bool = False  # the beginning of a story whose rest must be paid for, or is too long


class Status(StrEnum):
    """How the words of an evidence are meant."""

    ASSERTED = "asserted"
    PLANNED = "planned"
    DEMANDED = "demanded"
    NEGATED = "negated"
    HYPOTHETICAL = "hypothetical"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a topic holds: `field[start:end]` is `sentence`, in code points; `words` are the spans inside the sentence
    (offsets relative to the sentence) that the rule matched."""

    topic: str
    rule: str
    field: str  # "title" or "text"
    start: int
    end: int
    sentence: str
    words: tuple[tuple[int, int], ...]
    status: Status = Status.ASSERTED

    def to_json(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "rule": self.rule,
            "field": self.field,
            "start": self.start,
            "end": self.end,
            "sentence": self.sentence,
            "words": [list(span) for span in self.words],
            "status": str(self.status),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Evidence:
        return cls(
            record["topic"],
            record["rule"],
            record["field"],
            record["start"],
            record["end"],
            record["sentence"],
            tuple((start, end) for start, end in record["words"]),
            Status(record["status"]),
        )


@dataclass(frozen=True, slots=True)
class Tags:
    """The topics of a story in the order of the rules, those that it is about, and the proof."""

    topics: tuple[str, ...] = ()
    main_topics: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A sorted sample of the hashes of a text's character shingles, and the numbers that the text states."""

    shingles: NDArray[np.uint64]
    numbers: tuple[str, ...] = ()

    def stated(self) -> str:
        """The numbers as JSON; the same for the same numbers, and empty where there are none."""
        return orjson.dumps(self.numbers).decode() if self.numbers else ""

    @classmethod
    def told(cls, shingles: NDArray[np.uint64], stated: str) -> Fingerprint:
        return cls(shingles, tuple(orjson.loads(stated)) if stated else ())


class Kinship(StrEnum):
    """What two stories are to each other."""

    SAME = "same"  # the same story: filed again, reprinted, cut, grown, corrected
    REWRITTEN = "rewritten"  # another text made from it: translated, spun


@dataclass(frozen=True, slots=True)
class Link:
    """Two stories that belong together, and why. `a` < `b`."""

    a: str
    b: str
    share: float  # of the smaller one's sample that stands in the other
    hours: float  # between their instants
    numbers: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # those that only a, only b states
    kinship: Kinship = Kinship.SAME

    def other(self, story: str) -> str:
        return self.b if story == self.a else self.a


def _instant(published: str | None, first_seen: datetime) -> datetime:
    return dates.instant(published) if published else first_seen


TOLD = "told "  # begins a key of `Content.keys` that is no address, but stands for one entry of one feed


@dataclass(frozen=True, slots=True)
class Content:
    """What one capture says of a story: the work of digest, a line in a file of stories.

    `id` is the id that this capture alone would give; `keys` are those under which the story may be known already: as
    an entry of its feed (TOLD), and by address (`addresses.key`). `digest` identifies title and text: two contents with
    the same digest say the same.
    """

    id: str
    keys: tuple[str, ...]
    guid: str | None
    url: str | None
    canonical_url: str | None
    source: str | None
    feed: str | None
    title: str | None
    text: str
    language: str | None
    authors: tuple[str, ...]
    published: str | None
    published_from: str | None
    first_seen: datetime
    captured: datetime
    text_from: TextFrom
    tags: Tags
    digest: str
    cleaner: str  # version of the code that cleaned it
    rules_version: str
    page_kind: str | None = None  # as `Cleaned` has them, of what its page gave
    partial: bool = False

    def instant(self) -> datetime:
        """When it is placed for comparing with others: published, else first seen."""
        return _instant(self.published, self.first_seen)

    def to_json(self) -> dict[str, Any]:
        """As JSON objects, lists and strings; `from_json` reads it back."""
        record = {name: getattr(self, name) for name in self.__slots__ if name != "tags"}
        record.update(
            keys=list(self.keys),
            authors=list(self.authors),
            first_seen=dates.iso(self.first_seen),
            captured=dates.iso(self.captured),
            text_from=str(self.text_from),
            topics=list(self.tags.topics),
            main_topics=list(self.tags.main_topics),
            evidence=[evidence.to_json() for evidence in self.tags.evidence],
        )
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Content:
        """The content that `to_json` wrote.

        Raises KeyError, TypeError or ValueError where the record is none.
        """
        plain = {name: record[name] for name in cls.__slots__ if name not in ("tags", "page_kind", "partial")}
        plain.update(
            page_kind=record.get("page_kind"),  # older releases wrote neither
            partial=record.get("partial", False),
            keys=tuple(record["keys"]),
            authors=tuple(record["authors"]),
            first_seen=dates.instant(record["first_seen"]),
            captured=dates.instant(record["captured"]),
            text_from=TextFrom(record["text_from"]),
        )
        tags = Tags(
            tuple(record["topics"]),
            tuple(record["main_topics"]),
            tuple(Evidence.from_json(item) for item in record["evidence"]),
        )
        return cls(**plain, tags=tags)


@dataclass(frozen=True, slots=True)
class Version:
    """One text of a story and the first and last capture that showed it."""

    content: Content
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Story:
    """A story as the store keeps it. `versions` are its texts in the order of their latest capture; the last one is
    current. `feeds` are addresses as they may be shown (`addresses.shown`), as `Content.feed` is."""

    id: str
    versions: tuple[Version, ...]
    feeds: tuple[str, ...]
    first_seen: datetime
    indexed: datetime
    published: str | None
    published_from: str | None
    cluster: str
    lead: bool = True
    rewritten_from: str | None = None

    @property
    def content(self) -> Content:
        """The current text and what was read from it."""
        return self.versions[-1].content

    @property
    def revision(self) -> int:
        """The place of the current text among the story's texts, from 1."""
        return len(self.versions)

    def instant(self) -> datetime:
        """When it is placed for comparing with others: published, else first seen."""
        return _instant(self.published, self.first_seen)

    def to_json(self) -> dict[str, Any]:
        """The story as `export` and `--json` show it (README, "A story"), with the names of STORY_FIELDS."""
        content = self.content
        shown: dict[str, Any] = {
            "feeds": list(dict.fromkeys(map(addresses.shown, self.feeds))),
            "authors": list(content.authors),
            "first_seen": dates.iso(self.first_seen),
            "indexed": dates.iso(self.indexed),
            "topics": list(content.tags.topics),
            "main_topics": list(content.tags.main_topics),
            "evidence": [evidence.to_json() for evidence in content.tags.evidence],
            "text_from": str(content.text_from),
        }
        for name in STORY_FIELDS:
            if name not in shown:
                shown[name] = getattr(self if name in _OF_THE_STORY else content, name)
        return {name: shown[name] for name in STORY_FIELDS}


STORY_FIELDS = (
    "id",
    "guid",
    "url",
    "canonical_url",
    "source",
    "feeds",
    "title",
    "text",
    "language",
    "authors",
    "published",
    "published_from",
    "first_seen",
    "indexed",
    "topics",
    "main_topics",
    "evidence",
    "cluster",
    "lead",
    "rewritten_from",
    "revision",
    "rules_version",
    "text_from",
    "page_kind",
    "partial",
)
_OF_THE_STORY = frozenset({"id", "published", "published_from", "cluster", "lead", "rewritten_from", "revision"})


@dataclass(frozen=True, slots=True)
class Head:
    """What decides about leads: a story without its text."""

    id: str
    published: str | None
    first_seen: datetime
    cluster: str
    lead: bool
    rewritten_from: str | None = None

    def instant(self) -> datetime:
        """When it is placed for comparing with others: published, else first seen."""
        return _instant(self.published, self.first_seen)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The fingerprints of some stories, in the order of instant and id, in arrays: a million of them pass through.

    `instants` are seconds since the epoch. The sample of story k is `shingles[bounds[k]:bounds[k + 1]]`, the numbers
    that it states are `numbers[k]`, as `Fingerprint.stated` writes them.
    """

    ids: Sequence[str]
    instants: NDArray[np.int64]
    shingles: NDArray[np.uint64]
    bounds: NDArray[np.int64]
    numbers: Sequence[str]

    @classmethod
    def of(cls, stories: Iterable[tuple[str, int, Fingerprint]]) -> Window:
        """These stories (id, instant, fingerprint), put in order."""
        import numpy as np

        rows = sorted(stories, key=lambda row: (row[1], row[0]))
        samples = [print_.shingles for _, _, print_ in rows]
        return cls(
            [id_ for id_, _, _ in rows],
            np.array([instant for _, instant, _ in rows], np.int64),
            np.concatenate([np.empty(0, np.uint64), *samples]),
            np.cumsum([0, *map(len, samples)]),
            [print_.stated() for _, _, print_ in rows],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def fingerprint(self, k: int) -> Fingerprint:
        return Fingerprint.told(self.shingles[self.bounds[k] : self.bounds[k + 1]], self.numbers[k])


@dataclass(frozen=True, slots=True)
class FeedReport:
    """What a run says of one feed. `status`: new, unchanged, unreachable, failed (what came is no feed), or why it was
    not polled (waiting: its host answered another request with 429; backoff, paused, retired, not due). `outcomes`
    sums to `entries`."""

    url: str  # as it may be shown (`addresses.shown`)
    title: str | None
    status: str
    reason: str | None
    detail: str | None
    entries: int
    gap: bool
    truncated: bool
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__slots__ if name != "outcomes"},
            "outcomes": {str(outcome): self.outcomes.get(outcome, 0) for outcome in Outcome},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> FeedReport:
        """The line that `to_json` wrote. Raises KeyError, TypeError or ValueError where the record is none."""
        outcomes = {Outcome(name): n for name, n in record["outcomes"].items()}
        return cls(**{**record, "outcomes": outcomes})


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run took in and what became of it. `outcomes` sums to `entries`, and so do the feeds' counts where all
    entries came from feeds. `dropped` counts, by name, the fields that stories of archives were kept without; `topics`
    the stories of each topic among the entries, new or known, and `tagged` those that have any."""

    run: str
    kind: str  # poll, daily, archive or replay
    started: datetime
    ended: datetime
    entries: int
    outcomes: Mapping[Outcome, int]
    reasons: Mapping[str, int]
    feeds: tuple[FeedReport, ...] = ()
    notes: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    topics: Mapping[str, int] = field(default_factory=dict)
    tagged: int = 0

    def to_json(self) -> dict[str, Any]:
        """As every command shows it and the landing zone keeps it; `from_json` reads it back."""
        return {
            "run": self.run,
            "kind": self.kind,
            "started": dates.iso(self.started),
            "ended": dates.iso(self.ended),
            "entries": self.entries,
            "outcomes": {str(outcome): self.outcomes.get(outcome, 0) for outcome in Outcome},
            "reasons": dict(sorted(self.reasons.items())),
            "dropped": dict(sorted(self.dropped.items())),
            "topics": dict(sorted(self.topics.items())),
            "tagged": self.tagged,
            "feeds": [feed.to_json() for feed in self.feeds],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunReport:
        """The report that `to_json` wrote. Raises KeyError, TypeError or ValueError where the record is none."""
        return cls(
            run=record["run"],
            kind=record["kind"],
            started=dates.instant(record["started"]),
            ended=dates.instant(record["ended"]),
            entries=record["entries"],
            outcomes={Outcome(name): n for name, n in record["outcomes"].items()},
            reasons=record["reasons"],
            feeds=tuple(FeedReport.from_json(feed) for feed in record["feeds"]),
            notes=tuple(record["notes"]),
            dropped=record.get("dropped", {}),  # reports of older releases have none, and no topics
            topics=record.get("topics", {}),
            tagged=record.get("tagged", 0),
        )
