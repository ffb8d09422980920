"""The pipe from end to end, in one process: real feeds and pages from a server on loopback, a real store."""

from __future__ import annotations

import functools
import html
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest import archive, dates, versions
from ingest.errors import LandingFault
from ingest.fetch import reasons
from ingest.landing import Landing
from ingest.models import Capture, Feed, FullText, Outcome, RunReport
from ingest.pipeline import captures, digesting, fetching, jobs, reporting, runs
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.settings import Settings
from ingest.store import Query
from tests import faulty, next_cleaner
from tests.servers import FaultServer, Reply, redirect

RSS = {"Content-Type": "application/rss+xml; charset=utf-8"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
FAST = 0.01  # seconds between two requests to the test server


def rss(*items: str, title: str = "Northwire") -> bytes:
    body = "".join(f"<item>{item}</item>" for item in items)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{body}</channel></rss>'.encode()


def item(link: str, title: str, description: str, guid: str = "", date: str = "") -> str:
    told = f"<title>{title}</title><link>{link}</link><description>{description}</description>"
    told += f"<guid isPermaLink='false'>{guid}</guid>" if guid else ""
    return told + (f"<pubDate>{date}</pubDate>" if date else "")


def page(title: str, *paragraphs: str) -> bytes:
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    head = f"<!doctype html><html lang=en><head><title>{title}</title></head>"
    return f"{head}<body><article><h1>{title}</h1>{body}</article></body></html>".encode()


BRIDGE = (
    "Engineers of the northern brigade moved three pontoon sections to the river on Tuesday, officials said.",
    "The ministry had announced in March that 400 soldiers would be stationed on the eastern bank until the autumn.",
    "Residents who were asked by this paper said that they had seen lorries on the road since the morning.",
    "A spokeswoman declined to say how long the crossing would stay closed to cars and to the buses of the county.",
)
HARBOUR = (
    "A ship with 900 tonnes of flour reached the harbour on Wednesday, the first to be let through in eleven days.",
    "Dock workers unloaded it over night, and the relief agency said that its lorries would set out before noon.",
    "The agency runs fourteen bakeries in the district and had warned last week that five of them were out of flour.",
    "Two more vessels lie at anchor outside the bay and wait for their papers, according to the harbour master.",
)


def poll(pipe: Pipe, *feeds: Feed, **options: float) -> RunReport:
    polls = jobs.choose(pipe, [replace(feed, delay=FAST) for feed in feeds], everything=True)
    return jobs.poll(pipe, runs.start("daily"), polls, **options)


def outcomes(report: RunReport) -> dict[str, int]:
    return {str(name): n for name, n in report.outcomes.items() if n}


def stories(pipe: Pipe) -> list[dict[str, object]]:
    return [story.to_json() for story in pipe.store.export(Query())]


def state(pipe: Pipe) -> str:
    """All that readers see, as one text."""
    return json.dumps(stories(pipe), sort_keys=True)


def test_a_teaser_gets_its_page_and_a_second_run_changes_nothing(pipe: Pipe, server: FaultServer) -> None:
    link = server.url("/news/bridge")
    server.on("/feed", Reply(200, rss(item(link, "Pontoons at the river", "Engineers moved …")), RSS))
    server.on("/news/bridge", Reply(200, page("Pontoons at the river", *BRIDGE), HTML))
    first = poll(pipe, Feed(server.url("/feed")))
    assert outcomes(first) == {"indexed": 1}
    (story,) = stories(pipe)
    assert story["url"] == link
    assert "stationed on the eastern bank" in str(story["text"])
    assert story["text_from"] == "page"
    assert story["feeds"] == [server.url("/feed")]
    before = state(pipe)
    second = poll(pipe, Feed(server.url("/feed")))
    assert outcomes(second) == {"unchanged": 1}
    assert second.feeds[0].status == "unchanged"
    assert state(pipe) == before


@pytest.mark.parametrize(("query", "offered"), [("page=1", True), ("token=let-me-in", False)])
def test_the_record_of_a_feed_is_offered_unless_a_secret_stands_in_it(
    pipe: Pipe, server: FaultServer, query: str, offered: bool
) -> None:
    asked = Feed(server.url(f"/feed?{query}"), full_text=FullText.NEVER)
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "A", BRIDGE[0])), RSS))
    poll(pipe, asked)
    (story,) = pipe.store.export(Query())
    assert captures.find(pipe.landing, replace(story.content, feed=None)) is None
    for feed in (story.content.feed, asked.url):  # as it is kept, and should it ever be kept as it was fetched
        place = captures.find(pipe.landing, replace(story.content, feed=feed))
        assert (place is not None) == offered
    (index,) = pipe.landing.list("captures/", suffix=".cdxj")
    assert query.encode() in pipe.landing.read(index)  # it is there


