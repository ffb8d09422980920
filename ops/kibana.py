"""`make kibana`: writes Kibana's saved objects (seeds/kibana/sitrep.ndjson) from seeds/kibana/objects.yaml.

The objects say of themselves that they are of old versions of their types: an import carries them to its own, and
refuses newer ones. So one file serves Kibana 9 and the last ones of 8. Panels stand in their dashboard by value.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lens import CHARTS, Layer, Wrong, query, visualization

FOLDER = Path(__file__).parents[1] / "seeds" / "kibana"
DEFINITIONS = FOLDER / "objects.yaml"
OBJECTS = FOLDER / "sitrep.ndjson"

CORE = "8.8.0"  # what all later exports say too
VERSIONS = {"index-pattern": "8.0.0", "search": "7.9.3", "dashboard": "10.2.0"}
PANEL = "8.11.0"  # the version of a panel's own form
INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"


def build(definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The saved objects of these definitions. Raises Wrong."""
    views, searches = definitions["views"], definitions["searches"]
    return [
        *(_view(ident, one) for ident, one in views.items()),
        *(_search(ident, one, views) for ident, one in searches.items()),
        *(_Dashboard(ident, one, views, searches).object() for ident, one in definitions["dashboards"].items()),
    ]


def ndjson(objects: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in objects)


def _object(kind: str, ident: str, attributes: Mapping[str, Any], references: Sequence[Any] = ()) -> dict[str, Any]:
    versions = {"coreMigrationVersion": CORE, "typeMigrationVersion": VERSIONS[kind]}
    return {"type": kind, "id": ident, **versions, "references": list(references), "attributes": attributes}


def _packed(value: Any) -> str:
    """JSON inside JSON, as Kibana keeps what it does not search."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _known(names: Mapping[str, Any], name: str, where: str) -> str:
    if name not in names:
        raise Wrong(f"{where}: there is no {name!r}; there are {', '.join(names)}")
    return name


# views and searches --------------------------------------------------------------------------------------------------
def _view(ident: str, view: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"inputFormat": "seconds", "outputFormat": "humanizePrecise", "outputPrecision": 1, "useShortSuffix": True}
    formats = {name: {"id": "duration", "params": shown} for name in view.get("durations", ())}
    time = {"timeFieldName": view["time"]} if "time" in view else {}
    plain = {"runtimeFieldMap": "{}", "fieldAttrs": "{}", "fieldFormatMap": _packed(formats), "sourceFilters": "[]"}
    return _object("index-pattern", ident, {"title": view["index"], "name": view["name"], **time, **plain})


def _search(ident: str, search: Mapping[str, Any], views: Mapping[str, Any]) -> dict[str, Any]:
    view = _known(views, search["view"], f"searches.{ident}")
    source = {"query": query(search["query"]), "filter": [], "indexRefName": INDEX}
    attributes = {
        "title": search["title"],
        "description": search["description"],
        "columns": search["columns"],
        "sort": [search["sort"]],
        **_restored(search, "timeRange"),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _packed(source)},
    }
    return _object("search", ident, attributes, [{"type": "index-pattern", "id": view, "name": INDEX}])


def _restored(definition: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The time range that is set when somebody opens it; without one, Kibana's own stays."""
    if "range" not in definition:
        return {}
    since, until = definition["range"]
    return {"timeRestore": True, name: {"from": since, "to": until}}


