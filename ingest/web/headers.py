"""What every answer says to the browser: run, load and send nothing but our own."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
NO_STORE, KEPT = b"no-store", b"public, max-age=31536000, immutable"
_HOST = re.compile(rb"\A(?P<name>\[[0-9a-fA-F:.]+\]|[^:]*)(?::\d+)?\Z")


class Headers:
    """ASGI middleware: the headers of every answer, also of errors and static files.

    `framed`: pages of our own origin may embed these (Airflow does); else nobody may.
    """

    def __init__(self, app: ASGIApp, *, framed: bool) -> None:
        self._app = app
        policy = POLICY.format(ancestors="'self'" if framed else "'none'")
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-frame-options", b"SAMEORIGIN" if framed else b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [*self._headers, (b"cache-control", NO_STORE)]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in own)]
            await send(message)

        await self._app(scope, receive, sent if scope["type"] == "http" else send)


class Heads:
    """ASGI middleware: HEAD is answered as GET is; the server keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class KnownHosts:
    """ASGI middleware: requests that name another host are refused, so that no page of somebody else's name that is
    made to point here (DNS rebinding) can read what stands here."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().encode() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._knows(scope):
            text = b"This address is not served under that name. Use http://127.0.0.1 and its port.\n"
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            await send({"type": "http.response.start", "status": 421, "headers": headers})
            await send({"type": "http.response.body", "body": text})
            return
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        named = [value for name, value in scope["headers"] if name == b"host"]
        match = _HOST.match(named[0]) if len(named) == 1 else None
        return match is not None and match["name"].lower() in self._hosts
