"""Kibana's saved objects, checked without Kibana: their form, that everything they name is there, and that each panel
and saved search, asked as Kibana would ask it, has an answer on a real server. Whether they look well is not tested."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import kibana_asking as asking
import pytest
import yaml
from elasticsearch import Elasticsearch

from ingest.landing import Landing
from ingest.models import Capture, Feed, FullText
from ingest.pipeline import digesting, jobs, runs
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings
from tests import faulty
from tests.elastic_server import PREFIX, wipe
from tests.servers import FaultServer, Reply

# A busy machine takes minutes to make the indices of forty months.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "seeds" / "kibana"
OBJECTS = [json.loads(line) for line in (FOLDER / "sitrep.ndjson").read_text().splitlines()]
BY_ID = {(one["type"], one["id"]): one for one in OBJECTS}
VIEWS = {one["id"]: one["attributes"] for one in OBJECTS if one["type"] == "index-pattern"}
SEARCHES = {one["id"]: one for one in OBJECTS if one["type"] == "search"}
DASHBOARDS = {one["id"]: asking.unpacked(one) for one in OBJECTS if one["type"] == "dashboard"}
PANELS = [
    pytest.param(ident, panel, id=f"{ident}: {panel['title']}")
    for ident, dashboard in DASHBOARDS.items()
    for panel in dashboard["panelsJSON"]
    if panel["type"] == "lens"
]
# What Kibana 9.4 is known to take, and to carry to its own versions.
VERSIONS = {"index-pattern": "8.0.0", "search": "7.9.3", "dashboard": "10.2.0"}


def layers(panel: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
    return found


def view_of(panel: Mapping[str, Any]) -> dict[str, Any]:
    (ident,) = {one["id"] for one in panel["embeddableConfig"]["attributes"]["references"]}
    found: dict[str, Any] = VIEWS[ident]
    return found


# the script ----------------------------------------------------------------------------------------------------------
def test_the_file_is_what_the_script_makes_of_the_definitions() -> None:
    made = "kibana.ndjson(kibana.build(yaml.safe_load(kibana.DEFINITIONS.read_text())))"
    script = f"import kibana, yaml; print({made}, end='')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "ops", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == (FOLDER / "sitrep.ndjson").read_text(), "objects.yaml was changed: run `make kibana`"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"chart": "pie"}, "'pie' is no chart"),
        ({"view": "sitrep-storys"}, "there is no 'sitrep-storys'"),
        ({"values": {"Stories": "mean delay_s"}}, "'mean delay_s' is no column"),
        ({"search": "sitrep-yesterday"}, "there is no 'sitrep-yesterday'"),
    ],
    ids=["chart", "view", "column", "search"],
)
def test_a_definition_that_says_nothing_is_told_by_its_place(
    change: Mapping[str, Any], complaint: str, tmp_path: Path
) -> None:
    definitions = yaml.safe_load((FOLDER / "objects.yaml").read_text())
    definitions["dashboards"]["sitrep-analyst"]["panels"][0].update(change)
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump(definitions, sort_keys=False))
    script = "import kibana, sys, pathlib; kibana.DEFINITIONS = pathlib.Path(sys.argv[1]); sys.exit(kibana.main())"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "objects.yaml")],
        cwd=ROOT / "ops", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "dashboards.sitrep-analyst, panel 'Different stories'" in done.stderr


# form ----------------------------------------------------------------------------------------------------------------
def test_each_line_is_an_object_that_an_import_takes() -> None:
    assert len(BY_ID) == len(OBJECTS)
    for one in OBJECTS:
        assert set(one) == {"type", "id", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion"}
        assert one["coreMigrationVersion"] == "8.8.0"
        assert one["typeMigrationVersion"] == VERSIONS[one["type"]]
        assert one["id"].startswith("sitrep-")
        assert one["attributes"]["title"]
    assert (FOLDER / "sitrep.ndjson").stat().st_size < 1_000_000


# Kibana refuses an attribute that it does not know.
KNOWN = {
    "index-pattern": {
        "title", "name", "timeFieldName", "runtimeFieldMap", "fieldAttrs", "fieldFormatMap", "sourceFilters",
    },
    "search": {"title", "description", "columns", "sort", "timeRestore", "timeRange", "kibanaSavedObjectMeta"},
    "dashboard": {
        "title", "description", "timeRestore", "timeFrom", "timeTo", "optionsJSON", "kibanaSavedObjectMeta",
        "panelsJSON", "controlGroupInput",
    },
}  # fmt: skip
CONTROLS = {"controlStyle", "chainingSystem", "showApplySelections", "ignoreParentSettingsJSON", "panelsJSON"}


def test_no_attribute_is_unknown_to_kibana() -> None:
    for one in OBJECTS:
        assert one["attributes"].keys() <= KNOWN[one["type"]], one["id"]
        assert one["attributes"].get("controlGroupInput", {}).keys() <= CONTROLS
        for name, value in one["attributes"].items():
            assert not name.endswith(("JSON", "Map", "Attrs", "Filters")) or isinstance(value, str), name


def test_no_control_says_null() -> None:
    """Kibana 9.4.0 cannot open a dashboard with a control whose title is null."""
    for dashboard in DASHBOARDS.values():
        assert dashboard["controls"]
        assert "null" not in json.dumps(dashboard["controls"])


def test_titles_that_were_asked_for_are_there() -> None:
    assert {one["attributes"]["title"] for one in SEARCHES.values()} >= {
        "Today, one per story", "Aid with its evidence", "No date", "Quarantined",
    }  # fmt: skip
    titles = {panel["title"] for dashboard in DASHBOARDS.values() for panel in dashboard["panelsJSON"]}
    assert titles >= {
        "Stories per day by topic", "Main against mentioned", "Top sources", "Largest clusters", "Languages",
        "Share of copies", "Outcomes by run", "Outcomes by feed", "From published to indexed",
        "Feeds silent for a day", "Quarantine by reason",
    }  # fmt: skip


# references ----------------------------------------------------------------------------------------------------------
def test_every_reference_resolves_and_every_name_is_used() -> None:
    for one in OBJECTS:
        for reference in one["references"]:
            assert (reference["type"], reference["id"]) in BY_ID, reference
        declared = [reference["name"] for reference in one["references"]]
        assert len(set(declared)) == len(declared)
        assert set(declared) == set(_used(one)), one["id"]


def _used(one: Mapping[str, Any]) -> Iterator[str]:
    told = asking.unpacked(one)
    if "indexRefName" in told.get("source", {}):
        yield told["source"]["indexRefName"]
    for panel in told.get("panelsJSON", ()):
        if panel["type"] == "search":
            yield f"{panel['panelIndex']}:{panel['panelRefName']}"
        else:
            yield from (f"{panel['panelIndex']}:indexpattern-datasource-layer-{layer}" for layer in layers(panel))
    yield from (f"controlGroup_{control}:optionsListDataView" for control in told.get("controls", ()))


def test_a_chart_repeats_its_references_in_its_dashboard() -> None:
    for ident, dashboard in DASHBOARDS.items():
        outer = {one["name"]: one["id"] for one in BY_ID["dashboard", ident]["references"]}
        for panel in (panel for panel in dashboard["panelsJSON"] if panel["type"] == "lens"):
            inner = panel["embeddableConfig"]["attributes"]["references"]
            assert {one["name"] for one in inner} == {
                f"indexpattern-datasource-layer-{layer}" for layer in layers(panel)
            }
            assert all(outer[f"{panel['panelIndex']}:{one['name']}"] == one["id"] for one in inner)


# columns and places --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("ident", "panel"), PANELS)
def test_a_chart_uses_its_columns_and_no_others(ident: str, panel: Mapping[str, Any]) -> None:
    state = panel["embeddableConfig"]["attributes"]["state"]
    drawn = state["visualization"]
    drawn_layers = {one["layerId"]: one for one in drawn.get("layers", [drawn])}
    assert drawn_layers.keys() == layers(panel).keys()
    for name, layer in layers(panel).items():
        assert layer["columnOrder"] == list(layer["columns"])
        one = drawn_layers[name]
        shown = [one.get("xAccessor"), one.get("splitAccessor"), one.get("metricAccessor"), *one.get("accessors", [])]
        shown += [*one.get("primaryGroups", []), *one.get("metrics", [])]
        shown += [column["columnId"] for column in one.get("columns", [])]
        assert sorted(filter(None, shown)) == sorted(layer["columns"])
        for column in layer["columns"].values():
            assert column["label"]
            assert {"dataType", "isBucketed", "scale", "operationType"} <= column.keys()
            order = column.get("params", {}).get("orderBy", {})
            assert order.get("columnId", layer["columnOrder"][-1]) in layer["columns"]
        buckets = [layer["columns"][column]["isBucketed"] for column in layer["columnOrder"]]
        assert buckets == sorted(buckets, reverse=True)


def test_panels_fill_the_grid_without_overlap() -> None:
    for dashboard in DASHBOARDS.values():
        taken: set[tuple[int, int]] = set()
        names = [panel["panelIndex"] for panel in dashboard["panelsJSON"]]
        assert len(set(names)) == len(names) <= 100
        for panel in dashboard["panelsJSON"]:
            place = panel["gridData"]
            assert place["i"] == panel["panelIndex"]
            assert 0 <= place["x"] < place["x"] + place["w"] <= 48
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
        assert len(taken) == 48 * (1 + max(y for _, y in taken)), "a hole"


# fields --------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def seeded(elasticsearch_url: str, client: Elasticsearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The prefix of a store that has what the objects are to show: the bundled archive, through the command line; a
    page that must be paid for; an item that kills its worker; and two feeds, of which one has brought nothing new for
    two days."""
    prefix, home = f"{PREFIX}kibana-", tmp_path_factory.mktemp("kibana") / "home"
    wipe(client, prefix, whole=True)
    served = {"elasticsearch_url": elasticsearch_url, "elasticsearch_prefix": prefix}
    environ = {
        **os.environ,
        "SITREP_HOME": str(home),
        "SITREP_WORKERS": "1",
        "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8",
        "SITREP_ELASTICSEARCH_URL": elasticsearch_url,
        "SITREP_ELASTICSEARCH_PREFIX": prefix,
    }

    def sitrep(*arguments: str) -> str:
        command = [sys.executable, "-m", "ingest", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sitrep("backfill", "seeds/archive")
    with Landing(str(home.parent)).captures("paid.warc.gz") as writer:
        html = (("Content-Type", "text/html; charset=utf-8"),)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        page = PAID.replace(b"PUBLISHED", f"{yesterday:%Y-%m-%dT%H:%MZ}".encode())
        writer.add(Capture("https://paid.example/orchard", 200, html, page, yesterday + timedelta(hours=3)))
    sitrep("backfill", str(home.parent / "paid.warc.gz"))
    bad = home / "bad.jsonl"
    bad.write_text(json.dumps({"url": "https://n.example/bad", "title": "OUT OF MEMORY", "text": "It dies of this."}))
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    pipe = Pipe(Settings(home, str(home / "landing"), workers=1, allow_addresses=loopback, **served))
    with FaultServer() as server, pytest.MonkeyPatch.context() as patched:
        patched.setattr(digesting, "work", faulty.work)
        jobs.backfill(pipe, runs.start("archive"), [str(bad)])
        patched.undo()
        now = datetime.now(UTC)
        server.on("/silent", Reply(200, rss("silent", {TOLD[0]: now - timedelta(days=3)}), RSS))
        first = rss("lively", {TOLD[1]: now - timedelta(days=2, hours=1)})
        then = rss("lively", {TOLD[2]: now - timedelta(hours=1), TOLD[3]: now + timedelta(hours=12)})
        server.on("/lively", [Reply(200, body, RSS) for body in (first, then)])
        server.on("/gone", Reply(404))
        urls = [server.url(path) for path in ("/silent", "/lively", "/gone")]
        feeds = [Feed(url, full_text=FullText.NEVER, delay=0.01) for url in urls]
        pipe.store.save_feeds(feeds)
        polls = jobs.choose(pipe, feeds, everything=True)
        jobs.poll(pipe, runs.start("daily", now=now - timedelta(days=2)), polls)
        pipe.close()
        sitrep("run")
    yield prefix
    wipe(client, prefix, whole=True)


RSS = {"Content-Type": "application/rss+xml"}
PAID = b"""<html><head><title>The orchard</title>
<meta name="article:content_tier" content="locked"><meta property="article:published_time" content="PUBLISHED">
</head><body><article><h1>The orchard behind the station is cut down</h1><p>On Tuesday morning workers felled the first
forty of the old pear trees behind the station, while neighbours who had planted some of them stood at the fence and
watched.</p></article></body></html>"""


TOLD = (
    "Beekeepers of the upper valley count fewer hives after the frost in April",
    "The ferry to the islands stays in port while its engine is taken apart",
    "Nine schools open their kitchens on Sunday and teach whoever comes how to bake bread",
    "A bridge of 1911 gets new lamps, and the town council quarrels about their colour",
)


def rss(name: str, stories: Mapping[str, datetime]) -> bytes:
    items = "".join(
        f"<item><title>{told}</title><link>https://{name}.example/{moment:%Y%m%d%H}</link>"
        f"<pubDate>{format_datetime(moment)}</pubDate><description>{told}, {name} was told.</description></item>"
        for told, moment in stories.items()
    )
    return f"<rss version='2.0'><channel><title>{name}</title>{items}</channel></rss>".encode()


@pytest.fixture(scope="module")
def capabilities(seeded: str, client: Elasticsearch) -> dict[str, Any]:
    """The fields of each data view as the server knows them: name → its types with what they can do."""
    return {
        ident: client.field_caps(index=f"{seeded}{view['title']}", fields="*", include_unmapped=False)["fields"]
        for ident, view in VIEWS.items()
    }


AGGREGATED = {"string": {"keyword"}, "date": {"date"}, "boolean": {"boolean"}, "number": {"long", "integer", "double"}}


def test_every_field_is_there_and_can_do_what_is_asked_of_it(capabilities: Mapping[str, Any]) -> None:
    for ident, view in VIEWS.items():
        wanted = [view["timeFieldName"]] if "timeFieldName" in view else []
        for name in [*wanted, *json.loads(view["fieldFormatMap"])]:
            _aggregatable(capabilities[ident], name)
    for one in SEARCHES.values():
        told = asking.unpacked(one)
        fields = capabilities[one["references"][0]["id"]]
        assert {*told["columns"], *asking.fields_of(told["source"]["query"]["query"])} <= fields.keys(), told["title"]
        for name, _ in told["sort"]:
            _aggregatable(fields, name)
    for ident, dashboard in DASHBOARDS.items():
        of = {one["name"]: one["id"] for one in BY_ID["dashboard", ident]["references"]}
        for name, control in dashboard["controls"].items():
            fields = capabilities[of[f"controlGroup_{name}:optionsListDataView"]]
            _aggregatable(fields, control["explicitInput"]["fieldName"])


@pytest.mark.parametrize(("ident", "panel"), PANELS)
def test_every_field_of_a_chart_is_there(ident: str, panel: Mapping[str, Any], capabilities: Mapping[str, Any]) -> None:
    (view,) = {one["id"] for one in panel["embeddableConfig"]["attributes"]["references"]}
    fields = capabilities[view]
    asked = asking.fields_of(panel["embeddableConfig"]["attributes"]["state"]["query"]["query"])
    for layer in layers(panel).values():
        for column in layer["columns"].values():
            for one in column.get("params", {}).get("filters", []):
                asked |= asking.fields_of(one["input"]["query"])
            asked |= asking.fields_of(column.get("filter", {}).get("query", ""))
            source = column.get("sourceField", "___records___")
            if source != "___records___":
                kind = _aggregatable(fields, source)
                expected = "number" if column["operationType"] == "unique_count" else column["dataType"]
                assert column["operationType"] == "unique_count" or kind in AGGREGATED[expected], (source, kind)
            if "sortField" in column.get("params", {}):
                assert _aggregatable(fields, column["params"]["sortField"]) == "date"
    assert asked <= fields.keys()


def _aggregatable(fields: Mapping[str, Any], name: str) -> str:
    """The type of a field that can be counted, grouped and sorted by."""
    assert name in fields, f"no field {name}"
    ((kind, told),) = fields[name].items()
    assert told["aggregatable"], f"{name} cannot be aggregated"
    return str(kind)


# answers -------------------------------------------------------------------------------------------------------------
EVER = ("2022-01-01", "now+3d/d")  # the bundled archive is of years ago


@pytest.mark.parametrize(("ident", "panel"), PANELS)
def test_a_chart_has_an_answer(ident: str, panel: Mapping[str, Any], seeded: str, client: Elasticsearch) -> None:
    dashboard, view = DASHBOARDS[ident], view_of(panel)
    since, until = EVER if ident == "sitrep-analyst" else (dashboard["timeFrom"], dashboard["timeTo"])
    query = panel["embeddableConfig"]["attributes"]["state"]["query"]["query"]
    for layer in layers(panel).values():
        body = asking.request(layer, asking.within(view, since, until), query, since, until)
        answer = client.search(index=f"{seeded}{view['title']}", **body)
        table = asking.rows(layer, answer.body)
        assert table, panel["title"]
        for row in table:
            assert row.keys() == layer["columns"].keys()
        first = [table[0][column] for column in layer["columns"]]
        assert all(value is not None for value in first), (panel["title"], first)


def answer(title: str, seeded: str, client: Elasticsearch) -> list[list[Any]]:
    """The table of a chart, by the order of its columns."""
    ident, panel = next(one.values for one in PANELS if one.values[1]["title"] == title)
    since, until = EVER if ident == "sitrep-analyst" else (DASHBOARDS[ident]["timeFrom"], DASHBOARDS[ident]["timeTo"])
    view, query = view_of(panel), panel["embeddableConfig"]["attributes"]["state"]["query"]["query"]
    (layer,) = layers(panel).values()
    body = asking.request(layer, asking.within(view, since, until), query, since, until)
    found = client.search(index=f"{seeded}{view['title']}", **body)
    return [list(row.values()) for row in asking.rows(layer, found.body)]


def test_charts_show_what_is_so(seeded: str, client: Elasticsearch) -> None:
    assert answer("Not in these charts, for want of a date", seeded, client) == [[1]]
    ((different,),), ((tellings,),) = (answer(title, seeded, client) for title in ("Different stories", "Tellings"))
    assert 0 < different < tellings
    copies = answer("Share of copies", seeded, client)
    assert {row[0] for row in copies} == {"First told", "Copies"}
    assert sum(row[2] for row in copies) == tellings
    cluster = answer("Largest clusters", seeded, client)[0]
    assert cluster[1] > 1
    assert cluster[3]  # a title, where a person would see nothing but an id
    by_run = answer("Outcomes by run", seeded, client)
    assert [row[0] for row in by_run] == sorted((row[0] for row in by_run), reverse=True)
    assert sum(sum(row[1:]) for row in by_run) == answer("Entries", seeded, client)[0][0]
    assert answer("In quarantine now", seeded, client) == [[1]]
    assert answer("Quarantine by reason", seeded, client) == [["killed", 1]]
    assert [row[:2] for row in answer("Outlets of which only the beginning is read", seeded, client)] == [
        ["paid.example", 1]
    ]
    assert answer("Kinds of page", seeded, client) == [["article", 1]]
    reasons = dict(answer("Rejected and quarantined by reason", seeded, client))
    assert reasons == {"killed": 1, "media-type": 1, "status-404": 1}


def test_a_feed_that_brought_nothing_new_for_a_day_is_named(seeded: str, client: Elasticsearch) -> None:
    silent = {row[0].rpartition("/")[2]: row for row in answer("Feeds silent for a day", seeded, client)}
    assert silent.keys() == {"silent", "gone"}
    assert 2 * 86400 - 60 < silent["silent"][1] < 3 * 86400
    assert (silent["silent"][4], silent["gone"][4]) == ("unchanged", "backoff")
    by_feed = {row[0].rpartition("/")[2]: row[1] for row in answer("Outcomes by feed", seeded, client)}
    assert by_feed == {"silent": 1, "lively": 3, "gone": 0}


def test_the_delay_is_that_of_what_feeds_brought(seeded: str, client: Elasticsearch) -> None:
    rows = answer("From published to indexed", seeded, client)
    assert min(row[1] for row in rows) == pytest.approx(3600, abs=600)
    assert max(row[2] for row in rows) == pytest.approx(3 * 86400, abs=3600)


@pytest.mark.parametrize("ident", SEARCHES)
def test_a_saved_search_finds_something(ident: str, seeded: str, client: Elasticsearch) -> None:
    one = SEARCHES[ident]
    told, view = asking.unpacked(one), VIEWS[one["references"][0]["id"]]
    times = told.get("timeRange", {})
    since, until = (times["from"], times["to"]) if ident == "sitrep-today" else EVER
    query = {"bool": {"filter": [*asking.within(view, since, until), asking.kql(told["source"]["query"]["query"])]}}
    sort = [{name: order} for name, order in told["sort"]]
    fields = [{"field": f"{name}*" if name == "evidence" else name} for name in told["columns"]]
    found = client.search(index=f"{seeded}{view['title']}", query=query, sort=sort, fields=fields, source=False)
    assert found["hits"]["hits"]
    for hit in found["hits"]["hits"]:
        assert hit["fields"].keys() >= EXPECTED[ident]


# Columns that no hit of a search may be without.
EXPECTED = {
    "sitrep-today": {"title", "source"},
    "sitrep-aid": {"title", "evidence_rules", "evidence"},
    "sitrep-no-date": {"title", "first_seen"},
    "sitrep-beginnings": {"title", "source", "published", "url"},
    "sitrep-quarantined": {"reason", "detail", "source", "url", "where", "run", "size"},
}


@pytest.mark.parametrize("ident", DASHBOARDS)
def test_what_a_control_offers_leaves_something(ident: str, seeded: str, client: Elasticsearch) -> None:
    view = VIEWS[next(one["id"] for one in BY_ID["dashboard", ident]["references"] if "controlGroup" in one["name"])]
    index = f"{seeded}{view['title']}"
    for control in DASHBOARDS[ident]["controls"].values():
        field = control["explicitInput"]["fieldName"]
        offered = client.search(index=index, size=0, aggs={"offered": {"terms": {"field": field}}})
        for bucket in offered["aggregations"]["offered"]["buckets"][:3]:
            value = bucket.get("key_as_string", bucket["key"])
            assert client.count(index=index, query={"term": {field: value}})["count"] == bucket["doc_count"] > 0


# KQL -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["a: b or c: d", "a", "a:", "(a: b)", 'a: "b', "a: { b: c", "a b: c"])
def test_what_is_not_known_of_kql_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        asking.kql(text)
