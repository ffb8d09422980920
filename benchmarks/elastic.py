"""Publishing to Elasticsearch and searching there, against the client's own ways, in the same run.

    python benchmarks/elastic.py [STORIES] [RUNS]

Publish: files of stories of STORIES stories (50,000 where nobody says) over four months, some of them told twice, go
into an empty store, duplicates recognised, links, clusters, bookings and all; against `streaming_bulk` of the same
documents, ready on disk, into indices with the same mapping. Each is a process of its own, its start left out, and the
two take turns, file by file, who begins taking turns as well: what else the machine does meets both. The ratio is the
median of those of the turns. Seconds of CPU are those of this side: the server has the rest of the cores. Memory: the
publisher's peak after its first file and after its last. Search: `Store.search` (exact totals, snippets, sizes of
clusters) against a plain `match` query for as many hits. The server is the tests' one.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk

from ingest import dedup
from ingest.landing import Landing
from ingest.models import Content
from ingest.pipeline import revisions
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.pipeline.surroundings import Surroundings
from ingest.settings import Settings
from ingest.store import Query
from ingest.store.elastic import ElasticStore, Layout, Server, documents
from ingest.store.elastic.layout import suffix
from tests import elastic_server
from tests.builders import content

START = datetime(2022, 1, 1, tzinfo=UTC)
DAYS = 120
PART = 10_000
LETTERS = "aeioutnrslmdkpbgvz"
SEARCHES = 60


def main() -> None:
    if sys.argv[1:2] == ["--in-process"]:
        job, *rest = sys.argv[2:]
        {"publish": _publish, "bulk": _bulk}[job](*rest)
        return
    stories, runs = (int(value) for value in (*sys.argv[1:3], *("50000", "2")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder, elastic_server.shared(Path(folder)) as url:
        _measure(Path(folder), url, stories, runs)


def _measure(folder: Path, url: str, stories: int, runs: int) -> None:
    files = _write(folder, stories)
    size = sum(path.stat().st_size for path in folder.glob("ready/*")) // stories
    cores = len(os.sched_getaffinity(0))
    print(f"{stories} stories in {files} files, documents of {size} bytes, {runs} runs, {cores} cores")
    ratios, told = [], []
    for number in range(runs):
        ours = _Job("publish", folder / "home", url, f"ours{number}-")
        peer = _Job("bulk", folder / "ready", url, f"peer{number}-")
        for turn in range(files):
            for job in (ours, peer) if turn % 2 else (peer, ours):
                job.turn()
            ratios.append(peer.clock[-1] / ours.clock[-1])
        told.append((ours, peer))
        for name, job in (("publish", ours), ("streaming_bulk", peer)):
            rate, busy = stories / sum(job.clock), sum(job.cpu)
            print(f"{name:15} {rate:7.0f} a second, {busy:5.1f} s of CPU ({job.ended()})")
    turns = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"ratio           {statistics.median(ratios):7.2f} (publish / streaming_bulk; above 1: publish is faster)")
    print(f"of each turn    {turns}")
    first, last = told[-1][0].memory[0], told[-1][0].memory[-1]
    print(f"memory          {first:7.0f} MB after a file, {last:.0f} MB after {files}")
    _search(url, "ours0-")


class _Job:
    """A process that does a file's worth of work whenever it is told to. The address goes by the environment."""

    def __init__(self, job: str, path: Path, url: str, prefix: str) -> None:
        command = [sys.executable, __file__, "--in-process", job, str(path), prefix]
        environ = {**os.environ, "SITREP_ELASTICSEARCH_URL": url}
        self._process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.clock: list[float] = []
        self.cpu: list[float] = []
        self.memory: list[float] = []
        self._line()  # it is ready

    def turn(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        took, busy, peak = json.loads(self._line())
        self.clock.append(took)
        self.cpu.append(busy)
        self.memory.append(peak)

    def ended(self) -> str:
        """What it says at the end."""
        told = self._line()
        assert self._process.wait(60) == 0
        return told.strip()

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the process died"
        return line


def _turns(work: Sequence[Callable[[], object]]) -> None:
    """Do one piece of work whenever a line comes; say how long it took, its CPU (s) and the peak of memory (MB)."""
    print("ready", flush=True)
    for piece in work:
        sys.stdin.readline()
        started = _clocks()
        piece()
        took = _since(started)
        print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]), flush=True)


