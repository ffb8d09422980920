"""Which element holds the story: where the prose is.

Prose is what reads like sentences and is not made of links. From the body down, the way goes to the child that holds
nearly all prose of its parent; where no child does, to the one that is named as the story's (article, articleBody, …)
or has the page's heading.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ingest import words
from ingest.clean.blocks import HEADINGS, Block, Element
from ingest.clean.naming import CAPTION, CONSENT, HIDDEN

# Scripts that need fewer characters for a sentence.
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
DENSITY = 2.5
_ENDS = frozenset('.!?…。！？:;"”’»)]؟।')

_SENTENCE = 50  # characters below which a block is no prose
_LONG = 120  # characters from which on a block is prose without a full stop, too
_HEAVIEST = 1200.0
_NEXT_TO_NOTHING = 300.0  # of prose

_SHORTEST_ARTICLE = 150.0  # of prose
_DIGITS = re.compile(r"\d+")
_PARAGRAPHS = frozenset(("p", "ul", "ol", "table", "tbody", "blockquote"))
_WRAPPERS = frozenset(("div", "section", "article", "main"))
# Reasons that hold unless there is next to nothing else on the page; the others fall where they cover much of it.
_FIRM = re.compile(
    rf"{CONSENT}|{HIDDEN}|named (?:comment|comments|commentlist|disqus|hidden|related|"
    rf"next-article|up-next|read-next|next-post)$"
)


def weigh(elements: list[Element], blocks: list[Block]) -> float:
    """Give blocks and elements their weights, take back reasons that cannot be true of this page; the sum of all."""
    for block in blocks:
        block.weight = _weight(block)
        elements[block.element].weight += block.weight
    for element in reversed(elements[1:]):
        elements[element.up].weight += element.weight
    _settle(elements, blocks)
    for block in blocks:
        if not elements[block.element].reason:
            elements[block.element].mass += block.weight
    for element in reversed(elements[1:]):
        elements[element.up].mass += element.mass
    return elements[0].weight


def width(text: str) -> float:
    """The length of a text in characters of an alphabet."""
    return len(text) * DENSITY if is_dense(text) else len(text)


def is_dense(text: str) -> bool:
    """Whether it is in a script that needs fewer characters for a sentence."""
    return not text.isascii() and _DENSE.search(text, 0, 300) is not None


def ends(text: str) -> bool:
    """Whether it ends as a sentence does."""
    return text[-1] in _ENDS


def _weight(block: Block) -> float:
    text = block.text
    if block.tag in HEADINGS or block.linked > 0.5 * len(text):
        return 0.0
    weight = float(len(text) - block.linked)
    if is_dense(text):
        weight *= DENSITY
    if weight < _SENTENCE or (weight < _LONG and text[-1] not in _ENDS):
        return 0.0
    return min(weight, _HEAVIEST)


def _settle(elements: list[Element], blocks: list[Block]) -> None:
    """Give every element its reason: its own or that of an element around.

    Not those that name most of the page's prose: systems name what wraps the whole page, or every paragraph,
    "sidebar-layout", "teaser-content", "modal-open". What stands in such a wrapper keeps its own.
    """
    total = elements[0].weight
    holding = _holding(elements, total)
    wrong: set[str] = set()
    for _ in range(_MOST_WRONG):
        shares = _inherit(elements, holding, wrong)
        most = {reason for reason, weight in shares.items() if weight > 0.4 * total and not _holds(reason)}
        if not most:
            break
        wrong |= most
    free = sum(block.weight for block in blocks if not elements[block.element].reason)
    if free < 0.25 * total:
        soft = sum(block.weight for block in blocks if not _FIRM.match(elements[block.element].reason))
        firm = {reason for element in elements if _FIRM.match(reason := element.stated)}
        wrong |= {reason for reason in firm if reason == HIDDEN or soft < _NEXT_TO_NOTHING}
        _inherit(elements, holding, wrong)


_MOST_WRONG = 5  # times that reasons are taken back


_NETWORKS = frozenset(("named social", "named share"))


def _holds(reason: str) -> bool:
    """Whether a reason holds however much it names."""
    return CAPTION in reason or _FIRM.match(reason) is not None


def _inherit(elements: list[Element], holding: list[bool], wrong: set[str]) -> dict[str, float]:
    """Hand the reasons that are not `wrong` down the tree.

    How much prose of what is named as the story's each of them covers.
    """
    total = elements[0].weight
    shares: dict[str, float] = {}
    inside = [False] * len(elements)  # what is named as the story's
    for index, element in enumerate(elements):
        reason = elements[element.up].reason if index else ""
        if reason in _NETWORKS and element.tag == "blockquote":
            reason = ""  # a post that the story quotes
        inside[index] = element.body or element.tag in ("article", "main") or inside[max(element.up, 0)]
        if not reason and (stated := element.stated) and stated not in wrong:
            share = element.weight / total if total else 0.0
            if _holds(stated):
                doubted = stated != CAPTION and share >= 0.6 and not _FIRM.match(stated)
            else:
                doubted = share > 0.4 or holding[index]
            if not doubted:
                reason = stated
                if inside[index]:
                    shares[reason] = shares.get(reason, 0.0) + element.weight
        element.reason = reason
    return shares


def _holding(elements: list[Element], total: float) -> list[bool]:
    """Which elements hold one that is the story's by its name and has much of the prose."""
    holding = [False] * len(elements)
    for index in range(len(elements) - 1, 0, -1):
        element = elements[index]
        if holding[index] or ((element.body or element.tag == "article") and element.weight > 0.3 * total):
            holding[element.up] = True
    return holding


