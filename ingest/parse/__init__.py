"""Capture → entries: the one door to feedparser.

    bytes ──decode, repair (text)──> UTF-8 ──feedparser, in a process with limits (child)──> JSON
          ──check (records)──> records ──judge (entries)──> entries

RSS 0.9x to 2.0, RSS 1.0 (RDF) and 1.1, Atom 0.3 and 1.0, CDF; JSON Feed, which feedparser does not know, is read here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingest import words
from ingest.errors import NotAFeed, Unparsable
from ingest.models import Capture, Entry, Feed, Rejection
from ingest.parse import text as texts
from ingest.parse.child import CPU_SECONDS, LONGEST_FIELD, MOST_ENTRIES
from ingest.parse.entries import Context, judge, language_tag, site_link, title
from ingest.parse.records import Found, Record, from_child, from_json_feed

WALL_SECONDS = 20
LONGEST_BODY = 10 << 20  # the fetcher's own cap for feeds; what archives hold beyond it is cut
_LONGEST_ANSWER = 64 << 20


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A feed's document.

    `site` is the address that the feed names as its own, `ttl` the seconds that it asks to wait between two visits.
    Every entry of the document stands in `entries`, as an Entry or as the Rejection that says why it is none.
    `truncated`: the document ends too early, has more entries than are read, or an entry was cut.
    """

    title: str | None
    site: str | None
    language: str | None
    ttl: float | None
    entries: tuple[Entry | Rejection, ...]
    truncated: bool = False


class Parser:
    """Parses feeds, one at a time. Holds one child process, started when it is first needed, replaced when it dies or
    has grown too large. Safe to share among threads; after a fork each process gets a child of its own."""

    def __init__(self, *, wall: float = WALL_SECONDS) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child; the next feed starts another one."""
        with self._lock:
            self._drop()

    def feed(self, capture: Capture, feed: Feed | None = None) -> ParsedFeed:
        """The feed in a capture's body, its entries judged as those of `feed` or, without one, of the capture's site.

        Raises NotAFeed, which says what the body looks like instead, and Unparsable.
        """
        subject = words.one_line(capture.where, 200)
        if not capture.body.strip():
            raise NotAFeed("an empty body", subject=subject)
        too_long = len(capture.body) > LONGEST_BODY
        text = texts.decode(capture.body[:LONGEST_BODY], capture.header("content-type"))
        try:
            if text.lstrip()[:1] in ("{", "["):
                found, cut, cut_off = from_json_feed(text.strip(), most=MOST_ENTRIES), too_long, False
            else:
                found, cut, cut_off = self._xml(text)
        except (NotAFeed, Unparsable) as error:
            error.subject = subject
            raise
        return _parsed(found, capture, feed, truncated=cut or too_long, cut_off=cut_off)

    def _xml(self, text: str) -> tuple[Found, bool, bool]:
        """What the document says, whether it ends too early, and whether it ends inside its last entry."""
        document = texts.repair(text)
        if not document.root:
            raise NotAFeed(_looks(text, document))
        answer = self._ask(document.text)
        if "error" in answer and answer["error"] != "MemoryError":
            answer = self._ask(texts.harsher(document).text)
        if "error" in answer:
            raise Unparsable(f"feedparser failed ({words.one_line(str(answer['error']), 60)})")
        found = from_child(answer)
        if not found.count and (not found.version or document.kind == "html") and document.kind not in _EMPTY_FEEDS:
            raise NotAFeed(_looks(text, document))
        return found, document.truncated, document.truncated and _ends_inside_entry(document.text)

    # --- the child ---

    def _ask(self, text: str) -> Mapping[str, Any]:
        request = text.encode("utf-8", "replace")
        with self._lock:
            try:
                return self._answer(request)
            except _Died as died:
                if died.why:
                    raise Unparsable(died.why) from died
                # It was gone before, or somebody else ended it: that says nothing about this feed.
            try:
                return self._answer(request)
            except _Died as died:
                raise Unparsable(died.why or "the parsing process died twice") from died

    def _answer(self, request: bytes) -> Mapping[str, Any]:
        child = self._living()
        try:
            answer = child.ask(request, self._wall)
        except BaseException:
            self._drop()  # also when the caller is interrupted: the answer would be taken for the next feed's
            raise
        if answer.get("tired"):
            self._drop()
        return answer

    def _living(self) -> _Child:
        if self._child is not None and self._child.parent != os.getpid():
            self._child = None  # a fork's: its pipes belong to the process that made it
        if self._child is not None and self._child.process.poll() is not None:
            self._drop()
        if self._child is None:
            self._child = _Child()
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            if self._child.parent == os.getpid():
                self._child.end()
            self._child = None


class _Died(Exception):
    """The child gave no answer; `why` is empty where the feed may not be to blame."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Child:
    """The process that runs `child.py`, and the talk with it."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own file
            # -P and the path of the file: nothing of the working directory is imported, and none of Sitrep.
            [sys.executable, "-P", str(Path(__file__).with_name("child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # No secret of the environment is in the process that reads hostile input.
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            start_new_session=True,  # an interrupt at the terminal is the parent's business
        )
        self.end = weakref.finalize(self, _end, self.process, self.parent)

    def ask(self, request: bytes, wall: float) -> Mapping[str, Any]:
        """The child's answer. Raises _Died."""
        assert self.process.stdin
        assert self.process.stdout
        out = threading.Event()
        timer = threading.Timer(wall, _time_is_up, (self.process, out))
        timer.daemon = True
        timer.start()
        try:
            self.process.stdin.write(struct.pack(">Q", len(request)) + request)
            self.process.stdin.flush()
            head = self.process.stdout.read(8)
            size = struct.unpack(">Q", head)[0] if len(head) == 8 else -1
            if size > _LONGEST_ANSWER:
                raise _Died("the parsing process answered beyond all measure")
            answer = self.process.stdout.read(size) if size > 0 else b""
        except OSError:  # a broken pipe
            size, answer = -1, b""
        finally:
            timer.cancel()
        if size < 0 or len(answer) != size:
            raise _Died(self._why(out.is_set(), wall))
        return _checked(answer)

    def _why(self, out: bool, wall: float) -> str:
        code = self.process.wait()
        if out:
            return f"parsing took more than {wall:g} seconds"
        if code == -signal.SIGXCPU:
            return f"parsing took more than {CPU_SECONDS} seconds of CPU"
        return ""


