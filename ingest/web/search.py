"""The first page: a box, and what it finds."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from ingest import store
from ingest.pipeline import records
from ingest.web import rendering

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["stories"])


@pages.get("/")
def search(request: Request, q: Annotated[str, Query()] = "") -> Response:
    found = request.app.state.window.store.search(store.Query(text=q))
    return rendering.page(request, "search.html", q=q, found=found)


@api.get("/search")
def search_json(request: Request, q: str = "") -> dict[str, Any]:
    """Stories that are found."""
    found = request.app.state.window.store.search(store.Query(text=q))
    return {"total": found.total, "hits": [records.hit(hit) for hit in found.hits]}
