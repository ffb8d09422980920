"""The embedded store: the port's contract, and what only a file used by many processes has."""

from __future__ import annotations

import contextvars
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from textwrap import dedent

import apsw
import pytest
from builders import fingerprint, moment, story, tags

from ingest.errors import LeaseLost, StoreGone, UsageError
from ingest.models import Link
from ingest.store import Booking, Lease, Query, Slice, patience, rows, sqlite_file
from ingest.store.sqlite import SqliteStore

pytest.register_assert_rewrite("store_contract")

from store_contract import Clock, StoreContract, found, leased, write  # noqa: E402  # after the line above

TESTS = Path(__file__).parent
BLNS = TESTS.parent.parent / "shared" / "corpora" / "hostile-input.tar.xz"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[SqliteStore]:
    store = SqliteStore(path, clock=clock)
    yield store
    store.close()


class TestContract(StoreContract):
    pass


# processes -----------------------------------------------------------------------------------------------------------
PRELUDE = """
    import os, socket, sys, time
    from pathlib import Path
    from builders import fingerprint, story
    from ingest.errors import LeaseLost
    from ingest.store import Booking, Lease, Slice
    from ingest.store.sqlite import SqliteStore
    name = sys.argv[2]
    holder = f"{socket.gethostname()}:{os.getpid()}:{name}"
    store = SqliteStore(Path(sys.argv[1]))
    def take():
        while not isinstance(lease := store.lease(holder, live=True), Lease):
            time.sleep(0.01)
        return lease
    def say(*words):
        print(*words, flush=True)
"""


