"""The door to the network: what it brings, what it refuses, and that nobody is asked too much."""

from __future__ import annotations

import gzip
import ipaddress
import itertools
import logging
import random
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import brotli
import pytest
import zstandard

from ingest.errors import SettingsError
from ingest.fetch import REASONS, Fetched, Fetcher, Request, guard, robots
from ingest.fetch.reasons import retry_after
from ingest.settings import Settings, load
from tests.servers import Answer, Endless, FaultServer, Raw, Reply, Seen, chunks, encoded, redirect

LOOPBACK = "127.0.0.0/8,::1/128"
TEXT = b"<rss><channel><title>Harbour news</title></channel></rss>" * 50
NOISE = random.Random(3).randbytes(60_000)  # cannot be compressed, so a cut hits the middle of it
OK = b"HTTP/1.1 200 OK\r\n"


def settings(allow: str = LOOPBACK, **more: str) -> Settings:
    return load({"SITREP_HOME": "unused", "SITREP_ALLOW_ADDRESSES": allow, **more})


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(settings(), deadline=5) as running:
        yield running


def feed(url: str, **more: Any) -> Request:
    return Request(url, "feed", **{"delay": 0, **more})


def page(url: str, **more: Any) -> Request:
    return Request(url, "page", **{"delay": 0, **more})


def body(fetched: Fetched) -> bytes:
    assert fetched.status == "ok", (fetched.reason, fetched.detail)
    return fetched.responses[-1].body


# --- what it brings --------------------------------------------------------------------------------------------------


def test_an_answer_comes_whole_with_its_headers_and_clock(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT, {"Content-Type": "application/rss+xml", "X-Two": "a"}))
    before = datetime.now(UTC)
    fetched = fetcher.get(feed(server.url("/feed?key=1"), tag="mine"))
    [capture] = fetched.responses
    assert (fetched.status, fetched.reason, fetched.request.tag) == ("ok", "", "mine")
    assert (capture.status, capture.body, capture.addresses) == (200, TEXT, ())
    assert capture.url == server.url("/feed?key=1")
    assert ("X-Two", "a") in capture.headers
    assert before <= capture.captured <= datetime.now(UTC)


def test_it_says_who_asks(server: FaultServer) -> None:
    with Fetcher(settings(SITREP_CONTACT="desk@news.example")) as fetcher:
        fetcher.get(page(server.url("/story")))
    assert server.paths() == ["/robots.txt", "/story"]
    for seen in server.requests:
        assert seen.headers["user-agent"].startswith("sitrep/")
        assert "desk@news.example" in seen.headers["user-agent"]
        assert seen.headers["accept-encoding"] == "gzip, deflate, br, zstd"


def test_whom_to_write_to_may_be_of_any_script(server: FaultServer) -> None:
    server.on("/feed", Reply(200, TEXT))
    with Fetcher(settings(SITREP_CONTACT="Олена <olena@news.example>")) as fetcher:
        assert body(fetcher.get(feed(server.url("/feed")))) == TEXT
    assert "Олена <olena@news.example>" in server.requests[0].headers["user-agent"].encode("latin-1").decode()


def test_what_comes_before_an_answer_is_passed_over(server: FaultServer, fetcher: Fetcher) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + TEXT
    server.on("/feed", Raw(b"HTTP/1.1 102 Processing\r\n\r\n", early, whole))
    server.on("/endless", Endless(b"", early))
    assert body(fetcher.get(feed(server.url("/feed")))) == TEXT
    assert fetcher.get(feed(server.url("/endless"))).reason == "too-large"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "gzip, br, zstd, deflate", "x-gzip"])
@pytest.mark.parametrize("chunked", [True, False])
def test_content_codings_are_undone(server: FaultServer, fetcher: Fetcher, coding: str, chunked: bool) -> None:
    content = encoded(NOISE, coding.replace("x-", ""))
    server.on("/feed", Reply(200, content, {"Content-Encoding": coding}, chunked=chunked))
    fetched = fetcher.get(feed(server.url("/feed")))
    assert body(fetched) == NOISE
    assert fetched.responses[-1].header("content-encoding") == coding


def raw_deflate(data: bytes) -> bytes:
    maker = zlib.compressobj(wbits=-15)
    return maker.compress(data) + maker.flush()


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("deflate", raw_deflate(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        ("gzip", gzip.compress(TEXT) + b"\0" * 300),
        ("zstd", zstandard.compress(TEXT[:100]) + zstandard.compress(TEXT[100:])),
        ("identity", TEXT),
        ("utf-8", TEXT),
        ("None, gzip", gzip.compress(TEXT)),
    ],
    ids=["raw deflate", "two members", "padding", "two frames", "identity", "a charset for a coding", "none and gzip"],
)
def test_odd_codings_that_browsers_read(server: FaultServer, fetcher: Fetcher, coding: str, content: bytes) -> None:
    server.on("/feed", Reply(200, content, {"Content-Encoding": coding}))
    assert body(fetcher.get(feed(server.url("/feed")))) == TEXT


def test_nothing_changed(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT).validated('"v1"', "Tue, 24 Nov 2026 08:00:00 GMT"))
    first = fetcher.get(feed(server.url("/feed")))
    etag, modified = (first.responses[-1].header(name) for name in ("etag", "last-modified"))
    again = fetcher.get(feed(server.url("/feed"), etag=etag, last_modified=modified))
    assert (again.status, again.reason) == ("unchanged", "")
    assert again.responses[-1].status == 304
    assert server.requests[-1].headers["if-modified-since"] == modified


def test_nothing_changed_for_one_who_had_nothing(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(304))
    assert fetcher.get(feed(server.url("/feed"))).reason == "bad-response"


def test_a_validator_cannot_smuggle_a_header(server: FaultServer, fetcher: Fetcher) -> None:
    fetcher.get(feed(server.url("/feed"), etag='"a"\r\nX-Evil: 1', last_modified="caf\u0119"))
    assert not {"x-evil", "if-none-match", "if-modified-since"} & server.requests[-1].headers.keys()


def test_connections_are_kept(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT))
    for _ in range(5):
        assert body(fetcher.get(feed(server.url("/feed")))) == TEXT
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_opened_again(server: FaultServer, fetcher: Fetcher) -> None:
    head = OK + b"Content-Length: 2\r\n\r\nok"
    server.on("/feed", Raw(head))  # says nothing of closing, and closes
    results = [fetcher.get(feed(server.url("/feed"))) for _ in range(4)]
    assert [body(result) for result in results] == [b"ok"] * 4