def test_a_feed_that_says_304_brings_no_entries(pipe: Pipe, server: FaultServer) -> None:
    feed = Reply(200, rss(item(server.url("/a"), "A", "Short.")), RSS)
    server.on("/feed", feed.validated('"v1"'))
    asked = Feed(server.url("/feed"), full_text=FullText.NEVER)
    poll(pipe, asked)
    again = poll(pipe, asked)
    assert (again.entries, again.feeds[0].status) == (0, "unchanged")
    assert server.requests[-1].headers["if-none-match"] == '"v1"'


def test_every_entry_counts_whatever_it_lacks(pipe: Pipe, server: FaultServer) -> None:
    same = item(server.url("/a"), "Twice the same", "Told twice in one feed.", guid="1")
    document = rss(same, same, "<title>No link</title>", "<description>No title and no link.</description>", "")
    server.on("/feed", Reply(200, document, RSS))
    report = poll(pipe, Feed(server.url("/feed"), full_text=FullText.NEVER))
    assert report.entries == 5
    assert sum(report.outcomes.values()) == 5
    assert outcomes(report) == {"indexed": 3, "unchanged": 1, "rejected": 1}
    assert report.feeds[0].entries == 5


def test_an_entry_twice_in_its_feed_is_one_story_told_by_its_page(pipe: Pipe, server: FaultServer) -> None:
    same = item(server.url("/news/bridge"), "Pontoons at the river", "Engineers moved …", guid="1")
    server.on("/feed", Reply(200, rss(same, same), RSS))
    server.on("/news/bridge", Reply(200, page("Pontoons at the river", *BRIDGE), HTML))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 1, "unchanged": 1}


@pytest.mark.parametrize("guids", [True, False])
def test_entries_that_share_a_link_stay_apart_also_when_one_is_left(
    pipe: Pipe, server: FaultServer, guids: bool
) -> None:
    entries = [item(server.url("/live"), f"Title {n}", f"Told of {n}.", guid=n if guids else "") for n in "abc"]
    server.on("/feed", [Reply(200, rss(*entries[:left]), RSS) for left in (3, 2, 1)])
    asked = Feed(server.url("/feed"))
    assert outcomes(poll(pipe, asked)) == {"indexed": 3}
    before = state(pipe)
    for left in (2, 1):
        assert outcomes(poll(pipe, asked)) == {"unchanged": left}
        assert state(pipe) == before


def test_a_changed_page_is_a_revision(pipe: Pipe, server: FaultServer) -> None:
    link = server.url("/news/harbour")
    server.on("/feed", [Reply(200, rss(item(link, title, "Flour …")), RSS) for title in ("Ship lets in", "Ship is in")])
    corrected = [text.replace("900", "1,200") for text in HARBOUR]
    server.on("/news/harbour", [Reply(200, page("Ship is in", *text), HTML) for text in (HARBOUR, corrected)])
    asked = Feed(server.url("/feed"))
    poll(pipe, asked)
    assert outcomes(poll(pipe, asked)) == {"revised": 1}
    (story,) = stories(pipe)
    assert story["revision"] == 2
    assert "1,200 tonnes" in str(story["text"])


def replay(pipe: Pipe) -> RunReport:
    """All landing files, digested and published once more."""
    run = runs.start("daily")
    parts = jobs.digest_landings(pipe, run, jobs.undigested(pipe), workers=1)
    publish(pipe, parts, run=run.id)
    return jobs.report(pipe, run, parts)