Start = Callable[[Path, str, str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process of its own that has `store`, `take` and `say`, and runs a script; the test's end ends it."""
    with ExitStack() as stack:

        def run(path: Path, name: str, script: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", dedent(PRELUDE) + dedent(script), str(path), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_two_publishers_write_in_turn(start: Start, path: Path) -> None:
    script = """
        for number in range(15):
            lease = take()
            store.write(Slice(stories=[story(f"{name}{number}")]), lease)
            say(lease.token)
            store.release(lease)
    """
    publishers = [start(path, name, script) for name in "ab"]
    tokens = [int(token) for publisher in publishers for token in publisher.communicate(timeout=60)[0].split()]
    assert [publisher.returncode for publisher in publishers] == [0, 0]
    assert sorted(tokens) == list(range(1, 31))  # each held it alone
    store = SqliteStore(path)
    assert store.info()["stories"] == 30
    store.close()


HOLD = """
    lease = take()
    say(holder)
    sys.stdin.readline()
    try:
        store.write(Slice(stories=[story("late")]), lease)
        say("written")
    except LeaseLost as error:
        say("lost", error)
"""


def test_the_lease_of_a_killed_process_is_taken_over_at_once(
    start: Start, path: Path, store: SqliteStore, clock: Clock
) -> None:
    clock.now = time.time()
    process = start(path, "x", HOLD)
    holder = line(process)
    assert store.lease("here:1:me", live=True) == holder
    process.kill()
    process.communicate(timeout=10)
    leased(store, "here:1:me")


def test_a_live_waiter_that_was_killed_holds_nobody_up(
    start: Start, path: Path, store: SqliteStore, clock: Clock
) -> None:
    clock.now = time.time()
    lease = leased(store, "other:1:me")
    process = start(path, "x", "say(store.lease(holder, live=True)); sys.stdin.readline()")
    assert line(process) == "other:1:me"
    store.release(lease)
    assert "x" in str(store.lease("other:2:archive", live=False))
    process.kill()
    process.communicate(timeout=10)
    leased(store, "other:2:archive", live=False)


def test_a_publisher_that_slept_too_long_writes_nothing(
    start: Start, path: Path, store: SqliteStore, clock: Clock
) -> None:
    process = start(path, "x", HOLD)
    holder = line(process)
    os.kill(process.pid, signal.SIGSTOP)
    clock.now = time.time() + 29
    assert store.lease("here:1:me", live=True) == holder
    clock.now = time.time() + 31
    lease = leased(store, "here:1:me")
    os.kill(process.pid, signal.SIGCONT)
    said, _ = process.communicate("go\n", timeout=10)
    assert said.startswith("lost ")
    assert "here:1:me" in said
    assert store.get(["id-late"]) == {}
    store.write(Slice(stories=[story("mine")]), lease)
    assert store.info()["stories"] == 1


def test_a_process_of_another_host_is_not_thought_dead(store: SqliteStore) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for holder in (f"elsewhere:{gone.pid}:x", "strange", f"{socket.gethostname()}:x:y", f"{socket.gethostname()}:1:y"):
        lease = leased(store, holder)
        assert store.lease("here:1:me", live=True) == holder
        store.release(lease)
    leased(store, f"{socket.gethostname()}:{gone.pid}:x")
    leased(store, "here:1:me")


@pytest.mark.parametrize("wait", [0.0, 0.02, 0.05, 0.11])
def test_a_kill_leaves_whole_slices(start: Start, path: Path, wait: float) -> None:
    script = """
        lease = take()
        for number in range(1000):
            stories = [story(f"{number}-{n}", text=f"word{n} " * 300) for n in range(40)]
            prints = {told.id: fingerprint(seed=n) for n, told in enumerate(stories)}
            booking = Booking("f", "v", "r", 40 * (number + 1), False, {})
            aliases = {told.id: told.id for told in stories}
            store.write(Slice(stories=stories, fingerprints=prints, aliases=aliases, booking=booking), lease)
            say(booking.done)
    """
    process = start(path, "x", script)
    acknowledged = int(line(process))
    time.sleep(wait)
    process.kill()
    acknowledged = max([acknowledged, *map(int, process.communicate(timeout=10)[0].split())])
    store = SqliteStore(path)
    there = store.info()["stories"]
    assert there in (acknowledged, acknowledged + 40)
    assert store.bookings()["f"].done == there
    assert sum(map(len, store.window(moment(-1), moment(1)))) == there
    assert store.search(Query("word7")).total == there // 40
    assert len(store.resolve(f"id-{number}-{n}" for number in range(1000) for n in range(40))) == there
    store.close()


def test_processes_that_open_a_new_store_at_once_share_it(start: Start, path: Path) -> None:
    openers = [start(path, name, "say(store.info()['stories'])") for name in "abcd"]
    assert [opener.communicate(timeout=30)[0].strip() for opener in openers] == ["0"] * 4


def test_a_forked_process_uses_connections_of_its_own(start: Start, path: Path) -> None:
    # in a process of its own: forking one that runs threads warns
    script = """
        lease = take()
        store.write(Slice(stories=[story("a")]), lease)
        child = os.fork()
        if not child:
            store.write(Slice(stories=[story("b")]), lease)
            store.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        store.write(Slice(stories=[story("c")]), lease)
        say(store.info()["stories"])
    """
    assert start(path, "x", script).communicate(timeout=30)[0].strip() == "3"


# threads and readers -------------------------------------------------------------------------------------------------
def test_threads_share_a_store(store: SqliteStore) -> None:
    lease = leased(store)
    write_now = threading.Lock()

    def work(number: int) -> int:
        with write_now:
            store.write(Slice(stories=[story(f"{number}")]), lease)
        return store.search(Query("convoys")).total

    with ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(work, range(40)))
    assert (min(totals) >= 1, max(totals)) == (True, 40)


@pytest.mark.parametrize("query", [Query(), Query("long", since=moment(-99), sources=["news.example"])])
def test_an_export_shows_one_state_in_little_memory(store: SqliteStore, query: Query) -> None:
    lease = leased(store)
    for part in range(10):
        stories = [story(f"{part}-{n}", text="Long. " * 5000) for n in range(50)]
        store.write(Slice(stories=stories), lease)
    tracemalloc.start()
    try:
        seen = 0
        for told in store.export(query):
            if seen == 100:
                store.write(Slice(stories=[story("zz"), story("9-49", title="Changed")]), lease)
            assert told.content.title != "Changed"
            seen += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == 500  # 15 MB of text
    assert peak < 3_000_000


def test_a_closed_store_opens_again(store: SqliteStore) -> None:
    write(store, story("a"))
    store.close()
    assert found(store, "convoys") == ["a"]


def test_other_programs_can_read_the_stories(store: SqliteStore, path: Path) -> None:
    told = story("a")
    write(store, told)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id, title, text FROM stories").fetchall() == [
            (told.id, told.content.title, told.content.text)
        ]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_counts_do_not_read_the_texts(store: SqliteStore, path: Path) -> None:
    connection = apsw.Connection(str(path))
    for column in ("source", "language", "cluster"):
        ((*_, plan),) = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT {column}, count(*) FROM stories WHERE instant > 1"
        )
        assert "COVERING INDEX" in plan


# faults --------------------------------------------------------------------------------------------------------------
def fails(path: Path, *words: str) -> None:
    """Opening and reading the store says what is wrong, in one line that names the file and what to do."""
    with pytest.raises(StoreGone) as caught:
        SqliteStore(path).info()
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert caught.value.advice
    assert "\n" not in said
    assert all(word in said for word in words), said


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"This is a diary, not a database. " * 100)
    fails(path, "not a database", "sitrep publish")
    assert path.read_bytes().startswith(b"This is a diary")


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE stories (id)")
    before = path.read_bytes()
    fails(path, "another program's")
    assert path.read_bytes() == before


