"""What is sent to us is bounded before anything is made of it, and before anybody asks who sent it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_FILE = 5 << 20  # bytes of an OPML file
LARGEST = LARGEST_FILE + (1 << 20)  # of a whole request: a file, and the form around it


class Bodies:
    """ASGI middleware: a request's body is read up to `LARGEST` bytes; who sends more is told so (413).

    A form or JSON is read whole before the rights of a request are looked at: without a bound a stranger could fill the
    memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST:
                raise HTTPException(413, f"More than {LARGEST >> 20} MB were sent: nothing here takes so much.")
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)
