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
MOST_ELEMENTS = 200_000
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


_NO_MARKS: Mapping[int, str] = {}
# What is done with a node. The last two are elements that blocks end with; a rule of a site can make a link one.
_TEXT, _BREAK, _SKIP, _INSIDE, _SPAN, _LINK, _BLOCK_OF_LINK, _BLOCK = range(8)
_KINDS = {
    **dict.fromkeys(_SKIPPED, _SKIP),
    **dict.fromkeys(_INLINE, _INSIDE),
    "-text": _TEXT,
    "br": _BREAK,
    "span": _SPAN,
    "a": _LINK,
}


def read(body: LexborNode, marks: Mapping[int, str] = _NO_MARKS) -> tuple[list[Element], list[Block]]:
    """The elements with words in them (the body is number 0) and the blocks of a page, both in their order. `marks`
    are what the rule of a site says of elements, by their `mem_id`."""
    walk = _Walk(body, marks)
    words, opened, made, kinds = walk.words, walk.opened, walk.made, _KINDS.get
    path: list[tuple[LexborNode, int]] = []  # the open nodes and their kinds
    node = body.first_child
    # A third of the nodes is white space, a tenth are blocks. Each call for every node would cost as much as all of
    # this, so it stands in one loop.
    while True:
        if node is None:
            if not path:
                break
            node, kind = path.pop()
            if kind >= _BLOCK_OF_LINK:
                if words:
                    walk.end()
                opened.pop()
                if len(made) > len(opened) + 1:
                    made.pop()
            if kind in _LINKS:
                walk.links -= 1
            node = node.next
            continue
        tag = node.tag or ""
        kind = kinds(tag, _BLOCK)
        if kind is _TEXT:
            text = node.text_content or ""
            if words or not text.isspace():
                words.append(text)
                if walk.links:
                    walk.linked += len(" ".join(text.split()))
        elif kind is _BREAK:
            words.append("\v")
        elif kind is not _SKIP and len(walk.elements) < MOST_ELEMENTS:
            if marks and node.mem_id in marks:
                kind = _BLOCK_OF_LINK if kind is _LINK else _BLOCK
            elif kind is _BLOCK and "-" in tag and opened and opened[-1].tag in _PARAGRAPHS:
                kind = _INSIDE  # an element of the site's own
            if words and kind >= _BLOCK_OF_LINK:
                walk.end()
            child = node.first_child
            if child is not None and (kind is not _SPAN or not _named(node, tag)[1]):
                path.append((node, kind))
                if kind >= _BLOCK_OF_LINK:
                    opened.append(node)
                if kind in _LINKS:
                    walk.links += 1
                node = child
                continue
        node = node.next
    walk.end()
    return walk.elements, walk.blocks


_LINKS = (_LINK, _BLOCK_OF_LINK)
_LINES = re.compile(r"\v\s*\v[\s\v]*")


class _Walk:
    """The state of a walk: the open elements that blocks end with, the words since the last border of a block.

    An element is judged, and made, when the first block in it ends: a quarter of them never hold one.
    """

    __slots__ = ("blocks", "elements", "linked", "links", "made", "marks", "opened", "words")

    def __init__(self, body: LexborNode, marks: Mapping[int, str]) -> None:
        self.marks = marks
        self.elements = [Element("body", -1, ruled=marks.get(body.mem_id, ""))]
        self.blocks: list[Block] = []
        self.opened: list[LexborNode] = []
        self.made = [0]  # the indices of the body and of the first of the opened, those that are made
        self.links = 0  # that are open
        self.linked = 0  # characters in links
        self.words: list[str] = []

    def end(self) -> None:
        """The end of a block; two line breaks in it divide paragraphs."""
        raw, linked = "".join(self.words), self.linked
        self.words.clear()
        self.linked = 0
        parts = _LINES.split(raw) if "\v" in raw else [raw]
        for part in parts:
            if text := " ".join(part.split()):
                share = linked if len(parts) == 1 else linked * len(part) // len(raw)
                index = self._element()
                self.blocks.append(Block(self.elements[index].tag, text, min(share, len(text)), index))

    def _element(self) -> int:
        """The index of the innermost element; those that are not made yet are."""
        for node in self.opened[len(self.made) - 1 :]:
            up, tag = self.made[-1], node.tag or ""
            mark = self.marks.get(node.mem_id, "") if self.marks else ""
            above = self.elements[up].ruled
            self.made.append(len(self.elements))
            names, stated, body = _named(node, tag)
            ruled = DROP if DROP in (mark, above) else mark or above
            self.elements.append(Element(tag, up, names, stated, "", body, ruled))
        return self.made[-1]


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
