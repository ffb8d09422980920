"""WARC record → capture."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ingest import dates
from ingest.archive.heads import header_fields, split_head
from ingest.archive.responses import check_entry, response
from ingest.archive.shapes import UNCHANGED, Raw, Unfit
from ingest.archive.warc import NO_ENTRY
from ingest.models import Capture


def decode_record(raw: Raw, now: datetime, trusted: bool) -> Capture | None:
    head, block = split_head(raw.data)
    fields = {name.lower(): value for name, value in header_fields(head)}
    kind = fields.get("warc-type", "").lower()
    if kind.encode() in NO_ENTRY:
        return None
    if kind not in ("response", "resource", "revisit"):
        raise Unfit(f"type-{_name(kind)}")
    if trusted:
        _check_digest(fields, block)
    if "warc-segment-number" in fields:
        raise Unfit("type-continuation", "the record is cut into segments")
    url = fields.get("warc-target-uri", "").strip("<> \t")
    if not url:
        raise Unfit("no-target-uri")
    captured = _moment(fields.get("warc-date", ""), now) or now
    if kind == "revisit":
        status, headers, body = UNCHANGED, tuple(header_fields(split_head(block)[0])), b""
    elif kind == "resource":
        status, headers, body = 200, (("Content-Type", fields.get("content-type", "")),), block
    else:
        status, headers, body = response(fields, block)
    if not trusted and kind != "revisit":
        check_entry(status, headers, body)
    note = _read_note(raw.note) if trusted else {}
    entry = note.get("entry")
    return Capture(
        url,
        status,
        headers,
        body,
        captured,
        addresses=tuple(item for item in note.get("addresses") or () if isinstance(item, str)),
        feed=_or_none(note.get("feed")),
        entry=entry if isinstance(entry, dict) else None,
        where=raw.where,
        site=_or_none(note.get("site")),
        language=_or_none(note.get("language")),
    )


def _name(kind: str) -> str:
    """A record's type as part of a reason's name, whatever stands there."""
    return kind if re.fullmatch(r"[a-z][a-z-]{0,29}", kind) else "unknown"


def _check_digest(fields: Mapping[str, str], block: bytes) -> None:
    """Our own files say what their blocks are; a record that was changed is none of ours.

    Digests of foreign archives are not checked: tools disagree about what a payload is where it is chunked, and
    records that were copied from one WARC to another often carry the old block's digest.
    """
    algorithm, _, said = fields.get("warc-block-digest", "").partition(":")
    if algorithm != "sha256":
        return
    digest = hashlib.sha256(block).digest()
    if said.lower() not in (digest.hex(), base64.b32encode(digest).decode().lower()):
        raise Unfit("digest-mismatch", "the record's bytes are not those that were written")


def _moment(value: str, now: datetime) -> datetime | None:
    """An instant that an archive states, unless it is none or lies more than two days ahead."""
    try:
        moment = dates.instant(value.strip())
    except (ValueError, OverflowError):
        return None
    return moment if moment <= now + timedelta(days=2) else None


def feed_of(raw: Raw) -> tuple[str | None, bool]:
    """The feed for whose sake a record of our own landing zone was fetched, and whether it is the feed's own document
    and no page; found without decoding it: that may be what it cannot stand."""
    note = _read_note(raw.note)
    feed = _or_none(note.get("feed"))
    return feed, feed is not None and "entry" not in note


def _read_note(note: bytes | None) -> Mapping[str, Any]:
    if note is None:
        return {}
    try:
        record = json.loads(note)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
