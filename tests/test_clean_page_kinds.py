"""Pages that are no plain articles: what they are called, and what of them is text. Every page here is made up."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest import clean
from ingest.clean import markup, metadata
from ingest.command_line import showing
from ingest.landing import Landing
from ingest.models import Capture, Cleaned
from ingest.pipeline import jobs, records, runs
from ingest.pipeline.pipe import opened
from ingest.settings import Settings
from ingest.store import Query
from tests import windows
from tests.test_clean_kinds import CAPTURED, FIRST, OTHER, SECOND, STORY, THIRD

TITLE = "The harbour of Sel is open again"


def data(**said: Any) -> str:
    return f'<script type="application/ld+json">{json.dumps(said)}</script>'


def page(body: str, head: str = "") -> bytes:
    return f"<html><head>{head}</head><body>{body}</body></html>".encode()


def cleaned(body: str, head: str = "", url: str = "https://news.example/2022/05/24/harbour") -> Cleaned:
    return clean.page(page(body, head), url=url, charset="utf-8", captured=CAPTURED)


def paragraphs(found: Cleaned) -> list[str]:
    return found.text.split("\n\n")


TOLD = {"14:05": FIRST, "13:40": SECOND, "12:10": THIRD}
BLOG = f"<h1>{TITLE}: as it happened</h1>" + "".join(
    f"<div class='{{}}'><time datetime='2022-05-24T{at}:00Z'>{at}</time><h3>News of {at}</h3><p>{text}</p>"
    "<div><span>Share</span></div></div>"
    for at, text in TOLD.items()
)
ENTRIES = [part for at, text in TOLD.items() for part in (at, f"News of {at}", text)]


def test_a_live_blog_keeps_the_times_of_its_entries() -> None:
    by_data = cleaned(f"<main>{BLOG.format(*['entry'] * 3)}</main>", data(**{"@type": "LiveBlogPosting"}))
    by_build = cleaned(f"<main>{BLOG.format(*['live-blog__post'] * 3)}</main>")
    for found in (by_data, by_build):
        assert found.page_kind == "live_blog"
        assert paragraphs(found) == ENTRIES
    plain = cleaned(f"<main>{BLOG.format(*['entry'] * 3)}</main>")
    assert plain.page_kind == "article"
    assert "14:05" not in paragraphs(plain)


def test_a_live_blog_that_stands_only_in_data() -> None:
    updates = [
        {"@type": "BlogPosting", "datePublished": f"2022-05-24T{at}:00Z", "headline": f"At {at}", "articleBody": text}
        for at, text in TOLD.items()
    ]
    found = cleaned("<div id='app'></div>", data(**{"@type": "LiveBlogPosting", "liveBlogUpdate": updates}))
    assert found.page_kind == "live_blog"
    assert paragraphs(found)[:4] == ["2022-05-24T14:05:00Z", "At 14:05", FIRST, "2022-05-24T13:40:00Z"]


def captions(number: int) -> list[str]:
    return [
        f"Lorry {n} waits at the quay of Sel before sunrise, its driver asleep at the wheel." for n in range(number)
    ]


def figures(told: list[str]) -> str:
    return "".join(f"<figure><img src='a.jpg'><figcaption>{text}</figcaption></figure>" for text in told)


def test_the_captions_are_the_text_of_a_gallery() -> None:
    found = cleaned(f"<article><h1>{TITLE}</h1><p>{FIRST}</p>{figures(captions(6) * 2)}</article>")
    assert found.page_kind == "gallery"
    assert paragraphs(found) == [FIRST, *captions(6)]
    few = f"<article><h1>{TITLE}</h1>{figures(captions(3))}</article>"
    assert paragraphs(cleaned(few, data(**{"@type": "ImageGallery"}))) == captions(3)
    story = cleaned(f"<article><h1>{TITLE}</h1>{STORY}{STORY}{figures(captions(6))}</article>")
    assert (story.page_kind, "Lorry" in story.text) == ("article", False)


TEASERS = "".join(
    f"<div class='card'><h2><a href='/{n}'>What the ferry of Sel costs in year {n}</a></h2>"
    f"<p>The council reckons with {n} tickets a day in the first summer after all the repairs.</p></div>"
    for n in range(8)
)


@pytest.mark.parametrize(
    "url", ["https://news.example/", "https://news.example/tag/ferry", "https://news.example/world"]
)
def test_a_list_of_other_stories_is_no_story_where_all_signs_say_so(url: str) -> None:
    lists = data(**{"@type": "CollectionPage", "name": "Ferry"})
    found = cleaned(f"<main><h1>Ferry</h1>{TEASERS}</main>", lists, url)
    assert (found.page_kind, found.wall) == ("index", "no-story")


@pytest.mark.parametrize(
    ("head", "url"),
    [
        ("", "https://news.example/2022/05/24/what-the-ferry-costs"),  # as a story's
        ('<meta property="article:published_time" content="2022-05-24">', "https://news.example/tag/ferry"),
        (data(**{"@type": "NewsArticle", "headline": "What the ferry costs"}), "https://news.example/tag/ferry"),
        ('<meta property="og:type" content="article">', "https://news.example/ferry"),
    ],
)
def test_in_doubt_a_list_is_kept_and_called_one(head: str, url: str) -> None:
    found = cleaned(f"<main><h1>Ferry</h1>{TEASERS}</main>", head, url)
    assert (found.page_kind, found.wall) == ("index", None)
    assert "The council reckons with 7 tickets" in found.text


LINKS = "".join(f"<li><a href='/{n}'>What the ferry of Sel costs in year {n}</a></li>" for n in range(8))


@pytest.mark.parametrize(
    ("body", "url", "kind", "wall"),
    [
        (f"<ul>{LINKS}</ul>", "https://news.example/2022/05/24/harbour-of-sel-is-open-again", "index", None),
        (f"<ul>{LINKS}</ul>", "https://news.example/tag/ferry", "index", "no-story"),
        (f"<h1>{TITLE}</h1><p>{FIRST}</p><ul>{LINKS}</ul>", "https://news.example/tag/ferry", "article", None),
        (f"<h1>{TITLE}</h1><nav><ul>{LINKS}</ul></nav>", "https://news.example/tag/ferry", "article", None),
        (f"<p>The ferry sails again.</p><ul>{LINKS}</ul>", "https://news.example/tag/ferry", "article", None),
        (f"<div class='menu'><ul>{LINKS}</ul></div>", "https://news.example/tag/ferry", "article", None),
    ],
)
def test_a_page_of_nothing_but_links_is_called_a_list(body: str, url: str, kind: str, wall: str | None) -> None:
    found = cleaned(body, "", url)
    assert (found.page_kind, found.wall) == (kind, wall)


def test_a_story_on_the_front_page_is_a_story() -> None:
    found = cleaned(f"<article><h1>{TITLE}</h1>{STORY}</article>", url="https://news.example/")
    assert (found.page_kind, found.wall) == ("article", None)


LOCKED = {"@type": "NewsArticle", "headline": TITLE, "isAccessibleForFree": "False"}
APPEAL = "<div class='paywall-offer'><a href='/offer'>Subscribe now to continue reading</a></div>"


@pytest.mark.parametrize(
    ("body", "head", "partial"),
    [
        (f"<p>{FIRST}</p>", data(**LOCKED), True),
        (f"<p>{FIRST}</p>", '<meta name="article:content_tier" content="locked">', True),
        (f"<p>{FIRST[:-20]}…</p>{APPEAL}", "", True),
        (f"<p>{FIRST}</p>{APPEAL}", data(**{"@type": "NewsArticle", "wordCount": 800}), True),
        (f"<p>{FIRST}</p>", "", False),
        (f"<p>{FIRST}</p>{APPEAL}", "", False),  # a box like on every page; the text ends as texts do
        (f"<p>{FIRST}</p>", data(**LOCKED, wordCount=35), False),  # all words are there
        (f"<p>{FIRST}</p>", data(**{**LOCKED, "isAccessibleForFree": True}), False),
        (STORY * 5, data(**LOCKED), False),
        (
            f"<div class='rest'>{STORY}</div>",
            data(**LOCKED, hasPart={"isAccessibleForFree": False, "cssSelector": ".rest"}),
            False,
        ),
    ],
)
def test_the_beginning_of_a_paid_story_is_kept_and_called_partial(body: str, head: str, partial: bool) -> None:
    found = cleaned(f"<article><h1>{TITLE}</h1>{body}</article>", head)
    assert found.text.startswith(FIRST[:60])
    assert (found.partial, found.wall) == (partial, None)


HTML_BODY = f"<p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p>"
ELEMENTS = [{"type": "text", "content": text} for text in (FIRST, SECOND, THIRD)]
RICH = [{"nodeType": "paragraph", "content": [{"value": text[:20]}, {"value": text[20:]}]} for text in (FIRST, SECOND)]


def script(name: str, value: object) -> str:
    told = json.dumps(value)
    match name:
        case "next":
            return f'<script id="__NEXT_DATA__" type="application/json">{told}</script>'
        case "assigned":
            return f"<script>window.__PRELOADED_STATE__ = {told};window.other = 1;</script>"
        case "parsed":
            return f"<script>window.__INITIAL_STATE__ = JSON.parse({json.dumps(told)});</script>"
    return f"<script>var Fusion=Fusion||{{}};Fusion.globalContent={told};Fusion.tree={{}}</script>"


@pytest.mark.parametrize("name", ["next", "assigned", "parsed", "fusion"])
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"props": {"pageProps": {"article": {"headline": TITLE, "bodyHtml": HTML_BODY}}}}, [FIRST, SECOND, THIRD]),
        ({"content_elements": ELEMENTS, "related": [{"content": OTHER * 9}]}, [FIRST, SECOND, THIRD]),
        ({"story": {"paragraphs": [FIRST, SECOND, THIRD]}, "teaser": OTHER}, [FIRST, SECOND, THIRD]),
        ({"fields": {"body": {"content": RICH}}}, [FIRST, SECOND]),
    ],
)
def test_text_that_stands_only_in_the_state_of_scripts(name: str, state: object, expected: list[str]) -> None:
    found = cleaned(f"<h1>{TITLE}</h1><div id='app'>Loading</div>{script(name, state)}")
    assert paragraphs(found) == expected


def test_what_stands_on_the_page_goes_before_what_stands_in_scripts() -> None:
    state = script("next", {"body": f"<p>{OTHER}</p>" * 20})
    assert paragraphs(cleaned(f"<article><h1>{TITLE}</h1>{STORY}</article>{state}")) == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize(
    "text",
    [
        "window.a = " + "[" * 200_000,
        "window.a = " + '{"a":' * 100_000,
        "window.a = {" * 50_000,
        "x=" * 500_000,
        "window.a = " + json.dumps([["a"] * 50] * 20_000),
        "window.a = " + json.dumps({"body": "<" * 1_000_000}),
        "window.a = " + '"' + "\\u0061" * 300_000,
    ],
)
def test_scripts_are_read_within_bounds(text: str) -> None:
    started = datetime.now(UTC)
    assert cleaned(f"<h1>{TITLE}</h1><p>Two words</p><script>{text}</script>").text == "Two words"
    assert (datetime.now(UTC) - started).total_seconds() < 30  # measured: at most 0.6 s


def long_blog(entries: int) -> str:
    told = [{"datePublished": f"{n:05d}", "articleBody": f"{SECOND[:100]} {n}"} for n in range(entries)]
    return data(**{"@type": "LiveBlogPosting", "liveBlogUpdate": told})


@pytest.mark.parametrize(
    ("body", "head", "cut"),
    [
        ("", long_blog(40), ""),
        ("", long_blog(2_000), ""),
        ("", long_blog(metadata.MOST_ENTRIES + 1), "10,000 of 10,001 entries"),
        (f"<p>{FIRST}</p>" * 8_000, "", "text as far as 1,000,000 characters"),
        (f"<p>{FIRST}</p>" + "<div><p>x</p></div>" * 110_000, "", "read as far as 200,000 elements"),
        (f"<p>{FIRST}</p><!--{'.' * markup.MAX_BYTES}-->", "", "read as far as 20,000,000 bytes"),
    ],
)
def test_what_is_too_long_is_cut_and_says_so(body: str, head: str, cut: str) -> None:
    found, story = clean.explain(page(body, head), url=None, charset="utf-8", captured=CAPTURED)
    assert story.cut == cut
    assert found.partial == bool(cut)
    assert len(found.text) <= clean.TEXT_LENGTH


def test_a_selector_of_the_pages_own_costs_no_time_and_breaks_nothing() -> None:
    for selector in ("div" + ":has(div" * 12 + ")" * 12, "p >", "::", "", 7, None, "." * 5_000):
        head = data(**LOCKED, hasPart=[{"cssSelector": selector}])
        started = datetime.now(UTC)
        assert cleaned(f"<h1>{TITLE}</h1><p>{FIRST}</p>{'<div>' * 3_000}", head).partial
        assert (datetime.now(UTC) - started).total_seconds() < 30


KINDS = {
    "https://news.example/2022/05/24/live": page(BLOG.format(*["x"] * 3), data(**{"@type": "LiveBlogPosting"})),
    "https://news.example/2022/05/24/gallery": page(f"<h1>The quay in pictures</h1>{figures(captions(7))}"),
    "https://news.example/2022/05/24/paid": page(f"<h1>Who paid for the quay</h1><p>{OTHER}</p>", data(**LOCKED)),
    "https://news.example/2022/05/24/told": page(f"<h1>{TITLE}</h1>{STORY}"),
    "https://news.example/2022/05/24/state": page(
        "<h1>Only in scripts</h1>" + script("fusion", {"content_elements": ELEMENTS[::-1]})
    ),
    "https://news.example/tag/ferry": page(f"<h1>Ferry</h1>{TEASERS}", data(**{"@type": "CollectionPage"})),
    "https://news.example/gone": page("<h1>Page not found</h1><p>Sorry.</p>", "<title>Page not found</title>"),
}


def test_every_kind_goes_through_an_archive_to_the_export_and_to_readers(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Landing(str(tmp_path)).captures("pages.warc.gz") as writer:
        for url, body in KINDS.items():
            html = (("Content-Type", "text/html; charset=utf-8"),)
            writer.add(Capture(url, 200, html, body, datetime(2022, 6, 1, tzinfo=UTC)))
    with opened(settings) as pipe:
        report, _ = jobs.backfill(pipe, runs.start("archive"), [str(tmp_path / "pages.warc.gz")], workers=1)
        stories = {story.content.url: story.to_json() for story in pipe.store.export(Query())}
    assert dict(report.reasons) == {"no-story": 1, "error-page": 1}
    assert {str(url).rsplit("/", 1)[-1]: (told["page_kind"], told["partial"]) for url, told in stories.items()} == {
        "live": ("live_blog", False),
        "gallery": ("gallery", False),
        "paid": ("article", True),
        "told": ("article", False),
        "state": ("article", False),
    }
    assert stories["https://news.example/2022/05/24/live"]["text"].split("\n\n") == ENTRIES
    assert stories["https://news.example/2022/05/24/state"]["text"].split("\n\n") == [THIRD, SECOND, FIRST]
    notes = {
        "live": "Live blog: entries with their times.",
        "gallery": "Gallery: its captions are the text.",
        "paid": "Only the beginning: the rest must be paid for, or the page is longer than what is read.",
        "told": None,
        "state": None,
    }
    with windows.client(settings) as client, opened(settings) as pipe:
        hits = client.get("/?every=1").text
        for name, note in notes.items():
            told = stories[f"https://news.example/2022/05/24/{name}"]
            page_of_it = client.get(f"/story/{told['id']}").text
            showing.story(records.story(pipe.store, pipe.store.get([told["id"]])[told["id"]]), showing.terminal())
            shown = capsys.readouterr().out
            assert re.findall('<p class="note">(.*?)</p>', page_of_it) == ([note] if note else [])
            assert hits.count(f'<p class="meta">{note}</p>') == (1 if note else 0)
            assert [line for line in shown.split("\n") if line in notes.values()] == ([note] if note else [])