# dashboards --------------------------------------------------------------------------------------------------------
class _Dashboard:
    def __init__(
        self, ident: str, told: Mapping[str, Any], views: Mapping[str, Any], searches: Mapping[str, Any]
    ) -> None:
        self._ident, self._told, self._views, self._searches = ident, told, views, searches
        self._references: list[dict[str, str]] = []

    def object(self) -> dict[str, Any]:
        since, until = self._told["range"]
        options = {"useMargins": True, "syncColors": True, "syncCursor": True, "syncTooltips": False}
        attributes = {
            "title": self._told["title"],
            "description": self._told["description"],
            "timeRestore": True,
            "timeFrom": since,
            "timeTo": until,
            "optionsJSON": _packed({**options, "hidePanelTitles": False}),
            "kibanaSavedObjectMeta": {"searchSourceJSON": _packed({"query": query(""), "filter": []})},
            "panelsJSON": _packed(list(self._panels())),
            "controlGroupInput": self._controls(),
        }
        return _object("dashboard", self._ident, attributes, self._references)

    def _refer(self, kind: str, ident: str, name: str) -> dict[str, str]:
        self._references.append({"type": kind, "id": ident, "name": name})
        return self._references[-1]

    def _panels(self) -> Iterator[dict[str, Any]]:
        for panel in self._told["panels"]:
            where = f"dashboards.{self._ident}, panel {panel.get('title')!r}"
            name = re.sub(r"[^a-z0-9]+", "-", panel["title"].lower()).strip("-")
            x, y, width, height = panel["at"]
            grid = {"x": x, "y": y, "w": width, "h": height, "i": name}
            place = {"version": PANEL, "panelIndex": name, "gridData": grid, "title": panel["title"]}
            if "search" in panel:
                search = _known(self._searches, panel["search"], where)
                self._refer("search", search, f"{name}:panel_{name}")
                yield {**place, "type": "search", "panelRefName": f"panel_{name}", "embeddableConfig": {}}
            else:
                config = {"attributes": self._lens(name, panel, where), "enhancements": {}}
                yield {**place, "type": "lens", "embeddableConfig": config}

    def _lens(self, name: str, panel: Mapping[str, Any], where: str) -> dict[str, Any]:
        if panel["chart"] not in CHARTS:
            raise Wrong(f"{where}: {panel['chart']!r} is no chart; there are {', '.join(CHARTS)}")
        view = _known(self._views, panel.get("view", self._told["view"]), where)
        told = panel.get("layers", [panel])
        layers = [
            Layer.of(f"layer{number}", one, where, whole=panel["chart"] == "donut") for number, one in enumerate(told)
        ]
        inner = [
            {"type": "index-pattern", "id": view, "name": f"indexpattern-datasource-layer-{layer.ident}"}
            for layer in layers
        ]
        for one in inner:
            self._refer(one["type"], one["id"], f"{name}:{one['name']}")
        kind, state = visualization(panel["chart"], layers)
        return {
            "title": panel["title"],
            "type": "lens",
            "visualizationType": kind,
            "references": inner,
            "state": {
                "query": query(panel.get("query", "")),
                "filters": [],
                "internalReferences": [],
                "adHocDataViews": {},
                "visualization": state,
                "datasourceStates": {"formBased": {"layers": {layer.ident: layer.state() for layer in layers}}},
            },
        }

    def _controls(self) -> dict[str, Any]:
        panels = {}
        view = _known(self._views, self._told["view"], f"dashboards.{self._ident}")
        for order, control in enumerate(self._told["controls"]):
            name = f"by-{control['field']}"
            self._refer("index-pattern", view, f"controlGroup_{name}:optionsListDataView")
            asked = {"id": name, "fieldName": control["field"], "title": control["label"], "selectedOptions": []}
            panels[name] = {
                "order": order,
                "width": "medium",
                "grow": False,
                "type": "optionsListControl",
                "explicitInput": {**asked, "enhancements": {}},
            }
        minded = dict.fromkeys(("ignoreFilters", "ignoreQuery", "ignoreTimerange", "ignoreValidations"), False)
        return {
            "controlStyle": "oneLine",
            "chainingSystem": "HIERARCHICAL",
            "showApplySelections": False,
            "ignoreParentSettingsJSON": _packed(minded),
            "panelsJSON": _packed(panels),
        }


def main() -> int:
    try:
        objects = build(yaml.safe_load(DEFINITIONS.read_text()))
    except Wrong as error:
        print(f"{DEFINITIONS.name}: {error}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        print(f"{DEFINITIONS.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    OBJECTS.write_text(ndjson(objects))
    print(f"{OBJECTS}: {len(objects)} objects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
