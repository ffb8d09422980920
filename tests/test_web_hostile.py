"""Hostile strings in every field of a story and in every address, in a real Chromium: none is alive.

Whatever one of them does shows as a violation of the policy, an error, a dialog or a request to somebody else, and
fails the test by itself (browser.py); besides, nothing that they ask for may stand in the page's tree.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from lxml import etree
from playwright.sync_api import Browser, Page

from ingest.pipeline.exporting import FORMULA
from ingest.settings import Settings
from tests import windows
from tests.browser import opened, served
from tests.conftest import SHARED

ALIVE = "alert(document.domain)"
PAYLOADS = (
    f"<script>{ALIVE}</script>",
    f"</title><script>{ALIVE}</script>",
    f"--><script>{ALIVE}</script>",
    f"]]><script>{ALIVE}</script>",
    f"<img src=x onerror={ALIVE}>",
    f"<svg/onload={ALIVE}>",
    f"<svg><script href=data:,{ALIVE} />",
    f"<iframe srcdoc='<script>{ALIVE}</script>'></iframe>",
    f"<body onload={ALIVE}>",
    f"<details open ontoggle={ALIVE}>",
    f"<input autofocus onfocus={ALIVE}>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={ALIVE}>",
    f"<noscript><p title='</noscript><img src=x onerror={ALIVE}>'>",
    f"<a href='javascript:{ALIVE}'>here</a>",
    f'" onmouseover="{ALIVE}" autofocus onfocus="{ALIVE}" x="',
    f"' onmouseover='{ALIVE}' autofocus onfocus='{ALIVE}' x='",
    f"`onmouseover={ALIVE}`",
    f"'-{ALIVE}-'",
    f"\\u003cscript\\u003e{ALIVE}\\u003c/script\\u003e",
    f"&lt;script&gt;{ALIVE}&lt;/script&gt;",
    f"&#60;script&#62;{ALIVE}&#60;/script&#62;",
    f"%3Cscript%3E{ALIVE}%3C/script%3E",
    f"{{{{constructor.constructor('{ALIVE}')()}}}}",
    "{{ config }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    f"${{{ALIVE}}}",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import url(//evil.example/x.css);*{background:url(//evil.example/y)}</style>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<form action=//evil.example><button>Search</button></form>",
    "<object data=//evil.example></object><embed src=//evil.example>",
    f"<template><script>{ALIVE}</script></template><x-y is=z></x-y>",
    "<b>bold</b> </article></main><h1>Another page</h1>",
    "\u202egnp.exe\u202c \u2066left\u2069",
    "zalgo \u0300\u0301\u0302\u0303\u0304\u0305" * 20,
    "a" * 3000,
    "\x00\x07\x1b[31mred\x7f\x9b",
    "\ud83d\ude00 \ufffe\uffff \u2028\u2029",
    '=HYPERLINK("//evil.example")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "-2+3",
    "%s%n%x {0} %(x)s",
    "' OR 1=1 --",
    "../../../../etc/passwd",
)
ADDRESSES = (
    f"javascript:{ALIVE}",
    f"JaVaScRiPt:{ALIVE}",
    f" javascript:{ALIVE}",
    f"java\tscript:{ALIVE}",
    f"data:text/html,<script>{ALIVE}</script>",
    f"vbscript:{ALIVE}",
    "file:///etc/passwd",
    f'https://evil.example/"onmouseover="{ALIVE}',
    f"https://evil.example/'><script>{ALIVE}</script>",
    "https://user:secret@evil.example/?token=hush",
    "//evil.example/x",
)
OURS = ("theme.js", "app.js", "search.js", "chart.js", "story.js", "uPlot.iife.min.js")
TREE = """() => [
  ...[...document.querySelectorAll('*')].flatMap(e => [...e.attributes].filter(
      a => /^on/i.test(a.name) || a.name === 'style' && !e.closest('.plots') || a.name === 'srcdoc').map(a => a.name)),
  ...[...document.querySelectorAll('[href], [src], [action]')].map(
      e => (e.getAttribute('href') || e.getAttribute('src') || e.getAttribute('action')).trim()).filter(
      u => !/^(https?:\\/\\/|\\/(?!\\/)|#)/i.test(u)),
  ...[...document.scripts].map(s => s.src.split('/').pop().split('?')[0]),
  ...document.querySelectorAll('main').length === 1 ? [] : ['main'],
  ...[...document.querySelectorAll('iframe, object, embed, base, meta[http-equiv], style, template')].map(
      e => e.tagName),
]"""


def archive(folder: Path, payloads: Sequence[str]) -> Path:
    """Each of these strings in every field of a story of its own; a pair of stories a topic's words, so that it has
    evidence, copies and a language."""
    lines = []
    for n, payload in enumerate(payloads):
        address = ADDRESSES[n % len(ADDRESSES)]
        sentence = f"Russian artillery shelled the town {n} on Monday. {payload} Troops were deployed along the road."
        line = {
            "id": f"{payload}-{n}",
            "url": f"{address}/{n}" if "evil.example/" in address else address,
            "title": f"{payload} artillery {n}",
            "text": f"{sentence}\n\n{payload}",
            "source": payload[:200],
            "language": "en",
            "authors": [payload[:200]],
            "published": f"2022-05-{1 + n % 28:02d}T10:00:00Z",
        }
        lines.append(json.dumps(line))
    path = folder / "hostile.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("hostile")
    settings = Settings(home=home, landing=str(home / "landing"), workers=1)
    return windows.filled(settings, archive(home, PAYLOADS))


@pytest.fixture(scope="module")
def asking(hostile: Settings) -> Iterator[TestClient]:
    with windows.client(hostile) as client:
        yield client


@pytest.fixture(scope="module")
def place(hostile: Settings) -> Iterator[str]:
    with served(windows.application(hostile)) as address:
        yield address


NOTICED = (f"<img src=/static/icon.svg onload={ALIVE}>", f"<script>{ALIVE}</script>", "<b style='color:red'>x</b>")


@pytest.mark.parametrize("payload", NOTICED)
def test_what_is_alive_would_be_noticed(browser: Browser, place: str, payload: str) -> None:
    insert = "(made) => document.querySelector('main').append(document.createRange().createContextualFragment(made))"

    def put() -> None:
        with opened(browser, place) as page:
            page.goto("/runs")
            page.evaluate(insert, payload)
            page.wait_for_timeout(200)

    with pytest.raises(AssertionError, match="Content Security Policy"):
        put()


def ids(client: TestClient) -> list[str]:
    lines = client.get("/stories.jsonl").text.split("\n")
    return [json.loads(line)["id"] for line in lines if line]


def inert(page: Page) -> None:
    assert [found for found in page.evaluate(TREE) if found not in OURS] == []


def test_no_story_is_alive_on_its_page(browser: Browser, place: str, asking: TestClient) -> None:
    known = ids(asking)
    assert len(known) >= len(PAYLOADS) - 2
    with opened(browser, place) as page:
        for identity in known:
            page.goto(f"/story/{identity}", wait_until="load")
            inert(page)
            page.locator("h1").hover()


def test_no_story_is_alive_in_a_list_a_filter_or_the_chart(browser: Browser, place: str) -> None:
    with opened(browser, place) as page:
        for path in ("/?every=1", "/?every=1&page=2", "/?every=1&page=3", "/?q=artillery", "/days", "/runs", "/feeds"):
            page.goto(path, wait_until="load")
            inert(page)
        page.goto("/")
        for summary in page.locator(".filters details details summary").all():
            summary.click()
        plot = page.locator(".plots .u-over").first
        plot.hover()
        inert(page)


def test_no_pair_is_alive_side_by_side(browser: Browser, place: str, asking: TestClient) -> None:
    known = ids(asking)
    with opened(browser, place) as page:
        for left, right in zip(known[::4], known[1::4], strict=False):
            page.goto(f"/story/{left}/beside/{right}", wait_until="load")
            inert(page)


def test_no_address_is_alive(browser: Browser, place: str) -> None:
    with opened(browser, place) as page:
        for payload in (*PAYLOADS[:34], *ADDRESSES):
            typed = quote(payload[:280])
            page.goto(f"/?q={typed}&topic={typed}&source={typed}&lang={typed}&status={typed}", wait_until="load")
            inert(page)
        page.faults[:] = [fault for fault in page.faults if "status of 400" not in fault]  # type: ignore[attr-defined]


def test_no_page_of_an_error_is_alive(browser: Browser, place: str) -> None:
    with opened(browser, place) as page:
        for payload in PAYLOADS[:30:3]:
            typed = quote(payload, safe="")
            for path in (f"/story/{typed}", f"/{typed}", f"/runs/{typed}", f"/?since={typed}", f"/login?next={typed}"):
                page.goto(path, wait_until="load")
                inert(page)
        page.faults[:] = [fault for fault in page.faults if "status of 40" not in fault]  # type: ignore[attr-defined]


def test_the_feed_of_hostile_stories_is_well_formed(asking: TestClient) -> None:
    root = etree.fromstring(asking.get("/feed.atom").content)
    links = [link.get("href") for link in root.iter("{http://www.w3.org/2005/Atom}link")]
    assert len(links) > 25
    assert all(link.startswith(("http://", "https://")) for link in links), links
    assert not any("secret" in link for link in links)


def test_no_cell_of_the_csv_is_a_formula(asking: TestClient) -> None:
    rows = list(csv.reader(io.StringIO(asking.get("/stories.csv").text)))
    assert len(rows) > 40
    assert [cell for row in rows for cell in row if cell.startswith(FORMULA)] == []
    assert any(cell.startswith("'=HYPERLINK") for row in rows for cell in row)


def test_the_json_is_no_page(asking: TestClient) -> None:
    for path in ("/api/v1/search", "/api/v1/filters", "/api/v1/days", f"/api/v1/stories/{ids(asking)[0]}"):
        answer = asking.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.shared
def test_none_of_the_naughty_strings_is_alive(browser: Browser, tmp_path: Path) -> None:
    with tarfile.open(SHARED / "corpora" / "hostile-input.tar.xz") as tar:
        file = tar.extractfile("blns/blns.json")
        assert file
        strings = [text for text in json.load(file) if text.strip()]
    settings = Settings(home=tmp_path, landing=str(tmp_path / "landing"), workers=1)
    windows.filled(settings, archive(tmp_path, strings))
    with served(windows.application(settings)) as address, opened(browser, address) as page:
        for number in range(1, 24):
            page.goto(f"/?every=1&page={number}", wait_until="load")
            inert(page)
        links = [link.get_attribute("href") for link in page.locator(".hit h2 a").all()]
        for link in links:
            page.goto(str(link), wait_until="load")
            inert(page)
