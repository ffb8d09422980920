"""Cleaning, kind by kind: what of a page is the story and what is not. Every page here is made up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ingest import clean
from ingest.models import Cleaned

CAPTURED = datetime(2022, 6, 1, 12, tzinfo=UTC)
STANDFIRST = "Two bridges stay shut until the autumn, and the ferry carries what it can"
FIRST = (
    "The harbour of Sel reopened on Monday after three weeks of repairs, and the first ship brought flour for the "
    "district, said Ines Falk, who runs the port."
)
SECOND = (
    "Forty lorries waited at the quay before sunrise; by noon all of them had left for the villages behind the ridge, "
    "where bakeries had closed in the first days of May."
)
THIRD = "The council will decide next week whether the ferry may sail by night as well, as the fishermen have asked."
STORY = f"<p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p>"
OTHER = (
    "A museum in Orlen shows for the first time the letters of the painter Ada Brenn, which her niece had kept in a "
    "cupboard for sixty years, and which tell of her winters by the sea."
)


def cleaned(body: str, head: str = "", **given: Any) -> Cleaned:
    page = f"<html><head>{head}</head><body>{body}</body></html>"
    arguments: dict[str, Any] = {"url": "https://news.example/a", "charset": "utf-8", "captured": CAPTURED, **given}
    return clean.page(page.encode(), **arguments)


def paragraphs(body: str, head: str = "") -> list[str]:
    return cleaned(body, head).text.split("\n\n")


DESCRIBED = f'<meta name="description" content="{STANDFIRST}.">'


@pytest.mark.parametrize(
    ("above", "head"),
    [
        (f'<p class="article__dek">{STANDFIRST}</p>', ""),
        (f"<h2>{STANDFIRST}</h2>", ""),
        (f"<div>{STANDFIRST}</div>", DESCRIBED),
        (f'<div class="teaser">{STANDFIRST}</div>', DESCRIBED),
    ],
)
def test_the_standfirst_is_text(above: str, head: str) -> None:
    page = f"<main><header><h1>The harbour of Sel is open again</h1>{above}</header><article>{STORY}</article></main>"
    assert paragraphs(page, head) == [STANDFIRST, FIRST, SECOND, THIRD]


@pytest.mark.parametrize(
    "box",
    [
        f'<div class="newsletter-signup"><p>{OTHER}</p></div>',
        f"<aside><p>{OTHER}</p></aside>",
        f'<div class="related-stories"><h3>Related</h3><p>{OTHER}</p></div>',
        f'<div class="author-bio"><p>{OTHER}</p></div>',
        f"<div hidden><p>{OTHER}</p></div>",
        f'<div style="display: none"><p>{OTHER}</p></div>',
        f'<figure><img src="a.jpg"><figcaption>{OTHER}</figcaption></figure>',
        '<p>Read more: <a href="/b">What the ferry costs</a></p>',
        "<p>Advertisement</p>",
        "<p>DON'T MISS</p>",
        "<p>Get the news of the harbour by our newsletter, every morning before sunrise, and for nothing.</p>",
        "<p>Thank you for subscribing!</p>",
        "<p>Please use Chrome browser for a more accessible video player.</p>",
        "<p>(Reporting by Tom Ayre; editing by Lena Voss)</p>",
        "<p>© 2022 News Example. All rights reserved.</p>",
        "<ul><li><a href='/1'>What the ferry costs</a></li><li><a href='/2'>Who pays for the quay</a></li></ul>",
    ],
)
def test_what_stands_inside_the_text_and_is_none_of_it(box: str) -> None:
    page = (
        f"<article><h1>The harbour of Sel is open again</h1><p>{FIRST}</p>{box}<p>{SECOND}</p><p>{THIRD}</p></article>"
    )
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


def test_subheads_lists_and_quotes_are_text() -> None:
    page = (
        f"<article><h1>The harbour of Sel is open again</h1><p>{FIRST}</p><h2>What it brings</h2><p>{SECOND}</p>"
        f"<ul><li>Flour for two thousand families</li><li>Diesel for the pumps of Orlen</li></ul>"
        f"<blockquote><p>{THIRD}</p></blockquote><h2>More on the harbour</h2></article>"
    )
    assert paragraphs(page) == [
        FIRST,
        "What it brings",
        SECOND,
        "Flour for two thousand families",
        "Diesel for the pumps of Orlen",
        THIRD,
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Ines Falk is a senior reporter for the Courier and lives in Orlen with her two dogs.",
        "Tom Ayre may be reached at tom@news.example, also at night.",
        "Lena Voss and Ada Brenn contributed to this report from the harbour and from the ridge.",
        "Sign up for our daily letter on what moves the district and the villages behind the ridge.",
        "Follow us on any of the networks.",
    ],
)
def test_the_last_lines_about_author_and_site_are_none_of_it(line: str) -> None:
    page = f"<article><h1>The harbour of Sel is open again</h1>{STORY}<p>{line}</p></article>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD]
    person = "Ines Falk is a reporter who was on the first ship and saw the lorries wait at the quay before sunrise."
    page = f"<article><h1>The harbour of Sel is open again</h1><p>{person}</p>{STORY}</article>"
    assert paragraphs(page) == [person, FIRST, SECOND, THIRD]


def test_a_table_of_facts_is_text_a_row_a_line() -> None:
    table = "<table><tr><th>Port</th><th>Tonnes</th></tr><tr><td>Sel</td><td>900</td></tr></table>"
    page = f"<article><h1>The harbour of Sel is open again</h1><p>{FIRST}</p>{table}<p>{SECOND}</p></article>"
    assert paragraphs(page) == [FIRST, "Port | Tonnes", "Sel | 900", SECOND]


NEXT = f"<h1>Letters out of a cupboard</h1><p>{OTHER}</p><p>{OTHER} Her niece agrees.</p>"


@pytest.mark.parametrize(
    "page",
    [
        "<main><article>{story}</article><article>{next}</article></main>",
        "<main><div class='story'>{story}</div><div class='story'>{next}</div></main>",
        "<main><div class='story no1'>{story}</div><div class='story no2'>{next}{next}{next}{next}</div></main>",
        "<article>{story}<div class='next-article'>{next}{next}</div></article>",
    ],
)
def test_the_next_article_appended_below_is_another_story(page: str) -> None:
    story = f"<h1>The harbour of Sel is open again</h1>{STORY}"
    assert paragraphs(page.format(story=story, next=NEXT)) == [FIRST, SECOND, THIRD]


def test_parts_with_headings_of_the_first_level_are_one_story() -> None:
    parts = "".join(f"<section><h1>Part {n} of the repairs</h1><p>{OTHER} {n}</p></section>" for n in range(3))
    found = paragraphs(f"<main><h1>The harbour of Sel is open again</h1>{parts}</main>")
    assert [text for text in found if text.startswith(OTHER)] == [f"{OTHER} {n}" for n in range(3)]


def test_teasers_of_other_stories_in_a_row_are_none_of_it() -> None:
    cards = "".join(
        f"<div class='item n{n}'><h3><a href='/{n}'>What the ferry costs in year {n}</a></h3>"
        f"<p>The council reckons with {n} tickets a day in the first summer after the repairs.</p></div>"
        for n in range(5)
    )
    for stories in (STORY, STORY + STORY.replace("<p>", "<p>Again: ") * 2):
        for grid in (cards, cards * 8):
            page = (
                f"<article><h1>The harbour of Sel is open again</h1>{stories}<div class='grid'>{grid}</div></article>"
            )
            found = paragraphs(page)
            assert found[:3] == [FIRST, SECOND, THIRD]
            assert any("tickets a day" in text for text in found) is (stories is STORY and grid is not cards)


def test_several_containers_of_one_story() -> None:
    part = '<div class="story-part">{}</div>'
    page = (
        f'<div class="page"><h1>The harbour of Sel is open again</h1>{part.format(f"<p>{FIRST}</p>")}'
        f'<div class="ad-slot"><p>{OTHER}</p></div>{part.format(f"<p>{SECOND}</p><p>{THIRD}</p>")}</div>'
    )
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


def test_paragraphs_divided_by_line_breaks() -> None:
    page = f"<div class='article-body'>{FIRST}<br><br>{SECOND}<br />\n<br>{THIRD}</div>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


def test_comments_longer_than_the_story_are_no_story() -> None:
    comments = "".join(f'<div class="comment"><p>{OTHER} Number {n}.</p></div>' for n in range(20))
    below = f"<div class='comments'>{comments}</div>"
    page = f"<main><h1>The harbour of Sel is open again</h1><div>{STORY}</div>{below}</main>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


def test_a_consent_dialog_longer_than_the_story_is_no_story() -> None:
    dialog = "".join(
        f"<p>We and our partners store and read data on your device, purpose {n}. {OTHER}</p>" for n in range(9)
    )
    page = f"<article>{STORY}</article><div id='onetrust-consent-sdk'>{dialog}</div>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize("names", ["sidebar-layout", "modal-open gdpr", "teaser-content", "has-newsletter widget"])
def test_a_name_that_wraps_the_whole_page_says_nothing(names: str) -> None:
    page = f"<div class='{names}'><h1>The harbour of Sel is open again</h1><div>{STORY}</div></div>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


def test_what_stands_in_such_a_wrapper_is_still_judged_by_its_own_name() -> None:
    caption = "<p class='imageCaption'>Lorries wait at the quay of Sel before sunrise, seen from the ridge.</p>"
    box = f"<div class='newsletter'><p>{OTHER}</p></div>"
    body = f"<h1>The harbour of Sel is open again</h1><p>{FIRST}</p>{caption}<p>{SECOND}</p>{box}<p>{THIRD}</p>"
    assert paragraphs(f"<div class='page-banner'><div>{body}</div></div>") == [FIRST, SECOND, THIRD]


def test_a_name_that_every_paragraph_of_the_text_bears_says_nothing() -> None:
    parts = "".join(f"<div class='sidebar-grid'><p>{text}</p></div>" for text in (FIRST, SECOND, THIRD))
    page = f"<main><h1>The harbour of Sel is open again</h1>{parts}</main>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD]


def test_hidden_appeals_longer_than_a_short_story_are_no_story() -> None:
    appeals = "".join(f"<div class='hidden'><p>{OTHER} Give as little as {n} a month.</p></div>" for n in range(8))
    page = f"<article><h1>The harbour of Sel is open again</h1><p>{FIRST}</p><p>{SECOND}</p>{appeals}</article>"
    assert paragraphs(page) == [FIRST, SECOND]


def test_a_list_that_begins_or_ends_the_text_is_text() -> None:
    items = ["Orlen: ferry at six", "Sel: ferry at seven", "Ridge: no ferry"]
    told = f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
    head = "<h1>The harbour of Sel is open again</h1>"
    assert paragraphs(f"<article>{head}{STORY}{told}</article>") == [FIRST, SECOND, THIRD, *items]
    assert paragraphs(f"<article>{head}{told}{STORY}</article>") == [*items, FIRST, SECOND, THIRD]


def test_a_quoted_post_is_text() -> None:
    post = '<blockquote class="twitter-tweet"><p>The quay is free.</p>— Port of Sel (@sel) May 24, 2022</blockquote>'
    page = f"<article><h1>The harbour of Sel is open again</h1><p>{FIRST}</p>{post}<p>{SECOND}</p></article>"
    quoted = ["The quay is free.", "— Port of Sel (@sel) May 24, 2022"]
    assert paragraphs(page) == [FIRST, *quoted, SECOND]
    wrapped = f"<div class='social-embed'><div>{post}</div></div>"
    assert paragraphs(page.replace(f"<p>{SECOND}</p>", f"<p>{SECOND}</p>{wrapped}"))[-3:] == [SECOND, *quoted]


def test_an_element_of_the_sites_own_does_not_break_its_paragraph() -> None:
    inside = FIRST.replace("three weeks", "<x-note title='a'><a href='/b'>three</a></x-note> weeks")
    assert paragraphs(f"<article><p>{inside}</p><p>{SECOND}</p></article>") == [FIRST, SECOND]


def test_text_that_stands_only_in_data() -> None:
    data = '<script type="application/ld+json">{"@type": "NewsArticle", "articleBody": "%s\\n\\n%s"}</script>'
    assert paragraphs("<div id='app'></div>", data % (FIRST, SECOND)) == [FIRST, SECOND]


def test_a_language_without_spaces() -> None:
    first = "救援车队周一中午抵达被围困的城镇，为两千个家庭卸下了面粉和药品，当地医生说。"
    second = "议会将于下周决定渡轮是否可以在夜间航行，渔民们已经提出了这一要求。"
    links = "".join(f'<li><a href="/{n}">首页新闻第{n}条：港口重新开放</a></li>' for n in range(30))
    found = cleaned(f"<ul>{links}</ul><div><h1>车队抵达城镇</h1><p>{first}</p><p>{second}</p></div>")
    assert found.text.split("\n\n") == [first, second]
    assert found.language == "zh"


# ---- metadata


def test_the_title_is_the_one_that_readers_see() -> None:
    seen = "The harbour of Sel is open again after three weeks of repairs"
    head = '<meta property="og:title" content="Harbour of Sel open again: repairs explained"><title>x</title>'
    assert cleaned(f"<h1>{seen}</h1>{STORY}", head).title == seen
    assert cleaned(f"<h1>News of the day</h1>{STORY}", head).title == "Harbour of Sel open again: repairs explained"


def test_a_heading_with_a_kicker_does_not_make_the_title() -> None:
    head = '<meta property="og:title" content="The harbour of Sel is open again">'
    page = cleaned(f"<h1><span>District</span> <span>The harbour of Sel is open again</span></h1>{STORY}", head)
    assert page.title == "The harbour of Sel is open again"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("2022-05-24T01:30:00Z", "2022-05-23T23:30:00-02:00"),  # half past nine in the evening in New York
        ("2022-05-22T22:30:00Z", "2022-05-23T00:30:00+02:00"),
        ("2022-05-24T01:30:00+02:00", "2022-05-24T01:30:00+02:00"),  # who states a zone knows the day
        ("2022-05-29T01:30:00Z", "2022-05-29T01:30:00Z"),  # no question of zones
    ],
)
def test_the_day_is_the_one_of_the_address(stated: str, expected: str) -> None:
    head = f'<meta property="article:published_time" content="{stated}">'
    assert cleaned(STORY, head, url="https://news.example/2022/05/23/harbour").published == expected


@pytest.mark.parametrize(
    "name", ["article:published_time", "article:published:time", "Parsely-Pub-Date", "DC.date.issued"]
)
def test_a_date_by_any_spelling_of_its_name(name: str) -> None:
    assert cleaned(STORY, f'<meta name="{name}" content="2022-05-24">').published == "2022-05-24"


TODAY = f"{CAPTURED:%Y-%m-%d}"
CLOCK = f"{CAPTURED:%Y-%m-%dT%H:%M:%SZ}"
META = '<meta property="article:published_time" content="%s">'


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        (META % "2022-05-24T08:00:00Z", "", ("2022-05-24T08:00:00Z", "page: meta")),
        (META % "2022-07-24T08:00:00Z", "", (None, None)),  # seven weeks after the page was fetched
        (META % "2022-07-24", "<article><time>24 May 2022</time></article>", ("2022-05-24", "page: time")),
        (META % CLOCK, "", (None, None)),  # the server's clock: this page and every other
        (META % CLOCK, "<article><time>24 May 2022</time></article>", ("2022-05-24", "page: time")),
        (META % TODAY, "", (TODAY, "page: meta")),
        ("", f"<header><time datetime='{TODAY}'>Today</time></header>", (None, None)),  # the day of the visit
        ("", "<header><time datetime='2022-05-24'>Tuesday</time></header>", ("2022-05-24", "page: time")),
        ("", f"<article><time datetime='{TODAY}'>Today</time></article>", (TODAY, "page: time")),
        ("", "<div>Wednesday, 1 June 2022</div>", (None, None)),
        ("", "<div>Tuesday, 24 May 2022</div>", ("2022-05-24", "page: text")),
    ],
)
def test_a_date_is_none_that_lies_ahead_or_that_every_page_of_a_site_bears(
    head: str, body: str, expected: tuple[str | None, str | None]
) -> None:
    found = cleaned(f"{body}<main><h1>The harbour of Sel is open again</h1>{STORY}</main>", head)
    assert (found.published, found.published_from) == expected


@pytest.mark.parametrize(
    ("authors", "expected"),
    [
        ('[{"name": "News Example"}]', ("News Example",)),
        ('[{"name": "News Example"}, {"name": "Ines Falk"}]', ("Ines Falk",)),
    ],
)
def test_the_outlet_is_an_author_only_where_it_signs_alone(authors: str, expected: tuple[str, ...]) -> None:
    head = (
        '<meta property="og:site_name" content="News Example"><script type="application/ld+json">'
        f'{{"@type": "NewsArticle", "author": {authors}}}</script>'
    )
    assert cleaned(STORY, head).authors == expected


@pytest.mark.parametrize(
    ("byline", "expected"),
    [
        ('<p>von <a href="/autoren/ines-falk">Ines Falk</a></p>', ("Ines Falk",)),
        ('<p>By <a href="/author/1">Ines Falk</a>, <a href="/author/2">Tom Ayre</a></p>', ("Ines Falk", "Tom Ayre")),
        ('<a href="/author/news">News Example</a>', ()),
        ("<div>By Ines Falk and Tom Ayre</div>", ("Ines Falk", "Tom Ayre")),
        ("<div>By the time that the ferry sailed</div>", ()),
    ],
)
def test_a_byline_without_a_name_of_its_own(byline: str, expected: tuple[str, ...]) -> None:
    more = '<div><a href="/author/9">Ada Brenn</a></div>' if expected else ""
    page = f"<h1>The harbour of Sel is open again</h1>{byline}{STORY}{more}"
    assert cleaned(page, '<meta property="og:site_name" content="News Example">').authors == expected


# ---- what is no story


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("404 Not Found", "error-page"),
        ("404", "error-page"),
        ("Page not found | News Example", "error-page"),
        ("Страница не найдена", "error-page"),
        ("Just a moment...", "robot-check"),
        ("Attention Required! | Cloudflare", "robot-check"),
        ("Before you continue to Example", "consent-wall"),
        ("Example is part of the Sample family of brands", "consent-wall"),
        ("Access denied: how the port of Sel was closed for three weeks", None),
        ("The harbour of Sel is open again", None),
        ("500", "error-page"),
        ("502 new jobs for Orlen", None),
        ("!", None),
        ("!!! - Pitchfork", None),
        ("… | Sample News", None),
        ("“?” – Der Sample", None),
        ("!" * 400, None),
        ("Error 404: page not found!", "error-page"),
        ("404 - Not Found - News Example", "error-page"),
    ],
)
def test_errors_and_walls_are_named(title: str, kind: str | None) -> None:
    assert cleaned(f"<h1>{title}</h1><p>Please come back later.</p>", f"<title>{title}</title>").wall == kind


def test_a_story_with_the_title_of_an_error_is_a_story() -> None:
    text = "".join(f"<p>{FIRST} {n}</p>" for n in range(10))
    assert cleaned(f"<h1>Access denied</h1>{text}").wall is None


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ('<div class="entry-date">12 May 2022</div>', "2022-05-12"),
        ("<div>Kraków, 12 maja 2022, 14:05</div>", "2022-05-12"),
        ('<div class="info">Last updated 14 May 2022</div><div class="info">12 May 2022</div>', "2022-05-12"),
    ],
)
def test_the_day_in_the_line_near_the_heading_is_that_of_the_story(line: str, day: str) -> None:
    other = '<div class="date">1 February 2021</div><p>Another story, of which there is only this line to be read.</p>'
    html = f"<h1>The bridge over the river stays closed</h1>{line}{STORY}<div>{other * 12}</div>"
    found = cleaned(html, url=None)
    assert (found.published, found.published_from) == (day, "page: text")


# ---- lines that are the site's own


@pytest.mark.parametrize(
    "line",
    [
        "Get the day's news and the tide tables, every morning, in your inbox.",
        "Subscribe to the free harbour newsletter of the Courier and never miss a ship.",
        "Der Newsletter der Hafenpost informiert jeden Morgen über Schiffe, jetzt abonnieren.",
        "Some of the links on this page are so marked: this post contains affiliate links.",
        "When readers buy through links on our site, we may earn an affiliate commission.",
        "Il vous reste 62 % de cet article à lire. La suite est réservée aux abonnés.",
        "Если вы нашли ошибку, выделите её мышкой и нажмите Ctrl+Enter.",
        "Um eingebettete Inhalte zu sehen, stimmen Sie bitte zu, dass personenbezogene Daten übermittelt werden. " * 5,
        "免责声明：文中所述仅供参考，请读者自行核实。",
        "This content is hosted by Sample Pictures, which may be using cookies and other technologies.",
        "Follow the Courier's full coverage of the harbour at https://news.example/harbour",
    ],
)
def test_what_a_site_says_for_itself_is_no_text(line: str) -> None:
    assert paragraphs(f"<article>{STORY}<p>{line}</p><p>{OTHER}</p></article>") == [FIRST, SECOND, THIRD, OTHER]


@pytest.mark.parametrize(
    "line",
    [
        "The council sends a newsletter to everybody who lives by the harbour, and twelve people have read it so far.",
        "“We get no answer from the commission, and I make no secret of it,” said the harbour master on Tuesday.",
        "Whoever finds a strange bill in your inbox is as lost as we are, she told the fishermen of the island.",
        "The commission for ports said on Tuesday that we cannot earn back what the repairs of the harbour cost.",
        "Want and hunger, or flour that rots on the quay: is that a choice?",
        "The post offices of the island wait for new boxes; everybody keeps an inbox on the kitchen table until then.",
    ],
)
def test_a_story_may_speak_of_what_sites_say_for_themselves(line: str) -> None:
    assert line in paragraphs(f"<article>{STORY}<p>{line}</p></article>")


def test_a_heading_of_a_part_may_stand_above_one_of_a_part_of_it() -> None:
    page = f"<article>{STORY}<h2>The quay</h2><h3>Its stones</h3><p>{OTHER}</p><h3>Its end</h3><h2>Gone</h2></article>"
    assert paragraphs(page) == [FIRST, SECOND, THIRD, "The quay", "Its stones", OTHER]


def test_a_heading_to_which_a_table_of_contents_leads_is_kept() -> None:
    page = f'<p>{FIRST}</p><h2 class="toc-1">The quay</h2><p>{SECOND}</p><div class="toc">Contents</div>'
    assert paragraphs(page) == [FIRST, "The quay", SECOND]


def test_the_line_with_the_day_above_the_first_sentence_is_no_text() -> None:
    line = "By Ines Falk in the harbour, 24 May 2022, 10:15"
    assert paragraphs(f"<article><p>{line}</p>{STORY}</article>") == [FIRST, SECOND, THIRD]


def test_a_short_story_is_not_lost_among_longer_ones_below_it() -> None:
    rows = "".join(f'<article class="post post-{n}"><h2>Another {n}</h2><p>{OTHER} {n}</p></article>' for n in range(8))
    story = f'<article class="post post-9"><h1>The harbour of Sel</h1>{STORY}</article>'
    page = f'<div>{story}<article class="box">{rows}</article></div>'
    assert paragraphs(page) == [FIRST, SECOND, THIRD]
