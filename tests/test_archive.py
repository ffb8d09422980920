"""Foreign archives: what is read, what damage costs, where reading goes on."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import textwrap
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from ingest import archive
from ingest.archive import Raw, Refused, Source
from ingest.errors import NotAnArchive
from ingest.models import Capture, Dropped, Line, Rejection

NOW = datetime(2026, 11, 24, tzinfo=UTC)
COUNT = 8


# making archives
def page(number: int) -> bytes:
    words = random.Random(number).choices(["convoy", "bridge", "relief", "talks", "grain", "harbour", "snow"], k=20)
    return f"<html><title>Story {number}</title><p>{' '.join(words)}</p></html>".encode()


def address(number: int) -> str:
    return f"https://news.example/{number}"


class SameWriter(WARCWriter):
    """Writes the same bytes each time, so that a flipped bit is the same fault in every run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.count = 0

    def _make_warc_id(self) -> str:
        self.count += 1
        return f"<urn:uuid:{UUID(int=random.Random(self.count).getrandbits(128), version=4)}>"

    def curr_warc_date(self) -> str:
        return "2022-05-24T10:00:00Z"


def warc(count: int = COUNT, *, compressed: bool = True) -> bytes:
    """A WARC as warcio writes it: warcinfo, then a request and a response for each page."""
    out = io.BytesIO()
    writer = SameWriter(out, gzip=compressed)
    writer.write_record(writer.create_warcinfo_record("x.warc", {"software": "test"}))
    for number in range(count):
        http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        body = page(number)
        response = writer.create_warc_record(
            address(number), "response", payload=io.BytesIO(body), length=len(body), http_headers=http
        )
        asked = StatusAndHeaders("GET / HTTP/1.1", [("Host", "news.example")], is_http_request=True)
        request = writer.create_warc_record(address(number), "request", http_headers=asked)
        writer.write_request_response_pair(request, response)
    return out.getvalue()


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[:2000], data[2000:]


def record(block: bytes, kind: str = "response", **fields: str | None) -> bytes:
    """A record by hand. Keyword names are header names with _ for -; None leaves one out."""
    head: dict[str, str | None] = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:00000000-0000-4000-8000-000000000000>",
        "WARC-Date": "2022-05-24T10:00:00Z",
        "WARC-Target-URI": "https://news.example/x",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block)),
    }
    head.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: str = "200 OK", media: str | None = "text/html") -> bytes:
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {media}"] if media else []), *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def members(data: bytes) -> list[int]:
    """Where the gzip members begin, and the end."""
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        decoder = zlib.decompressobj(31)
        decoder.decompress(data[at:])
        at = len(data) - len(decoder.unused_data)
    return [*starts, len(data)]


# reading archives
def source(path: Path, kind: str = "warc") -> Source:
    return Source(str(path), kind, path.stat().st_size)


def items(path: Path, kind: str = "warc", start: int = 0) -> list[Raw | Refused]:
    return list(archive.read(source(path, kind), start))


def only(path: Path) -> Source:
    (found,) = archive.sources([str(path)])
    return found


def urls(read: list[Raw | Refused]) -> list[str]:
    decoded = [archive.decode(item, now=NOW) for item in read if isinstance(item, Raw)]
    return [each.url for each in decoded if isinstance(each, Capture)]


def refused(read: list[Raw | Refused]) -> list[Refused]:
    return [item for item in read if isinstance(item, Refused)]


def decode(block: bytes, kind: str = "response", **fields: str | None) -> Any:
    raw = Raw("record", record(block, kind, **fields)[:-4], None, "x.warc byte 0", 0, 0)
    return archive.decode(raw, now=NOW)


def reason(block: bytes, kind: str = "response", **fields: str | None) -> str:
    answer = decode(block, kind, **fields)
    assert isinstance(answer, Rejection)
    return answer.reason


def line(value: object) -> Any:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return archive.decode(Raw("line", data, None, "x.jsonl line 7", 0, 0), now=NOW)


ALL = [address(number) for number in range(COUNT)]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.warc", lambda: warc(compressed=False)),
        ("a.warc.gz", warc),
        ("a.warc.gz", lambda: gzip.compress(warc(compressed=False))),
        ("a.warc.gz", lambda: b"".join(map(gzip.compress, halves(warc(compressed=False))))),
        ("a.warc.gz", lambda: warc(compressed=False)),
        ("a.warc", warc),
        ("a.warc.zst", lambda: zstandard.compress(warc(compressed=False))),
        ("a.warc", lambda: warc(compressed=False).replace(b"\r\n\r\nWARC/", b"\r\n\r\n\r\n\nWARC/")),
        ("nameless", warc),
    ],
    ids=["plain", "members", "one-stream", "two-streams", "wrong-gz", "wrong-plain", "zst", "separators", "nameless"],
)  # fmt: skip
def test_every_kind_of_warc(tmp_path: Path, name: str, make: Any) -> None:
    path = tmp_path / name
    path.write_bytes(make())
    found = list(archive.read(only(path)))
    assert urls(found) == ALL
    assert len(found) == COUNT
    assert path.stat().st_size * 0.9 < found[-1].done <= path.stat().st_size  # a request follows the last response


