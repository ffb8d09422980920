"""What a page says of itself: title, date, authors, language, canonical address, site.

Sources in the order in which they are believed: JSON-LD (schema.org), Open Graph and other meta elements, microdata,
`<time>`, headings; for the date then the address, last htmldate's search through the page's text.
"""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import htmldate
from lxml import html

from ingest import addresses, dates, words
from ingest.clean.markup import Tree, hush, paragraphs

TITLE_LENGTH = 500
_NAME_LENGTH = 100
_MOST_AUTHORS = 20
_MOST_DATA = 2_000_000  # characters of one JSON-LD block
_MOST_NODES = 5_000  # objects of all blocks
# htmldate looks at every element and serialises the page, several times.
_MOST_ELEMENTS_FOR_SEARCH = 20_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the page says; None or empty where it says nothing. `languages` are its statements, the best one first;
    `body` is the text of the story where the page carries it as data."""

    title: str | None = None
    published: str | None = None
    published_from: str | None = None
    authors: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    canonical_url: str | None = None
    site: str | None = None
    body: str | None = None


@dataclass(slots=True)
class _Page:
    root: html.HtmlElement
    url: str | None
    captured: datetime
    story: dict[str, Any] = field(default_factory=dict)  # the JSON-LD object of the story
    rescued: dict[str, str] = field(default_factory=dict)  # out of JSON-LD that is broken
    meta: dict[str, list[str]] = field(default_factory=dict)
    site: str | None = None


def read(tree: Tree, *, url: str | None, captured: datetime) -> Metadata:
    """The metadata of the page at `url`; no date behind `captured` is believed."""
    page = _Page(tree.root, url, captured, meta=_meta(tree.root))
    objects = list(_objects(tree.root, page.rescued))
    page.story = _story(objects, page)
    page.site = _site(objects, page)
    published, published_from = _published(page, searched=not tree.deep)
    body = page.story.get("articleBody")
    return Metadata(
        title=_title(page),
        published=published,
        published_from=published_from,
        authors=_authors(page),
        languages=tuple(_languages(page)),
        canonical_url=_canonical(page),
        site=page.site,
        body=body if isinstance(body, str) else None,
    )


# ---- where it stands


def _meta(root: html.HtmlElement) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for element in root.iter("meta"):
        name = element.get("property") or element.get("name") or element.get("http-equiv") or element.get("itemprop")
        content = (element.get("content") or "").strip()
        if name and content:
            found.setdefault(name.strip().lower(), []).append(content)
    return found


def _objects(root: html.HtmlElement, rescued: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The objects of the page's JSON-LD in their order, graphs and main entities opened; lists of other stories are
    not."""
    left = _MOST_NODES
    for script in root.iter("script"):
        if "ld+json" not in (script.get("type") or "").lower():
            continue
        queue = [_json(script.text or "", rescued)]
        while queue and left:
            left -= 1
            value = queue.pop()
            if isinstance(value, list):
                queue.extend(reversed(value))
            elif isinstance(value, dict):
                yield value
                queue.extend(value[key] for key in ("mainEntityOfPage", "mainEntity", "@graph") if key in value)


_STATEMENT = re.compile(r'"(headline|datePublished|inLanguage)"\s{0,9}:\s{0,9}"((?:[^"\\\n]|\\.){1,500})"')


def _json(text: str, rescued: dict[str, str]) -> Any:
    """A block of JSON-LD as web sites write it: in comments, with a semicolon, with line breaks in strings, with commas
    too many. Of one that is past repair, `rescued` gets the simple statements."""
    text = text[:_MOST_DATA].strip().removeprefix("<!--").removesuffix("-->").strip()
    text = text.removeprefix("//<![CDATA[").removesuffix("//]]>").removeprefix("<![CDATA[").removesuffix("]]>")
    for candidate in (text, re.sub(r",(\s{0,99}[}\]])", r"\1", text.rstrip("; \n"))):
        try:
            return json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
    for name, value in _STATEMENT.findall(text):
        rescued.setdefault(name, value.replace('\\"', '"'))
    return None


