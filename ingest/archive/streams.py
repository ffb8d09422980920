"""Compressed streams, read so that damage costs as little as can be."""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import zstandard

from ingest.archive.shapes import BLOCK


class Damaged(Exception):
    """A compressed stream cannot be read on: `offset` is where its member begins, `out` the bytes that came out."""

    def __init__(self, detail: str, offset: int, out: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.offset = offset
        self.out = out


class Codec(NamedTuple):
    """How a compressed stream is read. `step`: bytes fed at once, so small that not even a bomb (zlib 1:1,000, xz
    1:7,000, zstd 1:32,000) turns them into more than some 30 MB."""

    name: str
    magic: re.Pattern[bytes]
    new: Callable[[], Any]
    step: int
    probe: int  # bytes of a member that are surely enough to show its first ones


_CODECS = (
    Codec("gzip", re.compile(rb"\x1f\x8b\x08"), lambda: zlib.decompressobj(31), 16 << 10, 4 << 10),
    Codec("xz", re.compile(rb"\xfd7zXZ\x00"), lambda: lzma.LZMADecompressor(memlimit=256 << 20), 4 << 10, 64 << 10),
    Codec(
        "zstd",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        lambda: zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj(),
        1 << 10,
        256 << 10,
    ),
)


_SUFFIXES = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, MemoryError)


class Piece(NamedTuple):
    """Decompressed bytes; `end` is where the next member begins, if theirs ends with them."""

    data: bytes
    begin: int
    end: int | None
    done: int


def codec_of(file: BinaryIO) -> Codec | None:
    """By the first bytes; by the name where they are neither of a compressed file nor text (a flipped bit)."""
    file.seek(0)
    head = file.read(512)
    for codec in _CODECS:
        if codec.magic.match(head):
            return _with_dictionary(file, codec) if head.startswith(_DICTIONARY) else codec
    name = _SUFFIXES.get(Path(str(file.name)).suffix.lower())
    text = head.lstrip()[:1] in (b"{", b"W", b"[", b"<") or (b"\0" not in head and is_utf8(head))
    return None if text else next((codec for codec in _CODECS if codec.name == name), None)


_DICTIONARY = b"\x5d\x2a\x4d\x18"  # a skippable frame that holds what the records of a .warc.zst were compressed with
_LONGEST_DICTIONARY = 16 << 20


def _with_dictionary(file: BinaryIO, codec: Codec) -> Codec:
    """The codec for a file that begins with its own dictionary (IIPC, "Zstandard compression for WARC"); such a
    dictionary may be compressed itself."""
    file.seek(4)
    size = int.from_bytes(file.read(4), "little")
    data = file.read(size) if size <= _LONGEST_DICTIONARY else b""
    try:
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            with zstandard.ZstdDecompressor(max_window_size=_LONGEST_DICTIONARY).stream_reader(data) as reader:
                data = reader.read(_LONGEST_DICTIONARY)
        dictionary = zstandard.ZstdCompressionDict(data)
    except (ValueError, *BROKEN):
        return codec  # reading will tell of the damage
    return codec._replace(
        new=lambda: zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=128 << 20).decompressobj()
    )


def is_utf8(head: bytes) -> bool:
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def pieces(file: BinaryIO, codec: Codec, start: int) -> Iterator[Piece]:
    """Decompress from the member at `start`, member after member. Raises Damaged, after all that came out before."""
    member, fed, out = start, 0, 0
    decoder = codec.new()
    file.seek(start)
    while block := read_block(file, member, out):
        view = memoryview(block)
        at = 0
        while at < len(view):
            if codec.name == "xz" and not fed and view[at] == 0:  # padding between streams, part of the format
                at, member = at + 1, member + 1
                continue
            step = view[at : at + codec.step]
            try:
                data = decoder.decompress(step)
            except BROKEN as error:
                for data in _salvaged(file, codec, member, fed, step):
                    out += len(data)
                    yield Piece(data, member, None, member + fed)
                raise Damaged(_reason(error, codec, fed), member, out) from error
            unused = len(decoder.unused_data) if decoder.eof else 0
            at += len(step) - unused
            fed += len(step) - unused
            out += len(data)
            if not decoder.eof:
                yield Piece(data, member, None, member + fed)
                continue
            yield Piece(data, member, member + fed, member + fed)
            member, fed, decoder = member + fed, 0, codec.new()
    if fed:
        raise Damaged(f"truncated, the {codec.name} data ends before its end", member, out)


def _salvaged(file: BinaryIO, codec: Codec, member: int, fed: int, step: memoryview) -> Iterator[bytes]:
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
    except BROKEN:
        return


def _reason(error: Exception, codec: Codec, fed: int) -> str:
    said = str(error)
    if "incorrect data check" in said or "checksum" in said or "incorrect length check" in said:
        return f"the {codec.name} checksum is wrong, something before this was changed"
    if fed == 0 and ("incorrect header" in said or "format" in said.lower()):
        return f"what follows is no {codec.name} data"
    return f"the {codec.name} data is broken"


def read_block(file: BinaryIO, member: int, out: int) -> bytes:
    try:
        return file.read(BLOCK)
    except OSError as error:  # the disk is failing: what was read stays
        raise Damaged(f"the disk cannot be read ({error.strerror})", member, out) from error


def next_member(file: BinaryIO, codec: Codec, start: int) -> int | None:
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


def _begins_record(file: BinaryIO, codec: Codec, at: int) -> bool:
    file.seek(at)
    data = file.read(codec.probe)
    decoder = codec.new()
    head = b""
    try:
        for start in range(0, len(data), 512):
            head += decoder.decompress(data[start : start + 512])
            if len(head) >= 5 or decoder.eof:
                break
    except BROKEN:
        return False
    return head.startswith(b"WARC/")
