"""Stories, links, bookings and the rest ↔ the documents that keep them.

Every document has all of its fields, also those that are null: an update then says the same as a new document.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
import zstandard

from ingest import dates
from ingest.models import (
    Content,
    Feed,
    FeedState,
    Fingerprint,
    FullText,
    Head,
    Kinship,
    Link,
    Story,
    Version,
    WantedPage,
)
from ingest.store import Booking
from ingest.store.rows import microseconds, seconds
from ingest.store.terms import indexed

Document = dict[str, Any]

_SHOWN = (
    "guid",
    "url",
    "canonical_url",
    "source",
    "feed",
    "title",
    "text",
    "language",
    "authors",
    "text_from",
    "page_kind",
    "partial",
    "topics",
    "main_topics",
    "evidence",
    "rules_version",
)
# Fields of a story's document that nobody reads back.
UNREAD = ("words", "instant", "day", "dated", "delay_s", "evidence_rules", "evidence_statuses", "revision")


def digest(*parts: str) -> str:
    """An id of a document for what may be longer than an id can be."""
    told = "\0".join(parts).encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(hashlib.blake2b(told, digest_size=18).digest()).decode()


# stories ---------------------------------------------------------------------------------------------------------
def story_document(story: Story) -> Document:
    """All but the words that it is found by (`words`), which follow from it."""
    *older, current = story.versions
    content = current.content.to_json()
    shown = {name: content.pop(name) for name in _SHOWN}
    rest = {"content": content, "first": dates.iso(current.first), "last": dates.iso(current.last)}
    return {
        **shown,
        "id": story.id,
        "instant": seconds(story.instant()),
        "day": f"{story.instant():%Y-%m-%d}" if story.published else None,
        "dated": story.published is not None,
        "published": story.published,
        "published_from": story.published_from,
        "first_seen": dates.iso(story.first_seen),
        "indexed": dates.iso(story.indexed),
        "delay_s": _delay(story),
        "feeds": list(story.feeds),
        "evidence_rules": sorted({proof["rule"] for proof in shown["evidence"]}),
        "evidence_statuses": sorted({proof["status"] for proof in shown["evidence"]}),
        "cluster": story.cluster,
        "lead": story.lead,
        "rewritten_from": story.rewritten_from,
        "revision": story.revision,
        "content": orjson.dumps(rest).decode(),
        "older": _packed(older),
    }


def _delay(story: Story) -> int | None:
    """Seconds from publication to the store. An archive's stories say nothing about it, a date alone not enough."""
    if not story.feeds or not story.published or "T" not in story.published:
        return None
    return seconds(story.indexed) - seconds(story.instant())


def words(title: str | None, text: str) -> Document:
    """The terms that a story is found by."""
    title, forms = indexed(title or "")
    text, more = indexed(text)
    return {"title": title, "text": text, "forms": " ".join(sorted(forms | more))}


def _packed(versions: list[Version]) -> str | None:
    if not versions:
        return None
    plain = [[version.content.to_json(), dates.iso(version.first), dates.iso(version.last)] for version in versions]
    return base64.b64encode(zstandard.compress(orjson.dumps(plain))).decode()


def story(document: Mapping[str, Any]) -> Story:
    rest = orjson.loads(document["content"])
    shown = {name: document[name] for name in _SHOWN if name in document}  # version 1 had fewer, the rest in `content`
    content = Content.from_json({**rest["content"], **shown})
    current = Version(content, dates.instant(rest["first"]), dates.instant(rest["last"]))
    return Story(
        id=document["id"],
        versions=(*_unpacked(document["older"]), current),
        feeds=tuple(document["feeds"]),
        first_seen=dates.instant(document["first_seen"]),
        indexed=dates.instant(document["indexed"]),
        published=document["published"],
        published_from=document["published_from"],
        cluster=document["cluster"],
        lead=document["lead"],
        rewritten_from=document["rewritten_from"],
    )


def _unpacked(packed: str | None) -> list[Version]:
    if packed is None:
        return []
    return [
        Version(Content.from_json(content), dates.instant(first), dates.instant(last))
        for content, first, last in orjson.loads(zstandard.decompress(base64.b64decode(packed)))
    ]


HEAD = ("id", "published", "first_seen", "cluster", "lead", "rewritten_from")


def head(document: Mapping[str, Any]) -> Head:
    return Head(
        document["id"],
        document["published"],
        dates.instant(document["first_seen"]),
        document["cluster"],
        document["lead"],
        document["rewritten_from"],
    )


