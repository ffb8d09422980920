"""What the page costs beside the store's own search: 20,000 made-up stories (`--stories N` for more), SQLite.

Printed are CPU milliseconds of this process (median of seven), and the ratio to `Store.search` of the same words.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ingest.models import Story
from ingest.settings import Settings
from ingest.store import Query, Slice
from ingest.store.sqlite import SqliteStore
from ingest.web.access import Access
from ingest.web.app import create_app
from ingest.web.window import Window
from tests.builders import story, tags

TOPICS = ("escalation", "aid", "deployments")
FREQUENT = {"artillery": 0.3, "troops": 0.2, "grain": 0.1, "said": 0.9}  # in so many of the stories
WORDS, VOCABULARY = 300, 40_000
SEARCHES = {"first page": "", "two words": "artillery troops", "a phrase": '"artillery troops"', "said (90 %)": "said"}


def stories(count: int) -> Iterator[Story]:
    """Stories of a year, words by Zipf's law, every tenth a copy of the one before it."""
    random = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = ["".join(random.choice(letters, random.integers(3, 10))) for _ in range(VOCABULARY)]
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    for n in range(count):
        drawn = np.searchsorted(weights, random.random(WORDS) * weights[-1])
        words = [vocabulary[k] for k in drawn]
        for word, share in FREQUENT.items():
            if random.random() < share:
                words[random.integers(0, WORDS)] = word
        topics = [topic for topic in TOPICS if random.random() < 0.3]
        moment = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(minutes=n * 525_600 / count)
        copy = n % 10 == 9
        yield story(
            str(n),
            title=" ".join(words[:8]),
            text=" ".join(words),
            source=f"site{random.integers(0, 300)}.example",
            tags=tags(*topics, main=topics[:1]),
            published=moment.isoformat().replace("+00:00", "Z"),
            first_seen=moment,
            cluster=f"id-{n - copy}",
            lead=not copy,
        )


def cost(job: Callable[[], object]) -> float:
    """Median CPU milliseconds."""
    job()
    taken = []
    for _ in range(7):
        start = time.process_time()
        job()
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--stories", type=int, default=20_000)
    count = options.parse_args().stories
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), landing=f"{folder}/landing")
        store = SqliteStore(settings.database)
        lease = store.lease("here:0:bench", live=False)
        assert not isinstance(lease, str)
        made = stories(count)
        while batch := list(islice(made, 2000)):
            store.write(Slice(stories=batch), lease)
            print(f"{int(batch[-1].id[3:]) + 1:,d} of {count:,d} stories", file=sys.stderr)
        window = Window(lambda: settings)
        client = TestClient(create_app(window, Access()))
        print(f"{count:,d} stories; CPU ms, median of 7")
        print(f"{'':14s}{'store':>8s}{'JSON':>8s}{'page':>8s}{'page, again':>13s}{'page/store':>12s}{'KB':>6s}")
        for name, text in SEARCHES.items():
            query = Query(text, folded=True)

            def forgotten(text: str = text) -> None:
                window._kept.clear()
                client.get("/", params={"q": text})

            own = cost(lambda query=query: store.search(replace(query)))
            json = cost(lambda text=text: client.get("/api/v1/search", params={"q": text}))
            first = cost(forgotten)
            again = cost(lambda text=text: client.get("/", params={"q": text}))
            size = len(client.get("/", params={"q": text}).content) / 1000
            print(f"{name:14s}{own:8.1f}{json:8.1f}{first:8.1f}{again:13.1f}{first / own:12.1f}{size:6.0f}")
        window.close()
        store.close()


if __name__ == "__main__":
    main()
