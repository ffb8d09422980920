"""Publishing to Elasticsearch and searching there, against the client's own ways, in the same run.

    python benchmarks/elastic.py [STORIES] [RUNS]

Publish: files of stories of STORIES stories (50,000 where nobody says) over four months, some of them told twice, go
into an empty store, duplicates recognised, links, clusters, bookings and all; against `streaming_bulk` of the same
documents, ready on disk, into indices with the same mapping. Both in a process of their own, its start left out, in
turns. Seconds of CPU are those of this side: the server has the rest of the cores. Memory: the publisher's peak, at a
fifth of the stories and at all of them. Search: `Store.search` (exact totals, snippets, sizes of clusters) against a
plain `match` query for as many hits. The server is the tests' one.
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
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
    few, ready = stories // 5, folder / "documents.jsonl"
    _write(folder / "few", few, None)
    _write(folder / "all", stories, ready)
    size, cores = ready.stat().st_size // stories, len(os.sched_getaffinity(0))
    print(f"{stories} stories, documents of {size} bytes, {runs} runs, {cores} cores")
    ratios, peak = [], 0.0
    for number in range(runs):
        ours, busy, peak, counts = _job("publish", folder / "all", url, f"ours{number}-")
        peer, least, _, _ = _job("bulk", ready, url, f"peer{number}-")
        ratios.append(peer / ours)
        print(f"publish         {stories / ours:7.0f} stories a second, {busy:5.1f} s of CPU ({counts})")
        print(f"streaming_bulk  {stories / peer:7.0f} documents a second, {least:5.1f} s of CPU")
    print(f"ratio           {statistics.median(ratios):7.2f} (publish / streaming_bulk; above 1: publish is faster)")
    _, _, small, _ = _job("publish", folder / "few", url, "few-")
    print(f"memory          {small:7.0f} MB at {few} stories, {peak:.0f} MB at {stories}")
    _search(url, "ours0-")


def _job(job: str, path: Path, url: str, prefix: str) -> tuple[float, float, float, str]:
    """Seconds by the clock and of CPU, peak memory in MB, and what it says; in a process of its own. The address goes
    by the environment."""
    environ = {**os.environ, "SITREP_ELASTICSEARCH_URL": url}
    command = [sys.executable, __file__, "--in-process", job, str(path), prefix]
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    took, busy, peak, told = json.loads(done.stdout)
    return took, busy, peak, told


def _publish(home: str, prefix: str) -> None:
    url = os.environ["SITREP_ELASTICSEARCH_URL"]
    pipe = Pipe(Settings(home=Path(home), landing=home, elasticsearch_url=url, elasticsearch_prefix=prefix))
    pipe.store.info()
    started = _clocks()
    booked = publish(pipe, run="bench")
    took = _since(started)
    counts = [booking.counts[""] for booking in booked.values()]
    told = {name: sum(count.get(name, 0) for count in counts) for name in ("indexed", "duplicate")}
    _tell(took, ", ".join(f"{number} {name}" for name, number in told.items()))


def _bulk(file: str, prefix: str) -> None:
    server = Server.read(os.environ["SITREP_ELASTICSEARCH_URL"])
    ElasticStore(server, Layout(prefix)).setup()
    layout = Layout(prefix)
    client = Elasticsearch(list(server.hosts), basic_auth=(server.user, server.password), request_timeout=120)

    def actions() -> Iterator[dict[str, object]]:
        with Path(file).open("rb") as lines:
            for line in lines:
                document = orjson.loads(line)
                index = layout.month("stories", suffix(document["instant"]))
                yield {"_index": index, "_id": document["id"], "_source": document}

    started = _clocks()
    written = sum(1 for _ in streaming_bulk(client, actions(), chunk_size=1000, max_chunk_bytes=5_000_000))
    client.indices.refresh(index=layout.months("stories"))
    _tell(_since(started), str(written))


def _clocks() -> tuple[float, float]:
    """Seconds by the clock, and of CPU."""
    return time.perf_counter(), time.process_time()


def _since(started: tuple[float, float]) -> tuple[float, ...]:
    return tuple(now - then for now, then in zip(_clocks(), started, strict=True))


def _tell(took: tuple[float, ...], told: str) -> None:
    print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, told]))


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


def _write(home: Path, stories: int, ready: Path | None) -> None:
    """Files of stories, and the documents that they become, one a line."""
    landing = Landing(str(home))
    lines = ready.open("wb") if ready else None
    for number, told in enumerate(_parts(stories)):
        prints = dedup.fingerprints([(each.title, each.text) for each in told])
        header = {"counts": {}, "reasons": {}, "named": [], "last": True}
        landing.write_part(f"stories/archive/bench/{number:05}", told, prints, header)
        for each in told if lines else ():
            story = revisions.first(each, START).story
            document = documents.story_document(story)
            words = documents.words(document["title"], document["text"])
            lines.write(orjson.dumps({**document, "words": words}) + b"\n")
    if lines:
        lines.close()


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
        if len(told) == PART or number == stories - 1:
            yield told
            told = []


if __name__ == "__main__":
    main()