def test_another_cleaner_replayed_updates_stories_and_is_no_edit_of_their_outlets(
    pipe: Pipe, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"{next_cleaner.LINE} a maker of tea that has been at home on the eastern bank since 1911, and by its %s."
    versions_of_harbour = [
        (*HARBOUR, line % "uncles"),
        (*HARBOUR, line % "aunts"),  # to the next cleaner, the same as before
        (*(text.replace("900", "1,200") for text in HARBOUR), line % "aunts"),
    ]
    bridge, harbour = server.url("/news/bridge"), server.url("/news/harbour")
    told = [item(bridge, "Pontoons at the river", "Engineers moved …")]
    polls = [rss(*told, item(harbour, title, "Flour …")) for title in ("Ship is let in", "Ship is in", "A ship is in")]
    server.on("/feed", [Reply(200, document, RSS) for document in polls])
    server.on("/news/bridge", Reply(200, page("Pontoons at the river", *BRIDGE, line % "uncles"), HTML))
    server.on("/news/harbour", [Reply(200, page("Ship is in", *text), HTML) for text in versions_of_harbour])
    for expected in ({"indexed": 2}, {"unchanged": 1, "revised": 1}, {"unchanged": 1, "revised": 1}):
        assert outcomes(poll(pipe, Feed(server.url("/feed")))) == expected
    before = {story["url"]: story for story in stories(pipe)}
    assert before[harbour]["revision"] == 3
    assert next_cleaner.LINE in str(before[harbour]["text"])
    asked = len(server.requests)

    monkeypatch.setattr(versions, "CLEANER", next_cleaner.VERSION)
    monkeypatch.setattr(digesting, "work", next_cleaner.work)
    found = outcomes(replay(pipe))
    assert len(server.requests) == asked
    assert found.keys() == {"recleaned", "unchanged"}
    assert found["recleaned"] == 4
    after = {story["url"]: story for story in stories(pipe)}
    assert str(after[harbour]["text"]).split("\n\n") == [text.replace("900", "1,200") for text in HARBOUR]
    assert after[harbour]["revision"] == 2  # two of the three were told apart by a line of advertising alone
    assert str(after[bridge]["text"]).split("\n\n") == list(BRIDGE)
    for url in (bridge, harbour):
        for name in ("id", "first_seen", "indexed", "published"):
            assert after[url][name] == before[url][name]
    assert after[bridge]["revision"] == before[bridge]["revision"] == 1
    standing = state(pipe)
    assert outcomes(replay(pipe)).keys() == {"unchanged"}
    assert state(pipe) == standing


def test_a_page_that_waits_is_told_by_its_teaser_meanwhile(pipe: Pipe, server: FaultServer) -> None:
    link = server.url("/news/bridge")
    server.on("/feed", Reply(200, rss(item(link, "Pontoons at the river", "Engineers moved …")), RSS))
    server.on("/news/bridge", Reply(200, page("Pontoons at the river", *BRIDGE), HTML))
    asked = Feed(server.url("/feed"))
    assert outcomes(poll(pipe, asked, page_budget=0)) == {"indexed": 1}
    (teaser,) = stories(pipe)
    assert teaser["text_from"] == "teaser"
    later = poll(pipe, asked)
    assert later.entries == later.feeds[0].entries == 1
    assert outcomes(later) == {"revised": 1}
    (story,) = stories(pipe)
    assert story["id"] == teaser["id"]
    assert story["first_seen"] == teaser["first_seen"]
    assert "eastern bank" in str(story["text"])


def test_the_same_story_elsewhere_is_a_duplicate_that_is_kept(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "One", "…"), item(server.url("/b"), "Two", "…")), RSS))
    server.on("/a", Reply(200, page("Flour for the district", *HARBOUR), HTML))
    server.on("/b", Reply(200, page("First ship in eleven days", *HARBOUR[:3], "Own reporting."), HTML))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 1, "duplicate": 1}
    one, two = stories(pipe)
    assert one["cluster"] == two["cluster"]
    assert [one["lead"], two["lead"]].count(True) == 1


