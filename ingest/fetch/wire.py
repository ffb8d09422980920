"""One request over one connection: dialled at an address that was checked, answered before a deadline, bounded.

Built on sockets and `http.client`'s parser of answers. A client library with pools would have to be switched off
piece by piece: each of them resolves again when it connects, and their timeouts are for a single read, so that a
server that sends a byte every few seconds holds them for ever. Here every read of the socket is given what is left of
the request's time.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urldefrag, urlsplit

import certifi

from ingest import addresses
from ingest.errors import SettingsError
from ingest.fetch import coding, guard
from ingest.fetch.reasons import Fault
from ingest.models import ANSWERED
from ingest.settings import Network

Resolve = Callable[[str, int], Sequence[str]]  # host, port → IP addresses; OSError where there is none
Connect = Callable[[str, int, float], socket.socket]  # IP address, port, seconds → a connected socket
Place = tuple[str, int]  # host and port: what politeness and giving up are about

CONNECTING = 10.0  # seconds for one address; several minutes is what systems take by themselves
RESOLVING = 20.0  # seconds; resolvers ask up to three servers twice, five seconds each
ADDRESSES = 4  # dialled at most; a name with a hundred addresses must not cost a hundred timeouts
HEAD = 256 * 1024  # bytes for status line and headers; http.client allows 100 headers of 64 KB

MB = 1024 * 1024
_RATIO, _RATIO_FROM = 100, MB  # feeds and pages compress 3 to 20 times; bombs a thousand times
_ASIDE = 64 * 1024  # bytes kept of the body of a redirect or an error
_ASIDE_TIME = 10.0  # seconds for such a body


# --- where to --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart. `url` is fit to be kept: without user, password and fragment."""

    url: str
    scheme: str
    host: str
    port: int
    resource: str  # path and query, as the request line has it

    @property
    def place(self) -> Place:
        return self.host, self.port

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """For the Host header and for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == addresses.PORTS[self.scheme] else f"{host}:{self.port}"


def target(href: str, base: str | None = None) -> Target | None:
    """Where `href` leads, seen from `base`; None where that is no http or https address."""
    url = addresses.absolute(href, base)
    if url is None:
        return None
    url = urldefrag(url).url
    parts = urlsplit(url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.hostname or ""
    return Target(url, parts.scheme, host, parts.port or addresses.PORTS[parts.scheme], resource)


# --- time ------------------------------------------------------------------------------------------------------------


class Deadline:
    """The moment when a request's time is over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds

    def left(self, most: float | None = None) -> float:
        """Seconds left, at most `most`. Raises TimeoutError when it is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if most is None else min(left, most)

    def within(self, seconds: float) -> Deadline:
        """A deadline in `seconds`, or this one if it comes earlier."""
        left = self._end - time.monotonic()
        return Deadline(seconds) if seconds < left else self


# --- the connection --------------------------------------------------------------------------------------------------


class _Raw(io.RawIOBase):
    """The bytes of a socket, each read within the deadline and all of them within the allowance."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline: Deadline | None = None  # None: only what is there already
        self.allowance = 0
        self.begun = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self.deadline is None:
            return self._readinto_now(buffer)
        if self.allowance <= 0:
            raise Fault("too-large", "there is no end of headers, chunks and trailers")
        self.sock.settimeout(self.deadline.left())
        count = self.sock.recv_into(buffer)
        self._count(count)
        return count

    def _readinto_now(self, buffer: Any) -> int | None:
        self.sock.settimeout(0)
        try:
            count = self.sock.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            count = 0
        self._count(count)
        return count

    def _count(self, count: int) -> None:
        self.allowance -= count
        self.begun = self.begun or count > 0
        self.ended = self.ended or count == 0


_HEADER = re.compile(rb"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*:|[ \t]")  # a name and a colon, or a folded line


