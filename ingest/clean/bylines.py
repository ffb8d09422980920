"""Who wrote a story: names out of statements and bylines."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingest import words
from ingest.clean import statements
from ingest.clean.markup import shown
from ingest.clean.statements import MOST_AUTHORS, NAME_LENGTH, Statements, folded, tidy

_AUTHOR = ("author", "article:author", "parsely-author", "dc.creator", "dcterms.creator", "byl", "sailthru.author")


def authors(found: Statements, not_these: Iterable[str | None]) -> tuple[str, ...]:
    """The names of those who signed: JSON-LD's, meta elements', microdata's, the byline's. `not_these` are the names of
    the site: it is its own author only where nobody else is named."""
    story = found.story
    outlet = {folded(name) for name in not_these if name}
    stated = statements.names(story.get("author")) or statements.names(story.get("creator"))
    signed: tuple[str, ...] = ()
    for source in (stated, found.named(*_AUTHOR), found.itemprop("author")):
        everybody = names(source)
        if people := tuple(name for name in everybody if not _is_outlet(name, outlet)):
            return people
        signed = signed or everybody[:1]
    return _in_bylines(found, outlet) or _in_line(found, outlet) or _in_links(found, outlet) or signed


_DOMAIN = re.compile(r"[\w-]+\.[a-z]{2,4}")


def _is_outlet(name: str, outlet: set[str]) -> bool:
    """Whether a name is the site's, or one of its desks': "News Example", "News Example Sports", "newsexample.org"."""
    told, first = folded(name), folded(name.split(maxsplit=1)[0])
    if told in outlet or first in outlet or _DOMAIN.fullmatch(name):
        return True
    return any(told.startswith(one) for one in outlet if len(one) >= _LONG_NAME)


_LONG_NAME = 6  # letters; with less a person's name begins as well


_BYLINES = '[rel~="author"], [class*="byline" i], [class*="author" i], [class*="autor" i]'


def _in_bylines(found: Statements, outlet: set[str]) -> tuple[str, ...]:
    """The names in the first byline that holds nothing but names of people: boxes about the author and names of
    commentators are no bylines."""
    for node in found.page.tree.css(_BYLINES)[:10]:
        text = shown(node)
        if 5 < len(text) < 150:
            people = tuple(name for name in names([text]) if not _is_outlet(name, outlet))
            if people and all(_PERSON.fullmatch(name) for name in people):
                return people
    return ()


_LINKS = ", ".join(f'a[href*="/{word}" i]' for word in ("author", "autor", "writer/", "staff/", "journalist", "by/"))


def _in_links(found: Statements, outlet: set[str]) -> tuple[str, ...]:
    """The names in the page's first link to somebody's own page and in those that stand beside it."""
    people: dict[str, None] = {}
    beside = None
    for node in found.page.tree.css(_LINKS)[:20]:
        name = tidy(shown(node), NAME_LENGTH).removesuffix(",")
        if not _PERSON.fullmatch(name) or _is_outlet(name, outlet):
            continue
        around = node.parent.mem_id if node.parent else None
        if people and around != beside:
            break
        beside = around
        people[name] = None
    return tuple(people)[:MOST_AUTHORS]


def _in_line(found: Statements, outlet: set[str]) -> tuple[str, ...]:
    """The names in the first line behind the heading that says "By …" and nothing else."""
    source = found.page.source
    line = _LINE.search(source, max(source.find(b"<h1"), 0))
    people = names([line[1].decode("utf-8", "replace")]) if line else ()
    return people if all(_PERSON.fullmatch(name) and not _is_outlet(name, outlet) for name in people) else ()


_LINE = re.compile(
    rb">\s{0,40}+(?=[BVPbpWw])(?:(?:[Ww]ritten|[Pp]osted)\s)?(?:[Bb]y|BY|Von|Por|Par):?\s([^<>|\n]{5,80})<"
)
_WORD_OF_NAME = r"[^\W\d_a-zа-яіїєґ][\w'’.-]*"
_PERSON = re.compile(rf"{_WORD_OF_NAME}(?: (?:{_WORD_OF_NAME}|de|van|von|der|bin|al|el|la|di|da)){{1,4}}")
_BY = re.compile(
    r"^\W*(?:(?:written|reported|posted)\s+)?(?:by|von|par|por|de|автор|авторы|текст)\b[:\s]+", re.IGNORECASE
)
_ASIDE = re.compile(r"\([^()]*\)?|\S*(?:://|@|www\.)\S*")  # agencies and pictures in brackets, addresses, handles
# What stands behind names: a day, how long it takes to read, the outlet.
_TAIL = re.compile(
    r"""\s[-–—|•·]?\s?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?[ ]\d | \s[-–—|•·]?\s?\d | \s\|\s
    | \s(?:published|updated|posted|last[ ]updated)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_BETWEEN = re.compile(r"\s*(?:[,;|/•&]|\b(?:and|und|et|y|og|och|и|та|і)\b)\s*", re.IGNORECASE)
_NO_NAME = re.compile(
    r"""\d{3} | ^(?:admin\w*|editor\w*|staff|redaktion|webmaster|none|null|undefined|unknown|authors?)$
    | ^(?:twitter|facebook|email|share|follow|says|written[ ]by|sign[ ]in)\b""",
    re.IGNORECASE | re.VERBOSE,
)


def names(stated: Iterable[str]) -> tuple[str, ...]:
    """The names in bylines: split, without "By", handles and addresses."""
    found: dict[str, str] = {}
    for byline in stated:
        line = _TAIL.split(_ASIDE.sub(" ", tidy(byline, 5 * NAME_LENGTH)), maxsplit=1)[0]
        for part in _BETWEEN.split(_BY.sub("", line)):
            name = words.one_line(_BY.sub("", part).strip(" .:-–—"), NAME_LENGTH)
            key = folded(name)
            if len(key) > 1 and not _NO_NAME.search(name):
                found.setdefault(key, name)
    return tuple(found.values())[:MOST_AUTHORS]
