"""What finding near-identical stories costs, by the size of the window that slices of stories are published into.

    python benchmarks/dedup.py [--full | WINDOW ...]     default: 10000 100000; --full: a million too, some minutes

Stories are made up: words of a Zipfian vocabulary, one in twenty a copy, cut and with a tail of its own, all at one
instant, so that the whole store is one window. The store is SQLite's; its tables of words stay empty. Reported are

    fingerprints  stories of 512 words per CPU second
    loading       CPU microseconds for each story of the window, read from the store once a run; and what memory the
                  window takes then
    join          CPU microseconds for each story of the slices of 5,000 that are published into it: putting it into the
                  index, finding what may belong to it, judging without the close look at texts; mean of four slices
    whole         stories of so many words for which fingerprint and join take a CPU second
    peak          memory of the whole process at its most, on top of what it had before
    sort          microseconds a story for sorting the hashes of the window, which a join of all at once begins with
    rensa         the same as join for asking and adding to an index of MinHash bands in memory, without making the
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

PIECE = 10_000
SLICE, SLICES = 5_000, 4
WORDS, LONG = 120, 512
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
        for start in range(0, count, PIECE):
            prints = dedup.fingerprints(self.texts(min(PIECE, count - start)))
            ids = self._rng.integers(0, 1 << 63, len(prints)).tolist()
            yield from ((f"{id_:032x}", NOON, print_) for id_, print_ in zip(ids, prints, strict=True))


def main() -> None:
    if sys.argv[1:2] == ["--join"]:
        print(json.dumps(_join(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    print(f"fingerprints {_fingerprints(512):10,.0f} stories of 512 words per CPU second")
    sizes = [10_000, 100_000, 1_000_000] if sys.argv[1:] == ["--full"] else [int(size) for size in sys.argv[1:]]
    for size in sizes or [10_000, 100_000]:
        for words in (WORDS, LONG) if size <= 100_000 else (WORDS,):
            _measure(size, words)


def _measure(size: int, words: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sitrep.db"
        hashes = _fill(path, size, words)
        command = [sys.executable, __file__, "--join", str(path), str(words)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    whole = 1e6 / (1e6 / _fingerprints(words) + told["join"])
    print(f"window {size:9,}, {words} words a story, {hashes / size:.0f} shingles:")
    print(
        f"    loading {told['loading']:5.1f} µs a story; it takes {told['window']:.0f} MB, peak {told['peak']:.0f} MB"
    )
    print(f"    join    {told['join']:5.1f} µs a story; fingerprint and join: {whole:,.0f} stories per CPU second")
    print(f"    peers   sort {_sort(hashes) / size:.1f} µs{_rensa(size)}", flush=True)


def _fingerprints(words: int) -> float:
    texts = Writer(3, words).texts(4000)
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


def _join(path: Path, words: int) -> dict[str, float]:
    store = SqliteStore(path)
    writer = Writer(2, words)
    slices = [Window.of(writer.stories(SLICE)) for _ in range(SLICES)]

    def load(since: int, until: int) -> Iterator[Window]:
        return store.window(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC))

    before = _resident()
    scene = dedup.Scene(load)
    started = time.process_time()
    scene.reach([NOON], lambda: None)
    loaded = time.process_time()
    size, window = len(scene), _resident() - before
    for now in slices:
        dedup.judge_change(scene, [NOON], now.ids, now, store.links, lambda some: [None] * len(some))
    joined = time.process_time()
    store.close()
    return {
        "loading": (loaded - started) / size * 1e6,
        "join": (joined - loaded) / (SLICE * SLICES) * 1e6,
        "window": window / 1e6,
        "peak": ((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before) / 1e6,
    }


def _resident() -> int:
    """Bytes that this process has in memory now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _sort(hashes: int) -> float:
    numbers = np.random.default_rng(1).integers(0, 1 << 63, hashes, np.uint64)
    started = time.process_time()
    np.argsort(numbers, kind="stable")
    return (time.process_time() - started) * 1e6


def _rensa(size: int) -> str:
    command = ["uv", "run", "--no-project", "--quiet", "--with", "rensa,numpy", "python", "-c", textwrap.dedent(PEER)]
    try:
        found = subprocess.run([*command, str(size), str(SLICE)], check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f", rensa {float(found.stdout):.1f} µs"


if __name__ == "__main__":
    main()
