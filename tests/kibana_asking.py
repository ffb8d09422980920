"""What Kibana asks of Elasticsearch for its saved objects, as far as ours go: KQL and Lens' columns → the query DSL.

Kibana itself is not here, so this is written after its documentation and its source; what it does not know it refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Query = dict[str, Any]
STAMP = "strict_date_optional_time"

_TOKEN = re.compile(r'\s*(?:(<=|>=|[:<>(){}])|"([^"]*)"|([^\s:<>(){}"]+))')


# KQL -----------------------------------------------------------------------------------------------------------------
def kql(text: str) -> Query:
    """The query that a KQL text means. Raises ValueError for what of the language is not known here."""
    if not text:
        return {"match_all": {}}
    reader = _Kql(text)
    query = reader.all_of("")
    if reader.tokens:
        raise ValueError(f"{text!r}: not understood from {reader.tokens[0]!r} on")
    return query


class _Kql:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if not match:
                raise ValueError(f"{text!r}: not understood at {at}")
            self.tokens.append(match[match.lastindex or 0])
            at = match.end()

    def take(self, expected: str = "") -> str:
        token = self.tokens.pop(0)
        if expected and token != expected:
            raise ValueError(f"{expected!r} expected, {token!r} found")
        return token

    def all_of(self, path: str) -> Query:
        parts = [self.clause(path)]
        while self.tokens and self.tokens[0] == "and":
            self.take()
            parts.append(self.clause(path))
        return parts[0] if len(parts) == 1 else {"bool": {"filter": parts}}

    def clause(self, path: str) -> Query:
        if self.tokens[0] == "not":
            self.take()
            return {"bool": {"must_not": self.clause(path)}}
        field, sign = path + self.take(), self.take()
        if sign in ("<", "<=", ">", ">="):
            names = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
            return {"range": {field: {names[sign]: self.take()}}}
        if sign != ":":
            raise ValueError(f"{sign!r} after {field!r} is not known here")
        if self.tokens[0] == "{":
            self.take()
            inner = self.all_of(f"{field}.")
            self.take("}")
            return {"nested": {"path": field, "query": inner, "score_mode": "none"}}
        value = self.take()
        return {"exists": {"field": field}} if value == "*" else {"match": {field: value}}


def fields_of(text: str) -> set[str]:
    """The fields that a KQL text asks."""
    return set(_fields(kql(text)))


def _fields(query: Any) -> Iterator[str]:
    if isinstance(query, list):
        for one in query:
            yield from _fields(one)
        return
    for name, inner in query.items():
        if name in ("match", "range"):
            yield from inner
        elif name == "exists":
            yield inner["field"]
        elif name == "nested":
            yield inner["path"]
            yield from _fields(inner["query"])
        elif name in ("bool", "filter", "must_not"):
            yield from _fields(inner)


# time ----------------------------------------------------------------------------------------------------------------
def within(view: Mapping[str, Any], since: str, until: str) -> list[Query]:
    """The time range of a dashboard or search, where the data view has a time field."""
    if "timeFieldName" not in view:
        return []
    return [{"range": {view["timeFieldName"]: {"gte": since, "lte": until, "format": STAMP}}}]


# Lens ----------------------------------------------------------------------------------------------------------------
def request(layer: Mapping[str, Any], filters: Sequence[Query], query: str, since: str, until: str) -> Query:
    """The search behind a layer: its buckets one in the other in the order of columns, its values innermost."""
    columns = layer["columns"]
    order = [ident for ident in layer["columnOrder"] if columns[ident]["isBucketed"]]
    values = [ident for ident in layer["columnOrder"] if not columns[ident]["isBucketed"]]
    aggs = {ident: made for ident in values if (made := _value(columns[ident]))}
    for ident in reversed(order):
        aggs = {ident: {**_bucket(columns[ident], columns, since, until), "aggs": aggs}}
    return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": [*filters, kql(query)]}}, "aggs": aggs}


def _bucket(column: Mapping[str, Any], columns: Mapping[str, Any], since: str, until: str) -> Query:
    params = column["params"]
    match column["operationType"]:
        case "date_histogram":
            bounds = {"extended_bounds": {"min": since, "max": until}, "min_doc_count": 0, "format": STAMP}
            interval = {"calendar_interval": params["interval"]}
            return {"date_histogram": {"field": column["sourceField"], **interval, "time_zone": "UTC", **bounds}}
        case "filters":
            return {"filters": {"filters": {one["label"]: kql(one["input"]["query"]) for one in params["filters"]}}}
        case "terms":
            order = _order(params, columns)
            return {"terms": {"field": column["sourceField"], "size": params["size"], "order": order}}
    raise ValueError(f"{column['operationType']} is no bucket that is known here")


def _order(params: Mapping[str, Any], columns: Mapping[str, Any]) -> Query:
    if params["orderBy"]["type"] == "alphabetical":
        return {"_key": params["orderDirection"]}
    by = columns[params["orderBy"]["columnId"]]
    if "filter" in by or by["operationType"] in ("last_value", "median", "percentile"):
        raise ValueError("this column cannot rank values")
    return {"_count" if by["operationType"] == "count" else params["orderBy"]["columnId"]: params["orderDirection"]}


_SINGLE = {"unique_count": "cardinality", "sum": "sum", "min": "min", "max": "max"}


def _value(column: Mapping[str, Any]) -> Query | None:
    """None: the number of documents of the bucket."""
    kind, field = column["operationType"], column["sourceField"]
    made: Query | None
    if kind == "count":
        made = None
    elif kind in _SINGLE:
        made = {_SINGLE[kind]: {"field": field}}
    elif kind in ("median", "percentile"):
        made = {"percentiles": {"field": field, "percents": [column["params"].get("percentile", 50)]}}
    elif kind == "last_value" and column["params"]["showArrayValues"]:
        sort = [{column["params"]["sortField"]: {"order": "desc"}}]
        made = {"top_hits": {"size": 1, "sort": sort, "docvalue_fields": [field], "_source": False}}
    else:
        raise ValueError(f"{kind} is no value that is known here")
    if "filter" not in column:
        return made
    inner = {"aggs": {"filtered": made}} if made else {}
    return {"filter": kql(column["filter"]["query"]), **inner}


def rows(layer: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table that Lens draws: a row for each innermost bucket that is not empty, a cell for each column."""
    columns = layer["columns"]
    order = [ident for ident in layer["columnOrder"] if columns[ident]["isBucketed"]]
    values = [ident for ident in layer["columnOrder"] if not columns[ident]["isBucketed"]]
    whole = {**answer.get("aggregations", {}), "doc_count": answer["hits"]["total"]["value"]}
    return list(_rows(order, {ident: columns[ident] for ident in values}, whole, {}))


