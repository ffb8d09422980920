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
        if people := tuple(name for name in everybody if folded(name) not in outlet and not _DOMAIN.fullmatch(name)):
            return people
        signed = signed or everybody[:1]
    return _in_bylines(found, outlet) or signed


_DOMAIN = re.compile(r"[\w-]+\.[a-z]{2,4}")
_BYLINES = '[rel~="author"], [class*="byline" i], [class*="author" i], [class*="autor" i]'


def _in_bylines(found: Statements, outlet: set[str]) -> tuple[str, ...]:
    """The names in the first byline that holds nothing but names of people: boxes about the author and names of
    commentators are no bylines."""
    for node in found.page.tree.css(_BYLINES)[:10]:
        text = shown(node)
        if 5 < len(text) < 150:
            people = tuple(name for name in names([text]) if folded(name) not in outlet)
            if people and all(_PERSON.fullmatch(name) for name in people):
                return people
    return ()


_WORD_OF_NAME = r"[^\W\d_a-zа-яіїєґ][\w'’.-]*"
_PERSON = re.compile(rf"{_WORD_OF_NAME}(?: (?:{_WORD_OF_NAME}|de|van|von|der|bin|al|el|la|di|da)){{1,4}}")
_BY = re.compile(
    r"^\W*(?:(?:written|reported|posted)\s+)?(?:by|von|par|por|de|автор|авторы|текст)\b[:\s]+", re.IGNORECASE
)
_ASIDE = re.compile(r"\([^()]*\)?|\S*(?:://|@|www\.)\S*")  # agencies and pictures in brackets, addresses, handles
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
        line = _ASIDE.sub(" ", tidy(byline, 5 * NAME_LENGTH))
        for part in _BETWEEN.split(_BY.sub("", line)):
            name = words.one_line(_BY.sub("", part).strip(" .:-–—"), NAME_LENGTH)
            key = folded(name)
            if len(key) > 1 and not _NO_NAME.search(name):
                found.setdefault(key, name)
    return tuple(found.values())[:MOST_AUTHORS]