class _Reader(io.BufferedReader):
    """What `http.client` reads from. It outlives the single answer, so closing is left to the connection."""

    in_head = False

    def close(self) -> None:
        """Nothing: `http.client` closes after each answer."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self.in_head and line.strip(b"\r\n") and not line.startswith(b"HTTP/"):
            self._inspect(line)
        return line

    @staticmethod
    def _inspect(line: bytes) -> None:
        # A bare CR would begin a new header in the eyes of the parser, and a line without a colon would end them all.
        plain = line.rstrip(b"\n").removesuffix(b"\r")
        if b"\r" in plain or b"\0" in plain:
            raise Fault("bad-response", "its headers hold control characters")
        if not _HEADER.match(plain):
            raise Fault("bad-response", "its headers hold a line that is none")


class Connection:
    """A connection to a checked address, kept between requests to the same origin."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = _Raw(sock)
        self._reader = _Reader(self._raw)
        self.used = False
        self.idle_since = 0.0

    def makefile(self, *_args: Any, **_kwargs: Any) -> _Reader:
        """What `http.client.HTTPResponse` asks of a socket."""
        return self._reader

    def send(self, data: bytes, deadline: Deadline) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer."""
        raw, reader = self._raw, self._reader
        raw.deadline, raw.allowance, raw.begun = deadline, HEAD, False
        self._sock.settimeout(deadline.left())
        self._sock.sendall(data)
        reader.in_head = True
        try:
            response = self._head()
            while 101 < response.status < 200:  # "Early Hints" and the like: the answer itself follows (RFC 9110, 15.2)
                response = self._head()
        finally:
            reader.in_head = False
        self.used = True
        return response

    def _head(self) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(cast(socket.socket, self), method="GET")
        response.begin()
        return response

    def allow(self, count: int, deadline: Deadline) -> None:
        """How much may be read of the body, and until when."""
        self._raw.allowance, self._raw.deadline = count, deadline

    @property
    def answered(self) -> bool:
        """Whether anything has come back."""
        return self._raw.begun

    def left_over(self) -> bytes:
        """What has come beyond the answer, without waiting for it."""
        self._raw.deadline = None
        return self._reader.peek(1)

    def is_fresh(self) -> bool:
        """Whether the other side neither closed nor sent anything that nobody asked for."""
        return not self.left_over() and not self._raw.ended

    def close(self) -> None:
        self._sock.close()

    def abort(self) -> None:
        """End it from another thread: whoever waits for it is told at once."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # not connected any more, which is what was wanted


# --- dialling --------------------------------------------------------------------------------------------------------