# --- redirects -------------------------------------------------------------------------------------------------------


def test_hops_are_told(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/a", redirect("/b#part", 301, body=b"over there"))
    server.on("/b", redirect(server.url("/c"), 308))
    server.on("/c", Reply(200, TEXT))
    fetched = fetcher.get(feed(server.url("/a")))
    a, b, c = (server.url(path) for path in ("/a", "/b", "/c"))
    assert [(hop.url, hop.status, hop.addresses) for hop in fetched.responses] == [
        (a, 301, ()),
        (b, 308, (a,)),
        (c, 200, (a, b)),
    ]
    assert fetched.responses[0].body == b"over there"
    assert fetched.moved_to == c


@pytest.mark.parametrize("status", [302, 303, 307])
def test_passing_redirects_move_nothing(server: FaultServer, fetcher: Fetcher, status: int) -> None:
    server.on("/a", redirect("/b", 301))
    server.on("/b", redirect("/c", status))
    server.on("/c", Reply(200, TEXT))
    fetched = fetcher.get(feed(server.url("/a")))
    assert (fetched.status, fetched.moved_to) == ("ok", None)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", "bad-redirect"),
        ("javascript:alert(1)", "bad-redirect"),
        ("ftp://127.0.0.1/feed", "bad-redirect"),
        ("http://[::1", "bad-redirect"),
        ("http://127.0.0.1:99999/", "bad-redirect"),
        ("http://", "bad-redirect"),
        ("/start", "bad-redirect"),
        ("//10.0.0.1/", "private-address"),
        ("http://169.254.169.254/latest/meta-data", "private-address"),
        ("http://2130706433:1/", "connect"),  # 127.0.0.1 in disguise, which these tests may dial
    ],
)
def test_redirects_that_are_refused(server: FaultServer, fetcher: Fetcher, location: str, reason: str) -> None:
    server.on("/start", redirect(location))
    fetched = fetcher.get(feed(server.url("/start")))
    assert (fetched.status, fetched.reason) == ("failed", reason)
    assert fetched.responses[-1].status == 302


@pytest.mark.parametrize(("written", "asked"), [("/стаття", "/стаття"), ("/caf\udce9", "/café")])
def test_a_redirect_may_be_written_unescaped(server: FaultServer, fetcher: Fetcher, written: str, asked: str) -> None:
    location = written.encode("utf-8", "surrogateescape")
    server.on("/a", Raw(b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"))
    server.on(quote(asked), Reply(200, TEXT))
    assert body(fetcher.get(feed(server.url("/a")))) == TEXT


def test_a_redirect_without_a_target_and_a_circle_of_two(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/none", Reply(301))
    server.on("/a", redirect("/b"))
    server.on("/b", redirect("/a"))
    assert fetcher.get(feed(server.url("/none"))).reason == "bad-redirect"
    assert fetcher.get(feed(server.url("/a"))).reason == "bad-redirect"


def test_five_hops_and_no_more(server: FaultServer, fetcher: Fetcher) -> None:
    for hop in range(7):
        server.on(f"/{hop}", redirect(f"/{hop + 1}"))
    server.on("/7", Reply(200, TEXT))
    assert fetcher.get(feed(server.url("/2"))).status == "ok"
    fetched = fetcher.get(feed(server.url("/0")))
    assert fetched.reason == "too-many-redirects"
    assert len(fetched.responses) == 6


def test_another_origin_gets_neither_credentials_nor_validators(server: FaultServer, fetcher: Fetcher) -> None:
    with FaultServer() as other:
        server.on("/feed", redirect("/near"))
        server.on("/near", redirect(other.url("/feed")))
        other.on("/feed", redirect(server.url("/back")))
        server.on("/back", Reply(200, TEXT))
        url = server.url("/feed").replace("http://", "http://reader:pass%20word@")
        fetched = fetcher.get(feed(url, etag='"v1"'))
        own, near, back = server.requests
        [foreign] = other.requests
    assert own.headers["authorization"] == near.headers["authorization"] == "Basic cmVhZGVyOnBhc3Mgd29yZA=="
    assert own.headers["if-none-match"] == '"v1"'
    for seen in (foreign, back):
        assert not {"authorization", "if-none-match", "cookie"} & seen.headers.keys()
    assert "reader" not in "".join(hop.url for hop in fetched.responses)


def test_the_body_of_a_redirect_is_not_worth_waiting_for(server: FaultServer, fetcher: Fetcher) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    server.on("/a", Reply(302, bomb, {"Location": "/b", "Content-Encoding": "gzip"}))
    server.on("/b", Reply(200, TEXT))
    fetched = fetcher.get(feed(server.url("/a")))
    assert body(fetched) == TEXT
    assert len(fetched.responses[0].body) <= 64 * 1024


# --- what answers mean -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "unexpected-status"),
        (401, "blocked"),
        (403, "blocked"),
        (404, "not-found"),
        (410, "gone"),
        (418, "unexpected-status"),
        (451, "blocked"),
        (500, "server-error"),
        (503, "server-error"),
        (599, "server-error"),
        (204, "unexpected-status"),
        (206, "unexpected-status"),
        (300, "unexpected-status"),
    ],
)
def test_statuses(server: FaultServer, fetcher: Fetcher, status: int, reason: str) -> None:
    server.on("/feed", Reply(status, b"" if status == 204 else b"sorry"))
    fetched = fetcher.get(feed(server.url("/feed")))
    assert (fetched.status, fetched.reason) == ("failed", reason)
    assert fetched.responses[-1].status == status
    assert reason in REASONS


CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>wait</body></html>"


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, CHALLENGE, {"Content-Type": "text/html"}),
        Reply(403, CHALLENGE, {"Content-Type": "text/html"}),
        Reply(503, CHALLENGE, {"Content-Type": "text/html", "Retry-After": "10"}),
        Reply(429, CHALLENGE, {"Content-Type": "text/html"}),
        Reply(503, b"", {"cf-mitigated": "challenge"}),
        Reply(202, b"", {"x-amzn-waf-action": "challenge"}),
        Reply(200, b"<html><script src='https://ct.captcha-delivery.com/c.js'></script>"),
    ],
)
def test_a_page_that_asks_for_a_human_is_no_answer(server: FaultServer, fetcher: Fetcher, answer: Reply) -> None:
    server.on("/story", answer)
    assert fetcher.get(feed(server.url("/story"))).reason == "blocked"