def find(elements: list[Element], blocks: list[Block]) -> int:
    """The index of the element that holds the story; 0, the whole body, where nothing stands out."""
    return _Descent(elements, blocks).core()


class _Descent:
    def __init__(self, elements: list[Element], blocks: list[Block]) -> None:
        self.elements = elements
        self.children: dict[int, list[int]] = {}
        for index, element in enumerate(elements):
            if index and element.mass:
                self.children.setdefault(element.up, []).append(index)
        self.titled = [False] * len(elements)
        self.titles = [(block.element, words.letters(block.text)) for block in blocks if block.tag == "h1"]
        self.direct = [0.0] * len(elements)  # the prose that stands in it without a wrapper
        for block in blocks:
            element = elements[block.element]
            self.titled[block.element] |= block.tag == "h1"
            if block.weight and not element.reason:
                self.direct[block.element] += block.weight
                if element.up >= 0 and block.tag not in _WRAPPERS:
                    self.direct[element.up] += block.weight
        self.named_mass = [0.0] * len(elements)  # the most prose in one element inside it that is named as the story's
        for index in range(len(elements) - 1, -1, -1):
            element = elements[index]
            if element.body or element.tag in ("article", "main"):
                self.named_mass[index] = element.mass
            if index:
                self.titled[element.up] |= self.titled[index]
                self.named_mass[element.up] = max(self.named_mass[element.up], self.named_mass[index])

    def core(self) -> int:
        here = 0
        in_body = in_article = False
        mass: Callable[[int], float] = lambda index: self.elements[index].mass  # noqa: E731
        while children := sorted(self.children.get(here, ()), key=mass, reverse=True):
            if self.elements[children[0]].tag in _PARAGRAPHS:
                break
            in_body = in_body or self.elements[here].body
            in_article = in_article or self.elements[here].tag == "article"
            below = self._first_of_several(children)
            below = below or self._nearly_all(here, children, in_body)
            below = below or self._titled(here, children)
            if not in_body and not in_article:
                below = below or self._wrapper(here, children)
            below = below or self._named(here, children)
            if below is None:
                break
            here = below
        return here

    def _nearly_all(self, here: int, children: list[int], in_body: bool) -> int | None:
        enough = (0.97 if in_body else 0.9) * self.elements[here].mass
        return children[0] if self.elements[children[0]].mass >= enough else None

    def _first_of_several(self, children: list[int]) -> int | None:
        """The first of several children of one name, each with prose and a heading of the first level of its own, where
        no such heading stands before them: the others are the next articles, appended."""
        alike: dict[tuple[str, str], list[int]] = {}
        for child in sorted(children):
            element = self.elements[child]
            if self.titled[child] and element.mass >= _SHORTEST_ARTICLE:
                alike.setdefault((element.tag, _DIGITS.sub("", element.names)), []).append(child)
        first, *others = next((group for group in alike.values() if len(group) > 1), [-1])
        if not others or self.titles[0][0] < first:
            return None
        told = [next(title for index, title in self.titles if index >= child) for child in (first, *others)]
        return first if len(set(told)) == len(told) else None

    def _candidates(self, here: int, children: list[int]) -> list[int]:
        """The children with a good part of the prose that are, or wrap, what is named as the story's."""
        return [
            child
            for child in children
            if self.elements[child].mass >= 0.2 * self.elements[here].mass
            and self.named_mass[child] >= 0.7 * self.elements[child].mass
        ]

    def _titled(self, here: int, children: list[int]) -> int | None:
        """The first candidate with a heading of the first level: others are the next articles, appended."""
        return min((child for child in self._candidates(here, children) if self.titled[child]), default=None)

    def _wrapper(self, here: int, children: list[int]) -> int | None:
        """The child with most of the prose, where the parent only divides the page into columns."""
        first, second = children[0], self.elements[children[1]].mass if len(children) > 1 else 0.0
        mass = self.elements[here].mass
        stands_out = self.elements[first].mass >= 0.6 * mass and second < 0.3 * self.elements[first].mass
        if stands_out and self.elements[first].tag != "section" and self.direct[here] < 0.15 * mass:
            return first
        return None

    def _named(self, here: int, children: list[int]) -> int | None:
        """The only candidate, unless it is one of several parts of the same name."""
        candidates = self._candidates(here, children)
        if len(candidates) != 1:
            return None
        found = self.elements[candidates[0]]
        alike = sum(self.elements[child].mass for child in children if self.elements[child].names == found.names)
        if found.mass >= 0.4 * self.elements[here].mass and alike < 1.2 * found.mass:
            return candidates[0]
        return None