def look_up(host: str, port: int) -> Sequence[str]:
    """The system's answer to a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def connect(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to an IP address and nothing else: no proxy, no second look at a name."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect((address, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


class Dialler:
    """Opens connections, only to addresses that may be dialled."""

    def __init__(self, allowed: Sequence[Network], ca_file: str, resolve: Resolve, connect: Connect) -> None:
        self._allowed = allowed
        self._ca_file = ca_file
        self._resolve = resolve
        self._connect = connect
        self._context = _context(ca_file) if ca_file else None  # early: a wrong setting must not wait for the first TLS
        self._lock = threading.Lock()

    def dial(self, to: Target, deadline: Deadline) -> Connection:
        """A connection to `to`. Raises Fault: dns, private-address, connect, tls, timeout."""
        try:
            return self._dial(to, deadline)
        except TimeoutError as error:
            raise Fault("timeout", f"{to.authority} did not answer in time") from error

    def _dial(self, to: Target, deadline: Deadline) -> Connection:
        found = self._addresses(to, deadline)
        refused = [address for address in found if not guard.may_dial(address, self._allowed)]
        if refused:  # one is enough: a name that mixes public and private addresses is no honest one
            raise Fault("private-address", f"{to.authority} leads to an address that is not public")
        sock = self._first(found, to, deadline)
        return Connection(self._secured(sock, to, deadline) if to.scheme == "https" else sock)

    def _addresses(self, to: Target, deadline: Deadline) -> Sequence[str]:
        if ":" in to.host or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", to.host):
            return [to.host]
        answer: Future[Sequence[str]] = Future()
        # A thread of its own for each name: a resolver cannot be interrupted, and a stuck one must hold up nobody.
        threading.Thread(target=_answer, args=(answer, self._resolve, to), daemon=True, name="resolve").start()
        try:
            found = answer.result(deadline.left(RESOLVING))
        except TimeoutError as error:
            raise Fault("dns", f"no answer for {to.host} in time") from error
        except (OSError, UnicodeError) as error:
            raise Fault("dns", f"{to.host} has no address") from error
        if not found:
            raise Fault("dns", f"{to.host} has no address")
        return found

    def _first(self, found: Sequence[str], to: Target, deadline: Deadline) -> socket.socket:
        problem = ""
        for address in _spread(found)[:ADDRESSES]:
            try:
                sock = self._connect(address, to.port, deadline.left(CONNECTING))
                peer = sock.getpeername()[0]
            except TimeoutError:
                problem = "it does not answer"
                continue
            except OSError as error:
                problem = os.strerror(error.errno).lower() if error.errno else "failed"
                continue
            if not guard.may_dial(peer, self._allowed):
                sock.close()
                raise Fault("private-address", f"{to.authority} was answered by an address that is not public")
            return sock
        raise Fault("connect", f"no connection to {to.authority}: {problem}")

    def _secured(self, sock: socket.socket, to: Target, deadline: Deadline) -> ssl.SSLSocket:
        try:
            sock.settimeout(deadline.left())
            return self._tls().wrap_socket(sock, server_hostname=to.host)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise Fault("tls", f"the certificate of {to.authority}: {error.verify_message}") from error
        except TimeoutError:
            sock.close()
            raise
        except (OSError, ValueError) as error:  # SSLError is an OSError; ValueError: a name that no certificate has
            sock.close()
            problem = getattr(error, "reason", None) or type(error).__name__
            raise Fault("tls", f"no TLS with {to.authority}: {problem}") from error

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = _context(self._ca_file)
            return self._context


def _answer(answer: Future[Sequence[str]], resolve: Resolve, to: Target) -> None:
    try:
        answer.set_result(resolve(to.host, to.port))
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
        answer.set_exception(error)


def _spread(found: Sequence[str]) -> list[str]:
    """The system's order, but the first of each family first: a machine without IPv6 must reach IPv4."""
    first = {":" in address: address for address in reversed(found)}
    return sorted(found, key=lambda address: first[":" in address] != address)


