"""JSON object → line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from ingest import dates
from ingest.archive.pages import as_text
from ingest.archive.shapes import Raw, Unfit
from ingest.models import Dropped, Line, Rejection

_NEEDED = ("id", "html", "text")  # what a line is known by and what it says: of another type, it is none
_MORE = ("url", "title", "published", "source", "language")


def decode_line(raw: Raw) -> Line | Rejection:
    """The line that an object is. What is known beside its text and cannot be taken is `dropped`."""
    number = raw.where.rpartition(" ")[2]
    dropped: list[Dropped] = []
    try:
        record = _object(raw.data)
        values = {name: _string(record, name) for name in _NEEDED}
        for name in _MORE:
            try:
                values[name] = _string(record, name)
            except Unfit as odd:
                values[name] = None
                dropped.append(Dropped(name, odd.detail, raw.where))
        _check_line(values)
    except Unfit as refused:
        return Rejection(refused.reason, f"line {number}: {refused.detail}", raw.where)
    authors, no_names = _authors(record.get("authors"))
    first_seen, no_instant = _first_seen(record.get("first_seen"))
    for name, why in (("authors", no_names), ("first_seen", no_instant)):
        if why:
            dropped.append(Dropped(name, why, raw.where))
    return Line(
        guid=values["id"] or None,
        url=values["url"] or None,
        title=values["title"],
        html=values["html"],
        text=values["text"] if (values["text"] or "").strip() or not (values["html"] or "").strip() else None,
        published=values["published"] or None,
        source=values["source"] or None,
        language=values["language"] or None,
        authors=authors,
        first_seen=first_seen,
        where=raw.where,
        dropped=tuple(dropped),
        number=int(number) if number.isdecimal() else 0,
    )


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(data)
        if isinstance(record, dict) and isinstance(record.get("id"), float):
            record = json.loads(data)  # orjson turns whole numbers above 64 bits into floats: their digits are the id
    except (ValueError, RecursionError):
        # orjson is strict: NaN, half a surrogate pair or a byte that is no UTF-8 somewhere do not spoil the rest.
        try:
            record = json.loads(as_text(data))
        except (ValueError, RecursionError) as error:
            raise Unfit("not-json", _problem(error)) from error
    if not isinstance(record, dict):
        raise Unfit("not-an-object", f"a JSON {_JSON_NAMES.get(type(record), 'value')}, not an object")
    return record


_JSON_NAMES = {list: "array", str: "string", int: "number", float: "number", bool: "true or false", type(None): "null"}


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (character {error.pos + 1})"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number with too many digits"


def _string(record: Mapping[str, Any], name: str) -> str | None:
    """The field as a string: numbers are taken as their digits, other types are an error, null is nothing."""
    value = record.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None or isinstance(value, str):
        return _whole(value) if value else value
    raise Unfit("wrong-type", f"`{name}` is {_type(value)}, not a string")


def _type(value: Any) -> str:
    return f"a JSON {_JSON_NAMES.get(type(value), 'object')}"


def _whole(value: str) -> str:
    """Without halves of surrogate pairs, which no file and no process takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _check_line(values: Mapping[str, str | None]) -> None:
    if values["html"] is None and values["text"] is None:
        raise Unfit("no-text", "neither `html` nor `text`")
    if values["text"] is None and not (values["url"] or values["id"]):
        raise Unfit("no-id", "neither `url` nor `id`")
    if values["text"] is None and not any((values[name] or "").strip() for name in ("html", "title")):
        raise Unfit("empty", "no word in `html` or `title`")


def _authors(value: Any) -> tuple[tuple[str, ...], str]:
    """A list of names, a single name, or (as in JSON Feed) objects with a `name`; and what among it is none."""
    items = value if isinstance(value, list) else [value]
    names = [item.get("name") if isinstance(item, dict) else item for item in items]
    odd = [item for item, name in zip(items, names, strict=True) if item is not None and not isinstance(name, str)]
    why = f"`authors` has {_type(odd[0])} where a name is expected" if odd else ""
    return tuple(_whole(name) for name in names if isinstance(name, str) and name.strip()), why


def _first_seen(value: Any) -> tuple[datetime | None, str]:
    """The instant, or why there is none: the time of the run is taken instead."""
    if value is None or value == "":
        return None, ""
    if not isinstance(value, str):
        return None, f"`first_seen` is {_type(value)}, not a string"
    try:
        return dates.instant(value.strip()), ""
    except (ValueError, OverflowError):
        return None, "`first_seen` is no date of ISO 8601"