def test_resume_from_every_position_gives_exactly_the_rest(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"id": n, "text": "word " * n}).encode() + b"\r\n\n" for n in range(20))
    plain = warc(compressed=False)
    torn = bytearray(warc())
    torn[members(torn)[6] + 40] ^= 4
    wrong = plain.replace(b"Content-Length: 1", b"Content-Length: 9", 5)
    stream = bytearray(gzip.compress(plain))
    stream[len(stream) // 2] ^= 8
    made = {
        "plain.warc": plain,
        "members.warc.gz": warc(),
        "torn.warc.gz": bytes(torn),
        "wrong.warc": wrong,
        "stream.warc.gz": gzip.compress(plain),
        "damaged.warc.gz": bytes(stream),
        "two.warc.gz": gzip.compress(plain[:3001]) + gzip.compress(plain[3001:]),
        "mixed.warc.gz": warc(3) + gzip.compress(plain) + warc(2),
        "frames.warc.zst": zstandard.compress(plain) + zstandard.compress(plain),
        "a.jsonl": lines,
        "a.jsonl.gz": gzip.compress(lines),
        "a.jsonl.xz": lzma.compress(lines),
        "a.jsonl.zst": zstandard.compress(lines),
        "cut.jsonl.gz": gzip.compress(lines)[:-9],
        "utf16.jsonl": lines.decode().encode("utf-16"),
        "last.jsonl": lines + b'{"id": "last", "text": "no line end"}',
    }
    for name, data in made.items():
        path = tmp_path / name
        path.write_bytes(data)
        kind = "warc" if ".warc" in name else "lines"
        everything = items(path, kind)
        assert len(everything) > 3, name
        for index, item in enumerate(everything):
            rest = items(path, kind, item.position)
            assert [r.where for r in rest] == [e.where for e in everything[index + 1 :]], (name, index)
            assert rest == everything[index + 1 :], (name, index)


def test_a_flipped_bit_costs_its_own_record(tmp_path: Path) -> None:
    """Every byte of a WARC compressed record by record, one bit of each: no exception, all other records there, and
    what is lost is told of."""
    data = warc(4)
    starts = members(data)
    path = tmp_path / "a.warc.gz"
    rng = random.Random(7)
    for at in range(len(data)):
        torn = bytearray(data)
        torn[at] ^= 1 << rng.randrange(8)
        path.write_bytes(torn)
        hit = max(index for index, start in enumerate(starts) if start <= at)
        pair = (hit - 1) // 2 if hit % 2 and hit else None  # responses stand at odd places, behind the warcinfo
        found = items(path)
        others = [url for number, url in enumerate(ALL[:4]) if number != pair]
        got = urls(found)
        assert [url for url in got if url in others] == others, at
        lost = refused(found)
        assert len(lost) <= 1, at
        if pair is not None and got == others:
            assert [each.reason for each in lost] == ["damaged"]
            assert f"damaged from byte {starts[hit]}" in lost[0].detail


def test_a_truncated_warc_keeps_what_is_whole_and_says_so(tmp_path: Path) -> None:
    data = warc()
    starts = members(data)
    path = tmp_path / "a.warc.gz"
    for size in range(50, len(data), 100):
        path.write_bytes(data[:size])
        found = items(path)
        whole = sum(start <= size for start in starts[1:])
        assert urls(found) == ALL[: whole // 2], size
        cut = size not in starts
        assert [each.reason for each in refused(found)] == ["damaged"] * cut
        if cut:
            assert "truncated" in refused(found)[0].detail or "cut" in refused(found)[0].detail


def test_a_truncated_plain_warc(tmp_path: Path) -> None:
    data = warc(compressed=False)
    path = tmp_path / "a.warc"
    for size in range(1, len(data), 97):
        path.write_bytes(data[:size])
        found = items(path)
        assert urls(found) == ALL[: len(urls(found))]
        assert len(refused(found)) <= 1
        assert len(urls(found)) >= data[:size].count(b"</html>\r\n\r\n")


@pytest.mark.parametrize(
    "tail", [b"garbage", b"\0" * 512, b"\x1f", warc(1)[:30]], ids=["words", "zeros", "one byte", "a cut member"]
)
def test_what_trails_is_reported(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(warc() + tail)
    found = items(path)
    assert urls(found) == ALL
    assert [each.reason for each in refused(found)] == ["damaged"]


def same_content(packed: bytes, plain: bytes) -> bool:
    """Whether a flipped bit changed nothing: one of padding, or of a match that says the same."""
    try:
        return gzip.decompress(packed) == plain
    except (OSError, EOFError, zlib.error):
        return False


def test_every_flip_in_a_single_stream_keeps_what_is_before(tmp_path: Path) -> None:
    plain = warc(compressed=False)
    data = gzip.compress(plain)
    path = tmp_path / "a.warc.gz"
    for at in range(0, len(data), 7):
        torn = bytearray(data)
        torn[at] ^= 16
        path.write_bytes(torn)
        found = items(path)
        lost = refused(found)
        if torn[:10] == data[:10] and not same_content(bytes(torn), plain):
            assert any("damaged from byte" in each.detail for each in lost), at
        # What the decoder gave before it could notice may be wrong, but only around the flip, never far before it.
        decoder = zlib.decompressobj(31)
        before = decoder.decompress(data[: max(0, at - 1)])
        complete = before.count(b"</html>\r\n\r\nWARC/")
        assert urls(found)[:complete] == ALL[:complete], at


def test_a_checksum_is_checked(tmp_path: Path) -> None:
    data = bytearray(warc())
    data[members(bytes(data))[2] - 8] ^= 1  # in the CRC of the first response
    path = tmp_path / "a.warc.gz"
    path.write_bytes(data)
    found = items(path)
    assert urls(found) == ALL[1:]
    assert "checksum" in refused(found)[0].detail


@pytest.mark.parametrize("wrong", ["0", "3", "99999", "999999999999", "-4", "x", ""])
def test_a_wrong_length_in_a_plain_warc_costs_its_record(tmp_path: Path, wrong: str) -> None:
    records = [record(http(page(n)), WARC_Target_URI=address(n)) for n in range(4)]
    records[1] = record(http(page(1)), WARC_Target_URI=address(1), Content_Length=wrong)
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(records))
    found = items(path)
    assert urls(found) == [address(0), address(2), address(3)]
    (lost,) = refused(found)
    assert lost.reason == ("too-large" if wrong == "999999999999" else "damaged")
    path.with_suffix(".warc.gz").write_bytes(b"".join(gzip.compress(each) for each in records))
    found = items(path.with_suffix(".warc.gz"))
    assert urls(found) == [address(0), address(2), address(3)]
    assert len(refused(found)) == 1


def test_a_record_that_is_too_large_is_one_rejection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.archive.warc.RECORD_MAX", 100_000)
    records = [record(http(page(n)), WARC_Target_URI=address(n)) for n in range(3)]
    records[1] = record(http(b"<p>" + b"x" * 400_000))
    for name, data in {"a.warc": b"".join(records), "a.warc.gz": b"".join(map(gzip.compress, records))}.items():
        (tmp_path / name).write_bytes(data)
        found = items(tmp_path / name)
        assert urls(found) == [address(0), address(2)]
        assert [each.reason for each in refused(found)] == ["too-large"]


def test_noise_never_raises(tmp_path: Path) -> None:
    """Any bytes at all, after a beginning that looks right."""
    rng = random.Random(3)
    heads = [b"", b"WARC/1.0\r\n", gzip.compress(b"WARC/1.0\r\n")[:15], b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b'{"a":']
    for _ in range(150):
        data = rng.choice(heads) + rng.randbytes(rng.randrange(3000))
        for name, kind in [("a.warc.gz", "warc"), ("a.warc", "warc"), ("a.jsonl.xz", "lines"), ("a.jsonl", "lines")]:
            path = tmp_path / name
            path.write_bytes(data)
            for item in items(path, kind):
                if isinstance(item, Raw):
                    archive.decode(item, now=NOW)


# decoding records
def test_a_response_and_a_resource_are_captures() -> None:
    got = decode(http(page(1), "Content-Encoding: identity", "X-A: 1"), WARC_Target_URI="<https://News.example/A?b>")
    assert got == Capture(
        "https://News.example/A?b",
        200,
        (("Content-Type", "text/html"), ("X-A", "1")),
        page(1),
        datetime(2022, 5, 24, 10, tzinfo=UTC),
        where="x.warc byte 0",
    )
    got = decode(page(2), "resource", Content_Type="text/html; charset=utf-8")
    assert (got.status, got.body, got.header("content-type")) == (200, page(2), "text/html; charset=utf-8")


@pytest.mark.parametrize("kind", ["request", "metadata", "warcinfo"])
def test_what_is_no_entry_is_none(kind: str) -> None:
    assert decode(b"x", kind) is None


def test_a_revisit_is_unchanged() -> None:
    assert decode(http(b"", status="200 OK"), "revisit").status == archive.UNCHANGED


def test_statuses_and_types_are_rejected_by_name() -> None:
    assert reason(http(page(1), status="404 Not Found")) == "status-404"
    assert reason(http(b"", status="301 Moved")) == "status-301"
    assert reason(page(1), "conversion") == "type-conversion"
    assert reason(page(1), "continuation") == "type-continuation"
    assert reason(page(1), "../\nx") == "type-unknown"
    assert reason(http(page(1)), WARC_Type=None) == "type-unknown"
    assert reason(http(page(1)), WARC_Segment_Number="1") == "type-continuation"
    assert reason(http(page(1)), WARC_Target_URI=None) == "no-target-uri"
    assert reason(http(b"   ")) == "empty"
    assert reason(b"20220524 news.example A 192.0.2.1", Content_Type="text/dns") == "media-type"
    assert reason(b"<html>no status line") == "damaged-http"


@pytest.mark.parametrize(
    ("media", "body", "accepted"),
    [
        ("text/html", b"x", True),
        ("TEXT/HTML; charset=x", b"x", True),
        ("application/xhtml+xml", b"x", True),
        ("application/rss+xml", b"<rss>", True),
        ("text/xml", b"<feed>", True),
        ("application/feed+json", b"{}", True),
        ("application/json", b'{"version": "https://jsonfeed.org/version/1.1"}', True),
        ("application/json", b'{"a": 1}', False),
        ("text/plain", b"\xef\xbb\xbf\n<?xml version='1.0'?><rss version='2.0'>", True),
        ("text/plain", b"User-agent: *", False),
        (None, b"<!DOCTYPE html><html>", True),
        (None, b"\x89PNG\r\n", False),
        ("application/octet-stream", b"  <html>", True),
        ("application/octet-stream", b"%PDF-1.4", False),
        ("image/png", b"\x89PNG", False),
        ("image/svg+xml", b"<svg><title>x</title>", False),
        ("text/css", b"p {}", False),
        ("application/pdf", b"%PDF-1.4", False),
        ("text/javascript", b"'<html>'", False),
    ],
)
def test_media_types(media: str | None, body: bytes, accepted: bool) -> None:
    got = decode(http(body, media=media))
    assert isinstance(got, Capture) == accepted
    if not accepted:
        assert (got.reason, got.detail) == ("media-type", media or "none given")


def chunked(data: bytes, size: int = 50) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def deflated(data: bytes, wbits: int) -> bytes:
    encoder = zlib.compressobj(wbits=wbits)
    return encoder.compress(data) + encoder.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:]),
    "deflate": lambda data: deflated(data, 15),
    "Deflate": lambda data: deflated(data, -15),
    "br": brotli.compress,
    "zstd": lambda data: zstandard.compress(data[:40]) + zstandard.compress(data[40:]),
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_codings_are_taken_off(coding: str) -> None:
    body = CODINGS[coding](page(1) * 50)
    assert decode(http(body, f"Content-Encoding: {coding}")).body == page(1) * 50
    got = decode(http(chunked(body), f"Content-Encoding: {coding}", "Transfer-Encoding: chunked"))
    assert got.body == page(1) * 50
    assert got.header("content-encoding") is None
    assert got.header("transfer-encoding") is None