def test_a_story_about_challenges_is_one(server: FaultServer, fetcher: Fetcher) -> None:
    story = b"<html><title>Why every site now asks: just a moment</title><p>Captcha, Access denied, robots.</p></html>"
    server.on("/story", Reply(200, story, {"Content-Type": "text/html"}))
    assert body(fetcher.get(page(server.url("/story")))) == story


@pytest.mark.parametrize("title", ["Access denied to aid convoy", "Security check fails at the airport", "Captcha?"])
def test_a_feed_is_one_whatever_its_stories_are_called(server: FaultServer, fetcher: Fetcher, title: str) -> None:
    story = f"<html><head><title>{title}, envoys say</title></head><p>They were turned back.</p></html>".encode()
    told = f"<?xml version='1.0'?><rss><channel><item><title>{title}</title></item></channel></rss>".encode()
    server.on("/story", Reply(200, story, {"Content-Type": "text/html"}))
    server.on("/feed", Reply(200, told, {"Content-Type": "text/html"}))
    assert body(fetcher.get(page(server.url("/story")))) == story
    assert body(fetcher.get(feed(server.url("/feed")))) == told
    told = (
        b'{"version": "https://jsonfeed.org/version/1.1", "items": [{"content_html": "<title>Access denied</title>"}]}'
    )
    server.on("/json", Reply(200, told, {"Content-Type": "text/html"}))
    assert body(fetcher.get(feed(server.url("/json")))) == told


@pytest.mark.parametrize("title", ["Access Denied", "Just a moment...", "Captcha required", "Security check | Anguard"])
def test_the_title_of_a_guard_is_all_that_it_says(server: FaultServer, fetcher: Fetcher, title: str) -> None:
    server.on("/story", Reply(200, f"<html><title>{title}</title>".encode(), {"Content-Type": "text/html"}))
    assert fetcher.get(page(server.url("/story"))).reason == "blocked"


NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("1", 60),
        ("-5", 60),
        ("1e9", 60),
        ("315360000", 86_400),
        ("9" * 5000, 86_400),
        (format_datetime(NOW + timedelta(hours=2), usegmt=True), 7200),
        (format_datetime(NOW - timedelta(hours=2), usegmt=True), 60),
        (format_datetime(NOW + timedelta(days=3652), usegmt=True), 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("soon", 60),
        ("", 60),
        ("Tue, 99 Nov 2026 99:99:99 GMT", 60),
    ],
)
def test_when_to_come_back(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "answer", [Reply(429, headers={"Retry-After": "7200"}), Reply(503, headers={"Retry-After": "7200"})]
)
def test_a_host_that_wants_peace_gets_it(server: FaultServer, answer: Reply) -> None:
    server.on("/1", Reply(200, TEXT))
    server.on("/2", answer)
    with Fetcher(settings()) as fetcher, FaultServer() as other:
        other.on("/feed", Reply(200, TEXT))
        requests = [feed(server.url(f"/{number}")) for number in range(1, 6)] + [feed(other.url("/feed"))]
        results = {fetched.request.url: fetched for fetched in fetcher.run(requests)}
        late = fetcher.get(feed(server.url("/6")))
    assert results[other.url("/feed")].status == "ok"
    assert (results[server.url("/2")].status, results[server.url("/2")].reason) == ("failed", "rate-limited")
    assert results[server.url("/2")].retry_after == 7200
    for fetched in [results[server.url(f"/{number}")] for number in (3, 4, 5)] + [late]:
        assert (fetched.status, fetched.reason) == ("waiting", "rate-limited")
        assert fetched.retry_after == pytest.approx(7200, abs=10)
    assert server.paths() == ["/1", "/2"]


# --- bodies and heads that lie ---------------------------------------------------------------------------------------

PACKED = gzip.compress(NOISE)
HALF = len(PACKED) // 2


def framed(content: bytes, *headers: bytes) -> Raw:
    return Raw(
        OK + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(content) + content
    )


def headed(*headers: bytes, content: bytes = b"") -> Raw:
    return Raw(OK + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + content)