def test_entries_that_all_end_at_one_wall_keep_what_their_feed_told(pipe: Pipe, server: FaultServer) -> None:
    links = [server.url(f"/news/{n}") for n in (1, 2)]
    server.on(
        "/feed", Reply(200, rss(*(item(link, f"Title {link[-1]}", f"Teaser {link[-1]}.") for link in links)), RSS)
    )
    for n in (1, 2):
        server.on(f"/news/{n}", redirect(server.url("/consent")))
    server.on("/consent", Reply(200, page("Your privacy", *BRIDGE), HTML))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 2}
    assert sorted(str(story["title"]) for story in stories(pipe)) == ["Title 1", "Title 2"]


def test_of_an_entry_whose_page_is_an_error_the_feeds_telling_stands(pipe: Pipe, server: FaultServer) -> None:
    link = server.url("/news/bridge")
    server.on("/feed", Reply(200, rss(item(link, "Pontoons at the river", "Engineers moved …")), RSS))
    server.on("/news/bridge", Reply(200, page("404 Not Found", "Please come back later."), HTML))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 1}
    (story,) = stories(pipe)
    assert (story["title"], story["text_from"], story["url"]) == ("Pontoons at the river", "teaser", link)


def test_an_archive_of_pages_gives_stories_without_their_boxes_and_names_what_is_none(
    pipe: Pipe, tmp_path: Path
) -> None:
    letter = "Subscribe to our letter, which tells every morning what moved the county."
    box = f'<div class="newsletter-box"><p>{letter}</p></div>'
    bodies = {
        "bridge": page("Pontoons at the river", *BRIDGE).replace(b"</p><p>", f"</p>{box}<p>".encode(), 1),
        "gone": page("404 Not Found | Northwire", "Please come back later."),
        "check": page("Just a moment...", "Checking that you are no robot."),
        "wall": page("We value your privacy", "We and our partners store data on your device."),
    }
    archive = Landing(str(tmp_path))
    with archive.captures("pages.warc.gz") as writer:
        for name, body in bodies.items():
            writer.add(Capture(f"https://a.example/{name}", 200, tuple(HTML.items()), body, datetime.now(UTC)))
    report, _ = jobs.backfill(pipe, runs.start("archive"), [str(tmp_path / "pages.warc.gz")], workers=1)
    assert outcomes(report) == {"indexed": 1, "rejected": 3}
    assert report.reasons == {"error-page": 1, "robot-check": 1, "consent-wall": 1}
    (story,) = stories(pipe)
    assert str(story["text"]).split("\n\n") == list(BRIDGE)


def test_a_redirected_page_is_one_story_under_both_addresses(pipe: Pipe, server: FaultServer) -> None:
    link = server.url("/go/1")
    server.on("/feed", [Reply(200, rss(item(link, title, "Engineers …")), RSS) for title in ("Pontoons", "Pontoons!")])
    server.on("/go/1", redirect(server.url("/news/bridge"), 301))
    server.on("/news/bridge", Reply(200, page("Pontoons at the river", *BRIDGE), HTML))
    asked = Feed(server.url("/feed"))
    poll(pipe, asked)
    server.on("/news/bridge", Reply(500))
    assert outcomes(poll(pipe, asked)) == {"unchanged": 1}  # a teaser does not replace the page
    (story,) = stories(pipe)
    assert story["url"] == server.url("/news/bridge")


@pytest.mark.parametrize("poisoned", ["feed", "page", "page that waited"])
def test_what_kills_a_worker_costs_no_run_its_report(
    pipe: Pipe, server: FaultServer, monkeypatch: pytest.MonkeyPatch, poisoned: str
) -> None:
    poison = "OUT OF MEMORY"
    told = [
        item(server.url("/a"), "Pontoons", "Engineers …"),
        item(server.url("/b"), "Flour", "A ship …" + (poison if poisoned == "feed" else "")),
    ]
    flour = Reply(200, page("Flour", *HARBOUR, "" if poisoned == "feed" else poison), HTML)
    server.on("/feed", Reply(200, rss(*told), RSS))
    server.on("/a", Reply(200, page("Pontoons", *BRIDGE), HTML))
    server.on("/b", [Reply(500), flour] if poisoned == "page that waited" else flour)
    asked = Feed(server.url("/feed"))
    if poisoned == "page that waited":
        poll(pipe, asked)
    monkeypatch.setattr(digesting, "work", faulty.work)
    report = poll(pipe, asked)
    assert report.reasons == {"killed": 1}
    assert report.outcomes[Outcome.QUARANTINED] == report.feeds[0].outcomes[Outcome.QUARANTINED] == 1
    assert report.feeds[0].entries == report.entries
    (kept,) = pipe.landing.quarantined()
    assert kept.feed == asked.url


