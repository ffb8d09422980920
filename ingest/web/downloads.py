"""What a search finds, to take away: Atom, CSV, JSON Lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from ingest.pipeline import exporting
from ingest.web import rendering
from ingest.web.asking import Asked, asked
from ingest.web.window import window_of

pages = APIRouter(include_in_schema=False)

ENTRIES = 50  # of a feed
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold


@pages.get("/stories.csv")
def as_csv(request: Request, asked: Annotated[Asked, Depends(asked)]) -> Response:
    """Every story that is found, also the copies."""
    stories = window_of(request).store.export(asked.query())
    return _download(exporting.as_csv(stories), "text/csv; charset=utf-8", "sitrep.csv")


@pages.get("/stories.jsonl")
def as_jsonl(request: Request, asked: Annotated[Asked, Depends(asked)]) -> Response:
    stories = window_of(request).store.export(asked.query())
    return _download(exporting.jsonl(stories), "application/x-ndjson", "sitrep.jsonl")


@pages.get("/feed.atom")
def as_atom(request: Request, asked: Annotated[Asked, Depends(asked)]) -> Response:
    """The newest hits, one a cluster."""
    found = window_of(request).store.search(replace(asked, page=1, order="newest").query(ENTRIES))
    updated = max((hit.story.indexed for hit in found.hits), default=datetime.fromtimestamp(0, UTC))
    origin = f"{request.url.scheme}://{request.url.netloc}"
    text = rendering.render(request, "feed.atom", found=found, asked=asked, updated=updated, origin=origin)
    return Response(_UNFIT.sub("", text).encode(), media_type="application/atom+xml")


def _download(lines: Iterator[bytes], media: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_gathered(lines), media_type=media, headers=headers)


def _gathered(lines: Iterator[bytes], size: int = 65_536) -> Iterator[bytes]:
    """Lines in pieces: each piece costs a change of threads."""
    piece: list[bytes] = []
    held = 0
    for line in lines:
        piece.append(line)
        held += len(line)
        if held >= size:
            yield b"".join(piece)
            piece, held = [], 0
    yield b"".join(piece)
