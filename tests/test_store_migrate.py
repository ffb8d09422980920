"""An older mapping version, moved to this one: refused until then, the same afterwards, killed at any point.

The older version is made here: what stood there before `page_kind` and `partial` were fields.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import fingerprint, story, tags
from elasticsearch import Elasticsearch

from ingest.errors import StoreGone, TryAgain, UsageError
from ingest.models import Feed, Link
from ingest.store import Booking, Query, Slice
from ingest.store.elastic import ElasticStore, Layout, Server, documents, migrating
from ingest.store.elastic import layout as definitions
from tests.elastic_server import PREFIX, wipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

pytest.register_assert_rewrite("store_contract")

from store_contract import Clock, everything, leased, write  # noqa: E402  # after the line above

OLD = PREFIX + "old-"
NEW, BEFORE = definitions.VERSION, definitions.VERSION - 1
NEW_FIELDS = ("page_kind", "partial")
STORIES = [
    story(
        f"{n:03}",
        published=day,
        tags=tags("aid", "escalation", main=["aid"]),
        feeds=("https://news.example/feed",),
        page_kind="live_blog" if n % 2 else None,
        partial=n % 3 == 0,
    )
    for n, day in enumerate(["2014-11-05", "2014-12-05", "2022-05-24T15:00:00+03:00", None] * 15)
]
FEED = Feed("https://news.example/feed", title="A")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def older_release() -> Iterator[None]:
    """In here, the program is the one of the version before."""
    with pytest.MonkeyPatch.context() as patch:
        fields = {name: field for name, field in definitions.MONTHLY["stories"].items() if name not in NEW_FIELDS}
        patch.setitem(definitions.MONTHLY, "stories", fields)
        shown = tuple(name for name in documents._SHOWN if name not in NEW_FIELDS)
        patch.setattr(documents, "_SHOWN", shown)  # what is not shown stands in `content`
        yield


@pytest.fixture
def older(elasticsearch_url: str, client: Elasticsearch, clock: Clock) -> Iterator[ElasticStore]:
    """A program of the version before, and what it has published."""
    wipe(client, OLD, whole=True)
    with older_release():
        store = ElasticStore(Server.read(elasticsearch_url), Layout(OLD, version=BEFORE), clock=clock)
        store.save_feeds([FEED])
        lease = leased(store)
        store.close_month("1999-01", lease)
        store.release(lease)
        write(
            store,
            *STORIES,
            fingerprints={each.id: fingerprint("7", seed=n) for n, each in enumerate(STORIES)},
            aliases={f"k{n}": each.id for n, each in enumerate(STORIES)},
            links=[Link("id-000", "id-001", 1.0, 0.0)],
            booking=Booking("f", "v", "r", len(STORIES), True, {"": {"indexed": len(STORIES)}}),
            removed={"id-gone": "1999-01"},
        )
    yield store
    store.close()
    wipe(client, OLD, whole=True)


@pytest.fixture
def newer(elasticsearch_url: str, clock: Clock) -> Iterator[ElasticStore]:
    """This release on the same cluster."""
    store = ElasticStore(Server.read(elasticsearch_url), Layout(OLD), clock=clock)
    yield store
    store.close()


def quiet(_: str, __: int, ___: int) -> None: ...


def behind_alias(client: Elasticsearch) -> set[str]:
    return {index.removeprefix(f"{OLD}stories-") for index in client.indices.get_alias(name=f"{OLD}stories")}


MONTHS = ("2014", "2022.05")


def test_an_older_version_is_refused_then_migrated(
    older: ElasticStore, newer: ElasticStore, client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = by_the_server(monkeypatch)
    expected = everything(older)
    for ask in (lambda: newer.lease("elsewhere:1:a", live=True), newer.feeds, lambda: newer.search(Query())):
        with pytest.raises(StoreGone, match=rf"version {BEFORE}, .* version {NEW}\. Run `sitrep store migrate`"):
            ask()
    assert ("Run `sitrep store migrate`." in [one.advice for one in newer.check()]) is True
    assert behind_alias(client) == {f"v{BEFORE}-{month}" for month in MONTHS}

    steps: list[tuple[int, int]] = []
    told = newer.migration().migrate(lambda what, done, total: steps.append((done, total)))
    assert f"from version {BEFORE} to {NEW}" in told
    assert {*copied} == {"prints", "feeds", "aliases", "links", "bookings", "closed"}  # not the stories
    assert steps[-1][0] == steps[-1][1] > 3 * len(STORIES)
    assert everything(newer) == expected
    assert (newer.feeds(), newer.closed_months(), newer.removed(["id-gone"])) == (
        [FEED],
        ["1999-01"],
        {"id-gone": "1999-01"},
    )
    assert newer.resolve(["k7"]) == {"k7": "id-007"}
    assert behind_alias(client) == {f"v{NEW}-{month}" for month in MONTHS}
    kinds = {"bool": {"filter": [{"term": {"page_kind": "live_blog"}}, {"term": {"partial": True}}]}}
    found = {hit["_id"] for hit in client.search(index=f"{OLD}stories", query=kinds, size=100)["hits"]["hits"]}
    assert found == {each.id for each in STORIES if each.content.page_kind and each.content.partial}

    with pytest.raises(StoreGone, match=rf"to mapping version {NEW}, this one knows {BEFORE}\. Upgrade Sitrep"):
        older.lease("elsewhere:1:a", live=True)
    assert [one.what for one in newer.check() if not one.ok] == []
    assert any(f"v{BEFORE} still stands" in one.what for one in newer.check())
    assert newer.migration().migrate(quiet) == f"nothing to migrate: the mapping is version {NEW}"
    write(newer, story("late", published="2023-01-01"))
    assert f"v{NEW}-2023.01" in behind_alias(client)
    assert f"v{BEFORE}" in newer.migration().drop_old()
    assert not client.indices.get(index=f"{OLD}*-v{BEFORE}-*")
    assert newer.get(["id-late"])


def test_back_to_the_version_before(older: ElasticStore, newer: ElasticStore, client: Elasticsearch) -> None:
    expected = everything(older)
    newer.migration().migrate(quiet)
    write(newer, story("late", published="2023-01-01"))
    feeds = [FEED, Feed("https://other.example/feed")]
    newer.save_feeds(feeds)
    assert f"back at v{BEFORE}" in newer.migration().back()
    assert behind_alias(client) == {f"v{BEFORE}-{month}" for month in MONTHS}
    with older_release():
        assert everything(older) == expected
        assert older.feeds() == feeds
    assert not client.indices.get(index=f"{OLD}*-v{NEW}-*")
    with pytest.raises(UsageError, match="no other version"):
        newer.migration().back()
    newer.migration().migrate(quiet)  # and once more
    assert everything(newer) == expected
    assert newer.feeds() == feeds


def test_nobody_writes_while_it_is_migrated(older: ElasticStore, newer: ElasticStore, clock: Clock) -> None:
    """Who asks is refused, and told what to do; who slept through it all overwrites nothing."""
    told: list[str] = []
    asleep = leased(older, "elsewhere:1:asleep")
    clock.now += 31

    def meanwhile(what: str, done: int, total: int) -> None:
        for deed in (
            lambda: older.lease("elsewhere:2:b", live=True),
            lambda: older.save_feeds([Feed("https://late.example")]),
            lambda: older.write(Slice(stories=[story("late")]), asleep),
        ):
            with older_release(), pytest.raises(TryAgain) as error:
                deed()
            told.append(str(error.value))

    newer.migration().migrate(meanwhile)
    assert "it is being migrated" in told[0]
    assert "takes no more writes: it is being migrated" in told[1]
    assert "took over" in told[2]
    assert newer.get(["id-late"]) == {}
    assert newer.feeds() == [FEED]


class Killed(BaseException):
    """As SIGKILL: nothing is tidied up."""


def kill_before(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Die before the so-manieth request that changes something, the lease's left out."""
    from ingest.store.elastic.connection import Connection

    plain, seen = Connection.request, 0

    def request(self: Connection, method: str, path: str, *args: Any, **params: Any) -> Any:
        nonlocal seen
        changes = method in ("PUT", "DELETE") or path in ("/_aliases", "/_bulk", "/_reindex")
        if changes and not path.endswith("/_doc/lease") and path != "/_pit":
            seen += 1
            if seen >= number:
                raise Killed
        return plain(self, method, path, *args, **params)

    monkeypatch.setattr(Connection, "request", request)