def test_a_record_that_rots_in_the_landing_zone_is_named_and_costs_itself_alone(
    pipe: Pipe, server: FaultServer
) -> None:
    told = [item(server.url("/a"), "Pontoons", "Engineers …"), item(server.url("/b"), "Flour", "A ship …")]
    server.on("/feed", Reply(200, rss(*told), RSS))
    server.on("/a", Reply(200, page("Pontoons", *BRIDGE), HTML))
    server.on("/b", Reply(200, page("Flour", *HARBOUR), HTML))
    run = runs.start("poll")
    landing = fetching.fetch(pipe, run, [Feed(server.url("/feed"), delay=FAST)])
    index = pipe.landing.read(landing.replace(".warc.gz", ".cdxj")).decode()
    (record,) = (json.loads(line.split(" ", 2)[2]) for line in index.splitlines() if ")/b " in line)
    path = Path(pipe.settings.landing, landing)
    rotten = bytearray(path.read_bytes())
    rotten[int(record["offset"]) + int(record["length"]) // 2] ^= 8
    path.write_bytes(rotten)
    parts = jobs.digest_landings(pipe, run, [landing])
    publish(pipe, parts, run=run.id)
    report = reporting.report(pipe, run, parts, landings=[landing])
    assert report.reasons == {"damaged": 1}
    assert report.notes == ("1 record of landing files could not be read: damaged, or changed there",)
    assert {story["title"]: story["text_from"] for story in stories(pipe)} == {"Pontoons": "page", "Flour": "teaser"}


def test_a_document_at_the_limit_of_time_balances(
    pipe: Pipe, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [item(server.url(f"/{n}"), f"Story {n}", "Engineers …") for n in range(3)]
    server.on("/feed", Reply(200, rss(*told), RSS))
    asked = Feed(server.url("/feed"), full_text=FullText.NEVER)
    monkeypatch.setattr(fetching.parse, "Parser", functools.partial(fetching.parse.Parser, wall=0.0))
    report = poll(pipe, asked)
    assert (report.feeds[0].reason, report.feeds[0].entries, outcomes(report)) == ("unparsable", 3, {"indexed": 3})


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"%PDF-1.7\n" + bytes(range(256)) * 40, "application/pdf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, "text/html"),
        (rss(item("https://n.example/", "Another", "Another story.")), "text/xml"),
    ],
)
def test_what_is_fetched_as_a_page_and_is_none_tells_nothing(
    pipe: Pipe, server: FaultServer, body: bytes, media_type: str
) -> None:
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "Pontoons at the river", "Engineers …")), RSS))
    server.on("/a", Reply(200, body, {"Content-Type": media_type}))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 1}
    (story,) = stories(pipe)
    assert (story["title"], story["text"], story["text_from"]) == ("Pontoons at the river", "Engineers …", "teaser")


def test_a_page_under_a_wrong_media_type_is_read(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "Pontoons", "Engineers …")), RSS))
    server.on("/a", Reply(200, page("Pontoons", *BRIDGE), {"Content-Type": "application/x-httpd-php"}))
    poll(pipe, Feed(server.url("/feed")))
    assert stories(pipe)[0]["text_from"] == "page"


def test_what_a_proxy_changed_on_the_way_is_read_all_the_same(pipe: Pipe, server: FaultServer) -> None:
    link = server.url("/news/bridge")
    server.on("/feed", Reply(203, rss(item(link, "Pontoons at the river", "Engineers moved …")), RSS))
    server.on("/news/bridge", Reply(203, page("Pontoons at the river", *BRIDGE), HTML))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 1}
    assert stories(pipe)[0]["text_from"] == "page"