_STORY_TYPE = re.compile(r"(?:Article|Posting|Report|Review|NewsItem|Interview)$")


def _story(objects: list[dict[str, Any]], page: _Page) -> dict[str, Any]:
    """The object that describes the page's own story: the one with the page's title, else the first one."""
    stories = [item for item in objects if any(_STORY_TYPE.search(kind) for kind in _strings(item.get("@type")))]
    if len(stories) > 1:
        shown = {_folded(title) for title in (*page.meta.get("og:title", ()), *_headings(page.root))}
        for item in stories:
            if any(_folded(headline) in shown for headline in _strings(item.get("headline"))):
                return item
    return stories[0] if stories else {}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _names(value: Any) -> list[str]:
    """The names in a schema.org person, organisation, string, or list of them."""
    found: list[str] = []
    queue = [value]
    while queue and len(found) < 2 * _MOST_AUTHORS:
        item = queue.pop(0)
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, list):
            queue.extend(item[: 2 * _MOST_AUTHORS])
        elif isinstance(item, dict):
            queue.append(item.get("name"))
    return found


def _headings(root: html.HtmlElement) -> list[str]:
    return [text for heading in list(root.iter("h1"))[:5] if (text := " ".join(_text(heading).split()))]


def _text(element: html.HtmlElement) -> str:
    return " ".join(text for _, text in paragraphs(element))


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", "", entities.unescape(text).casefold())


def _clean(text: str, limit: int = TITLE_LENGTH) -> str:
    """A statement as one line, its entities (twice escaped by many systems) and tags resolved."""
    text = entities.unescape(entities.unescape(text[: 8 * limit]))
    return words.one_line(re.sub(r"</?[a-zA-Z][^<>]{0,200}>", "", text), limit)


# ---- title and site


def _title(page: _Page) -> str | None:
    headings = _headings(page.root)
    stated = [
        *_strings(page.story.get("headline")),
        *page.meta.get("og:title", ()),
        *page.meta.get("twitter:title", ()),
        *page.meta.get("dc.title", ()),
        *([page.rescued["headline"]] if "headline" in page.rescued else []),
        *_itemprop(page.root, "headline"),
        *headings,
        *(" ".join((element.text or "").split()) for element in list(page.root.iter("title"))[:1]),
    ]
    titles = (_without_site(_clean(title), page, headings) for title in stated)
    return next((title for title in titles if title), None)


_SEPARATOR = re.compile(r"\s+[|\-–—·•»«/:]+\s+|\s*\|\s*|\s+::\s+")


def _without_site(title: str, page: _Page, headings: list[str]) -> str:
    """The title without the name of the site before or behind it."""
    if any(_folded(title) == _folded(heading) for heading in headings):
        return title
    names = {_folded(name) for name in (page.site, _host(page.url), *page.meta.get("application-name", ())) if name}
    shown = {_folded(heading) for heading in headings}
    cuts = list(_SEPARATOR.finditer(title))
    for cut in cuts:  # what stands before or behind is the heading, the rest is the site's
        before, behind = title[: cut.start()], title[cut.end() :]
        if _folded(before) in shown and before:
            return before
        if _folded(behind) in shown and behind:
            return behind
    if cuts and _is_site(title[cuts[-1].end() :], names):
        return title[: cuts[-1].start()]
    if cuts and _is_site(title[: cuts[0].start()], names):
        return title[cuts[0].end() :]
    return "" if _folded(title) in names else title


def _is_site(part: str, names: set[str]) -> bool:
    part = _folded(part)
    return bool(part) and any(
        part == name or (len(name) > 3 and len(part) > 3 and (name in part or part in name)) for name in names
    )


def _host(url: str | None) -> str:
    """The name of a site out of its address: "example" of www.example.org."""
    domain = addresses.site(url) if url else None
    return domain.split(".")[0] if domain else ""