@pytest.mark.parametrize("coding", [*CODINGS, "chunked", "utf-8", ""])
def test_headers_that_stayed_after_decoding(coding: str) -> None:
    name = "Transfer-Encoding" if coding == "chunked" else "Content-Encoding"
    assert decode(http(page(1), f"{name}: {coding}")).body == page(1)


@pytest.mark.parametrize("coding", [name for name in CODINGS if "," not in name])
def test_a_cut_body_is_rejected_unless_its_maker_says_so(coding: str) -> None:
    whole = b"".join(page(number) for number in range(2_000))
    body = CODINGS[coding](whole)
    body = body[: len(body) * 3 // 4]
    block = http(body, f"Content-Encoding: {coding}")
    assert reason(block) == "damaged-http"
    got = decode(block, WARC_Truncated="length")
    assert whole.startswith(got.body)
    assert reason(http(chunked(whole)[:-100], "Transfer-Encoding: chunked")) == "damaged-http"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_too_large(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = CODINGS[coding](b"<p>" + b"\0" * 50_000_000)
    monkeypatch.setattr("ingest.archive.responses.RECORD_MAX", 1_000_000)
    assert reason(http(bomb, f"Content-Encoding: {coding}")) == "too-large"
    assert reason(http(page(1), "Content-Encoding: " + ", ".join(["gzip"] * 100))) == "damaged-http"


@pytest.mark.parametrize(
    ("date", "captured"),
    [
        ("2022-05-24T10:00:00Z", datetime(2022, 5, 24, 10, tzinfo=UTC)),
        ("2022-05-24T10:00:00.123456789Z", datetime(2022, 5, 24, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2022-05-24", datetime(2022, 5, 24, tzinfo=UTC)),
        ("2022-13-99T10:00:00Z", NOW),
        ("yesterday", NOW),
        (None, NOW),
        ("2199-01-01T00:00:00Z", NOW),
        ("0001-01-01T00:00:00+23:59", NOW),
    ],
)
def test_warc_dates(date: str | None, captured: datetime) -> None:
    assert decode(http(page(1)), WARC_Date=date).captured == captured


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.1 200\r\nContent-Type: text/html\r\n\r\n<p>x",
        b"HTTP/1.0 200 OK\nContent-Type: text/html\nno colon here\n\n<p>x",
        b"\r\nHTTP/2 200\r\ncontent-type:text/html\r\n: empty\r\n\r\n<p>x",
        b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/html\r\nX: \xff\xfe\r\n\r\n<p>x",
    ],
)
def test_http_is_read_leniently(block: bytes) -> None:
    got = decode(block)
    assert (got.body, got.header("Content-Type")) == (b"<p>x", "text/html")


def test_notes_count_only_where_they_are_ours(tmp_path: Path) -> None:
    said = b'{"feed": "https://f.example/", "entry": {"a": 1}}'
    note = record(
        said,
        "metadata",
        Content_Type="application/json",
        WARC_Concurrent_To="<urn:uuid:1>",
        WARC_Record_ID="<urn:uuid:0>",
    )
    answer = record(http(page(1), status="404 Not Found"), WARC_Record_ID="<urn:uuid:1>")
    stranger = record(http(page(2)), WARC_Record_ID="<urn:uuid:2>")
    path = tmp_path / "a.warc"
    path.write_bytes(note + answer + stranger)
    first, second = items(path)
    assert isinstance(first, Raw)
    assert isinstance(second, Raw)
    ours = archive.decode(first, now=NOW, trusted=True)
    assert isinstance(ours, Capture)
    assert (ours.feed, ours.entry, ours.status) == ("https://f.example/", {"a": 1}, 404)
    assert second.note is None
    foreign = archive.decode(first, now=NOW)
    assert isinstance(foreign, Rejection)
    assert foreign.reason == "status-404"


def test_digests_count_only_where_they_are_ours() -> None:
    wrong = record(http(page(1)), WARC_Block_Digest="sha256:" + "0" * 64, WARC_Payload_Digest="sha1:AAAA")
    raw = Raw("record", wrong[:-4], None, "x", 0, 0)
    assert isinstance(archive.decode(raw, now=NOW), Capture)
    ours = archive.decode(raw, now=NOW, trusted=True)
    assert isinstance(ours, Rejection)
    assert ours.reason == "digest-mismatch"


# JSON Lines
def test_a_line_with_everything() -> None:
    got = line(
        {
            "id": 17, "url": "https://n.example/1", "title": "T", "text": "words", "html": "<p>words", "language": "en",
            "published": "2022-05-24T10:00:00+03:00", "source": "n.example", "authors": ["A", "B"],
            "first_seen": "2022-05-24T09:00:00Z", "more": {"kept": "out"},
        }
    )  # fmt: skip
    assert got == Line(
        "17", "https://n.example/1", "T", "<p>words", "words", "2022-05-24T10:00:00+03:00", "n.example", "en",
        ("A", "B"), datetime(2022, 5, 24, 9, tzinfo=UTC), "x.jsonl line 7", number=7,
    )  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        {"id": 1, "text": "x"},
        {"text": "no address, no title, no date"},
        {"id": "a", "url": None, "text": "", "title": "Only a title"},
        {"id": 1, "text": "x", "first_seen": "whenever", "authors": "One Name"},
        {"id": 1, "text": "x", "first_seen": 5, "authors": None, "published": 20220524},
        {"url": "u", "html": "<p>x", "authors": [{"name": "A"}, None, " "]},
        b'{"id": 1, "text": "x", "score": NaN, "other": -Infinity}',
        b'{"id": 1, "id": 2, "text": "twice"}',
        b'{"id": 1, "text": "half \\ud83d a pair", "title": "\\udc00"}',
        b'{"id": 1, "text": "caf\xe9"}\r',
        b'{"id": 1, "text": "tab\tand control \x01"}'.replace(b"\t", b"\\t").replace(b"\x01", b"\\u0001"),
        b'  {"id": 12345678901234567890123, "text": "x"}  ',
    ],
)
def test_a_line_with_text_is_kept(value: object) -> None:
    got = line(value)
    assert isinstance(got, Line)
    for said in (got.text, got.title, got.guid):
        (said or "").encode()  # no half surrogate is left
    assert all(name.strip() for name in got.authors)


