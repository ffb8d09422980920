"""The story's own paragraphs, out of all that stands on a page or in a feed's entry."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterable, Iterator
from typing import Any

import trafilatura
from bs4 import CData, NavigableString, Tag
from lxml import html

from ingest.clean import markup

# trafilatura copies a page five times and looks at each element often: 1 ms for 100 elements. What has more elements
# than any page measured (25,000), or is nested deeper, is read by paragraphs alone.
_MOST_ELEMENTS = 50_000
_LONGEST = 8_000_000  # characters; each copy costs as much memory again

# Less than this is a teaser, a caption or a consent notice; then what else the page holds is looked at.
_LITTLE = 200
_BETTER = 1.5

_CHROME = frozenset(("nav", "aside", "footer", "form", "figure", "menu", "dialog", "header"))
_PARAGRAPHS = frozenset(("p", "blockquote", "li", "h2", "h3", "h4", "pre"))


def story(tree: markup.Tree, source: str, data: str | None) -> list[str]:
    """The paragraphs of a page's story. `source` is the page itself; `data` is the story's text as the page's data
    states it."""
    if not tree.whole:
        return _of_soup(source)
    heavy = tree.deep or len(source) > _LONGEST or tree.root.xpath("count(//*)") > _MOST_ELEMENTS
    found = [] if heavy else _extracted(tree.root)
    if _length(found) >= _LITTLE:
        return found
    best = max((_of_data(data or ""), _of_container(tree.root)), key=_length)
    return best if _length(best) > _BETTER * _length(found) else found


def _length(paragraphs: Iterable[str]) -> int:
    return sum(map(len, paragraphs))


def _extracted(root: html.HtmlElement) -> list[str]:
    """trafilatura's reading. Of its settings, precision with tables measures best on all three sets of news pages."""
    markup.hush()
    try:
        text: Any = trafilatura.extract(root, favor_precision=True, include_comments=False, include_tables=True)
    except Exception:  # noqa: BLE001 - it has no contract; what it cannot read is read by paragraphs
        return []
    return [line for line in (" ".join(line.split()) for line in (text or "").split("\n")) if line]


def _of_data(data: str) -> list[str]:
    return of_fragment(entities.unescape(data) if "&lt;" in data else data)


def _of_container(root: html.HtmlElement) -> list[str]:
    """The paragraphs of the article, else of the main part of the page."""
    for name in ("article", "main"):
        containers = list(root.iter(name))[:20]
        found = max((_prose(container) for container in containers), key=_length, default=[])
        if _length(found) >= _LITTLE:
            return found
    return _prose(root)


def _prose(container: html.HtmlElement) -> list[str]:
    return [text for tag, text in markup.paragraphs(container, leave=_CHROME) if tag in _PARAGRAPHS]


# ---- fragments

# A tag that HTML has, its attributes with values: "a <b and c> d" holds none.
_A_TAG = re.compile(
    r"</?(?:a|abbr|article|b|big|blockquote|body|br|center|cite|code|dd|del|div|dl|dt|em|figure|font|h[1-6]|head|hr|html|i"
    r"|iframe|img|ins|kbd|li|link|mark|meta|noscript|object|ol|p|picture|pre|q|s|script|section|small|span|strike|strong"
    r"|style|sub|sup|svg|table|tbody|td|th|time|tr|tt|u|ul|video)(?:\s+[\w:-]+\s*=[^<>]*|\s*/?)>",
    re.I,
)
# Lines that only lead on, by language, as regular expressions.
_MORE = (
    r"read (?:more|on|the (?:full|rest|whole|original)[^.]{0,60})",
    r"continue reading[^\n]{0,200}|keep reading|full (?:story|article)|more",
    r"view (?:the )?(?:original|full) [^.]{0,60}|click here[^.]{0,60}",
    r"weiterlesen[^.]{0,100}|mehr(?: lesen| dazu)?",
    r"lire (?:la suite|plus|l['’]article)[^.]{0,100}",
    r"leer más|seguir leyendo|leggi (?:tutto|di più)|ler mais",
    r"читать (?:далее|дальше|полностью)|подробнее",
    r"читати (?:далі|більше|повністю)|детальніше",
    r"lees (?:meer|verder)|czytaj (?:więcej|dalej)",
)
_FURNITURE = re.compile(
    rf"""\W*(?: {"|".join(_MORE).replace(" ", "[ ]")}
        | the[ ]post[ ].{{0,400}}[ ](?:appeared[ ]first|first[ ]appeared)[ ]on[ ].{{0,200}}
        | (?:this[ ])?(?:article|story)[ ].{{0,300}}(?:appeared[ ]first|first[ ]appeared)[ ](?:on|at)[ ].{{0,200}}
        | (?:share|tweet|email|print|pin[ ]it|comments?|permalink|submitted[ ]by[ ].{{0,60}}|\d+[ ]comments?)
        | (?:share|teilen|поделиться|поширити)[ ](?:this|it|on|via|auf|в|у)[ ].{{0,60}}
        | (?:share[ ]on[ ])?(?:facebook|twitter|x|whatsapp|telegram|linkedin|reddit|email|vk|viber)
    )\W*""",
    re.I | re.VERBOSE,
)


def of_fragment(text: str) -> list[str]:
    """The paragraphs of HTML inside a feed. Text that is no HTML keeps its `<` and `&`."""
    if _A_TAG.search(text):
        found = _of_soup(text)
    else:
        found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", entities.unescape(text))]
    return [part for part in found if part and not (len(part) < 700 and _FURNITURE.fullmatch(part))]


def _of_soup(source: str) -> list[str]:
    """All paragraphs of a document by BeautifulSoup: linear, without recursion, at any depth."""
    soup = markup.soup(source)
    words: list[str] = []
    found: list[str] = []

    def end() -> None:
        if paragraph := " ".join("".join(words).split()):
            found.append(paragraph)
        words.clear()

    open_tags: list[tuple[str, Iterator[Any]]] = [("", iter(soup.contents))]
    while open_tags:
        tag, children = open_tags[-1]
        child = next(children, None)
        if child is None:
            open_tags.pop()
            end() if tag in markup.BLOCKS else words.append(" " if tag in ("td", "th") else "")
        elif isinstance(child, Tag):
            if child.name in markup.BLOCKS:
                end()
            if child.name not in markup.SILENT and not _is_more(child):
                open_tags.append((child.name, iter(child.contents)))
        elif type(child) in (NavigableString, CData):
            words.append(child)
    end()
    return found


def _is_more(tag: Tag) -> bool:
    """A link that only leads on: "Read more", "Share on …"."""
    if tag.name != "a" or len(tag.contents) > 5:
        return False
    text = " ".join(child.get_text() for child in tag.contents)
    return len(text) < 200 and _FURNITURE.fullmatch(text) is not None
