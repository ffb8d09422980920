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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import orjson

from ingest import dates, time_zones
from ingest.errors import LeaseLost
from ingest.models import Feed, FeedState, Fingerprint, FullText, Head, Link, Story, WantedPage, Window
from ingest.store import PIECE, Booking, Found, Hit, Lease, Query, Slice, Store, rows, sqlite_file, typed
from ingest.store.holders import LEASE_SECONDS, WAITING_SECONDS, is_gone
from ingest.store.terms import indexed

_WEIGHTS = {"any": "1", "main": "main", "mentioned": "NOT main"}
_AFTER_ALL = "\U0010ffff"  # sorts after every id

# A word in the title counts as much as several in the text.
_RANK = "bm25(words, 5.0, 1.0, 1.0)"
_STORY = ", ".join(f"s.{name.strip()}" for name in rows.COLUMNS.split(","))
_PLACES = ", ".join("?" * (len(rows.COLUMNS.split(",")) + 1))
_UPDATES = ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in rows.COLUMNS.split(",")[1:])
_UPSERT = f"INSERT INTO stories (nr, {rows.COLUMNS}) VALUES ({_PLACES}) ON CONFLICT (nr) DO UPDATE SET {_UPDATES}"
_CLOSED = ("closed_months", "removed")
# What does not follow from the files of stories.
_KEPT = frozenset({"meta", "feeds", "feed_states", "wanted", "lease", "waiting", *_CLOSED})
# Connections that a forked process got from its parent: kept, so that they are never closed here.
_INHERITED: list[apsw.Connection] = []