def test_a_store_of_a_newer_sitrep_is_named(path: Path) -> None:
    SqliteStore(path).close()
    apsw.Connection(str(path)).execute("UPDATE meta SET value = 99 WHERE key = 'schema'")
    fails(path, "newer Sitrep", "99")


def test_an_older_store_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path)
    write(store, story("a"))
    store.close()
    now = sqlite_file.SCHEMA
    monkeypatch.setattr(sqlite_file, "SCHEMA", now + 2)
    steps = {
        now: lambda connection: connection.execute("CREATE TABLE extra (x)"),
        now + 1: lambda connection: connection.execute("INSERT INTO extra VALUES (1), (oops)"),
    }
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", steps)
    fails(path, "refused")
    steps[now + 1] = lambda connection: connection.execute("INSERT INTO extra VALUES (1)")
    store = SqliteStore(path)
    assert found(store, "convoys") == ["a"]
    store.close()
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT value, (SELECT count(*) FROM extra) FROM meta WHERE key = 'schema'").get == (
        now + 2,
        1,
    )


def made_of_version_5(path: Path) -> apsw.Connection:
    """A store as version 5 left it."""
    connection = apsw.Connection(str(path))
    connection.execute("""
        DROP INDEX stories_by_write;
        DROP INDEX stories_by_cluster;
        DROP INDEX bookings_by_run;
        CREATE INDEX stories_by_cluster ON stories (cluster);
        ALTER TABLE stories DROP COLUMN written;
        DELETE FROM meta WHERE key IN ('written', 'rebuilt');
        UPDATE meta SET value = 5 WHERE key = 'schema';
    """)
    return connection


def made_older(path: Path) -> apsw.Connection:
    """A store as version 4 left it, without fingerprints."""
    connection = made_of_version_5(path)
    connection.execute("""
        DROP TABLE fingerprints;
        CREATE TABLE fingerprints (nr INTEGER PRIMARY KEY REFERENCES stories, numbers TEXT, shingles BLOB NOT NULL);
        ALTER TABLE links DROP COLUMN kinship;
        UPDATE meta SET value = 4 WHERE key = 'schema';
    """)
    return connection


def test_a_store_of_version_4_keeps_its_fingerprints_and_links(path: Path) -> None:
    store = SqliteStore(path)
    told = story("a", published="2022-05-24T09:30:00Z")
    write(store, told, links=[Link("id-a", "id-b", 0.75, 1.5)])
    store.close()
    connection = made_older(path)
    numbers, shingles = rows.pack_fingerprint(fingerprint("7"))
    connection.execute("INSERT INTO fingerprints SELECT nr, ?, ? FROM stories", (numbers, shingles))
    connection.close()
    store = SqliteStore(path)
    (window,) = store.window(told.instant(), told.instant())
    assert (list(window.ids), window.fingerprint(0).numbers) == (["id-a"], ("7",))
    assert window.fingerprint(0).shingles.tolist() == fingerprint("7").shingles.tolist()
    assert store.links(["id-a"]) == [Link("id-a", "id-b", 0.75, 1.5)]
    store.close()


def test_a_store_of_the_first_version_knows_the_statuses_of_its_evidence_too(path: Path) -> None:
    store = SqliteStore(path)
    write(store, story("a", tags=tags("aid")), story("b"))
    store.close()
    connection = made_older(path)
    old = "DROP INDEX stories_by_number; DROP TABLE story_proofs; DROP TABLE removed; DROP TABLE closed_months"
    connection.execute(f"{old}; UPDATE meta SET value = 1 WHERE key = 'schema'")
    connection.close()
    store = SqliteStore(path)
    assert store.count(Query(), "status") == {"asserted": 1, "history": 1}
    assert found(store, "", statuses=["history"]) == ["a"]
    assert store.closed_months() == []
    store.close()


