"""The one door to the network: every address, whoever wrote it, is fetched here and under the same guards.

    requests ─> robots (pages) ─> schedule ─> worker: dial, ask ─> judge ─> Fetched
                                     ▲                              │
                                     └────────── redirect ──────────┘

A hop of a redirect is a turn of its own: its address is checked, its host's delay kept, its robots.txt read. The parts:
`reasons` (why a request brought nothing), `guard` (which addresses may be dialled), `coding` (content codings),
`wire` (one request over one connection), `robots`, `schedule` (whose turn it is).
"""

from __future__ import annotations

import base64
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from ingest import addresses
from ingest.fetch import robots, wire
from ingest.fetch.reasons import REASONS, Fault, Status, Verdict, judge
from ingest.fetch.schedule import Run, Schedule, Turn
from ingest.models import Capture
from ingest.settings import Settings

__all__ = ["REASONS", "Fetched", "Fetcher", "Kind", "Request"]

Kind = Literal["feed", "page", "probe"]

DEADLINE = 60.0  # seconds for one request: names, TLS, all hops, the last byte; not the waiting for its turn
DELAY = 1.0  # seconds between the starts of two requests to the same host and port
HOPS = 5  # redirects in a row
LOOK_AHEAD = 10_000  # requests taken before the first of them is answered: enough to get past one host's long list
TIMEOUTS = 2  # in a row at one host, and it is given up: each of them holds a worker for the whole deadline
_PARTING = 5.0  # seconds that closing waits for workers
_IDLE, _IDLE_TIME = 64, 15.0  # connections kept, and seconds; servers close after 5 to 75

