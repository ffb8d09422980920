"""Searching: what the first page, its JSON, its feed and its downloads show. On both stores."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from fastapi.testclient import TestClient
from lxml import etree

from ingest.settings import Settings
from tests import elastic_server, windows

ATOM = {"a": "http://www.w3.org/2005/Atom"}


@pytest.fixture(scope="session")
def plain(archive_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """A home, and an archive to fill its store with."""
    home = tmp_path_factory.mktemp("both")
    return Settings(home=home, landing=str(home / "landing"), workers=1), windows.years_before(archive_home, home)


@pytest.fixture(scope="session")
def on_sqlite(plain: tuple[Settings, Path]) -> Iterator[TestClient]:
    settings, archive = plain
    with windows.client(windows.filled(settings, archive)) as client:
        yield client


@pytest.fixture(scope="session")
def on_elasticsearch(
    elasticsearch_url: str, client: Elasticsearch, plain: tuple[Settings, Path]
) -> Iterator[TestClient]:
    settings, archive = plain
    prefix = f"{elastic_server.PREFIX}web-"
    served = replace(settings, elasticsearch_url=elasticsearch_url, elasticsearch_prefix=prefix)
    with windows.client(windows.filled(served, archive)) as asking:
        yield asking


@pytest.fixture(params=["sqlite", "elasticsearch"])
def both(request: pytest.FixtureRequest) -> TestClient:
    client: TestClient = request.getfixturevalue(f"on_{request.param}")
    return client


def found(client: TestClient, query: str = "") -> Any:
    answer = client.get(f"/api/v1/search?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


QUERIES = (
    "",
    "q=troops",
    "q=%22air+defence%22+-tallinn",
    "q=title%3Atroops",
    "topic=aid&weight=main",
    "topic=aid&topic=deployments&weight=mentioned",
    "topic=escalation&status=planned",
    "status=negated&status=demanded",
    "source=northwire.example&every=1",
    "lang=uk&lang=de",
    "since=2012-03-05&until=2012-03-06",
    "q=ammunition&sort=oldest&every=1",
    "sort=oldest",
    "q=nowhereatall",
    *(
        "&".join(filter(None, pair))
        for pair in itertools.product(
            ("q=grain", "q=%22grain+and%22", "q=title%3Aair", "q=shell*", "q=port+-grain", ""),
            (
                "topic=escalation",
                "topic=aid&topic=escalation&weight=main",
                "topic=deployments&weight=mentioned&every=1",
                "status=asserted&status=history",
                "source=northwire.example&source=harbourpost.example",
                "lang=en&sort=newest",
                "since=2012-03-04T18%3A00Z&sort=oldest",
                "until=2012-03-06&topic=aid&lang=en",
            ),
        )
    ),
)


@pytest.mark.parametrize("query", QUERIES)
def test_both_stores_show_the_same(on_sqlite: TestClient, on_elasticsearch: TestClient, query: str) -> None:
    def shown(client: TestClient) -> Any:
        page = found(client, query)
        ranked = "q=" in query and "sort" not in query  # by statistics that each counts in its own way
        names = ("cluster", "copies", "outlets") if ranked else ("id", "snippet", "marks", "copies", "outlets")
        hits = [[hit[name] for name in names] for hit in page["hits"]]
        hits = sorted(hits) if ranked else hits
        filters = client.get(f"/api/filters?{query}").json()
        days = client.get(f"/api/v1/days?{query}").json()
        return page["total"], page["clusters"], hits, filters, days

    assert shown(on_sqlite) == shown(on_elasticsearch)


def test_all_stories_are_shown_once_a_cluster(both: TestClient) -> None:
    page = found(both, "limit=100")
    assert page["total"] == 40
    assert page["clusters"] == len(page["hits"]) < 40
    assert sum(hit["copies"] + 1 for hit in page["hits"]) == 40
    every = found(both, "limit=100&every=1")
    assert (every["total"], every["clusters"], len(every["hits"])) == (40, None, 40)


def test_a_page_shows_what_its_json_says(both: TestClient) -> None:
    page, data = both.get("/?q=troops").text, found(both, "q=troops")
    assert f"<strong>{data['total']} stories</strong> in {data['clusters']} clusters" in page
    assert re.findall(r'<a href="/story/(\w+)\?q=troops" dir', page) == [hit["id"] for hit in data["hits"]]
    copied = next(hit for hit in data["hits"] if hit["copies"] > 1)
    assert f"+ {copied['copies']} copies, {copied['outlets']} sources" in page
    assert "<mark>troops</mark>" in page


def test_filters_count_what_they_would_leave(both: TestClient) -> None:
    filters = both.get("/api/filters?topic=aid").json()
    topics = {choice["name"]: choice for choice in filters["topic"]}
    assert topics["aid"]["chosen"]
    assert topics["escalation"]["stories"] == found(both, "topic=escalation")["total"]
    assert topics["aid"]["main"] == found(both, "topic=aid&weight=main")["total"]
    mentioned = found(both, "topic=aid&weight=mentioned")["total"]
    assert mentioned == topics["aid"]["stories"] - topics["aid"]["main"] > 0
    for choice in filters["lang"]:
        assert choice["stories"] == found(both, f"topic=aid&lang={choice['name']}")["total"]
    for choice in filters["status"]:
        assert choice["stories"] == found(both, f"topic=aid&status={choice['name']}")["total"] > 0
    assert sum(choice["stories"] for choice in filters["source"]) == found(both, "topic=aid")["total"]


def test_pages_of_hits_follow_each_other(both: TestClient) -> None:
    first, second = found(both), found(both, "page=2")
    assert len(first["hits"]) == 20
    assert len(second["hits"]) == first["clusters"] - 20
    assert not {hit["id"] for hit in first["hits"]} & {hit["id"] for hit in second["hits"]}
    page = both.get("/?topic=aid&topic=escalation&topic=deployments&sort=oldest").text
    target = re.search(r'rel="next" href="([^"]+)"', page)
    assert target
    assert target[1].replace("&amp;", "&") == "/?topic=aid&topic=escalation&topic=deployments&sort=oldest&page=2"
    assert both.get(target[1].replace("&amp;", "&")).status_code == 200


TOO_MUCH = {
    "q=" + "a" * 501: "at most 500 characters",
    "q=" + "a+" * 33: "at most 32 words",
    "q=a*": "at least 3 letters before a *",
    "q=air+-ka*": "at least 3 letters before a *",
    "q=gun*+tan*+shi*+bom*+mis*": "at most 4 words with a *",
    "page=501": "Only the first 10,000 hits",
    "page=" + "9" * 30: "Only the first 10,000 hits",
    "page=0": "a whole number from 1 on",
    "page=-1": "a whole number from 1 on",
    "since=yesterday": "no date like",
    "since=0001-01-01T00:00%2B14:00": "no date like",
    "sort=sideways": "one of best, newest, oldest",
    "weight=heavy": "one of any, main, mentioned",
    "&".join(f"source=s{n}" for n in range(60)): "at most 50 names",
    "source=" + "x" * 400: "at most 50 names of 300 characters",
}


@pytest.mark.parametrize("query", TOO_MUCH)
def test_what_cannot_be_asked_is_refused_with_its_reason(web: TestClient, query: str) -> None:
    page = web.get(f"/?{query}")
    assert page.status_code == 400
    assert TOO_MUCH[query] in page.text
    for path in ("/api/v1/search", "/feed.atom", "/stories.csv", "/days"):
        assert web.get(f"{path}?{query}").status_code == 400
    assert TOO_MUCH[query] in web.get(f"/api/v1/search?{query}").json()["error"]["message"]


def test_larger_pages_of_the_api_reach_no_deeper(web: TestClient) -> None:
    assert web.get("/api/v1/search?limit=100&page=100").status_code == 200
    refused = web.get("/api/v1/search?limit=100&page=101")
    assert refused.status_code == 400
    assert "Only the first 10,000 hits" in refused.json()["error"]["message"]


def test_empty_fields_of_the_form_ask_nothing(web: TestClient) -> None:
    assert found(web, "q=&topic=&since=&until=&sort=&weight=&every=&page=")["total"] == 40


def test_odd_bytes_in_an_address_are_no_error(both: TestClient) -> None:
    for query in (
        "q=%00%ff%ed%a0%80",
        "topic=%00",
        "source=%ed%a0%80&lang=%ff",
        "q=*:*",
        "q=/.*/",
        'q={"match_all":{}}',
    ):
        assert both.get(f"/?{query}").status_code == 200
        assert both.get(f"/feed.atom?{query}").status_code == 200


def test_the_feed_of_a_search_is_atom(both: TestClient) -> None:
    answer = both.get("/feed.atom?topic=aid", headers={"Accept": "*/*"})
    assert answer.headers["content-type"].startswith("application/atom+xml")
    root = etree.fromstring(answer.content)
    entries = root.findall("a:entry", ATOM)
    assert len(entries) == found(both, "topic=aid")["clusters"]
    dates = [entry.findtext("a:published", "", ATOM) for entry in entries]
    assert [date for date in dates if date] == sorted((date for date in dates if date), reverse=True)
    link = entries[0].find("a:link[@rel='alternate']", ATOM).get("href")
    assert link.startswith("http://127.0.0.1/story/")
    assert both.get(link).status_code == 200


def test_downloads_hold_every_story_also_the_copies(both: TestClient) -> None:
    lines = both.get("/stories.jsonl?topic=aid")
    assert lines.headers["content-disposition"] == 'attachment; filename="sitrep.jsonl"'
    stories = [json.loads(line) for line in lines.text.splitlines()]
    assert len(stories) == found(both, "topic=aid")["total"]
    rows = list(csv.DictReader(io.StringIO(both.get("/stories.csv?topic=aid").text)))
    assert [row["id"] for row in rows] == [story["id"] for story in stories] == sorted(row["id"] for row in rows)
    assert both.get("/stories.jsonl?q=nowhereatall").text == ""


def test_an_empty_store_says_how_stories_come_in(settings: Settings) -> None:
    with windows.client(settings) as client:
        page = client.get("/").text
        assert "No stories yet" in page
        assert "sitrep backfill seeds/archive" in page
        assert client.get("/feed.atom").status_code == client.get("/stories.csv").status_code == 200
        assert client.get("/api/v1/days").json()["bins"] == []


def test_nothing_found_says_what_to_try(web: TestClient) -> None:
    page = web.get("/?q=%22grain+elephants%22&topic=aid").text
    assert "Nothing was found" in page
    assert "Search without the filters" in page
    assert "quotation marks" in page
    assert "No stories yet" not in page


def test_dates_may_be_written_in_any_way_and_are_shown_in_one(web: TestClient) -> None:
    def fields(query: str) -> list[tuple[str, str]]:
        return re.findall(r'<input type="(\w+)" name="(?:since|until)" value="([^"]*)"', web.get(f"/?{query}").text)

    assert fields("since=20240305&until=2024-W11-1") == [("date", "2024-03-05"), ("date", "2024-03-11")]
    instant = "2024-03-05T12:00Z"  # what asks the same again must not ask for the whole day
    assert fields(f"since={instant}") == [("text", instant), ("date", "")]
    assert web.get("/?until=0001-01-01").status_code == 200
    for turned in ("since=2024-03-05&until=2024-03-04", "since=2024-03-05&until=2024-03-05"):
        assert "The dates are the wrong way round" in web.get(f"/?{turned}").text
    assert "the wrong way round" not in web.get("/?since=2024-03-05&until=2024-03-06").text


def test_the_chart_says_which_days_are_worth_nothing(settings: Settings) -> None:
    """Four outlets tell something every day but one, on which three are silent; then nobody watches for a while."""
    days = [f"2022-05-{day:02d}" for day in range(1, 21)]
    lines = [
        {"url": f"https://{name}.example/{day}", "title": f"{name} {day}", "text": f"Word of {name}.", "published": day}
        | {"source": name}
        for name in "abcd"
        for day in [*days, "2022-05-25"]
        if (day, name) not in {("2022-05-12", other) for other in "bcd"}
    ]
    settings.home.mkdir(parents=True)
    path = settings.home / "days.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    with windows.client(windows.filled(settings, path)) as client:
        chart = client.get("/api/v1/days").json()
        bins = {each["since"]: each for each in chart["bins"]}
        assert chart["unit"] == "day"
        assert [day for day, each in bins.items() if each["quiet"]] == ["2022-05-12"]
        assert bins["2022-05-12"]["quiet"] == {"usual": 4, "silent": ["b", "c", "d"]}
        assert [day for day, each in bins.items() if not each["watched"]] == [f"2022-05-{n}" for n in (21, 22, 23, 24)]
        assert sum(each["stories"] for each in bins.values()) == len(lines)
        page = client.get("/").text
        assert "1 day on which half of the usual outlets were silent" in page
        table = client.get("/days").text
        assert "3 of 4 usual outlets were silent" in table
        assert table.count("no feed was read") == 4
        long = client.get("/api/v1/days?since=2022-05-10&until=2022-05-14").json()["bins"]
        assert [each["since"] for each in long] == ["2022-05-10", "2022-05-11", "2022-05-12", "2022-05-13"]


def test_what_costs_much_is_remembered_for_a_while(archive_home: Settings) -> None:
    from ingest.web.window import Window

    window, made = Window(lambda: archive_home), iter(range(9))
    assert [window.remembered("cheap", 60, lambda: next(made), worth=10) for _ in range(2)] == [0, 1]
    assert [window.remembered("dear", 60, lambda: next(made)) for _ in range(2)] == [2, 2]
    assert [window.remembered("old", 0, lambda: next(made)) for _ in range(2)] == [3, 4]
    window.close()


def test_what_is_counted_in_the_store_is_kept_until_it_is_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.web.window import Window

    monkeypatch.setattr("ingest.web.window.WORTH", 0.0)
    window, made = Window(lambda: settings), iter(range(9))
    state: list[object] = ["first"]
    monkeypatch.setattr(type(window.store), "state", lambda _: state[0])
    assert [window.counted("stories", 0, lambda: next(made)) for _ in range(2)] == [0, 0]
    state[0] = "second"
    assert [window.counted("stories", 0, lambda: next(made)) for _ in range(2)] == [1, 1]
    state[0] = None  # it cannot tell: by time alone
    assert [window.counted("stories", 60, lambda: next(made)) for _ in range(2)] == [2, 2]
    assert [window.counted("others", 0, lambda: next(made)) for _ in range(2)] == [3, 4]
    window.close()


def test_counts_that_are_remembered_hold_until_something_is_written(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.web.window.WORTH", 0.0)
    with windows.client(settings) as client:
        for number in (1, 2):
            text = "Trucks with food aid reached the besieged town."
            line = {"id": f"s{number}", "text": text, "source": "Herald", "published": "2022-05-24"}
            (path := tmp_path / f"{number}.jsonl").write_text(json.dumps(line))
            windows.filled(settings, path)
            filters = client.get("/api/v1/filters").json()
            assert [each["stories"] for each in filters["source"]] == [number]
            assert sum(each["stories"] for each in client.get("/api/v1/days").json()["bins"]) == number
            topics = {each["topic"]: each["stories"] for each in client.get("/api/v1/topics").json()}
            assert topics["aid"] == number


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_days_are_those_of_the_time_zone_in_the_settings(request: pytest.FixtureRequest, store: str) -> None:
    plain: TestClient = request.getfixturevalue(f"on_{store}")
    settings = plain.app.state.window.settings  # type: ignore[attr-defined]
    with windows.client(replace(settings, time_zone="Pacific/Kiritimati")) as there:
        told, here = (client.get("/api/v1/days?lang=en").json()["bins"] for client in (there, plain))
        assert sum(each["stories"] for each in told) == sum(each["stories"] for each in here)
        assert [each["stories"] for each in told] != [each["stories"] for each in here]
        for day in filter(lambda each: each["stories"], told):
            asked = f"lang=en&since={day['since']}&until={day['until']}"
            assert found(there, asked)["total"] == day["stories"], day
        assert "of publication (Pacific/Kiritimati)" in there.get("/").text
        assert "(Pacific/Kiritimati)</h1>" in there.get("/days").text
        for beyond in ("since=0001-01-01T00:00%2B14:00", "until=9999-12-31T23:00Z"):  # days that have no name
            assert there.get(f"/?{beyond}").status_code == 400
        assert there.get("/?since=0001-01-02&until=9999-12-30").status_code == 200
