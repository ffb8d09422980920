"""The same answers as by SQL (sqlite_asking.py), from columns in memory: FTS5 says which stories hold the words, and
how well; the rest is a few passes over arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

import apsw
import numpy as np
import orjson
from numpy.typing import NDArray

from ingest import time_zones
from ingest.store import Query, rows, typed
from ingest.store.sqlite_asking import RANK, BySql, Picked, matched
from ingest.store.sqlite_columns import HAS, MAIN, STATUSES, Bools, Columns, Flags, Ints, Memory, Names, Small

# All numbers and scores of a search come as two strings: other threads run while they are made, and they are read in
# less time than rows. LIMIT: FTS5 ranks only in a query of its own.
_RANKED = f"""SELECT group_concat(nr), group_concat(score) FROM (
    SELECT rowid AS nr, {RANK} AS score FROM words WHERE words MATCH ? LIMIT -1)"""  # noqa: S608 - our words
_MATCHING = "SELECT group_concat(rowid) FROM words WHERE words MATCH ?"
_NEWEST = "SELECT group_concat(nr) FROM (SELECT nr FROM stories ORDER BY instant DESC, id LIMIT -1)"
_OLDEST = "SELECT group_concat(nr) FROM (SELECT nr FROM stories ORDER BY instant, id LIMIT -1)"

_NEAR = 1000  # hits that are put in order first


class ByColumns(BySql):
    """One connection, inside the transaction whose state the columns are. Rules are asked of the tables."""

    def __init__(self, connection: apsw.Connection, memory: Memory, columns: Columns) -> None:
        super().__init__(connection)
        self._memory = memory
        self._columns = columns

    def search(self, query: Query, asked: typed.Typed) -> Picked:
        if query.rules:
            return super().search(query, asked)
        chosen = self._chosen(query, asked)
        clusters = self._clusters(chosen) if query.folded else None
        ordered = self._ordered(query, asked, chosen)
        first, last = max(0, query.offset), max(0, query.offset) + max(0, query.limit)
        picked = _first_of_each(self._columns.clusters, ordered, last) if query.folded else _taken(ordered, last)
        best = list(picked)[first:]
        if asked.required and query.order != "best":
            best = self._scored(asked, [number for number, _ in best])
        return Picked(int(np.count_nonzero(chosen)), clusters, best)

    def count(self, query: Query, by: str) -> dict[str, int]:
        if query.rules or by == "rule":
            return super().count(query, by)
        columns, chosen = self._columns, self._chosen(query, typed.read(query.text))
        match by:
            case "day":
                return self._by_day(query.zone, chosen)
            case "source":
                return _most_first(_by_name(columns.sources[chosen], columns.source_names))
            case "language":
                return _most_first(_by_name(columns.languages[chosen], columns.language_names))
            case "topic" | "main_topic":
                flag = HAS if by == "topic" else MAIN
                told = np.count_nonzero(columns.topics & flag * chosen.view(np.uint8), axis=1)
                return _most_first(zip(columns.topic_names.listed, told.tolist(), strict=False))
            case "status":
                proofs = self._proofs(query)[chosen]
                return _most_first((name, int(np.count_nonzero(proofs & bit))) for name, bit in STATUSES.items())
        raise ValueError(f"cannot count by {by!r}")

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        if query.rules:
            return super().days(query, by)
        columns = self._columns
        chosen = self._chosen(query, typed.read(query.text)) & columns.dated
        days = self._days(query.zone)
        match by:
            case "topic":
                told = (columns.topics & HAS * chosen.view(np.uint8)).view(np.bool_)
                groups = list(zip(columns.topic_names.listed, (days[has] for has in told), strict=False))
            case "source":
                groups = list(_grouped(columns.sources[chosen], columns.source_names, days[chosen]))
            case _:
                raise ValueError(f"cannot count days by {by!r}")
        return {name: _counted(group) for name, group in sorted(groups, key=itemgetter(0)) if len(group)}

    def _clusters(self, chosen: Bools) -> int:
        def look() -> tuple[Small, int]:
            _, places = np.unique(self._columns.clusters, return_inverse=True)
            return places.astype(np.int32), 4 * len(places)

        places = self._memory.remembered(self._columns, "clusters", look)
        seen = np.zeros(len(places), np.bool_)
        seen[places[chosen]] = True
        return int(np.count_nonzero(seen))

    # which stories ---------------------------------------------------------------------------------------------
    def _chosen(self, query: Query, asked: typed.Typed) -> Bools:
        """Of all numbers, whether its story is found."""
        columns = self._columns
        chosen = self._with_words(asked)
        if query.weight not in ("any", "main", "mentioned"):
            raise ValueError(f"cannot weigh by {query.weight!r}")
        if query.topics:
            chosen = chosen & self._with_topics(query.topics, query.weight)
        if query.statuses:
            bits = sum({STATUSES.get(name, 0) for name in query.statuses})
            chosen = chosen & (self._proofs(query) & bits).astype(np.bool_)
        if query.sources:
            chosen = chosen & _among(columns.sources, query.sources, columns.source_names)
        if query.languages:
            chosen = chosen & _among(columns.languages, query.languages, columns.language_names)
        if query.since:
            chosen = chosen & (columns.instants >= rows.seconds(query.since))
        if query.until:
            chosen = chosen & (columns.instants < rows.seconds(query.until))
        if query.cluster is not None:
            chosen = chosen & (columns.clusters == hash(rows.bound(query.cluster)))
        return chosen & columns.leads if query.leads_only else chosen

    def _with_words(self, asked: typed.Typed) -> Bools:
        if asked.hopeless:
            return np.zeros_like(self._columns.there)
        if not asked.clauses:
            return self._columns.there

        def look() -> tuple[Bools, int]:
            found = self._columns.there.copy()
            if asked.required:
                found[:] = False
                found[self._matching(" AND ".join(map(matched, asked.required)))] = True
            if asked.excluded:
                found[self._matching(" OR ".join(map(matched, asked.excluded)))] = False
            return found, found.nbytes

        return self._memory.remembered(self._columns, ("words", asked.clauses), look)

    def _matching(self, expression: str) -> Ints:
        return _numbers(self._connection.execute(_MATCHING, (expression,)).get)

    def _with_topics(self, topics: Sequence[str], weight: str) -> Bools:
        found = np.zeros_like(self._columns.there)
        for topic in set(topics):
            told = self._topic(topic)
            if told is None:
                continue
            flags = self._columns.topics[told]
            match weight:
                case "any":
                    found |= (flags & HAS).astype(np.bool_)
                case "main":
                    found |= (flags & MAIN).astype(np.bool_)
                case "mentioned":
                    found |= flags == HAS
        return found

    def _topic(self, name: str) -> int | None:
        place = self._columns.topic_names.get(name)
        return place if place is not None and place < len(self._columns.topics) else None

    def _proofs(self, query: Query) -> Flags:
        """The statuses of each story's evidence, of the topics asked for."""
        statuses = self._columns.statuses
        if query.topics:
            statuses = statuses[[place for name in query.topics if (place := self._topic(name)) is not None]]
        proofs: Flags = np.bitwise_or.reduce(statuses, axis=0, initial=np.uint8(0))
        return proofs

    # in which order --------------------------------------------------------------------------------------------
    def _ordered(self, query: Query, asked: typed.Typed, chosen: Bools) -> Iterator[Ranked]:
        """The numbers of those that are chosen, each with its score, piece by piece."""
        match query.order:
            case "best" if asked.required:
                yield from self._best(asked, chosen)
                return
            case "best" | "newest":
                order = self._order(_NEWEST)
            case "oldest":
                order = self._order(_OLDEST)
            case _:
                raise ValueError(f"cannot order by {query.order!r}")
        found = order[chosen[order]]
        yield found, np.zeros(len(found))

    def _order(self, sql: str) -> Ints:
        def look() -> tuple[Ints, int]:
            order = _numbers(self._connection.execute(sql).get)
            return order, order.nbytes

        return self._memory.remembered(self._columns, sql, look)

    def _best(self, asked: typed.Typed, chosen: Bools) -> Iterator[Ranked]:
        """What settles ties is looked up for the first hits alone, and for the others when they are wanted."""
        numbers, scores = self._ranks(asked)
        kept = chosen[numbers]
        numbers, scores = numbers[kept], scores[kept]
        newest = self._memory.remembered(self._columns, "places", self._places)
        near = np.ones(len(scores), np.bool_)
        if len(scores) > _NEAR:
            near = scores <= np.partition(scores, _NEAR)[_NEAR]
        for piece in (near, ~near):
            some, told = numbers[piece], scores[piece]
            order = np.lexsort((newest[some], told))
            yield some[order], told[order]

    def _scored(self, asked: typed.Typed, best: Sequence[int]) -> list[tuple[int, float]]:
        """These hits, each with its score."""
        numbers, scores = self._ranks(asked)
        found = scores[np.searchsorted(numbers, np.array(best, np.int64))]
        return list(zip(best, found.tolist(), strict=True))

    def _ranks(self, asked: typed.Typed) -> Ranked:
        """All that hold the words, by their numbers, with their scores."""
        expression = " AND ".join(map(matched, asked.required))

        def look() -> tuple[Ranked, int]:
            ((numbers, scores),) = self._connection.execute(_RANKED, (expression,))
            ranked = _numbers(numbers), np.array(orjson.loads(f"[{scores or ''}]"), np.float64)
            return ranked, ranked[0].nbytes + ranked[1].nbytes

        return self._memory.remembered(self._columns, ("ranks", expression), look)

    def _places(self) -> tuple[Ints, int]:
        """The place of each story among the newest first."""
        order = self._order(_NEWEST)
        places = np.zeros(len(self._columns.there), np.int64)
        places[order] = np.arange(len(order))
        return places, places.nbytes

    # days ------------------------------------------------------------------------------------------------------
    def _by_day(self, zone: str, chosen: Bools) -> dict[str, int]:
        dated = chosen & self._columns.dated
        undated = int(np.count_nonzero(chosen)) - int(np.count_nonzero(dated))
        return {**({"": undated} if undated else {}), **_counted(self._days(zone)[dated])}

    def _days(self, zone: str) -> Ints:
        """The day of each story in a time zone, from 1970 on."""

        def look() -> tuple[Ints, int]:
            instants, there = self._columns.instants, self._columns.there
            first, last = (int(instants[there].min()), int(instants[there].max())) if there.any() else (0, 0)
            starts, ahead = zip(*time_zones.offsets(zone, first, last), strict=True)
            local = instants + np.array(ahead)[np.searchsorted(starts[1:], instants, side="right")]
            days = local // 86_400
            return days, days.nbytes

        return self._memory.remembered(self._columns, ("days", zone), look)


