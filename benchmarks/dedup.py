"""What finding near-identical stories costs, by the size of the window that a slice of stories is published into.

    python benchmarks/dedup.py [--full | WINDOW ...]     default: 10000 100000; --full: a million too, some minutes

Stories are made up: words of a Zipfian vocabulary, one in twenty a copy, cut and with a tail of its own, all at one
instant, so that the whole store is one window. The store is SQLite's; its tables of words stay empty. Reported are

    fingerprints  stories of 512 words per CPU second
    join          CPU microseconds a story for publishing a slice of 10,000 into the window: reading the window,
                  judging, asking for links, without the close look at texts; and what memory that takes on top of what
                  the process had before
    sort          the same for numpy sorting the hashes of the slice and the window once: no join by sorting is cheaper
    rensa         the same for asking and adding to an index of MinHash bands in memory, without making the
                  signatures; it is installed into a throwaway environment by uv, and left out where that fails
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw
import numpy as np

from ingest import dedup
from ingest.models import Fingerprint, Window
from ingest.store import rows
from ingest.store.sqlite import SqliteStore

SLICE = 10_000
WORDS = 300
NOON = int(datetime(2024, 5, 24, 12, tzinfo=UTC).timestamp())
PEER = """
    import sys, time
    import numpy as np
    from rensa import RMinHash, RMinHashLSH
    window, size = int(sys.argv[1]), int(sys.argv[2])
    rng = np.random.default_rng(1)
    index = RMinHashLSH(threshold=0.5, num_perm=128, num_bands=32)
    def signatures(count):
        for _ in range(count):
            one = RMinHash(num_perm=128, seed=42)
            one.update([str(n) for n in rng.integers(0, 1 << 60, 20)])
            yield one
    for key, one in enumerate(signatures(window)):
        index.insert(key, one)
    new = list(signatures(size))
    started = time.process_time()
    for key, one in enumerate(new, window):
        index.query(one)
        index.insert(key, one)
    print((time.process_time() - started) / size * 1e6)
"""


class Writer:
    """Makes up stories."""

    def __init__(self, seed: int, words: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._words = words
        vocabulary = np.random.default_rng(0)
        letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
        odds = 1 / np.arange(1, 27)
        sizes = vocabulary.integers(2, 10, 200_000)
        self._vocabulary = np.array(
            ["".join(vocabulary.choice(letters, size, p=odds / odds.sum())) for size in sizes], object
        )
        self._often = np.cumsum(1 / np.arange(1, 200_001) ** 1.05)
        self._often /= self._often[-1]

    def texts(self, count: int) -> list[tuple[str | None, str]]:
        words = self._vocabulary[np.searchsorted(self._often, self._rng.random((count, self._words)))]
        texts = [" ".join(row) for row in words]
        for copy in range(0, count, 20):
            of = texts[int(self._rng.integers(count))]
            texts[copy] = of[: int(len(of) * 0.9)] + " read more of this in our paper"
        return [(None, text) for text in texts]

    def stories(self, count: int) -> Iterator[tuple[str, int, Fingerprint]]:
        for start in range(0, count, SLICE):
            prints = dedup.fingerprints(self.texts(min(SLICE, count - start)))
            ids = self._rng.integers(0, 1 << 63, len(prints)).tolist()
            yield from ((f"{id_:032x}", NOON, print_) for id_, print_ in zip(ids, prints, strict=True))


def main() -> None:
    if sys.argv[1:2] == ["--join"]:
        print(json.dumps(_join(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    print(f"fingerprints {_fingerprints():10,.0f} stories of 512 words per CPU second")
    sizes = [10_000, 100_000, 1_000_000] if sys.argv[1:] == ["--full"] else [int(size) for size in sys.argv[1:]]
    for size in sizes or [10_000, 100_000]:
        words = WORDS if size <= 100_000 else 120
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sitrep.db"
            hashes = _fill(path, size, words)
            command = [sys.executable, __file__, "--join", str(path), str(words)]
            join, megabytes, links = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        sort = _sort(hashes)
        print(
            f"window {size:9,}, {words} words a story: join {join:7.1f} µs a story, {megabytes:4.0f} MB, {links} links"
        )
        print(f"{'':17} sort {sort:7.1f} µs: join costs {join / sort:.1f} times as much{_rensa(size, join)}")


def _fingerprints() -> float:
    texts = Writer(3, 512).texts(4000)
    best = 0.0
    for _ in range(3):
        started = time.process_time()
        dedup.fingerprints(texts)
        best = max(best, len(texts) / (time.process_time() - started))
    return best


def _fill(path: Path, size: int, words: int) -> int:
    """A store with so many stories, of which only what a window needs is written; the number of their hashes."""
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "OFF")
    hashes = 0
    with connection:
        for nr, (id_, instant, print_) in enumerate(Writer(1, words).stories(size), 1):
            connection.execute(
                "INSERT INTO stories (nr, id, instant, dated, lead, cluster, first_seen, indexed, text, doc)"
                " VALUES (?, ?, ?, 0, 1, ?, '', '', '', '{}')",
                (nr, id_, instant, id_),
            )
            connection.execute(
                "INSERT INTO fingerprints VALUES (?, ?, ?, ?)",
                (instant, id_, *rows.pack_fingerprint(print_)),
            )
            hashes += len(print_.shingles)
    connection.close()
    return hashes


def _join(path: Path, words: int) -> tuple[float, int, int]:
    store = SqliteStore(path)
    now = Window.of(Writer(2, words).stories(SLICE))
    moment = datetime.fromtimestamp(NOON, UTC)
    before = _resident()
    started = time.process_time()
    pieces = store.window(moment - dedup.REACH, moment + dedup.REACH)
    verdicts = dedup.judge(pieces, now.ids, now, store.links, lambda some: [None] * len(some))
    spent = time.process_time() - started
    store.close()
    return (
        spent / SLICE * 1e6,
        (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before >> 20,
        len(verdicts.linked),
    )


def _resident() -> int:
    """Bytes that this process has in memory now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _sort(hashes: int) -> float:
    numbers = np.random.default_rng(1).integers(0, 1 << 63, hashes, np.uint64)
    started = time.process_time()
    np.argsort(numbers, kind="stable")
    return (time.process_time() - started) / SLICE * 1e6


def _rensa(size: int, join: float) -> str:
    command = ["uv", "run", "--no-project", "--quiet", "--with", "rensa,numpy", "python", "-c", textwrap.dedent(PEER)]
    try:
        found = subprocess.run([*command, str(size), str(SLICE)], check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"; rensa {float(found.stdout):.1f} µs, join {join / float(found.stdout):.1f} times as much"


if __name__ == "__main__":
    main()
