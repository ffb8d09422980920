"""The application: what is mounted, and what every request passes through."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp

from ingest import __version__
from ingest.errors import SitrepError
from ingest.web import chart, downloads, feeds, login, rendering, runs, search, story, topics
from ingest.web.access import Access
from ingest.web.bodies import Bodies
from ingest.web.headers import Headers, Heads, KnownHosts
from ingest.web.window import Window

# Each module has a `pages` (HTML and downloads) and may have an `api` (JSON). A new page is one more name here.
PAGES: Sequence[APIRouter] = (
    search.pages,
    chart.pages,
    downloads.pages,
    story.pages,
    feeds.pages,
    runs.pages,
    topics.pages,
)
API: Sequence[APIRouter] = (search.api, chart.api, story.api, feeds.api, runs.api, topics.api)
WRITING_PAGES: Sequence[APIRouter] = (feeds.writing_pages,)
WRITING_API: Sequence[APIRouter] = (feeds.writing_api,)
VERSIONS = ("/api/v1", "/api")  # the second is the first, for scripts that want whatever is current

log = logging.getLogger("sitrep.web")


def create_app(window: Window, access: Access) -> FastAPI:
    """The window as an ASGI application, to be served alone or mounted anywhere (it follows `root_path`).

    Every route is behind `access`: pages, JSON, static files and the description of the API.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        window.close()

    app = _Application(
        title="Sitrep",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.window, app.state.access = window, access
    guarded = list(access.readers)
    if access.token:
        app.include_router(login.pages)
    # the page that asks for a token needs its style sheet before anybody showed one
    app.include_router(_files(), dependencies=[] if access.token else guarded)
    writers = [*guarded, *access.writers]
    for routers, rights in ((PAGES, guarded), (WRITING_PAGES, writers)):
        for router in routers:
            app.include_router(router, dependencies=rights)
    for prefix in VERSIONS:
        for routers, rights in ((API, guarded), (WRITING_API, writers)):
            for router in routers:
                app.include_router(router, prefix=prefix, dependencies=rights, include_in_schema=prefix == VERSIONS[0])
    app.include_router(_described(app), dependencies=guarded)
    _errors(app)
    app.add_middleware(Bodies)
    if access.hosts is not None:
        app.add_middleware(KnownHosts, hosts=access.hosts)
    return app


class _Application(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """The headers go around everything, also around what answers when a page fails."""
        return Headers(Heads(super().build_middleware_stack()), framed=self.state.access.framed)


def _files() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name:path}")
    def static(name: str) -> Response:
        return rendering.static(name)

    return router


def _described(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/api/v1/openapi.json")
    def openapi() -> dict[str, Any]:
        return app.openapi()

    @router.get("/api")
    def described(request: Request) -> Response:
        return rendering.page(request, "api.html", described=app.openapi())

    @router.api_route("/{_:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def unknown(request: Request) -> Response:
        """Guarded like the rest: strangers are not even told what there is not. It stands last, so that every path
        meets it whose method no route takes."""
        if taken := _taken(app, request):
            names = ", ".join(taken)
            raise HTTPException(405, f"This address takes {names}, not {request.method}.", {"Allow": names})
        raise HTTPException(404, "There is no such page.")

    return router


def _taken(app: FastAPI, request: Request) -> list[str]:
    """The methods that routes of this path take, when none takes that of the request."""
    here = [route for route in app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    return sorted({method for route in here for method in getattr(route, "methods", None) or ()})


def _errors(app: FastAPI) -> None:
    @app.exception_handler(SitrepError)
    @app.exception_handler(HTTPException)
    def told(request: Request, error: Exception) -> Response:
        return rendering.failed(request, error)

    @app.exception_handler(RequestValidationError)
    def unfit(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return rendering.failed(request, HTTPException(400, f"{place}: {first['msg']}."))

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        log.error("a page failed", exc_info=error)
        return rendering.failed(request, error)
