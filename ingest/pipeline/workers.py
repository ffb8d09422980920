"""Worker processes: batches in, results out in the same order; what kills or hangs a worker costs itself alone.

Each worker is a process with a pipe of its own and a thread here that minds it, so that they share no lock which a
killed one could keep. They are forked from a server process that has imported, once, what all of them need (`warm`).
"""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import AuthenticationString  # type: ignore[attr-defined]
from typing import Any, Generic, TypeVar

from ingest.errors import SitrepError

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[Sequence[T]], list[R]]
Results = list["R | Lost[T]"]
Process = multiprocessing.process.BaseProcess

PATIENCE = 30.0  # seconds for one item; honest pages take 0.02
BATCH_PATIENCE = 60.0  # for a batch; what takes longer is tried item by item
MEMORY = 2 << 30  # bytes of address space: an honest worker uses a quarter of it
TIRED = 400 << 20  # bytes in memory; a worker that has grown so large (at 170 MB it begins) is replaced
TRIES = 3  # to start a process: it may be killed, for want of memory, before it has done anything
AHEAD = 3  # batches in flight per worker: enough that none is ever idle


@dataclass(frozen=True, slots=True)
class Lost(Generic[T]):
    """An item that its worker did not survive, or did not finish in time."""

    item: T
    reason: str  # "timeout", "killed" or "crash"
    detail: str


def run(
    batches: Iterable[Sequence[T]],
    work: Work[T, R],
    *,
    workers: int,
    prepare: Callable[..., None],
    context: Sequence[Any],
) -> Iterator[tuple[Sequence[T], Results[R, T]]]:
    """Call `work` on every batch in one of the processes, each prepared once by `prepare(*context)`.

    `work` gives one result an item. Yields the batches in order, each with its results; a batch that fails is done
    again item by item, and what fails again is `Lost`. Where there are fewer batches than `workers`, so many processes
    are started. Raises SitrepError where no process can be started.
    """
    stream = iter(batches)
    first = list(itertools.islice(stream, workers))
    if not first:
        return
    crew = _Crew(work, prepare, context)
    threads = ThreadPoolExecutor(len(first))
    waiting: deque[tuple[Sequence[T], Future[Results[R, T]]]] = deque()
    try:
        for batch in itertools.chain(first, stream):
            waiting.append((batch, threads.submit(crew.do, batch)))
            if len(waiting) >= len(first) * AHEAD:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        crew.stop()
        threads.shutdown(cancel_futures=True)


def get_ready() -> None:
    """Let the server start that workers are forked from, in the background: it takes a second to import everything."""
    _forking()
    forkserver.ensure_running()


def start(target: Callable[..., None], *arguments: Any) -> tuple[Process, Connection]:
    """A process of the same kind that runs `target` with its end of a pipe and these arguments, and ours of the pipe.
    It is killed when this process ends. Raises OSError or EOFError where none can be started."""
    context = _forking()
    near, far = context.Pipe()
    process = context.Process(target=target, args=(far, *arguments), daemon=True)
    process.start()
    far.close()
    return process, near


def _forking() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ingest.pipeline.warm"])
    return context


def _allow_children() -> None:
    """Celery runs tasks in daemonic processes of its own kind. multiprocessing lets those have no children, as nobody
    would end them where their parent is killed (ours end by themselves then: their pipe does), and cannot hand the key
    on that they hold in their own wrapping."""
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["daemon"] = False
    config["authkey"] = AuthenticationString(config["authkey"])


class _Failed(Exception):
    """What was asked of a worker failed; `reason` as in `Lost`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Crew(Generic[T, R]):
    """The workers of the threads that call `do`, one each."""

    def __init__(self, work: Work[T, R], prepare: Callable[..., None], context: Sequence[Any]) -> None:
        self._order = (work, prepare, context)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._all: list[_Worker] = []
        self._stopping = False

    def do(self, batch: Sequence[T]) -> Results[R, T]:
        try:
            return [*self._ask(batch, BATCH_PATIENCE)]
        except _Failed:
            return [self._alone(item) for item in batch]

    def _alone(self, item: T) -> R | Lost[T]:
        try:
            return self._ask([item], PATIENCE)[0]
        except _Failed as failed:
            return Lost(item, failed.reason, failed.detail)

    def _ask(self, batch: Sequence[T], patience: float) -> list[R]:
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = self._start()
        try:
            results: list[R] = worker.ask(batch, patience)
        except _Failed:
            self._own.worker = None
            worker.stop()
            raise
        if worker.tired:
            self._own.worker = None
            worker.stop()
        return results

    def _start(self) -> _Worker:
        failed = _Failed("", "")
        for _ in range(TRIES):
            try:
                worker = self._new()
            except (EOFError, OSError) as error:  # the server that it is forked from is gone; the next try starts one
                failed = _Failed("killed", f"{type(error).__name__}: {error}")
                continue
            try:
                worker.answer(BATCH_PATIENCE)
                return worker
            except _Failed as error:
                worker.stop()
                failed = error
        raise SitrepError(
            f"no worker process can be started ({failed.detail})",
            subject="digest",
            advice="See that there is memory and room for temporary files, and run the same again.",
        )

    def _new(self) -> _Worker:
        with self._lock:
            if self._stopping:
                raise SitrepError("is being stopped", subject="digest")
            worker = _Worker(self._order)
            self._all = [other for other in self._all if other.process.is_alive()] + [worker]
            return worker

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            for worker in self._all:
                worker.stop()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, order: tuple[Any, ...]) -> None:
        start = _forking()
        _allow_children()
        self.tired = False
        self.pipe, far = start.Pipe()
        self.process = start.Process(target=_serve, args=(far, *order), daemon=True)
        self.process.start()
        far.close()

    def ask(self, batch: Sequence[Any], patience: float) -> Any:
        try:
            self.pipe.send(batch)
        except OSError:
            raise self._ended() from None
        return self.answer(patience)

    def answer(self, patience: float) -> Any:
        """What comes out of the process. Raises _Failed."""
        try:
            if not self.pipe.poll(patience):
                raise _Failed("timeout", f"not done after {patience:.0f} s")
            good, answer, self.tired = self.pipe.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        if not good:
            raise _Failed("crash", answer)
        return answer

    def _ended(self) -> _Failed:
        self.process.join(PATIENCE)
        return _Failed("killed", f"its process ended with exit code {self.process.exitcode}")

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def _serve(pipe: Connection, work: Work[T, R], prepare: Callable[..., None], context: Sequence[Any]) -> None:
    """The worker's side: prepare, say so, then batches in and results out until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted is the parent; it ends its workers
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        pipe.send(_tried(prepare, *context))
        while True:
            batch = pipe.recv()
            pipe.send(_tried(work, batch))
    except (EOFError, OSError):
        return


def _tried(function: Callable[..., Any], *arguments: Any) -> tuple[bool, Any, bool]:
    """Whether it succeeded, its result or what it failed for, and whether the process has grown too large."""
    try:
        good, answer = True, function(*arguments)
    except Exception as error:  # noqa: BLE001 - kept with the item's bytes, named, and nothing else is lost by it
        good, answer = False, f"{type(error).__name__}: {error}"[:500]
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return good, answer, used > TIRED
