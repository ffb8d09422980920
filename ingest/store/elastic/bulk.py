"""Many documents at once: each ends as written, in conflict, or refused for a reason; anything else stops the run.

A request that nobody answered may have been carried out: it is sent again, and what it did already shows as a
conflict, which the caller settles by looking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import orjson

from ingest.store.elastic.connection import BUSY, TRIES_BUSY, Connection, pause, reason

# The size decides what a fault costs, not the speed; far below http.max_content_length (100 MB).
CHUNK_DOCUMENTS = 1000
CHUNK_BYTES = 5_000_000
LONGEST_ID = 512  # bytes; one longer id is the end of a whole request
# Requests at once for what a slice writes: a server works on one with one core. A third is made meanwhile.
SENDERS = 2

# What is not the document's fault although it is answered document by document.
_STOPS = frozenset({"cluster_block_exception", "index_closed_exception", "index_not_found_exception"})


@dataclass(frozen=True, slots=True)
class Action:
    """One line or two of a bulk request. `key` is the caller's name for it."""

    key: tuple[str, str]
    index: str
    lines: bytes


@dataclass(slots=True)
class Outcome:
    """What became of actions: keys in conflict, and keys refused with the reason."""

    conflicts: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        self.conflicts += other.conflicts
        self.refused |= other.refused


def action(
    kind: str, key: tuple[str, str], index: str, ident: str, body: Mapping[str, Any] | None, **more: Any
) -> Action:
    """`kind`: create, update, index or delete."""
    lines = orjson.dumps({kind: {"_index": index, "_id": ident, **more}}, option=orjson.OPT_APPEND_NEWLINE)
    if body is not None:
        lines += orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)
    return Action(key, index, lines)


def deliver(connection: Connection, actions: Iterable[Action], *, senders: int = 1) -> Outcome:
    """Send them all. `senders`: requests at once; with more than one their order is open, so no two actions may be of
    one document. Raises StoreGone where the store cannot be written at all."""
    outcome = Outcome()
    with ThreadPoolExecutor(senders) as pool:  # the server works on some chunks while the next one is made
        sent: deque[Future[Outcome]] = deque()
        for chunk in _chunks(actions):
            if len(sent) == senders:
                outcome.add(sent.popleft().result())
            sent.append(pool.submit(_sent, connection, chunk))
        while sent:
            outcome.add(sent.popleft().result())
    return outcome


def _sent(connection: Connection, chunk: list[Action]) -> Outcome:
    outcome = Outcome()
    _deliver(connection, chunk, outcome)
    return outcome


def _chunks(actions: Iterable[Action]) -> Iterator[list[Action]]:
    chunk: list[Action] = []
    size = 0
    for one in actions:
        if chunk and (len(chunk) >= CHUNK_DOCUMENTS or size + len(one.lines) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += len(one.lines)
    if chunk:
        yield chunk


def _deliver(connection: Connection, chunk: list[Action], outcome: Outcome) -> None:
    left = chunk
    for attempt in range(1, TRIES_BUSY + 1):
        body = b"".join(one.lines for one in left)
        answer = connection.request("POST", "/_bulk", body, allow=(413, 429))
        if answer.status == 413 or (answer.status == 429 and len(left) > 1):
            _in_halves(connection, left, answer.status, attempt, outcome)
            return
        if answer.status == 429:
            if attempt == TRIES_BUSY or reason(answer.body)[0] == "cluster_block_exception":
                connection.refused(429, answer.body, left[0].index)
            pause(attempt)
            continue
        left = _sorted_out(connection, left, answer.body, outcome)
        if not left:
            return
        if attempt < TRIES_BUSY:
            pause(attempt)
    connection.gone(f"its write queue was full {TRIES_BUSY} times.", "Run the same thing again.")


def _in_halves(connection: Connection, chunk: list[Action], status: int, attempt: int, outcome: Outcome) -> None:
    """Too large for the server, or for what it has free at the moment."""
    if len(chunk) == 1:
        outcome.refused[chunk[0].key] = f"too large for the store ({len(chunk[0].lines)} bytes)"
        return
    if status == 429:
        pause(attempt)
    middle = len(chunk) // 2
    _deliver(connection, chunk[:middle], outcome)
    _deliver(connection, chunk[middle:], outcome)


def _sorted_out(connection: Connection, chunk: list[Action], body: Any, outcome: Outcome) -> list[Action]:
    """Note what is settled; gives what must be sent again."""
    again: list[Action] = []
    if not body["errors"]:
        return again
    for one, item in zip(chunk, body["items"], strict=True):
        ((kind, result),) = item.items()
        status = result["status"]
        if status < 300 or (kind == "delete" and status == 404 and "error" not in result):
            continue
        error, why = reason(result)
        if error in _STOPS or status in (401, 403):
            connection.refused(status, result, one.index)
        if status in BUSY:
            again.append(one)
        elif status == 409 or error == "document_missing_exception":
            outcome.conflicts.append(one.key)
        elif status >= 500:
            connection.refused(status, result, one.index)
        else:
            outcome.refused[one.key] = f"{error}: {why}"
    return again
