"""What readers ask, as SQL over the tables of the embedded store."""
# ruff: noqa: S608  # SQL is put together from this file's own words; what comes from outside is bound

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

from ingest import time_zones
from ingest.store import Query, rows, typed

# A word in the title counts as much as several in the text.
RANK = "bm25(words, 5.0, 1.0, 1.0)"
_WEIGHTS = {"any": "1", "main": "main", "mentioned": "NOT main"}


class Picked(NamedTuple):
    """Hits by their numbers in the store, each with its score (lowest first; 0 without words), and how many stories and
    (where the query folds) clusters there are in all."""

    total: int
    clusters: int | None
    best: list[tuple[int, float]]


class BySql:
    """Answers each question from the tables. One connection, inside a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def search(self, query: Query, asked: typed.Typed) -> Picked:
        where = Where(query, asked)
        limit = max(0, query.limit), max(0, query.offset)
        if query.folded:
            best = _folded(self._connection, where, *limit)
            counts = f"SELECT count(*), count(DISTINCT s.cluster) {where.matching}"
            total, clusters = self._connection.execute(counts, where.values).get
            return Picked(total, clusters, best)
        ranked = f"SELECT s.nr, {where.score} AS score {where.matching} ORDER BY {where.order} LIMIT ? OFFSET ?"
        best = self._connection.execute(ranked, (*where.values, *limit)).fetchall()
        return Picked(self._connection.execute(f"SELECT count(*) {where.matching}", where.values).get, None, best)

    def count(self, query: Query, by: str) -> dict[str, int]:
        where = Where(query, typed.read(query.text))
        if by in ("status", "rule"):
            proofs, values = _proofs(query, leaving=by)
            sql = _counting_proofs(by, proofs, where)
            return dict(self._connection.execute(sql, (*values, *where.values)))
        day = _day(self._connection, query.zone)
        return dict(self._connection.execute(_counting(by, where, day), where.values))

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        where = Where(query, typed.read(query.text))
        by_day = _by_day(by, where, _day(self._connection, query.zone))
        counted: dict[str, dict[str, int]] = {}
        for name, day, stories in self._connection.execute(by_day, where.values):
            counted.setdefault(name, {})[day] = stories
        return counted


# the parts of SQL ---------------------------------------------------------------------------------------------------
class Where:
    """A query as SQL over `stories s`.

    `selecting` is a condition on s; `matching` is FROM and WHERE, with the full-text table joined where words are
    asked for, so that `score` can rank (lowest first; without words there is none). `values` fit both.
    """

    def __init__(self, query: Query, asked: typed.Typed) -> None:
        self._conditions: list[str] = []
        self.values: tuple[Any, ...] = ()
        required = " AND ".join(map(matched, asked.required))
        if required:
            self.values += (required,)
        if asked.hopeless:
            self._add("0")
        if asked.excluded:
            excluded = " OR ".join(map(matched, asked.excluded))
            self._add("s.nr NOT IN (SELECT rowid FROM words WHERE words MATCH ?)", excluded)
        self._filter(query)
        rest = " AND ".join(self._conditions) or "1"
        self.score = RANK if required else "0.0"
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
            topics = f"SELECT nr FROM story_topics WHERE {among('topic')} AND {_WEIGHTS[query.weight]}"
            self._add(f"s.nr IN ({topics})", listed(query.topics))
        if query.statuses or query.rules:
            proofs, values = _proofs(query)
            self._add(f"s.nr IN (SELECT p.nr FROM story_proofs p WHERE {proofs})", *values)
        if query.sources:
            self._add(among("s.source"), listed(query.sources))
        if query.languages:
            self._add(among("s.language"), listed(query.languages))
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
    told = {name: listed(values) for name, values in asked.items() if values and name != leaving}
    return " AND ".join(["1", *(among(f"p.{name}") for name in told)]), tuple(told.values())


def _folded(connection: apsw.Connection, where: Where, limit: int, offset: int) -> list[tuple[Any, ...]]:
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


def matched(clause: typed.Clause) -> str:
    """A clause in FTS5's language."""
    phrase = '"' + " ".join(clause.terms).replace('"', '""') + '"'
    if clause.title:
        return f"(title : {phrase}{' *' if clause.prefix else ''})"
    return f"({phrase} *)" if clause.prefix else f"({{title text}} : {phrase})"


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


def _counting(by: str, where: Where, day: str) -> str:
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


def _topics(where: Where) -> str:
    """Topics t of the stories."""
    if where.everything:
        return "story_topics t WHERE 1"
    return f"{where.stories} JOIN story_topics t ON t.nr = s.nr WHERE {where.selecting}"


def _counting_proofs(by: str, which: str, where: Where) -> str:
    """Stories by the statuses or the rules of their evidence."""
    if where.words_alone:
        joined = f"words CROSS JOIN story_proofs p ON p.nr = words.rowid AND {which} WHERE words MATCH ?"
    else:
        joined = f"{where.stories} JOIN story_proofs p ON p.nr = s.nr AND {which} WHERE {where.selecting}"
    proofs = "story_proofs p WHERE 1" if where.everything else joined
    counted = f"SELECT p.{by} AS name, count(DISTINCT p.nr) AS stories FROM {proofs}"
    return f"{counted} GROUP BY name ORDER BY stories DESC, name"


def _by_day(by: str, where: Where, day: str) -> str:
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


def among(column: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(?))"


def listed(values: Iterable[str]) -> str:
    """Any number of values as one bound value, for `among`; json escapes what UTF-8 cannot hold."""
    return json.dumps(list(values))
