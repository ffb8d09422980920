"""Stories written down for other programs: JSON Lines, and CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from ingest.models import STORY_FIELDS, Story

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what a spreadsheet would run


def jsonl(stories: Iterable[Story]) -> Iterator[bytes]:
    """A line a story."""
    return (orjson.dumps(story.to_json()) + b"\n" for story in stories)


def as_csv(stories: Iterable[Story]) -> Iterator[bytes]:
    """Rows of CSV in UTF-8, every field quoted; lists as JSON; what a spreadsheet would run as a formula disarmed."""
    yield _row(STORY_FIELDS)
    for story in stories:
        record: Mapping[str, Any] = story.to_json()
        yield _row(_cell(record[name]) for name in STORY_FIELDS)


def _row(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text