def test_a_feed_whose_headline_sounds_like_a_guard_is_read(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "Access denied", BRIDGE[0]))))
    assert outcomes(poll(pipe, Feed(server.url("/feed"), full_text=FullText.NEVER))) == {"indexed": 1}


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        (Reply(404), "unreachable", "not-found"),
        (Reply(403), "unreachable", "blocked"),
        (Reply(503), "unreachable", "server-error"),
        (Reply(200, b"<html><body>Log in</body></html>", HTML), "failed", "not-a-feed"),
        (Reply(200, b"", RSS), "failed", "not-a-feed"),
    ],
)
def test_a_feed_that_brings_none_says_why_and_costs_no_other(
    pipe: Pipe, server: FaultServer, reply: Reply, status: str, reason: str
) -> None:
    server.on("/bad", reply)
    server.on("/good", Reply(200, rss(item(server.url("/a"), "A", "Text.")), RSS))
    report = poll(
        pipe, Feed(server.url("/bad"), full_text=FullText.NEVER), Feed(server.url("/good"), full_text=FullText.NEVER)
    )
    bad, good = report.feeds
    assert (bad.status, bad.reason, bad.entries) == (status, reason, 0)
    assert (good.status, good.entries) == ("new", 1)


def test_a_host_that_asks_for_time_is_named_and_its_feeds_wait(pipe: Pipe, server: FaultServer) -> None:
    server.on("/a", Reply(200, rss(item("https://a.example/1", "A", "Text.")), RSS))
    server.on("/b", Reply(429, headers={"Retry-After": "7200"}))
    server.on("/c", Reply(200, rss(item("https://a.example/2", "B", "Text.")), RSS))
    asked = [Feed(server.url(f"{path}?key=hush"), full_text=FullText.NEVER) for path in ("/a", "/b", "/c")]
    a, b, c = poll(pipe, *asked).feeds
    assert (a.status, b.status, c.status) == ("new", "unreachable", "waiting")
    assert (b.reason, c.reason) == ("rate-limited", "rate-limited")
    assert b.detail == "429, to be asked again in 7200 s"
    assert c.detail == f"its host answered {server.url('/b')}?key=* with 429, to be asked again in 7200 s"
    assert server.paths() == ["/a", "/b"]
    poll(pipe, *asked)  # the next run leaves the one alone that the answer was about, and tries the other
    assert server.paths() == ["/a", "/b", "/a", "/c"]


def test_feeds_that_wait_are_tried_again_where_the_time_is_over_within_the_run(
    pipe: Pipe, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reasons, "LEAST_WAIT", 0.1)
    with FaultServer() as slow:
        slow.on("/1", [Reply(503), Reply(200, page("Pontoons", *BRIDGE), HTML, pause=0.5)])
        slow.on("/2", Reply(200, page("Flour", *HARBOUR), HTML))
        server.on("/c", Reply(200, rss(item(slow.url("/1"), "Pontoons", "Engineers …")), RSS))
        poll(pipe, Feed(server.url("/c")))  # its page waits for the next run
        document = Reply(
            200, rss(item(slow.url("/1"), "Pontoons", "…"), item(slow.url("/2"), "Flour", "A ship …")), RSS
        )
        server.on("/b", [Reply(429, headers={"Retry-After": "0"}), document])
        server.on("/c", document)
        report = poll(pipe, Feed(server.url("/b")), Feed(server.url("/c")))
    b, c = report.feeds
    assert (b.status, c.status) == ("new", "new")
    assert (b.entries, c.entries) == (2, 3)  # the page that waited counts, and its entry in the document
    assert server.paths() == ["/c", "/b", "/b", "/c"]
    assert slow.paths().count("/2") == 1
    assert {story["text_from"] for story in stories(pipe)} == {"page"}
    assert pipe.store.states([b.url])[b.url].status == "active"


def test_another_sites_feed_mentions_and_does_not_revise(pipe: Pipe, server: FaultServer) -> None:
    with FaultServer() as other:
        link = server.url("/news/bridge")
        server.on("/feed", Reply(200, rss(item(link, "Pontoons at the river", "Engineers …")), RSS))
        server.on("/news/bridge", Reply(200, page("Pontoons at the river", *BRIDGE), HTML))
        other.on("/feed", Reply(200, rss(item(link, "HACKED", "Buy now. " * 300)), RSS))
        poll(pipe, Feed(server.url("/feed")))
        report = poll(pipe, Feed(other.url("/feed"), full_text=FullText.NEVER))
        assert outcomes(report) == {"unchanged": 1}
        (story,) = stories(pipe)
        assert story["title"] == "Pontoons at the river"
        assert story["feeds"] == sorted([server.url("/feed"), other.url("/feed")])