class SqliteStore(Store):
    """The port's contract (ingest/store/__init__.py) on a file. `clock` gives seconds since 1970, for the lease."""

    piece = PIECE

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._forget()
        sqlite_file.prepare(path)

    def _forget(self) -> None:
        self._process = os.getpid()
        self._local = threading.local()
        self._opened: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()  # a thread that ends closes its own

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
            connection = self._local.connection = sqlite_file.connect(self._path)
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
            found = connection.execute(f"SELECT url, doc FROM feed_states WHERE {_among('url')}", (_list(urls),))
            return {url: FeedState.from_json(json.loads(doc)) for url, doc in found}

    def save_states(self, states: Iterable[FeedState]) -> None:
        values = [(state.url, json.dumps(state.to_json())) for state in states]
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO feed_states VALUES (?, ?)", values)

    def wanted(self, feeds: Iterable[str]) -> list[WantedPage]:
        with self._reading() as connection:
            sql = f"SELECT doc FROM wanted WHERE {_among('feed')} ORDER BY since, url"
            return [WantedPage.from_json(json.loads(doc)) for (doc,) in connection.execute(sql, (_list(feeds),))]

    def save_wanted(self, pages: Iterable[WantedPage], *, fetched: Iterable[str] = ()) -> None:
        values = [(page.url, page.feed, rows.microseconds(page.since), json.dumps(page.to_json())) for page in pages]
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?)", values)
            connection.execute(f"DELETE FROM wanted WHERE {_among('url')}", (_list(fetched),))

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
            return dict(connection.execute(f"SELECT key, id FROM aliases WHERE {_among('key')}", (_list(keys),)))

    def get(self, ids: Iterable[str]) -> dict[str, Story]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT {_STORY} FROM stories s WHERE {_among('s.id')}", (_list(ids),))
            return {row[0]: rows.unpack(row) for row in found}

    def ids(self, beginning: str, limit: int) -> list[str]:
        first = rows.bound(beginning)
        sql = "SELECT id FROM stories WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        with self._reading() as connection:
            return [ident for (ident,) in connection.execute(sql, (first, first + _AFTER_ALL, max(0, limit)))]

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        sql = f"SELECT id, published, first_seen, cluster, lead, rewritten_from FROM stories WHERE {_among('id')}"
        with self._reading() as connection:
            return {
                row[0]: Head(row[0], row[1], dates.instant(row[2]), row[3], bool(row[4]), row[5])
                for row in connection.execute(sql, (_list(ids),))
            }

    def texts(self, ids: Iterable[str]) -> dict[str, tuple[str | None, str]]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT id, title, text FROM stories WHERE {_among('id')}", (_list(ids),))
            return {ident: (title, text) for ident, title, text in found}

    def indexed(self, ids: Iterable[str]) -> dict[str, datetime]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT id, indexed FROM stories WHERE {_among('id')}", (_list(ids),))
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
                  JOIN fingerprints f ON f.instant = s.instant AND f.id = s.id WHERE {_among("s.id")}"""
        with self._reading() as connection:
            found = connection.execute(sql, (_list(ids),))
            return {ident: rows.unpack_fingerprint(numbers, shingles) for ident, numbers, shingles in found}

    def links(self, ids: Iterable[str]) -> list[Link]:
        with self._reading() as connection:
            return _links(connection, list(ids))

    def write(self, slice_: Slice, lease: Lease) -> Mapping[str, str]:
        """As the port says; it refuses no story."""
        with self._writing() as connection:
            self._hold(connection, lease)
            _write_stories(connection, slice_)
            connection.executemany("INSERT OR REPLACE INTO aliases VALUES (?, ?)", slice_.aliases.items())
            connection.executemany("DELETE FROM links WHERE a = ? AND b = ?", map(sorted, slice_.unlinked))
            connection.executemany(
                "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?)", map(rows.pack_link, slice_.links)
            )
            connection.executemany(
                "UPDATE stories SET cluster = ?1, lead = ?2 WHERE id = ?3 AND (cluster != ?1 OR lead != ?2)",
                [(cluster, lead, ident) for ident, (cluster, lead) in slice_.clusters.items()],
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
        return self._bookings("1") if files is None else self._bookings(_among("file"), _list(files))

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
            return dict(connection.execute(f"SELECT id, month FROM removed WHERE {_among('id')}", (_list(ids),)))

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
            sqlite_file.add(connection, "new", _CLOSED)
        sqlite_file.delete(successor._path)

    # readers ---------------------------------------------------------------------------------------------------
    def search(self, query: Query) -> Found:
        asked = typed.read(query.text)
        where = _Where(query, asked)
        limit = max(0, query.limit), max(0, query.offset)
        with self._reading() as connection:
            if query.folded:
                best = _folded(connection, where, *limit)
                counts = f"SELECT count(*), count(DISTINCT s.cluster) {where.matching}"
                total, clusters = connection.execute(counts, where.values).get
            else:
                ranked = f"SELECT s.nr, {where.score} AS score {where.matching} ORDER BY {where.order} LIMIT ? OFFSET ?"
                best, clusters = connection.execute(ranked, (*where.values, *limit)).fetchall(), None
                total = connection.execute(f"SELECT count(*) {where.matching}", where.values).get
            return Found(total, _hits(connection, best, asked), clusters)

    def export(self, query: Query) -> Iterator[Story]:
        """As the port says: the store as it is when the first story is taken. Close the iterator when leaving early;
        as long as it is open, the log of what is written meanwhile grows."""
        where = _Where(query, typed.read(query.text))
        with sqlite_file.faults(self._path):
            connection = sqlite_file.connect(self._path)
            try:
                yield from _streamed(connection, where)
            finally:
                connection.close(True)

    def count(self, query: Query, by: str) -> dict[str, int]:
        where = _Where(query, typed.read(query.text))
        with self._reading() as connection:
            if by in ("status", "rule"):
                proofs, values = _proofs(query, leaving=by)
                sql = _counting_proofs(by, proofs, where)
                return dict(connection.execute(sql, (*values, *where.values)))
            return dict(connection.execute(_counting(by, where, _day(connection, query.zone)), where.values))

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        where = _Where(query, typed.read(query.text))
        counted: dict[str, dict[str, int]] = {}
        with self._reading() as connection:
            by_day = _by_day(by, where, _day(connection, query.zone))
            for name, day, stories in connection.execute(by_day, where.values):
                counted.setdefault(name, {})[day] = stories
        return counted

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


# asking ----------------------------------------------------------------------------------------------------------
class _Where:
    """A query as SQL over `stories s`.

    `selecting` is a condition on s; `matching` is FROM and WHERE, with the full-text table joined where words are
    asked for, so that `score` can rank (lowest first; without words there is none). `values` fit both.
    """

    def __init__(self, query: Query, asked: typed.Typed) -> None:
        self._conditions: list[str] = []
        self.values: tuple[Any, ...] = ()
        required = " AND ".join(map(_matched, asked.required))
        if required:
            self.values += (required,)
        if asked.hopeless:
            self._add("0")
        if asked.excluded:
            excluded = " OR ".join(map(_matched, asked.excluded))
            self._add("s.nr NOT IN (SELECT rowid FROM words WHERE words MATCH ?)", excluded)
        self._filter(query)
        rest = " AND ".join(self._conditions) or "1"
        self.score = _RANK if required else "0.0"
        self.order = _order(query.order, ranked=bool(required))
        self.selecting = f"s.nr IN (SELECT rowid FROM words WHERE words MATCH ?) AND {rest}" if required else rest
        self.everything = not required and rest == "1"
        self.words_alone = bool(required) and rest == "1"
        # Stories that are looked up one by one are read from the narrow index: of a word that 90,000 stories hold, five
        # times as fast as from the table.
        by_number = required or query.topics or query.statuses or query.rules
        self.stories = "stories s INDEXED BY stories_by_number" if by_number else "stories s"
        # CROSS: the words are looked up once, never again for each story of a filter
        joined = (
            f"words CROSS JOIN {self.stories} ON s.nr = words.rowid WHERE words MATCH ? AND"
            if required
            else f"{self.stories} WHERE"
        )
        self.matching = f"FROM {joined} {rest}"

    def _filter(self, query: Query) -> None:
        if query.weight not in _WEIGHTS:
            raise ValueError(f"cannot weigh by {query.weight!r}")
        if query.topics:
            topics = f"SELECT nr FROM story_topics WHERE {_among('topic')} AND {_WEIGHTS[query.weight]}"
            self._add(f"s.nr IN ({topics})", _list(query.topics))
        if query.statuses or query.rules:
            proofs, values = _proofs(query)
            self._add(f"s.nr IN (SELECT p.nr FROM story_proofs p WHERE {proofs})", *values)
        if query.sources:
            self._add(_among("s.source"), _list(query.sources))
        if query.languages:
            self._add(_among("s.language"), _list(query.languages))
        if query.since:
            self._add("s.instant >= ?", rows.seconds(query.since))
        if query.until:
            self._add("s.instant < ?", rows.seconds(query.until))
        if query.cluster is not None:
            self._add("s.cluster = ?", rows.bound(query.cluster))
        if query.leads_only:
            self._add("s.lead")

    def _add(self, condition: str, *values: Any) -> None:
        self._conditions.append(condition)
        self.values += values


def _order(order: str, *, ranked: bool) -> str:
    """Raises ValueError for an order that the port does not name."""
    match order:
        case "best":
            return ("score, " if ranked else "") + "s.instant DESC, s.id"
        case "newest":
            return "s.instant DESC, s.id"
        case "oldest":
            return "s.instant, s.id"
    raise ValueError(f"cannot order by {order!r}")


def _proofs(query: Query, *, leaving: str = "") -> tuple[str, tuple[Any, ...]]:
    """Which of the proofs p count: of the topics, statuses and rules asked for, all but the one left aside."""
    asked = {"topic": query.topics, "status": query.statuses, "rule": query.rules}
    told = {name: _list(values) for name, values in asked.items() if values and name != leaving}
    return " AND ".join(["1", *(_among(f"p.{name}") for name in told)]), tuple(told.values())


def _folded(connection: apsw.Connection, where: _Where, limit: int, offset: int) -> list[tuple[Any, ...]]:
    """The first hit of each cluster. Taken one by one in their order until there are enough: the first pages cost
    little."""
    found = connection.execute(
        f"SELECT s.nr, {where.score} AS score, s.cluster {where.matching} ORDER BY {where.order}", where.values
    )
    seen: set[str] = set()
    best = []
    for nr, score, cluster in found if limit else ():
        if cluster in seen:
            continue
        seen.add(cluster)
        if len(seen) > offset:
            best.append((nr, score))
        if len(best) == limit:
            break
    return best


def _streamed(connection: apsw.Connection, where: _Where) -> Iterator[Story]:
    """Stories by id. Only their numbers are sorted where no index gives the order: texts would fill the memory."""
    with sqlite_file.transaction(connection, "DEFERRED"):
        for number in connection.execute(
            f"SELECT s.nr FROM {where.stories} WHERE {where.selecting} ORDER BY s.id", where.values
        ):
            for row in connection.execute(f"SELECT {_STORY} FROM stories s WHERE s.nr = ?", number):
                yield rows.unpack(row)


def _matched(clause: typed.Clause) -> str:
    """A clause in FTS5's language."""
    phrase = '"' + " ".join(clause.terms).replace('"', '""') + '"'
    if clause.title:
        return f"(title : {phrase}{' *' if clause.prefix else ''})"
    return f"({phrase} *)" if clause.prefix else f"({{title text}} : {phrase})"