def test_numbers_become_strings_and_bytes_text() -> None:
    assert line({"id": 12345678901234567890123, "text": "x"}).guid == "12345678901234567890123"
    assert line(b'{"id": 1, "text": "half \\ud83d."}').text == "half \ufffd."
    assert line(b'{"id": 1, "text": "caf\xe9"}').text == "café"
    assert line({"id": 0, "text": "x"}).guid == "0"
    assert line({"id": 1, "text": "x", "authors": "One Name"}).authors == ("One Name",)


@pytest.mark.parametrize(
    ("authors", "taken", "why"),
    [
        ("One Name", ("One Name",), ""),
        (None, (), ""),
        ([], (), ""),
        (["A", None, " "], ("A",), ""),
        ({"name": "A", "url": "https://a.example"}, ("A",), ""),
        ([{"name": "A"}, {"name": "B"}], ("A", "B"), ""),
        (17, (), "a JSON number"),
        (True, (), "a JSON true or false"),
        (["A", 5, "B"], ("A", "B"), "a JSON number"),
        ([["A"], "B"], ("B",), "a JSON array"),
        ([{"url": "https://a.example"}, "B"], ("B",), "a JSON object"),
        ({"name": ["A"]}, (), "a JSON object"),
    ],
)
def test_of_authors_what_can_be_taken_is_taken(authors: object, taken: tuple[str, ...], why: str) -> None:
    got = line({"id": 1, "text": "x", "authors": authors})
    assert isinstance(got, Line)
    assert got.authors == taken
    lost = [Dropped("authors", f"`authors` has {why} where a name is expected", "x.jsonl line 7")] if why else []
    assert list(got.dropped) == lost