def test_a_landing_that_a_holiday_followed_is_published(pipe: Pipe, server: FaultServer) -> None:
    asked = Feed(server.url("/feed"), full_text=FullText.NEVER, delay=FAST)
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "A", BRIDGE[0])), RSS).validated('"v1"'))
    before = runs.start("poll", now=datetime.now(UTC) - timedelta(days=9))
    fetching.fetch(pipe, before, [asked])  # and no further: it was killed, and the machine was off
    report = poll(pipe, asked)
    assert report.entries == 0  # 304
    assert report.notes == (f"published as well: what run {before.id} had landed and did not get to",)
    (story,) = stories(pipe)
    assert story["title"] == "A"


def test_a_clock_that_was_years_ahead_for_a_while_stops_no_feed(pipe: Pipe, server: FaultServer) -> None:
    asked = Feed(server.url("/feed"))
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "A", "Engineers …")), RSS))
    server.on("/a", Reply(200, page("A", *BRIDGE), HTML))
    poll(pipe, asked)
    state = pipe.store.states([asked.url])[asked.url]
    assert state.polled
    pipe.store.save_states([replace(state, polled=state.polled + timedelta(days=3650), known={})])
    poll(pipe, asked)
    assert server.paths().count("/a") == 2
    poll(pipe, asked)
    assert server.paths().count("/a") == 2  # the second poll's state was kept


def test_a_page_lands_with_its_entry_however_much_its_feed_told(pipe: Pipe, server: FaultServer) -> None:
    picture = f'<img src="/bridge.jpg" data-note="{"мост " * 60_000}">'  # JSON needs six bytes for each letter
    told = html.escape(f"<p>Engineers …</p>{picture}")
    server.on("/feed", Reply(200, rss(item(server.url("/a"), "A", told)), RSS))
    server.on("/a", Reply(200, page("A", *BRIDGE), HTML))
    assert outcomes(poll(pipe, Feed(server.url("/feed")))) == {"indexed": 1}
    assert stories(pipe)[0]["text_from"] == "page"


def test_an_archive_that_is_named_twice_counts_once(pipe: Pipe, tmp_path: Path) -> None:
    first, copy = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path in (first, copy):
        path.write_text(json.dumps({"id": "1", "text": BRIDGE[0]}) + "\nno JSON\n")
    report, told = jobs.backfill(pipe, runs.start("archive"), [str(first), str(copy), str(first)])
    assert (report.entries, outcomes(report)) == (2, {"indexed": 1, "rejected": 1})
    assert len(told) == 1


def test_an_archive_is_found_again_from_another_folder(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "1", "text": BRIDGE[0]}))
    monkeypatch.chdir(tmp_path)
    jobs.backfill(pipe, runs.start("archive"), ["a.jsonl"])
    monkeypatch.chdir("/")
    told: list[str] = []
    assert jobs.digest_known_archives(pipe, runs.start("replay"), say=told.append) == pipe.landing.parts()
    assert told == []


def test_a_file_of_stories_that_is_damaged_is_made_again_as_its_message_says(pipe: Pipe, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "1", "text": BRIDGE[0]}))
    (source,) = archive.sources([str(path)])
    run = runs.start("archive")
    (part,) = jobs.digest_archive(pipe, run, source)
    sidecar = Path(pipe.settings.landing, part + ".npz")
    sidecar.write_bytes(b"no arrays")
    with pytest.raises(LandingFault, match="Delete it and digest its captures again"):
        _ = pipe.landing.part(part).ids
    sidecar.unlink()
    assert jobs.digest_archive(pipe, run, source) == pipe.landing.parts() == [part]
    assert len(pipe.landing.part(part).ids) == 1


