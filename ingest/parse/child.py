"""The process that runs feedparser, and nothing else of Sitrep: started by `Parser`, as a script, with limits.

Requests come in on stdin, answers go out on stdout, each as eight bytes of length (big-endian) and as many bytes. A
request is a feed in UTF-8; an answer is JSON, so that whatever happens in here cannot put an object into the parent.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
import time
from typing import Any

CPU_SECONDS = 10  # for a feed; the slowest of 9,036 corpus files takes 0.8
MEMORY = 1 << 30
TIRED = 256 << 20  # a process that has grown beyond this is replaced: the largest honest corpus feed needs 56 MB
MOST_ENTRIES = 2000
LONGEST_FIELD = 1_000_000  # code points
HEADERS = {"content-type": "application/xml; charset=utf-8"}


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what a library may print is no answer
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    import feedparser  # after the limits, and not where this module is only imported for its constants

    # Dates are read by the parent from the raw strings; feedparser's own readers are slow and guess.
    feedparser.registerDateHandler(lambda _: time.gmtime(0))
    while (data := _request()) is not None:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + CPU_SECONDS, resource.RLIM_INFINITY))
        answer = json.dumps(_answer(feedparser, data), ensure_ascii=False).encode("utf-8", "replace")
        answers.write(struct.pack(">Q", len(answer)) + answer)
        answers.flush()


def _limit(what: int, value: int) -> None:
    try:
        resource.setrlimit(what, (value, value))
    except (ValueError, OSError):
        pass  # macOS refuses RLIMIT_AS; the limits of CPU and wall time still hold there


def _request() -> bytes | None:
    head = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(struct.unpack(">Q", head)[0]) if len(head) == 8 else None


def _answer(feedparser: Any, data: bytes) -> dict[str, Any]:
    try:
        # Only ever a BytesIO: a string that is a path or an address would be opened.
        parsed = feedparser.parse(
            io.BytesIO(data), response_headers=dict(HEADERS), sanitize_html=False, resolve_relative_uris=False
        )
        answer = _plain(parsed)
    except MemoryError:
        return {"error": "MemoryError", "tired": True}
    except Exception as error:  # noqa: BLE001 - feedparser raises anything (OverflowError, re.error …); the parent decides
        return {"error": type(error).__name__, "tired": False}
    answer["tired"] = _memory() > TIRED
    return answer


def _memory() -> int:
    """Bytes that this process holds. Its peak says nothing on Linux: it begins with that of the parent."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - this script imports as little as it can
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _plain(parsed: Any) -> dict[str, Any]:
    feed = parsed["feed"]
    return {
        "version": _text(parsed, "version"),
        "title": _text(feed, "title"),
        "language": _text(feed, "language"),
        "links": _links(feed),
        "ttl": _text(feed, "ttl"),
        "period": _text(feed, "sy_updateperiod"),
        "frequency": _text(feed, "sy_updatefrequency"),
        "count": len(parsed["entries"]),
        "entries": [_entry(entry) for entry in parsed["entries"][:MOST_ENTRIES]],
    }


def _entry(entry: Any) -> dict[str, Any]:
    title, summary = _detail(entry, "title"), _detail(entry, "summary")
    bodies = [part for part in _list(entry, "content") if isinstance(part, dict)] + [summary]
    languages = [_text(part, "language") for part in (*bodies, title)]
    return {
        "guid": _text(entry, "id"),
        "guid_is_link": bool(dict.get(entry, "guidislink")) or None,
        "links": _links(entry),
        "original": _text(entry, "feedburner_origlink") or _text(entry, "pheedo_origlink"),
        "title": _text(entry, "title"),
        "title_type": _text(title, "type"),
        "bodies": [[_text(part, "value"), _text(part, "type")] for part in bodies if _text(part, "value")],
        "dates": [found for name in ("published", "created", "updated") if (found := _text(entry, name))],
        "authors": _authors(entry),
        "language": next(filter(None, languages), ""),
    }


def _text(holder: Any, name: str) -> str:
    # dict.get, for FeedParserDict's own answers with other keys where one is missing
    value = dict.get(holder, name)
    return value[: LONGEST_FIELD + 1] if isinstance(value, str) else ""


def _list(holder: Any, name: str) -> list[Any]:
    value = dict.get(holder, name)
    return value if isinstance(value, list) else []


def _detail(entry: Any, name: str) -> Any:
    detail = dict.get(entry, name + "_detail")
    return detail if isinstance(detail, dict) else {"value": dict.get(entry, name), "type": "text/html"}


def _links(holder: Any) -> list[list[str]]:
    links = [
        [_text(link, "href"), _text(link, "rel"), _text(link, "type")]
        for link in _list(holder, "links")[:50]
        if isinstance(link, dict)
    ]
    single = _text(holder, "link")
    if single and single not in (link[0] for link in links):
        links.append([single, "guid", ""])  # feedparser made it of the guid
    return [link for link in links if link[0]]


def _authors(entry: Any) -> list[str]:
    names = [_text(author, "name") for author in _list(entry, "authors")[:50] if isinstance(author, dict)]
    return [name for name in names if name] or [name for name in [_text(entry, "author")] if name]


if __name__ == "__main__":
    main()