def test_what_python_cannot_nest_is_read_where_another_reader_can() -> None:
    data = b'{"id": 1.5, "text": "x", "more": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert getattr(archive.decode(Raw("line", data, None, "a line 1", 1, 1), now=NOW), "reason", "") == "not-json"


def test_lines_that_a_crash_padded_with_zeros_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": 1, "text": "x"}\n' + b"\0" * 5000)
    line, padding = (archive.decode(item, now=NOW) for item in archive.read(only(path)) if isinstance(item, Raw))
    assert isinstance(line, Line)
    assert isinstance(padding, Rejection)


@pytest.mark.parametrize("packed", [False, True])
def test_a_warc_that_brings_its_own_dictionary(tmp_path: Path, packed: bool) -> None:
    records = [record(http(page(n))) for n in range(200)]
    dictionary = zstandard.train_dictionary(4096, records)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    frame = zstandard.compress(dictionary.as_bytes()) if packed else dictionary.as_bytes()
    head = b"\x5d\x2a\x4d\x18" + len(frame).to_bytes(4, "little") + frame
    path = tmp_path / "a.warc.zst"
    path.write_bytes(head + b"".join(compressor.compress(each) for each in records))
    found = items(path)
    assert [item.data.strip() for item in found if isinstance(item, Raw)] == [each.strip() for each in records]
    assert [item.data for item in archive.read(only(path), found[20].position)] == [item.data for item in found[21:]]
    cut = path.read_bytes()
    path.write_bytes(cut[:-20])
    *whole, lost = items(path)
    assert (len(whole), isinstance(lost, Refused)) == (199, True)


