"""Where a page names its feeds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urljoin, urlsplit

from ingest import addresses

if TYPE_CHECKING:
    from bs4 import Tag

PAGE_LIMIT = 2_000_000  # bytes of a page that are looked at
MOST_CANDIDATES = 40
USUAL_PATHS = (
    "/feed",
    "/rss",
    "/rss.xml",
    "/feed.xml",
    "/atom.xml",
    "/index.xml",
    "/feeds",
    "/rss/news",
    "/feed.json",
    "/index.rdf",
    "/?feed=rss2",
    "/feeds/posts/default",
)
_FEED_TYPES = re.compile(r"(application|text)/((rss|atom|rdf|feed)\+?(xml|json)?|x-rss\+xml)\b", re.IGNORECASE)
_FEED_PATH = re.compile(
    r"\.(rss2?|rdf|atom)$|(^|[/._-])(rss|atom|feeds?)[\w-]*\.(xml|json|php|aspx?)$|/(feed|rss|rss2|atom|rdf)/?$",
    re.IGNORECASE,
)
_COMMENTS = re.compile("comment|kommentar|coment|комент|коммент", re.IGNORECASE)


def candidates(page: bytes, url: str) -> list[str]:
    """The feed addresses that a page names, best first, then the usual places on its site; absolute, each once.

    First the alternates of its head, then links that look like feeds, then feeds of comments, then guesses. Where the
    page names none, only the guesses come. They are to be tried in order; nothing says that they are feeds.
    """
    heads, links = _named(page, url)
    comments = [link for link in (*heads, *links) if _of_comments(*link)]
    main = [link for link in (*heads, *links) if link not in comments]
    found = dict.fromkeys(address for address, _ in (*main, *comments))
    best = dict.fromkeys([*list(found)[:MOST_CANDIDATES], *_guesses(url)])
    best.pop(url, None)
    return list(best)


def _named(page: bytes, url: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(address, title) of the alternates in a page's head, and of its links that look like feeds."""
    from bs4 import BeautifulSoup, SoupStrainer, XMLParsedAsHTMLWarning  # slow to load, and rarely needed here

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # XHTML is fine
        soup = BeautifulSoup(page[:PAGE_LIMIT], "lxml", parse_only=SoupStrainer(["base", "link", "a"]))
    base = next((href for tag in soup.find_all("base") if (href := _text(tag, "href"))), None)
    base = addresses.absolute(base, url) if base else url
    heads: list[tuple[str, str]] = []
    links: list[tuple[str, str]] = []
    for tag in soup.find_all(["link", "a"]):
        address = addresses.absolute(_text(tag, "href"), base) if _text(tag, "href") else None
        if not address:
            continue
        if _is_alternate(tag):
            heads.append((address, _text(tag, "title")))
        elif tag.name == "a" and _looks_like_feed(address):
            links.append((address, _text(tag, "title") or tag.get_text(" ", strip=True)))
    return heads, links


def _text(tag: Tag, name: str) -> str:
    value = tag.get(name) or ""
    return (value if isinstance(value, str) else " ".join(value)).strip()


def _is_alternate(tag: Tag) -> bool:
    rel = _text(tag, "rel").lower().split()
    if tag.name != "link":
        return False
    return "feed" in rel or ("alternate" in rel and bool(_FEED_TYPES.match(_text(tag, "type"))))


def _looks_like_feed(address: str) -> bool:
    parts = urlsplit(address)
    asked = {(name.lower(), value.lower()) for name, value in parse_qsl(parts.query)}
    names, formats = ("feed", "format", "type", "output"), ("rss", "rss2", "atom", "rdf")
    return bool(_FEED_PATH.search(parts.path)) or any((n, f) in asked for n in names for f in formats)


def _of_comments(address: str, title: str) -> bool:
    return bool(_COMMENTS.search(f"{urlsplit(address).path} {title}"))


def _guesses(url: str) -> Iterator[str]:
    """Usual places: below the page itself first (a blog in a folder), then at the root of its site."""
    folder = urlsplit(url).path.rstrip("/")
    if folder and not _looks_like_feed(url) and "." not in folder.rsplit("/", 1)[-1]:
        yield from (urljoin(url, f"{folder}/{name}") for name in ("feed", "rss", "rss.xml", "feed.xml", "atom.xml"))
    yield from (urljoin(url, path) for path in USUAL_PATHS)
