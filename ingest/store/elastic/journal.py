"""The journal: what a slice changes, written down before it is done (see writing.py)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import orjson
import zstandard

from ingest.store.elastic.bulk import action, deliver
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import Layout
from ingest.store.elastic.writing import Change

PIECE = 4_000_000  # bytes of a document


class Journal:
    """Changes in documents of the control index, each slice's under names of its own."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._index = layout.small("control")

    def keep(self, listed: Sequence[Change]) -> list[str]:
        """Write them down; gives the names of the pieces."""
        packed = base64.b64encode(zstandard.compress(orjson.dumps([list(one) for one in listed]), 1)).decode()
        name = f"journal-{secrets.token_hex(8)}"
        names: list[str] = []
        for start in range(0, len(packed), PIECE):
            names.append(f"{name}-{len(names)}")
            path = f"/{quote(self._index)}/_doc/{names[-1]}"
            self._connection.request("PUT", path, {"piece": packed[start : start + PIECE]})
        return names

    def read(self, pieces: Iterable[str]) -> list[Change] | None:
        """The changes; None where they were carried out and forgotten."""
        packed = []
        for piece in pieces:
            answer = self._connection.request("GET", f"/{quote(self._index)}/_doc/{quote(piece)}", allow=(404,))
            if answer.status == 404:
                return None
            packed.append(answer.body["_source"]["piece"])
        return [Change(*one) for one in orjson.loads(zstandard.decompress(base64.b64decode("".join(packed))))]

    def forget(self, pieces: Iterable[str]) -> None:
        deliver(self._connection, (action("delete", ("control", one), self._index, one, None) for one in pieces))