def test_what_is_known_beside_the_text_and_of_another_type_is_dropped_by_name() -> None:
    fields = ("url", "title", "published", "source", "language", "first_seen")
    got = line({"id": 1, "text": "x", **{name: ["x"] for name in fields}})
    assert isinstance(got, Line)
    assert (got.url, got.title, got.published, got.source, got.language, got.first_seen) == (None,) * 6
    assert [(lost.field, lost.detail) for lost in got.dropped] == [
        (name, f"`{name}` is a JSON array, not a string") for name in fields
    ]
    assert line({"id": 1, "text": "x", **dict.fromkeys(fields)}).dropped == ()
    assert line({"id": 1, "text": "x", **dict.fromkeys(fields, "")}).dropped == ()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"{", "not-json"),
        (b"not json", "not-json"),
        (b"\xff\xfe\x00", "not-json"),
        (b'{"a":' * 100_000, "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'{"id": ' + b"9" * 5000 + b', "text": "x"', "not-json"),
        ([{"id": 1, "text": "x"}], "not-an-object"),
        ("text", "not-an-object"),
        (None, "not-an-object"),
        ({}, "no-text"),
        ({"id": 1, "title": "x"}, "no-text"),
        ({"html": "<p>x"}, "no-id"),
        ({"id": "", "html": "<p>x"}, "no-id"),
        ({"id": 1, "text": ["x"]}, "wrong-type"),
        ({"id": {"a": 1}, "text": "x"}, "wrong-type"),
        ({"id": True, "text": "x"}, "wrong-type"),
        ({"id": 1, "text": "x", "html": {"body": "x"}}, "wrong-type"),
        ({"id": 1, "html": " \n"}, "empty"),
    ],
)
def test_lines_that_are_none(value: object, name: str) -> None:
    got = line(value)
    assert isinstance(got, Rejection)
    assert got.reason == name
    assert got.detail.startswith("line 7: ")
    assert len(got.detail) < 200


def test_a_line_with_text_is_none_of_them_however_little_it_says() -> None:
    for value in ({"id": 1, "text": ""}, {"text": "x"}, {"id": 1, "text": "\n"}):
        assert isinstance(line(value), Line)
    both = line({"id": 1, "text": " ", "html": "<p>x"})
    assert isinstance(both, Line)
    assert (both.text, both.html) == (None, "<p>x")  # the one that says something


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1, "text": "a"}\r\n\r\n  \nrubbish\n{"id": 2, "text": "b"}')
    found = list(archive.read(only(path)))
    decoded = [archive.decode(item, now=NOW) for item in found if isinstance(item, Raw)]
    assert [type(each) for each in decoded] == [Line, Rejection, Line]
    assert [item.where.rpartition(" ")[2] for item in found] == ["1", "4", "5"]
    assert found[-1].done == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.jsonl", bytes),
        ("a.ndjson", bytes),
        ("a.json", bytes),
        ("a.jsonl.gz", gzip.compress),
        ("a.jsonl.gz", bytes),
        ("a.jsonl.gz", lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])),
        ("a.jsonl.xz", lzma.compress),
        ("a.jsonl.xz", lambda data: lzma.compress(data[:1000]) + b"\0" * 8 + lzma.compress(data[1000:])),
        ("a.jsonl.zst", zstandard.compress),
        ("a.jsonl", lambda data: data.decode().encode("utf-16")),
        ("a.jsonl.zst", lambda data: zstandard.compress(data.decode().encode("utf-16"))),
        ("a.jsonl.gz", lambda data: gzip.compress(data.decode().encode("utf-16"))),
    ],
)
def test_every_kind_of_lines(tmp_path: Path, name: str, pack: Any) -> None:
    path = tmp_path / name
    path.write_bytes(pack(b"".join(json.dumps({"id": n, "text": "é" * (n + 1)}).encode() + b"\n" for n in range(300))))
    found = [archive.decode(item, now=NOW) for item in archive.read(only(path)) if isinstance(item, Raw)]
    assert [each.guid for each in found if isinstance(each, Line)] == [str(n) for n in range(300)]


