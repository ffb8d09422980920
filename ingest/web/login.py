"""Where a browser shows the token once and gets a cookie for it. One try at a time, and a wrong one takes its time."""

from __future__ import annotations

import threading
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from ingest.web import access, rendering

pages = APIRouter(include_in_schema=False)

SLOWED = 0.5  # seconds a wrong token costs
_trying = threading.Lock()


@pages.get("/login")
def ask(request: Request, next: str = "/") -> Response:
    return rendering.page(request, "login.html", next=_inside(next), wrong=False)


@pages.post("/login", dependencies=[Depends(access.same_origin)])
def take(request: Request, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    if len(token) > 1000:
        raise HTTPException(400, "That is no token.")
    expected: str = request.app.state.access.token
    if not _is_right(token.strip(), expected):
        return rendering.page(request, "login.html", status=403, next=_inside(next), wrong=True)
    answer = RedirectResponse(rendering.address(request, _inside(next)), 303)
    root = request.scope.get("root_path", "")
    answer.set_cookie(
        access.COOKIE,
        access.session(expected),
        max_age=access.LASTS,
        path=root or "/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@pages.post("/logout", dependencies=[Depends(access.same_origin)])
def leave(request: Request) -> Response:
    answer = RedirectResponse(rendering.address(request, "/"), 303)
    answer.delete_cookie(access.COOKIE, path=request.scope.get("root_path", "") or "/")
    return answer


def _is_right(token: str, expected: str) -> bool:
    """Raises HTTPException while another one is tried: waiting here would take the threads that serve all pages."""
    if not _trying.acquire(blocking=False):
        raise HTTPException(429, "Somebody tries a token just now: try again in a second.", {"Retry-After": "1"})
    try:
        right = access.same(token, expected)
        if not right:
            time.sleep(SLOWED)
        return right
    finally:
        _trying.release()


def _inside(path: str) -> str:
    """Where to go on: a path of this application, never another site."""
    plain = path.isprintable() and path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path[:2000] if plain else "/"
