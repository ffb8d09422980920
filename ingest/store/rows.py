"""Story ↔ the row that keeps it: what is searched and shown in columns, the rest packed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import zstandard

from ingest import dates
from ingest.models import Content, Fingerprint, Kinship, Link, Story, Version, Window

COLUMNS = (
    "id, instant, dated, lead, cluster, source, language, published, first_seen, indexed, rewritten_from, "
    "title, text, doc, versions"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

Row = Sequence[Any]


def seconds(moment: datetime) -> int:
    """Whole seconds since the epoch, rounded down."""
    return (moment - _EPOCH) // _SECOND


def microseconds(moment: datetime) -> int:
    """Whole microseconds since the epoch: an instant that sorts."""
    return (moment - _EPOCH) // timedelta.resolution


def bound(value: str) -> str:
    """What may come from outside, fit to be bound or sent: a lone surrogate matches nothing."""
    return value.encode("utf-8", "replace").decode()


def pack(story: Story) -> tuple[Any, ...]:
    """The values of COLUMNS. An error of type or encoding here is a story that is not as models.py says."""
    *older, current = story.versions
    content = current.content.to_json()
    title, text = content.pop("title"), content.pop("text")
    doc = {
        "content": content,
        "first": dates.iso(current.first),
        "last": dates.iso(current.last),
        "feeds": list(story.feeds),
        "published_from": story.published_from,
    }
    return (
        story.id,
        seconds(story.instant()),
        story.published is not None,
        story.lead,
        story.cluster,
        current.content.source,
        current.content.language,
        story.published,
        dates.iso(story.first_seen),
        dates.iso(story.indexed),
        story.rewritten_from,
        title,
        text,
        orjson.dumps(doc).decode(),
        _pack_versions(older),
    )


def _pack_versions(versions: Sequence[Version]) -> bytes | None:
    if not versions:
        return None
    plain = [[version.content.to_json(), dates.iso(version.first), dates.iso(version.last)] for version in versions]
    return zstandard.compress(orjson.dumps(plain))


def unpack(row: Row) -> Story:
    """The story of a row of COLUMNS."""
    ident, _, _, lead, cluster, _, _, published, first_seen, indexed, rewritten_from, title, text, packed, older = row
    doc = orjson.loads(packed)
    content = Content.from_json({**doc["content"], "title": title, "text": text})
    current = Version(content, dates.instant(doc["first"]), dates.instant(doc["last"]))
    return Story(
        id=ident,
        versions=(*_unpack_versions(older), current),
        feeds=tuple(doc["feeds"]),
        first_seen=dates.instant(first_seen),
        indexed=dates.instant(indexed),
        published=published,
        published_from=doc["published_from"],
        cluster=cluster,
        lead=bool(lead),
        rewritten_from=rewritten_from,
    )


def _unpack_versions(packed: bytes | None) -> list[Version]:
    if packed is None:
        return []
    return [
        Version(Content.from_json(content), dates.instant(first), dates.instant(last))
        for content, first, last in orjson.loads(zstandard.decompress(packed))
    ]


def pack_fingerprint(fingerprint: Fingerprint) -> tuple[str | None, bytes]:
    """(numbers, shingles)"""
    return fingerprint.stated() or None, fingerprint.shingles.astype("<u8", copy=False).tobytes()


def unpack_fingerprint(numbers: str | None, shingles: bytes) -> Fingerprint:
    import numpy as np  # here and below: readers of stories need none

    return Fingerprint.told(np.frombuffer(shingles, dtype="<u8"), numbers or "")


def unpack_window(found: Sequence[Row]) -> Window:
    """Rows of (id, instant, numbers, shingles), in order."""
    import numpy as np

    ids, instants, numbers, samples = zip(*found, strict=True) if found else ((), (), (), ())
    bounds = np.cumsum([0, *map(len, samples)]) // 8
    shingles = np.frombuffer(b"".join(samples), dtype="<u8").astype(np.uint64, copy=False)
    return Window(ids, np.array(instants, np.int64), shingles, bounds, [stated or "" for stated in numbers])


def pack_link(link: Link) -> tuple[Any, ...]:
    numbers = orjson.dumps(link.numbers).decode() if any(link.numbers) else None
    return link.a, link.b, link.share, link.hours, numbers, str(link.kinship)


def unpack_link(row: Row) -> Link:
    a, b, share, hours, numbers, kinship = row
    only_a, only_b = orjson.loads(numbers) if numbers else ((), ())
    return Link(a, b, share, hours, (tuple(only_a), tuple(only_b)), Kinship(kinship))
