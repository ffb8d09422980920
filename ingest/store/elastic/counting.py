"""Numbers of stories, counted by the server: several questions in one request, and no hits, so that the server answers
from its cache what was asked before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ingest.store import Query, typed
from ingest.store.elastic import asking
from ingest.store.elastic.connection import Connection

BUCKETS = 10_000  # of a count's page
PROOFS = 10_000  # rules, or statuses, at most
MARGIN = 1000  # clusters that are looked at besides those that seem the largest

# What can be counted by, and the field that says it. Topics: a story without any is in no count.
_COUNTED = {
    "day": "day",
    "topic": "topics",
    "main_topic": "main_topics",
    "source": "source",
    "language": "language",
}

Body = dict[str, Any]


class Counting:
    """Counts over the indices of the pattern `months`."""

    def __init__(self, connection: Connection, months: str) -> None:
        self._connection = connection
        self._months = months

    def counts(self, asked: Sequence[tuple[Query, str]]) -> list[dict[str, int]]:
        """See `Store.counts`."""
        bodies = [_question(query, by) for query, by in asked]
        answers = self._connection.searches(self._months, bodies)
        return [self._read(by, *pair) for (_, by), *pair in zip(asked, bodies, answers, strict=True)]

    def _read(self, by: str, body: Body, answer: Any) -> dict[str, int]:
        if by in ("status", "rule"):
            counts = _of_proofs(answer)
        else:
            counts = {name: stories for (name,), stories in self._pages(body, answer)}
        if by == "day":
            return dict(sorted(counts.items()))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def days(self, query: Query, by: str) -> dict[str, dict[str, int]]:
        """See `Store.days`."""
        body = _by_days(query, by)
        return self._read_days(body, self._connection.search(self._months, body))

    def chart(self, query: Query, by: str) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """See `Store.chart`."""
        in_all, each = bodies = [_question(query, "day"), _by_days(query, by)]
        answers = self._connection.searches(self._months, bodies)
        return self._read("day", in_all, answers[0]), self._read_days(each, answers[1])

    def _read_days(self, body: Body, answer: Any) -> dict[str, dict[str, int]]:
        counted: dict[str, dict[str, int]] = {}
        for (name, day), stories in self._pages(body, answer):
            counted.setdefault(name, {})[day] = stories
        return {name: dict(sorted(days.items())) for name, days in sorted(counted.items())}

    def cluster_sizes(self, clusters: set[str]) -> dict[str, tuple[int, int]]:
        """How many stories and how many outlets each of them has."""
        sizes: dict[str, tuple[int, int]] = {}
        if clusters:
            asked = {"terms": {"cluster": sorted(clusters)}}
            for (cluster, source), stories in self._all(_by_values(asked, {"cluster": False, "source": True})):
                size, outlets = sizes.get(cluster, (0, 0))
                sizes[cluster] = size + stories, outlets + bool(source)
        return sizes

    def largest_clusters(self, limit: int) -> list[tuple[str, int]]:
        """See `Store.largest_clusters`: the clusters of those that do not lead, counted."""
        pages = self._all(_by_values({"term": {"lead": False}}, {"cluster": False}))
        copies = {cluster: stories for (cluster,), stories in pages}
        first = sorted(copies, key=lambda cluster: -copies[cluster])[: 2 * max(0, limit) + MARGIN]
        several = [(cluster, size) for cluster, (size, _) in self.cluster_sizes(set(first)).items() if size > 1]
        return sorted(several, key=lambda item: (-item[1], item[0]))[: max(0, limit)]

    def _all(self, body: Body) -> Iterator[tuple[tuple[str, ...], int]]:
        return self._pages(body, self._connection.search(self._months, body))

    def _pages(self, body: Body, answer: Any) -> Iterator[tuple[tuple[str, ...], int]]:
        """Exact numbers by the values of the fields that `body` counts by, from its first answer on; "" where a story
        has none in a field that may be missing."""
        counted = body["aggs"]["counted"]["composite"]
        fields = [field for source in counted["sources"] for field in source]
        while True:
            found = answer["aggregations"]["counted"] if "aggregations" in answer else {"buckets": []}
            for bucket in found["buckets"]:
                yield tuple(bucket["key"][field] or "" for field in fields), bucket["doc_count"]
            if len(found["buckets"]) < BUCKETS:
                return
            further = {"counted": {"composite": {**counted, "after": found["after_key"]}}}
            answer = self._connection.search(self._months, {**body, "aggs": further})


def _condition(query: Query) -> Mapping[str, Any]:
    return asking.query(query, typed.read(query.text))


def _question(query: Query, by: str) -> Body:
    match by:
        case "status":
            return _by_proofs(_condition(query), replace(query, statuses=()), "evidence.status")
        case "rule":
            return _by_proofs(_condition(query), replace(query, rules=()), "evidence.rule")
    if by not in _COUNTED:
        raise ValueError(f"cannot count by {by!r}")
    return _by_values(_condition(query), {_COUNTED[by]: by not in ("topic", "main_topic")}, query.zone)


def _by_days(query: Query, by: str) -> Body:
    if by not in ("topic", "source"):
        raise ValueError(f"cannot count days by {by!r}")
    return _by_values(_condition(query), {_COUNTED[by]: by == "source", "day": False}, query.zone)


def _by_values(asked: Mapping[str, Any], fields: Mapping[str, bool], zone: str = "UTC") -> Body:
    """By the values of these fields, also by their absence where they may be missing. Days are those of `zone`."""
    sources = [{field: asking.source(field, missing, zone)} for field, missing in fields.items()]
    counted = {"composite": {"size": BUCKETS, "sources": sources}}
    return {"query": asked, "size": 0, "track_total_hits": False, "aggs": {"counted": counted}}


def _by_proofs(asked: Mapping[str, Any], counting: Query, field: str) -> Body:
    """By a field of those of the stories' evidences that count for `counting`."""
    counted = {"terms": {"field": field, "size": PROOFS}, "aggs": {"stories": {"reverse_nested": {}}}}
    among = {"filter": {"bool": {"filter": asking.proofs(counting)}}, "aggs": {"counted": counted}}
    proofs = {"nested": {"path": "evidence"}, "aggs": {"among": among}}
    return {"query": asked, "size": 0, "track_total_hits": False, "aggs": {"proofs": proofs}}


def _of_proofs(answer: Any) -> dict[str, int]:
    buckets = answer["aggregations"]["proofs"]["among"]["counted"]["buckets"] if "aggregations" in answer else []
    return {bucket["key"]: bucket["stories"]["doc_count"] for bucket in buckets}
