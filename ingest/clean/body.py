"""The story's own paragraphs, out of all that stands on a page."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ingest import sites, words
from ingest.clean import cards, container, datelines, entries, fragments, kinds, markup, script_state
from ingest.clean.blocks import HEADINGS, Block, Element, Outline, names_around
from ingest.clean.container import DENSITY, ends, is_dense, width
from ingest.clean.furniture import ONWARD, OWN, STANDFIRST, is_signature, reserves_rights, speaks_for_the_site

# Less than this (in letters of an alphabet) is a teaser, a caption or a consent notice: then trafilatura is asked, and
# what the page carries as data is looked at.
_LITTLE = 150
_BETTER = 1.3
_LONGEST = 2_000_000  # characters of a page that trafilatura is asked about: it takes 1 ms for 100 elements

_TEXT = frozenset(("p", "li", "dd", "dt", "blockquote", "pre", "td", "th"))


@dataclass(frozen=True, slots=True)
class Story:
    """The paragraphs of a story. `by` is what found them: "blocks", "site rule", "trafilatura", "data", "script" or,
    for a page that is nested too deeply for a tree, "paragraphs"; `blocks` are those of the page with the reason for
    which each was kept or dropped. `kind` is one of `kinds`, as the page's build shows it. `cut` says what bound the
    page is longer than, so that the story is not whole; "": none."""

    paragraphs: list[str]
    by: str = "blocks"
    blocks: tuple[Block, ...] = ()
    kind: str = kinds.ARTICLE
    cut: str = ""


def story(
    page: markup.Page,
    outline: Outline,
    *,
    data: Sequence[str],
    descriptions: Sequence[str] = (),
    kind: str | None = None,
) -> Story:
    """The story of a page that has this outline. `data` is its text, in one piece or several, as the page's data
    states it, `descriptions` what the page says of it in a sentence, `kind` what kind of page it says that it is."""
    if not page.whole:
        return Story(fragments.of_soup(page.text()), "paragraphs")
    elements, blocks = outline.elements, outline.blocks
    if outline.ruled and _choose_by_rule(elements, blocks):
        return Story(_paragraphs(elements, blocks), "site rule", tuple(blocks), kind or kinds.ARTICLE)
    kind = _choose(elements, [block for block in blocks if block.why != sites.DROP], descriptions, kind)
    found = Story(_paragraphs(elements, blocks), "blocks", tuple(blocks), kind)
    if _width(found.paragraphs) >= _LITTLE:
        return found
    if found.kind == kinds.ARTICLE and not found.paragraphs and _are_links(blocks):
        found = replace(found, kind=kinds.INDEX)
    others = [replace(found, paragraphs=_of_data(data), by="data")]
    if not outline.ruled:  # scripts and trafilatura know nothing of what a rule drops
        if _width(others[0].paragraphs) < _LITTLE:
            others.append(replace(found, paragraphs=_of_data(script_state.paragraphs(page)), by="script"))
        if len(page.source) <= _LONGEST:
            others.append(replace(found, paragraphs=_extracted(page), by="trafilatura"))
    best = max(others, key=lambda other: _width(other.paragraphs))
    return best if _width(best.paragraphs) > _BETTER * _width(found.paragraphs) else found


def _paragraphs(elements: list[Element], blocks: list[Block]) -> list[str]:
    """The texts of the blocks that were kept; the cells of a row of a table stand in one line."""
    found: list[str] = []
    row = -1
    for block in blocks:
        if not block.kept:
            continue
        inside = elements[block.element].up if block.tag in ("td", "th") else -1
        if inside >= 0 and inside == row:
            found[-1] += f" | {block.text}"
        else:
            found.append(block.text)
        row = inside
    return found


def _width(paragraphs: Iterable[str]) -> float:
    return sum(map(width, paragraphs))


_FEWEST_LINKS = 5


def _are_links(blocks: Sequence[Block]) -> bool:
    """Whether nearly all that a page shows, outside of what is named otherwise, are links to other pages."""
    shown = [block for block in blocks if block.tag != "h1" and not block.why.startswith(_NAMED)]
    links = [block for block in shown if block.linked > 0.6 * len(block.text)]
    return len(links) >= _FEWEST_LINKS and sum(len(block.text) for block in links) >= 0.8 * sum(
        len(block.text) for block in shown
    )


_NAMED = ("named ", "role ", "aside", "consent", "hidden")


def _extracted(page: markup.Page) -> list[str]:
    """trafilatura's reading; of its settings, precision measures best on news."""
    import trafilatura  # one page of a hundred needs it, and it takes half a second to import

    markup.hush()
    try:
        text: Any = trafilatura.extract(page.text(), favor_precision=True, include_comments=False)
    except Exception:  # noqa: BLE001 - it has no contract; what it cannot read is read by blocks alone
        return []
    return [line for line in (" ".join(line.split()) for line in (text or "").split("\n")) if line]


