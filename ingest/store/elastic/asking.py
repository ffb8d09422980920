"""What a reader asks, in Elasticsearch's language: the same stories as on every other store."""

from __future__ import annotations

from typing import Any

from ingest.store import Query, typed
from ingest.store.rows import seconds

# Beginnings of words behind other words of a clause ("中国*"): how many words of an index are tried.
_EXPANSIONS = 5000
_FIELDS = ("words.title", "words.text", "words.forms")
# A word in the title counts as much as several in the text.
_BOOSTS = {"words.title": 5.0}

NEWEST = [{"instant": "desc"}, {"id": "asc"}]
BEST = [{"_score": "desc"}, *NEWEST]


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
    fields = _FIELDS if clause.prefix else _FIELDS[:2]
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
    for field, values in (("topics", asked.topics), ("source", asked.sources), ("language", asked.languages)):
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


def bound(value: str) -> str:
    """What a person typed, fit to be sent: a lone surrogate matches nothing."""
    return value.encode("utf-8", "replace").decode()
