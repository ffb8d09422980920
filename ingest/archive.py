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

import base64
import codecs
import hashlib
import json
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import brotli  # type: ignore[import-untyped]
import charset_normalizer
import orjson
import zstandard

from ingest import dates
from ingest.errors import NotAnArchive
from ingest.models import Capture, Line, Rejection

RECORD_MAX = 64 << 20  # bytes of a record, a saved page, or a decoded body: the largest honest pages are below 20 MB
LINE_MAX = 16 << 20
HEAD_MAX = 64 << 10  # bytes of a record's header
NOTE_MAX = 1 << 20
UNCHANGED = 304  # the status of what `decode` makes of a revisit

_BLOCK = 256 << 10  # bytes read at once
_ARCHIVES = "a WARC (.warc, .warc.gz), JSON Lines (.jsonl, .gz, .xz, .zst) or saved pages (.html, .htm, .txt)"


@dataclass(frozen=True, slots=True)
class Source:
    """One archive. A "folder" holds saved pages (or is a single one); `skipped` are the files in it that are none.
    `size` is in bytes, as `done` of what is read from it."""

    path: str
    kind: str  # "warc", "lines" or "folder"
    size: int
    skipped: tuple[str, ...] = ()


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


# what there is to read ------------------------------------------------------------------------------------------
_WARC_NAME = re.compile(r"\.warc(\.gz|\.zst)?$", re.IGNORECASE)
_LINES_NAME = re.compile(r"\.(jsonl|ndjson|json)(\.(gz|xz|zst))?$", re.IGNORECASE)
_PAGE_NAME = re.compile(r"\.(html?|txt)$", re.IGNORECASE)


def sources(paths: Sequence[str]) -> list[Source]:
    """The archives at these paths; a folder is one for its saved pages and one for each archive file in it.

    Raises NotAnArchive, naming the path and what was expected, for one that holds none.
    """
    return [source for path in paths for source in _sources(Path(path))]


def _sources(path: Path) -> list[Source]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _folder(path)
        if stat.S_ISREG(mode):
            return [_file(path)]
    except FileNotFoundError as error:
        raise NotAnArchive(f"does not exist; expected {_ARCHIVES}", subject=str(path)) from error
    except OSError as error:
        raise NotAnArchive(f"cannot be read ({error.strerror})", subject=str(path)) from error
    raise NotAnArchive(f"is neither a file nor a folder; expected {_ARCHIVES}", subject=str(path))


def _file(path: Path) -> Source:
    size = path.stat().st_size
    if size == 0:
        raise NotAnArchive(f"is empty; expected {_ARCHIVES}", subject=str(path))
    if _PAGE_NAME.search(path.name):
        return Source(str(path), "folder", size)
    with path.open("rb") as file:
        head = _beginning(file)
        if not head:
            raise NotAnArchive(f"cannot be decompressed; expected {_ARCHIVES}", subject=str(path))
        if _WARC_NAME.search(path.name):
            if not _has_record(file):
                raise NotAnArchive("holds no WARC record; expected a WARC file", subject=str(path))
            return Source(str(path), "warc", size)
        if _LINES_NAME.search(path.name):
            problem = _no_lines(head, strict=".json" in (path.suffix.lower(), path.with_suffix("").suffix.lower()))
            if problem:
                raise NotAnArchive(f"{problem}; expected JSON Lines, one object a line", subject=str(path))
            return Source(str(path), "lines", size)
        if head.lstrip().startswith(b"WARC/"):
            return Source(str(path), "warc", size)
    if not _no_lines(head, strict=True):
        return Source(str(path), "lines", size)
    raise NotAnArchive(f"is no archive; expected {_ARCHIVES}", subject=str(path))


def _folder(path: Path) -> list[Source]:
    pages, archives, skipped = _walk(path)
    found: list[Source] = []
    for archive in archives:
        try:
            found.append(_file(archive))
        except NotAnArchive:
            skipped.append(str(archive))
    if pages or (skipped and found):
        size = sum(page.stat().st_size for page in pages)
        found.insert(0, Source(str(path), "folder", size, tuple(skipped)))
    if not found:
        raise NotAnArchive(f"holds no archive and no saved page; expected {_ARCHIVES}", subject=str(path))
    return found


def _walk(path: Path) -> tuple[list[Path], list[Path], list[str]]:
    """Pages, archive files and the names of all others under a folder, each in order."""
    pages: list[Path] = []
    archives: list[Path] = []
    skipped: list[str] = []
    for base, folders, names in os.walk(path):
        folder = Path(base)
        # A browser saves a page's frames and pictures beside it, in a folder "<title>_files": parts, not pages.
        parts = {name for name in folders if re.search(r"[_-]files$", name) and _saved_page(name, names)}
        skipped += [str(folder / name) for name in parts]
        folders[:] = sorted(set(folders) - parts)
        for name in sorted(names):
            file = folder / name
            if not file.is_file():  # a pipe or a device would block, a broken link has nothing to say
                skipped.append(str(file))
            elif _PAGE_NAME.search(name):
                pages.append(file)
            elif _WARC_NAME.search(name) or _LINES_NAME.search(name):
                archives.append(file)
            else:
                skipped.append(str(file))
    return pages, archives, sorted(skipped)


def _saved_page(folder: str, names: Sequence[str]) -> bool:
    stem = folder[: -len("_files")]
    return any(f"{stem}{suffix}" in names for suffix in (".html", ".htm"))


