"""WARC → records, without looking into them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ingest.archive.heads import HEAD_END
from ingest.archive.shapes import HEAD_MAX, NOTE_MAX, RECORD_MAX, Raw, Refused, Source
from ingest.archive.streams import Codec, Damaged, Piece, codec_of, next_member, pieces, read_block

_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$")
_TYPE = re.compile(rb"(?im)^warc-type[ \t]*:[ \t]*([\w-]+)")
_RECORD_ID = re.compile(rb"(?im)^warc-record-id[ \t]*:[ \t]*(\S+)")
_CONCURRENT_TO = re.compile(rb"(?im)^warc-concurrent-to[ \t]*:[ \t]*(\S+)")
NEXT_RECORD = re.compile(rb"\nWARC/\d\.\d")
NO_ENTRY = {b"request", b"metadata", b"warcinfo"}
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
        head = HEAD_END.search(buffer, 0, HEAD_MAX)
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
        found = NEXT_RECORD.search(self._buffer)
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
        head_end = HEAD_END.search(record)
        end = head_end.end() if head_end else len(record)
        named = _TYPE.search(record, 0, end)
        kind = named[1].lower() if named else b""
        if kind == b"metadata":
            target = _CONCURRENT_TO.search(record, 0, end)
            if target and len(record) - end <= NOTE_MAX:
                self._target, self._note = target[1], record[end:]
        if kind in NO_ENTRY:
            return None
        identity = _RECORD_ID.search(record, 0, end)
        note = self._note if identity and identity[1] == self._target else None
        self._target, self._note = b"", None
        return Raw("record", record, note, where, position, done)


def read_warc(source: Source, start: int) -> Iterator[Raw | Refused]:
    notes = _Notes()
    with Path(source.path).open("rb") as file:
        codec = codec_of(file)
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
        while block := read_block(file, done, done):
            done += len(block)
            for cut in cutter.feed(block):
                yield cut, f"{source.name} byte {cut.begin}", cut.end, cut.end
    except Damaged as damage:
        cutter.drop()
        detail = f"damaged from byte {done}: {damage.detail}"
        yield _Cut(None, done, done, "damaged", detail), f"{source.name} byte {done}", source.size, source.size
        return
    for cut in cutter.finish():
        yield cut, f"{source.name} byte {cut.begin}", cut.end, cut.end


def _packed(file: BinaryIO, codec: Codec, source: Source, start: int) -> Iterator[_Placed]:
    """Positions are offsets of members in the file, or negative: inside a member that holds several records."""
    member, inner = divmod(-start, _INNER) if start < 0 else (start, 0)
    walk: int | None = member
    while walk is not None:
        members = _Members(file, codec, source, walk, inner)
        yield from members
        walk, inner = members.resume, 0


class _Members:
    """The records of the members from one on, up to the end or to damage; then `resume` is where to go on."""

    def __init__(self, file: BinaryIO, codec: Codec, source: Source, member: int, inner: int) -> None:
        self._file, self._codec, self._source = file, codec, source
        self._cutter = _Cutter(inner)
        self._member = member
        self._member_base = 0  # where the member begins in the cutter's bytes
        self._skip = inner
        self._whole = inner > 0  # whether the member has given a record before what it is giving now
        self._held: list[_Placed] = []  # lost before that: if the member turns out to be damaged, that is why
        self.resume: int | None = None

    def __iter__(self) -> Iterator[_Placed]:
        head = b""  # the first bytes of a member: they say whether it begins a record
        fresh = True
        try:
            for piece in pieces(self._file, self._codec, self._member):
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
        except Damaged as damage:
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
            self._held = []

    def _records(self, cuts: Sequence[_Cut], piece: Piece | None) -> Iterator[_Placed]:
        for index, cut in enumerate(cuts, 1):
            self._whole = self._whole or cut.data is not None
            done = piece.done if piece else self._member
            if piece and piece.end is not None and index == len(cuts) and self._cutter.empty:
                position = piece.end
            else:
                position = -(self._member * _INNER + max(1, cut.end - self._member_base))
            self._held.append((cut, self._where(cut), position, done))
            if self._whole:
                yield from self._flush()
        if piece and piece.end is not None:
            yield from self._flush()

    def _flush(self) -> list[_Placed]:
        held, self._held = self._held, []
        return held

    def _damage(self, damage: Damaged) -> Iterator[_Placed]:
        self.resume = next_member(self._file, self._codec, damage.offset + 1)
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
        where = f"{self._source.name} byte {damage.offset}"
        yield _Cut(None, begin, begin, "damaged", detail), where, position, position

    def _where(self, cut: _Cut) -> str:
        inner = cut.begin - self._member_base
        return f"{self._source.name} byte {self._member}" + (f" + {inner}" if inner > 0 else "")
