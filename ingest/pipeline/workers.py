"""Worker processes: batches in, results out in the same order; what kills or hangs a worker costs itself alone."""

from __future__ import annotations

import multiprocessing
import resource
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 30.0  # seconds for one item; honest pages take 0.02
MEMORY = 2 << 30  # bytes of address space: an honest worker uses a quarter of it
AHEAD = 3  # batches in flight per worker: enough that none is ever idle


@dataclass(frozen=True, slots=True)
class Lost(Generic[T]):
    """An item that its worker did not survive, or did not finish in time."""

    item: T
    reason: str  # "timeout", "killed" or "crash"
    detail: str


def run(
    batches: Iterable[Sequence[T]],
    work: Callable[[Sequence[T]], list[R]],
    *,
    workers: int,
    prepare: Callable[..., None],
    context: Sequence[Any],
) -> Iterator[tuple[Sequence[T], list[R | Lost[T]]]]:
    """Call `work` on every batch in one of the processes, each prepared once by `prepare(*context)`.

    `work` gives one result an item. Yields the batches in order, each with its results; a batch that fails is done
    again item by item, and what fails again is `Lost`.
    """
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["ingest.pipeline.reading"])
    pool = ProcessPool(max_workers=workers, initializer=_prepare, initargs=[prepare, *context], context=start)
    with pool:
        try:
            waiting: deque[tuple[Sequence[T], ProcessFuture[list[R]]]] = deque()
            for batch in batches:
                waiting.append((batch, pool.schedule(work, args=[batch], timeout=PATIENCE * 4)))
                if len(waiting) >= workers * AHEAD:
                    yield _result(pool, work, *waiting.popleft())
            while waiting:
                yield _result(pool, work, *waiting.popleft())
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def _prepare(prepare: Callable[..., None], *context: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    prepare(*context)


def _result(
    pool: ProcessPool, work: Callable[[Sequence[T]], list[R]], batch: Sequence[T], future: ProcessFuture[list[R]]
) -> tuple[Sequence[T], list[R | Lost[T]]]:
    try:
        results: list[R | Lost[T]] = [*future.result()]
        return batch, results
    except Exception:  # noqa: BLE001 - whatever it was, the items are tried one by one
        results = []
        for item in batch:
            result = _alone(pool, work, item)
            results.append(result)
        return batch, results


def _alone(pool: ProcessPool, work: Callable[[Sequence[T]], list[R]], item: T) -> R | Lost[T]:
    try:
        results: list[R] = pool.schedule(work, args=[[item]], timeout=PATIENCE).result()
    except FutureTimeout:
        return Lost(item, "timeout", f"not done after {PATIENCE:.0f} s")
    except ProcessExpired as error:
        return Lost(item, "killed", f"its process ended with exit code {error.exitcode}")
    except Exception as error:  # noqa: BLE001 - kept with its bytes, named, and nothing else is lost by it
        return Lost(item, "crash", f"{type(error).__name__}: {error}"[:500])
    return results[0]
