"""From a story back to the bytes that it was read from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message

from ingest import addresses, archive
from ingest.errors import Missing, UsageError
from ingest.landing import Landing, surt
from ingest.models import Capture, Content

# A landing file stands under its run's day, which is the day of the fetch or, of a daily run, the one before it.
DAYS = (0, -1, 1, -2)
NAMED = 3  # archives


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: `length` bytes of a WARC file from `offset` on, a gzip member of its own."""

    path: str
    offset: int
    length: int


def record(landing: Landing, content: Content) -> bytes:
    """The WARC record of the page, or else of the feed, that a content was read from: a WARC file of one record.

    Raises Missing where the landing zone does not hold it.
    """
    place = find(landing, content)
    if place is None:
        raise Missing("there is no capture of this story in the landing zone.", advice="An archive's stay with it.")
    return landing.read(place.path, place.offset, place.length)


def page(landing: Landing, content: Content) -> tuple[Place, Capture]:
    """Where the page of a content lies in the landing zone, and what was fetched.

    Raises UsageError where it is not there, or is no page but a feed's document, with what to do instead.
    """
    address = content.url or "URL"
    instead = f"Save the page, and ask of it: sitrep clean page.html --url {address}"
    place = find(landing, content)
    if place is None:
        paths = [landing.read_json(manifest)["path"] for manifest in landing.list("archives/", suffix=".json")]
        known = (
            f"; archives that were read: {', '.join([*paths[:NAMED], *['…'][: len(paths) - NAMED]])}" if paths else ""
        )
        raise UsageError(f"no capture of it is in the landing zone, an archive's stay with it{known}.", advice=instead)
    capture = _capture(landing, place)
    if capture is None:
        raise UsageError(f"its record in {place.path} at {place.offset} is damaged.", advice=instead)
    if not capture.answers or addresses.key(capture.url) != addresses.key(content.url or ""):
        raise UsageError("its text is what its feed told: there is no page that was read.", advice=instead)
    return place, capture


def charset(capture: Capture) -> str | None:
    """The encoding that HTTP names for what was fetched."""
    message = Message()
    message["content-type"] = capture.header("content-type") or ""
    return message.get_content_charset()


def find(landing: Landing, content: Content) -> Place | None:
    """The record of the page that a content was read from, else of its feed.

    The record of a feed whose address lets somebody in is never offered: the secret stands in it.
    """
    stamp = f"{content.captured.astimezone(UTC):%Y%m%d%H%M%S}"
    day = content.captured.astimezone(UTC).date()
    # What a content knows of its feed's address is masked, and has to be: the index names records by the address that
    # was fetched, so under the mark of a secret none is found.
    feed = addresses.shown(content.feed) if content.feed else None
    keys = [f"{surt(url)} {stamp} " for url in (content.url, feed) if url]
    found: dict[str, list[Place]] = {}
    for days in DAYS:
        for index in landing.list(f"captures/{day + timedelta(days=days)}/", suffix=".cdxj"):
            for key, place in _entries(landing.read(index).decode("utf-8", "replace"), keys, index):
                found.setdefault(key, []).append(place)
        if keys and keys[0] in found:
            break
    return next((_of_moment(landing, found[key], content.captured) for key in keys if key in found), None)


def _of_moment(landing: Landing, places: list[Place], captured: datetime) -> Place:
    """Of the records of one second, as far as an index tells time, the one that was fetched at that very moment."""
    if len(places) == 1:
        return places[0]
    told = ((place, _capture(landing, place)) for place in places)
    return next((place for place, capture in told if capture and capture.captured == captured), places[0])


def _capture(landing: Landing, place: Place) -> Capture | None:
    """What a record holds; None where it is damaged."""
    with tempfile.NamedTemporaryFile(suffix=".warc.gz") as file:
        file.write(landing.read(place.path, place.offset, place.length))
        file.flush()
        return next(archive.landed(file.name), None)


def _entries(index: str, keys: list[str], path: str) -> Iterator[tuple[str, Place]]:
    """The lines of an index that begin with one of these keys."""
    for line in index.splitlines():
        for key in keys:
            if line.startswith(key):
                about = json.loads(line[len(key) :])
                warc = path.removesuffix(".cdxj") + ".warc.gz"
                yield key, Place(warc, int(about["offset"]), int(about["length"]))