@pytest.mark.parametrize("codec", ["gzip", "xz", "zstd"])
def test_a_damaged_stream_of_lines_keeps_what_is_before(tmp_path: Path, codec: str) -> None:
    rng = random.Random(5)
    lines = [json.dumps({"id": n, "text": rng.randbytes(30).hex()}).encode() + b"\n" for n in range(400)]
    plain = b"".join(lines)
    checked = zstandard.ZstdCompressor(write_checksum=True)
    suffix, pack, new = {
        "gzip": (".gz", gzip.compress, lambda: zlib.decompressobj(31)),
        "xz": (".xz", lzma.compress, lzma.LZMADecompressor),
        "zstd": (".zst", checked.compress, lambda: zstandard.ZstdDecompressor().decompressobj()),
    }[codec]
    data = pack(plain)
    path = tmp_path / f"a.jsonl{suffix}"
    for at in (len(data) // 3, len(data) // 2, len(data) - 30):
        path.write_bytes(data[:at])
        *kept, lost = items(path, "lines")
        whole = new().decompress(data[:at])
        assert [item.data + b"\n" for item in kept if isinstance(item, Raw)] == lines[: whole.count(b"\n")]
        assert isinstance(lost, Refused)
        assert lost.detail.startswith(f"damaged from byte {len(whole)}: truncated")
        torn = bytearray(data)
        torn[at] ^= 255
        path.write_bytes(torn)
        *kept, lost = items(path, "lines")
        assert isinstance(lost, Refused)
        assert lost.detail.startswith("damaged from byte ")
        before = new().decompress(data[: at - 1]).count(b"\n")
        if codec != "zstd":  # which gives whole blocks of 128 KB
            assert len(kept) >= before
        assert [item.data + b"\n" for item in kept[:before] if isinstance(item, Raw)] == lines[: len(kept[:before])]


def test_a_line_that_is_too_long_is_one_rejection(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = b'{"id": 2, "text": "' + b"x" * (archive.LINE_MAX + 5) + b'"}'
    for data in (b'{"id": 1, "text": "a"}\n' + long + b'\n{"id": 3, "text": "c"}\n', long):
        path.write_bytes(data)
        found = items(path, "lines")
        (lost,) = refused(found)
        assert lost.reason == "too-large"
        assert len(found) == (3 if data != long else 1)


# folders and files
def test_a_folder_of_everything(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_bytes(page(1))
    (tmp_path / "a.TXT").write_text("\n The title \r\nFirst paragraph.\n\nSecond.\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.htm").write_bytes(page(2))
    (tmp_path / "b_files").mkdir()
    (tmp_path / "b_files" / "advert.html").write_bytes(page(3))
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "x.warc.gz").write_bytes(warc())
    (tmp_path / "y.jsonl").write_text('{"id": 1, "text": "x"}\n')
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress(b"\n"))
    (tmp_path / "broken.warc.gz").write_bytes(b"rubbish")
    folder, first, second, third = archive.sources([str(tmp_path)])
    assert (folder.kind, first.kind, second.kind, third.kind) == ("folder", "warc", "lines", "empty")
    assert [Path(file.path).name for file in folder.skipped] == ["broken.warc.gz", "b_files", "photo.jpg"]
    assert folder.skipped[0].why.startswith("skipped, it holds no WARC record; expected a WARC file. It is damaged")
    assert [(Path(file.path).name, file.why) for file in third.skipped] == [
        ("z.jsonl.gz", "is empty, there is nothing to read")
    ]
    assert list(archive.read(third)) == []
    read = list(archive.read(folder))
    assert [Path(item.where).name for item in read] == ["a.TXT", "b.html", "c.htm"]
    assert read[-1].done == folder.size
    assert list(archive.read(folder, read[0].position)) == read[1:]
    text, html = (archive.decode(item, now=NOW) for item in read[:2] if isinstance(item, Raw))
    assert isinstance(text, Line)
    assert isinstance(html, Line)
    assert (text.title, text.text, text.html) == ("The title", "First paragraph.\n\nSecond.", None)
    assert (html.html, html.url, html.guid) == (page(1).decode(), None, None)


def test_of_a_folder_what_is_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(page(1))
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "loop.html").symlink_to("loop.html")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.html")).write_bytes(page(2))
    here = Path.cwd()
    os.chdir(tmp_path)
    try:  # folders that are too deep to be opened by their path
        for _ in range(18):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        Path("b.html").write_bytes(page(3))
    finally:
        os.chdir(here)
    (folder,) = archive.sources([str(tmp_path)])
    told = {Path(file.path).name: file.why for file in folder.skipped}
    assert told == {
        "round": "skipped, links to folders are not followed; give the path of the folder itself",
        "loop.html": "skipped, no page and no archive",
        "d" * 250: "skipped, the folder cannot be read (File name too long)",
    }
    assert [item.where for item in archive.read(folder)] == [str(tmp_path / "a.html"), f"{tmp_path}/caf\ufffd.html"]
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "round").symlink_to(tmp_path)
    with pytest.raises(NotAnArchive, match="links to folders are not followed"):
        archive.sources([str(tmp_path / "only")])


def saved(data: bytes, name: str = "a.html") -> Any:
    return archive.decode(Raw("file", data, None, name, 1, 1), now=NOW)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("<p>café".encode(), "café"),
        ("\ufeff<p>café".encode(), "café"),
        ("<p>café".encode("utf-16"), "café"),
        ("<p>café “quoted”".encode("windows-1252"), "café “quoted”"),
        ("<meta charset=iso-8859-1><p>“quoted”".encode("windows-1252"), "“quoted”"),
        ('<meta http-equiv=x content="text/html; charset=koi8-r"><p>мост'.encode("koi8-r"), "мост"),
        ("<meta charset=koi8-r><p>мост".encode(), "мост"),
        ("<meta charset='gb2312'><p>桥".encode("gbk"), "桥"),
        ("<meta charset=zip><p>caf\xe9".encode("latin-1"), "café"),
        (("<p>" + "мост восстановлен, колонна прошла через город. " * 20).encode("windows-1251"), "мост восстановлен"),
        (("<p>" + "café, naïve. " * 50).encode() + b"\xff", "café"),
    ],
)  # fmt: skip
def test_the_encoding_of_a_saved_page(data: bytes, shown: str) -> None:
    got = saved(data)
    assert shown in got.html