BR, ZSTD, CODED = brotli.compress(NOISE, quality=1), zstandard.compress(NOISE), b"Content-Encoding: "
WRONG_SUM = PACKED[:-8] + bytes(4) + PACKED[-4:]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (headed(b"Content-Length: 5000", content=b"half"), "truncated"),
        (headed(b"Content-Length: 2", content=b"too long"), "bad-response"),
        (headed(b"Content-Length: -5", content=b"hello"), "bad-response"),
        (headed(b"Content-Length: five", content=b"hello"), "bad-response"),
        (headed(b"Content-Length: 5", b"Content-Length: 3", content=b"hello"), "bad-response"),
        (headed(b"Content-Length: 99999999999", content=b"hello"), "too-large"),
        (headed(b"Transfer-Encoding: chunked", content=chunks(TEXT)[:1500]), "truncated"),
        (headed(b"Transfer-Encoding: chunked", content=b"5\r\nhello\r\n"), "truncated"),
        (headed(b"Transfer-Encoding: chunked", content=b"zz\r\nhello\r\n0\r\n\r\n"), "truncated"),
        (headed(b"Transfer-Encoding: chunked", content=b"5;" + b"x" * 70_000 + b"\r\nhello"), "bad-response"),
        (headed(b"Transfer-Encoding: gzip, chunked", content=chunks(PACKED)), "bad-response"),
        (framed(PACKED[:HALF], CODED + b"gzip"), "truncated"),
        (framed(PACKED[:-4], CODED + b"gzip"), "truncated"),
        (Raw(OK + CODED + b"gzip\r\n\r\n" + PACKED[:HALF]), "truncated"),
        (framed(gzip.compress(PACKED[:HALF]), CODED + b"gzip, gzip"), "truncated"),
        (framed(zlib.compress(NOISE)[:HALF], CODED + b"deflate"), "truncated"),
        (framed(BR[: len(BR) // 2], CODED + b"br"), "truncated"),
        (framed(ZSTD[: len(ZSTD) // 2], CODED + b"zstd"), "truncated"),
        (framed(WRONG_SUM, CODED + b"gzip"), "bad-response"),
        (framed(TEXT, CODED + b"gzip"), "bad-response"),
        (framed(TEXT, CODED + b"br"), "bad-response"),
        (framed(TEXT, CODED + b"zstd"), "bad-response"),
        (framed(TEXT, CODED + b"lzma"), "bad-response"),
        (framed(TEXT, CODED + b", ".join([b"gzip"] * 100)), "bad-response"),
        (framed(TEXT, CODED + b"gzip, gzip, gzip", CODED + b"gzip, gzip, gzip"), "bad-response"),
        (headed(b"X-Long: " + b"a" * 1_000_000), "bad-response"),
        (headed(*[b"X-%d: a" % number for number in range(5000)]), "bad-response"),
        (headed(b"X-A: a\rX-Smuggled: b", b"Content-Length: 0"), "bad-response"),
        (headed(b"X-A: a\0b", b"Content-Length: 0"), "bad-response"),
        (headed(b"no header at all", b"Content-Length: 0"), "bad-response"),
        (Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000), "too-large"),
        (Raw(b"just text, as HTTP/0.9 had it"), "bad-response"),
        (Raw(b"HTTP/1.1 abc OK\r\n\r\n"), "bad-response"),
        (Raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "bad-response"),
        (Raw(b""), "bad-response"),
        (Raw(OK + b"Content-Length: 5000\r\n\r\nhalf", 0.1, reset=True), "truncated"),
        (Raw(0.05, reset=True), "bad-response"),
    ],
)
def test_a_body_or_head_that_lies_is_refused(
    server: FaultServer, fetcher: Fetcher, answer: Answer, reason: str
) -> None:
    server.on("/feed", answer)
    server.on("/next", Reply(200, TEXT))
    fetched, after = (fetcher.get(feed(server.url(path))) for path in ("/feed", "/next"))
    assert (fetched.status, fetched.reason) == ("failed", reason), fetched.detail
    assert fetched.responses == ()  # nobody can take a part for the whole
    assert body(after) == TEXT


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (Raw(b"HTTP/1.0 200 OK\r\n\r\n" + TEXT), TEXT),
        (Raw(OK + b"\r\n" + TEXT), TEXT),
        (Raw(OK.replace(b"\r", b"") + b"Content-Length: 5\n\nhello"), b"hello"),
        (headed(b"Content-Length: 5", b"Content-Length: 5", content=b"hello"), b"hello"),
        (headed(b"Content-Length: 5, 5", content=b"hello"), b"hello"),
        (headed(b"Content-Length: 5", content=b"hello\r\n"), b"hello"),
        (headed(b"Transfer-Encoding: chunked", content=b"5\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n"), b"hello"),
        (headed(b"X-Folded: a\r\n b", b"Content-Length: 5", content=b"hello"), b"hello"),
        (Raw(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello"), b"hello"),
        (Raw(OK + CODED + b"gzip\r\nContent-Length: 0\r\n\r\n"), b""),
    ],
)
def test_what_is_odd_but_clear_is_read(server: FaultServer, fetcher: Fetcher, answer: Answer, content: bytes) -> None:
    server.on("/feed", answer)
    fetched = fetcher.get(feed(server.url("/feed")))
    assert body(fetched) == content
    assert all("\n" not in value and "\r" not in value for _, value in fetched.responses[-1].headers)


ZEROS = b"\0" * 40_000_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "gzip, br"])
def test_a_bomb_is_stopped(server: FaultServer, fetcher: Fetcher, coding: str) -> None:
    server.on("/feed", Reply(200, ZEROS, coding=coding))
    assert fetcher.get(feed(server.url("/feed"))).reason == "too-large"


def test_a_decoder_hands_out_small_pieces() -> None:
    from ingest.fetch import coding

    for name, most in (("gzip", 64), ("deflate", 64), ("br", 128), ("zstd", 4096)):  # KB
        chunk = [encoded(ZEROS, name)]
        pieces = [len(piece) for piece in coding.decoded(chunk, coding.decoders(name))]
        assert sum(pieces) == len(ZEROS)
        assert max(pieces) <= most * 1024, name


@pytest.mark.parametrize(("kind", "fits", "exceeds"), [("feed", 4, 6), ("page", 9, 11)])
def test_bytes_on_the_wire_are_capped(
    server: FaultServer, fetcher: Fetcher, kind: Any, fits: int, exceeds: int
) -> None:
    block = b"x" * 1_000_000
    server.on("/small", Raw(OK + b"\r\n", *[block] * fits))
    server.on("/large", Raw(OK + b"\r\n", *[block] * exceeds))
    assert len(body(fetcher.get(Request(server.url("/small"), kind, delay=0)))) == fits * 1_000_000
    assert fetcher.get(Request(server.url("/large"), kind, delay=0)).reason == "too-large"


@pytest.mark.parametrize(
    "answer",
    [
        Endless(OK + b"\r\n", b"x" * 65536),
        Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", chunks(b"x" * 65536, 65536)[:-5]),
        Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 5000),
        Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: a\r\n" * 5000),
        Endless(OK, b"X-A: b\r\n" * 5000),
    ],
    ids=["body", "chunks", "tiny chunks", "trailers", "headers"],
)
def test_what_never_ends_is_cut(server: FaultServer, fetcher: Fetcher, answer: Answer) -> None:
    server.on("/feed", answer)
    assert fetcher.get(feed(server.url("/feed"))).reason in ("too-large", "bad-response")


