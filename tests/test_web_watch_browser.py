"""Feeds, runs and topics in a real Chromium: what an operator does there, and that nothing hostile lives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from ingest.models import Feed
from ingest.pipeline.pipe import opened as pipe_of
from ingest.settings import Settings
from tests import browser as browsers
from tests import windows
from tests.browser import opened
from tests.servers import FaultServer, Reply
from tests.windows import TOKEN

RSS = {"Content-Type": "application/rss+xml"}
ALIVE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg onload=alert(3)>"
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 2560, "height": 1300}


@pytest.fixture
def operated(settings: Settings, server: FaultServer) -> Iterator[str]:
    """The address of a window whose home reads one feed with a hostile title."""
    hostile = ALIVE.replace("&", "&amp;").replace("<", "&lt;")
    item = f"<item><title>{hostile}</title><link>javascript:alert(4)</link><description>{hostile}</description></item>"
    document = f"<rss version='2.0'><channel><title>{hostile}</title>{item}</channel></rss>"
    server.on("/feed", Reply(200, document.encode(), RSS))
    page = f"<link rel='alternate' type='application/rss+xml' href='{server.url('/feed')}'>"
    server.on("/", Reply(200, page.encode(), {"Content-Type": "text/html"}))
    with pipe_of(settings) as pipe:
        pipe.store.save_feeds([Feed("https://other.example/feed", title=ALIVE, group=ALIVE)])
    with browsers.served(windows.application(settings)) as address:
        yield address


def fits(page: Page) -> bool:
    """Whether the page itself needs no scrolling sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_an_operator_logs_in_adds_a_feed_of_a_site_and_removes_it(
    browser: Browser, operated: str, server: FaultServer
) -> None:
    with opened(browser, operated) as page:
        page.goto("/feeds")
        page.get_by_role("link", name="Log in").first.click()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        page.goto("/feeds")
        page.get_by_label("Add a feed").fill(server.url("/"))
        page.get_by_role("button", name="Look").click()
        expect(page.get_by_role("heading", level=2)).to_have_text("What its latest entries would become")
        page.get_by_role("button", name="Add this feed").click()
        expect(page.get_by_role("status")).to_have_text("Added. The next poll reads it.")
        page.get_by_role("button", name="Check now").click()
        expect(page.get_by_role("status")).to_contain_text("It answers")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".state")).to_have_text("paused")
        page.get_by_text("Remove…").click()
        page.get_by_role("button", name="Remove this feed").click()
        expect(page.get_by_role("status")).to_have_text("Removed. Its stories stay.")
        expect(page.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize("size", [NARROW, WIDE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_every_screen(browser: Browser, site: str, size: dict[str, int], scheme: str) -> None:
    with opened(browser, site, viewport=size, color_scheme=scheme) as page:
        for path in ("/feeds", "/runs", "/topics?text=Tanks+were+sent.", "/quarantine"):
            page.goto(path)
            assert fits(page), path
        page.goto("/runs")
        page.locator("tbody a").first.click()
        expect(page.locator("svg.flow")).to_be_visible()
        assert fits(page)


def test_topics_lead_to_rules_and_rules_to_stories(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/topics")
        page.locator("table.rules a").first.click()
        expect(page.get_by_role("heading", name="Its latest evidence")).to_be_visible()
        page.locator(".proofs a").first.click()
        expect(page).to_have_url(f"{site}/story/" + page.url.rpartition("/")[2])
