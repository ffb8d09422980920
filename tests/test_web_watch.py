"""Feeds, runs and topics on their pages and as JSON: what they show, and who may change what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ingest.models import Feed, FullText, Outcome, Quarantined, RunReport
from ingest.pipeline import jobs, records, runs
from ingest.pipeline.pipe import opened
from ingest.settings import Settings
from ingest.web import flow
from tests import windows
from tests.servers import FaultServer, Reply
from tests.windows import TOKEN

RSS = {"Content-Type": "application/rss+xml"}
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
ITEM = (
    "<item><title>{title}</title><link>https://news.example/{n}</link><pubDate>Mon, 23 Nov 2026 10:00:00 GMT</pubDate>"
    "<description>The ministry said on Monday that it would deliver {n} howitzers to the border brigade.</description>"
    "</item>"
)
HOSTILE = "&lt;script&gt;alert(1)&lt;/script&gt;"


def rss(*titles: str) -> bytes:
    items = "".join(ITEM.format(title=title, n=n) for n, title in enumerate(titles))
    return f"<rss version='2.0'><channel><title>Northwire</title>{items}</channel></rss>".encode()


@pytest.fixture
def site_with_feed(server: FaultServer) -> FaultServer:
    server.on("/feed", Reply(200, rss("Howitzers for the border", HOSTILE), RSS))
    page = f"<html><head><link rel='alternate' type='application/rss+xml' href='{server.url('/feed')}'></head></html>"
    server.on("/", Reply(200, page.encode(), {"Content-Type": "text/html"}))
    return server


@pytest.fixture
def home(settings: Settings) -> Settings:
    """A home that reads one feed."""
    with opened(settings) as pipe:
        pipe.store.save_feeds([Feed("https://known.example/feed", title="Known")])
    return settings


@pytest.fixture
def web_of(home: Settings) -> Iterator[TestClient]:
    with windows.client(home) as client:
        yield client


def known(client: TestClient) -> dict[str, dict[str, object]]:
    return {feed["url"]: feed for feed in client.get("/api/feeds").json()}


# who may ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/feeds"),
        ("POST", "/api/feeds/preview"),
        ("PATCH", "/api/feeds/{id}"),
        ("DELETE", "/api/feeds/{id}"),
        ("POST", "/api/feeds/{id}/check"),
        ("POST", "/api/v1/feeds"),
        ("POST", "/feeds"),
        ("POST", "/feeds/preview"),
        ("POST", "/feeds/opml"),
        ("POST", "/feeds/{id}/check"),
        ("POST", "/feeds/{id}/pause"),
        ("POST", "/feeds/{id}/remove"),
    ],
)
def test_nothing_changes_without_the_token_or_from_another_site(web_of: TestClient, method: str, path: str) -> None:
    before = known(web_of)
    path = path.format(id=records.feed_id("https://known.example/feed"))
    assert web_of.request(method, path).status_code == 403
    foreign = {**OPERATOR, "Sec-Fetch-Site": "cross-site"}
    assert web_of.request(method, path, headers=foreign).status_code == 403
    assert web_of.request(method, path, headers={**OPERATOR, "Origin": "https://evil.example"}).status_code == 403
    assert known(web_of) == before


def test_without_a_token_all_writes_answer_403(home: Settings) -> None:
    from ingest.web.access import alone

    with windows.client(home, alone("", loopback=True)) as client:
        assert client.post("/api/feeds", json={"url": "x.example"}).status_code == 403
        assert client.post("/api/feeds", json={"url": "x"}, headers={"Authorization": "Bearer "}).status_code == 403
        assert "Look" not in client.get("/feeds").text


# feeds --------------------------------------------------------------------------------------------------------------
def test_a_site_is_looked_at_before_its_feed_is_added(web_of: TestClient, site_with_feed: FaultServer) -> None:
    asked = {"url": site_with_feed.url("/")}
    page = web_of.post("/feeds/preview", data=asked, headers=OPERATOR)
    assert page.status_code == 200
    assert "Northwire" in page.text
    assert "Howitzers for the border" in page.text
    assert "<script>alert" not in page.text
    assert known(web_of).keys() == {"https://known.example/feed"}  # nothing is kept
    seen = web_of.post("/api/feeds/preview", json=asked, headers=OPERATOR).json()
    assert (seen["entries"], seen["there"]) == (2, False)
    assert seen["stories"][0]["title"] == "Howitzers for the border"
    assert seen["stories"][0]["published"].startswith("2026-11-23T10:00")
    assert not seen["stories"][0]["known"]

    added = web_of.post("/feeds", data=asked, headers=OPERATOR, follow_redirects=False)
    assert added.status_code == 303
    feed = known(web_of)[site_with_feed.url("/feed")]
    assert added.headers["location"] == f"/feeds/{feed['id']}?done=added"
    assert "Added." in web_of.get(added.headers["location"]).text
    assert "It is read already." in web_of.post("/feeds/preview", data=asked, headers=OPERATOR).text


def test_feeds_are_added_paused_and_removed_by_scripts(web_of: TestClient, site_with_feed: FaultServer) -> None:
    asked = {"url": site_with_feed.url("/")}
    first = web_of.post("/api/feeds", json=asked, headers=OPERATOR)
    assert (first.status_code, first.json()["title"]) == (201, "Northwire")
    assert web_of.post("/api/feeds", json=asked, headers=OPERATOR).status_code == 200
    path = f"/api/feeds/{first.json()['id']}"
    assert web_of.patch(path, json={"paused": True}, headers=OPERATOR).json()["status"] == "paused"
    assert web_of.get(path).json()["paused"] is True
    assert web_of.patch(path, json={"paused": "perhaps"}, headers=OPERATOR).status_code == 400
    assert web_of.delete(path, headers=OPERATOR).status_code == 204
    assert web_of.delete(path, headers=OPERATOR).status_code == 404
    assert known(web_of).keys() == {"https://known.example/feed"}


@pytest.mark.parametrize("url", ["", "ftp://x.example/", "javascript:alert(1)", "http://169.254.169.254/", "x" * 3000])
def test_what_is_no_public_address_is_refused(web_of: TestClient, url: str) -> None:
    for path in ("/api/feeds", "/api/feeds/preview"):
        answer = web_of.post(path, json={"url": url}, headers=OPERATOR)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"]
    assert known(web_of).keys() == {"https://known.example/feed"}


def test_a_feed_is_checked_at_once(web_of: TestClient, site_with_feed: FaultServer) -> None:
    feed = web_of.post("/api/feeds", json={"url": site_with_feed.url("/feed")}, headers=OPERATOR).json()
    assert "It answers" in web_of.post(f"/feeds/{feed['id']}/check", headers=OPERATOR).text
    site_with_feed.on("/feed", Reply(410))
    page = web_of.post(f"/feeds/{feed['id']}/check", headers=OPERATOR).text
    assert "Its server says that it is gone for good." in page
    assert web_of.post(f"/api/feeds/{feed['id']}/check", headers=OPERATOR).json()["reason"] == "gone"


def test_feeds_go_out_and_come_in_as_opml(web_of: TestClient) -> None:
    out = web_of.get("/feeds.opml")
    assert out.headers["content-disposition"].startswith("attachment")
    (feed,) = known(web_of).values()
    assert web_of.post(f"/feeds/{feed['id']}/remove", headers=OPERATOR, follow_redirects=False).status_code == 303
    more = out.content.replace(b"</body>", b'<outline type="rss" xmlUrl="https://more.example/f"/></body>')
    answer = web_of.post("/feeds/opml", files={"file": ("feeds.opml", more)}, headers=OPERATOR, follow_redirects=False)
    assert answer.headers["location"].startswith("/feeds?done=imported")
    assert {"https://known.example/feed", "https://more.example/f"} <= known(web_of).keys()
    again = b"""<opml xmlns:s="https://sitrep.invalid/x"><body><outline type="rss" text="More"
        xmlUrl="http://MORE.example/f" paused="true"/></body></opml>"""
    answer = web_of.post("/feeds/opml", files={"file": ("x", again)}, headers=OPERATOR)
    assert "0 feeds added, 1 changed." in answer.text
    assert "http://MORE.example/f" not in known(web_of)  # the same feed by another spelling
    assert [known(web_of)["https://more.example/f"][name] for name in ("title", "status")] == ["More", "paused"]
    odd = b'<opml><body><outline type="rss" xmlUrl="javascript:alert(1)" text="&lt;b&gt;"/></body></opml>'
    page = web_of.post("/feeds/opml", files={"file": ("x", odd)}, headers=OPERATOR)
    assert "0 feeds read" in page.text
    assert "<b>" not in page.text
    assert web_of.post("/feeds/opml", files={"file": ("x", b"\0 no xml")}, headers=OPERATOR).status_code == 400


def test_only_who_may_change_feeds_gets_their_tokens(home: Settings) -> None:
    secret = "https://paid.example/feed?token=pXq81"
    with opened(home) as pipe:
        pipe.store.save_feeds([Feed(secret, title="Paid")])
    with windows.client(home) as client:
        for path in ("/feeds", "/feeds.opml", "/api/feeds", f"/feeds/{records.feed_id(secret)}"):
            shown = client.get(path)
            assert shown.status_code == 200
            assert "Paid" in shown.text
            assert "pXq81" not in shown.text, path
        assert secret in client.get("/feeds.opml", headers=OPERATOR).text


def test_a_feed_that_was_read_shows_what_it_brought(home: Settings, site_with_feed: FaultServer) -> None:
    url = site_with_feed.url("/feed?token=s3cr3tvalue")  # counted under an address that may be shown
    with opened(home) as pipe:
        pipe.store.save_feeds([Feed(url, title="Northwire"), Feed(site_with_feed.url("/none"), title="Nowhere")])
        pipe.store.remove_feed("https://known.example/feed")
        polls = jobs.choose(pipe, pipe.feeds(), everything=True)
        report = jobs.poll(pipe, runs.start("daily"), polls)
    with windows.client(home) as client:
        feeds = client.get("/api/feeds").json()
        assert [feed["title"] for feed in feeds] == ["Nowhere", "Northwire"]  # trouble first
        assert feeds[0]["trouble"] == "There is nothing at its address."
        assert sum(feeds[1]["days"].values()) == report.outcomes[Outcome.INDEXED] + report.outcomes[Outcome.DUPLICATE]
        assert feeds[1]["last_success"]
        page = client.get("/feeds").text
        assert "There is nothing at its address." in page
        assert re.search(r'class="spark".*?New stories a day: (0, ){13}2"', page, re.S)
        own = client.get(f"/feeds/{feeds[1]['id']}").text
        assert "2 new stories" in own
        run = client.get(f"/runs/{report.run}").text
        assert f'href="/feeds/{feeds[1]["id"]}"' in run
        assert client.get(f"/api/runs/{report.run}").json()["tagged"] == report.tagged


def test_what_a_feed_brought_is_shown_as_soon_as_it_is_written(
    home: Settings, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.web.window.WORTH", 0.0)  # all is remembered
    url = server.url("/feed")
    path = f"/api/feeds/{records.feed_id(url)}"
    with opened(home) as pipe, windows.client(home) as client:
        pipe.store.save_feeds([Feed(url, title="Northwire", full_text=FullText.NEVER)])
        pipe.store.remove_feed("https://known.example/feed")
        titles = ["Howitzers for the border", "Bridges for the army"]
        for n in (1, 2):
            server.on("/feed", Reply(200, rss(*titles[:n]), RSS))
            jobs.poll(pipe, runs.start("daily"), jobs.choose(pipe, pipe.feeds(), everything=True))
            assert sum(client.get(path).json()["days"].values()) == n


def test_a_feed_tells_why_entries_became_no_stories(home: Settings, server: FaultServer) -> None:
    """By reason, each with the latest of them; in what may be shown of its address."""
    odd = b"<rss version='2.0'><channel><title>Odd</title><item><title>Word</title><link>https://odd.example/1</link>"
    odd += b"<description>Too few.</description></item><item><guid>nothing</guid></item></channel></rss>"
    server.on("/odd", Reply(200, odd, RSS))
    url = server.url("/odd?token=s3cr3tvalue")
    with opened(home) as pipe:
        pipe.store.save_feeds([Feed(url, title="Odd", full_text=FullText.NEVER)])
        pipe.store.remove_feed("https://known.example/feed")
        report = jobs.poll(pipe, runs.start("daily"), jobs.choose(pipe, pipe.feeds(), everything=True))
    assert report.reasons
    with windows.client(home) as client:
        told = client.get(f"/api/feeds/{records.feed_id(url)}").json()
        assert {each["reason"]: each["entries"] for each in told["refused"]} == report.reasons
        page = client.get(f"/feeds/{records.feed_id(url)}").text
        assert "<h3>Rejected or quarantined</h3>" in page
        assert all(f'<th scope="row">{reason}</th>' in page for reason in report.reasons)
        assert "s3cr3tvalue" not in page


def test_a_secret_in_a_feeds_address_is_shown_nowhere(home: Settings) -> None:
    with opened(home) as pipe:
        pipe.store.save_feeds([Feed("https://paid.example/feed?token=s3cr3tvalue", title="Paid")])
    with windows.client(home) as client:
        feed = next(feed for feed in client.get("/api/feeds").json() if feed["title"] == "Paid")
        for path in ("/feeds", "/api/feeds", f"/feeds/{feed['id']}", f"/api/feeds/{feed['id']}"):
            assert "s3cr3tvalue" not in client.get(path).text


# runs ---------------------------------------------------------------------------------------------------------------
def test_a_run_is_a_flow_with_its_reasons(archive_home: Settings, web: TestClient) -> None:
    (report,) = web.get("/api/runs").json()
    assert sum(report["outcomes"].values()) == report["entries"]
    page = web.get(f"/runs/{report['run']}").text
    assert f"{report['entries']} entries came in" in page
    named = web.get(f"/api/runs/{report['run']}").json()["named"]
    assert {entry["reason"] for entry in named} == set(report["reasons"])
    assert all(f">{entry['reason']}<" in page for entry in named)
    assert str(report["tagged"]) in page
    assert report["run"] in web.get("/runs").text


def test_the_flow_leads_from_what_came_in_to_what_is_unique() -> None:
    outcomes = {**dict.fromkeys(Outcome, 0), Outcome.INDEXED: 60, Outcome.REJECTED: 10, Outcome.DUPLICATE: 30}
    now = datetime(2026, 11, 24, tzinfo=UTC)
    drawn = flow.of(RunReport("r", "daily", now, now, 100, outcomes, {}).to_json())
    assert drawn is not None
    texts = [label.text for label in drawn.labels]
    assert texts[:2] == ["100 in", "10 rejected"]
    assert {"90 read", "90 new or changed", "60 unique", "30 duplicate", "60 indexed"} <= set(texts)
    assert flow.of(RunReport("r", "daily", now, now, 0, dict.fromkeys(Outcome, 0), {}).to_json()) is None


@pytest.mark.parametrize("run", ["x", "%2e%2e%2fruns", "a" * 200, "x%0A"])
def test_a_run_that_there_is_not_is_told(web: TestClient, run: str) -> None:
    assert web.get(f"/runs/{run}").status_code == 404
    assert web.get(f"/api/runs/{run}").status_code == 404


def test_airflow_leads_to_the_report_of_its_run_and_back(home: Settings) -> None:
    from ingest.pipeline import plans
    from ingest.pipeline.reporting import report

    name = "sitrep_archive/manual__2026-11-24T10:00:00+00:00"
    folder = home.home / "archive"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"id": "1", "title": "A", "text": "Some text of a story."}) + "\n")
    with opened(home) as pipe:
        plan = plans.backfill(pipe, name, datetime(2026, 11, 24, 10, tzinfo=UTC), [str(folder)])
        report(pipe, plan.run, [])
    with windows.client(home) as client:
        dag, _, run = name.partition("/")
        answer = client.get("/runs/of", params={"dag_id": dag, "run_id": run}, follow_redirects=False)
        assert answer.headers["location"] == f"/runs/{plan.run.id}"
        assert (
            f'href="/dags/{dag}/runs/manual__2026-11-24T10%3A00%3A00%2B00%3A00"'
            in client.get(f"/runs/{plan.run.id}").text
        )
        assert client.get("/runs/of", params={"dag_id": dag, "run_id": "other"}).status_code == 404


def test_quarantined_bytes_are_a_file_and_nothing_else(home: Settings) -> None:
    with opened(home) as pipe:
        identity = pipe.landing.quarantine(
            Quarantined(
                "crash", "<b>odd</b>", "a.jsonl line 1", "line", None, datetime.now(UTC), data=b"<script>alert(1)"
            )
        )
    with windows.client(home) as client:
        page = client.get("/quarantine").text
        assert identity in page
        assert "<b>odd" not in page
        answer = client.get(f"/quarantine/{identity}")
        assert answer.content == b"<script>alert(1)"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == f'attachment; filename="{identity}.bin"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert [item["id"] for item in client.get("/api/quarantine").json()] == [identity]
        for other in ("x", "0" * 24, "..%2f..%2fdatabase"):
            assert client.get(f"/quarantine/{other}").status_code == 404


# topics -------------------------------------------------------------------------------------------------------------
def test_rules_tell_what_they_found(web: TestClient) -> None:
    topics = web.get("/api/topics").json()
    assert {topic["topic"] for topic in topics} == {"escalation", "aid", "deployments"}
    for topic in topics:
        assert topic["stories"] >= topic["main"] > 0
        best = topic["rules"][0]
        assert 0 < best["stories"] <= topic["stories"]
        latest = web.get(f"/api/topics/{best['name']}").json()
        assert 0 < len(latest) <= best["stories"]
        assert all(proof["rule"] == best["name"] for proof in latest)
        page = web.get(f"/topics/{best['name']}").text
        assert all(f'href="/story/{proof["story"]}"' in page for proof in latest)
    assert web.get("/topics/no-such-rule").status_code == 404


RULES = (
    "topics: [aid]\ngroups:\n  give: {en: [send*]}\n  arms: {en: [howitzer*]}\n"
    "rules:\n  - name: only\n    topic: aid\n    act: [give]\n    thing: [arms]\n"
)


@pytest.fixture
def own_rules(home: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "topics.yaml"
    file.write_text(RULES)
    return replace(home, topics_file=str(file))


def test_a_sentence_is_tried_with_the_rules_of_the_file(own_rules: Settings) -> None:
    text = "A calm day. The ministry will send 40 howitzers to the army."
    with windows.client(own_rules) as client:
        tried = client.get("/api/topics/try", params={"text": text}).json()
        assert tried["topics"] == ["aid"]
        (proof,) = tried["evidence"]
        assert text[proof["start"] : proof["end"]] == proof["sentence"]
        page = client.get("/topics", params={"text": text}).text
        assert "<mark>send</mark> 40 <mark>howitzers</mark>" in page
        far = f"The ministry will send {'very ' * 20}old howitzers."
        near = client.get("/api/topics/try", params={"text": far}).json()["near"]
        assert [one["rule"] for one in near] == ["only"]
        assert near[0]["why"] in client.get("/topics", params={"text": far}).text
        assert "No rule sees anything" in client.get("/topics", params={"text": "<b>A calm day</b>"}).text
        assert client.get("/topics", params={"text": "x" * 6000}).status_code == 400
        Path(own_rules.topics_file).write_text(RULES.replace("howitzer*", "tank*"))  # read anew when it changes
        assert client.get("/api/topics/try", params={"text": text}).json()["topics"] == []
        Path(own_rules.topics_file).write_text("topics: [")
        answer = client.get("/topics")
        assert answer.status_code == 500
        assert "not YAML" in answer.text


def test_rules_that_the_file_has_no_more_are_told_as_such(own_rules: Settings) -> None:
    windows.filled(replace(own_rules, topics_file=""))
    with windows.client(own_rules) as client:
        topics = {topic["topic"]: topic for topic in client.get("/api/topics").json()}
        assert [rule["name"] for rule in topics["aid"]["rules"] if rule["known"]] == ["only"]
        gone = topics["escalation"]["rules"][0]
        assert not gone["known"]
        assert "The rules file has it no more" in client.get(f"/topics/{gone['name']}").text