def test_a_feed_that_grows_more_than_a_hundred_times(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/bomb", Reply(200, b"a" * 2_000_000, coding="gzip"))
    server.on("/small", Reply(200, b"a" * 900_000, coding="gzip"))
    assert fetcher.get(feed(server.url("/bomb"))).reason == "too-large"
    assert fetcher.get(feed(server.url("/small"))).status == "ok"


# --- time ------------------------------------------------------------------------------------------------------------


def drip(data: bytes, pause: float) -> list[bytes | float]:
    return [step for byte in data for step in (bytes([byte]), pause)]


@pytest.mark.parametrize(
    "answer",
    [
        Raw(*drip(OK + b"X-Slow: " + b"a" * 500, 0.05)),
        Raw(OK + b"Content-Length: 500\r\n\r\n", *drip(b"a" * 500, 0.05)),
        Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", *drip(b"1\r\na\r\n" * 100, 0.05)),
        Raw(30.0),
        Raw(OK + b"Content-Length: 500\r\n\r\n", 30.0),
    ],
    ids=["head", "body", "chunks", "silence", "silence after the head"],
)
def test_a_byte_now_and_then_does_not_pass_the_deadline(server: FaultServer, answer: Answer) -> None:
    server.on("/feed", answer)
    with Fetcher(settings(), deadline=0.6) as fetcher:
        started = time.monotonic()
        fetched = fetcher.get(feed(server.url("/feed")))
        took = time.monotonic() - started
    assert fetched.reason == "timeout"
    assert took < 2


def test_all_hops_share_one_deadline(server: FaultServer) -> None:
    for hop in range(4):
        server.on(f"/{hop}", Reply(302, headers={"Location": f"/{hop + 1}"}, pause=0.25))
    with Fetcher(settings(), deadline=0.6) as fetcher:
        fetched = fetcher.get(feed(server.url("/0")))
    assert fetched.reason == "timeout"
    assert 1 <= len(fetched.responses) <= 2


def test_tls_and_names_count_for_the_deadline_too() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    stuck = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        stuck.wait(10)
        return ["127.0.0.1"]

    try:
        with Fetcher(settings(), deadline=0.4, resolve=resolve) as fetcher:
            started = time.monotonic()
            assert fetcher.get(feed(f"https://127.0.0.1:{port}/")).reason == "timeout"
            assert fetcher.get(feed(f"http://stuck.example:{port}/")).reason == "dns"
            assert time.monotonic() - started < 2.5
    finally:
        stuck.set()
        silent.close()


def test_a_host_that_times_out_twice_is_given_up(server: FaultServer) -> None:
    server.on("/slow", Raw(20.0))
    with Fetcher(settings(), deadline=0.3) as fetcher:
        results = list(fetcher.run(feed(server.url("/slow")) for _ in range(10)))
    assert {fetched.reason for fetched in results} == {"timeout"}
    assert len(server.requests) == 2


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1",
        "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "64:ff9b::a00:1", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1",
        "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "3fff::1", "4000::1", "5f00::1",
        "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo whose client is 127.0.0.1
        "localhost", "", "1.2.3", "8.8.8.8 ",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not guard.may_dial(address, ())


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001::5e",
     "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)  # fmt: skip
def test_addresses_that_are_public(address: str) -> None:
    assert guard.may_dial(address, ())


def test_what_the_settings_allow() -> None:
    allowed = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert guard.may_dial("127.0.0.1", allowed)
    assert guard.may_dial("::ffff:127.0.0.1", allowed)
    assert guard.may_dial("fd00::1", allowed)
    assert not guard.may_dial("10.0.0.1", allowed)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "[::1]", "[::ffff:7f00:1]"],
)
def test_nothing_private_is_dialled_whatever_it_is_called(server: FaultServer, host: str) -> None:
    with Fetcher(settings(allow="")) as fetcher:
        fetched = fetcher.get(feed(f"http://{host}:{server.port}/feed"))
    assert fetched.reason in ("private-address", "dns", "bad-url")
    assert server.connections == 0


def test_a_name_that_changes_its_mind_is_held_to_its_first_answer(server: FaultServer) -> None:
    """Rebinding: the answer that is checked is harmless, any later one is not. 127.0.0.2 plays the public address."""
    server.on("/feed", Reply(200, b"internal"))
    answers = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]]
    with (
        FaultServer("127.0.0.2", server.port) as public,
        Fetcher(settings(allow="127.0.0.2/32"), resolve=lambda host, port: answers.pop(0)) as fetcher,
    ):
        public.on("/feed", Reply(200, b"public", closing=True))
        url = f"http://news.example:{server.port}/feed"
        first, second = fetcher.get(feed(url)), fetcher.get(feed(url))
        assert public.requests[0].headers["host"] == f"news.example:{server.port}"
    assert body(first) == b"public"
    assert second.reason == "private-address"
    assert server.connections == 0
    assert answers == [["127.0.0.1"]]  # asked once for each connection


@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], ["10.0.0.1"], ["2606:4700::1", "fe80::1%lo"]],
)
def test_one_private_address_among_public_ones_is_enough(server: FaultServer, answer: list[str]) -> None:
    dialled: list[str] = []

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    with Fetcher(settings(allow=""), resolve=lambda host, port: answer, connect=connect) as fetcher:
        fetched = fetcher.get(feed(f"http://news.example:{server.port}/"))
    assert fetched.reason == "private-address"
    assert dialled == []


def test_a_redirect_into_the_house_is_refused(server: FaultServer) -> None:
    with (
        FaultServer("127.0.0.2") as public,
        Fetcher(settings(allow="127.0.0.2/32"), resolve=lambda host, port: ["127.0.0.1"]) as fetcher,
    ):
        for number, target in enumerate((server.url("/admin"), f"http://inside.example:{server.port}/admin")):
            public.on(f"/{number}", redirect(target, 301))
            assert fetcher.get(feed(public.url(f"/{number}"))).reason == "private-address"
    assert server.connections == 0


def test_many_addresses_are_tried_but_not_all(server: FaultServer) -> None:
    server.on("/feed", Reply(200, TEXT))
    dialled: list[str] = []

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        dialled.append(address)
        if ":" not in address:
            raise OSError(113, "no route")
        return socket.create_connection(("127.0.0.1", port), timeout=seconds)

    hundred = [f"127.0.1.{number}" for number in range(100)]
    with Fetcher(settings(), resolve=lambda host, port: hundred, connect=connect) as fetcher:
        assert fetcher.get(feed(f"http://many.example:{server.port}/feed")).reason == "connect"
        assert len(dialled) == 4
    with Fetcher(settings(), resolve=lambda host, port: [*hundred, "::1"], connect=connect) as fetcher:
        assert fetcher.get(feed(f"http://many.example:{server.port}/feed")).status == "ok"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "gopher://x/", "", "http://a b/"])
def test_addresses_of_no_use(fetcher: Fetcher, url: str) -> None:
    assert fetcher.get(feed(url)).reason == "bad-url"