def test_killed_at_any_point_it_goes_on_or_is_given_up(
    older: ElasticStore, newer: ElasticStore, client: Elasticsearch, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same installation, migrated by a process that dies further and further on."""
    expected = everything(older)
    for number in (5, 9, 33):
        kill_before(monkeypatch, number)
        with pytest.raises(Killed):
            newer.migration().migrate(quiet)
        monkeypatch.undo()
        clock.now += 31
        if number > 5:
            with older_release(), pytest.raises(StoreGone, match="takes no more writes"):
                older.save_feeds([FEED])
            assert not all(one.ok for one in newer.check())
        newer.migration().back()
        assert not client.indices.get(index=f"{OLD}*-v{NEW}-*")
    with older_release():
        write(older, story("late", published="2022-05-01"))
        expected = everything(older)
    for number in range(4, 999, 7):
        kill_before(monkeypatch, number)
        try:
            newer.migration().migrate(quiet)
            break
        except Killed:
            clock.now += 31
        finally:
            monkeypatch.undo()
        # readers see one version or the other, whole
        assert behind_alias(client) in (
            {f"v{BEFORE}-{month}" for month in MONTHS},
            {f"v{NEW}-{month}" for month in MONTHS},
        )
    assert number > 20
    assert everything(newer) == expected
    assert behind_alias(client) == {f"v{NEW}-{month}" for month in MONTHS}


def test_a_copy_that_differs_is_not_moved_to(
    older: ElasticStore, newer: ElasticStore, client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = documents.remade

    def wrong(kind: str, document: dict[str, Any]) -> dict[str, Any]:
        return {**plain(kind, document), **({"source": "elsewhere.example"} if kind == "stories" else {})}

    monkeypatch.setattr(documents, "remade", wrong)
    with pytest.raises(StoreGone, match="the copy is not the same"):
        newer.migration().migrate(quiet)
    assert behind_alias(client) == {f"v{BEFORE}-{month}" for month in MONTHS}


def by_the_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of which an index is copied by the server itself."""
    copied: list[str] = []
    plain = migrating.Migration._copied

    def noted(self: migrating.Migration, one: migrating.Copied, told: Callable[[int], None]) -> None:
        copied.append(one.kind)
        plain(self, one, told)

    monkeypatch.setattr(migrating.Migration, "_copied", noted)
    return copied


DIES = """
import os, signal
from ingest import __main__ as program
from ingest.store.elastic.migrating import Migration
Migration._compare = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
program.main()
"""


def test_the_command_killed_and_run_again(older: ElasticStore, elasticsearch_url: str, tmp_path: Path) -> None:
    def sitrep(*args: str, how: Sequence[str] = ("-m", "ingest")) -> tuple[int, str]:
        environ = {**os.environ, "SITREP_HOME": str(tmp_path), "SITREP_ELASTICSEARCH_URL": elasticsearch_url}
        environ["SITREP_ELASTICSEARCH_PREFIX"] = OLD
        command = [sys.executable, *how, *args]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    code, told = sitrep("publish")
    assert (code, "Run `sitrep store migrate`" in told) == (1, True)
    code, told = sitrep("store", "migrate", how=("-c", DIES))
    assert code == -signal.SIGKILL, told
    code, told = sitrep("store", "migrate")
    assert (code, f"migrated from version {BEFORE} to {NEW}" in told) == (0, True), told
    code, told = sitrep("store", "migrate", "--drop-old", "--yes")
    assert (code, f"deleted: v{BEFORE}" in told) == (0, True), told
    code, told = sitrep("store", "migrate", "--back")
    assert (code, "no other version stands there" in told) == (2, True), told
