"""An archived HTTP response → status, headers and the body without its codings."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import brotli  # type: ignore[import-untyped]
import zstandard

from ingest.archive.heads import header_fields, split_head
from ingest.archive.shapes import RECORD_MAX, UTF16, Unfit, transcoded
from ingest.archive.streams import BROKEN, is_utf8
from ingest.models import Capture

_STATUS = re.compile(rb"\s*HTTP/\d(?:\.\d+)?[ \t]+(\d{3})(?!\d)")
_CODED = {"content-encoding", "transfer-encoding", "content-length"}


def response(fields: Mapping[str, str], block: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Status, headers and decoded body of an archived HTTP response."""
    begins = _STATUS.match(block)
    if begins is None:
        media_type = fields.get("content-type", "").partition(";")[0].strip().lower()
        if media_type and media_type != "application/http":
            raise Unfit("media-type", media_type[:100])
        raise Unfit("damaged-http", "the record does not begin with an HTTP status line")
    head, body = split_head(block.lstrip())
    headers = tuple(header_fields(head))
    cut = "warc-truncated" in fields  # its maker says that the end is missing: what is there counts
    for name in ("transfer-encoding", "content-encoding"):
        codings = [part.strip().lower() for key, value in headers if key.lower() == name for part in value.split(",")]
        if len(codings) > 5:
            raise Unfit("damaged-http", f"{len(codings)} codings on top of each other")
        for coding in reversed(codings):
            body = _decoded(coding, body, cut)
    return int(begins[1]), tuple(pair for pair in headers if pair[0].lower() not in _CODED), body


def _decoded(coding: str, body: bytes, cut: bool) -> bytes:
    """`body` without a coding. Many archives keep the header but hold the body decoded already: it is left as it is."""
    if coding == "chunked":
        return _dechunked(body, cut)
    if coding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
        return _bounded(lambda: zlib.decompressobj(31), body, cut, again=b"\x1f\x8b")
    if coding == "deflate" and body and not _is_markup(body):
        wbits = 15 if body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -15
        return _bounded(lambda: zlib.decompressobj(wbits), body, cut)
    if coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
        window = 8 << 20  # what RFC 9659 allows on the web
        return _bounded(
            lambda: zstandard.ZstdDecompressor(max_window_size=window).decompressobj(), body, cut, again=body[:4]
        )
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
    raise Unfit("damaged-http", "the chunked body is broken or cut")


def _bounded(new: Callable[[], Any], body: bytes, cut: bool, again: bytes | None = None) -> bytes:
    """Decompress all members of a body, at most RECORD_MAX bytes; `again` is how another member begins."""
    parts: list[bytes] = []
    size, at = 0, 0
    decoder = new()
    while at < len(body):
        step = body[at : at + 1024]  # so small that a bomb cannot go far past the bound within one
        try:
            data = decoder.decompress(step)
        except BROKEN as error:
            if parts and (cut or decoder.eof):
                break
            raise Unfit("damaged-http", "the compressed body is broken") from error
        at += len(step)
        parts.append(data)
        size += len(data)
        if size > RECORD_MAX:
            raise Unfit("too-large", f"the body is larger than {RECORD_MAX} bytes when decoded")
        if decoder.eof:
            at -= len(decoder.unused_data)
            if again is None or not body.startswith(again, at):  # what follows is no further member
                return b"".join(parts)
            decoder = new()
    if not decoder.eof and not cut:
        raise Unfit("damaged-http", "the compressed body is cut")
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
                raise Unfit("too-large", f"the body is larger than {RECORD_MAX} bytes when decoded")
            if not data and decoder.can_accept_more_data():
                break
    except brotli.error as error:
        if not parts and is_utf8(body[:512]):
            return body  # decoded already
        if not cut:
            raise Unfit("damaged-http", "the compressed body is broken") from error
    if not decoder.is_finished() and not cut:
        raise Unfit("damaged-http", "the compressed body is cut")
    return b"".join(parts)


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


def check_entry(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
    if status != 200:
        raise Unfit(f"status-{status}")
    said = next((value for name, value in headers if name.lower() == "content-type"), "")
    media_type = said.partition(";")[0].strip().lower()
    if media_type not in _PAGES | _FEEDS:
        unsure = media_type in _UNSURE or media_type.endswith("+xml") or "/" not in media_type
        svg = media_type.startswith("image/")
        if svg or not unsure or not (_is_markup(body) or _is_json_feed(body)):
            shown = "".join(c for c in media_type if c.isprintable())[:100]
            raise Unfit("media-type", shown or ("none given" if body else ""))
    if not body.strip():
        raise Unfit("empty", "the body has no bytes")


def is_page(capture: Capture) -> bool:
    """Whether what was fetched as a page can be one: no picture and no PDF, whatever its server calls it."""
    try:
        check_entry(200, capture.headers, capture.body)
    except Unfit:
        return _is_markup(capture.body)
    return capture.body.startswith(UTF16) or b"\0" not in capture.body[:1024]


def _is_markup(body: bytes) -> bool:
    head = body[:4096]
    if head.startswith(UTF16):
        head = transcoded(head)
    head = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return head.startswith(b"<") and _MARKUP.search(head) is not None


def _is_json_feed(body: bytes) -> bool:
    return body.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{") and b"jsonfeed.org/version/" in body[:4096]