def _rows(
    order: Sequence[str], values: Mapping[str, Any], bucket: Mapping[str, Any], row: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if not order:
        if bucket["doc_count"]:
            yield {**row, **{ident: _cell(column, bucket, ident) for ident, column in values.items()}}
        return
    buckets = bucket[order[0]]["buckets"]
    named = (
        buckets.items()
        if isinstance(buckets, dict)
        else ((one.get("key_as_string", one["key"]), one) for one in buckets)
    )
    for name, inner in named:
        yield from _rows(order[1:], values, inner, {**row, order[0]: name})


def _cell(column: Mapping[str, Any], bucket: Mapping[str, Any], ident: str) -> Any:
    found = bucket.get(ident, bucket)
    if column["operationType"] == "count":
        return found["doc_count"]
    found = found.get("filtered", found)
    if column["operationType"] in ("median", "percentile"):
        ((_, value),) = found["values"].items()
        return value
    if column["operationType"] == "last_value":
        hits = found["hits"]["hits"]
        return hits[0]["fields"][column["sourceField"]][0] if hits else None
    return found["value"]


def unpacked(one: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a saved object, with the JSON that stands in them as text read."""
    found = dict(one["attributes"])
    for name in ("panelsJSON", "optionsJSON", "fieldFormatMap"):
        if name in found:
            found[name] = json.loads(found[name])
    if "kibanaSavedObjectMeta" in found:
        found["source"] = json.loads(found["kibanaSavedObjectMeta"]["searchSourceJSON"])
    if "controlGroupInput" in found:
        found["controls"] = json.loads(found["controlGroupInput"]["panelsJSON"])
    return found
