"""What a page says of itself: title, date, authors, languages, canonical address, site.

Sources in the order in which they are believed: JSON-LD (schema.org), Open Graph and other meta elements, microdata,
`<time>`, headings; `dating` and `bylines` have orders of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest import addresses, dates, sites
from ingest.clean import bylines, dating, kinds, statements
from ingest.clean.blocks import Outline
from ingest.clean.markup import shown
from ingest.clean.statements import NAME_LENGTH, TITLE_LENGTH, Statements, folded, strings, tidy

__all__ = ["TITLE_LENGTH", "Metadata", "read"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the page says; None or empty where it says nothing. `languages` are its statements, the best one first;
    `body` is the text of the story where the page carries it as data, in one piece or in a live blog's entries,
    `standfirst` what it says in a sentence, `kind` what kind of page it is (`kinds`), `entries` how many its live blog
    has as data; of more than `MOST_ENTRIES` the rest is not in `body`."""

    title: str | None = None
    published: str | None = None
    published_from: str | None = None
    authors: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    canonical_url: str | None = None
    site: str | None = None
    body: tuple[str, ...] = ()
    standfirst: tuple[str, ...] = ()
    kind: str | None = None
    entries: int = 0


def read(
    found: Statements, outline: Outline, *, url: str | None, captured: datetime, rule: sites.Site | None = None
) -> Metadata:
    """The metadata of the page at `url`; no date behind `captured` is believed. `rule` is its site's."""
    site = _site(found)
    outlet = (site, _host(url))
    title = _title(found, outlet)
    published, published_from = dating.published(found, outline, title=title, url=url, captured=captured)
    stated = {name: _by_rule(found, rule, name) for name in ("title", "date", "author")} if rule else {}
    if ruled := next((date for text in stated.get("date", ()) if (date := dates.read(text, captured=captured))), None):
        published, published_from = ruled, "page: site rule"
    return Metadata(
        title=next(filter(None, map(tidy, stated.get("title", ()))), None) or title,
        published=published,
        published_from=published_from,
        authors=bylines.names(stated.get("author", ())) or bylines.authors(found, outlet),
        languages=tuple(_languages(found)),
        canonical_url=_canonical(found, url),
        site=site,
        body=tuple(strings(found.story.get("articleBody"))[:1]) or tuple(_entries(found.story.get("liveBlogUpdate"))),
        standfirst=tuple(
            tidy(text)
            for text in (*strings(found.story.get("description")), *found.named("og:description", "description"))
        ),
        kind=kinds.stated(found),
        entries=len(updates) if isinstance(updates := found.story.get("liveBlogUpdate"), list) else 0,
    )


def _entries(updates: Any) -> Iterator[str]:
    """The entries of a live blog: of each its time, its heading and its text."""
    for update in updates[:MOST_ENTRIES] if isinstance(updates, list) else ():
        if isinstance(update, dict):
            for name in ("datePublished", "headline", "articleBody"):
                yield from strings(update.get(name))[:1]


MOST_ENTRIES = 10_000


def _by_rule(found: Statements, rule: sites.Site, name: str) -> list[str]:
    nodes = rule.found(found.page.tree, name)
    values = (node.attributes.get("content") or node.attributes.get("datetime") or shown(node) for node in nodes)
    return [value for value in map(str.strip, values) if value]


# ---- title and site


def _title(found: Statements, outlet: tuple[str | None, ...]) -> str | None:
    stated = [
        *strings(found.story.get("headline")),
        *found.named("og:title", "twitter:title", "dc.title"),
        *([found.rescued["headline"]] if "headline" in found.rescued else []),
        *found.itemprop("headline"),
        *found.headings,
        *(node.text() for node in found.page.tree.css("title")[:1]),
    ]
    names = {folded(name) for name in (*outlet, *found.named("application-name")) if name}
    shown = {folded(heading) for heading in found.headings} - {""}
    titles = (_without_site(tidy(title), names, shown) for title in stated)
    title = next((title for title in titles if title), None)
    return _as_shown(title, found) if title else None


def _as_shown(title: str, found: Statements) -> str:
    """The heading that says the same as the title: what readers see, where data was shortened or dressed for search
    engines. The title stays where data agrees about it, and where the heading is the title with a kicker."""
    stated = folded(title)
    if all(stated in map(folded, told) for told in (strings(found.story.get("headline")), found.named("og:title"))):
        return title
    words = _words(title)
    for heading in map(tidy, found.headings):
        if len(stated) > _SHORT and stated in folded(heading):
            return title
        others = _words(heading)
        if len(others) > 2 and len(words & others) >= min(len(words), len(others)) / 2:
            return heading
    return title


_SHORT = 20  # letters; so short a title may stand in any sentence


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


_SEPARATOR = re.compile(r"\s+[|\-–—·•»«/:]+\s+|\s*\|\s*|\s+::\s+")


def _without_site(title: str, names: set[str], shown: set[str]) -> str:
    """The title without the name of the site before or behind it. `names` are the site's, `shown` the headings, both
    folded."""
    if folded(title) in shown:
        return title
    cuts = list(_SEPARATOR.finditer(title))
    for cut in cuts:  # what stands before or behind is the heading, the rest is the site's
        before, behind = title[: cut.start()], title[cut.end() :]
        if folded(before) in shown:
            return before
        if folded(behind) in shown:
            return behind
    if cuts and _is_site(title[cuts[-1].end() :], names):
        return title[: cuts[-1].start()]
    if cuts and _is_site(title[: cuts[0].start()], names):
        return title[cuts[0].end() :]
    return "" if folded(title) in names else title


def _is_site(part: str, names: set[str]) -> bool:
    part = folded(part)
    return bool(part) and any(
        part == name or (len(name) > 3 and len(part) > 3 and (name in part or part in name)) for name in names
    )


def _host(url: str | None) -> str:
    """The name of a site out of its address: "example" of www.example.org."""
    domain = addresses.site(url) if url else None
    return domain.split(".")[0] if domain else ""


def _site(found: Statements) -> str | None:
    stated = [
        *found.named("og:site_name"),
        *statements.names(found.story.get("publisher")),
        *found.named("application-name"),
        *(
            name
            for item in found.objects
            if "WebSite" in strings(item.get("@type"))
            for name in statements.names(item.get("name"))
        ),
    ]
    names = (tidy(name, NAME_LENGTH) for name in stated)
    return next((name for name in names if name and "://" not in name), None)


# ---- language and address


def _languages(found: Statements) -> Iterator[str]:
    root = found.page.tree.root
    if root is not None:
        yield from (value for name in ("lang", "xml:lang") if (value := root.attributes.get(name)))
    yield from strings(found.story.get("inLanguage"))
    yield from found.named("og:locale", "content-language", "language", "dc.language")


def _canonical(found: Statements, url: str | None) -> str | None:
    links = (node.attributes.get("href") for node in found.page.tree.css('link[rel~="canonical" i]'))
    stated = [*links, *found.named("og:url")]
    absolute = (addresses.absolute(href, url) for href in stated if href)
    return next((address for address in absolute if address), None)
