"""A story: its text with the evidence in it, its clocks, its cluster, its revisions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from ingest.models import Story
from ingest.pipeline import records
from ingest.store import Store
from ingest.web import rendering

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["stories"])


@pages.get("/story/{identity}")
def story(request: Request, identity: str) -> Response:
    store = request.app.state.window.store
    return rendering.page(request, "story.html", story=records.story(store, _found(store, identity)))


@api.get("/stories/{identity}")
def story_json(request: Request, identity: str) -> dict[str, Any]:
    """A story with the members of its cluster and its revisions."""
    store = request.app.state.window.store
    return records.story(store, _found(store, identity))


def _found(store: Store, identity: str) -> Story:
    found = store.get([identity[:200]]).get(identity)
    if found is None:
        raise HTTPException(404, "No story has this id.")
    return found
