"""Who may read and who may write.

Alone (`sitrep serve`), on a loopback address everybody on the machine reads; with a token (`SITREP_TOKEN`) whoever
shows it writes, and on any other address nobody does anything without it. In Airflow its own rights decide (the plugin
brings them). A page of another site can do nothing in a reader's name: what changes something must come from our own
origin.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request

COOKIE = "sitrep"
LASTS = 30 * 86_400  # seconds that a login is good for
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Access:
    """`readers` and `writers` are FastAPI dependencies that raise where a request may not; writers' come on top of
    readers'. `may_write` says for a request whether pages show what writes. `hosts`: the names that are served (None:
    any). `framed`: pages of the same origin may embed ours. `token`: where /login takes one."""

    readers: Sequence[Any] = ()
    writers: Sequence[Any] = ()
    may_write: Callable[[Request], bool] = lambda _: False
    hosts: Sequence[str] | None = None
    framed: bool = False
    token: str = field(default="", repr=False)


def alone(token: str, *, loopback: bool) -> Access:
    """The rights of `sitrep serve`."""

    def known(request: Request) -> None:
        if not shows(request, token):
            # a feed reader asks again with the token as a password; a browser is sent to /login by the error page
            raise HTTPException(
                401, "The token of this Sitrep is needed.", {"WWW-Authenticate": 'Basic realm="Sitrep"'}
            )

    def writing(request: Request) -> None:
        if not token:
            raise HTTPException(403, "Nothing can be changed here: no SITREP_TOKEN is set.")
        if not shows(request, token):
            raise HTTPException(403, "The token of this Sitrep is needed to change anything.")

    return Access(
        readers=() if loopback else (Depends(known),),
        writers=(Depends(writing), Depends(same_origin)),
        may_write=lambda request: bool(token) and shows(request, token),
        hosts=LOOPBACK if loopback else None,
        token=token,
    )


def shows(request: Request, token: str) -> bool:
    """Whether a request carries the token: as Bearer, as the password of Basic, or by the cookie of a login."""
    if not token:
        return False
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    match kind.lower():
        case "bearer":
            return same(value.strip(), token)
        case "basic":
            return same(_password(value.strip()), token)
    return _is_session(request.cookies.get(COOKIE, ""), token)


def same(given: str, token: str) -> bool:
    """In a time that says nothing about how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def session(token: str, now: float | None = None) -> str:
    """What the cookie holds: until when it is good, signed with the token; never the token."""
    until = str(int((time.time() if now is None else now) + LASTS))
    return f"{until}.{_signed(until, token)}"


def _is_session(cookie: str, token: str) -> bool:
    until, _, sign = cookie.partition(".")
    return until.isdecimal() and len(until) < 20 and same(sign, _signed(until, token)) and int(until) > time.time()


def _signed(until: str, token: str) -> str:
    return hmac.new(token.encode(), b"sitrep session " + until.encode(), hashlib.sha256).hexdigest()


def _password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def same_origin(request: Request) -> None:
    """Raises 403 for what a page of another site sends. A program that is no browser names no origin."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        fine = site in ("same-origin", "none")
    else:
        fine = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not fine:
        raise HTTPException(403, "This was sent by a page of another site.")
