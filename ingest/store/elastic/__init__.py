"""The store of a real deployment: Elasticsearch 8 or 9, searched by Kibana too.

layout.py says what stands where, writing.py how a slice is there wholly or not at all, leasing.py how one publisher
writes at a time, connection.py and bulk.py what becomes of the server's faults.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest import dates
from ingest.errors import LeaseLost, SitrepError
from ingest.models import Feed, FeedState, Fingerprint, Head, Link, Story, WantedPage, Window
from ingest.settings import Settings
from ingest.store import PIECE, Booking, Found, Hit, Lease, Query, Slice, Store, rows, typed
from ingest.store.elastic import asking, checking, documents, setup, writing
from ingest.store.elastic.bulk import Action, action, deliver
from ingest.store.elastic.checking import Finding
from ingest.store.elastic.connection import PAGE, RESULT_WINDOW, Connection, Server
from ingest.store.elastic.counting import Counting
from ingest.store.elastic.journal import Journal
from ingest.store.elastic.layout import MONTHLY, Layout
from ingest.store.elastic.leasing import Leases
from ingest.store.elastic.migrating import Migration, is_migration
from ingest.store.elastic.mirror import ElasticMirror, complete_revisions

__all__ = ["ElasticStore", "Layout", "Server"]

EXPORTED = 500  # stories of a page: some 5 MB
LISTED = 10_000  # ids or keys in one request
LOOK_AGAIN = 30.0  # seconds, after which it is asked again which layout is the store
_UNREAD = {"excludes": list(documents.UNREAD)}


@dataclass(frozen=True, slots=True)
class _Rooms:
    """A layout, and what works in it."""

    layout: Layout
    leases: Leases
    writer: writing.Writer
    journal: Journal
    counting: Counting

    @classmethod
    def of(cls, wire: Connection, layout: Layout, clock: Callable[[], float]) -> _Rooms:
        writer, counting = writing.Writer(wire, layout), Counting(wire, layout.months("stories"))
        return cls(layout, Leases(wire, layout, clock), writer, Journal(wire, layout), counting)


class ElasticStore(Store):
    """The port's contract (ingest/store/__init__.py) on a cluster. `clock` gives seconds since 1970, for the lease."""

    piece = PIECE

    def __init__(
        self,
        server: Server,
        layout: Layout | None = None,
        *,
        clock: Callable[[], float] = time.time,
        pinned: bool = False,
    ) -> None:
        """`pinned`: the store is this very layout; else the one that is current."""
        self._server = server
        self._asked = layout or Layout()
        self._wire = Connection(server)
        self._clock = clock
        self._pinned = pinned
        self._rooms: _Rooms | None = None
        self._looked = 0.0
        self.mirror = ElasticMirror(self._connection, lambda: self._layout)
        self._unfinished: dict[int, list[str]] = {}  # pieces of a journal by the token of the lease
        self._superseded: dict[int, list[str]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._wire.close()

    @property
    def where(self) -> str:
        """Its hosts, without secrets."""
        return self._wire.where

    def check(self) -> list[Finding]:
        """What is well and what is not; never raises for what is not."""
        return list(checking.check(self._wire, self._asked))

    def grant(self) -> dict[str, str]:
        """New keys by what they are for; see checking.grant."""
        return checking.grant(self._wire, self._asked)

    def keep_key(self, purpose: str, key: str) -> str:
        """`key` with the rights of this release, or a new one; see checking.keep_key."""
        return checking.keep_key(self._wire, self._asked, purpose, key)

    def setup(self) -> None:
        """Put this release's templates and the aliases there, and the older versions of stories that are missing."""
        checking.setup(self._wire, self._asked)
        self._look_again()
        complete_revisions(self._wire, self._layout)

    def migration(self) -> Migration:
        """The ways to another mapping version and back."""
        return Migration(self._wire, self._asked, self._at)

    def _at(self, layout: Layout) -> ElasticStore:
        return ElasticStore(self._server, layout, clock=self._clock, pinned=True)

    def _connection(self) -> Connection:
        self._where_it_is()
        return self._wire

    def _where_it_is(self) -> _Rooms:
        """The store may move to another layout while this process runs (`store migrate`, `store rebuild`)."""
        with self._lock:
            now = time.monotonic()
            if self._rooms is None or (not self._pinned and now - self._looked > LOOK_AGAIN):
                layout = self._asked if self._pinned else setup.ensure(self._wire, self._asked)
                if self._rooms is None or self._rooms.layout != layout:
                    self._rooms = _Rooms.of(self._wire, layout, self._clock)
                self._looked = now
            return self._rooms

    def _look_again(self) -> None:
        self._looked = -LOOK_AGAIN

    @property
    def _layout(self) -> Layout:
        return self._where_it_is().layout

    @property
    def _leases(self) -> Leases:
        return self._where_it_is().leases

    @property
    def _writer(self) -> writing.Writer:
        return self._where_it_is().writer

    @property
    def _journal(self) -> Journal:
        return self._where_it_is().journal

    @property
    def _counting(self) -> Counting:
        return self._where_it_is().counting

    # feeds and their state -------------------------------------------------------------------------------------
    def feeds(self) -> list[Feed]:
        found = [documents.feed(hit["_source"]) for hit in self._all("feeds", {"match_all": {}}, ["doc"])]
        return sorted(found, key=lambda feed: feed.url)

    def save_feeds(self, feeds: Iterable[Feed]) -> None:
        self._put("feeds", ((feed.url, documents.feed_document(feed)) for feed in feeds))

    def remove_feed(self, url: str) -> bool:
        waiting = [page.url for page in self.wanted([url])]
        self._drop("wanted", waiting)
        self._drop("states", [url])
        return bool(self._drop("feeds", [url]))

    def states(self, urls: Iterable[str]) -> dict[str, FeedState]:
        found = self._by_id("states", urls, ["doc"])
        return {url: documents.state(document) for url, document in found.items()}

    def save_states(self, states: Iterable[FeedState]) -> None:
        self._put("states", ((state.url, documents.state_document(state)) for state in states))

    def wanted(self, feeds: Iterable[str]) -> list[WantedPage]:
        hits = self._among("wanted", "feed", map(rows.bound, feeds), ["since", "url", "doc"])
        found = sorted((hit["_source"] for hit in hits), key=lambda page: (page["since"], page["url"]))
        return [documents.wanted(page) for page in found]

    def save_wanted(self, pages: Iterable[WantedPage], *, fetched: Iterable[str] = ()) -> None:
        self._put("wanted", ((page.url, documents.wanted_document(page)) for page in pages))
        self._drop("wanted", fetched)

    # the lease -------------------------------------------------------------------------------------------------
    def lease(self, holder: str, *, live: bool) -> Lease | str:
        """As the port says. A holder named "host:pid:anything" whose process is gone from this host counts as gone.
        What a publisher that died had begun to write is finished first. Raises StoreGone while the store is migrated:
        that takes longer than anybody waits."""
        self._look_again()
        taken = self._leases.take(holder, live=live)
        if isinstance(taken, str):
            if is_migration(taken) and not is_migration(holder):
                self._wire.gone(f"it is being migrated ({taken}).", "Run the same thing again when that is done.")
            return taken
        lease, before = taken
        if before["pending"] or before["holder"]:
            self._finish(json.loads(before["pending"] or "[]"), lease)
        return lease

    def renew(self, lease: Lease) -> None:
        self._connection()
        self._leases.hold(lease)

    def release(self, lease: Lease) -> None:
        self._connection()
        finished = not self._unfinished.pop(lease.token, None)
        self._leases.give_back(lease, finished=finished)
        self._journal.forget(self._superseded.pop(lease.token, ()))

    def _finish(self, pieces: list[str], lease: Lease) -> None:
        """Carry out what a publisher that is gone had written down."""
        self._unfinished[lease.token] = pieces
        try:
            if pieces and (listed := self._journal.read(pieces)) is not None:
                every = [*map(self._layout.months, MONTHLY), self._layout.small("links")]
                self._writer.refresh(every)
                self._writer.write(listed, lambda: self._leases.hold(lease))
            self._journal.sweep()
            del self._unfinished[lease.token]
        except SitrepError:
            self.release(lease)
            raise

    # stories ---------------------------------------------------------------------------------------------------
    def resolve(self, keys: Iterable[str]) -> dict[str, str]:
        return {key: document["story"] for key, document in self._by_id("aliases", keys, ["story"]).items()}

    def get(self, ids: Iterable[str]) -> dict[str, Story]:
        hits = self._stories(ids, _UNREAD)
        return {hit["_id"]: documents.story(hit["_source"]) for hit in hits}

    def ids(self, beginning: str, limit: int) -> list[str]:
        body = {
            "query": {"prefix": {"id": {"value": rows.bound(beginning)}}},
            "_source": ["id"],
            "size": min(max(0, limit), RESULT_WINDOW),
            "sort": [{"id": "asc"}],
            "track_total_hits": False,
        }
        hits = self._connection().search(self._layout.months("stories"), body)["hits"]["hits"]
        return [hit["_source"]["id"] for hit in hits]

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        hits = self._stories(ids, list(documents.HEAD))
        return {hit["_id"]: documents.head(hit["_source"]) for hit in hits}

    def texts(self, ids: Iterable[str]) -> dict[str, tuple[str | None, str]]:
        hits = self._stories(ids, ["title", "text"])
        return {hit["_id"]: (hit["_source"]["title"], hit["_source"]["text"]) for hit in hits}

    def indexed(self, ids: Iterable[str]) -> dict[str, datetime]:
        hits = self._stories(ids, ["indexed"])
        return {hit["_id"]: dates.instant(hit["_source"]["indexed"]) for hit in hits}

    def window(self, since: datetime, until: datetime) -> Iterator[Window]:
        """As the port says; both ends count in whole seconds, rounded down, as instants do."""
        after: list[Any] = []
        while True:
            hits = self._window_page(rows.seconds(since), rows.seconds(until), after)
            if hits:
                after = hits[-1]["sort"]
                yield rows.unpack_window([_window_row(hit["_source"]) for hit in hits])
            if len(hits) < self.piece:
                return

    def _window_page(self, since: int, until: int, after: Sequence[Any]) -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = []
        while len(hits) < self.piece:
            size = min(PAGE, self.piece - len(hits))
            body = {
                "query": {"range": {"instant": {"gte": since, "lte": until}}},
                "_source": ["id", "instant", "numbers", "shingles"],
                "sort": [{"instant": "asc"}, {"id": "asc"}],
                "size": size,
                "track_total_hits": False,
                **({"search_after": after} if after else {}),
            }
            page = self._connection().search(self._layout.months("prints"), body)["hits"]["hits"]
            hits += page
            if len(page) < size:
                break
            after = page[-1]["sort"]
        return hits

    def fingerprints(self, ids: Iterable[str]) -> dict[str, Fingerprint]:
        hits = self._with_ids(self._layout.months("prints"), ids, ["numbers", "shingles"])
        return {
            hit["_id"]: rows.unpack_fingerprint(hit["_source"]["numbers"], documents.shingles(hit["_source"]))
            for hit in hits
        }

    def links(self, ids: Iterable[str]) -> list[Link]:
        listed = [rows.bound(ident) for ident in ids]
        hits = [*self._among("links", "a", listed), *self._among("links", "b", listed)]
        found = {hit["_id"]: documents.link(hit["_source"]) for hit in hits}
        return sorted(found.values(), key=lambda link: (link.a, link.b))

    def write(self, slice_: Slice, lease: Lease, meanwhile: Callable[[], None] | None = None) -> Mapping[str, str]:
        """As the port says. Readers may see a part of a slice while it is written; the next publisher sees all of
        it, or, where LeaseLost is raised before anything was written, nothing."""
        self._connection()
        listed = writing.changes(slice_)
        begun = False

        def hold() -> None:
            nonlocal begun
            self._leases.hold(lease, **({} if begun else {"pending": json.dumps(kept.result())}))
            if not begun:
                self._unfinished[lease.token] = kept.result()
            begun = True

        with ThreadPoolExecutor(1) as journal:  # the writer looks where things stand meanwhile
            kept = journal.submit(self._journal.keep, listed)
            try:
                refused = self._writer.write(listed, hold, meanwhile)
            except LeaseLost:
                if not begun:
                    self._journal.forget(kept.result())
                raise
        done = [*self._superseded.pop(lease.token, ()), *kept.result()]
        del self._unfinished[lease.token]
        if refused:  # a run that dies before it writes again finds it in the journal
            self._superseded[lease.token] = done
        else:
            self._journal.forget(done)
        return refused

    def bookings(self, files: Iterable[str] | None = None) -> dict[str, Booking]:
        if files is None:
            return self._booked({"match_all": {}})
        return _bookings(self._by_id("bookings", files).values())

    def bookings_of(self, run: str) -> dict[str, Booking]:
        return self._booked({"term": {"run": rows.bound(run)}})

    def _booked(self, query: Mapping[str, Any]) -> dict[str, Booking]:
        self._writer.refresh([self._layout.small("bookings")])
        return _bookings(hit["_source"] for hit in self._all("bookings", query))

    # closed months ---------------------------------------------------------------------------------------------
    def close_month(self, month: str, lease: Lease) -> None:
        self._leases.hold(lease)
        self._put("closed", [(f"month {month}", {"month": month, "story": None})])

    def open_month(self, month: str, lease: Lease) -> bool:
        self._leases.hold(lease)
        self._writer.refresh([self._layout.small("closed")])
        index, query = self._layout.small("closed"), {"term": {"month": month}}
        ids = [hit["_id"] for hit in self._all("closed", query, False)]
        self._deliver("closed", [action("delete", ("closed", ident), index, ident, None) for ident in ids])
        return bool(ids)

    def closed_months(self) -> list[str]:
        query = {"bool": {"must_not": {"exists": {"field": "story"}}}}
        return sorted(hit["_source"]["month"] for hit in self._all("closed", query))

    def removed(self, ids: Iterable[str]) -> dict[str, str]:
        listed = list(ids)
        names = {documents.digest("story", ident): ident for ident in listed}
        found = self._by_document("closed", names)
        return {names[name]: document["month"] for name, document in found.items()}

    def sweep(self, lease: Lease) -> None:
        """As the port says: months without a story go, where our key may delete an index."""
        self._leases.hold(lease)
        self._writer.forget_empty_months()

    # rebuilding ------------------------------------------------------------------------------------------------
    def successor(self, *, make: bool = True) -> ElasticStore | None:
        """As the port says: the next generation of the same layout."""
        target = self.migration().coming(self._layout, make=make)
        return self._at(target) if target else None

    def succeed(self, successor: Store, lease: Lease) -> None:
        assert isinstance(successor, ElasticStore)
        self._leases.hold(lease)
        target = successor._layout
        successor.close()
        self.migration().replace_by(self._layout, target, lambda: self._leases.hold(lease))
        self._look_again()

    # readers ---------------------------------------------------------------------------------------------------
    def search(self, query: Query) -> Found:
        read = typed.read(query.text)
        asked, sort = asking.query(query, read), asking.order(query, read)
        limit = min(max(0, query.limit), RESULT_WINDOW)
        body = {
            "query": asked,
            "_source": _UNREAD,
            "size": limit,
            "sort": sort,
            "track_total_hits": True,
            "track_scores": True,
            **(_fold(query, limit) if query.folded else self._start(asked, sort, max(0, query.offset), limit)),
        }
        found = self._ranked(body)
        page = found["hits"]
        sizes = self._counting.cluster_sizes({hit["_source"]["cluster"] for hit in page["hits"]})
        hits = [_hit(hit, sizes, read) for hit in page["hits"]]
        clusters = found["aggregations"]["clusters"]["value"] if "aggregations" in found else 0
        return Found(page["total"]["value"], hits, clusters if query.folded else None)

    def _start(self, asked: Mapping[str, Any], sort: Sequence[Any], offset: int, limit: int) -> dict[str, Any]:
        """Where a page begins. Elasticsearch skips no more than 10,000 hits at once."""
        if offset + limit <= RESULT_WINDOW:
            return {"from": offset}
        start: dict[str, Any] = {}
        while offset > 0:
            step = min(offset, RESULT_WINDOW)
            body = {"query": asked, "_source": False, "size": step, "sort": sort, "track_total_hits": False, **start}
            hits = self._ranked(body)["hits"]["hits"]
            if len(hits) < step:
                return {"size": 0}
            start = {"search_after": hits[-1]["sort"]}
            offset -= step
        return start

    def _ranked(self, body: Mapping[str, Any]) -> Any:
        """A page of stories, their scores from the statistics of all months."""
        return self._connection().search(self._layout.months("stories"), body, search_type="dfs_query_then_fetch")

    def export(self, query: Query) -> Iterator[Story]:
        """As the port says: the store as it is when the first story is taken. Close the iterator when leaving early;
        the server keeps that state for five minutes after the last page."""
        asked = asking.query(query, typed.read(query.text))
        hits = self._connection().stream(self._layout.months("stories"), asked, [{"id": "asc"}], _UNREAD, size=EXPORTED)
        try:
            for hit in hits:
                yield documents.story(hit["_source"])
        finally:
            hits.close()

    def count(self, query: Query, by: str) -> dict[str, int]:
        return self._counting.counts([(query, by)])[0]

    def counts(self, asked: Sequence[tuple[Query, str]]) -> list[dict[str, int]]:
        return self._counting.counts(asked)

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        return self._counting.days(query, by)

    def chart(self, query: Query, by: str) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        return self._counting.chart(query, by)

    def largest_clusters(self, limit: int) -> list[tuple[str, int]]:
        return self._counting.largest_clusters(limit)

    def info(self) -> Mapping[str, Any]:
        connection = self._connection()
        stories = connection.request("GET", f"/{self._layout.months('stories')}/_count").body["count"]
        answer = connection.request("GET", "/", allow=(403,))
        engine = answer.body["version"]["number"] if answer.status == 200 else "(version not told to this key)"
        return {
            "kind": "elasticsearch",
            "where": connection.where,
            "version": self._layout.version,
            "engine": f"Elasticsearch {engine}",
            "stories": stories,
        }

    # documents of the small indices ----------------------------------------------------------------------------
    def _put(self, kind: str, pairs: Iterable[tuple[str, documents.Document]]) -> None:
        """Add or change documents by what names them."""
        index = self._layout.small(kind)
        self._deliver(
            kind,
            [
                action("index", (kind, name), index, documents.digest(name), document)
                for name, document in dict(pairs).items()
            ],
        )

    def _drop(self, kind: str, names: Iterable[str]) -> list[str]:
        """Forget documents; gives the names of those that were there."""
        there = list(self._by_id(kind, names, False))
        index = self._layout.small(kind)
        self._deliver(kind, [action("delete", (kind, name), index, documents.digest(name), None) for name in there])
        return there

    def _deliver(self, kind: str, actions: Sequence[Action]) -> None:
        if not actions:
            return
        outcome = deliver(self._connection(), actions)
        for why in outcome.refused.values():
            self._wire.gone(f"it refused a document of {kind} ({why}).", "This is a fault of Sitrep: report it.")
        self._writer.refresh([self._layout.small(kind)])

    def _by_id(self, kind: str, names: Iterable[str], source: Any = True) -> dict[str, Any]:
        """Documents by what names them, as they are at this moment."""
        digests = {documents.digest(name): name for name in names}
        return {digests[ident]: found for ident, found in self._by_document(kind, digests, source).items()}

    def _by_document(self, kind: str, ids: Iterable[str], source: Any = True) -> dict[str, Any]:
        """Documents by their id, as they are at this moment."""
        listed, found = list(ids), {}
        path = f"/{self._layout.small(kind)}/_mget"
        for start in range(0, len(listed), LISTED):
            told = ",".join(source) if isinstance(source, list) else source
            body = {"ids": listed[start : start + LISTED]}
            docs = self._connection().request("POST", path, body, _source=told).body["docs"]
            found.update({doc["_id"]: doc.get("_source") for doc in docs if doc.get("found")})
        return found

    def _all(self, kind: str, query: Mapping[str, Any], source: Any = True) -> Iterator[dict[str, Any]]:
        return self._connection().all(self._layout.small(kind), query, source)

    def _among(self, kind: str, field: str, values: Iterable[str], source: Any = True) -> Iterator[dict[str, Any]]:
        listed = list(dict.fromkeys(values))
        for start in range(0, len(listed), LISTED):
            yield from self._all(kind, {"terms": {field: listed[start : start + LISTED]}}, source)

    def _stories(self, ids: Iterable[str], source: Any) -> Iterator[dict[str, Any]]:
        return self._with_ids(self._layout.months("stories"), ids, source)

    def _with_ids(self, index: str, ids: Iterable[str], source: Any) -> Iterator[dict[str, Any]]:
        listed = [rows.bound(ident) for ident in dict.fromkeys(ids)]
        for start in range(0, len(listed), PAGE):
            some = listed[start : start + PAGE]
            yield from self._connection().all(index, {"ids": {"values": some}}, source)


def opened_by(settings: Settings) -> ElasticStore:
    """The store that the settings name. Raises SettingsError."""
    server = Server.read(
        settings.elasticsearch_url,
        api_key=settings.elasticsearch_api_key,
        user=settings.elasticsearch_user,
        password=settings.elasticsearch_password,
        ca_file=settings.elasticsearch_ca_file,
    )
    layout = Layout(settings.elasticsearch_prefix, settings.elasticsearch_shards, settings.elasticsearch_replicas)
    return ElasticStore(server, layout)


def _window_row(document: Mapping[str, Any]) -> tuple[str, int, str | None, bytes]:
    return document["id"], document["instant"], document["numbers"], documents.shingles(document)


def _bookings(found: Iterable[Mapping[str, Any]]) -> dict[str, Booking]:
    return {each["file"]: documents.booking(each) for each in sorted(found, key=lambda each: str(each["file"]))}


def _hit(hit: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], read: typed.Typed) -> Hit:
    story = documents.story(hit["_source"])
    shown = typed.snippet(story.content.text, read.required)
    score = hit["_score"] if read.required else 0.0
    stories, outlets = sizes[story.cluster]
    return Hit(story, score or 0.0, shown.text, shown.marks, stories - 1, outlets)


def _fold(query: Query, limit: int) -> dict[str, Any]:
    """Of each cluster the first, and how many clusters there are: exactly, up to 40,000."""
    offset = max(0, query.offset)
    size = limit if offset + limit <= RESULT_WINDOW else 0  # a folded page cannot begin after another one's last hit
    counted = {"clusters": {"cardinality": {"field": "cluster", "precision_threshold": 40_000}}}
    return {"collapse": {"field": "cluster"}, "from": offset if size else 0, "size": size, "aggs": counted}
