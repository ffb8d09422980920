"""What a reader asks, in Elasticsearch's language: the same stories as on every other store."""

from __future__ import annotations

from typing import Any

from ingest.store import Query, typed
from ingest.store.rows import bound, seconds

# Beginnings of words behind other words of a clause ("中国*"): how many words of an index are tried.
_EXPANSIONS = 5000
_FIELDS = ("words.title", "words.text", "words.forms")
# A word in the title counts as much as several in the text.
_BOOSTS = {"words.title": 5.0}

_NEWEST = [{"instant": "desc"}, {"id": "asc"}]
_OLDEST = [{"instant": "asc"}, {"id": "asc"}]
_BEST = [{"_score": "desc"}, *_NEWEST]


def order(asked: Query, read: typed.Typed) -> list[dict[str, str]]:
    """In which order hits come. Raises ValueError for one that the port does not name."""
    match asked.order:
        case "best":
            return _BEST if read.required else _NEWEST
        case "newest":
            return _NEWEST
        case "oldest":
            return _OLDEST
    raise ValueError(f"cannot order by {asked.order!r}")


def query(asked: Query, read: typed.Typed) -> dict[str, Any]:
    """A condition on stories; required words rank them."""
    if read.hopeless:
        return {"match_none": {}}
    return {
        "bool": {
            "must": [_matched(clause) for clause in read.required],
            "must_not": [_matched(clause) for clause in read.excluded],
            "filter": _filters(asked),
        }
    }


def _matched(clause: typed.Clause) -> dict[str, Any]:
    """A clause stands in a row in one of the fields; `forms` are for beginnings alone."""
    fields = _FIELDS[:1] if clause.title else _FIELDS if clause.prefix else _FIELDS[:2]
    return {"bool": {"should": [_in_field(field, clause) for field in fields], "minimum_should_match": 1}}


def _in_field(field: str, clause: typed.Clause) -> dict[str, Any]:
    boost = _BOOSTS.get(field, 1.0)
    text = " ".join(clause.terms)
    if not clause.prefix:
        return {"match_phrase": {field: {"query": text, "boost": boost}}}
    if len(clause.terms) == 1:
        return {"prefix": {field: {"value": text, "boost": boost}}}
    return {"match_phrase_prefix": {field: {"query": text, "max_expansions": _EXPANSIONS, "boost": boost}}}


def _filters(asked: Query) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = []
    if asked.topics:
        filters.append(_with_topics([bound(topic) for topic in asked.topics], asked.weight))
    if asked.statuses or asked.rules:
        filters.append({"nested": {"path": "evidence", "query": {"bool": {"filter": proofs(asked)}}}})
    for field, values in (("source", asked.sources), ("language", asked.languages)):
        if values:
            filters.append({"terms": {field: [bound(value) for value in values]}})
    span = {}
    if asked.since:
        span["gte"] = seconds(asked.since)
    if asked.until:
        span["lt"] = seconds(asked.until)
    if span:
        filters.append({"range": {"instant": span}})
    if asked.cluster is not None:
        filters.append({"term": {"cluster": bound(asked.cluster)}})
    if asked.leads_only:
        filters.append({"term": {"lead": True}})
    return filters


def _with_topics(topics: list[str], weight: str) -> dict[str, Any]:
    match weight:
        case "any":
            return {"terms": {"topics": topics}}
        case "main":
            return {"terms": {"main_topics": topics}}
        case "mentioned":
            each = [
                {"bool": {"filter": {"term": {"topics": topic}}, "must_not": {"term": {"main_topics": topic}}}}
                for topic in topics
            ]
            return {"bool": {"should": each, "minimum_should_match": 1}}
    raise ValueError(f"cannot weigh by {weight!r}")


def proofs(asked: Query) -> list[dict[str, Any]]:
    """Which evidences count."""
    wanted = {"evidence.status": asked.statuses, "evidence.rule": asked.rules, "evidence.topic": asked.topics}
    return [{"terms": {field: [bound(value) for value in values]}} for field, values in wanted.items() if values]


def source(field: str, missing: bool, zone: str) -> dict[str, Any]:
    """What stories are counted by. The field `day` holds days of UTC; those of another zone follow from `published`."""
    if field != "day" or zone == "UTC":
        return {"terms": {"field": field, "missing_bucket": missing}}
    days = {"calendar_interval": "1d", "time_zone": zone, "format": "yyyy-MM-dd"}
    return {"date_histogram": {"field": "published", "missing_bucket": missing, **days}}
