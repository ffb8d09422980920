"""A page's tree → its blocks: paragraphs, headings, list items, each with the elements that it stands in.

The tree is walked once, without recursion, in time linear in its size. Every block inherits what its elements are by
their names (`naming`). Whether it belongs to the story is decided elsewhere, by the whole page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from ingest.clean.markup import Page
from ingest.clean.naming import HIDDEN, judged
from ingest.sites import DROP, Site

# Elements that hold no words of a story, whatever their class; they are not entered.
_SKIPPED = frozenset(
    """
    script style noscript template svg iframe button select option textarea input canvas audio video object embed map
    math head nav footer menu dialog -comment link meta source picture img area datalist progress meter
    """.split()  # noqa: SIM905 - a table to be read
)
# Elements that a paragraph goes on through.
_INLINE = frozenset(
    """
    a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q s samp small span strike
    strong sub sup time tt u var wbr output ruby rt rp slot
    """.split()  # noqa: SIM905 - a table to be read
)
_PARAGRAPHS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))  # which hold nothing else than words
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_MOST_ELEMENTS = 200_000
_LONGEST_NAMES = 400  # characters of class and id that are looked at


@dataclass(slots=True)
class Element:
    """An element that blocks stand in; `up` is the index of its parent.

    `stated` is what its own names say against it; `reason` says why what is in it is probably no story, by its own
    names or those of an element around (`container.weigh` settles it). `body`: it is named as the story's text.
    `ruled`: TEXT or DROP, by a rule of its site. `weight` is that of all prose in it, `mass` that of the prose without
    a reason against it.
    """

    tag: str
    up: int
    names: str = ""
    stated: str = ""
    reason: str = ""
    body: bool = False
    ruled: str = ""
    weight: float = 0.0
    mass: float = 0.0


@dataclass(slots=True)
class Block:
    """A paragraph, its white space folded. `linked` is how many of its characters are in links, `element` the index of
    the element that it stands in, `weight` how much prose it is. `why` says for what it was kept or dropped."""

    tag: str
    text: str
    linked: int
    element: int
    weight: float = 0.0
    kept: bool = False
    why: str = "outside"


class _Walk:
    """The state of a walk: the open element, the words since the last border of a block."""

    def __init__(self, marks: Mapping[int, str]) -> None:
        self.marks = marks
        self.elements = [Element("body", -1)]
        self.blocks: list[Block] = []
        self.here = 0
        self.links = 0  # that are open
        self.linked = 0  # characters in links
        self.words: list[str] = []

    def say(self, text: str) -> None:
        self.words.append(text)
        if self.links and not text.isspace():
            self.linked += len(" ".join(text.split()))

    def end(self) -> None:
        """The end of a block; two line breaks in it divide paragraphs."""
        if not self.words:
            return
        raw, linked = "".join(self.words), self.linked
        self.words.clear()
        self.linked = 0
        if not raw or raw.isspace():
            return
        tag = self.elements[self.here].tag
        parts = _LINES.split(raw) if "\v" in raw else [raw]
        for part in parts:
            if text := " ".join(part.split()):
                share = linked if len(parts) == 1 else linked * len(part) // len(raw)
                self.blocks.append(Block(tag, text, min(share, len(text)), self.here))

    def enter(self, tag: str, names: str, stated: str, body: bool, mark: str = "") -> None:
        self.end()
        above = self.elements[self.here].ruled
        ruled = DROP if DROP in (mark, above) else mark or above
        self.elements.append(Element(tag, self.here, names, stated, "", body, ruled))
        self.here = len(self.elements) - 1


@dataclass(frozen=True, slots=True)
class Outline:
    """A page's elements (the body is number 0) and blocks, both in their order. `ruled`: its site has a rule."""

    elements: list[Element] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    ruled: bool = False


def names_around(elements: Sequence[Element], index: int, levels: int) -> str:
    """The names of an element and of those around it, so many in all, without the body's."""
    names: list[str] = []
    while index > 0 and len(names) < levels:
        names.append(elements[index].names)
        index = elements[index].up
    return " ".join(names)


def of(page: Page, rule: Site | None = None) -> Outline:
    """The outline of a page by the rule of its site; empty where the page is nested too deeply for a tree."""
    body = page.tree.body
    if body is None or not page.whole:
        return Outline()
    marks = rule.marks(page.tree) if rule else {}
    return Outline(*read(body, marks), bool(marks))


_LINES = re.compile(r"\v\s*\v[\s\v]*")
_NO_MARKS: Mapping[int, str] = {}


def read(body: LexborNode, marks: Mapping[int, str] = _NO_MARKS) -> tuple[list[Element], list[Block]]:
    """The elements (the body is number 0) and the blocks of a page, both in their order. `marks` are what the rule of
    a site says of elements, by their `mem_id`."""
    walk = _Walk(marks)
    walk.elements[0].ruled = marks.get(body.mem_id, "")
    path: list[tuple[LexborNode, str, int]] = []  # the open nodes, their tags, the element around each
    node = body.first_child
    while True:
        if node is None:
            if not path:
                break
            node, tag, above = path.pop()
            if tag == "a":
                walk.links -= 1
            if walk.here != above:
                walk.end()
                walk.here = above
            node = node.next
            continue
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            if text != "\n" or walk.words:
                walk.say(text)
        elif tag == "br":
            walk.words.append("\v")
        elif tag not in _SKIPPED and len(walk.elements) < _MOST_ELEMENTS:
            entered = _enter(walk, node, tag)
            if entered is not None:
                path.append((node, tag, entered[1]))
                node = entered[0]
                continue
        node = node.next
    walk.end()
    return walk.elements, walk.blocks


def _enter(walk: _Walk, node: LexborNode, tag: str) -> tuple[LexborNode, int] | None:
    """Go into an element: its first child, and the element around; None: there is nothing to go into."""
    child = node.first_child
    above = walk.here
    mark = walk.marks.get(node.mem_id, "") if walk.marks else ""
    inline = tag in _INLINE or ("-" in tag and walk.elements[above].tag in _PARAGRAPHS)  # an element of the site's own
    if inline and not mark:
        if child is None or (tag == "span" and _named(node, tag)[1]):
            return None
        walk.links += tag == "a"
        return child, above
    if child is None:
        walk.end()
        return None
    walk.enter(tag, *_named(node, tag), mark)
    walk.links += tag == "a"
    return child, above


def _named(node: LexborNode, tag: str) -> tuple[str, str, bool]:
    """The names of an element, the reason against it, and whether it is named as the story's text."""
    stated = node.attributes
    if not stated:
        return "", *judged(tag, "", "", "")
    get = stated.get
    names = f"{get('class') or ''} {get('id') or ''}"[:_LONGEST_NAMES]
    reason, body = judged(tag, names, get("role") or "", get("itemprop") or "")
    style = get("style")
    if not reason and (
        "hidden" in stated or get("aria-hidden") == "true" or (style and "none" in style and _NONE.search(style))
    ):
        return names, HIDDEN, False
    return names, reason, body


_NONE = re.compile(r"display\s*:\s*none")
