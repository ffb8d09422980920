"""Content codings undone in bounded pieces: gzip, deflate (zlib or raw), br, zstd, and several of them in a row.

Each decoder is a generator over a generator of wire bytes and yields pieces of about 64 KB, so that whoever reads them
can stop a bomb after its first piece. A stream that ends before its own end mark is a fault: HTTP libraries hand on a
gzip body that was cut inside well-formed framing as if it were whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from ingest.fetch.reasons import Fault

PIECE = 64 * 1024  # bytes: what a decoder yields at most at once (zstd: see below)
MOST = 5  # codings in a row; servers that stack two by mistake exist, more is an attack

# What careless servers write where there is no coding at all; browsers read on, and so do we.
_NONE = frozenset({"", "identity", "none", "binary", "8bit", "utf-8"})
# RFC 9659: the largest window that a zstd content coding may ask for.
_ZSTD_WINDOW = 8 * 1024 * 1024
# zstandard cannot bound its output. Four bytes of input can become a block of 128 KB, so 128 bytes at most 4 MB.
_ZSTD_INPUT = 128

Decoder = Callable[[Iterable[bytes]], Iterator[bytes]]


class _Member(Protocol):
    """One gzip member or zstd frame being decoded."""

    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def decoders(header: str) -> list[Decoder]:
    """What undoes the codings of a Content-Encoding header, in the order to apply.

    Raises Fault("bad-response") for more than five codings and for one that nobody asked for.
    """
    names = [name for name in (part.strip().lower() for part in header.split(",")) if name not in _NONE]
    if len(names) > MOST:
        raise Fault("bad-response", f"it is coded {len(names)} times over")
    unknown = next((name for name in names if name not in _DECODERS), None)
    if unknown is not None:
        raise Fault("bad-response", "it has a content coding that was not asked for")
    return [_DECODERS[name] for name in reversed(names)]


def decoded(chunks: Iterable[bytes], codings: Iterable[Decoder]) -> Iterator[bytes]:
    """The chunks with all codings undone, lazily. Raises Fault("truncated") and Fault("bad-response")."""
    for coding in codings:
        chunks = coding(chunks)
    return iter(chunks)


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return _zlib(chunks, 31, "gzip", again=b"\x1f\x8b")


def _deflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """RFC 9110 says zlib; some servers send raw deflate. The first two bytes tell."""
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= 2:
            break
    wrapped = len(head) >= 2 and head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return _zlib(_chained(head, source), 15 if wrapped else -15, "deflate")


def _chained(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _zlib(chunks: Iterable[bytes], window: int, name: str, again: bytes | None = None) -> Iterator[bytes]:
    """`again` is how another member begins; what follows the last one is padding and is dropped."""
    decoder = zlib.decompressobj(window)
    begun = False
    for chunk in chunks:
        data = decoder.unused_data + chunk if decoder.eof else chunk
        while data:
            if decoder.eof:
                if again is None or not data.startswith(again):
                    break
                decoder = zlib.decompressobj(window)
            begun = True
            yield from _pieces(decoder, data, name)
            data = decoder.unused_data
    if begun and not decoder.eof:
        raise Fault("truncated", f"its {name} coding ends too early")


def _pieces(decoder: zlib._Decompress, data: bytes, name: str) -> Iterator[bytes]:
    while True:
        try:
            piece = decoder.decompress(data, PIECE)
        except zlib.error as error:
            raise Fault("bad-response", f"its {name} coding is damaged") from error
        if piece:
            yield piece
        data = decoder.unconsumed_tail
        if decoder.eof or (not data and len(piece) < PIECE):
            return


def _br(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    begun = False
    try:
        for chunk in chunks:
            if decoder.is_finished():
                break
            begun = True
            piece = decoder.process(chunk, output_buffer_limit=PIECE)
            # It may accept more and still hold back what it made of the input before: ask until nothing comes.
            while piece or not decoder.can_accept_more_data():
                if piece:
                    yield piece
                if decoder.is_finished():
                    break
                piece = decoder.process(b"", output_buffer_limit=PIECE)
    except brotli.error as error:
        raise Fault("bad-response", "its br coding is damaged") from error
    if begun and not decoder.is_finished():
        raise Fault("truncated", "its br coding ends too early")


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame: _Member | None = None
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _ZSTD_INPUT):
                data = chunk[start : start + _ZSTD_INPUT]
                while data:
                    frame = context.decompressobj() if frame is None or frame.eof else frame
                    piece = frame.decompress(data)
                    if piece:
                        yield piece
                    data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise Fault("bad-response", "its zstd coding is damaged") from error
    if frame is not None and not frame.eof:
        raise Fault("truncated", "its zstd coding ends too early")


_DECODERS: dict[str, Decoder] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _br,
    "zstd": _zstd,
}
