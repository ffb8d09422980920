"""The journal: what a slice changes, written down before it is done (see writing.py)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import orjson
import zstandard

from ingest.store.elastic.bulk import SENDERS, action, deliver
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import Layout
from ingest.store.elastic.writing import Change

PIECE = 3_000_000  # bytes of a document, packed: whole threes, so that pieces can be joined as they were sent
AT_ONCE = 200  # changes that are compressed at once
NAMED = "journal-"  # so begin the names of its documents


class Journal:
    """Changes in documents of the control index, each slice's under names of its own."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._index = layout.small("control")

    def keep(self, listed: Sequence[Change]) -> list[str]:
        """Write them down; gives the names of the pieces."""
        packed, name = memoryview(_packed(listed)), f"{NAMED}{secrets.token_hex(8)}"
        pieces = [packed[start : start + PIECE] for start in range(0, len(packed), PIECE)]
        names = [f"{name}-{number}" for number in range(len(pieces))]
        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(self._put, names, pieces))
        return names

    def _put(self, name: str, piece: memoryview) -> None:
        told = {"piece": base64.b64encode(piece).decode()}
        self._connection.request("PUT", f"/{quote(self._index)}/_doc/{quote(name)}", told)

    def read(self, pieces: Iterable[str]) -> list[Change] | None:
        """The changes; None where they were carried out and forgotten."""
        packed = []
        for piece in pieces:
            answer = self._connection.request("GET", f"/{quote(self._index)}/_doc/{quote(piece)}", allow=(404,))
            if answer.status == 404:
                return None
            packed.append(answer.body["_source"]["piece"])
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        return [Change(*one) for one in orjson.loads(unpacker.decompress(base64.b64decode("".join(packed))))]

    def forget(self, pieces: Iterable[str]) -> None:
        deliver(self._connection, (action("delete", ("control", one), self._index, one, None) for one in pieces))

    def sweep(self) -> None:
        """Forget what publishers wrote down that died before it counted. For the holder of the lease, who has written
        nothing down yet."""
        self._connection.request("POST", f"/{quote(self._index)}/_refresh")
        kept = [hit["_id"] for hit in self._connection.all(self._index, {"match_all": {}}, False)]
        self.forget(one for one in kept if one.startswith(NAMED))


def _packed(listed: Sequence[Change]) -> bytes:
    """All changes as one JSON list, compressed; a few at a time, since the texts of a slice stand in memory already."""
    packer = zstandard.ZstdCompressor(1).compressobj()
    parts = [packer.compress(b"[")]
    for start in range(0, len(listed), AT_ONCE):
        told = orjson.dumps([list(one) for one in listed[start : start + AT_ONCE]])[1:-1]
        parts.append(packer.compress(b"," * bool(start) + told))
    return b"".join([*parts, packer.compress(b"]"), packer.flush()])