def _hits(connection: apsw.Connection, best: Sequence[tuple[Any, ...]], asked: typed.Typed) -> list[Hit]:
    numbers = orjson.dumps([nr for nr, _ in best]).decode()
    found = {
        nr: row
        for nr, *row in connection.execute(f"SELECT nr, {_STORY} FROM stories s WHERE {_among('s.nr')}", (numbers,))
    }
    stories = [(rows.unpack(found[nr]), score) for nr, score in best]
    clusters = _list({story.cluster for story, _ in stories})
    sql = f"SELECT cluster, count(*), count(DISTINCT source) FROM stories WHERE {_among('cluster')} GROUP BY cluster"
    sizes = {cluster: size for cluster, *size in connection.execute(sql, (clusters,))}
    return [_hit(story, score, sizes[story.cluster], asked) for story, score in stories]


def _hit(story: Story, score: float | None, sizes: Sequence[int], asked: typed.Typed) -> Hit:
    shown = typed.snippet(story.content.text, asked.required)
    stories, outlets = sizes
    return Hit(story, -score if score else 0.0, shown.text, shown.marks, stories - 1, outlets)


def _day(connection: apsw.Connection, zone: str) -> str:
    """The day of a story in a time zone, as SQL; the zone's offsets while there are stories stand in it."""
    if zone == "UTC":
        return "date(s.instant, 'unixepoch')"
    first, last = connection.execute(
        "SELECT (SELECT min(instant) FROM stories), (SELECT max(instant) FROM stories)"
    ).get
    (_, earliest), *later = time_zones.offsets(zone, first or 0, last or 0)
    cases = " ".join(f"WHEN s.instant >= {start} THEN {offset}" for start, offset in reversed(later))
    ahead = f"CASE {cases} ELSE {earliest} END" if cases else str(earliest)
    return f"date(s.instant + {ahead}, 'unixepoch')"


