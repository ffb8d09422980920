"""Worker processes: order, faults, the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import SitrepError
from ingest.pipeline import workers
from ingest.pipeline.workers import Lost
from tests import faulty


def run(batches: list[list[bytes]], count: int = 2) -> list[object]:
    results = workers.run(batches, faulty.echo, workers=count, prepare=faulty.prepare, context=["Hello"])
    return [result for _, done in results for result in done]


def children() -> set[int]:
    """The workers that are running: those of the server that they are forked from."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            line = Path(f"/proc/{parent}/cmdline").read_text()
            above = int(Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # gone meanwhile
        if "forkserver" in line and above == os.getpid():
            found.add(int(stat.parent.name))
    return found


def test_results_come_in_order() -> None:
    batches = [[b"%d.%d" % (n, k) for k in range(n % 4)] for n in range(40)]
    assert run(batches) == [f"Hello {item.decode()}" for batch in batches for item in batch]


IN_CELERY = """
import sys
import billiard  # Celery's multiprocessing
from ingest.pipeline import workers
from tests import faulty

def task():
    assert billiard.current_process().daemon
    results = workers.run([[b"a"], [b"b"]], faulty.echo, workers=2, prepare=faulty.prepare, context=["Hello"])
    assert [result for _, done in results for result in done] == ["Hello a", "Hello b"]

if __name__ == "__main__":
    process = billiard.Process(target=task, daemon=True)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_they_work_in_a_process_of_celerys(tmp_path: Path) -> None:
    script = tmp_path / "celery_task.py"
    script.write_text(IN_CELERY)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, str(script)], env=environ, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_nothing_starts_nothing() -> None:
    assert run([]) == []


@pytest.mark.parametrize(
    ("fault", "reason", "told"),
    [
        (b"OUT OF MEMORY", "killed", "exit code -9"),
        (b"SEGFAULT", "killed", "exit code -11"),
        (b"GREEDY", "crash", "MemoryError"),
        (b"HANG", "timeout", "not done after 1 s"),
    ],
)
def test_a_fault_costs_its_item_alone(monkeypatch: pytest.MonkeyPatch, fault: bytes, reason: str, told: str) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    monkeypatch.setattr(workers, "BATCH_PATIENCE", 2.0)
    batches = [[b"%d.%d" % (n, k) for k in range(3)] for n in range(8)]
    batches[2][1] = batches[7][2] = fault
    results = run(batches)
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(result.item, result.reason) for result in lost] == [(fault, reason)] * 2
    assert all(told in result.detail for result in lost)
    assert len(results) == 24
    assert [result for result in results if not isinstance(result, Lost)] == [
        f"Hello {item.decode()}" for batch in batches for item in batch if item != fault
    ]


def test_workers_killed_at_any_moment_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever kills a worker kills it between two items too, or while it waits."""
    monkeypatch.setattr(workers, "TRIES", 50)  # on a busy machine a start takes as long as the killer waits
    stop = threading.Event()

    def kill() -> None:
        rng = random.Random(1)
        while not stop.wait(0.05):
            for worker in rng.sample(sorted(found := children()), min(1, len(found))):
                try:
                    os.kill(worker, signal.SIGKILL)
                except ProcessLookupError:  # it ended by itself meanwhile
                    pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        batches = [[b"%d" % n] * 2 for n in range(6000)]
        results = run(batches)
    finally:
        stop.set()
        killer.join()
    # A batch that is killed is done again; that it is killed twice is what only this test does.
    assert sum(isinstance(result, str) for result in results) >= len(results) - 5
    assert len(results) == 12000


def test_who_has_enough_leaves_no_process_behind() -> None:
    def slow() -> Iterator[list[bytes]]:
        yield [b"one"]
        yield [b"HANG"]
        yield from ([b"%d" % n] for n in range(10))

    results = workers.run(slow(), faulty.echo, workers=2, prepare=faulty.prepare, context=["Hello"])
    assert next(results) == ([b"one"], ["Hello one"])
    assert children()
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 5
    assert not children()


def test_workers_that_cannot_start_are_named() -> None:
    results = workers.run([[b"one"]], faulty.echo, workers=2, prepare=faulty.broken, context=["begin"])
    with pytest.raises(SitrepError, match="OSError: cannot begin"):
        next(results)