def _publish(home: str, prefix: str) -> None:
    url = os.environ["SITREP_ELASTICSEARCH_URL"]
    pipe = Pipe(Settings(home=Path(home), landing=home, elasticsearch_url=url, elasticsearch_prefix=prefix))
    pipe.store.info()
    around, parts = Surroundings(pipe.store), pipe.landing.parts()
    _turns([partial(publish, pipe, [part], run="bench", around=around) for part in parts])
    counts = [booking.counts[""] for booking in pipe.store.bookings(parts).values()]
    print(", ".join(f"{sum(count.get(name, 0) for count in counts)} {name}" for name in ("indexed", "duplicate")))


def _bulk(folder: str, prefix: str) -> None:
    server, layout = Server.read(os.environ["SITREP_ELASTICSEARCH_URL"]), Layout(prefix)
    ElasticStore(server, layout).setup()
    client = Elasticsearch(list(server.hosts), basic_auth=(server.user, server.password), request_timeout=120)

    def actions(file: Path) -> Iterator[dict[str, object]]:
        with file.open("rb") as lines:
            for line in lines:
                document = orjson.loads(line)
                index = layout.month("stories", suffix(document["instant"]))
                yield {"_index": index, "_id": document["id"], "_source": document}

    def written(file: Path) -> None:
        for _ in streaming_bulk(client, actions(file), chunk_size=1000, max_chunk_bytes=5_000_000):
            pass
        client.indices.refresh(index=layout.months("stories"))

    _turns([partial(written, file) for file in sorted(Path(folder).iterdir())])
    print(f"{client.count(index=layout.months('stories'))['count']} documents")


def _clocks() -> tuple[float, float]:
    """Seconds by the clock, and of CPU."""
    return time.perf_counter(), time.process_time()


def _since(started: tuple[float, float]) -> tuple[float, ...]:
    return tuple(now - then for now, then in zip(_clocks(), started, strict=True))


def _search(url: str, prefix: str) -> None:
    store = ElasticStore(Server.read(url), Layout(prefix))
    address, user, password = elastic_server.parted(url)
    client = Elasticsearch(address, basic_auth=(user, password), request_timeout=120)
    chance = random.Random(7)
    words = _vocabulary()
    asked = [f"{words[chance.randrange(30, 300)]} {words[chance.randrange(30, 300)]}" for _ in range(SEARCHES)]
    ours, peer = [], []
    for text in asked * 2:  # the first time, both fill their caches
        started = _clocks()
        store.search(Query(text))
        ours.append(_since(started))
        started = _clocks()
        query = {"match": {"text": {"query": text, "operator": "and"}}}
        client.search(index=f"{prefix}stories", query=query, size=20, track_total_hits=True)
        peer.append(_since(started))
    (a, busy), (b, least) = (map(statistics.median, zip(*took[SEARCHES:], strict=True)) for took in (ours, peer))
    print(f"search          {1000 * a:7.1f} ms ({1000 * busy:.1f} of CPU here)")
    print(f"plain match     {1000 * b:7.1f} ms ({1000 * least:.1f} of CPU here)")
    print(f"ratio           {b / a:7.2f} (plain match / search; above 1: search is faster)")


def _vocabulary() -> list[str]:
    chance = random.Random(3)
    return ["".join(chance.choices(LETTERS, k=chance.randint(3, 10))) for _ in range(30_000)]


def _write(folder: Path, stories: int) -> int:
    """Files of stories, and the documents that they become, one a line; gives how many files."""
    landing, ready = Landing(str(folder / "home")), folder / "ready"
    ready.mkdir()
    number = -1
    for number, told in enumerate(_parts(stories)):
        prints = dedup.fingerprints([(each.title, each.text) for each in told])
        header = {"counts": {}, "reasons": {}, "named": [], "last": True}
        landing.write_part(f"stories/archive/bench/{number:05}", told, prints, header)
        with (ready / f"{number:05}").open("wb") as lines:
            for each in told:
                document = documents.story_document(revisions.first(each, START).story)
                words = documents.words(document["title"], document["text"])
                lines.write(orjson.dumps({**document, "words": words}) + b"\n")
    return number + 1


def _parts(stories: int) -> Iterator[list[Content]]:
    """Stories in the order of time; word frequencies as in speech; every tenth is told again by another."""
    chance, words = random.Random(1), _vocabulary()
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    step = timedelta(days=DAYS) / stories
    told: list[Content] = []
    text = ""
    for number in range(stories):
        at = START + number * step
        if number % 10 or not text:
            text = " ".join(chance.choices(words, weights, k=chance.randint(200, 700)))
        made = content(
            f"n{number}", title=text[:60], text=text, published=at.isoformat(), source=f"s{number % 40}.example"
        )
        told.append(replace(made, first_seen=at, captured=at))
        if len(told) == min(PART, stories // 4) or number == stories - 1:
            yield told
            told = []


if __name__ == "__main__":
    main()