def _of_data(data: Sequence[str]) -> list[str]:
    whole = (entities.unescape(piece) if "&lt;" in piece else piece for piece in data)
    return [paragraph for piece in whole for paragraph in fragments.of_fragment(piece)]


# ---- choosing


def _choose_by_rule(elements: list[Element], blocks: list[Block]) -> bool:
    """Mark the blocks that the rule of the site names as text; whether there are any. Those that it drops are none of
    the story in the general way either."""
    for block in blocks:
        ruled = elements[block.element].ruled
        if ruled:
            block.kept, block.why = ruled == sites.TEXT, ruled
    return any(block.kept for block in blocks)


def _choose(elements: list[Element], blocks: list[Block], descriptions: Sequence[str], kind: str | None) -> str:
    """Mark the blocks that are the story; what kind of page this is, by what it says (`kind`) and how it is built."""
    if not blocks:
        return kind or kinds.ARTICLE
    prose = container.weigh(elements, blocks)
    core = container.find(elements, blocks)
    inside = [False] * len(elements)
    for index, element in enumerate(elements):
        inside[index] = index == core or (element.up >= 0 and inside[element.up])
    first = next((number for number, block in enumerate(blocks) if inside[block.element]), len(blocks))
    chosen = [block for block in blocks if inside[block.element]]
    for block in chosen:
        why = _against(block, elements[block.element])
        block.kept, block.why = why is None, why or "in the story's element"
    _drop_lists_of_links(elements, chosen)
    teasers, are_most = cards.of_other_stories(elements, chosen, core)
    for block in teasers:
        if not are_most:
            _drop(block, "teaser of another story")
    _drop_what_follows(chosen)
    if prose:
        _drop_signatures(chosen)
        _trim(chosen)
    _drop_headings_of_nothing(chosen)
    if kind == kinds.LIVE_BLOG or (kind is None and entries.are_live(elements, chosen)):
        kind = kinds.LIVE_BLOG
        entries.keep_times(chosen)
    elif kind != kinds.INDEX and entries.keep_captions(chosen, stated=kind == kinds.GALLERY):
        kind = kinds.GALLERY
    elif prose > _LONG_FOR_A_LIST:  # its data is about a list or pictures beside the story
        kind = None
    _add_standfirst(elements, blocks[:first], chosen, descriptions)
    return kind or (kinds.INDEX if are_most else kinds.ARTICLE)


_LONG_FOR_A_LIST = 2_000.0  # of prose that is in no teasers


def _against(block: Block, element: Element) -> str | None:
    """What speaks against a block that stands in the story's element."""
    text, length = block.text, len(block.text)
    links = block.linked / length
    if element.reason:
        return element.reason
    if block.tag == "h1":
        return "title"
    if block.tag == "figcaption":
        return "caption"
    if block.tag in HEADINGS:
        return "heading in a link" if links > 0.6 else None
    if links > 0.6 and not (links < 0.85 and length > 100 and block.tag == "p" and ends(text) and text[-1] != "]"):
        return "links"
    if length < 700 and reserves_rights(text):
        return "rights"
    if length < 250 and OWN.match(text):
        return "leads on or credits"
    if speaks_for_the_site(text):
        return "speaks for the site"
    if block.tag not in _TEXT and length < 50 and not ends(text):
        return "short, no sentence"
    return None


def _drop(block: Block, why: str) -> None:
    if block.kept:
        block.kept, block.why = False, why


def _drop_lists_of_links(elements: list[Element], chosen: list[Block]) -> None:
    lists: dict[int, list[Block]] = {}
    for block in chosen:
        index = block.element
        for _ in range(4):  # an item's text stands in it, or at most two elements below
            if elements[index].tag in ("ul", "ol"):
                lists.setdefault(index, []).append(block)
                break
            index = max(elements[index].up, 0)
    for items in lists.values():
        if sum(item.linked for item in items) > 0.4 * sum(len(item.text) for item in items):
            for item in items:
                _drop(item, "list of links")