# What was measured of real feeds and pages is a tenth of this at most.
_LIMITS = {
    "feed": wire.Limits(5 * wire.MB, 10 * wire.MB),
    "page": wire.Limits(10 * wire.MB, 20 * wire.MB),
    "probe": wire.Limits(10 * wire.MB, 20 * wire.MB),
    "robots": wire.Limits(512 * 1024, 512 * 1024, cut=True),  # RFC 9309 has at least 500 KiB read
}
_PAGE = "text/html, application/xhtml+xml;q=0.9, */*;q=0.5"
_ACCEPT = {
    "feed": "application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json,"
    " application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5",
    "page": _PAGE,
    "probe": _PAGE,
    "robots": "text/plain, */*;q=0.5",
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PERMANENT = frozenset({301, 308})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to fetch. `etag` and `last_modified` make it conditional; `delay` (s) overrides the default between two
    requests to its host and port; `tag` is given back untouched. robots.txt counts for pages only: a feed is put out
    for programs to fetch."""

    url: str
    kind: Kind
    etag: str | None = None
    last_modified: str | None = None
    delay: float | None = None
    tag: Any = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a request.

    `reason` is a name of REASONS, empty for ok and unchanged; `detail` says it for this one, without secrets.
    `responses` are the answers on the way, the last one the answer (of a waiting request: as far as it came). No answer
    is among them whose body did not come whole; of redirects and errors the first 64 KB are kept. `retry_after` is in
    seconds, from 60 to a day. `moved_to` is where redirects lead that are all permanent, if there is an answer there.
    """

    request: Request
    status: Status
    reason: str = ""
    detail: str = ""
    responses: tuple[Capture, ...] = ()
    retry_after: float | None = None
    moved_to: str | None = None


class _Job(Turn):
    """A request on its way, hop by hop."""

    __slots__ = ("credentials", "deliver", "is_at_home", "kind", "permanent", "request", "responses", "spent", "target")

    def __init__(
        self, request: Request, kind: str, target: wire.Target, run: Run | None, deliver: Callable[[Fetched], None]
    ) -> None:
        super().__init__(target.place, DELAY if request.delay is None else max(request.delay, 0.0), run)
        self.request = request
        self.kind = kind
        self.target = target
        self.deliver = deliver
        self.credentials = _credentials(request.url)
        self.responses: list[Capture] = []
        self.permanent = True
        self.is_at_home = True
        self.spent = 0.0  # seconds of its deadline

    def visited(self) -> tuple[str, ...]:
        return tuple(response.url for response in self.responses)

    def go_on_to(self, target: wire.Target) -> None:
        """Follow a redirect. Credentials and validators are for the origin that was asked first and no other."""
        self.is_at_home = self.is_at_home and target.origin == self.target.origin
        self.target = target

    def end(self, verdict: Verdict) -> None:
        """Hand out what came of it."""
        good = verdict.status in ("ok", "unchanged")
        moved = self.target.url if good and self.permanent and len(self.responses) > 1 else None
        self.deliver(
            Fetched(
                self.request,
                verdict.status,
                verdict.reason,
                verdict.detail,
                tuple(self.responses),
                verdict.retry_after,
                moved,
            )
        )


_BUDGET = Verdict("waiting", "budget", "the time for requests was over")


class Fetcher:
    """Fetches under guard. A context manager; what it learned about hosts (given up, delays, robots.txt) holds until
    it is closed. `run` may be called from several threads, and within another `run`.

    `resolve` finds a host's addresses and `connect` dials one, for tests; `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: wire.Resolve = wire.look_up,
        connect: wire.Connect = wire.connect,
        clock: Callable[[], float] = time.monotonic,
        in_flight: int = 64,
        deadline: float = DEADLINE,
    ) -> None:
        self._user_agent = settings.user_agent
        self._dialler = wire.Dialler(settings.allow_addresses, settings.ca_file, resolve, connect)
        self._clock = clock
        self._in_flight = in_flight
        self._deadline = deadline
        self._schedule = Schedule(clock)
        self._lock = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._kept: OrderedDict[tuple[str, str, int], wire.Connection] = OrderedDict()
        self._open: set[wire.Connection] = set()
        self._closed = False
        self._robots: dict[tuple[str, str, int], robots.Rules | list[_Job]] = {}  # a list: those who wait for them

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is in flight, hand out the rest as waiting and send the workers home."""
        with self._lock:
            self._closed = True
        turns = self._schedule.close()
        with self._lock:
            kept, self._kept = list(self._kept.values()), OrderedDict()
            for connection in self._open:
                connection.abort()
        for connection in kept:
            connection.close()
        _end_all(turns, _BUDGET)
        end = time.monotonic() + _PARTING
        for worker in self._workers:  # one that still waits for a name is left to end by itself
            worker.join(max(end - time.monotonic(), 0.0))

    def get(self, request: Request) -> Fetched:
        """Fetch one."""
        [fetched] = self.run([request])
        return fetched

    def run(self, requests: Iterable[Request], *, budget: float | None = None) -> Iterator[Fetched]:
        """Fetch all, each yielded as it is done.

        `requests` is read as needed, in the caller's thread. When `budget` seconds are over, nothing more is started:
        what is left comes as "waiting", what is in flight is finished.
        """
        run = Run()
        end = None if budget is None else self._clock() + budget
        source = iter(requests)
        out, more = 0, True
        try:
            while more or out:
                if end is not None and not run.over and self._clock() >= end:
                    self._withdraw(run)
                if more and out < LOOK_AHEAD and run.results.empty():
                    request = next(source, None)
                    more = request is not None
                    if request is not None:
                        out += 1
                        self._begin(request, run)
                elif out and (fetched := self._result(run, end)) is not None:
                    out -= 1
                    yield fetched
        finally:
            self._withdraw(run)

    def _result(self, run: Run, end: float | None) -> Fetched | None:
        """The next result; None when the budget is over first."""
        wait = None if end is None or run.over else max(end - self._clock(), 0.0)
        try:
            fetched: Fetched = run.results.get(timeout=wait)
        except queue.Empty:
            return None
        self._schedule.read(run)
        return fetched

    def _begin(self, request: Request, run: Run) -> None:
        deliver = run.results.put
        target = wire.target(request.url)
        if run.over:
            deliver(Fetched(request, _BUDGET.status, _BUDGET.reason, _BUDGET.detail))
        elif target is None:
            deliver(Fetched(request, "failed", "bad-url", "it is no address of http or https"))
        else:
            self._enter(_Job(request, request.kind, target, run, deliver))

    def _withdraw(self, run: Run) -> None:
        """Nothing more of this run is started; what has not been is handed out as waiting."""
        turns = self._schedule.withdraw(run)
        with self._lock:
            for origin, waiting in self._robots.items():
                if isinstance(waiting, list):
                    turns += [job for job in waiting if job.run is run]
                    self._robots[origin] = [job for job in waiting if job.run is not run]
        _end_all(turns, _BUDGET)

    # --- a job before its turn ---

    def _enter(self, job: _Job, *, first: bool = False) -> None:
        """Queue the next hop of a job, unless its host was given up or its robots.txt is against it."""
        job.place = job.target.place
        if self._closed or (job.run is not None and job.run.over):
            job.end(_BUDGET)
            return
        verdict = self._schedule.given_up(job.place)
        if verdict is not None:
            job.end(verdict)
            return
        if job.kind == "page":
            rules = self._rules(job)
            if rules is None:
                return
            refusal = rules.refusal(job.target.url)
            if refusal:
                job.end(Verdict("failed", "robots", refusal))
                return
        self._add(job, first=first)

    def _add(self, job: _Job, *, first: bool) -> None:
        self._schedule.add(job, first=first)
        self._hire()

    def _hire(self) -> None:
        """Start another worker if all are busy, there is something to do and they are not too many."""
        if len(self._workers) >= self._in_flight or not self._schedule.is_short():
            return
        with self._lock:
            if len(self._workers) >= self._in_flight or self._closed:
                return
            worker = threading.Thread(target=self._work, daemon=True, name=f"fetch-{len(self._workers)}")
            self._workers.append(worker)
        worker.start()

    def _rules(self, job: _Job) -> robots.Rules | None:
        """The rules for a job's next hop; None while they are being fetched, and the job waits for them."""
        origin = job.target.origin
        with self._lock:
            known = self._robots.get(origin)
            if isinstance(known, robots.Rules):
                return known
            if known is not None:
                known.append(job)
                return None
            self._robots[origin] = [job]
        target = wire.target("/robots.txt", job.target.url)
        assert target is not None  # a path at a host that was one
        request = Request(target.url, "probe", delay=job.request.delay)
        self._enter(_Job(request, "robots", target, None, lambda fetched: self._learn(origin, fetched)), first=True)
        return None

    def _learn(self, origin: tuple[str, str, int], fetched: Fetched) -> None:
        last = fetched.responses[-1] if fetched.responses else None
        whole = last is not None and (last.status not in _REDIRECTS or fetched.reason == "")
        rules = robots.rules(last if whole else None, fetched.reason)
        self._schedule.slow_down((origin[1], origin[2]), rules.delay)
        with self._lock:
            waiting = self._robots[origin]
            self._robots[origin] = rules
        assert isinstance(waiting, list)
        for job in waiting:
            self._enter(job)

    # --- a job's turn ---

    def _work(self) -> None:
        while (turn := self._schedule.take()) is not None:
            assert isinstance(turn, _Job)
            self._hire()
            place = turn.place
            try:
                self._hop(turn)
            finally:
                self._schedule.done(place)

    def _hop(self, job: _Job) -> None:
        started = time.monotonic()
        place = job.place
        try:
            answer, conditional = self._exchange(job)
        except Fault as fault:
            self._fail(job, fault)
            return
        except Exception as error:  # noqa: BLE001 - whatever an answer sets off costs this request, never the run
            _log.error("%s broke on an answer of %s:%d", type(error).__name__, *place, exc_info=_where(error))
            self._fail(job, Fault("bad-response", f"it could not be read ({type(error).__name__})"))
            return
        job.spent += time.monotonic() - started
        self._schedule.count_timeout(place, False)
        job.responses.append(answer)
        if answer.status in _REDIRECTS:
            self._follow(job, answer)
            return
        verdict = judge(answer, conditional=conditional)
        if verdict.reason == "rate-limited":
            told = f"its host answered {addresses.redact(job.target.url)} with {verdict.detail}"
            others = Verdict("waiting", verdict.reason, told, verdict.retry_after)
            _end_all(self._schedule.give_up(place, others), others)
        job.end(verdict)

    def _fail(self, job: _Job, fault: Fault) -> None:
        """End a job; and all of its host, where the fault is the host's."""
        verdict = Verdict("failed", fault.reason, fault.detail)
        slow = fault.reason == "timeout" and self._schedule.count_timeout(job.place, True) >= TIMEOUTS
        if slow or fault.reason in ("dns", "connect", "tls"):
            _end_all(self._schedule.give_up(job.place, verdict), verdict)
        job.end(verdict)

    def _follow(self, job: _Job, answer: Capture) -> None:
        """Take a redirect, or refuse it."""
        location = _location(answer)
        target = wire.target(location, job.target.url) if location else None
        job.permanent = job.permanent and answer.status in _PERMANENT
        if target is None:
            job.end(Verdict("failed", "bad-redirect", f"{answer.status} names no address of http or https"))
        elif target.url in job.visited():
            job.end(Verdict("failed", "bad-redirect", "its redirects lead in a circle"))
        elif len(job.responses) > HOPS:
            job.end(Verdict("failed", "too-many-redirects", f"more than {HOPS} redirects in a row"))
        else:
            job.go_on_to(target)
            self._enter(job, first=True)

    def _exchange(self, job: _Job) -> tuple[Capture, bool]:
        """The answer to the next hop, and whether it was asked for conditionally. Raises Fault."""
        headers, conditional = self._headers(job)
        deadline = wire.Deadline(self._deadline - job.spent)
        connection = self._kept_connection(job.target)
        if connection is not None:
            try:
                return self._ask(connection, job, headers, deadline), conditional
            except Fault as fault:
                if not fault.stale:
                    raise
        # A kept connection that the server had closed meanwhile says nothing about the server.
        connection = self._dialler.dial(job.target, deadline)
        return self._ask(connection, job, headers, deadline), conditional

    def _headers(self, job: _Job) -> tuple[dict[str, str], bool]:
        headers = {
            "User-Agent": self._user_agent,
            "Accept": _ACCEPT[job.kind],
            "Accept-Encoding": "gzip, deflate, br, zstd",
        }
        validators: dict[str, str] = {}
        if job.is_at_home:
            if job.credentials:
                headers["Authorization"] = job.credentials
            said = {"If-None-Match": job.request.etag, "If-Modified-Since": job.request.last_modified}
            validators = {name: value for name, value in said.items() if value and _fits_a_header(value)}
        return headers | validators, bool(validators)

    def _ask(self, connection: wire.Connection, job: _Job, headers: dict[str, str], deadline: wire.Deadline) -> Capture:
        with self._lock:
            if self._closed:
                connection.close()
                raise Fault("connect", "fetching was stopped")
            self._open.add(connection)
        captured = datetime.now(UTC)
        keep = False
        try:
            answer = wire.ask(connection, job.target, headers, _LIMITS[job.kind], deadline)
            keep = answer.reusable
        finally:
            with self._lock:
                self._open.discard(connection)
            if not keep:
                connection.close()
        if keep:
            self._keep(job.target, connection)
        return Capture(job.target.url, answer.status, answer.headers, answer.body, captured, job.visited())

    # --- connections ---

    def _kept_connection(self, to: wire.Target) -> wire.Connection | None:
        with self._lock:
            connection = self._kept.pop(to.origin, None)
        if connection is None:
            return None
        if self._clock() - connection.idle_since < _IDLE_TIME and connection.is_fresh():
            return connection
        connection.close()
        return None

    def _keep(self, to: wire.Target, connection: wire.Connection) -> None:
        connection.idle_since = self._clock()
        with self._lock:
            spare = [connection] if self._closed else []
            if not self._closed:
                former = self._kept.pop(to.origin, None)
                spare += [former] if former else []
                self._kept[to.origin] = connection
                if len(self._kept) > _IDLE:
                    spare.append(self._kept.popitem(last=False)[1])
        for unwanted in spare:
            unwanted.close()


def _end_all(turns: Iterable[Turn], verdict: Verdict) -> None:
    for turn in turns:
        assert isinstance(turn, _Job)
        turn.end(verdict)


def _credentials(url: str) -> str:
    """The Authorization header for the user and password that an address carries; empty without."""
    try:
        parts = urlsplit(url.strip())
        user, password = parts.username, parts.password
    except ValueError:
        return ""
    if not user and not password:
        return ""
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _location(answer: Capture) -> str | None:
    """Where a redirect leads. A header is read a character for each byte; what is unescaped there is mostly UTF-8."""
    value = answer.header("location")
    try:
        return value and value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _fits_a_header(value: str) -> bool:
    """Whether an ETag or a date that somebody's server once sent can be sent back."""
    return len(value) <= 4096 and all(" " <= c <= "\xff" and c != "\x7f" for c in value)


def _where(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """A traceback without the error's own words: they may hold an address with its secrets."""
    return RuntimeError, RuntimeError(type(error).__name__), error.__traceback__
