"""What a document says of an entry, before it is judged: one form for XML feeds (from the child's JSON) and JSON Feed.

Nothing is trusted to have a type: what has a wrong one is taken as missing.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ingest.errors import NotAFeed, Unparsable


@dataclass(frozen=True, slots=True)
class Link:
    href: str
    rel: str = ""  # "guid": made of a guid that is a permanent link
    type: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry as its document has it."""

    guid: str = ""
    links: tuple[Link, ...] = ()
    original: str = ""  # the address behind a counting one (feedburner:origLink)
    title: str = ""
    title_is_html: bool = True
    bodies: tuple[str, ...] = ()  # HTML
    dates: tuple[str, ...] = ()  # as written, the date of publication first
    authors: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One document. An entry that is no object is None."""

    version: str
    title: str
    links: tuple[Link, ...]
    language: str
    ttl: float | None
    count: int  # of entries in the document; `records` may be fewer
    records: tuple[Record | None, ...]


def from_child(answer: Mapping[str, Any]) -> Found:
    """What the child found in an XML feed."""
    records = tuple(_record(entry) if isinstance(entry, dict) else None for entry in _list(answer, "entries"))
    count = answer.get("count")
    return Found(
        version=_text(answer, "version"),
        title=_text(answer, "title"),
        links=_links(answer),
        language=_text(answer, "language"),
        ttl=_ttl(answer),
        count=count if isinstance(count, int) and count >= len(records) else len(records),
        records=records,
    )


def _record(entry: Mapping[str, Any]) -> Record:
    bodies = [body for body in _list(entry, "bodies") if isinstance(body, list) and len(body) == 2]
    return Record(
        guid=_text(entry, "guid"),
        links=_links(entry),
        original=_text(entry, "original"),
        title=_text(entry, "title"),
        title_is_html=_text(entry, "title_type") != "text/plain",
        bodies=tuple(text for value, kind in bodies if (text := _as_html(value, kind))),
        dates=tuple(_texts(entry, "dates")),
        authors=tuple(_texts(entry, "authors")),
        language=_text(entry, "language"),
    )


def _as_html(value: Any, kind: Any) -> str:
    if not isinstance(value, str):
        return ""
    if kind in ("text/plain", "text"):
        return from_plain(value)
    # Other types are pictures and archives in base64, or foreign XML.
    return value if kind in ("", "text/html", "html", "application/xhtml+xml", "xhtml") else ""


def from_plain(text: str) -> str:
    """Plain text as HTML with its paragraphs."""
    parts = (html.escape(part.strip(), quote=False) for part in text.replace("\r\n", "\n").split("\n\n"))
    return "\n".join(f"<p>{part}</p>" for part in parts if part)


def _links(holder: Mapping[str, Any]) -> tuple[Link, ...]:
    links = [link for link in _list(holder, "links") if isinstance(link, list) and len(link) == 3]
    return tuple(Link(*link) for link in links if all(isinstance(part, str) for part in link))


_PERIODS = {"hourly": 3600.0, "daily": 86_400.0, "weekly": 604_800.0, "monthly": 2_592_000.0, "yearly": 31_536_000.0}


def _ttl(answer: Mapping[str, Any]) -> float | None:
    """Seconds between two useful visits: RSS `ttl` (minutes), else the syndication module's period and frequency."""
    minutes = _text(answer, "ttl").strip()
    if minutes.isdecimal() and len(minutes) < 7 and int(minutes) > 0:
        return int(minutes) * 60.0
    period = _PERIODS.get(_text(answer, "period").strip().lower())
    times = _text(answer, "frequency").strip()
    if period is None:
        return None
    return period / max(1, int(times)) if times.isdecimal() and len(times) < 7 else period


# --- JSON Feed -------------------------------------------------------------------------------------------------------


def from_json_feed(text: str, *, most: int) -> Found:
    """What a JSON Feed (versions 1 and 1.1) says. Raises NotAFeed for other JSON, Unparsable for broken JSON."""
    try:
        document = _load(text)
    except (ValueError, RecursionError) as error:
        raise Unparsable("the JSON is broken") from error
    if not isinstance(document, dict) or "jsonfeed.org/version/" not in _text(document, "version"):
        raise NotAFeed("JSON, but no JSON Feed")
    items = _list(document, "items")
    return Found(
        version="json1",
        title=_text(document, "title"),
        links=tuple(Link(href, "alternate") for href in [_text(document, "home_page_url")] if href),
        language=_text(document, "language"),
        ttl=None,
        count=len(items),
        records=tuple(_item(item) if isinstance(item, dict) else None for item in items[:most]),
    )


def _load(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, strict=False)  # halves of surrogate pairs, control characters inside strings


def _item(item: Mapping[str, Any]) -> Record:
    guid = item.get("id")
    bodies = [_text(item, "content_html"), from_plain(_text(item, "content_text")), from_plain(_text(item, "summary"))]
    authors = [author for author in [*_list(item, "authors"), item.get("author")] if isinstance(author, dict)]
    links = [(_text(item, "url"), "alternate"), (_text(item, "external_url"), "related")]
    record = Record(
        # Version 1 allowed numbers as ids; true and false are numbers to Python alone.
        guid=str(guid) if isinstance(guid, int | float) and not isinstance(guid, bool) else _text(item, "id"),
        links=tuple(Link(href, rel) for href, rel in links if href),
        title=_text(item, "title"),
        title_is_html=False,
        bodies=tuple(body for body in bodies if body),
        dates=tuple(found for name in ("date_published", "date_modified") if (found := _text(item, name))),
        authors=tuple(name for author in authors if (name := _text(author, "name"))),
        language=_text(item, "language"),
    )
    if not record.links and record.guid.startswith(("http://", "https://")):
        record = replace(record, links=(Link(record.guid, "guid"),))  # the specification asks for an address as id
    return record


# --- reading what may be anything ------------------------------------------------------------------------------------


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _texts(holder: Mapping[str, Any], name: str) -> list[str]:
    return [value for value in _list(holder, name) if isinstance(value, str)]


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []
