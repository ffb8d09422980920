"""The embedded store: SQLite with FTS5, one file, write-ahead log.

Any number of processes may use the file at once, and any number of threads one SqliteStore: every thread has its own
connection. Readers are never blocked; a writer waits for another writer's transaction.
"""
# ruff: noqa: S608  # SQL is put together from this file's own words; what comes from outside is bound

from __future__ import annotations

import itertools
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import orjson

from ingest import dates
from ingest.errors import LeaseLost
from ingest.models import Feed, FeedState, Fingerprint, FullText, Head, Link, Story, WantedPage, Window
from ingest.store import PIECE, Booking, Found, Hit, Lease, Query, Slice, Store, rows, sqlite_file, typed
from ingest.store.holders import LEASE_SECONDS, WAITING_SECONDS, is_gone
from ingest.store.sqlite_asking import BySql, Where, among, listed
from ingest.store.terms import indexed

if TYPE_CHECKING:
    from ingest.store.sqlite_columns import Memory

_AFTER_ALL = "\U0010ffff"  # sorts after every id

_STORY = ", ".join(f"s.{name.strip()}" for name in rows.COLUMNS.split(","))
_WRITTEN = f"nr, {rows.COLUMNS}, written"
_PLACES = ", ".join("?" * len(_WRITTEN.split(",")))
_UPDATES = ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in _WRITTEN.split(",")[2:])
_UPSERT = f"INSERT INTO stories ({_WRITTEN}) VALUES ({_PLACES}) ON CONFLICT (nr) DO UPDATE SET {_UPDATES}"
_CLOSED = ("closed_months", "removed")
# What does not follow from the files of stories.
_KEPT = frozenset({"meta", "feeds", "feed_states", "wanted", "lease", "waiting", *_CLOSED})
# Of each of many threads, in bytes; with 64 MB no search is faster.
_READERS_CACHE = 8 << 20
# Connections that a forked process got from its parent: kept, so that they are never closed here.
_INHERITED: list[apsw.Connection] = []


class SqliteStore(Store):
    """The port's contract (ingest/store/__init__.py) on a file. `clock` gives seconds since 1970, for the lease."""

    piece = PIECE

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._memory: Memory | None = None
        self._forget()
        sqlite_file.prepare(path)

    def _forget(self) -> None:
        self._process = os.getpid()
        self._local = threading.local()
        self._opened: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()  # a thread that ends closes its own
        if self._memory is not None:
            self.stay_ready()  # anew: another thread's lock may have been held when the process was forked

    def close(self) -> None:
        """Close the connections of all threads; a call after it opens a new one."""
        opened = list(self._opened)
        self._forget()
        with sqlite_file.faults(self._path):
            for connection in opened:
                connection.close()

    def _connection(self) -> apsw.Connection:
        """The connection of this thread."""
        if self._process != os.getpid():  # forked: SQLite forbids to use, and even to close, what came along
            _INHERITED.extend(self._opened)
            self._forget()
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            cache = {} if self._memory is None else {"cache": _READERS_CACHE}
            connection = self._local.connection = sqlite_file.connect(self._path, **cache)
            self._opened.add(connection)
        return connection

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection]:
        """One state of the store, whatever is written meanwhile."""
        with sqlite_file.faults(self._path):
            connection = self._connection()
            with sqlite_file.bounded(connection), sqlite_file.transaction(connection, "DEFERRED"):
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with sqlite_file.faults(self._path), sqlite_file.transaction(self._connection()) as connection:
            yield connection

    # feeds and their state -------------------------------------------------------------------------------------
    def feeds(self) -> list[Feed]:
        with self._reading() as connection:
            return [_feed(doc) for (doc,) in connection.execute("SELECT doc FROM feeds ORDER BY url")]

    def save_feeds(self, feeds: Iterable[Feed]) -> None:
        values = [(feed.url, json.dumps(asdict(feed))) for feed in feeds]
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO feeds VALUES (?, ?)", values)

    def remove_feed(self, url: str) -> bool:
        known = rows.bound(url)
        with self._writing() as connection:
            connection.execute("DELETE FROM feed_states WHERE url = ?", (known,))
            connection.execute("DELETE FROM wanted WHERE feed = ?", (known,))
            connection.execute("DELETE FROM feeds WHERE url = ?", (known,))
            return connection.changes() > 0

    def states(self, urls: Iterable[str]) -> dict[str, FeedState]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT url, doc FROM feed_states WHERE {among('url')}", (listed(urls),))
            return {url: FeedState.from_json(json.loads(doc)) for url, doc in found}

    def save_states(self, states: Iterable[FeedState]) -> None:
        values = [(state.url, json.dumps(state.to_json())) for state in states]
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO feed_states VALUES (?, ?)", values)

    def wanted(self, feeds: Iterable[str]) -> list[WantedPage]:
        with self._reading() as connection:
            sql = f"SELECT doc FROM wanted WHERE {among('feed')} ORDER BY since, url"
            return [WantedPage.from_json(json.loads(doc)) for (doc,) in connection.execute(sql, (listed(feeds),))]

    def save_wanted(self, pages: Iterable[WantedPage], *, fetched: Iterable[str] = ()) -> None:
        values = [(page.url, page.feed, rows.microseconds(page.since), json.dumps(page.to_json())) for page in pages]
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?)", values)
            connection.execute(f"DELETE FROM wanted WHERE {among('url')}", (listed(fetched),))

    # the lease -------------------------------------------------------------------------------------------------
    def lease(self, holder: str, *, live: bool) -> Lease | str:
        """As the port says. A holder named "host:pid:anything" whose process is gone from this host counts as gone."""
        now = self._clock()
        with self._writing() as connection:
            first = self._before(connection, holder, live, now)
            if first is not None:
                if live:
                    connection.execute("INSERT OR REPLACE INTO waiting VALUES (?, ?)", (holder, now))
                return first
            connection.execute(
                "DELETE FROM waiting WHERE holder = ? OR abs(? - asked) > ?", (holder, now, WAITING_SECONDS)
            )
            connection.execute("UPDATE lease SET holder = ?, token = token + 1, renewed = ?", (holder, now))
            return Lease(holder, connection.execute("SELECT token FROM lease").get)

    def _before(self, connection: apsw.Connection, holder: str, live: bool, now: float) -> str | None:
        """Who goes first, if anybody does. Distances in time count both ways: a clock may have been set back."""
        held, renewed = connection.execute("SELECT holder, renewed FROM lease").get
        if held not in (None, holder) and abs(now - renewed) < LEASE_SECONDS and not is_gone(held):
            return str(held)
        if live:
            return None
        sql = "SELECT holder FROM waiting WHERE holder != ? AND abs(? - asked) < ? ORDER BY asked"
        waiting = connection.execute(sql, (holder, now, WAITING_SECONDS))
        return next((name for (name,) in waiting if not is_gone(name)), None)

    def renew(self, lease: Lease) -> None:
        with self._writing() as connection:
            self._hold(connection, lease)

    def _hold(self, connection: apsw.Connection, lease: Lease) -> None:
        """Renew the lease, or raise LeaseLost."""
        sql = "UPDATE lease SET renewed = ? WHERE token = ? AND holder = ?"
        connection.execute(sql, (self._clock(), lease.token, lease.holder))
        if not connection.changes():
            held = connection.execute("SELECT holder FROM lease").get
            who = f"{held} took over from" if held else "the lease was given back by"
            raise LeaseLost(f"{who} {lease.holder}.", subject=str(self._path), advice="Run the same thing again.")

    def release(self, lease: Lease) -> None:
        with self._writing() as connection:
            sql = "UPDATE lease SET holder = NULL WHERE token = ? AND holder = ?"
            connection.execute(sql, (lease.token, lease.holder))

    # stories ---------------------------------------------------------------------------------------------------
    def resolve(self, keys: Iterable[str]) -> dict[str, str]:
        with self._reading() as connection:
            return dict(connection.execute(f"SELECT key, id FROM aliases WHERE {among('key')}", (listed(keys),)))

    def get(self, ids: Iterable[str]) -> dict[str, Story]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT {_STORY} FROM stories s WHERE {among('s.id')}", (listed(ids),))
            return {row[0]: rows.unpack(row) for row in found}

    def ids(self, beginning: str, limit: int) -> list[str]:
        first = rows.bound(beginning)
        sql = "SELECT id FROM stories WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        with self._reading() as connection:
            return [ident for (ident,) in connection.execute(sql, (first, first + _AFTER_ALL, max(0, limit)))]

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        sql = f"SELECT id, published, first_seen, cluster, lead, rewritten_from FROM stories WHERE {among('id')}"
        with self._reading() as connection:
            return {
                row[0]: Head(row[0], row[1], dates.instant(row[2]), row[3], bool(row[4]), row[5])
                for row in connection.execute(sql, (listed(ids),))
            }

    def texts(self, ids: Iterable[str]) -> dict[str, tuple[str | None, str]]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT id, title, text FROM stories WHERE {among('id')}", (listed(ids),))
            return {ident: (title, text) for ident, title, text in found}

    def indexed(self, ids: Iterable[str]) -> dict[str, datetime]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT id, indexed FROM stories WHERE {among('id')}", (listed(ids),))
            return {ident: dates.instant(indexed) for ident, indexed in found}

    def window(self, since: datetime, until: datetime) -> Iterator[Window]:
        """As the port says; both ends count in whole seconds, rounded down, as instants do."""
        # One transaction a piece, so that the reader may write between two.
        sql = """SELECT id, instant, numbers, shingles FROM fingerprints
                 WHERE (instant, id) > (?, ?) AND instant <= ? ORDER BY instant, id LIMIT ?"""
        after: tuple[Any, ...] = rows.seconds(since) - 1, _AFTER_ALL
        while True:
            with self._reading() as connection:
                found = connection.execute(sql, (*after, rows.seconds(until), self.piece)).fetchall()
            if not found:
                return
            ident, instant = found[-1][:2]
            after = instant, ident
            yield rows.unpack_window(found)

    def fingerprints(self, ids: Iterable[str]) -> dict[str, Fingerprint]:
        sql = f"""SELECT s.id, f.numbers, f.shingles FROM stories s
                  JOIN fingerprints f ON f.instant = s.instant AND f.id = s.id WHERE {among("s.id")}"""
        with self._reading() as connection:
            found = connection.execute(sql, (listed(ids),))
            return {ident: rows.unpack_fingerprint(numbers, shingles) for ident, numbers, shingles in found}

    def links(self, ids: Iterable[str]) -> list[Link]:
        with self._reading() as connection:
            return _links(connection, list(ids))

    def write(
        self,
        slice_: Slice,
        lease: Lease,
        meanwhile: Callable[[], None] | None = None,  # noqa: ARG002 - there is nobody to wait for
    ) -> Mapping[str, str]:
        """As the port says; it refuses no story."""
        with self._writing() as connection:
            self._hold(connection, lease)
            written = sqlite_file.next_write(connection)
            _write_stories(connection, slice_, written)
            connection.executemany("INSERT OR REPLACE INTO aliases VALUES (?, ?)", slice_.aliases.items())
            connection.executemany("DELETE FROM links WHERE a = ? AND b = ?", map(sorted, slice_.unlinked))
            connection.executemany(
                "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?)", map(rows.pack_link, slice_.links)
            )
            connection.executemany(
                """UPDATE stories SET cluster = ?1, lead = ?2, written = ?4
                   WHERE id = ?3 AND (cluster != ?1 OR lead != ?2)""",
                [(cluster, lead, ident, written) for ident, (cluster, lead) in slice_.clusters.items()],
            )
            connection.executemany(
                "UPDATE stories SET rewritten_from = ?1 WHERE id = ?2 AND rewritten_from IS NOT ?1",
                [(origin, ident) for ident, origin in slice_.rewritten_from.items()],
            )
            _remove(connection, slice_.removed)
            if slice_.booking:
                _write_booking(connection, slice_.booking)
        return {}

    def bookings(self, files: Iterable[str] | None = None) -> dict[str, Booking]:
        return self._bookings("1") if files is None else self._bookings(among("file"), listed(files))

    def bookings_of(self, run: str) -> dict[str, Booking]:
        return self._bookings("run = ?", rows.bound(run))

    def _bookings(self, where: str, *values: str) -> dict[str, Booking]:
        sql = f"SELECT file, version, run, done, complete, counts, reasons FROM bookings WHERE {where} ORDER BY file"
        with self._reading() as connection:
            return {row[0]: _booking(row) for row in connection.execute(sql, values)}

    # closed months ---------------------------------------------------------------------------------------------
    def close_month(self, month: str, lease: Lease) -> None:
        with self._writing() as connection:
            self._hold(connection, lease)
            connection.execute("INSERT OR IGNORE INTO closed_months VALUES (?)", (month,))

    def open_month(self, month: str, lease: Lease) -> bool:
        with self._writing() as connection:
            self._hold(connection, lease)
            connection.execute("DELETE FROM removed WHERE month = ?", (month,))
            connection.execute("DELETE FROM closed_months WHERE month = ?", (month,))
            return connection.changes() > 0

    def closed_months(self) -> list[str]:
        with self._reading() as connection:
            return [month for (month,) in connection.execute("SELECT month FROM closed_months ORDER BY month")]

    def removed(self, ids: Iterable[str]) -> dict[str, str]:
        with self._reading() as connection:
            return dict(connection.execute(f"SELECT id, month FROM removed WHERE {among('id')}", (listed(ids),)))

    def sweep(self, lease: Lease) -> None:
        """As the port says: the file's free pages take what is written next; it does not get smaller."""

    # rebuilding ------------------------------------------------------------------------------------------------
    def successor(self, *, make: bool = True) -> SqliteStore | None:
        """As the port says: a file beside this one."""
        path = self._path.with_name(f"{self._path.name}.rebuilt")
        if not make and not path.exists():
            return None
        successor = SqliteStore(path, clock=self._clock)
        with sqlite_file.faults(path), sqlite_file.beside(path, self._path, "old") as connection:
            sqlite_file.add(connection, "old", _CLOSED)
        return successor

    def succeed(self, successor: Store, lease: Lease) -> None:
        """As the port says, in one transaction: who reads meanwhile reads on in what was."""
        assert isinstance(successor, SqliteStore)
        successor.close()
        with sqlite_file.faults(self._path), sqlite_file.beside(self._path, successor._path, "new") as connection:
            self._hold(connection, lease)
            sqlite_file.take_over(connection, "new", kept=_KEPT)
            sqlite_file.next_write(connection, after=connection.execute("SELECT max(written) FROM stories").get or 0)
            sqlite_file.note_rebuilt(connection)
            sqlite_file.add(connection, "new", _CLOSED)
        sqlite_file.delete(successor._path)

    # readers ---------------------------------------------------------------------------------------------------
    def stay_ready(self) -> None:
        """As the port says: some 30 bytes a story, and two for each topic; nothing where that is more than 256 MB."""
        from ingest.store.sqlite_columns import Memory  # here and below: who asks once needs no numpy

        self._memory = Memory()

    def state(self) -> Hashable:
        with self._reading() as connection:
            return sqlite_file.marks(connection)

    @contextmanager
    def _asking(self) -> Iterator[BySql]:
        """Who answers, out of one state of the store."""
        with sqlite_file.faults(self._path):
            connection = self._connection()
            with sqlite_file.transaction(connection, "DEFERRED"):
                asking = self._answering(connection)
                with sqlite_file.bounded(connection):
                    yield asking

    def _answering(self, connection: apsw.Connection) -> BySql:
        memory = self._memory
        if memory is None:
            return BySql(connection)
        with memory.lock:
            columns = memory.current(connection)
        if columns is None:
            return BySql(connection)
        from ingest.store.sqlite_counting import ByColumns

        return ByColumns(connection, memory, columns)

    def search(self, query: Query) -> Found:
        asked = typed.read(query.text)
        with self._asking() as asking:
            total, clusters, best = asking.search(query, asked)
            return Found(total, _hits(self._connection(), best, asked), clusters)

    def export(self, query: Query) -> Iterator[Story]:
        """As the port says: the store as it is when the first story is taken. Close the iterator when leaving early;
        as long as it is open, the log of what is written meanwhile grows."""
        where = Where(query, typed.read(query.text))
        with sqlite_file.faults(self._path):
            connection = sqlite_file.connect(self._path)
            try:
                yield from _streamed(connection, where)
            finally:
                connection.close(True)

    def count(self, query: Query, by: str) -> dict[str, int]:
        with self._asking() as asking:
            return asking.count(query, by)

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        with self._asking() as asking:
            return asking.days(query, by)

    def largest_clusters(self, limit: int) -> list[tuple[str, int]]:
        sql = """SELECT cluster, count(*) AS stories FROM stories GROUP BY cluster HAVING stories > 1
                 ORDER BY stories DESC, cluster LIMIT ?"""
        with self._reading() as connection:
            return [(cluster, stories) for cluster, stories in connection.execute(sql, (max(0, limit),))]

    def info(self) -> Mapping[str, Any]:
        with self._reading() as connection:
            return {
                "kind": "sqlite",
                "where": str(self._path),
                "version": sqlite_file.SCHEMA,
                "engine": f"SQLite {apsw.sqlite_lib_version()}",
                "stories": connection.execute("SELECT count(*) FROM stories").get,
                "bytes": connection.execute(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
                ).get,
            }


# reading ---------------------------------------------------------------------------------------------------------
def _streamed(connection: apsw.Connection, where: Where) -> Iterator[Story]:
    """Stories by id. Only their numbers are sorted where no index gives the order: texts would fill the memory."""
    with sqlite_file.transaction(connection, "DEFERRED"):
        for number in connection.execute(
            f"SELECT s.nr FROM {where.stories} WHERE {where.selecting} ORDER BY s.id", where.values
        ):
            for row in connection.execute(f"SELECT {_STORY} FROM stories s WHERE s.nr = ?", number):
                yield rows.unpack(row)


def _hits(connection: apsw.Connection, best: Sequence[tuple[Any, ...]], asked: typed.Typed) -> list[Hit]:
    numbers = orjson.dumps([nr for nr, _ in best]).decode()
    found = {
        nr: row
        for nr, *row in connection.execute(f"SELECT nr, {_STORY} FROM stories s WHERE {among('s.nr')}", (numbers,))
    }
    stories = [(rows.unpack(found[nr]), score) for nr, score in best]
    clusters = listed({story.cluster for story, _ in stories})
    sql = f"SELECT cluster, count(*), count(DISTINCT source) FROM stories WHERE {among('cluster')} GROUP BY cluster"
    sizes = {cluster: size for cluster, *size in connection.execute(sql, (clusters,))}
    return [_hit(story, score, sizes[story.cluster], asked) for story, score in stories]


def _hit(story: Story, score: float | None, sizes: Sequence[int], asked: typed.Typed) -> Hit:
    shown = typed.snippet(story.content.text, asked.required)
    stories, outlets = sizes
    return Hit(story, -score if score else 0.0, shown.text, shown.marks, stories - 1, outlets)


# writing ---------------------------------------------------------------------------------------------------------
def _write_stories(connection: apsw.Connection, slice_: Slice, written: int) -> None:
    changed = {story.id: story for story in slice_.stories}
    stories = {**{story.id: story for story in slice_.touched}, **changed}
    known = _known(connection, list(stories))
    numbers = _numbers(connection, stories, known)
    packed = ((numbers[ident], *rows.pack(story), written) for ident, story in stories.items())
    connection.executemany(_UPSERT, packed)
    fresh = [story for ident, story in stories.items() if ident not in known]
    again = [story for ident, story in changed.items() if ident in known]
    _write_words(connection, numbers, fresh, [story for story in again if known[story.id][1:3] != _texts(story)])
    _write_topics(connection, numbers, fresh, again)
    _move_fingerprints(connection, stories, known)
    _write_fingerprints(connection, slice_.fingerprints, stories)


def _numbers(connection: apsw.Connection, stories: Iterable[str], known: Mapping[str, Any]) -> dict[str, int]:
    """Their numbers, also for those that are new."""
    following = itertools.count(connection.execute("SELECT coalesce(max(nr), 0) + 1 FROM stories").get)
    return {ident: known[ident][0] if ident in known else next(following) for ident in stories}


def _texts(story: Story) -> tuple[str | None, str]:
    return story.content.title, story.content.text


def _known(connection: apsw.Connection, ids: Sequence[str]) -> dict[str, tuple[int, str | None, str, int]]:
    """Which of these stories are there: id → (nr, title, text, instant)."""
    sql = f"SELECT id, nr, title, text, instant FROM stories WHERE {among('id')}"
    return {ident: (nr, title, text, at) for ident, nr, title, text, at in connection.execute(sql, (listed(ids),))}


def _write_words(
    connection: apsw.Connection, numbers: Mapping[str, int], fresh: Sequence[Story], again: Sequence[Story]
) -> None:
    connection.executemany("DELETE FROM words WHERE rowid = ?", [(numbers[story.id],) for story in again])
    connection.executemany(
        "INSERT INTO words (rowid, title, text, forms) VALUES (?, ?, ?, ?)",
        ((numbers[story.id], *_words(story)) for story in (*fresh, *again)),
    )


def _words(story: Story) -> tuple[str, str, str]:
    title, forms = indexed(story.content.title or "")
    text, more = indexed(story.content.text)
    return title, text, " ".join(sorted(forms | more))


def _write_topics(
    connection: apsw.Connection, numbers: Mapping[str, int], fresh: Sequence[Story], again: Sequence[Story]
) -> None:
    connection.executemany("DELETE FROM story_topics WHERE nr = ?", [(numbers[story.id],) for story in again])
    connection.executemany(
        "INSERT OR REPLACE INTO story_topics VALUES (?, ?, ?)",
        [
            (topic, numbers[story.id], topic in story.content.tags.main_topics)
            for story in (*fresh, *again)
            for topic in story.content.tags.topics
        ],
    )
    connection.executemany("DELETE FROM story_proofs WHERE nr = ?", [(numbers[story.id],) for story in again])
    connection.executemany(
        "INSERT OR IGNORE INTO story_proofs VALUES (?, ?, ?, ?)",
        [
            (str(proof.status), proof.topic, proof.rule, numbers[story.id])
            for story in (*fresh, *again)
            for proof in story.content.tags.evidence
        ],
    )


def _move_fingerprints(
    connection: apsw.Connection, stories: Mapping[str, Story], known: Mapping[str, tuple[int, str | None, str, int]]
) -> None:
    """Each fingerprint stands at the instant of its story."""
    instants = {ident: (rows.seconds(stories[ident].instant()), before) for ident, (_, _, _, before) in known.items()}
    connection.executemany(
        "UPDATE fingerprints SET instant = ? WHERE instant = ? AND id = ?",
        [(now, before, ident) for ident, (now, before) in instants.items() if now != before],
    )


def _write_fingerprints(
    connection: apsw.Connection, fingerprints: Mapping[str, Fingerprint], stories: Mapping[str, Story]
) -> None:
    others = _known(connection, [ident for ident in fingerprints if ident not in stories])
    instants = {ident: rows.seconds(story.instant()) for ident, story in stories.items()}
    instants |= {ident: instant for ident, (_, _, _, instant) in others.items()}
    connection.executemany(
        "INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?, ?)",
        (
            (instants[ident], ident, *rows.pack_fingerprint(fingerprint))
            for ident, fingerprint in fingerprints.items()
            if ident in instants
        ),
    )


def _remove(connection: apsw.Connection, removed: Mapping[str, str]) -> None:
    known = _known(connection, list(removed))
    if known:
        sqlite_file.note_rebuilt(connection)
    numbers = [(nr,) for nr, _, _, _ in known.values()]
    connection.executemany("DELETE FROM words WHERE rowid = ?", numbers)
    places = [(instant, ident) for ident, (_, _, _, instant) in known.items()]
    connection.executemany("DELETE FROM fingerprints WHERE instant = ? AND id = ?", places)
    for table in ("story_topics", "story_proofs", "stories"):
        connection.executemany(f"DELETE FROM {table} WHERE nr = ?", numbers)
    connection.executemany("INSERT OR REPLACE INTO removed VALUES (?, ?)", removed.items())


def _write_booking(connection: apsw.Connection, booking: Booking) -> None:
    counts = json.dumps({feed: dict(outcomes) for feed, outcomes in booking.counts.items()})
    connection.execute(
        "INSERT OR REPLACE INTO bookings VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            booking.file,
            booking.version,
            booking.run,
            booking.done,
            booking.complete,
            counts,
            json.dumps(dict(booking.reasons)),
        ),
    )


def _links(connection: apsw.Connection, ids: Sequence[str]) -> list[Link]:
    sql = f"SELECT * FROM links WHERE {among('a')} UNION SELECT * FROM links WHERE {among('b')} ORDER BY 1, 2"
    among_these = listed(ids)
    return [rows.unpack_link(row) for row in connection.execute(sql, (among_these, among_these))]


def _booking(row: Sequence[Any]) -> Booking:
    file, version, run, done, complete, counts, reasons = row
    return Booking(file, version, run, done, bool(complete), json.loads(counts), json.loads(reasons))


def _feed(doc: str) -> Feed:
    record = json.loads(doc)
    return Feed(**{**record, "full_text": FullText(record["full_text"])})
