"""What an archive is made of, as it is handed from hand to hand, and the limits that hold for it."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass
from pathlib import Path

from ingest import words
from ingest.models import Rejection

RECORD_MAX = 64 << 20  # bytes of a record, a saved page, or a decoded body: the largest honest pages are below 20 MB
LINE_MAX = 16 << 20
HEAD_MAX = 64 << 10  # bytes of a record's header
NOTE_MAX = 16 << 20  # an entry's HTML has up to a million characters, each up to 12 bytes in JSON
UNCHANGED = 304  # the status of what `decode` makes of a revisit
LONGEST_PATH = 5000  # code points of a path that is written down: longer than any that can be opened
BLOCK = 256 << 10  # bytes read at once
ARCHIVES = "a WARC (.warc, .warc.gz), JSON Lines (.jsonl, .gz, .xz, .zst) or saved pages (.html, .htm, .txt)"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not read, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Source:
    """One archive. A "folder" holds saved pages (or is a single one); `skipped` are the files in it that are none. An
    "empty" one is a file in which nothing is. `size` is in bytes, as `done` of what is read from it."""

    path: str
    kind: str  # "warc", "lines", "folder" or "empty"
    size: int
    skipped: tuple[Skipped, ...] = ()

    @property
    def name(self) -> str:
        """Its path as it may be written down."""
        return written(self.path)


def written(path: str | Path) -> str:
    """A path as it may be written down: names on disks are bytes, which need not be UTF-8 nor characters to be seen."""
    return words.sane(os.fsencode(path).decode("utf-8", "replace"), LONGEST_PATH)


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of an archive that may be an entry.

    `note` is the metadata record that belongs to it. `position` is opaque: `read(source, position)` gives what
    follows this piece. `done` is how many bytes of the source are behind it, for progress.
    """

    kind: str  # "record", "line" or "file"
    data: bytes
    note: bytes | None
    where: str
    position: int
    done: int


@dataclass(frozen=True, slots=True)
class Refused(Rejection):
    """A piece that cannot be read: a rejection with the place where reading goes on."""

    position: int = 0
    done: int = 0

    @property
    def rejection(self) -> Rejection:
        return Rejection(self.reason, self.detail, self.where)


UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def transcoded(head: bytes) -> bytes:
    return head.decode("utf-16", "replace").encode() if head.startswith(UTF16) else head


class Unfit(Exception):
    """A record that becomes a rejection."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
