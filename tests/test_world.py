"""A morning in the world: real feeds and real pages from servers on loopback, with everything that goes wrong there."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections import Counter
from contextlib import ExitStack
from html import escape
from pathlib import Path

import pytest

from ingest.models import Feed, FullText, RunReport
from ingest.pipeline import jobs, runs
from ingest.pipeline.pipe import Pipe
from ingest.store import Query
from tests.conftest import SHARED
from tests.servers import FaultServer, Raw, Reply, redirect

pytestmark = [pytest.mark.shared, pytest.mark.slow]

RSS = {"Content-Type": "application/rss+xml"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
GOOD = b"<rss version='2.0'><channel><title>Good</title><item><title>A</title><link>%s</link></item></channel></rss>"


def poll(pipe: Pipe, feeds: list[Feed]) -> RunReport:
    return jobs.poll(pipe, runs.start("daily"), jobs.choose(pipe, feeds, everything=True))


def pages(*sets: str) -> list[tuple[dict[str, str], bytes]]:
    golds = [path for name in sets for path in sorted((SHARED / "eval/clean/data" / name / "dev").glob("*.gold.json"))]
    return [
        (json.loads(path.read_text()), gzip.decompress(Path(str(path).replace(".gold.json", ".html.gz")).read_bytes()))
        for path in golds
    ]


def test_real_pages_become_stories(pipe: Pipe, server: FaultServer) -> None:
    real = pages("fundus", "aeb")[::4]
    items = []
    for number, (gold, body) in enumerate(real):
        server.on(f"/page/{number}", Reply(200, body, HTML, coding="br" if number % 2 else "gzip"))
        link = server.url(f"/page/{number}")
        items.append(f"<item><title>{escape(gold['title'] or 'Untitled')}</title><link>{link}</link></item>")
    document = f"<rss version='2.0'><channel><title>World</title>{''.join(items)}</channel></rss>"
    server.on("/feed", Reply(200, document.encode(), RSS))
    report = poll(pipe, [Feed(server.url("/feed"), delay=0.0, full_text=FullText.ALWAYS)])
    assert report.entries == len(real)
    assert sum(report.outcomes.values()) == len(real)
    told = Counter(str(story.content.text_from) for story in pipe.store.export(Query()))
    assert told["page"] >= 0.95 * len(real)
    again = poll(pipe, [Feed(server.url("/feed"), delay=0.0, full_text=FullText.ALWAYS)])
    assert again.outcomes["unchanged"] == again.entries == len(real)


def test_feeds_of_every_kind_and_every_fault_in_one_run(pipe: Pipe) -> None:
    archive = SHARED / "corpora" / "hostile-input.tar.xz"
    with tarfile.open(archive) as packed:
        bodies = {
            member.name: stream.read()
            for member in packed
            if member.isfile()
            and member.name.split("/")[0] in ("feedparser", "feedvalidator-w3c", "gofeed", "synthetic")
            and member.name.endswith((".xml", ".json", ".rss", ".atom"))
            and (stream := packed.extractfile(member))
        }
    chosen = sorted(bodies)[::25]
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer()) for _ in range(8)]
        feeds = []
        for number, name in enumerate(chosen):
            server = servers[number % 4]
            server.on(f"/{number}", Reply(200, bodies[name], {"Content-Type": "application/xml"}))
            feeds.append(Feed(server.url(f"/{number}"), delay=0.0, full_text=FullText.NEVER))
        faulty, busy, slow, good = servers[4:]
        packed_feed = gzip.compress(GOOD)
        faulty.on("/304", Reply(304))
        faulty.on("/404", Reply(404))
        faulty.on("/410", Reply(410))
        faulty.on("/loop", redirect("/loop"))
        faulty.on("/away", redirect("http://10.0.0.1/feed"))
        faulty.on("/cut", Reply(200, packed_feed[:-20], {**RSS, "Content-Encoding": "gzip"}))
        busy.on("/429", Reply(429, headers={"Retry-After": "120"}))
        slow.on("/slow", Raw(b"HTTP/1.1 200 OK\r\n\r\n", *([b"<", 0.2] * 40)))
        good.on("/good", Reply(200, GOOD % good.url("/a").encode(), RSS))
        faults = ["/304", "/404", "/410", "/loop", "/away", "/cut"]
        feeds += [Feed(faulty.url(path), delay=0.0, full_text=FullText.NEVER) for path in faults]
        feeds += [Feed(busy.url("/429")), Feed(slow.url("/slow")), Feed(good.url("/good"), full_text=FullText.NEVER)]
        report = poll(pipe, feeds)
    assert sum(report.outcomes.values()) == report.entries
    assert sum(feed.entries for feed in report.feeds) == report.entries
    by_path = {feed.url.rsplit("/", 1)[1]: feed for feed in report.feeds[len(chosen) :]}
    assert {path: feed.reason for path, feed in by_path.items()} == {
        "304": "bad-response",
        "404": "not-found",
        "410": "gone",
        "loop": "bad-redirect",
        "away": "private-address",
        "cut": "truncated",
        "429": "rate-limited",
        "slow": "not-a-feed",
        "good": None,
    }
    assert by_path["good"].status == "new"
    assert report.outcomes["quarantined"] == 0
    assert set(report.reasons) <= {"no-text"}