# What a Python needs to find itself and its packages.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def _time_is_up(process: subprocess.Popen[bytes], out: threading.Event) -> None:
    out.set()
    process.kill()


def _end(process: subprocess.Popen[bytes], parent: int) -> None:
    if os.getpid() != parent:
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                pass  # what was still to be written is for nobody


def _checked(answer: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _Died("the parsing process answered nonsense") from error
    if not isinstance(value, dict):
        raise _Died("the parsing process answered nonsense")
    return value


# --- the answer ------------------------------------------------------------------------------------------------------


def _parsed(found: Found, capture: Capture, feed: Feed | None, *, truncated: bool, cut_off: bool) -> ParsedFeed:
    context = Context.of(found, capture, feed)
    name = feed.url if feed else None
    read = list(found.records)
    tail: list[Rejection] = []
    if cut_off and read and found.count == len(read):
        # Half an entry is no story, and it comes whole with the next visit.
        read.pop()
        tail.append(Rejection("cut-off", "the document ends inside this entry", capture.where, name))
    judged = iter(judge([record for record in read if record is not None], context))
    no_entry = Rejection("not-an-entry", "an item of the feed is no object", capture.where, name)
    more = found.count - len(found.records)
    if more:
        detail = f"the document has {found.count} entries; the first {MOST_ENTRIES} are read"
        tail += [Rejection("too-many-entries", detail, capture.where, name)] * more
    return ParsedFeed(
        title=title(found.title, markup=True),
        site=site_link(found.links, capture.url),
        language=language_tag(found.language),
        ttl=found.ttl,
        entries=(*(no_entry if record is None else next(judged) for record in read), *tail),
        truncated=truncated or bool(more) or any(_is_cut(record) for record in read if record),
    )


def _is_cut(record: Record) -> bool:
    return any(len(body) > LONGEST_FIELD for body in record.bodies)


_ENTRY_TAG = re.compile(r"<(/?)(?:[\w.-]+:)?(?:item|entry)(?=[\s/>])", re.IGNORECASE)


def _ends_inside_entry(text: str) -> bool:
    last = deque(_ENTRY_TAG.finditer(text), maxlen=1)
    return bool(last) and not last[0][1]


# --- what is a feed --------------------------------------------------------------------------------------------------

_EMPTY_FEEDS = frozenset({"rss", "feed", "channel"})  # feeds also where they have no entries and feedparser no name
_FEED_TYPES = re.compile(r"application/(?:rss|atom|rdf|feed)\+(?:xml|json)|application/(?:cdf|x-netcdf)", re.IGNORECASE)
# What nearly all pages begin with; the others are looked at closely, which takes a hundred times as long.
_PAGE = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*+(?:<!doctype(?:[^<>\["']|"[^"<>]*"|'[^'<>]*')*+>\s*+)?(?:<!--(?:[^<>-]|-(?!->))*+-->\s*+)*+<html[\s>]""",
    re.IGNORECASE,
)
_HEAD = 16_384  # prologs with a document type and a stylesheet end long before


def looks_like_feed(media_type: str | None, body: bytes) -> bool:
    """Whether a body is worth parsing as a feed: by its first element, which tells more than what servers say of it."""
    if _PAGE.match(body):
        return False
    head = texts.decode(body[:_HEAD], media_type)
    if head.lstrip()[:1] == "{":
        return "jsonfeed.org/version/" in head or bool(_FEED_TYPES.match(media_type or ""))
    document = texts.repair(head)
    start = document.text[:4096].lower()
    if document.kind == "rss":
        return True
    if document.kind == "rdf":
        return "purl.org/rss/" in start or "my.netscape.com/rdf" in start
    if document.kind == "feed":
        return "atom" in start or "<entry" in start or bool(_FEED_TYPES.match(media_type or ""))
    return document.kind == "channel" and ("<item" in start or "rss1.1" in start)


def _looks(text: str, document: texts.Document) -> str:
    """What a body that is no feed looks like, in a few words."""
    kind = document.kind
    if kind in ("html", "head", "body") or "<html" in text[:2000].lower():
        named = re.search(r"<title[^<>]{0,200}>([^<]{0,300})", text[:65_536], re.IGNORECASE)
        asks = re.search(r"""<input[^<>]{0,300}type\s*=\s*["']?password""", text[:262_144], re.IGNORECASE)
        what = "a login page" if asks else "an HTML page"
        return f"{what} ({words.one_line(title(named[1], markup=True) or '', 100)})" if named else what
    if kind:
        return f"XML with the root <{words.one_line(document.root, 60)}>"
    head = text[:1000]
    odd = sum(not character.isprintable() and character not in "\t\r\n" for character in head)
    # Of random bytes an eighth are control characters.
    return "plain text" if odd * 50 <= len(head) else "binary data"
