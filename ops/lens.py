"""Lens, Kibana's charts: what a column and a chart of objects.yaml are in its own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

XY = ("bar_stacked", "bar_horizontal", "bar_horizontal_stacked", "bar_percentage_stacked", "line")
CHARTS = (*XY, "metric", "table", "donut")

Spec = str | Mapping[str, str]


class Wrong(Exception):
    """A definition that says nothing that can be shown: where it stands, and what is wrong with it."""


def query(text: str) -> dict[str, str]:
    return {"query": text, "language": "kuery"}


# columns -------------------------------------------------------------------------------------------------------------
_COUNT = {"operationType": "count", "sourceField": "___records___"}
_UNARY = {"unique": "unique_count", "sum": "sum", "min": "min", "max": "max", "median": "median"}
_DATES = frozenset({"published", "started", "ended", "first_seen", "indexed", "last_new", "captured", "first", "last"})
_BOOLEANS = frozenset({"lead", "dated", "gap", "truncated"})
_SPEC = re.compile(
    r"(?P<count>count)|(?P<unary>unique|sum|min|max|median) (?P<field>\S+)|percentile (?P<share>\d+) (?P<of>\S+)"
    r"|last (?P<last>\S+) by (?P<by>\S+)|(?P<rank>top|newest) (?P<size>\d+) (?P<terms>\S+)|daily (?P<daily>\S+)"
)


def _kind(name: str) -> str:
    return "date" if name in _DATES else "boolean" if name in _BOOLEANS else "string"


def column(label: str, spec: Spec, value: str, where: str, *, other: bool = False) -> dict[str, Any]:
    """A Lens column. `value` is the id of the column by which values are ranked, `other` whether the rest of them is
    shown as well."""
    named = {"label": label, "customLabel": True}
    if not isinstance(spec, str):
        filters = [{"label": part, "input": query(asked)} for part, asked in spec.items()]
        made = {"operationType": "filters", "params": {"filters": filters}}
        return {**named, "dataType": "string", **made, "isBucketed": True, "scale": "ordinal"}
    plain, _, where_query = spec.partition(" where ")
    match = _SPEC.fullmatch(plain)
    if not match:
        raise Wrong(f"{where}: {spec!r} is no column; the head of objects.yaml lists what is one")
    if match["rank"] or match["daily"]:
        return {**named, **_bucket(match, value, other)}
    filtered = {"filter": query(where_query)} if where_query else {}
    return {**named, "isBucketed": False, **_value(match), **filtered}


def _bucket(match: re.Match[str], value: str, other: bool) -> dict[str, Any]:
    if match["daily"]:
        params: dict[str, Any] = {"interval": "1d", "includeEmptyRows": True, "dropPartials": False}
        made = {"dataType": "date", "operationType": "date_histogram", "sourceField": match["daily"]}
        return {**made, "isBucketed": True, "scale": "interval", "params": params}
    by_value = {"type": "column", "columnId": value}
    params = {
        "size": int(match["size"]),
        "orderBy": by_value if match["rank"] == "top" else {"type": "alphabetical", "fallback": False},
        "orderDirection": "desc",
        "otherBucket": other,
        "missingBucket": False,
        "parentFormat": {"id": "terms"},
    }
    made = {"dataType": _kind(match["terms"]), "operationType": "terms", "sourceField": match["terms"]}
    return {**made, "isBucketed": True, "scale": "ordinal", "params": params}


def _value(match: re.Match[str]) -> dict[str, Any]:
    number = {"dataType": "number", "scale": "ratio"}
    if match["count"]:
        return {**number, **_COUNT, "params": {"emptyAsNull": False}}
    if match["share"]:
        params: dict[str, Any] = {"percentile": int(match["share"])}
        return {**number, "operationType": "percentile", "sourceField": match["of"], "params": params}
    if match["last"]:  # as an array: of a keyword, the other way is not to be had on every server
        params = {"sortField": match["by"], "showArrayValues": True}
        made = {"operationType": "last_value", "sourceField": match["last"], "params": params}
        return {"dataType": _kind(match["last"]), "scale": "ordinal", **made}
    date = match["unary"] in ("min", "max") and _kind(match["field"]) == "date"
    made = {"operationType": _UNARY[match["unary"]], "sourceField": match["field"], "params": {"emptyAsNull": True}}
    return {"dataType": "date" if date else "number", "scale": "ratio", **made}


# charts --------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Layer:
    """Columns of one data view: values, and what they are divided by; the outermost first."""

    ident: str
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    x: str = ""
    split: str = ""
    values: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, ident: str, told: Mapping[str, Any], where: str, *, whole: bool) -> Layer:
        """`whole`: its values are parts of one, so the rest is shown too."""
        layer = cls(ident)
        layer.values = [f"{ident}-value{number}" for number in range(len(told["values"]))]
        for name in ("split", "x", "rows"):  # the top values of the whole range, not of each day
            if name in told:
                column_id = f"{ident}-{name}"
                ((label, spec),) = told[name].items()
                other = whole or name == "split"
                layer.columns[column_id] = column(label, spec, layer.values[0], where, other=other)
                if name == "split":
                    layer.split = column_id
                else:
                    layer.x = column_id
        for column_id, (label, spec) in zip(layer.values, told["values"].items(), strict=True):
            layer.columns[column_id] = column(label, spec, column_id, where)
        return layer

    def state(self) -> dict[str, Any]:
        return {"columnOrder": list(self.columns), "columns": self.columns, "incompleteColumns": {}}


def visualization(chart: str, layers: Sequence[Layer]) -> tuple[str, dict[str, Any]]:
    """Which of Lens' charts it is, and its state."""
    first = layers[0]
    data = {"layerId": first.ident, "layerType": "data"}
    if chart == "metric":
        return "lnsMetric", {**data, "metricAccessor": first.values[0]}
    if chart == "table":
        columns = [{"columnId": ident, "isTransposed": False} for ident in first.columns]
        return "lnsDatatable", {**data, "columns": columns}
    if chart == "donut":
        shown = {"numberDisplay": "percent", "categoryDisplay": "default", "legendDisplay": "default"}
        layer = {**data, "primaryGroups": [first.x], "metrics": first.values, **shown, "nestedLegend": False}
        return "lnsPie", {"shape": "donut", "layers": [layer]}
    drawn = [
        {
            "layerId": layer.ident,
            "layerType": "data",
            "seriesType": chart,
            "xAccessor": layer.x,
            **({"splitAccessor": layer.split} if layer.split else {}),
            "accessors": layer.values,
        }
        for layer in layers
    ]
    legend = {"isVisible": True, "position": "right"}
    state = {"preferredSeriesType": chart, "legend": legend, "valueLabels": "hide", "fittingFunction": "None"}
    return "lnsXY", {**state, "layers": drawn}
