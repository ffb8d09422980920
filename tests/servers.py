"""A web server on loopback that behaves as badly as it is told to.

    with FaultServer() as server:
        server.on("/feed", Reply(200, RSS, {"Content-Type": "application/rss+xml"}).validated('"v1"'))
        server.on("/old", redirect(server.url("/feed"), 301))
        server.on("/busy", [Reply(429, headers={"Retry-After": "120"}), Reply(200, RSS)])   # one after the other
        server.on("/slow", Raw(b"HTTP/1.1 200 OK\\r\\n", 0.5, b"X: y\\r\\n", ...))          # numbers are pauses in s
        server.url("/feed"), server.requests, server.connections, server.most_at_once

A path that nothing was said about answers 404; so does /robots.txt then. A query does not belong to the path that a
responder is found by; `Seen.target` has it.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

import brotli
import zstandard

Step = bytes | float  # bytes to send, or seconds to wait


@dataclass(frozen=True)
class Seen:
    """A request as it came. `headers` in lower case; `at` by the monotonic clock."""

    method: str
    path: str
    target: str
    headers: Mapping[str, str]
    at: float
    connection: int


@dataclass(frozen=True)
class Reply:
    """A well-formed answer. `coding` compresses the body and says so; `chunked` sends it in chunks; `pause` waits
    before the first byte."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    coding: str = ""
    chunked: bool = False
    pause: float = 0.0
    closing: bool = False

    def steps(self, seen: Seen) -> Iterator[Step]:
        body = encoded(self.body, self.coding)
        headers = dict(self.headers)
        if self.coding:
            headers.setdefault("Content-Encoding", self.coding)
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = chunks(body)
        elif self.status not in (204, 304):
            headers.setdefault("Content-Length", str(len(body)))
        if self.closing:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if self.pause:
            yield self.pause
        yield f"HTTP/1.1 {self.status} Said\r\n{lines}\r\n".encode("latin-1") + body

    def validated(self, etag: str, last_modified: str = "") -> Callable[[Seen], Reply]:
        """This with validators, and 304 for those who have it."""
        headers = {**self.headers, "ETag": etag} | ({"Last-Modified": last_modified} if last_modified else {})

        def respond(seen: Seen) -> Reply:
            if seen.headers.get("if-none-match") == etag:
                return Reply(304, headers={"ETag": etag})
            return replace(self, headers=headers)

        return respond


class Raw:
    """Bytes and pauses as they are; the connection is closed afterwards (`reset`: torn down)."""

    def __init__(self, *steps: Step, reset: bool = False, closing: bool = True) -> None:
        self._steps = steps
        self.reset = reset
        self.closing = closing

    def steps(self, seen: Seen) -> Iterable[Step]:
        return self._steps


class Endless(Raw):
    """A head, then the same piece for ever, with a pause after each."""

    def __init__(self, head: bytes, piece: bytes, pause: float = 0.0) -> None:
        super().__init__()
        self._head, self._piece, self._pause = head, piece, pause

    def steps(self, seen: Seen) -> Iterator[Step]:
        yield self._head
        while True:
            yield self._piece
            yield self._pause


Answer = Reply | Raw
Responder = Answer | Sequence[Answer] | Callable[[Seen], Answer]


def redirect(location: str, status: int = 302, body: bytes = b"") -> Reply:
    return Reply(status, body, {"Location": location})


def encoded(body: bytes, codings: str) -> bytes:
    """The body under one or more content codings, as a Content-Encoding header lists them."""
    makers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, 6),
        "deflate": lambda data: zlib.compress(data),
        "br": lambda data: brotli.compress(data, quality=5),
        "zstd": lambda data: zstandard.compress(data),
    }
    for name in (part.strip() for part in codings.split(",") if part.strip()):
        body = makers[name](body)
    return body


def chunks(body: bytes, size: int = 1000) -> bytes:
    """The body in chunked transfer coding."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class FaultServer:
    """Answers on `host`, a thread for each connection. A context manager; it is up once it is made."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Seen] = []
        self.connections = 0  # accepted so far
        self.most_at_once = 0  # requests being answered at the same time
        self._at_once = 0
        self._responders: dict[str, Responder] = {}
        self._tls = tls
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()
        self._socket = socket.create_server((host, port), backlog=512, family=_family(host))
        self.host, self.port = self._socket.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def url(self, path: str = "/", host: str = "") -> str:
        scheme = "https" if self._tls else "http"
        name = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{scheme}://{name}:{self.port}{path}"

    def on(self, path: str, responder: Responder) -> None:
        """Answer a path from now on; a list gives one answer after the other, the last one again and again."""
        with self._lock:
            self._responders[path] = list(responder) if isinstance(responder, Sequence) else responder

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [seen.path for seen in list(self.requests)]

    def close(self) -> None:
        """Refuse connections from now on and end those that are open."""
        self._stop.set()
        _shut(self._socket)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection = self._tls.wrap_socket(plain, server_side=True)
            reader = connection.makefile("rb")
            with reader:
                while (seen := _read(reader.readline, number)) is not None and self._answer(connection, seen):
                    pass
        except (OSError, ValueError):
            pass  # whoever asked went away, which is what many tests are about
        finally:
            with self._lock:
                self._open.discard(plain)
            connection.close()
            plain.close()

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        """Send what belongs to the path. Whether the connection stays open."""
        with self._lock:
            self.requests.append(seen)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            answer = self._next(seen)
        try:
            for step in answer.steps(seen):
                if self._stop.is_set():
                    return False
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif step and self._stop.wait(step):
                    return False
        finally:
            with self._lock:
                self._at_once -= 1
        if isinstance(answer, Raw) and answer.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return not answer.closing

    def _next(self, seen: Seen) -> Answer:
        responder = self._responders.get(seen.path, Reply(404, b"nothing here"))
        if isinstance(responder, list):
            return responder.pop(0) if len(responder) > 1 else responder[0]
        return responder(seen) if callable(responder) else responder


def _read(readline: Callable[[], bytes], number: int) -> Seen | None:
    """The next request of a connection, None at its end."""
    start = readline().decode("latin-1").split()
    if len(start) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Seen(start[0], start[1].partition("?")[0], start[1], headers, time.monotonic(), number)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed already
