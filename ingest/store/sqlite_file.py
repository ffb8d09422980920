"""The file of the embedded store: its tables, how it is opened, and what its faults mean.

Any SQLite program can read it: `stories` holds one row a story with its current title and text as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ingest.errors import StoreGone
from ingest.store import patience

SCHEMA = 6
# Says that a file is ours ("stry"), so that another program's database is not filled with our tables.
APPLICATION = 0x73747279
# A writer waits this long for another one's transaction; a slice takes about a second.
BUSY_SECONDS = 30.0
# Steps of SQLite's machine between two looks at the clock: about 50 µs, and what FTS5 reads counts as well.
_STEPS = 1000

# Narrow columns come first: the long ones lie on pages of their own that counting never reads. The first index
# answers windows, lists and counts without the table. `words` is filled with terms of our own making (terms.py),
# so its tokenizer only splits at blanks: what may stand in a term besides letters and digits is named.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stories (
    nr INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    instant INTEGER NOT NULL,      -- published, else first seen: seconds since 1970, UTC
    dated INTEGER NOT NULL,        -- whether published is known
    lead INTEGER NOT NULL,
    cluster TEXT NOT NULL,
    source TEXT,
    language TEXT,
    published TEXT,
    first_seen TEXT NOT NULL,
    indexed TEXT NOT NULL,
    rewritten_from TEXT,
    title TEXT,
    text TEXT NOT NULL,
    doc TEXT NOT NULL,             -- JSON: the rest
    versions BLOB,                 -- older texts: JSON, compressed by zstd
    written INTEGER NOT NULL DEFAULT 0  -- which write changed it last, but for its texts' origin
);
CREATE INDEX stories_by_instant ON stories (instant, id, dated, lead, cluster, source, language);
CREATE TABLE story_topics (
    topic TEXT NOT NULL,
    nr INTEGER NOT NULL REFERENCES stories,
    main INTEGER NOT NULL,
    PRIMARY KEY (topic, nr)
) WITHOUT ROWID;
CREATE INDEX topics_of_story ON story_topics (nr);
"""
_PROOFS = """
CREATE TABLE story_proofs (        -- what evidence there is
    status TEXT NOT NULL,
    topic TEXT NOT NULL,
    rule TEXT NOT NULL,
    nr INTEGER NOT NULL REFERENCES stories,
    PRIMARY KEY (status, topic, rule, nr)
) WITHOUT ROWID;
CREATE INDEX proofs_of_story ON story_proofs (nr);
"""
# For readers who look up many stories one by one: all that is counted and sorted by, in the order of numbers.
_NARROW = """
CREATE INDEX stories_by_number ON stories (nr, instant, id, dated, lead, cluster, source, language);
DROP INDEX IF EXISTS topics_of_story;
CREATE INDEX topics_of_story ON story_topics (nr, topic, main);
"""
# For readers who keep what they count by (sqlite_columns.py): `written` grows with every write, `rebuilt` with those
# after which everything has to be read again. And what pages ask of clusters and runs, without a look at rows.
_WRITES = """
INSERT INTO meta VALUES ('written', 0), ('rebuilt', 0);
CREATE INDEX stories_by_write ON stories (written);
DROP INDEX IF EXISTS stories_by_cluster;
CREATE INDEX stories_by_cluster ON stories (cluster, source);
CREATE INDEX bookings_by_run ON bookings (run, file);
"""
_TABLES += _PROOFS + _NARROW
_TABLES += """
CREATE VIRTUAL TABLE words USING fts5 (
    title, text, forms,
    content = '', contentless_delete = 1, tokenize = "ascii tokenchars '!#$%&()*+,-./:;<=>?@[\\]^_`{|}~'''"
);
INSERT INTO words (words, rank) VALUES ('hashsize', 16777216);
CREATE TABLE fingerprints (        -- in the order in which a window is read
    instant INTEGER NOT NULL,      -- as that of its story
    id TEXT NOT NULL,
    numbers TEXT,                  -- JSON
    shingles BLOB NOT NULL,        -- uint64, little-endian, ascending
    PRIMARY KEY (instant, id)
) WITHOUT ROWID;
CREATE TABLE aliases (key TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE links (
    a TEXT NOT NULL,
    b TEXT NOT NULL,
    share REAL NOT NULL,
    hours REAL NOT NULL,
    numbers TEXT,                  -- JSON
    kinship TEXT NOT NULL DEFAULT 'same',
    PRIMARY KEY (a, b)
) WITHOUT ROWID;
CREATE INDEX links_by_b ON links (b);
CREATE TABLE feeds (url TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE feed_states (url TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE wanted (url TEXT PRIMARY KEY, feed TEXT NOT NULL, since INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX wanted_by_feed ON wanted (feed);
CREATE TABLE bookings (
    file TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    run TEXT NOT NULL,
    done INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    counts TEXT NOT NULL,
    reasons TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE lease (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    holder TEXT,
    token INTEGER NOT NULL,
    renewed REAL NOT NULL
);
INSERT INTO lease VALUES (1, NULL, 0, 0);
CREATE TABLE waiting (holder TEXT PRIMARY KEY, asked REAL NOT NULL) WITHOUT ROWID;
"""
_TABLES += _WRITES
_CLOSED = """
CREATE TABLE closed_months (month TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE removed (id TEXT PRIMARY KEY, month TEXT NOT NULL REFERENCES closed_months) WITHOUT ROWID;
"""


