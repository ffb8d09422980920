"""The lease: one document that changes only as it was read.

Every change names the sequence number of what it was decided upon, so of two that change it at once one is told, and
looks again. The clocks of the publishers' machines are compared: they must agree within a few seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ingest.errors import LeaseLost
from ingest.store import Lease
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import Layout
from ingest.store.holders import LEASE_SECONDS, WAITING_SECONDS, is_gone

_EMPTY: dict[str, Any] = {
    "holder": None,
    "token": 0,
    "renewed": 0.0,
    "waiting": "{}",
    "pending": None,
    "piece": None,
    "layout": None,
}


class Leases:
    """`clock` gives seconds since 1970."""

    def __init__(self, connection: Connection, layout: Layout, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._path = f"/{layout.small('control')}/_doc/lease"
        self._clock = clock

    def take(self, holder: str, *, live: bool) -> tuple[Lease, dict[str, Any]] | str:
        """The lease and what the document said before it was taken, or who goes first."""
        while True:
            now = self._clock()
            state, version = self._read()
            waiting: dict[str, float] = json.loads(state["waiting"])
            first = _before(state, waiting, holder, live, now)
            if first is not None:
                if live and abs(now - waiting.get(holder, -9.9e9)) > 1:
                    self._write({**state, "waiting": json.dumps({**waiting, holder: now})}, version)
                return first
            still = {
                name: asked for name, asked in waiting.items() if name != holder and abs(now - asked) <= WAITING_SECONDS
            }
            token = state["token"] + 1
            taken = {**state, "holder": holder, "token": token, "renewed": now, "waiting": json.dumps(still)}
            if self._write(taken, version):
                return Lease(holder, token), state

    def hold(self, lease: Lease, **changes: Any) -> None:
        """Renew the lease, and change its document, or raise LeaseLost: then nothing is changed."""
        while True:
            state, version = self._read()
            if (state["holder"], state["token"]) != (lease.holder, lease.token):
                self.lost(lease, state["holder"])
            if self._write({**state, "renewed": self._clock(), **changes}, version):
                return

    def lost(self, lease: Lease, held: str | None) -> None:
        who = f"{held} took over from" if held else "the lease was given back by"
        advice = "Run the same thing again."
        raise LeaseLost(f"{who} {lease.holder}.", subject=self._connection.where, advice=advice)

    def give_back(self, lease: Lease, *, finished: bool) -> None:
        """`finished`: nothing is left of a journal; else whoever comes next reads it."""
        while True:
            state, version = self._read()
            if (state["holder"], state["token"]) != (lease.holder, lease.token):
                return
            if self._write({**state, "holder": None, **({"pending": None} if finished else {})}, version):
                return

    def _read(self) -> tuple[dict[str, Any], dict[str, int]]:
        """The document as it is at this moment, and what a change of it must name."""
        answer = self._connection.request("GET", self._path, allow=(404,))
        if answer.status == 404 and "found" in answer.body:
            return dict(_EMPTY), {}
        if answer.status == 404:
            self._connection.refused(404, answer.body)
        names = {"if_seq_no": answer.body["_seq_no"], "if_primary_term": answer.body["_primary_term"]}
        return answer.body["_source"], names

    def _write(self, state: dict[str, Any], version: dict[str, int]) -> bool:
        """Whether it was changed: not where somebody else was faster."""
        params: dict[str, Any] = version or {"op_type": "create"}
        return self._connection.request("PUT", self._path, state, allow=(409,), **params).status != 409


def _before(state: dict[str, Any], waiting: dict[str, float], holder: str, live: bool, now: float) -> str | None:
    """Who goes first, if anybody does. Distances in time count both ways: a clock may have been set back."""
    held = state["holder"]
    if held not in (None, holder) and abs(now - state["renewed"]) < LEASE_SECONDS and not is_gone(held):
        return str(held)
    if live:
        return None
    others = sorted((asked, name) for name, asked in waiting.items() if name != holder)
    return next((name for asked, name in others if abs(now - asked) < WAITING_SECONDS and not is_gone(name)), None)