def _site(objects: list[dict[str, Any]], page: _Page) -> str | None:
    stated = [
        *page.meta.get("og:site_name", ()),
        *_names(page.story.get("publisher")),
        *page.meta.get("application-name", ()),
        *(name for item in objects if "WebSite" in _strings(item.get("@type")) for name in _names(item.get("name"))),
    ]
    names = (_clean(name, _NAME_LENGTH) for name in stated)
    return next((name for name in names if name and "://" not in name), None)


# ---- date


_PUBLISHED = """
    article:published_time og:article:published_time article:published og:published_time datepublished parsely-pub-date
    sailthru.date cxenseparse:recs:publishtime date.issued dcterms.issued dc.date.issued dc.date dcterms.date
    dcterms.created dc.date.created publish-date publish_date publishdate publication_date pub_date pubdate
    article_date_original originalpublicationdate article.published citation_publication_date date
""".split()  # noqa: SIM905 - a table to be read


def _published(page: _Page, *, searched: bool) -> tuple[str | None, str | None]:
    """The date of publication and where it stands: "page" with the kind of statement, or "url"."""
    for place, stated in (
        ("page: json-ld", _strings(page.story.get("datePublished")) or _strings(page.story.get("dateCreated"))),
        ("page: meta", [value for name in _PUBLISHED for value in page.meta.get(name, ())]),
        ("page: microdata", _itemprop(page.root, "datePublished")),
        ("page: json-ld", [page.rescued["datePublished"]] if "datePublished" in page.rescued else []),
        ("page: time", _times(page.root)),
        ("url", _in_address(page.url)),
    ):
        for value in stated[:10]:
            if found := dates.read(value, captured=page.captured):
                return found, place
    found = _searched(page) if searched else None
    return (found, "page: text") if found else (None, None)


def _itemprop(root: html.HtmlElement, name: str) -> list[str]:
    return [
        value.strip()
        for element in root.xpath("//*[@itemprop=$name]", name=name)[:5]
        if (value := element.get("content") or element.get("datetime") or _text(element))
    ]


def _times(root: html.HtmlElement) -> list[str]:
    """The `<time>` elements that can be the story's: those marked so, then those in a header or an article, each before
    other stories' times can come; the first one of the page is believed only where it is alone."""
    elements = list(root.iter("time"))[:200]
    marked = [e for e in elements if e.get("pubdate") is not None or "publish" in (e.get("class") or "").lower()]
    if not marked:
        inside = [e for e in elements if any(a.tag in ("article", "header", "main") for a in e.iterancestors())]
        marked = inside[:1] or (elements if len(elements) == 1 else [])
    return [value for e in marked if (value := (e.get("datetime") or _text(e)).strip())]


_DAY_IN_PATH = re.compile(r"/((?:19|20)\d\d)[/-](\d\d?|[a-z]{3,9})[/-](\d\d?)(?=[/_-]|$)", re.ASCII)


def _in_address(url: str | None) -> list[str]:
    """The day in an address like /2022/05/24/title, /2022-05-24-title or /2022/may/24/title."""
    try:
        path = urlsplit(url or "").path.lower()
    except ValueError:
        return []
    return [
        f"{year}-{month:0>2}-{day:0>2}" if month.isdecimal() else f"{day} {month} {year}"
        for year, month, day in _DAY_IN_PATH.findall(path)[:1]
    ]


def _searched(page: _Page) -> str | None:
    """The day that htmldate finds in the page, if the page's text writes it; htmldate guesses as well (from a month in
    the address of an image, from the year of a copyright line)."""
    if page.root.xpath("count(//*)") > _MOST_ELEMENTS_FOR_SEARCH:
        return None
    hush()
    try:
        found = htmldate.find_date(
            page.root,
            original_date=True,
            url="",
            min_date=datetime(1990, 1, 1),  # noqa: DTZ001 - htmldate compares days without zone
            max_date=(page.captured.astimezone(UTC) + timedelta(days=2)).replace(tzinfo=None),
        )
    except Exception:  # noqa: BLE001 - it has no contract; a page without a date is a page without a date
        return None
    if not found or not dates.read(found, captured=page.captured):
        return None
    shown = (text for _, text in paragraphs(page.root))
    return found if dates.stands_in(datetime.fromisoformat(found).date(), shown) else None


