"""Whose turn it is: queues per host and port, a heap of when each may be asked next, and workers that take from it.

A host's delay never occupies a worker: an idle worker takes whatever is due anywhere. The waiting follows the leader
and followers pattern: one idle worker sleeps until the earliest host is due, the others until they are woken.
"""

from __future__ import annotations

import heapq
import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingest.fetch.reasons import Verdict
from ingest.fetch.wire import Place

UNREAD = 32  # results of one run that may wait for their reader; bodies are up to 20 MB


class Turn:
    """What a queue holds: something to be done at a place, for a run (None: for all of them)."""

    __slots__ = ("delay", "place", "run")

    def __init__(self, place: Place, delay: float, run: Run | None) -> None:
        self.place = place
        self.delay = delay  # seconds from the start of the request before it
        self.run = run

    def is_held(self) -> bool:
        """Whether its run has results enough that nobody has read yet."""
        return self.run is not None and self.run.results.qsize() >= UNREAD


@dataclass(eq=False, slots=True)
class Run:
    """One call of `Fetcher.run`: its results, and the hosts that wait until it has read some of them."""

    results: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    over: bool = False
    held: deque[_Host] = field(default_factory=deque)


@dataclass(eq=False, slots=True)
class _Host:
    turns: deque[Turn] = field(default_factory=deque)
    busy: bool = False
    entered: bool = False  # on the heap
    last: float = -math.inf  # when its last request started
    least_delay: float = 0.0  # what its robots.txt asks for
    given_up: Verdict | None = None
    until: float = 0.0  # when a `given_up` for being asked too often ends
    timeouts: int = 0  # in a row


class Schedule:
    """Thread-safe. At most one turn of a place is out at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ready = threading.Condition(threading.Lock())
        self._hosts: dict[Place, _Host] = {}
        self._heap: list[tuple[float, int, _Host]] = []
        self._count = 0  # keeps the heap stable: first come, first served
        self._leader: int | None = None
        self._idle = 0
        self._closed = False

    def add(self, turn: Turn, *, first: bool = False) -> None:
        """Queue it, `first` before all others of its place."""
        with self._ready:
            host = self._host(turn.place)
            if first:
                host.turns.appendleft(turn)
            else:
                host.turns.append(turn)
            self._enter(host)

    def is_short(self) -> bool:
        """Whether there is something to do, now or later, and no worker idle to do it."""
        with self._ready:
            return self._idle == 0 and bool(self._heap)

    def take(self) -> Turn | None:
        """The next turn that is due; waits for it. None when closed. Follow it with `done`."""
        me = threading.get_ident()
        with self._ready:
            self._idle += 1
            try:
                return self._wait(me)
            finally:
                self._idle -= 1
                if self._leader is None and self._heap:
                    self._ready.notify()

    def _wait(self, me: int) -> Turn | None:
        while not self._closed:
            turn, wait = self._due()
            if turn is not None:
                return turn
            if wait is None or self._leader is not None:
                self._ready.wait()
                continue
            self._leader = me
            self._ready.wait(wait)
            if self._leader == me:
                self._leader = None
        return None

    def _due(self) -> tuple[Turn | None, float | None]:
        """A turn that is due, else the seconds until one is (None: nothing is queued)."""
        now = self._clock()
        while self._heap:
            due, _, host = self._heap[0]
            if due > now:
                return None, due - now
            heapq.heappop(self._heap)
            host.entered = False
            if not host.turns:
                continue
            turn = next((turn for turn in host.turns if not turn.is_held()), None)
            if turn is None:
                for run in {turn.run for turn in host.turns if turn.run is not None}:
                    run.held.append(host)
            elif self._when(host, turn) > now:  # it came first in line since, or the host asked for more time
                self._enter(host)
            else:
                host.turns.remove(turn)
                host.busy, host.last = True, now
                return turn, None
        return None, None

    def done(self, place: Place) -> None:
        """The turn that was taken is over: the next one of its place may come."""
        with self._ready:
            host = self._hosts[place]
            host.busy = False
            self._enter(host)

    def read(self, run: Run) -> None:
        """A result of the run was read: go on with two of the hosts that waited for that, so that they catch up."""
        with self._ready:
            for _ in range(min(2, len(run.held))):
                self._enter(run.held.popleft())

    def given_up(self, place: Place) -> Verdict | None:
        """Why nothing is asked of this place any more, None while it is; with the time left, where it has one."""
        with self._ready:
            host = self._host(place)
            verdict = host.given_up
            if verdict is None or verdict.retry_after is None:
                return verdict
            left = host.until - self._clock()
            if left <= 0:
                host.given_up = None
                return None
            return Verdict(verdict.status, verdict.reason, verdict.detail, left)

    def give_up(self, place: Place, verdict: Verdict) -> list[Turn]:
        """Ask nothing more of this place (for `retry_after` seconds, if given). What had been queued for it."""
        with self._ready:
            host = self._host(place)
            host.given_up = verdict
            host.until = self._clock() + (verdict.retry_after or 0.0)
            turns = list(host.turns)
            host.turns.clear()
            return turns

    def count_timeout(self, place: Place, happened: bool) -> int:
        """Timeouts in a row at this place."""
        with self._ready:
            host = self._host(place)
            host.timeouts = host.timeouts + 1 if happened else 0
            return host.timeouts

    def slow_down(self, place: Place, delay: float) -> None:
        """Leave at least `delay` seconds between two requests to this place."""
        with self._ready:
            host = self._host(place)
            host.least_delay = max(host.least_delay, delay)

    def withdraw(self, run: Run) -> list[Turn]:
        """Take back all turns of the run that have not been taken; nothing of it is held back any more."""
        with self._ready:
            run.over = True
            taken: list[Turn] = []
            for host in self._hosts.values():
                mine = [turn for turn in host.turns if turn.run is run]
                if mine:
                    taken += mine
                    host.turns = deque(turn for turn in host.turns if turn.run is not run)
            while run.held:
                self._enter(run.held.popleft())
            return taken

    def close(self) -> list[Turn]:
        """Send all workers home. What had been queued."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
            turns = [turn for host in self._hosts.values() for turn in host.turns]
            for host in self._hosts.values():
                host.turns.clear()
            return turns

    def _host(self, place: Place) -> _Host:
        host = self._hosts.get(place)
        if host is None:
            host = self._hosts[place] = _Host()
        return host

    def _when(self, host: _Host, turn: Turn) -> float:
        return host.last + max(turn.delay, host.least_delay)

    def _enter(self, host: _Host) -> None:
        """Put a host on the heap if it has turns and is free, and wake a worker if it is now the first."""
        if not host.turns or host.busy or host.entered:
            return
        host.entered = True
        self._count += 1
        entry = (self._when(host, host.turns[0]), self._count, host)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._leader = None
            self._ready.notify()