def _add_proofs(connection: apsw.Connection) -> None:
    connection.execute(_PROOFS)
    connection.execute(
        """INSERT OR IGNORE INTO story_proofs
           SELECT proof.value ->> 'status', proof.value ->> 'topic', proof.value ->> 'rule', s.nr
           FROM stories s, json_each(s.doc, '$.content.evidence') proof"""
    )


def _order_fingerprints(connection: apsw.Connection) -> None:
    connection.execute("""
        ALTER TABLE links ADD COLUMN kinship TEXT NOT NULL DEFAULT 'same';
        ALTER TABLE fingerprints RENAME TO unordered;
        CREATE TABLE fingerprints (
            instant INTEGER NOT NULL, id TEXT NOT NULL, numbers TEXT, shingles BLOB NOT NULL, PRIMARY KEY (instant, id)
        ) WITHOUT ROWID;
        INSERT INTO fingerprints
            SELECT s.instant, s.id, u.numbers, u.shingles FROM stories s JOIN unordered u ON u.nr = s.nr ORDER BY 1, 2;
        DROP TABLE unordered;
    """)


def _number_writes(connection: apsw.Connection) -> None:
    connection.execute("ALTER TABLE stories ADD COLUMN written INTEGER NOT NULL DEFAULT 0")
    connection.execute(_WRITES)


# Version → what turns its tables into those of the next one, inside a transaction.
MIGRATIONS: dict[int, Callable[[apsw.Connection], object]] = {
    1: _add_proofs,
    2: lambda connection: connection.execute(_CLOSED),
    3: lambda connection: connection.execute(_NARROW),
    4: _order_fingerprints,
    5: _number_writes,
}


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into StoreGone: one sentence and what to do."""
    try:
        yield
    except apsw.Error as error:
        message, advice = _said(error)
        raise StoreGone(message, subject=str(path), advice=advice) from error


def _said(error: apsw.Error) -> tuple[str, str]:
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return (
                f"another program has locked the database for {BUSY_SECONDS:.0f} seconds.",
                "Close it, or wait until it is done, and run this again.",
            )
        case apsw.NotADBError():
            return "this file is not a database.", "Move it away, then run `sitrep publish` to fill a new one."
        case apsw.CorruptError():
            return "the database is damaged.", "Move it away, then run `sitrep publish` to fill a new one."
        case apsw.FullError():
            return "the disk is full.", "Make room and run this again; nothing that was written is lost."
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return "the database cannot be written.", "Check the rights of the file and its folder."
        case apsw.CantOpenError():
            return "the database cannot be opened.", "Check that its folder exists and may be written."
        case apsw.IOError():
            return f"reading or writing the database failed ({error}).", "Check the disk and run this again."
    return f"the database refused ({type(error).__name__}: {error}).", "Run this again; if it stays, report it."


def connect(path: Path, *, cache: int = 64 << 20) -> apsw.Connection:
    """A connection to a store that is there (`prepare`), with so many bytes for pages of the file. Raises apsw's
    errors."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
    connection.pragma("foreign_keys", True)
    # FULL syncs the log at each commit: what was acknowledged survives a power cut, not only a kill. It costs one
    # sync for a slice of hundreds of stories.
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -(cache >> 10))
    return connection