# ---- authors


_AUTHOR = ("author", "article:author", "parsely-author", "dc.creator", "dcterms.creator", "byl", "sailthru.author")
_BYLINES = """
    //a[contains(concat(' ', @rel, ' '), ' author ')] | //*[contains(@class, 'byline') or contains(@class, 'author')]
"""


def _authors(page: _Page) -> tuple[str, ...]:
    not_these = (page.site, _host(page.url))
    for stated in (
        _names(page.story.get("author")) or _names(page.story.get("creator")),
        [value for name in _AUTHOR for value in page.meta.get(name, ())],
        _itemprop(page.root, "author"),
    ):
        if found := names(stated, not_these):
            return found
    bylines = (_text(element) for element in page.root.xpath(_BYLINES)[:10])
    for byline in bylines:  # a box about the author, or of comments' authors, is no byline: only names will do
        found = names([byline], not_these) if 5 < len(byline) < 150 else ()
        if found and all(_PERSON.fullmatch(name) for name in found):
            return found
    return ()


_WORD_OF_NAME = r"[^\W\d_a-zа-яіїєґ][\w'’.-]*"
_PERSON = re.compile(rf"{_WORD_OF_NAME}(?: (?:{_WORD_OF_NAME}|de|van|von|der|bin|al|el|la|di|da)){{1,4}}")
_BY = re.compile(
    r"^\W*(?:(?:written|reported|posted)\s+)?(?:by|von|par|por|de|автор|авторы|текст)\b[:\s]+", re.IGNORECASE
)
_ASIDE = re.compile(r"\([^()]*\)?|\S*(?:://|@|www\.)\S*")  # agencies and pictures in brackets, addresses, handles
_BETWEEN = re.compile(r"\s*(?:[,;|/•&]|\b(?:and|und|et|y|og|och|и|та|і)\b)\s*", re.IGNORECASE)
_NO_NAME = re.compile(
    r"\d{3}|^(?:admin\w*|editor\w*|staff|redaktion|webmaster|none|null|undefined|unknown|authors?)$", re.IGNORECASE
)


def names(stated: Iterable[str], not_these: Iterable[str | None] = ()) -> tuple[str, ...]:
    """The names of people in bylines: split, without "By", handles, addresses and the names `not_these`."""
    refused = {_folded(name) for name in not_these if name}
    found: dict[str, str] = {}
    for byline in stated:
        byline = _ASIDE.sub(" ", _clean(byline, 5 * _NAME_LENGTH))
        for part in _BETWEEN.split(_BY.sub("", byline)):
            name = words.one_line(_BY.sub("", part).strip(" .:-–—"), _NAME_LENGTH)
            folded = _folded(name)
            if len(folded) > 1 and folded not in refused and not _NO_NAME.search(name):
                found.setdefault(folded, name)
    return tuple(found.values())[:_MOST_AUTHORS]


# ---- language and address


def _languages(page: _Page) -> Iterator[str]:
    yield from (
        value for value in (page.root.get("lang"), page.root.get("{http://www.w3.org/XML/1998/namespace}lang")) if value
    )
    yield from _strings(page.story.get("inLanguage"))
    for name in ("og:locale", "content-language", "language", "dc.language"):
        yield from page.meta.get(name, ())


def _canonical(page: _Page) -> str | None:
    links = (e.get("href") for e in page.root.iter("link") if "canonical" in (e.get("rel") or "").lower().split())
    stated = [*links, *page.meta.get("og:url", ())]
    found = (addresses.absolute(href, page.url) for href in stated if href)
    return next((url for url in found if url), None)
