"""JSON Lines → lines, without looking into them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ingest.archive.shapes import LINE_MAX, UTF16, Raw, Refused, Source
from ingest.archive.streams import Damaged, codec_of, pieces, read_block


def read_lines(source: Source, start: int) -> Iterator[Raw | Refused]:
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
                    if piece := _line(source.name, line, size, number, offset, done):
                        yield piece
                parts, length = [last], len(last)
            if length and (piece := _line(source.name, b"".join(parts), length, number + 1, offset + length, done)):
                yield piece
        except Damaged as damage:
            at = damage.out
            if start <= at:
                where = f"{source.name} line {number + 1}"
                yield Refused("damaged", f"damaged from byte {at}: {damage.detail}", where, None, at + 1, source.size)


def _line(name: str, line: bytes, size: int, number: int, position: int, done: int) -> Raw | Refused | None:
    where = f"{name} line {number}"
    if size > LINE_MAX:
        return Refused("too-large", f"line {number}: {size} bytes, more than {LINE_MAX}", where, None, position, done)
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    if not line or line.isspace():
        return None
    return Raw("line", line, None, where, position, done)


def _stream(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The decompressed bytes in UTF-8, and how far the file has been read. Raises Damaged."""
    chunks = _decompressed(file)
    first = next((chunk for chunk in chunks if chunk[0]), (b"", 0))  # a decoder may hold back what it was given first
    if first[0].startswith(UTF16):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield decoder.decode(first[0]).encode(), first[1]
        for chunk, done in chunks:
            yield decoder.decode(chunk).encode(), done
        return
    yield first
    yield from chunks


def _decompressed(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    codec = codec_of(file)
    if codec is not None:
        for piece in pieces(file, codec, 0):
            yield piece.data, piece.done
        return
    file.seek(0)
    done = 0
    while block := read_block(file, done, done):
        done += len(block)
        yield block, done
