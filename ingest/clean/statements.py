"""What a page states of itself as data: JSON-LD (schema.org), meta elements, microdata."""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from selectolax.lexbor import LexborNode

from ingest import words
from ingest.clean.markup import Page, shown

TITLE_LENGTH = 500
NAME_LENGTH = 100
MOST_AUTHORS = 20
_MOST_DATA = 5_000_000  # characters of one JSON-LD block
_MOST_NODES = 5_000  # objects of all blocks


@dataclass(slots=True)
class Statements:
    """`story` is the JSON-LD object of the page's own story, `objects` are all of them; `meta` maps the names of meta
    elements to their contents; `rescued` holds simple statements out of JSON-LD that is broken; `headings` are the
    page's first-level headings."""

    page: Page
    story: dict[str, Any] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)
    meta: dict[str, list[str]] = field(default_factory=dict)
    rescued: dict[str, str] = field(default_factory=dict)
    headings: list[str] = field(default_factory=list)
    _properties: dict[str, list[LexborNode]] | None = None

    def itemprop(self, name: str) -> list[str]:
        """The values of a property of microdata, its first five."""
        if self._properties is None:
            self._properties = {}
            for node in self.page.tree.css("[itemprop]"):
                for stated_name in (node.attributes["itemprop"] or "").split():
                    self._properties.setdefault(stated_name, []).append(node)
        found = []
        for node in self._properties.get(name, ())[:5]:
            stated = node.attributes
            if value := (stated.get("content") or stated.get("datetime") or shown(node)).strip():
                found.append(value)
        return found

    def named(self, *names: str) -> list[str]:
        """The contents of the meta elements of these names, in the order of the names."""
        return [value for name in names for value in self.meta.get(name, ())]


def read(page: Page) -> Statements:
    """All statements of a page."""
    found = Statements(page)
    for node in page.tree.css("meta[content]"):
        stated = node.attributes
        name = stated.get("property") or stated.get("name") or stated.get("http-equiv") or stated.get("itemprop")
        content = (stated.get("content") or "").strip()
        if name and content:
            found.meta.setdefault(name.strip().lower(), []).append(content)
    found.headings = [text for node in page.tree.css("h1")[:5] if (text := shown(node))]
    found.objects = list(_objects(page, found.rescued))
    found.story = _story(found)
    return found


def _objects(page: Page, rescued: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The objects of the page's JSON-LD in their order, graphs and main entities opened; lists of other stories are
    not."""
    left = _MOST_NODES
    for script in page.tree.css('script[type*="ld+json" i]'):
        queue = [_json(script.text() or "", rescued)]
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


def _story(found: Statements) -> dict[str, Any]:
    """The object that describes the page's own story: the one with the page's title, else the first one."""
    stories = [item for item in found.objects if any(_STORY_TYPE.search(kind) for kind in strings(item.get("@type")))]
    if len(stories) > 1:
        known = {folded(title) for title in (*found.meta.get("og:title", ()), *found.headings)}
        for item in stories:
            if any(folded(headline) in known for headline in strings(item.get("headline"))):
                return item
    return stories[0] if stories else {}


def strings(value: Any) -> list[str]:
    """The strings in a value of JSON-LD that should be one string or a list of them."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def names(value: Any) -> list[str]:
    """The names in a schema.org person, organisation, string, or list of them."""
    found: list[str] = []
    queue = [value]
    while queue and len(found) < 2 * MOST_AUTHORS:
        item = queue.pop(0)
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, list):
            queue.extend(item[: 2 * MOST_AUTHORS])
        elif isinstance(item, dict):
            queue.append(item.get("name"))
    return found


def folded(text: str) -> str:
    """`words.letters` of a statement, its entities resolved."""
    return words.letters(entities.unescape(text) if "&" in text else text)


def tidy(text: str, limit: int = TITLE_LENGTH) -> str:
    """A statement as one line, its entities (twice escaped by many systems) and tags resolved."""
    text = text[: 8 * limit]
    if "&" in text:
        text = entities.unescape(entities.unescape(text))
    if "<" in text:
        text = re.sub(r"</?[a-zA-Z][^<>]{0,200}>", "", text)
    return words.one_line(text, limit)