def test_proxies_of_the_environment_are_not_used(
    server: FaultServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        server.on("/feed", Reply(200, TEXT))
        assert body(fetcher.get(feed(server.url("/feed")))) == TEXT
        assert proxy.connections == 0


# --- hosts that are not there ----------------------------------------------------------------------------------------


def test_a_name_without_an_address_is_asked_once() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with Fetcher(settings(), resolve=resolve) as fetcher:
        results = list(fetcher.run(feed(f"http://nowhere.example/{number}") for number in range(20)))
        assert fetcher.get(feed("http://nowhere.example/late")).reason == "dns"
    assert [fetched.reason for fetched in results] == ["dns"] * 20
    assert asked == ["nowhere.example"]


def test_a_host_that_refuses_is_dialled_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    dialled: list[str] = []

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        dialled.append(address)
        return socket.create_connection((address, port), timeout=seconds)

    with Fetcher(settings(), connect=connect) as fetcher:
        results = list(fetcher.run(page(f"http://127.0.0.1:{port}/{number}") for number in range(20)))
    assert [fetched.reason for fetched in results] == ["connect"] * 20
    assert len(dialled) == 1


# --- TLS -------------------------------------------------------------------------------------------------------------


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority `ca.pem`, and `good.pem`, `expired.pem` (by it) and `own.pem` (by itself), all for news.example and
    127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = "subjectAltName=DNS:news.example,IP:127.0.0.1"
    ca, ca_key = str(folder / "ca.pem"), str(folder / "ca.key")
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-subj", "/CN=Test CA", "-days", "2")
    own = str(folder / "own")
    openssl("req", "-x509", *curve, "-keyout", f"{own}.key", "-out", f"{own}.crt", "-subj", "/CN=own", "-addext", names)
    (folder / "names").write_text(names)
    for name, days in (("good", "2"), ("expired", "0")):
        path = str(folder / name)
        openssl("req", *curve, "-keyout", f"{path}.key", "-out", f"{path}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{path}.csr", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", days,
                "-out", f"{path}.crt", "-extfile", str(folder / "names"))  # fmt: skip
    for name in ("own", "good", "expired"):
        parts = (folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text()
        (folder / f"{name}.pem").write_text(parts)
    time.sleep(1.1)  # the expired one is valid for the second in which it was made
    return folder


@contextmanager
def secured(certificates: Path, name: str, **options: Any) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem")
    for option, value in options.items():
        setattr(context, option, value)
    with FaultServer(tls=context) as server:
        server.on("/feed", Reply(200, NOISE))
        yield server


def trusting(certificates: Path) -> Fetcher:
    return Fetcher(
        settings(SITREP_CA_FILE=str(certificates / "ca.pem")), resolve=lambda host, port: ["127.0.0.1"], deadline=5
    )


def test_a_good_certificate(certificates: Path) -> None:
    with secured(certificates, "good") as server, trusting(certificates) as fetcher:
        for host in ("news.example", "127.0.0.1"):
            assert body(fetcher.get(feed(server.url("/feed", host)))) == NOISE
            assert body(fetcher.get(feed(server.url("/feed", host)))) == NOISE
        assert server.connections == 2
        assert server.requests[0].headers["host"] == f"news.example:{server.port}"


@pytest.mark.parametrize(
    ("name", "host", "says"),
    [
        ("good", "other.example", "other.example"),
        ("good", "127.0.0.2", "IP address mismatch"),
        ("own", "news.example", "self-signed"),
        ("expired", "news.example", "expired"),
    ],
)
def test_a_certificate_that_proves_nothing(certificates: Path, name: str, host: str, says: str) -> None:
    with secured(certificates, name) as server, trusting(certificates) as fetcher:
        # 127.0.0.2 is dialled as such; the server listens on 127.0.0.1, so the proof is in who answers there
        listener = FaultServer("127.0.0.2", server.port, server._tls) if host == "127.0.0.2" else None
        fetched = fetcher.get(feed(server.url("/feed", host)))
        if listener:
            listener.close()
        assert fetched.reason == "tls"
        assert says.lower() in fetched.detail.lower().replace("self signed", "self-signed")
        assert server.requests == []


def test_an_authority_that_is_not_trusted(certificates: Path) -> None:
    with secured(certificates, "good") as server, Fetcher(settings(), resolve=lambda h, p: ["127.0.0.1"]) as fetcher:
        assert fetcher.get(feed(server.url("/feed", "news.example"))).reason == "tls"


def test_an_authority_that_cannot_be_read_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(SettingsError, match="SITREP_CA_FILE"):
            Fetcher(settings(SITREP_CA_FILE=str(tmp_path / name)))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls(certificates: Path) -> None:
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with secured(certificates, "good", **old) as server, trusting(certificates) as fetcher:
        assert fetcher.get(feed(server.url("/feed", "news.example"))).reason == "tls"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x7a\x02"])
def test_no_tls_at_all(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with Fetcher(settings()) as fetcher:
            assert fetcher.get(feed(f"https://127.0.0.1:{listener.getsockname()[1]}/")).reason == "tls"
        thread.join()


# --- politeness ------------------------------------------------------------------------------------------------------


def gaps(server: FaultServer) -> list[float]:
    times = [seen.at for seen in server.requests]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_a_host_is_asked_once_a_second_and_never_twice_at_once(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/slow", Reply(200, TEXT, pause=0.3))
    results = list(fetcher.run(Request(server.url("/slow"), "feed") for _ in range(3)))
    assert [fetched.status for fetched in results] == ["ok"] * 3
    assert all(0.98 < gap < 1.4 for gap in gaps(server))
    assert server.most_at_once == 1


def test_a_feed_can_have_its_own_delay_and_redirects_keep_it(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/a", redirect("/b"))
    server.on("/b", Reply(200, TEXT))
    list(fetcher.run(feed(server.url("/a"), delay=0.2) for _ in range(2)))
    assert server.paths() == ["/a", "/b", "/a", "/b"]
    assert all(0.19 < gap < 0.5 for gap in gaps(server))


def test_without_a_delay_it_is_still_one_at_a_time(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT, pause=0.01))
    assert len(list(fetcher.run(feed(server.url("/feed")) for _ in range(30)))) == 30
    assert server.most_at_once == 1


@contextmanager
def many(count: int, pause: float) -> Iterator[tuple[list[str], Callable[[], int]]]:
    """So many hosts (ports), each answering after a pause; and how many were answering at once."""
    lock, now, most = threading.Lock(), 0, 0

    def respond(seen: Seen) -> Answer:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(pause)
        with lock:
            now -= 1
        return Reply(200, TEXT)

    servers = [FaultServer() for _ in range(count)]
    try:
        for server in servers:
            server.on("/feed", respond)
        yield [server.url("/feed") for server in servers], lambda: most
    finally:
        for server in servers:
            server.close()


def test_sixty_four_requests_are_in_flight() -> None:
    with many(100, 0.3) as (urls, most), Fetcher(settings()) as fetcher:
        started = time.monotonic()
        results = list(fetcher.run(Request(url, "feed") for url in urls))
        took = time.monotonic() - started
        assert [fetched.status for fetched in results] == ["ok"] * 100
        assert most() == 64
    assert took < 3  # two rounds of 0.3 s; one after the other it would be 30 s


def test_a_limit_of_requests_in_flight_is_kept() -> None:
    with many(20, 0.05) as (urls, most), Fetcher(settings(), in_flight=7) as fetcher:
        assert len(list(fetcher.run(Request(url, "feed") for url in urls))) == 20
        assert most() == 7


def test_a_slow_host_delays_no_other(server: FaultServer) -> None:
    """One host has a long list and takes its time; 40 others come behind it in the line and are all done at once."""
    server.on("/slow", Reply(200, TEXT, pause=0.5))
    slow = [Request(server.url("/slow"), "feed") for _ in range(300)]
    with many(40, 0.02) as (urls, _), Fetcher(settings(), in_flight=8) as fetcher:
        started = time.monotonic()
        results = fetcher.run(slow + [Request(url, "feed") for url in urls])
        left = set(urls)
        while left:
            left.discard(next(results).request.url)
        took = time.monotonic() - started
        results.close()
    assert took < 1.5
    assert len(server.requests) <= 3


def test_results_come_as_they_are_done(server: FaultServer, fetcher: Fetcher) -> None:
    with FaultServer() as other:
        server.on("/slow", Reply(200, TEXT, pause=0.5))
        other.on("/fast", Reply(200, TEXT))
        urls = [server.url("/slow"), other.url("/fast")]
        assert [fetched.request.url for fetched in fetcher.run(map(feed, urls))] == urls[::-1]


def test_requests_are_taken_as_they_come(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT))
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(3):
            taken.append(number)
            yield feed(server.url("/feed"), tag=number)

    running = fetcher.run(requests())
    assert taken == []
    assert sorted(fetched.request.tag for fetched in running) == [0, 1, 2]


def test_what_nobody_reads_is_not_fetched_without_end() -> None:
    servers = [FaultServer() for _ in range(150)]
    for server in servers:
        server.on("/feed", Reply(200, TEXT, pause=0.3))
    with Fetcher(settings()) as fetcher:
        running = fetcher.run(Request(server.url("/feed"), "feed") for server in servers)
        next(running)
        time.sleep(1.0)  # all of them would have been asked by then
        asked = sum(len(server.requests) for server in servers)
        assert asked <= 32 + 64 + 2  # those that may lie unread, those in flight, those read
        assert len(list(running)) == 149
    for server in servers:
        server.close()


def test_a_run_within_a_run(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT))
    server.on("/story", Reply(200, NOISE))
    requests = [feed(server.url("/feed"), tag=number) for number in range(120)]
    inner = []
    for fetched in fetcher.run(requests):
        assert fetched.status == "ok"
        if fetched.request.tag % 40 == 0:
            time.sleep(0.05)  # long enough for the outer results to pile up
            inner.append(fetcher.get(page(server.url("/story"))).status)
    assert inner == ["ok"] * 3


def test_a_budget(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/feed", Reply(200, TEXT))
    requests = [feed(server.url("/feed"), delay=0.2, tag=number) for number in range(50)]
    started = time.monotonic()
    results = list(fetcher.run(requests, budget=0.5))
    assert time.monotonic() - started < 1
    assert sorted(fetched.request.tag for fetched in results) == list(range(50))
    done = [fetched for fetched in results if fetched.status == "ok"]
    left = [fetched for fetched in results if fetched.status == "waiting"]
    assert len(done) == len(server.requests) == 3
    assert len(left) == 47
    assert {(fetched.reason, fetched.responses) for fetched in left} == {("budget", ())}
    time.sleep(0.4)
    assert len(server.requests) == 3


def test_a_budget_of_nothing(server: FaultServer, fetcher: Fetcher) -> None:
    results = list(fetcher.run([page(server.url("/story"))] * 3, budget=0))
    assert [fetched.status for fetched in results] == ["waiting"] * 3
    assert server.requests == []


def test_pages_that_wait_for_robots_wait_no_longer_than_the_budget(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/robots.txt", Raw(3.0))
    started = time.monotonic()
    results = list(fetcher.run([page(server.url("/story"))] * 3, budget=0.3))
    assert time.monotonic() - started < 1
    assert [(fetched.status, fetched.reason) for fetched in results] == [("waiting", "budget")] * 3


def test_every_request_comes_back_once_whatever_happens() -> None:
    """A thousand requests to forty hosts that do everything wrong, in random order; some redirect to each other."""
    chance = random.Random(7)
    servers = [FaultServer() for _ in range(40)]
    answers: list[Answer] = [
        Reply(200, TEXT, coding="gzip"),
        Reply(200, TEXT, closing=True),
        Reply(404),
        Reply(500),
        Raw(OK + b"Content-Length: 9\r\n\r\n"),
        Raw(b""),
        Raw(OK, reset=True),
        redirect("/1"),
        *[redirect(server.url("/2"), 301) for server in servers[:5]],
    ]
    for server in servers:
        for number in range(10):
            server.on(f"/{number}", chance.choice(answers))
    servers[0].on("/5", Reply(429))
    servers[1].close()
    requests = [
        Request(
            chance.choice(servers).url(f"/{chance.randrange(10)}"), chance.choice(["feed", "page"]), delay=0, tag=tag
        )
        for tag in range(1000)
    ]
    with Fetcher(settings(), in_flight=16, deadline=5) as fetcher:
        results = list(fetcher.run(requests))
        results += list(fetcher.run(requests[:100], budget=0.01))
    assert sorted(fetched.request.tag for fetched in results) == sorted([*range(1000), *range(100)])
    assert all(fetched.reason in REASONS for fetched in results)
    assert {fetched.status for fetched in results} == {"ok", "failed", "waiting"}
    for server in servers:
        server.close()


def test_closing_ends_a_run_of_another_thread(server: FaultServer) -> None:
    server.on("/slow", Raw(30.0))
    fetcher, results = Fetcher(settings()), []
    requests = [page(server.url("/story")), *[feed(server.url("/slow")) for _ in range(5)]]
    thread = threading.Thread(target=lambda: results.extend(fetcher.run(requests)))
    thread.start()
    time.sleep(0.2)
    fetcher.close()
    thread.join(5)
    assert len(results) == 6
    assert [fetched.status for fetched in fetcher.run(requests)] == ["waiting"] * 6


def test_leaving_early_ends_at_once(server: FaultServer) -> None:
    server.on("/slow", Raw(30.0))
    started = time.monotonic()
    with Fetcher(settings()) as fetcher, FaultServer() as other:
        other.on("/feed", Reply(200, TEXT))
        running = fetcher.run([feed(server.url("/slow")), feed(other.url("/feed")), feed(server.url("/more"))])
        assert next(running).status == "ok"
        running.close()
    assert time.monotonic() - started < 3
    assert "/more" not in server.paths()


def test_a_request_that_breaks_us_costs_itself_alone(
    server: FaultServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> robots.Rules:
        raise ZeroDivisionError("-".join(["secret", "canary"]))

    server.on("/feed", Reply(200, TEXT))
    monkeypatch.setattr("ingest.fetch.wire._collect", broken)
    assert fetcher.get(feed(server.url("/feed"))).reason == "bad-response"
    monkeypatch.undo()
    assert fetcher.get(feed(server.url("/feed"))).status == "ok"
    assert "ZeroDivisionError" in caplog.text
    assert "secret-canary" not in caplog.text


# --- robots.txt ------------------------------------------------------------------------------------------------------


def test_robots_are_asked_once_for_each_origin_and_only_for_pages(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/robots.txt", Reply(200, b"User-agent: *\nDisallow: /private\nUser-agent: sitrep\nDisallow: /no"))
    for path in ("/private", "/no", "/yes"):
        server.on(path, Reply(200, TEXT))
    assert fetcher.get(feed(server.url("/no"))).status == "ok"
    results = {
        fetched.request.url: fetched
        for fetched in fetcher.run(page(server.url(p)) for p in ("/no", "/yes", "/private"))
    }
    assert (results[server.url("/no")].status, results[server.url("/no")].reason) == ("failed", "robots")
    assert results[server.url("/yes")].status == results[server.url("/private")].status == "ok"
    assert server.paths().count("/robots.txt") == 1
    assert server.paths().count("/no") == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Reply(404), ""),
        (Reply(403), ""),
        (Reply(410), ""),
        (Reply(500), "robots"),
        (Reply(503), "robots"),
        (Raw(OK + b"Content-Length: 50\r\n\r\nUser-agent"), "robots"),
        (Raw(30.0), "robots"),
        (redirect("/robots.txt"), ""),
        (redirect("/rules"), "robots"),
        (redirect("http://10.0.0.1/robots.txt"), "robots"),
        (Reply(200, b"\xff\xfe\0garbage" * 100), ""),
        (Reply(200, b"User-agent: *\nDisallow: /\n" + b"# filling\n" * 1_000_000), "robots"),
        (Reply(200, b"# filling\n" * 1_000_000 + b"User-agent: *\nDisallow: /\n"), ""),
        (Reply(200, b"User-agent: *\nDisallow: /" + b"*a" * 500 + b"$"), ""),
        (Reply(200, CHALLENGE, {"Content-Type": "text/html"}), ""),
    ],
)
def test_robots_that_cannot_be_read(server: FaultServer, answer: Answer, reason: str) -> None:
    server.on("/robots.txt", answer)
    server.on("/rules", Reply(200, b"User-agent: *\nDisallow: /"))
    server.on("/story", Reply(200, TEXT))
    with Fetcher(settings(), deadline=0.8) as fetcher:
        assert fetcher.get(page(server.url("/story"))).reason == reason


def test_robots_of_a_busy_host_and_of_none(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/robots.txt", Reply(429, headers={"Retry-After": "300"}))
    fetched = fetcher.get(page(server.url("/story")))
    assert (fetched.status, fetched.reason, fetched.responses) == ("waiting", "rate-limited", ())
    server.close()
    with Fetcher(settings()) as another:
        assert another.get(page(server.url("/story"))).reason == "connect"


def test_robots_count_at_each_hop(server: FaultServer, fetcher: Fetcher) -> None:
    with FaultServer() as other:
        other.on("/robots.txt", Reply(200, b"User-agent: *\nDisallow: /"))
        server.on("/story", redirect(other.url("/story")))
        assert fetcher.get(page(server.url("/story"))).reason == "robots"
        assert other.paths() == ["/robots.txt"]


def test_robots_may_ask_for_more_time(server: FaultServer, fetcher: Fetcher) -> None:
    server.on("/robots.txt", Reply(200, b"User-agent: *\nCrawl-delay: 0.4"))
    server.on("/story", Reply(200, TEXT))
    list(fetcher.run([page(server.url("/story"))] * 2))
    assert all(0.39 < gap < 0.8 for gap in gaps(server))
    assert robots.rules(fetcher.get(feed(server.url("/robots.txt"))).responses[-1], "").delay == 0.4


def test_no_robots_may_ask_for_a_day() -> None:
    from ingest.models import Capture

    answer = Capture("http://a.example/robots.txt", 200, (), b"User-agent: *\nCrawl-delay: 86400", NOW)
    assert robots.rules(answer, "").delay == 30


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_nothing_secret_is_said(server: FaultServer, fetcher: Fetcher, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canaries = ("canary-user", "canary-password", "canary-token")
    secret = "?key=canary-token"
    server.on("/loop", redirect("/loop" + secret))
    server.on("/file", redirect("file:///canary-token"))
    server.on("/cut", Raw(OK + b"Content-Length: 9\r\n\r\n"))
    server.on("/bad", Raw(b"canary-token"))
    requests = [
        feed(server.url(path + secret).replace("http://", "http://canary-user:canary-password@"))
        for path in ("/loop", "/file", "/cut", "/bad", "/none")
    ]
    requests += [feed(f"http://canary-user:canary-password@127.0.0.1:1/{secret}"), feed("canary-token:" + secret)]
    results = list(fetcher.run(requests))
    assert all(fetched.status == "failed" and fetched.detail for fetched in results)
    said = caplog.text + "".join(fetched.detail for fetched in results)
    assert not [canary for canary in canaries if canary in said]
    kept = "".join(hop.url + "".join(hop.addresses) for fetched in results for hop in fetched.responses)
    assert not [canary for canary in canaries[:2] if canary in kept]


def test_every_reason_given_is_on_the_list() -> None:
    import re

    source = "".join(path.read_text() for path in Path(guard.__file__).parent.glob("*.py"))
    given = set(re.findall(r'(?:Fault\(\s*|Verdict\("(?:failed|waiting)", )"([a-z-]+)"', source))
    assert given
    assert given <= REASONS.keys()