def _beginning(file: BinaryIO) -> bytes:
    """The first bytes of the archive, decompressed where it is compressed."""
    codec = _codec(file)
    file.seek(0)
    if codec is None:
        return file.read(_BLOCK)
    head = b""
    try:
        for piece in _pieces(file, codec, 0):
            head += piece.data
            if len(head) >= _BLOCK:
                break
    except _Damaged:
        pass  # what could be read is what there is to judge by; reading will tell of the damage
    return head


def _has_record(file: BinaryIO) -> bool:
    codec = _codec(file)
    if codec is not None:
        return _next_member(file, codec, 0) is not None
    file.seek(0)
    head = file.read(4 << 20)
    return head.lstrip().startswith(b"WARC/") or _NEXT_RECORD.search(head) is not None


def _no_lines(head: bytes, *, strict: bool) -> str:
    """Why this is the beginning of no JSON Lines file; empty if it may be one. `strict`: its first line must be one."""
    if not head.startswith(_UTF16) and b"\0" in head:
        return "is binary"
    text = _transcoded(head).removeprefix(codecs.BOM_UTF8).strip()
    if not text:
        return "is empty"
    objects = re.search(rb"(?m)^[ \t]*\{", text)
    if not objects and text.startswith(b"<"):
        return "is a page or XML"
    if strict and not (text.startswith(b"{") and _is_json(text.partition(b"\n")[0])):
        return "does not begin with a line that is a JSON object"
    return ""


def _is_json(line: bytes) -> bool:
    if len(line) >= _BLOCK // 2:
        return True  # a line longer than what was looked at
    try:
        json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


# reading --------------------------------------------------------------------------------------------------------
def read(source: Source, start: int = 0) -> Iterator[Raw | Refused]:
    """The pieces of an archive in order, from `start` (0, or a `position` that came out of it before).

    Damage inside comes as `Refused`. Raises NotAnArchive where the source is gone.
    """
    readers = {"warc": _read_warc, "lines": _read_lines, "folder": _read_folder}
    try:
        yield from readers[source.kind](source, start)
    except FileNotFoundError as error:
        raise NotAnArchive("is gone", subject=source.path) from error


def files(source: Source) -> list[Path]:
    """The files that a source is made of, in the order in which they are read."""
    path = Path(source.path)
    return _walk(path)[0] if path.is_dir() else [path]


def _read_folder(source: Source, start: int) -> Iterator[Raw | Refused]:
    done = 0
    for number, page in enumerate(files(source), 1):
        try:
            size = page.stat().st_size
            done += size
            if number <= start:
                continue
            if size > RECORD_MAX:
                yield Refused("too-large", f"{size} bytes, more than {RECORD_MAX}", str(page), None, number, done)
                continue
            data = page.read_bytes()
        except OSError as error:
            yield Refused("damaged", f"cannot be read ({error.strerror})", str(page), None, number, done)
            continue
        yield Raw("file", data, None, str(page), number, done)


def _read_lines(source: Source, start: int) -> Iterator[Raw | Refused]:
    """Positions are bytes of the decompressed stream."""
    with Path(source.path).open("rb") as file:
        number, offset = 0, 0
        parts: list[bytes] = []  # of the line that is not complete yet
        length, done = 0, 0
        try:
            for chunk, done in _stream(file):
                if offset + length + len(chunk) <= start:
                    number += chunk.count(b"\n")
                    offset += len(chunk)
                    continue
                if offset < start:
                    number += chunk.count(b"\n", 0, start - offset)
                    chunk = chunk[start - offset :]
                    offset = start
                first, *lines = chunk.split(b"\n")
                parts.append(first)
                length += len(first)
                if not lines:
                    if length > LINE_MAX:
                        parts.clear()  # its length is remembered, its bytes are not
                    continue
                last = lines.pop()
                for line in (b"".join(parts), *lines):
                    number += 1
                    size = length if length > LINE_MAX else len(line)
                    length = 0
                    offset += size + 1
                    if piece := _line(source.path, line, size, number, offset, done):
                        yield piece
                parts, length = [last], len(last)
            if length and (piece := _line(source.path, b"".join(parts), length, number + 1, offset + length, done)):
                yield piece
        except _Damaged as damage:
            at = damage.out
            if start <= at:
                where = f"{source.path} line {number + 1}"
                yield Refused("damaged", f"damaged from byte {at}: {damage.detail}", where, None, at + 1, source.size)


def _line(path: str, line: bytes, size: int, number: int, position: int, done: int) -> Raw | Refused | None:
    where = f"{path} line {number}"
    if size > LINE_MAX:
        return Refused("too-large", f"line {number}: {size} bytes, more than {LINE_MAX}", where, None, position, done)
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    if not line or line.isspace():
        return None
    return Raw("line", line, None, where, position, done)