def test_where_a_page_was_saved_from() -> None:
    mark = b"<!DOCTYPE html>\n<!-- saved from url=(0026)https://news.example/s?a=1 -->\n<html>"
    assert saved(mark).url == "https://news.example/s?a=1"
    single = (
        b"<!DOCTYPE html><html><!--\n Page saved with SingleFile \n url: https://news.example/s \n saved date: x\n-->"
    )
    assert saved(single).url == "https://news.example/s"
    assert saved(b"<!-- saved from url=(0011)javascript:x --><p>x").url is None
    assert saved(b"<p>x").url is None


def test_files_that_are_none() -> None:
    assert saved(b"").reason == "empty"
    assert saved(b"\x00\x01\x02PNG").reason == "binary"
    assert saved(b"One line only", "a.txt").title == "One line only"
    assert saved(b"One line only", "a.txt").text == ""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.warc.gz", b""),
        ("a.warc.gz", b"<html>not found"),
        ("a.warc.gz", gzip.compress(b"hello", mtime=0)),
        ("a.warc", b"\x89PNG\r\n\x1a\n" + b"\0" * 100),
        ("a.jsonl", b""),
        ("a.jsonl", b" \n\n"),
        ("a.jsonl", b"\x89PNG\0"),
        ("a.jsonl", b"<!DOCTYPE html><html>"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00rubbish"),
        ("a.jsonl.bz2", bz2.compress(b'{"id": 1, "text": "x"}\n')),
        ("a.json", b'[{"id": 1, "text": "x"}]'),
        ("a.json", b'{\n "id": 1,\n "text": "x"\n}'),
        ("a.pdf", b"%PDF-1.4"),
        ("a.mp4", b"\0\0\0\x18ftyp"),
    ],
)
def test_an_archive_that_is_none_is_named_in_one_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(NotAnArchive) as caught:
        archive.sources([str(path)])
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "expected" in said
    assert "\n" not in said


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(NotAnArchive, match="expected"):
            archive.sources([str(path)])


EMPTY = {"a.jsonl": b"", "b.jsonl.gz": gzip.compress(b""), "c.warc.gz": b"", "d.jsonl": b" \n", "e.txt": b""}


def test_what_is_empty_is_named_beside_others_and_refused_alone(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in EMPTY]
    for path in paths:
        path.write_bytes(EMPTY[path.name])
        with pytest.raises(NotAnArchive, match=r"is empty; expected .* See whether what writes it came to its end"):
            archive.sources([str(path)])
    with pytest.raises(NotAnArchive, match="is empty, and 4 more as well; expected"):
        archive.sources([*map(str, paths)])
    good = tmp_path / "good.jsonl"
    good.write_text('{"id": 1, "text": "x"}\n')
    assert [source.kind for source in archive.sources([*map(str, paths), str(good)])] == ["empty"] * 5 + ["lines"]


def test_a_folder_of_broken_archives_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(b"<html>busy</html>")
    with pytest.raises(NotAnArchive) as caught:
        archive.sources([str(tmp_path)])
    assert str(caught.value).startswith(
        f"{tmp_path}/a.warc.gz: holds no WARC record; expected a WARC file. It is damaged"
    )


# size
def test_memory_is_bounded_whatever_the_size(tmp_path: Path) -> None:
    """200 MB each of a plain WARC, a WARC in one gzip stream and JSON Lines, read in a process of its own."""
    program = textwrap.dedent("""
        import resource, sys
        from ingest import archive
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        counts = []
        for path in sys.argv[1:]:
            (source,) = archive.sources([path])
            counts.append(sum(isinstance(item, archive.Raw) for item in archive.read(source)))
        print(*counts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    block = http(b"<p>" + b"The same convoy again and again. " * 6_000)
    one = record(block)
    count = 200_000_000 // len(one)
    row = json.dumps({"id": 1, "text": "word " * 400}).encode() + b"\n"
    with (tmp_path / "a.warc").open("wb") as file:
        for _ in range(count):
            file.write(one)
    with gzip.open(tmp_path / "b.warc.gz", "wb", compresslevel=1) as packed:
        for _ in range(count):
            packed.write(one)
    with (tmp_path / "c.jsonl").open("wb") as file:
        for _ in range(100):
            file.write(row * 1_000)
    paths = [str(tmp_path / name) for name in ("a.warc", "b.warc.gz", "c.jsonl")]
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
    plain, stream, lines, grown = map(int, done.stdout.split())
    assert (plain, stream, lines) == (count, count, 100_000)
    assert grown < 30_000  # KB


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (
            "record",
            b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: <https://n.example/a?b>\r\n\r\nx",
            "https://n.example/a?b",
        ),
        ("record", b"WARC/1.1\r\nwarc-target-uri:http://n.example/\xff\r\n\r\n", "http://n.example/\ufffd"),
        ("record", b"WARC/1.1\r\n\r\n\x00", None),
        ("line", b'{"id": 1, "url" : "https://n.example/1", "html": "' + b"<" * 99 + b'"}', "https://n.example/1"),
        ("line", b'{"url": "file:///etc/passwd"}', None),
        ("line", b'{"url": ["https://n.example/1"]', None),
        ("file", b"<a href='https://n.example/1'>", None),
    ],
)
def test_a_piece_names_its_address_without_being_decoded(kind: str, data: bytes, expected: str | None) -> None:
    assert archive.address(Raw(kind, data, None, "here", 0, len(data))) == expected