def test_what_its_reader_says_of_a_feed_holds_when_it_is_digested(pipe: Pipe, server: FaultServer) -> None:
    told = html.escape("".join(f"<p>{text}</p>" for text in (*BRIDGE, *HARBOUR, *BRIDGE)))
    own, foreign = (f"https://{site}.example/a" for site in ("northwire", "elsewhere"))
    server.on(
        "/feed", Reply(200, rss(item(own, "A", told), item(foreign, "B", told), item(own + "b", "Mars", "")), RSS)
    )
    feed = Feed(server.url("/feed"), site="https://www.northwire.example/", language="de", full_text=FullText.NEVER)
    poll(pipe, feed)
    found = {story["title"]: story for story in stories(pipe)}
    assert (found["A"]["text_from"], found["B"]["text_from"]) == ("full_feed", "mention")
    assert (found["A"]["language"], found["Mars"]["language"]) == ("en", "de")


def test_landing_keeps_every_response(pipe: Pipe, server: FaultServer) -> None:
    server.on("/old", redirect(server.url("/feed"), 301))
    server.on("/feed", Reply(200, rss(item(server.url("/gone"), "A", "Text …")), RSS))
    server.on("/gone", Reply(404, b"nothing here"))
    poll(pipe, Feed(server.url("/old")))
    (landing,) = jobs.undigested(pipe)
    index = Path(pipe.settings.landing, landing.replace(".warc.gz", ".cdxj")).read_text()
    assert sorted(json.loads(line.split(" ", 2)[2])["status"] for line in index.splitlines()) == ["200", "301", "404"]


def test_outcomes_are_a_closed_list() -> None:
    names = "indexed duplicate revised recleaned retagged unchanged rejected quarantined"
    assert [str(outcome) for outcome in Outcome] == names.split()


def told(path: Path, *texts: tuple[str, str], **more: str) -> str:
    """An archive of lines, each of an address and a text, with others between them."""
    rows = []
    for number, (url, text) in enumerate(texts):
        rows.append({"url": url, "title": "Bridge", "text": text, **more})
        rows += [{"id": f"{path.name} {number} {n}", "text": f"Other story {number} {n}."} for n in range(70)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.mark.parametrize("more", [{}, {"first_seen": "2022-05-24"}, {"first_seen": "2022-05-24T10:00:00Z"}])
def test_of_lines_that_state_the_same_time_the_last_is_current(
    settings: Settings, tmp_path: Path, more: dict[str, str]
) -> None:
    url, texts = "https://a.example/1", [" ".join(BRIDGE[: n + 1]) for n in (2, 0, 1)]
    for number, order in enumerate((texts, texts[::-1], [texts[0], texts[1], texts[0]])):
        pipe = Pipe(replace(settings, home=tmp_path / str(number), landing=str(tmp_path / str(number) / "landing")))
        path = told(tmp_path / f"{number}.jsonl", *((url, text) for text in order), **more)
        report, _ = jobs.backfill(pipe, runs.start("archive"), [path], workers=2)
        (shown,) = (story for story in stories(pipe) if story["url"] == url)
        assert (shown["text"], shown["revision"]) == (order[-1], len(set(order)))
        assert shown["first_seen"] == (
            dates.iso(dates.instant(more["first_seen"])) if more else dates.iso(report.started)
        )
        before = state(pipe)
        jobs.backfill(pipe, runs.start("archive"), [path], workers=1)
        assert state(pipe) == before
        pipe.close()


def test_which_file_comes_first_does_not_matter(settings: Settings, tmp_path: Path) -> None:
    url = "https://a.example/1"
    one = told(tmp_path / "one.jsonl", (url, BRIDGE[0]), (url, BRIDGE[1]))
    two = told(tmp_path / "two.jsonl", (url, BRIDGE[2]))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    shown = []
    for number, order in enumerate(([one, two], [two, one])):
        pipe = Pipe(replace(settings, home=tmp_path / str(number), landing=str(tmp_path / str(number) / "landing")))
        jobs.backfill(pipe, runs.start("archive", now=now), order, workers=2)
        shown.append([{**story, "indexed": None} for story in stories(pipe)])
        pipe.close()
    assert shown[0] == shown[1]
    assert [story["text"] for story in shown[0] if story["url"] == url] == [BRIDGE[1]]
