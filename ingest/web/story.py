"""A story: its text with the evidence in it, its clocks, who told it when, what changed between two tellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from ingest.models import Content, Story
from ingest.pipeline import captures, records
from ingest.store import Store, typed
from ingest.web import evidence, rendering
from ingest.web.comparing import Comparison, Work, compare
from ingest.web.window import window_of

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["stories"])

MOST_TOLD = 200  # members of a cluster on a page
LONGEST_TEXT = 200_000  # characters that a page shows: forty times a long report
MOST_REVISED = 20  # revisions whose changes are shown
LONGEST_ID = 100

# What `published_from` says, for people.
DATED = {
    "feed": "the feed said so",
    "archive": "the archive said so",
    "url": "read from the address",
    None: "nobody said when",
}
TOLD_FROM = {
    "page": "its page",
    "full_feed": "the whole text in its feed",
    "teaser": "the teaser in its feed",
    "mention": "another site's feed",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A revision and what it changed in the one before it (None: the first, or one of too many)."""

    told: dict[str, Any]
    changes: Comparison | None


@pages.get("/story/{identity}")
def story(request: Request, identity: str, q: Annotated[str, Query(max_length=typed.LONGEST_TYPED)] = "") -> Response:
    store = window_of(request).store
    told = _found(store, identity)
    content, record = told.content, records.story(store, told, most=MOST_TOLD)
    required = typed.read(q).required
    text = content.text[:LONGEST_TEXT]
    searched = typed.marks(text, [clause for clause in required if not clause.title])
    return rendering.page(
        request,
        "story.html",
        story=record,
        most_told=MOST_TOLD,
        sources={member["id"]: member["source"] for member in record["members"]},
        content=content,
        q=q,
        title=evidence.paragraphs(content.title or "(no title)", content.tags.evidence, "title"),
        paragraphs=evidence.paragraphs(text, content.tags.evidence, "text", searched),
        cut=len(content.text) - len(text),
        proofs=content.tags.evidence,
        dated=_dated(told.published_from),
        told_from=TOLD_FROM[str(content.text_from)],
        changes=_changes(told),
        captured=bool(content.feed),
    )


@pages.get("/story/{identity}/beside/{other}")
def beside(request: Request, identity: str, other: str) -> Response:
    """Two tellings side by side."""
    left, right = _two(request, identity, other)
    compared = _compared(left.content, right.content)
    return rendering.page(request, "beside.html", left=left, right=right, compared=compared)


@pages.get("/story/{identity}/capture")
def capture(request: Request, identity: str) -> Response:
    """The WARC record that a story was read from. Nobody runs it: it is a file to save."""
    window = window_of(request)
    told = _found(window.store, identity)
    data = captures.record(window.landing, told.content)
    name = "".join(char for char in told.id[:40] if char.isascii() and char.isalnum()) or "story"
    headers = {
        "Content-Disposition": f'attachment; filename="sitrep-{name}.warc.gz"',
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    return Response(data, media_type="application/octet-stream", headers=headers)


@api.get("/stories/{identity}")
def story_json(request: Request, identity: str) -> dict[str, Any]:
    """A story as in `export`, with the `members` of its cluster (the lead first, then in the order of time, at most
    200) and its `revisions`."""
    store = window_of(request).store
    return records.story(store, _found(store, identity), most=MOST_TOLD)


@api.get("/stories/{identity}/beside/{other}")
def beside_json(request: Request, identity: str, other: str) -> dict[str, Any]:
    """Two tellings compared: the `numbers` that changed (left, right), and `rows` of paragraphs that belong together,
    in pieces that are the same, gone (from the right) or new (there)."""
    left, right = _two(request, identity, other)
    return asdict(_compared(left.content, right.content))


def _found(store: Store, identity: str) -> Story:
    found = store.get([identity]).get(identity) if len(identity) <= LONGEST_ID else None
    if found is None:
        raise HTTPException(404, "No story has this id.")
    return found


def _two(request: Request, identity: str, other: str) -> tuple[Story, Story]:
    store = window_of(request).store
    return _found(store, identity), _found(store, other)


def _compared(left: Content, right: Content, work: Work | None = None) -> Comparison:
    languages = left.language or "", right.language or ""
    return compare((left.title or "", left.text), (right.title or "", right.text), work, languages=languages)


def _dated(published_from: str | None) -> str:
    if published_from in DATED:
        return DATED[published_from]
    place, _, way = (published_from or "").partition(":")
    if place == "page":
        return "its page said so" + (f", in its {way.strip()}" if way else "")
    return f"the {published_from}" if published_from else "nobody said when"


def _changes(told: Story) -> Sequence[Change]:
    """The revisions, newest first, each with what it changed."""
    listed = records.revisions(told)
    changes, work = [], Work()
    for n, revision in enumerate(listed):
        near = n and n >= len(listed) - MOST_REVISED
        before, after = (told.versions[n - 1].content, told.versions[n].content) if near else (None, None)
        changes.append(Change(revision, _compared(before, after, work) if before and after else None))
    return changes[::-1]
