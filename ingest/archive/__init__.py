"""Foreign archives → captures and lines: WARC, JSON Lines, folders of saved pages.

Two halves. `read` runs in one process and feeds the workers: it cuts an archive into records, lines and files without
looking into them, streams, and stays within memory whatever the archive's size. `decode` runs in the workers and
turns one piece into what the pipe takes.

    sources(paths) ──> read(source, start) ──> decode(raw) ──> Capture | Line | Rejection | None

Damage is a value, not an error, and costs as little as can be: in a WARC compressed record by record the next gzip
member that begins a record is looked for, in a plain WARC the next line that does; in one stream over everything what
stands before the damage is kept. Whatever is lost is one `Refused`, so that it can be counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ingest.archive.lines import read_lines
from ingest.archive.objects import decode_line
from ingest.archive.pages import decode_file, read_folder
from ingest.archive.places import files, look, sources
from ingest.archive.records import decode_record, feed_of
from ingest.archive.responses import is_page
from ingest.archive.shapes import HEAD_MAX, LINE_MAX, RECORD_MAX, UNCHANGED, Raw, Refused, Skipped, Source, Unfit
from ingest.archive.warc import read_warc
from ingest.errors import NotAnArchive
from ingest.models import Capture, Line, Rejection

__all__ = [
    "LINE_MAX",
    "RECORD_MAX",
    "UNCHANGED",
    "Raw",
    "Refused",
    "Skipped",
    "Source",
    "address",
    "decode",
    "feed_of",
    "files",
    "is_page",
    "landed",
    "look",
    "read",
    "sources",
]


def read(source: Source, start: int = 0) -> Iterator[Raw | Refused]:
    """The pieces of an archive in order, from `start` (0, or a `position` that came out of it before).

    Damage inside comes as `Refused`. Raises NotAnArchive where the source is gone.
    """
    readers = {"warc": read_warc, "lines": read_lines, "folder": read_folder, "empty": _read_nothing}
    try:
        yield from readers[source.kind](source, start)
    except FileNotFoundError as error:
        raise NotAnArchive("is gone", subject=source.path) from error


def _read_nothing(_source: Source, _start: int) -> Iterator[Raw | Refused]:
    return iter(())


def decode(raw: Raw, *, now: datetime, trusted: bool = False) -> Capture | Line | Rejection | None:
    """What a piece of an archive is: a capture of a page or feed, a line, a rejection, or None where it is no entry.

    A revisit is a Capture with the status 304 (`UNCHANGED`), which counts as unchanged. `now` is the capture time
    where the archive gives none. `trusted`: the record comes out of our own landing zone; its note counts, and it is
    given back whatever its status and media type.
    """
    if raw.kind == "line":
        return decode_line(raw)
    if raw.kind == "file":
        return decode_file(raw)
    try:
        return decode_record(raw, now, trusted)
    except Unfit as refused:
        return Rejection(refused.reason, refused.detail, raw.where)


_NAMED = {
    "record": re.compile(rb"(?im)^warc-target-uri[ \t]*:[ \t]*<?(https?://[^\s>]{1,8000})"),
    "line": re.compile(rb'"url"\s*:\s*"(https?://[^"\\\s]{1,8000})"'),
}


def address(raw: Raw) -> str | None:
    """The address that a piece names, found without decoding it: that may be what it cannot stand."""
    named = _NAMED[raw.kind].search(raw.data, 0, HEAD_MAX) if raw.kind in _NAMED else None
    return named[1].decode("utf-8", "replace") if named else None


def landed(path: str) -> Iterator[Capture]:
    """The captures of one of our own landing files, with the feeds, entries and addresses that their notes tell of.

    What is damaged is passed over: whoever has to count it takes `read` and `decode`.
    """
    for raw in read(Source(path, "warc", Path(path).stat().st_size)):
        if isinstance(raw, Raw):
            capture = decode(raw, now=datetime.now(UTC), trusted=True)
            if isinstance(capture, Capture):
                yield capture
