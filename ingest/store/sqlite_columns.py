"""What the embedded store counts and sorts by, held in memory: some 30 bytes a story, and two for each topic.

A process that answers many readers (`SqliteStore.stay_ready`) keeps it, and reads again only what was written since:
each row of `stories` says by which write it changed last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import apsw
import numpy as np
from numpy.typing import NDArray

from ingest.models import Status
from ingest.store import sqlite_file

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Flags = NDArray[np.uint8]
T = TypeVar("T")

HAS, MAIN = 1, 2  # what is said of a story and a topic
STATUSES = {str(status): 1 << place for place, status in enumerate(Status)}
MOST_BYTES = 256 << 20  # a store that needs more of memory answers by SQL
_ROW = 8 + 8 + 4 + 4 + 3  # bytes of a story beside its topics
_CHUNK = 20_000  # rows that are turned into arrays at once
_REMEMBERED = 32 << 20  # bytes


class Names(dict[str | None, int]):
    """Names as numbers, in the order in which they came; they stay as long as the process."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []

    def __missing__(self, name: str | None) -> int:
        number = self[name] = len(self.listed)
        self.listed.append(name or "")
        return number


@dataclass(frozen=True, slots=True)
class Columns:
    """The stories as they were after a write. Arrays stand by the numbers of stories, those of `topics` and `statuses`
    by topic before; `there` is false where no story has a number. `clusters` are hashes that this process made (two
    clusters of a million share one with a probability of 1 in 40 million)."""

    rebuilt: int
    written: int
    there: Bools
    instants: Ints
    dated: Bools
    leads: Bools
    clusters: Ints
    sources: Small
    languages: Small
    topics: Flags
    statuses: Flags
    source_names: Names
    language_names: Names
    topic_names: Names


def fit(connection: apsw.Connection) -> bool:
    """Whether the columns of a store are no more than may be held."""
    stories = _size(connection)
    topics = connection.execute("SELECT count(DISTINCT topic) FROM story_topics").get
    return stories * (_ROW + 2 * int(topics)) <= MOST_BYTES


def current(connection: apsw.Connection, known: Columns | None) -> Columns:
    """The columns of the state that this transaction reads: what is `known`, or that with what was written since."""
    rebuilt, written = sqlite_file.marks(connection)
    if known is not None and (known.rebuilt, known.written) == (rebuilt, written):
        return known
    if known is None or known.rebuilt != rebuilt:
        known = _empty(rebuilt)
    grown = _grown(known, max(_size(connection), len(known.there)), written)
    changed = _read_stories(connection, grown, known.written)
    return _read_topics(connection, grown, known.written, changed)


def _size(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(nr), 0) + 1 FROM stories").get)


def _empty(rebuilt: int) -> Columns:
    return Columns(
        rebuilt,
        written=-1,
        there=np.zeros(0, np.bool_),
        instants=np.zeros(0, np.int64),
        dated=np.zeros(0, np.bool_),
        leads=np.zeros(0, np.bool_),
        clusters=np.zeros(0, np.int64),
        sources=np.zeros(0, np.int32),
        languages=np.zeros(0, np.int32),
        topics=np.zeros((0, 0), np.uint8),
        statuses=np.zeros((0, 0), np.uint8),
        source_names=Names(),
        language_names=Names(),
        topic_names=Names(),
    )