def test_a_store_of_version_5_is_like_a_new_one(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    booking = Booking("a.jsonl", "1", "run", 1, True, {"": {"indexed": 1}})
    write(store, story("a", tags=tags("aid")), booking=booking)
    store.close()
    made_of_version_5(path).close()
    old, new = SqliteStore(path), SqliteStore(tmp_path / "new.sqlite")
    old.stay_ready()
    assert old.count(Query(), "topic") == {"aid": 1}
    write(old, story("b", tags=tags("aid")))
    assert old.count(Query(), "topic") == {"aid": 2}
    assert old.bookings_of("run") == {"a.jsonl": booking}
    old.close()
    new.close()

    def tables(file: Path) -> list[tuple[object, ...]]:
        """What tables and indices there are, with their columns in order: a rebuilt store copies rows as they are."""
        sql = """SELECT m.type, m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema m
                 LEFT JOIN pragma_table_info(m.name) c ON m.type = 'table' ORDER BY m.name, c.cid"""
        return apsw.Connection(str(file)).execute(sql).fetchall()

    assert tables(path) == tables(tmp_path / "new.sqlite")


def test_the_bookings_of_a_run_are_found_without_reading_all(store: SqliteStore, path: Path) -> None:
    sql = "EXPLAIN QUERY PLAN SELECT * FROM bookings WHERE run = 'x' ORDER BY file"
    assert [row[3] for row in apsw.Connection(str(path)).execute(sql)] == [
        "SEARCH bookings USING INDEX bookings_by_run (run=?)"
    ]


def test_a_damaged_database_is_named(path: Path) -> None:
    store = SqliteStore(path)
    write(store, *(story(f"{number}") for number in range(200)))
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    fails(path, "damaged")


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    fails(path, "cannot be opened")


def test_a_home_that_cannot_be_made_is_named(path: Path) -> None:
    path.parent.write_text("a file where the home should be")
    fails(path, "folder")


def test_a_locked_database_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.1)
    store = SqliteStore(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreGone, match="locked"):
        store.lease("here:1:me", live=True)
    assert store.info()["stories"] == 0  # readers go on
    other.execute("ROLLBACK")
    assert isinstance(store.lease("here:1:me", live=True), Lease)
    store.close()


def test_a_full_disk_costs_the_slice_alone(store: SqliteStore) -> None:
    lease = leased(store)
    store.write(Slice(stories=[story("a")]), lease)
    connection = store._connection()
    connection.pragma("max_page_count", connection.pragma("page_count") + 5)
    with pytest.raises(StoreGone, match="disk is full"):
        store.write(Slice(stories=[story(f"{n}", text=f"w{n} " * 9000) for n in range(50)]), lease)
    connection.pragma("max_page_count", 2**30)
    assert store.info()["stories"] == 1
    store.write(Slice(stories=[story("b")]), lease)
    assert store.info()["stories"] == 2


def test_a_database_that_cannot_be_written_can_be_read(store: SqliteStore) -> None:
    write(store, story("a"))
    store._connection().pragma("query_only", True)
    with pytest.raises(StoreGone, match="cannot be written"):
        store.save_feeds([])
    assert found(store, "convoys") == ["a"]


def test_an_error_in_the_middle_of_a_slice_leaves_nothing_of_it(store: SqliteStore) -> None:
    lease = leased(store)
    with pytest.raises(UnicodeEncodeError):
        store.write(Slice(stories=[story("a")], aliases={"\ud800": "id-a"}), lease)
    assert store.info()["stories"] == 0
    store.write(Slice(stories=[story("a")], fingerprints={"id-a": fingerprint()}), lease)
    store.release(lease)
    with pytest.raises(LeaseLost, match="given back"):
        store.renew(lease)


@pytest.mark.shared
def test_no_naughty_string_is_an_error(store: SqliteStore) -> None:
    if not BLNS.exists():
        pytest.skip("the corpus of hostile input is not here")
    listing = subprocess.run(
        ["tar", "-xJOf", BLNS, "--wildcards", "*blns.json"], check=True, capture_output=True
    ).stdout
    strings: list[str] = json.loads(listing)
    write(store, *(story(f"{n}", title=text.replace("\0", ""), text=text) for n, text in enumerate(strings)))
    assert len(strings) > 400
    for text in strings:
        store.search(Query(text, limit=3))
        store.search(Query(f"-{text}*", limit=3))


def test_a_reader_with_a_budget_is_ended_in_the_middle(store: SqliteStore) -> None:
    write(store, story("a"))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    def bounded() -> None:
        patience.limit(0.2)
        assert found(store, "convoys") == ["a"]
        with pytest.raises(UsageError, match=r"takes more than 0\.2 seconds"), store._reading() as connection:
            connection.execute(endless).fetchall()
        with pytest.raises(UsageError, match=r"takes more than 0\.2 seconds"):  # nothing is left for another one
            store.search(Query("convoys"))

    began = time.thread_time()
    contextvars.copy_context().run(bounded)
    assert 0.2 < time.thread_time() - began < 2
    assert found(store, "convoys") == ["a"]  # others are not bounded, nor is this connection any more