def revision_document(story: Story, place: int) -> Document:
    """The version of a story at `place` (from 1), for those who look at what it said before."""
    version = story.versions[place - 1]
    content = version.content.to_json()
    names = ("source", "feed", "url", "title", "text", "language", "text_from", "topics", "main_topics")
    return {
        **{name: content[name] for name in (*names, "published", "rules_version")},
        "story": story.id,
        "revision": place,
        "instant": seconds(story.instant()),
        "first": dates.iso(version.first),
        "last": dates.iso(version.last),
    }


# what lies beside them -------------------------------------------------------------------------------------------
def print_document(fingerprint: Fingerprint) -> Document:
    return {
        "numbers": fingerprint.stated() or None,
        "shingles": base64.b64encode(fingerprint.shingles.astype("<u8", copy=False).tobytes()).decode(),
    }


def shingles(document: Mapping[str, Any]) -> bytes:
    return base64.b64decode(document["shingles"])


def link_document(link: Link) -> Document:
    numbers = orjson.dumps(link.numbers).decode() if any(link.numbers) else None
    return {
        **{name: getattr(link, name) for name in ("a", "b", "share", "hours")},
        "numbers": numbers,
        "kinship": str(link.kinship),
    }


def link(document: Mapping[str, Any]) -> Link:
    share, hours, kinship = float(document["share"]), float(document["hours"]), Kinship(document["kinship"])
    only_a, only_b = orjson.loads(document["numbers"]) if document["numbers"] else ((), ())
    return Link(document["a"], document["b"], share, hours, (tuple(only_a), tuple(only_b)), kinship)


def booking_document(booking: Booking) -> Document:
    counts = {feed: dict(outcomes) for feed, outcomes in booking.counts.items()}
    outcomes: Counter[str] = Counter()
    for feed in counts.values():
        outcomes.update(feed)
    return {
        "file": booking.file,
        "version": booking.version,
        "run": booking.run,
        "done": booking.done,
        "complete": booking.complete,
        "outcomes": dict(outcomes),
        "counts": json.dumps(counts),
        "reasons": json.dumps(dict(booking.reasons)),
    }


def booking(document: Mapping[str, Any]) -> Booking:
    return Booking(
        document["file"],
        document["version"],
        document["run"],
        document["done"],
        document["complete"],
        json.loads(document["counts"]),
        json.loads(document["reasons"]),
    )


# another mapping version -----------------------------------------------------------------------------------------
def remade(kind: str, document: Document) -> Document:
    """A document as it would be written today: the same thing, with every field that follows from it."""
    match kind:
        case "stories":
            told = story(document)
            return {**story_document(told), "words": words(told.content.title, told.content.text)}
        case "links":
            return link_document(link(document))
        case "bookings":
            return booking_document(booking(document))
        case "feeds":
            return feed_document(feed(document))
        case "states":
            return state_document(state(document))
        case "wanted":
            return wanted_document(wanted(document))
    return document


def are_alike(kind: str, one: Document, other: Document) -> bool:
    """Whether two documents, perhaps of two mapping versions, say the same."""
    if kind == "stories":
        return story(one) == story(other)
    return all(one[name] == other[name] for name in one.keys() & other.keys())


# feeds -----------------------------------------------------------------------------------------------------------
def feed_document(feed: Feed) -> Document:
    names = ("url", "title", "group", "paused")
    return {**{name: getattr(feed, name) for name in names}, "doc": json.dumps(asdict(feed))}


def feed(document: Mapping[str, Any]) -> Feed:
    record = json.loads(document["doc"])
    return Feed(**{**record, "full_text": FullText(record["full_text"])})


def state_document(state: FeedState) -> Document:
    record = state.to_json()
    moments = {name: _millisecond(getattr(state, name)) for name in ("polled", "due", "whole")}
    names = ("url", "status", "reason", "failures")
    return {**{name: record[name] for name in names}, **moments, "doc": json.dumps(record)}


def _millisecond(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None


def state(document: Mapping[str, Any]) -> FeedState:
    return FeedState.from_json(json.loads(document["doc"]))


def wanted_document(page: WantedPage) -> Document:
    return {
        "url": page.url,
        "feed": page.feed,
        "since": microseconds(page.since),
        "doc": json.dumps(page.to_json()),
    }


def wanted(document: Mapping[str, Any]) -> WantedPage:
    return WantedPage.from_json(json.loads(document["doc"]))