def _stream(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The decompressed bytes in UTF-8, and how far the file has been read. Raises _Damaged."""
    chunks = _decompressed(file)
    first = next(chunks, (b"", 0))
    if first[0].startswith(_UTF16):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield decoder.decode(first[0]).encode(), first[1]
        for chunk, done in chunks:
            yield decoder.decode(chunk).encode(), done
        return
    yield first
    yield from chunks


def _decompressed(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    codec = _codec(file)
    if codec is not None:
        for piece in _pieces(file, codec, 0):
            yield piece.data, piece.done
        return
    file.seek(0)
    done = 0
    while block := _block(file, done, done):
        done += len(block)
        yield block, done


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _transcoded(head: bytes) -> bytes:
    return head.decode("utf-16", "replace").encode() if head.startswith(_UTF16) else head


# compressed streams ---------------------------------------------------------------------------------------------
class _Damaged(Exception):
    """A compressed stream cannot be read on: `offset` is where its member begins, `out` the bytes that came out."""

    def __init__(self, detail: str, offset: int, out: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.offset = offset
        self.out = out


class _Codec(NamedTuple):
    """How a compressed stream is read. `step`: bytes fed at once, so small that not even a bomb (zlib 1:1,000, xz
    1:7,000, zstd 1:32,000) turns them into more than some 30 MB."""

    name: str
    magic: re.Pattern[bytes]
    new: Callable[[], Any]
    step: int
    probe: int  # bytes of a member that are surely enough to show its first ones


_CODECS = (
    _Codec("gzip", re.compile(rb"\x1f\x8b\x08"), lambda: zlib.decompressobj(31), 16 << 10, 4 << 10),
    _Codec("xz", re.compile(rb"\xfd7zXZ\x00"), lambda: lzma.LZMADecompressor(memlimit=256 << 20), 4 << 10, 64 << 10),
    _Codec(
        "zstd",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        lambda: zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj(),
        1 << 10,
        256 << 10,
    ),
)
_SUFFIXES = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, MemoryError)


class _Piece(NamedTuple):
    """Decompressed bytes; `end` is where the next member begins, if theirs ends with them."""

    data: bytes
    begin: int
    end: int | None
    done: int


def _codec(file: BinaryIO) -> _Codec | None:
    """By the first bytes; by the name where they are neither of a compressed file nor text (a flipped bit)."""
    file.seek(0)
    head = file.read(512)
    for codec in _CODECS:
        if codec.magic.match(head):
            return codec
    name = _SUFFIXES.get(Path(str(file.name)).suffix.lower())
    text = head.lstrip()[:1] in (b"{", b"W", b"[", b"<") or (b"\0" not in head and _is_utf8(head))
    return None if text else next((codec for codec in _CODECS if codec.name == name), None)


def _is_utf8(head: bytes) -> bool:
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _pieces(file: BinaryIO, codec: _Codec, start: int) -> Iterator[_Piece]:
    """Decompress from the member at `start`, member after member. Raises _Damaged, after all that came out before."""
    member, fed, out = start, 0, 0
    decoder = codec.new()
    file.seek(start)
    while block := _block(file, member, out):
        view = memoryview(block)
        at = 0
        while at < len(view):
            if codec.name == "xz" and not fed and view[at] == 0:  # padding between streams, part of the format
                at, member = at + 1, member + 1
                continue
            step = view[at : at + codec.step]
            try:
                data = decoder.decompress(step)
            except _BROKEN as error:
                for data in _salvaged(file, codec, member, fed, step):
                    out += len(data)
                    yield _Piece(data, member, None, member + fed)
                raise _Damaged(_reason(error, codec, fed), member, out) from error
            unused = len(decoder.unused_data) if decoder.eof else 0
            at += len(step) - unused
            fed += len(step) - unused
            out += len(data)
            if not decoder.eof:
                yield _Piece(data, member, None, member + fed)
                continue
            yield _Piece(data, member, member + fed, member + fed)
            member, fed, decoder = member + fed, 0, codec.new()
    if fed:
        raise _Damaged(f"truncated, the {codec.name} data ends before its end", member, out)


def _salvaged(file: BinaryIO, codec: _Codec, member: int, fed: int, step: memoryview) -> Iterator[bytes]:
    """What the decoder would have given before it failed: it fails for a whole step, so the step is fed by bytes."""
    decoder = codec.new()
    file.seek(member)
    while fed > 0 and (again := file.read(min(codec.step, fed))):
        decoder.decompress(again)  # gave this before
        fed -= len(again)
    try:
        for index in range(len(step)):
            if data := decoder.decompress(step[index : index + 1]):
                yield data
    except _BROKEN:
        return


def _reason(error: Exception, codec: _Codec, fed: int) -> str:
    said = str(error)
    if "incorrect data check" in said or "checksum" in said or "incorrect length check" in said:
        return f"the {codec.name} checksum is wrong, something before this was changed"
    if fed == 0 and ("incorrect header" in said or "format" in said.lower()):
        return f"what follows is no {codec.name} data"
    return f"the {codec.name} data is broken"


def _block(file: BinaryIO, member: int, out: int) -> bytes:
    try:
        return file.read(_BLOCK)
    except OSError as error:  # the disk is failing: what was read stays
        raise _Damaged(f"the disk cannot be read ({error.strerror})", member, out) from error


def _next_member(file: BinaryIO, codec: _Codec, start: int) -> int | None:
    """Where the next member begins, from `start` on, that holds the beginning of a WARC record."""
    keep = 16
    offset, tail = start, b""
    while True:
        file.seek(offset)
        block = file.read(1 << 20)
        window = tail + block
        for match in codec.magic.finditer(window):
            at = offset - len(tail) + match.start()
            if _begins_record(file, codec, at):
                return at
        if not block:
            return None
        offset += len(block)
        tail = window[-keep:] if len(block) >= keep else b""
        # A magic that lies whole in the tail was tried already; trying it again costs one small read.


def _begins_record(file: BinaryIO, codec: _Codec, at: int) -> bool:
    file.seek(at)
    data = file.read(codec.probe)
    decoder = codec.new()
    head = b""
    try:
        for start in range(0, len(data), 512):
            head += decoder.decompress(data[start : start + 512])
            if len(head) >= 5 or decoder.eof:
                break
    except _BROKEN:
        return False
    return head.startswith(b"WARC/")


# WARC -----------------------------------------------------------------------------------------------------------
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$")
_TYPE = re.compile(rb"(?im)^warc-type[ \t]*:[ \t]*([\w-]+)")
_RECORD_ID = re.compile(rb"(?im)^warc-record-id[ \t]*:[ \t]*(\S+)")
_CONCURRENT_TO = re.compile(rb"(?im)^warc-concurrent-to[ \t]*:[ \t]*(\S+)")
_NEXT_RECORD = re.compile(rb"\nWARC/\d\.\d")
_NO_ENTRY = {b"request", b"metadata", b"warcinfo"}
_INNER = 1 << 40  # a position inside a member is -(its offset * _INNER + bytes of it that are passed)


class _Cut(NamedTuple):
    """A record (or, without data, what was lost) from `begin` to `end` of the uncompressed bytes."""

    data: bytes | None
    begin: int
    end: int
    reason: str = ""
    detail: str = ""


class _Cutter:
    """Cuts a stream of bytes into WARC records; where a header lies, finds the next line that begins a record."""

    def __init__(self, base: int) -> None:
        self._buffer = bytearray()
        self.base = base  # where the buffer begins
        self._need = 0
        self._lost: tuple[int, str, str] | None = None

    @property
    def empty(self) -> bool:
        return not self._buffer and self._lost is None

    @property
    def end(self) -> int:
        return self.base + len(self._buffer)

    def feed(self, data: bytes, *, ended: bool = False) -> list[_Cut]:
        """The records that are complete now. `ended`: a record may end with these bytes, none needs to follow."""
        self._buffer += data
        return self._cuts(ended=ended, final=False)

    def finish(self) -> list[_Cut]:
        """Nothing follows: what is left."""
        return self._cuts(ended=True, final=True)

    def drop(self) -> None:
        """Forget what is not complete."""
        self._consume(len(self._buffer))
        self._lost = None

    def _cuts(self, *, ended: bool, final: bool) -> list[_Cut]:
        cuts: list[_Cut] = []
        while True:
            searching = self._lost is not None
            cut = self._search(final) if searching else self._record(ended, final)
            if cut is not None:
                cuts.append(cut)
            elif searching or self._lost is None:  # nothing was found, and nothing has just been lost
                return cuts

    def _record(self, ended: bool, final: bool) -> _Cut | None:
        """The record at the beginning of the buffer, if it is complete; `_lost` is set where there is none."""
        buffer = self._buffer
        if len(buffer) < self._need and not final:
            return None
        self._skip_blank()
        if not buffer:
            return None
        if not buffer.startswith(b"WARC/"):
            if len(buffer) < 5 and not final and b"WARC/".startswith(bytes(buffer)):
                return None
            self._lose("damaged", "no WARC record begins here", 0)
            return None
        head = _HEAD_END.search(buffer, 0, HEAD_MAX)
        if head is None:
            if len(buffer) >= HEAD_MAX or final:
                self._lose("damaged", "the record's header does not end", 5)
            return None
        length = _LENGTH.search(buffer, 0, head.end())
        if length is None:
            self._lose("damaged", "the record has no valid Content-Length", 5)
            return None
        end = head.end() + int(length[1])
        if end > RECORD_MAX:
            detail = f"a record of {int(length[1])} bytes, more than {RECORD_MAX}"
            self._lose("too-large", detail, head.end() - 1)
            return None
        if len(buffer) < end:
            self._need = end
            if final:
                self._lose("damaged", "the record is cut short", head.end() - 1)
            return None
        return self._ended(end, head.end() - 1, ended, final)

    def _ended(self, end: int, search_from: int, ended: bool, final: bool) -> _Cut | None:
        """The record up to `end`, if what follows shows that its length was right."""
        buffer = self._buffer
        follows = end
        while bytes(buffer[follows : follows + 1]) in (b"\r", b"\n"):
            follows += 1
        rest = bytes(buffer[follows : follows + 5])
        if not b"WARC/".startswith(rest):
            self._lose("damaged", "the record's Content-Length does not lead to the next record", search_from)
            return None
        if len(rest) < 5 and not final and not (ended and not rest):
            self._need = len(buffer) + 1
            return None
        cut = _Cut(bytes(buffer[:end]), self.base, self.base + follows)
        self._consume(follows)
        return cut

    def _lose(self, reason: str, detail: str, search_from: int) -> None:
        self._lost = (self.base, reason, detail)
        self._consume(search_from)

    def _search(self, final: bool) -> _Cut | None:
        """What was lost, once the next record (or the end) is found."""
        assert self._lost is not None
        begin, reason, detail = self._lost
        found = _NEXT_RECORD.search(self._buffer)
        if found is None and not final:
            self._consume(max(0, len(self._buffer) - 16))  # the mark may be split
            return None
        self._consume(found.start() + 1 if found else len(self._buffer))
        self._lost = None
        return _Cut(None, begin, self.base, reason, detail)

    def _skip_blank(self) -> None:
        blank = len(self._buffer) - len(self._buffer.lstrip(b"\r\n")) if self._buffer.startswith((b"\r", b"\n")) else 0
        self._consume(blank)

    def _consume(self, count: int) -> None:
        del self._buffer[:count]
        self.base += count
        self._need = 0


class _Notes:
    """Pairs metadata records with the response that they are concurrent to, and drops what is no entry."""

    def __init__(self) -> None:
        self._target = b""
        self._note: bytes | None = None

    def raw(self, record: bytes, where: str, position: int, done: int) -> Raw | None:
        head_end = _HEAD_END.search(record)
        end = head_end.end() if head_end else len(record)
        named = _TYPE.search(record, 0, end)
        kind = named[1].lower() if named else b""
        if kind == b"metadata":
            target = _CONCURRENT_TO.search(record, 0, end)
            if target and len(record) - end <= NOTE_MAX:
                self._target, self._note = target[1], record[end:]
        if kind in _NO_ENTRY:
            return None
        identity = _RECORD_ID.search(record, 0, end)
        note = self._note if identity and identity[1] == self._target else None
        self._target, self._note = b"", None
        return Raw("record", record, note, where, position, done)


def _read_warc(source: Source, start: int) -> Iterator[Raw | Refused]:
    notes = _Notes()
    with Path(source.path).open("rb") as file:
        codec = _codec(file)
        cuts = _plain(file, source, start) if codec is None else _packed(file, codec, source, start)
        for cut, where, position, done in cuts:
            if cut.data is None:
                yield Refused(cut.reason, cut.detail, where, None, position, done)
            elif raw := notes.raw(cut.data, where, position, done):
                yield raw


_Placed = tuple[_Cut, str, int, int]  # a cut, where, position, done


def _plain(file: BinaryIO, source: Source, start: int) -> Iterator[_Placed]:
    """Positions are offsets in the file."""
    cutter = _Cutter(start)
    file.seek(start)
    done = start
    try:
        while block := _block(file, done, done):
            done += len(block)
            for cut in cutter.feed(block):
                yield cut, f"{source.path} byte {cut.begin}", cut.end, cut.end
    except _Damaged as damage:
        cutter.drop()
        detail = f"damaged from byte {done}: {damage.detail}"
        yield _Cut(None, done, done, "damaged", detail), f"{source.path} byte {done}", source.size, source.size
        return
    for cut in cutter.finish():
        yield cut, f"{source.path} byte {cut.begin}", cut.end, cut.end


def _packed(file: BinaryIO, codec: _Codec, source: Source, start: int) -> Iterator[_Placed]:
    """Positions are offsets of members in the file, or negative: inside a member that holds several records."""
    member, inner = divmod(-start, _INNER) if start < 0 else (start, 0)
    walk: int | None = member
    while walk is not None:
        members = _Members(file, codec, source, walk, inner)
        yield from members
        walk, inner = members.resume, 0


class _Members:
    """The records of the members from one on, up to the end or to damage; then `resume` is where to go on."""

    def __init__(self, file: BinaryIO, codec: _Codec, source: Source, member: int, inner: int) -> None:
        self._file, self._codec, self._source = file, codec, source
        self._cutter = _Cutter(inner)
        self._member = member
        self._member_base = 0  # where the member begins in the cutter's bytes
        self._skip = inner
        self._whole = inner > 0  # whether the member has given a record before what it is giving now
        self.resume: int | None = None

    def __iter__(self) -> Iterator[_Placed]:
        head = b""  # the first bytes of a member: they say whether it begins a record
        fresh = True
        try:
            for piece in _pieces(self._file, self._codec, self._member):
                data = piece.data
                if fresh:
                    head += data
                    if len(head) < 5 and piece.end is None:
                        continue
                    yield from self._begin(piece.begin, head)
                    data, self._skip = head[self._skip :], max(0, self._skip - len(head))
                    head, fresh = b"", False
                elif self._skip:
                    data, self._skip = data[self._skip :], max(0, self._skip - len(data))
                yield from self._records(self._cutter.feed(data, ended=piece.end is not None), piece)
                fresh = piece.end is not None
            for cut in self._cutter.finish():
                yield cut, self._where(cut), self._source.size, self._source.size
        except _Damaged as damage:
            if fresh:
                yield from self._begin(damage.offset, head)
            yield from self._damage(damage)

    def _begin(self, member: int, head: bytes) -> Iterator[_Placed]:
        """A member begins. One that begins a record ends the record before it, complete or not."""
        if head.startswith(b"WARC/"):
            for cut in self._cutter.finish():
                yield cut, self._where(cut), member, member
        if member != self._member:
            self._member, self._member_base, self._whole = member, self._cutter.end, False

    def _records(self, cuts: Sequence[_Cut], piece: _Piece | None) -> Iterator[_Placed]:
        for index, cut in enumerate(cuts, 1):
            self._whole = True
            done = piece.done if piece else self._member
            if piece and piece.end is not None and index == len(cuts) and self._cutter.empty:
                position = piece.end
            else:
                position = -(self._member * _INNER + max(1, cut.end - self._member_base))
            yield cut, self._where(cut), position, done

    def _damage(self, damage: _Damaged) -> Iterator[_Placed]:
        self.resume = _next_member(self._file, self._codec, damage.offset + 1)
        if self._whole:  # a stream of several records: all of them that are complete are kept
            kept = [cut for cut in self._cutter.finish() if cut.data is not None]
            yield from self._records(kept, None)
        begin = self._member_base
        out = self._cutter.end - begin
        self._cutter.drop()
        position = self._source.size if self.resume is None else self.resume
        if self._whole:
            detail = f"damaged from byte {out} of the {self._codec.name} stream at {damage.offset}: {damage.detail}"
        elif self.resume is None:
            detail = f"damaged from byte {damage.offset}: {damage.detail}"
        else:
            detail = f"damaged from byte {damage.offset} to {self.resume}: {damage.detail}"
        where = f"{self._source.path} byte {damage.offset}"
        yield _Cut(None, begin, begin, "damaged", detail), where, position, position

    def _where(self, cut: _Cut) -> str:
        inner = cut.begin - self._member_base
        return f"{self._source.path} byte {self._member}" + (f" + {inner}" if inner > 0 else "")


# decoding -------------------------------------------------------------------------------------------------------
def decode(raw: Raw, *, now: datetime, trusted: bool = False) -> Capture | Line | Rejection | None:
    """What a piece of an archive is: a capture of a page or feed, a line, a rejection, or None where it is no entry.

    A revisit is a Capture with the status 304 (`UNCHANGED`), which counts as unchanged. `now` is the capture time
    where the archive gives none. `trusted`: the record comes out of our own landing zone; its note counts, and it is
    given back whatever its status and media type.
    """
    if raw.kind == "line":
        return _decode_line(raw)
    if raw.kind == "file":
        return _decode_file(raw)
    try:
        return _decode_record(raw, now, trusted)
    except _NoEntry as refused:
        return Rejection(refused.reason, refused.detail, raw.where)


def landed(path: str) -> Iterator[Capture]:
    """The captures of one of our own landing files, with the feeds, entries and addresses that their notes tell of.

    What is damaged is passed over: whoever has to count it takes `read` and `decode`.
    """
    for raw in read(Source(path, "warc", Path(path).stat().st_size)):
        if isinstance(raw, Raw):
            capture = decode(raw, now=datetime.now(UTC), trusted=True)
            if isinstance(capture, Capture):
                yield capture


class _NoEntry(Exception):
    """A record that becomes a rejection."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


# records
_STATUS = re.compile(rb"\s*HTTP/\d(?:\.\d+)?[ \t]+(\d{3})(?!\d)")


def _decode_record(raw: Raw, now: datetime, trusted: bool) -> Capture | None:
    head, block = _split(raw.data)
    fields = {name.lower(): value for name, value in _fields(head)}
    kind = fields.get("warc-type", "").lower()
    if kind.encode() in _NO_ENTRY:
        return None
    if kind not in ("response", "resource", "revisit"):
        raise _NoEntry(f"type-{_name(kind)}")
    if trusted:
        _check_digest(fields, block)
    if "warc-segment-number" in fields:
        raise _NoEntry("type-continuation", "the record is cut into segments")
    url = fields.get("warc-target-uri", "").strip("<> \t")
    if not url:
        raise _NoEntry("no-target-uri")
    captured = _moment(fields.get("warc-date", ""), now) or now
    if kind == "revisit":
        status, headers, body = UNCHANGED, tuple(_fields(_split(block)[0])), b""
    elif kind == "resource":
        status, headers, body = 200, (("Content-Type", fields.get("content-type", "")),), block
    else:
        status, headers, body = _http(fields, block)
    if not trusted and kind != "revisit":
        _check_entry(status, headers, body)
    note = _read_note(raw.note) if trusted else {}
    entry = note.get("entry")
    return Capture(
        url,
        status,
        headers,
        body,
        captured,
        addresses=tuple(item for item in note.get("addresses") or () if isinstance(item, str)),
        feed=_or_none(note.get("feed")),
        entry=entry if isinstance(entry, dict) else None,
        where=raw.where,
    )


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Head and block; a block without a head's end is all head."""
    end = _HEAD_END.search(data)
    return (data[: end.start()], data[end.end() :]) if end else (data, b"")


def _fields(head: bytes) -> Iterator[tuple[str, str]]:
    """The named fields below the first line, continuation lines joined."""
    lines = re.sub(rb"\r?\n[ \t]+", b" ", head).splitlines()[1:]
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and name.strip():
            yield _header_text(name), _header_text(value)


def _header_text(value: bytes) -> str:
    value = value.strip()
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _name(kind: str) -> str:
    """A record's type as part of a reason's name, whatever stands there."""
    return kind if re.fullmatch(r"[a-z][a-z-]{0,29}", kind) else "unknown"


def _check_digest(fields: Mapping[str, str], block: bytes) -> None:
    """Our own files say what their blocks are; a record that was changed is none of ours.

    Digests of foreign archives are not checked: tools disagree about what a payload is where it is chunked, and
    records that were copied from one WARC to another often carry the old block's digest.
    """
    algorithm, _, said = fields.get("warc-block-digest", "").partition(":")
    if algorithm != "sha256":
        return
    digest = hashlib.sha256(block).digest()
    if said.lower() not in (digest.hex(), base64.b32encode(digest).decode().lower()):
        raise _NoEntry("digest-mismatch", "the record's bytes are not those that were written")


def _moment(value: str, now: datetime) -> datetime | None:
    """An instant that an archive states, unless it is none or lies more than two days ahead."""
    try:
        moment = dates.instant(value.strip())
    except (ValueError, OverflowError):
        return None
    return moment if moment <= now + timedelta(days=2) else None


def _read_note(note: bytes | None) -> Mapping[str, Any]:
    if note is None:
        return {}
    try:
        record = json.loads(note)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# HTTP
_CODED = {"content-encoding", "transfer-encoding", "content-length"}


def _http(fields: Mapping[str, str], block: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Status, headers and decoded body of an archived HTTP response."""
    begins = _STATUS.match(block)
    if begins is None:
        media_type = fields.get("content-type", "").partition(";")[0].strip().lower()
        if media_type and media_type != "application/http":
            raise _NoEntry("media-type", media_type[:100])
        raise _NoEntry("damaged-http", "the record does not begin with an HTTP status line")
    head, body = _split(block.lstrip())
    headers = tuple(_fields(head))
    cut = "warc-truncated" in fields  # its maker says that the end is missing: what is there counts
    for name in ("transfer-encoding", "content-encoding"):
        codings = [part.strip().lower() for key, value in headers if key.lower() == name for part in value.split(",")]
        if len(codings) > 5:
            raise _NoEntry("damaged-http", f"{len(codings)} codings on top of each other")
        for coding in reversed(codings):
            body = _decoded(coding, body, cut)
    return int(begins[1]), tuple(pair for pair in headers if pair[0].lower() not in _CODED), body


def _decoded(coding: str, body: bytes, cut: bool) -> bytes:
    """`body` without a coding. Many archives keep the header but hold the body decoded already: it is left as it is."""
    if coding == "chunked":
        return _dechunked(body, cut)
    if coding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
        return _bounded(lambda: zlib.decompressobj(31), body, cut)
    if coding == "deflate" and body and not _is_markup(body):
        wbits = 15 if body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -15
        return _bounded(lambda: zlib.decompressobj(wbits), body, cut)
    if coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
        window = 8 << 20  # what RFC 9659 allows on the web
        return _bounded(lambda: zstandard.ZstdDecompressor(max_window_size=window).decompressobj(), body, cut)
    if coding == "br" and body and not _is_markup(body):
        return _unbrotlied(body, cut)
    return body


_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


def _dechunked(body: bytes, cut: bool) -> bytes:
    chunks: list[bytes] = []
    at = 0
    while True:
        line = _CHUNK.match(body, at)
        if line is None:
            if not at:
                return body  # decoded already
            break
        size = int(line[1], 16)
        if size == 0:
            return b"".join(chunks)
        chunks.append(body[line.end() : line.end() + size])
        at = line.end() + size
        if at > len(body):
            break
        at += 2 if body.startswith(b"\r\n", at) else 1
    if cut:
        return b"".join(chunks)
    raise _NoEntry("damaged-http", "the chunked body is broken or cut")


def _bounded(new: Callable[[], Any], body: bytes, cut: bool) -> bytes:
    """Decompress all members of a body, at most RECORD_MAX bytes."""
    parts: list[bytes] = []
    size, at = 0, 0
    decoder = new()
    while at < len(body):
        step = body[at : at + 1024]  # so small that a bomb cannot go far past the bound within one
        try:
            data = decoder.decompress(step)
        except _BROKEN as error:
            if parts and (cut or decoder.eof):
                break
            raise _NoEntry("damaged-http", "the compressed body is broken") from error
        at += len(step)
        parts.append(data)
        size += len(data)
        if size > RECORD_MAX:
            raise _NoEntry("too-large", f"the body is larger than {RECORD_MAX} bytes when decoded")
        if decoder.eof:
            at -= len(decoder.unused_data)
            if not body.startswith(b"\x1f\x8b", at):  # what follows is no further member
                return b"".join(parts)
            decoder = new()
    if not decoder.eof and not cut:
        raise _NoEntry("damaged-http", "the compressed body is cut")
    return b"".join(parts)


def _unbrotlied(body: bytes, cut: bool) -> bytes:
    decoder = brotli.Decompressor()
    parts: list[bytes] = []
    size, rest = 0, body
    try:
        while not decoder.is_finished():
            data = decoder.process(rest, output_buffer_limit=1 << 20)
            rest = b""
            parts.append(data)
            size += len(data)
            if size > RECORD_MAX:
                raise _NoEntry("too-large", f"the body is larger than {RECORD_MAX} bytes when decoded")
            if not data and decoder.can_accept_more_data():
                break
    except brotli.error as error:
        if not parts and _is_utf8(body[:512]):
            return body  # decoded already
        if not cut:
            raise _NoEntry("damaged-http", "the compressed body is broken") from error
    if not decoder.is_finished() and not cut:
        raise _NoEntry("damaged-http", "the compressed body is cut")
    return b"".join(parts)


# what a body is
_PAGES = {"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"}
_FEEDS = {
    "application/rss+xml",
    "application/atom+xml",
    "application/rdf+xml",
    "application/xml",
    "text/xml",
    "text/rss+xml",
    "text/atom+xml",
    "application/feed+json",
}
_UNSURE = {"", "application/octet-stream", "text/plain", "application/json", "application/x-unknown", "unknown/unknown"}
_MARKUP = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|article|div|p|rss|feed|rdf:rdf|channel)[\s>:/]", re.IGNORECASE
)


def _check_entry(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
    if status != 200:
        raise _NoEntry(f"status-{status}")
    said = next((value for name, value in headers if name.lower() == "content-type"), "")
    media_type = said.partition(";")[0].strip().lower()
    if media_type not in _PAGES | _FEEDS:
        unsure = media_type in _UNSURE or media_type.endswith("+xml") or "/" not in media_type
        svg = media_type.startswith("image/")
        if svg or not unsure or not (_is_markup(body) or _is_json_feed(body)):
            shown = "".join(c for c in media_type if c.isprintable())[:100]
            raise _NoEntry("media-type", shown or ("none given" if body else ""))
    if not body.strip():
        raise _NoEntry("empty", "the body has no bytes")


def _is_markup(body: bytes) -> bool:
    head = body[:4096]
    if head.startswith(_UTF16):
        head = _transcoded(head)
    head = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return head.startswith(b"<") and _MARKUP.search(head) is not None


def _is_json_feed(body: bytes) -> bool:
    return body.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{") and b"jsonfeed.org/version/" in body[:4096]


# lines
_STRINGS = ("url", "title", "html", "text", "published", "source", "language")


def _decode_line(raw: Raw) -> Line | Rejection:
    number = raw.where.rpartition(" ")[2]
    try:
        record = _object(raw.data)
        values = {name: _string(record, name) for name in (*_STRINGS, "id")}
        _check_line(values)
        return Line(
            guid=values["id"] or None,
            url=values["url"] or None,
            title=values["title"],
            html=values["html"],
            text=values["text"],
            published=values["published"] or None,
            source=values["source"] or None,
            language=values["language"] or None,
            authors=_authors(record.get("authors")),
            first_seen=_first_seen(record.get("first_seen")),
            where=raw.where,
        )
    except _NoEntry as refused:
        return Rejection(refused.reason, f"line {number}: {refused.detail}", raw.where)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(data)
        if isinstance(record, dict) and isinstance(record.get("id"), float):
            record = json.loads(data)  # orjson turns whole numbers above 64 bits into floats: their digits are the id
    except ValueError:
        # orjson is strict: NaN, half a surrogate pair or a byte that is no UTF-8 somewhere do not spoil the rest.
        try:
            record = json.loads(_text(data))
        except (ValueError, RecursionError) as error:
            raise _NoEntry("not-json", _problem(error)) from error
    if not isinstance(record, dict):
        raise _NoEntry("not-an-object", f"a JSON {_JSON_NAMES.get(type(record), 'value')}, not an object")
    return record


_JSON_NAMES = {list: "array", str: "string", int: "number", float: "number", bool: "true or false", type(None): "null"}


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (character {error.pos + 1})"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number with too many digits"


def _string(record: Mapping[str, Any], name: str) -> str | None:
    """The field as a string: numbers are taken as their digits, other types are an error, null is nothing."""
    value = record.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None or isinstance(value, str):
        return _whole(value) if value else value
    raise _NoEntry("wrong-type", f"`{name}` is a JSON {_JSON_NAMES.get(type(value), 'object')}, not a string")


def _whole(value: str) -> str:
    """Without halves of surrogate pairs, which no file and no process takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _check_line(values: Mapping[str, str | None]) -> None:
    if values["html"] is None and values["text"] is None:
        raise _NoEntry("no-text", "neither `html` nor `text`")
    if values["text"] is None and not (values["url"] or values["id"]):
        raise _NoEntry("no-id", "neither `url` nor `id`")
    if not any((values[name] or "").strip() for name in ("html", "text", "title")):
        raise _NoEntry("empty", "no word in `html`, `text` or `title`")


def _authors(value: Any) -> tuple[str, ...]:
    """A list of names, a single name, or (as in JSON Feed) objects with a `name`."""
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    names = [item.get("name") if isinstance(item, dict) else item for item in items]
    if not all(name is None or isinstance(name, str) for name in names):
        raise _NoEntry("wrong-type", "`authors` is no list of names")
    return tuple(_whole(name) for name in names if name and name.strip())


def _first_seen(value: Any) -> datetime | None:
    try:
        return dates.instant(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None  # the time of the run is taken instead


# saved pages
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
# What browsers write above a page that they save: Internet Explorer and Chrome the first, SingleFile the second.
_SAVED_FROM = re.compile(
    r"<!--\s*saved from url=\(\d+\)(\S+?)\s*-->|<!--\s*Page saved with SingleFile\s+url:\s*(\S+)", re.IGNORECASE
)


def _decode_file(raw: Raw) -> Line | Rejection:
    if not raw.data.strip():
        return Rejection("empty", "the file has no words", raw.where)
    if b"\0" in raw.data[:4096] and not raw.data.startswith(_UTF16):
        return Rejection("binary", "the file is no text", raw.where)
    text = _text(raw.data)
    if raw.where.lower().endswith(".txt"):
        title, _, rest = text.lstrip().replace("\r\n", "\n").replace("\r", "\n").partition("\n")
        return _saved(raw, title=title.strip(), text=rest.strip())
    saved_from = _SAVED_FROM.search(text[:8192])
    url = (saved_from[1] or saved_from[2]) if saved_from else None
    return _saved(raw, html=text, url=url if url and url.lower().startswith(("http://", "https://")) else None)


def _saved(
    raw: Raw, *, title: str | None = None, html: str | None = None, text: str | None = None, url: str | None = None
) -> Line:
    return Line(
        guid=None,
        url=url,
        title=title,
        html=html,
        text=text,
        published=None,
        source=None,
        language=None,
        authors=(),
        first_seen=None,
        where=raw.where,
    )


def _text(data: bytes) -> str:
    """Bytes as text: by the byte order mark, as UTF-8 if it is, as its meta tag says, else as windows-1252.

    UTF-8 goes before the meta tag: a browser that saves a page often writes it anew and leaves the tag, and bytes
    above 127 that happen to be UTF-8 hardly ever are anything else.
    """
    if data.startswith(_UTF16):
        return data.decode("utf-16", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    named = _META_CHARSET.search(data[:4096])
    loose = data.decode("utf-8", "replace")
    # A few broken bytes among many good ones: still UTF-8, with a mark where it is broken.
    if loose.count("\ufffd") * 10 <= len(data.translate(None, _BELOW_LEADS)):
        return loose
    return data.decode(_encoding(named[1]) if named else _guessed(data), "replace")


_BELOW_LEADS = bytes(range(0xC2))  # all bytes but those that begin a character in UTF-8


def _guessed(data: bytes) -> str:
    """The encoding of a text that does not say. Few bytes above 127: a Western text, where guessers are often wrong;
    many: another script, which they know well."""
    sample = data[: 64 << 10]
    if len(sample.translate(None, bytes(range(0x80)))) * 5 < len(sample):
        return "windows-1252"
    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best else "windows-1252"


def _encoding(label: bytes) -> str:
    """The Python codec for a charset's name in HTML, which calls windows-1252 by many names."""
    try:
        name = codecs.lookup(label.decode("ascii")).name
    except (LookupError, UnicodeDecodeError):
        return "windows-1252"
    if name in ("utf-8", "ascii", "iso8859-1") or not codecs.lookup(name)._is_text_encoding:
        return "windows-1252"
    return "gb18030" if name in ("gb2312", "gbk") else name
