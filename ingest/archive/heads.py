"""The heads of WARC records and HTTP responses: a first line, named fields, an empty line."""

from __future__ import annotations

import re
from collections.abc import Iterator

HEAD_END = re.compile(rb"\r?\n\r?\n")


def split_head(data: bytes) -> tuple[bytes, bytes]:
    """Head and block; a block without a head's end is all head."""
    end = HEAD_END.search(data)
    return (data[: end.start()], data[end.end() :]) if end else (data, b"")


def header_fields(head: bytes) -> Iterator[tuple[str, str]]:
    """The named fields below the first line, continuation lines joined."""
    lines = re.sub(rb"\r?\n[ \t]+", b" ", head).splitlines()[1:]
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and name.strip():
            yield _header_text(name), _header_text(value)


def _header_text(value: bytes) -> str:
    value = value.strip()
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