def _grown(known: Columns, size: int, written: int) -> Columns:
    """A copy, with room for so many stories."""

    def longer(values: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([values, np.zeros((*values.shape[:-1], size - values.shape[-1]), values.dtype)], axis=-1)

    return replace(
        known,
        written=written,
        there=longer(known.there),
        instants=longer(known.instants),
        dated=longer(known.dated),
        leads=longer(known.leads),
        clusters=longer(known.clusters),
        sources=longer(known.sources),
        languages=longer(known.languages),
        topics=longer(known.topics),
        statuses=longer(known.statuses),
    )


def _read_stories(connection: apsw.Connection, columns: Columns, since: int) -> Ints:
    """Fill in what was written after `since`; gives the numbers of those stories."""
    places = "stories INDEXED BY stories_by_number" if since < 0 else "stories WHERE written > ?"
    sql = f"SELECT nr, instant, dated, lead, cluster, source, language FROM {places}"  # noqa: S608 - our words
    changed = [np.zeros(0, np.int64)]
    for chunk in _chunks(connection.execute(sql, () if since < 0 else (since,))):
        numbers, instants, dated, leads, clusters, sources, languages = zip(*chunk, strict=True)
        at = np.array(numbers, np.int64)
        columns.there[at] = True
        columns.instants[at] = instants
        columns.dated[at] = dated
        columns.leads[at] = leads
        columns.clusters[at] = np.fromiter(map(hash, clusters), np.int64, len(at))
        columns.sources[at] = np.fromiter(map(columns.source_names.__getitem__, sources), np.int32, len(at))
        columns.languages[at] = np.fromiter(map(columns.language_names.__getitem__, languages), np.int32, len(at))
        changed.append(at)
    return np.concatenate(changed)


def _read_topics(connection: apsw.Connection, columns: Columns, since: int, changed: Ints) -> Columns:
    columns.topics[:, changed] = 0
    columns.statuses[:, changed] = 0
    among = "" if since < 0 else "WHERE nr IN (SELECT nr FROM stories WHERE written > ?)"
    bound = () if since < 0 else (since,)
    topics, statuses = columns.topics, columns.statuses
    sql = f"SELECT nr, topic, main FROM story_topics INDEXED BY topics_of_story {among}"  # noqa: S608
    for chunk in _chunks(connection.execute(sql, bound)):
        numbers, names, main = zip(*chunk, strict=True)
        rows = np.fromiter(map(columns.topic_names.__getitem__, names), np.int64, len(names))
        topics = _taller(topics, len(columns.topic_names))
        topics[rows, np.array(numbers, np.int64)] = HAS + MAIN * np.array(main, np.uint8)
    sql = f"SELECT nr, topic, status FROM story_proofs {among}"  # noqa: S608
    for chunk in _chunks(connection.execute(sql, bound)):
        numbers, names, told = zip(*chunk, strict=True)
        rows = np.fromiter(map(columns.topic_names.__getitem__, names), np.int64, len(names))
        statuses = _taller(statuses, len(columns.topic_names))
        bits = np.fromiter(map(STATUSES.__getitem__, told), np.uint8, len(told))
        np.bitwise_or.at(statuses.reshape(-1), rows * statuses.shape[1] + np.array(numbers, np.int64), bits)
    most = len(columns.topic_names)
    return replace(columns, topics=_taller(topics, most), statuses=_taller(statuses, most))


def _taller(values: Flags, rows: int) -> Flags:
    if len(values) >= rows:
        return values
    return np.concatenate([values, np.zeros((rows - len(values), values.shape[1]), np.uint8)])


def _chunks(found: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    rows = iter(found)
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


class Memory:
    """The columns of a store, and what was last asked of them; shared by the threads of a process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._columns: Columns | None = None
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._fit: bool | None = None

    def current(self, connection: apsw.Connection) -> Columns | None:
        """The columns of the state that this transaction reads; None where they would take too much memory. Asked
        under the lock, before anything else is read, so that no thread sees an older state than the one before it."""
        if self._fit is None:
            self._fit = fit(connection)
        if not self._fit:
            return None
        columns = current(connection, self._columns)
        if columns is not self._columns:
            self._columns = columns
            self._kept.clear()
            self._bytes = 0
        return columns

    def remembered(self, columns: Columns, name: Any, make: Callable[[], tuple[T, int]]) -> T:
        """What `make` gives beside how many bytes it takes, as long as nothing is written and there is room."""
        key = columns.written, columns.rebuilt, name
        with self.lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                value: T = self._kept[key][0]
                return value
        value, size = make()
        with self.lock:
            if columns is self._columns and key not in self._kept:
                self._kept[key] = value, size
                self._bytes += size
            while self._bytes > _REMEMBERED:
                self._bytes -= self._kept.popitem(last=False)[1][1]
        return value