def _drop_what_follows(chosen: list[Block]) -> None:
    """Drop what stands under a heading like "Related" at the end; one in the middle only goes itself."""
    left = whole = sum(block.weight for block in chosen if block.kept)
    for number, (block, following) in enumerate(pairwise([*chosen, None]), start=1):
        assert block is not None
        left -= block.weight if block.kept else 0.0
        if not block.kept or len(block.text) >= 60 or not ONWARD.match(block.text):
            continue
        leads = following is not None and (following.linked > 0.5 * len(following.text) or not following.kept)
        if block.tag not in HEADINGS and not (leads and block.tag in ("p", "div")):
            continue
        _drop(block, "leads on")
        if left < 0.25 * whole:
            for after in chosen[number:]:
                _drop(after, f"after “{block.text[:30]}”")
            return


_LAST = 4  # paragraphs, among which signatures are looked for


def _drop_signatures(chosen: list[Block]) -> None:
    """Of the last paragraphs, drop those about the author and the site, but never all of a story."""
    kept = [block for block in chosen if block.kept]
    for block in kept[max(2, len(kept) - _LAST) :]:
        if len(block.text) < 700 and is_signature(block.text):
            _drop(block, "about the author or the site")


_WHOLE = frozenset(("li", "blockquote"))  # no line of a list is too short, nor the name under a quoted post


def _trim(chosen: list[Block]) -> None:
    """Drop short lines that are no sentences before the first and behind the last prose."""
    for block in chosen:
        if block.kept and (block.weight or block.tag == "li"):
            break
        if block.tag not in HEADINGS and _is_scrap(block, 40 if block.tag == "p" else 80):
            _drop(block, "before the first sentence")
        elif block.kept and datelines.is_about_a_day(block.text):
            _drop(block, "its day")
    for block in reversed(chosen):
        if not block.kept:
            continue
        if block.weight or block.tag in _WHOLE or not _is_scrap(block, 40 if block.tag == "p" else 80):
            break
        _drop(block, "behind the last sentence")


def _is_scrap(block: Block, length: int) -> bool:
    return len(block.text) < length / (DENSITY if is_dense(block.text) else 1) and not ends(block.text)


def _drop_headings_of_nothing(chosen: list[Block]) -> None:
    """Drop headings behind which no text stands; that of a part may be followed by that of a part of it."""
    followed = ""  # the tag of what was kept behind
    for block in reversed(chosen):
        if not block.kept:
            continue
        if block.tag in HEADINGS and (not followed or (followed in HEADINGS and followed <= block.tag)):
            _drop(block, "heading of nothing")
        else:
            followed = block.tag


_MOST_STANDFIRSTS = 3
_PICTURE = re.compile(r"image|photo|picture|media|figure|video|gallery", re.I)


def _add_standfirst(
    elements: list[Element], before: list[Block], chosen: list[Block], descriptions: Sequence[str]
) -> None:
    """Keep the standfirst and the lead: sentences between the title and the story's element. A block that is no
    paragraph must be named so, or say what the page's description says."""
    told = {words.letters(block.text)[:60] for block in [block for block in chosen if block.kept][:8]}
    if not told:
        return
    titles = [number for number, block in enumerate(before) if block.tag == "h1"]
    titles = [number for number in titles if len(before[number].text) >= 25] or titles
    said = [folded for text in descriptions if len(folded := words.letters(text)) > 30]
    left = _MOST_STANDFIRSTS
    for block in before[titles[-1] + 1 if titles else max(0, len(before) - 15) :]:
        text = words.letters(block.text)
        if not (30 <= len(block.text) <= 1000 and left) or block.linked > 0.3 * len(block.text) or text[:60] in told:
            continue
        repeats = any(text.startswith(one[:50]) or one.startswith(text[:50]) for one in said)
        reason = elements[block.element].reason
        if (reason and not (repeats and "teaser" in reason)) or OWN.match(block.text):
            continue
        names = names_around(elements, block.element, 3)
        if _PICTURE.search(names):
            continue
        heading = block.tag in ("h2", "h3") and len(block.text) >= 50 and not block.linked
        lead = bool(titles) and ((block.tag == "p" and block.weight > 0) or heading)
        if repeats or lead or STANDFIRST.search(names):
            block.kept, block.why = True, "standfirst"
            told.add(text[:60])
            left -= 1