def _counting(by: str, where: _Where, day: str) -> str:
    """The SQL that counts by something; `day` as `_day` gives it. Raises ValueError for what the port does not name."""
    stories = f"{where.stories} WHERE {where.selecting}"
    if by == "day":
        return (
            f"SELECT CASE WHEN s.dated THEN {day} ELSE '' END AS day, count(*) FROM {stories} GROUP BY day ORDER BY day"
        )
    most = "GROUP BY name ORDER BY stories DESC, name"
    if by in ("source", "language"):
        return f"SELECT coalesce(s.{by}, '') AS name, count(*) AS stories FROM {stories} {most}"
    if by in ("topic", "main_topic"):
        which = "t.main" if by == "main_topic" else "1"
        by_words = "words CROSS JOIN story_topics t ON t.nr = words.rowid WHERE words MATCH ?"
        topics = f"{by_words if where.words_alone else _topics(where)} AND {which}"
        return f"SELECT t.topic AS name, count(*) AS stories FROM {topics} {most}"
    raise ValueError(f"cannot count by {by!r}")


def _topics(where: _Where) -> str:
    """Topics t of the stories."""
    if where.everything:
        return "story_topics t WHERE 1"
    return f"{where.stories} JOIN story_topics t ON t.nr = s.nr WHERE {where.selecting}"