def _context(ca_file: str) -> ssl.SSLContext:
    """Certificates and names verified, TLS 1.2 or later. The system's authorities; a file can only add to them."""
    context = ssl.create_default_context()
    system = ssl.get_default_verify_paths()
    if not system.cafile and not system.capath:
        context.load_verify_locations(certifi.where())
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # SSLError, a file without certificates, is one
            raise SettingsError(
                f"no certificates could be read from {ca_file}", subject="SITREP_CA_FILE", advice="Name a PEM file."
            ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


# --- asking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body: on the wire and decoded. `cut` says that the beginning is worth having where there is more."""

    wire: int
    decoded: int
    cut: bool = False


_SHORT = Limits(_ASIDE, _ASIDE, cut=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body came whole (of an error or a redirect: its beginning)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    reusable: bool  # the connection


def ask(connection: Connection, to: Target, headers: Mapping[str, str], limits: Limits, deadline: Deadline) -> Answer:
    """Send a GET and read its answer.

    Raises Fault: timeout, truncated, too-large, bad-response. The connection is good for another request only where
    the answer says so.
    """
    lines = [f"GET {to.resource} HTTP/1.1", f"Host: {to.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        response = connection.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), deadline)
        return _answered(connection, response, limits, deadline)
    except TimeoutError as error:
        raise Fault("timeout", f"{to.authority} did not answer in time") from error
    except http.client.IncompleteRead as error:
        raise Fault("truncated", "the body broke off") from error
    except http.client.RemoteDisconnected as error:
        raise _silence(connection) from error
    except http.client.HTTPException as error:
        raise Fault("bad-response", f"it is no HTTP that could be read ({type(error).__name__})") from error
    except OSError as error:
        raise _silence(connection) from error


def _silence(connection: Connection) -> Fault:
    if connection.answered:
        return Fault("truncated", "the connection broke off in the middle of the answer")
    return Fault("bad-response", "the connection was closed without an answer", stale=True)


def _answered(connection: Connection, response: http.client.HTTPResponse, limits: Limits, deadline: Deadline) -> Answer:
    status = response.status
    headers = tuple((name, re.sub(r"[\r\n\t ]+", " ", str(value))) for name, value in response.headers.items())
    aside = status not in ANSWERED
    if aside:  # the status has said it all: its body may neither take long nor fail the request
        limits, deadline = _SHORT, deadline.within(_ASIDE_TIME)
    connection.allow(limits.wire + limits.wire // 4 + HEAD, deadline)  # chunks of 16 bytes are the smallest honest ones
    body = bytearray()
    try:
        _check_framing(response, limits)
        whole = _collect(body, response, limits)
    except (Fault, OSError, http.client.HTTPException):
        if not aside:
            raise
        whole = False
    extra = connection.left_over().strip(b"\r\n") if whole else b""
    if extra and not aside:
        raise Fault("bad-response", "it is longer than it says")
    reusable = whole and not response.will_close and connection.is_fresh()
    return Answer(status, headers, bytes(body), reusable)


def _check_framing(response: http.client.HTTPResponse, limits: Limits) -> None:
    """Refuse what can be read in two ways; `http.client` takes the first of two lengths and ignores odd ones."""
    transfer = (response.headers.get("transfer-encoding") or "").strip().lower()
    if transfer not in ("", "chunked", "identity"):
        raise Fault("bad-response", "it has a transfer coding that was not asked for")
    if response.chunked or response.status in (204, 304) or 100 <= response.status < 200:
        return
    said = {part.strip() for value in response.headers.get_all("content-length", []) for part in value.split(",")}
    if not said:
        return
    length = said.pop()
    if said or not (length.isascii() and length.isdigit()):
        raise Fault("bad-response", "its length contradicts itself")
    response.length = int(length[:20])
    if response.length > limits.wire and not limits.cut:
        raise Fault("too-large", f"it is {response.length} bytes long, {limits.wire} are allowed")


def _collect(body: bytearray, response: http.client.HTTPResponse, limits: Limits) -> bool:
    """Read and decode into `body`. Whether it came to its end; raises Fault where it must."""
    codings = coding.decoders(", ".join(response.headers.get_all("content-encoding", [])))
    wire = _Counted(_chunks(response))
    for piece in coding.decoded(wire, codings):
        body += piece
        problem = _excess(len(body), wire.count, limits)
        if problem and not limits.cut:
            raise Fault("too-large", problem)
        if problem:
            del body[limits.decoded :]
            return False
    return True


def _excess(decoded: int, wire: int, limits: Limits) -> str:
    if wire > limits.wire:
        return f"more than {limits.wire} bytes came"
    if decoded > limits.decoded:
        return f"more than {limits.decoded} bytes when decoded"
    if decoded > _RATIO_FROM and decoded > _RATIO * wire:
        return f"it grows more than {_RATIO} times when decoded"
    return ""


class _Counted:
    """Chunks, counted in bytes as they pass."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while response.length != 0:
        chunk = response.read1(coding.PIECE)
        if not chunk:
            break
        yield chunk
    if not response.chunked and response.length:
        raise Fault("truncated", f"{response.length} bytes are missing")
