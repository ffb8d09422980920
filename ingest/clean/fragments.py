"""The paragraphs of HTML inside a feed, by BeautifulSoup."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator
from typing import Any

from bs4 import CData, NavigableString, Tag

from ingest.clean import markup

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
        found = of_soup(text)
    else:
        found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", entities.unescape(text))]
    return [part for part in found if part and not (len(part) < 700 and _FURNITURE.fullmatch(part))]


def of_soup(source: str) -> list[str]:
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