def _counting_proofs(by: str, which: str, where: _Where) -> str:
    """Stories by the statuses or the rules of their evidence."""
    if where.words_alone:
        joined = f"words CROSS JOIN story_proofs p ON p.nr = words.rowid AND {which} WHERE words MATCH ?"
    else:
        joined = f"{where.stories} JOIN story_proofs p ON p.nr = s.nr AND {which} WHERE {where.selecting}"
    proofs = "story_proofs p WHERE 1" if where.everything else joined
    counted = f"SELECT p.{by} AS name, count(DISTINCT p.nr) AS stories FROM {proofs}"
    return f"{counted} GROUP BY name ORDER BY stories DESC, name"


def _by_day(by: str, where: _Where, day: str) -> str:
    """Stories by a name and their day. Raises ValueError for what the port does not name."""
    match by:
        case "topic" if where.everything:
            name = "t.topic"
            source = "story_topics t CROSS JOIN stories s INDEXED BY stories_by_number ON s.nr = t.nr WHERE s.dated"
        case "topic":
            name, source = "t.topic", f"{_topics(where)} AND s.dated"
        case "source":
            name, source = "coalesce(s.source, '')", f"{where.stories} WHERE {where.selecting} AND s.dated"
        case _:
            raise ValueError(f"cannot count days by {by!r}")
    return f"SELECT {name} AS name, {day} AS day, count(*) FROM {source} GROUP BY name, day ORDER BY name, day"


def _among(column: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(?))"


def _list(values: Iterable[str]) -> str:
    """Any number of values as one bound value, for `_among`; json escapes what UTF-8 cannot hold."""
    return json.dumps(list(values))


# writing ---------------------------------------------------------------------------------------------------------
def _write_stories(connection: apsw.Connection, slice_: Slice) -> None:
    changed = {story.id: story for story in slice_.stories}
    stories = {**{story.id: story for story in slice_.touched}, **changed}
    known = _known(connection, list(stories))
    numbers = _numbers(connection, stories, known)
    packed = ((numbers[ident], *rows.pack(story)) for ident, story in stories.items())
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
    sql = f"SELECT id, nr, title, text, instant FROM stories WHERE {_among('id')}"
    return {ident: (nr, title, text, at) for ident, nr, title, text, at in connection.execute(sql, (_list(ids),))}


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


# reading ---------------------------------------------------------------------------------------------------------
def _links(connection: apsw.Connection, ids: Sequence[str]) -> list[Link]:
    sql = f"SELECT * FROM links WHERE {_among('a')} UNION SELECT * FROM links WHERE {_among('b')} ORDER BY 1, 2"
    listed = _list(ids)
    return [rows.unpack_link(row) for row in connection.execute(sql, (listed, listed))]


def _booking(row: Sequence[Any]) -> Booking:
    file, version, run, done, complete, counts, reasons = row
    return Booking(file, version, run, done, bool(complete), json.loads(counts), json.loads(reasons))


def _feed(doc: str) -> Feed:
    record = json.loads(doc)
    return Feed(**{**record, "full_text": FullText(record["full_text"])})