Ranked = tuple[Ints, NDArray[np.float64]]  # numbers of stories, and their scores


def _taken(ordered: Iterable[Ranked], most: int) -> Iterator[tuple[int, float]]:
    """The first so many."""
    for numbers, scores in ordered:
        yield from zip(numbers[:most].tolist(), scores[:most].tolist(), strict=True)
        most -= len(numbers)
        if most <= 0:
            return


def _first_of_each(clusters: Ints, ordered: Iterable[Ranked], most: int) -> Iterator[tuple[int, float]]:
    """The first of each cluster, so many of them."""
    seen: set[int] = set()
    for numbers, scores in ordered:
        for start in range(0, len(numbers), _NEAR):
            piece = slice(start, start + _NEAR)
            told = clusters[numbers[piece]].tolist()
            for number, score, cluster in zip(numbers[piece].tolist(), scores[piece].tolist(), told, strict=True):
                if len(seen) >= most:
                    return
                if cluster not in seen:
                    seen.add(cluster)
                    yield number, score


def _numbers(joined: str | None) -> Ints:
    """Whole numbers with commas between them."""
    return np.fromstring(joined or "", np.int64, sep=",")


def _among(values: Small, asked: Iterable[str], names: Names) -> Bools:
    known = [names[name] for name in asked if name in names]
    return np.isin(values, np.array(known, np.int32))


def _by_name(values: Small, names: Names) -> Iterator[tuple[str, int]]:
    return zip(names.listed, np.bincount(values).tolist(), strict=False)


def _grouped(values: Small, names: Names, days: Ints) -> Iterator[tuple[str, Ints]]:
    """The days of each name."""
    order = np.argsort(values, kind="stable")
    bounds = np.cumsum(np.bincount(values))[:-1]
    found: dict[str, Ints] = {}
    for name, group in zip(names.listed, np.split(days[order], bounds), strict=False):
        found[name] = np.concatenate([found[name], group]) if name in found else group
    yield from found.items()


def _most_first(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Nobody's name and an empty one are counted together."""
    told: Counter[str] = Counter()
    for name, stories in counts:
        told[name] += stories
    return {name: n for name, n in sorted(told.items(), key=lambda item: (-item[1], item[0])) if n}


def _counted(days: Ints) -> dict[str, int]:
    """How often each day stands there, in order."""
    if not len(days):
        return {}
    first = int(days.min())
    counts = np.bincount(days - first)
    found = np.flatnonzero(counts)
    names = np.datetime_as_string((found + first).astype("datetime64[D]"))
    return dict(zip(names.tolist(), counts[found].tolist(), strict=True))
