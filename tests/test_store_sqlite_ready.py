"""The embedded store that stays ready for many readers: out of its memory come the same answers as out of the file."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import moment, story, tags

from ingest.models import Evidence, Status, Story, Tags
from ingest.store import Query, Slice, sqlite_columns
from ingest.store.sqlite import SqliteStore

pytest.register_assert_rewrite("store_contract")

from store_contract import Clock, StoreContract, leased, write  # noqa: E402  # after the line above

WORDS = (
    *("convoy", "grain", "river", "port", "troops", "road"),
    *("shelling", "dawn", "bridge", "medicine", "governor", "artillery"),
)
TOPICS = ("aid", "escalation", "deployments")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[SqliteStore]:
    store = SqliteStore(path, clock=clock)
    store.stay_ready()
    yield store
    store.close()


@pytest.fixture
def by_sql(path: Path, store: SqliteStore) -> Iterator[SqliteStore]:
    """Another reader of the same file, which asks the tables."""
    other = SqliteStore(path)
    yield other
    other.close()


class TestContract(StoreContract):
    pass


def varied(count: int, seed: int = 0) -> Iterator[Story]:
    """Stories that differ in all that can be asked for: some without a date, an outlet or a language, copies with equal
    texts, several at the same instant, evidence of every status."""
    random = np.random.default_rng(seed)
    for n in range(count):
        words = random.choice(WORDS, 30)
        told = [topic for topic in TOPICS if random.random() < 0.4]
        statuses = list(Status)
        proofs = tuple(
            Evidence(topic, f"{topic}-{random.integers(3)}", "text", 0, 5, "Words", (), statuses[random.integers(6)])
            for topic in TOPICS
            if random.random() < 0.6
        )
        dated = random.random() < 0.9
        hours = float(random.integers(-400, 400)) / 2
        yield story(
            f"{seed}-{n}",
            title=" ".join(words[:4]),
            text=" ".join(words) if random.random() < 0.8 else "A convoy with grain.",
            source=[None, "", "a.example", "b.example", "c.example"][random.integers(5)],
            language=[None, "en", "uk", "de"][random.integers(4)],
            tags=Tags(tuple(told), tuple(told[:1]), proofs),
            published=moment(hours).isoformat() if dated else None,
            published_from="feed" if dated else None,
            first_seen=moment(hours + 1),
            cluster=f"c{n - random.integers(0, 3)}",
            lead=bool(random.random() < 0.7),
        )


TEXTS = ("", "convoy", "grain river", '"a convoy"', "title:troops", "road -dawn", "-grain", "bri*", "nowhere", "!?")
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"topics": ["aid"]},
    {"topics": ["aid", "escalation", "aid"], "weight": "main"},
    {"topics": ["deployments", "unheard"], "weight": "mentioned", "order": "oldest"},
    {"statuses": ["negated", "history"], "zone": "America/New_York"},
    {"topics": ["aid"], "statuses": ["asserted"], "order": "newest"},
    {"sources": ["a.example", "", "unheard.example"], "languages": ["en", "uk"]},
    {"since": moment(-60), "until": moment(60), "zone": "Europe/Kyiv"},
    {"cluster": "c7"},
    {"leads_only": True, "order": "oldest", "limit": 7, "offset": 11},
    {"rules": ["aid-1"], "topics": ["aid"]},
    {"limit": 0},
    {"offset": 10_000},
)
QUERIES = [Query(text, **asked) for text, asked in itertools.product(TEXTS, FILTERS)]


def answers(store: SqliteStore, query: Query) -> Any:
    """All that can be asked of a query, with the order in which it is told."""
    found = [store.search(Query(**{**told(query), "folded": folded})) for folded in (False, True)]
    counts = [
        list(store.count(query, by).items())
        for by in ("day", "topic", "main_topic", "status", "rule", "source", "language")
    ]
    days = [[(name, list(told.items())) for name, told in store.days(query, by).items()] for by in ("topic", "source")]
    hits = [[(hit.story.id, hit.score, hit.snippet, hit.copies, hit.outlets) for hit in each.hits] for each in found]
    return [(each.total, each.clusters) for each in found], hits, counts, days


def told(query: Query) -> dict[str, Any]:
    return {name: getattr(query, name) for name in Query.__slots__}


def test_every_answer_is_the_same(store: SqliteStore, by_sql: SqliteStore) -> None:
    write(store, *varied(400))
    assert len(QUERIES) == 130
    for query in QUERIES:
        assert answers(store, query) == answers(by_sql, query), query


def test_an_empty_store_answers(store: SqliteStore, by_sql: SqliteStore) -> None:
    for query in QUERIES[:: len(FILTERS)]:
        assert answers(store, query) == answers(by_sql, query), query


@pytest.mark.parametrize("by", ["day", "topic"])
def test_what_cannot_be_asked_is_an_error_as_well(store: SqliteStore, by: str) -> None:
    for query in (Query(weight="much"), Query(order="loudest")):
        with pytest.raises(ValueError, match="cannot"):
            (store.search if query.order != "best" else lambda query: store.count(query, by))(query)
    for ask in (store.count, store.days):
        with pytest.raises(ValueError, match="cannot count"):
            ask(Query(), "colour")


def test_what_was_written_since_shows_at_once(store: SqliteStore, by_sql: SqliteStore, path: Path) -> None:
    some = QUERIES[:: len(FILTERS) - 1]  # of each text and of each filter some
    lease = leased(store)
    publisher = SqliteStore(path)

    def same() -> None:
        for query in some:
            assert answers(store, query) == answers(by_sql, query), query

    store.close_month("2022-05", lease)
    store.count(Query(), "topic")
    first = list(varied(60))
    for slice_ in (
        Slice(stories=first),
        Slice(stories=list(varied(40, seed=1))),  # beside them, with names that were not heard before
        Slice(stories=[story("0-1", title="Bridge", text="Dawn", tags=tags("novel"), source="new.example")]),  # revised
        Slice(touched=first[10:20]),
        Slice(clusters={"id-0-2": ("c7", False), "id-1-3": ("c7", True)}),
        Slice(removed={"id-0-5": "2022-05", "id-1-39": "2022-05"}),  # also the last one, whose number is free now
        Slice(stories=list(varied(5, seed=2))),
        Slice(),
    ):
        publisher.write(slice_, lease)
        same()
    successor = store.successor()
    assert successor
    write(successor, *varied(30, seed=3))
    store.succeed(successor, lease)
    same()
    publisher.write(Slice(stories=list(varied(5, seed=4))), lease)
    same()
    assert store.search(Query()).total == 35
    publisher.close()


def test_only_what_was_written_since_is_read(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    chunks = sqlite_columns._chunks
    monkeypatch.setattr(
        sqlite_columns, "_chunks", lambda found: (read.append(len(chunk)) or chunk for chunk in chunks(found))
    )
    write(store, *varied(100))
    store.count(Query(), "source")
    assert read[0] == 100
    read.clear()
    write(store, story("more", tags=tags("aid")))
    assert store.count(Query(), "day")
    assert read == [1, 1, 2]  # the story, its topic, its evidence
    store.count(Query(), "source")
    assert read == [1, 1, 2]


def test_readers_see_one_state_while_it_is_written(store: SqliteStore) -> None:
    lease = leased(store)
    over = threading.Event()

    def read(_: int) -> None:
        seen = 0
        while not over.is_set():
            found = store.search(Query("convoys", folded=True, limit=3))
            assert found.total >= seen
            assert found.total % 5 == 0  # a slice, or nothing of it
            assert found.clusters == found.total
            seen = found.total

    with ThreadPoolExecutor(6) as pool:
        reading = [pool.submit(read, n) for n in range(6)]
        try:
            for number in range(30):
                store.write(Slice(stories=[story(f"{number}-{n}") for n in range(5)]), lease)
        finally:
            over.set()
        for each in reading:
            each.result()
    assert store.search(Query("convoys")).total == 150


def test_a_store_too_large_for_memory_asks_the_tables(
    store: SqliteStore, by_sql: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_columns, "MOST_BYTES", 1000)
    monkeypatch.setattr(sqlite_columns, "current", lambda *_: pytest.fail("it was read into memory"))
    write(store, *varied(50))
    for query in QUERIES[::9]:
        assert answers(store, query) == answers(by_sql, query), query


def test_what_is_remembered_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, *varied(100))
    monkeypatch.setattr(sqlite_columns, "_REMEMBERED", 2000)
    for query in QUERIES:
        store.search(query)
    memory = store._memory
    assert memory
    assert 0 < sum(size for _, size in memory._kept.values()) == memory._bytes <= 2000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_for_itself(store: SqliteStore) -> None:
    write(store, story("a"))
    assert store._memory
    assert store.count(Query(), "language") == {"en": 1}
    with store._memory.lock:  # as if another thread were reading
        child = os.fork()
        if not child:
            os._exit(0 if store.count(Query(), "language") == {"en": 1} else 1)
        assert os.waitpid(child, 0)[1] == 0
