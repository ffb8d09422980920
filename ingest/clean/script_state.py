"""Text that stands in a page's scripts alone: the state that systems hand to their own code.

Next.js writes `<script id="__NEXT_DATA__" type="application/json">`, others assign it: `window.__PRELOADED_STATE__ =
{…}`, `Fusion.globalContent={…}`. Every such object is searched, whatever it is called. Bounded: so many characters,
scripts and values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ingest import words
from ingest.clean.container import ends, is_dense, width
from ingest.clean.markup import Page

_MOST_SCRIPTS = 500
_MOST_CHARACTERS = 5_000_000
_MOST_VALUES = 100_000
_MOST_PIECES = 20_000  # of a list; of as many paragraphs a story is longer than any that is kept
_DEEPEST = 60
_SHORTEST = 300  # of a script that can hold a story
_ASSIGNED = re.compile(r"""[\w$.\])"']\s{0,9}=\s{0,9}(?:JSON\.parse\(\s{0,9}(?="))?(?=[{\["])""")
_TRIED = 8  # assignments of one script

# Keys under which systems keep the text of a story, and those of a paragraph in a list of them.
_BODIES = frozenset("articlebody body bodyhtml bodytext content contenthtml html text fulltext story richtext".split())  # noqa: SIM905
_PARTS = ("content", "text", "html", "value", "body", "plaintext", "data", "children")
_NONE = frozenset("comments related relatedarticles recommended newsletter footer navigation menu".split())  # noqa: SIM905
_PARAGRAPH = 60  # letters
_ENOUGH = 200  # letters of a story


def paragraphs(page: Page) -> list[str]:
    """The pieces of text, plain or HTML, of the story in the page's scripts; none where no object holds one."""
    best: list[str] = []
    most = float(_ENOUGH)
    left = _MOST_VALUES
    for state in _states(page):
        for candidate, seen in _candidates(state, left):
            left = seen
            if (found := sum(map(width, candidate))) > most:
                best, most = candidate, found
        if left <= 0:
            break
    return best


def _states(page: Page) -> Iterator[Any]:
    """The objects in the page's scripts."""
    left = _MOST_CHARACTERS
    for script in page.tree.css("script:not([src])")[:_MOST_SCRIPTS]:
        kind = (script.attributes.get("type") or "").lower()
        if "ld+json" in kind:
            continue
        text = (script.text() or "").strip()
        if len(text) < _SHORTEST or len(text) > left:
            continue
        left -= len(text)
        yield from [_json(text)] if "json" in kind else _assigned(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


_DECODER = json.JSONDecoder(strict=False)


def _assigned(text: str) -> Iterator[Any]:
    """The values that a script assigns, where they are JSON."""
    at = 0
    for _ in range(_TRIED):
        match = _ASSIGNED.search(text, at)
        if match is None:
            return
        try:
            value, at = _DECODER.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            at = match.end()
            continue
        yield _json(value) if isinstance(value, str) and len(value) >= _SHORTEST else value


def _candidates(state: Any, left: int) -> Iterator[tuple[list[str], int]]:
    """What in an object can be a story's text, each with how many values may still be looked at."""
    open_values: list[tuple[Any, str, int]] = [(state, "", 0)]
    while open_values and left > 0:
        value, key, depth = open_values.pop()
        left -= 1
        if isinstance(value, str):
            if key in _BODIES and width(value) > _ENOUGH and _has_words(value):
                yield [value], left
        elif depth > _DEEPEST:
            continue
        elif isinstance(value, list):
            pieces = [piece for item in value[:_MOST_PIECES] if (piece := _piece(item))]
            if sum(_is_prose(piece) for piece in pieces) >= 2:
                yield pieces, left
            open_values += [(item, key, depth + 1) for item in reversed(value) if isinstance(item, (dict, list))]
        elif isinstance(value, dict):
            open_values += [
                (item, folded, depth + 1)
                for name, item in reversed(value.items())
                if (folded := words.letters(str(name))) not in _NONE
            ]


def _piece(item: Any, depth: int = 0) -> str:
    """The text of an item of a list that is a paragraph: a string, or an object that holds one."""
    if isinstance(item, str):
        return item
    if not isinstance(item, dict) or depth > 4:
        return ""
    for name in _PARTS:
        value = item.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, dict) and (found := _piece(value, depth + 1)):
            return found
        if isinstance(value, list) and (found := "".join(_piece(part, depth + 1) for part in value[:200])):
            return found
    return ""


def _is_prose(text: str) -> bool:
    plain = re.sub(r"<[^<>]{0,500}>", "", text).strip()
    return width(plain) >= _PARAGRAPH and ends(plain) and _has_words(plain)


def _has_words(text: str) -> bool:
    """Whether it has as many blanks as a text has, where its script divides words at all."""
    return is_dense(text) or text.count(" ", 0, 1_000) * _LONG_WORD > min(len(text), 1_000)


_LONG_WORD = 25  # characters a word, with markup