def prepare(path: Path) -> None:
    """Make the store's tables where there are none, bring older ones up to date.

    Raises StoreGone, naming the file, where it is something else or was written by a newer Sitrep.
    """
    with faults(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            advice = "Check the rights of the folder, or set SITREP_HOME."
            raise StoreGone(
                f"its folder cannot be made ({error.strerror}).", subject=str(path), advice=advice
            ) from error
        connection = connect(path)
        try:
            if _version(connection, path) < SCHEMA:
                _use_wal(connection)
                _bring_up_to_date(connection, path)
        finally:
            connection.close()


def _version(connection: apsw.Connection, path: Path) -> int:
    """The version of the tables, 0 where there are none."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if not tables:
        return 0
    if connection.pragma("application_id") != APPLICATION or "meta" not in tables:
        raise StoreGone(
            "this is another program's database.", subject=str(path), advice="Move it away, or set SITREP_HOME."
        )
    version = int(connection.execute("SELECT value FROM meta WHERE key = 'schema'").get)
    if version > SCHEMA:
        raise StoreGone(
            f"a newer Sitrep wrote this store (version {version}, this one knows {SCHEMA}).",
            subject=str(path),
            advice="Upgrade Sitrep, or move the file away and run `sitrep publish` to fill a new one.",
        )
    return version


def _use_wal(connection: apsw.Connection) -> None:
    # Changing the mode does not wait for a lock by itself when two processes open a new file at once.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _bring_up_to_date(connection: apsw.Connection, path: Path) -> None:
    with transaction(connection):
        version = _version(connection, path)  # again: another process may have been faster
        if version == 0:
            connection.execute(_TABLES + _CLOSED)
            connection.pragma("application_id", APPLICATION)
            version = SCHEMA
        while version < SCHEMA:
            MIGRATIONS[version](connection)
            version += 1
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (version,))


@contextmanager
def bounded(connection: apsw.Connection) -> Iterator[None]:
    """What is read inside is counted against the budget of the task, where it has one. Raises UsageError when that is
    used up."""
    budget = patience.budget()
    if budget is None:
        yield
        return
    with budget.spent() as end:
        if time.thread_time() >= end:
            raise budget.exceeded()
        connection.set_progress_handler(lambda: time.thread_time() >= end, _STEPS)
        try:
            yield
        except apsw.InterruptError as error:
            raise budget.exceeded() from error
        finally:
            connection.set_progress_handler(None)


@contextmanager
def transaction(connection: apsw.Connection, kind: str = "IMMEDIATE") -> Iterator[apsw.Connection]:
    """All of it or nothing. "IMMEDIATE" to write, "DEFERRED" to read one state of the store."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # a full disk rolls back by itself
            connection.execute("ROLLBACK")


def next_write(connection: apsw.Connection, *, after: int = 0) -> int:
    """The number of the write that is going on: greater than any before it, and than `after`."""
    sql = "UPDATE meta SET value = max(value, ?) + 1 WHERE key = 'written' RETURNING value"
    return int(connection.execute(sql, (after,)).get)


def marks(connection: apsw.Connection) -> tuple[int, int]:
    """How often all was made anew, and the number of the last write."""
    stated = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('rebuilt', 'written')"))
    return stated["rebuilt"], stated["written"]


def note_rebuilt(connection: apsw.Connection) -> None:
    """What readers kept is no beginning of what is there now."""
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'rebuilt'")


# two files at once -----------------------------------------------------------------------------------------------
@contextmanager
def beside(path: Path, other: Path, name: str) -> Iterator[apsw.Connection]:
    """A transaction on one file, with another attached under a name."""
    connection = connect(path)
    try:
        connection.pragma("foreign_keys", False)  # whole tables come and go
        connection.execute("ATTACH ? AS " + name, (str(other),))
        with transaction(connection):
            yield connection
    finally:
        connection.close()


def add(connection: apsw.Connection, name: str, tables: Iterable[str]) -> None:
    """The rows of these tables of the attached file, where they are not there."""
    for table in tables:
        connection.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM {name}.{table}")  # noqa: S608 - our words


def take_over(connection: apsw.Connection, name: str, *, kept: Collection[str]) -> None:
    """Every table but the `kept` ones becomes as it is in the attached file. What FTS5 keeps lies in tables as well,
    and it notices that they have changed as it notices another process's writing."""
    sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    for (table,) in connection.execute(sql).fetchall():
        if table not in kept:
            connection.execute(f"DELETE FROM main.{table}")  # noqa: S608 - our words
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM {name}.{table}")  # noqa: S608


def delete(path: Path) -> None:
    """A database with its log."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
