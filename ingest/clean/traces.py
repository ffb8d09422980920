"""Days that a page writes where no statement of its date stands: for readers, for other programs, by the way.

Asked for a page that states no date: one of four. Only what can be the story's own counts; what agrees with nothing,
or stands in lists, footers, comments and addresses of pictures, gives no day: a wrong one is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import islice
from urllib.parse import urlsplit

from selectolax.lexbor import LexborNode

from ingest import dates, words
from ingest.clean import datelines
from ingest.clean.blocks import Outline
from ingest.clean.markup import SILENT, Page, shown
from ingest.clean.statements import Statements


def days(
    found: Statements, outline: Outline, *, title: str | None, url: str | None, captured: datetime
) -> Iterator[tuple[str, str | None]]:
    """Where it was looked, and the day that was found there, if any; the surest place first."""
    day_first = _writes_day_first(found, title or "")
    titles = [*found.named("og:title"), *(node.text() for node in found.page.tree.css("title")[:1])]
    yield "page: title", _in_titles(titles, captured)
    elements, blocks = outline.elements, outline.blocks
    yield (
        "page: text",
        datelines.day(elements, blocks, title=title, captured=captured, day_first=day_first),
    )
    yield "page: text", _in_small(found.page, title, captured, day_first=day_first)
    stated = (value for name, values in found.meta.items() if _DATED.search(name) for value in values)
    yield "page: meta", _agreed(stated, captured)
    yield "url", _agreed(_in_address(url), captured)
    yield "page: script", _in_scripts(found.page.source, captured)


_NOT_LATIN = re.compile("[\u0370-\u052f\u0590-\u06ff]")


def _writes_day_first(found: Statements, title: str) -> bool:
    """Whether the page's language writes the day before the month; English does both."""
    root = found.page.tree.root
    told = ((root.attributes.get("lang") if root else None) or "").lower()
    return _NOT_LATIN.search(title) is not None or bool(told and not told.startswith("en"))


def _agreed(values: Iterable[str], captured: datetime) -> str | None:
    """The day that all values name that name one; that of the visit counts for nothing."""
    named = {day[:10] for value in islice(values, _MOST_VALUES) if (day := dates.read(value, captured=captured))}
    named.discard(f"{captured.astimezone(UTC):%Y-%m-%d}")
    return named.pop() if len(named) == 1 else None


_MOST_VALUES = 100


# ---- titles, names of meta elements, addresses, scripts

_LONGEST_TITLE = 500
_BETWEEN = re.compile(r"\s[|·•–—-]\s|\s?\|\s?")


def _in_titles(titles: Iterable[str], captured: datetime) -> str | None:
    """The day that is the first or the last part of a title: "Ferry strike ends | 24.05.2022"."""
    for title in titles:
        parts = _BETWEEN.split(title.strip()[:_LONGEST_TITLE])
        for part in (parts[-1], parts[0]) if len(parts) > 1 else ():
            if day := dates.read(part, captured=captured):
                return day[:10]
    return None


# Names of meta elements that say when a page was made, whatever else they say.
_DATED = re.compile(
    r"(?!.*(?:modif|updat|expir|unpub|valid|event|start|end))"
    r"(?=.*(?:publ|creat|uploaded|issue|post|release))(?=.*(?:date|time|_at$|\bat$|published$|created$))",
    re.IGNORECASE,
)

_YEAR_FIRST = re.compile(r"[/_.-]((?:19|20)\d\d)(\d\d)(\d\d)(?=[/_.-]|$)", re.ASCII)
_DAY_FIRST = re.compile(r"[/_]([0-3]?\d)-([01]?\d)-((?:19|20)\d\d)(?=[/_-]|$)", re.ASCII)


def _in_address(url: str | None) -> list[str]:
    """The days in an address like /20220524-title or /24-05-2022-title."""
    try:
        path = urlsplit(url or "").path
    except ValueError:
        return []
    compact = [f"{year}-{month}-{day}" for year, month, day in _YEAR_FIRST.findall(path)]
    return compact + [f"{day}-{month}-{year}" for day, month, year in _DAY_FIRST.findall(path)]


# The day is looked for first, then what stands before it: searching for so many keys takes fifty times as long.
_VALUE = re.compile(rb"20\d\d-?[01]\d-?[0-3]\d(?:[T ][\d:.]{4,15}(?:Z|[+-]\d\d:?\d\d)?)?(?![\d-])")
_KEY = re.compile(
    rb"""(?<!un)(publi(?:sh|cation)\w{0,12}|created?_?(?:at|on|date)|(?:pub|post)_?date)\\?["']?\s?[:=]\s?\\?["']?$""",
    re.IGNORECASE,
)
_LONGEST_KEY = 40
_MOST_DAYS = 5_000


def _in_scripts(source: bytes, captured: datetime) -> str | None:
    """The day under a key like "publishedAt" in a page's scripts, where all values of that key name the same one:
    elsewhere some are those of other stories."""
    by_key: dict[bytes, list[str]] = {}
    for value in islice(_VALUE.finditer(source), _MOST_DAYS):
        if key := _KEY.search(source[max(0, value.start() - _LONGEST_KEY) : value.start()]):
            by_key.setdefault(key[1].lower().replace(b"_", b""), []).append(value[0].decode("ascii"))
    for name in sorted(by_key, key=lambda name: (b"publ" not in name, name)):
        if day := _agreed(by_key[name], captured):
            return day
    return None


# ---- elements named for a day or for who wrote, also where they are no blocks of their own

_SMALL = ", ".join(
    f'[{attribute}*="{name}" i]'
    for attribute in ("class", "id", "itemprop")
    for name in ("date", "time", "publi", "posted", "byline", "meta", "author")
)
_MOST_SMALL = 300
_LONGEST_SMALL = 150
_MOST_INSIDE = 60  # nodes of such an element
_FIRST = 8  # such elements behind the heading
_APART = frozenset(("footer", "nav", "aside", "form"))
_OF_A_STORY = re.compile(r"(?:entry|post|article)[-_]", re.IGNORECASE)  # which has a header and a footer of its own
_LEVELS = 10
_LONGEST_NAMES = 300


def _in_small(page: Page, title: str | None, captured: datetime, *, day_first: bool) -> str | None:
    """The day in the first elements behind the heading that are named for it, where it is none of a row."""
    if not page.whole:
        return None
    nodes = page.tree.css(f"h1, {_SMALL}")[:_MOST_SMALL]
    of_names: dict[str, set[date]] = {}
    first: tuple[date, str] | None = None
    for number, node in enumerate(nodes[_heading(nodes, title) + 1 :]):
        text = _text(node)
        for told, start, _end in dates.days_in(text, day_first=day_first)[:1]:
            names = node.attributes.get("class") or ""
            of_names.setdefault(names, set()).add(told)
            theirs = number >= _FIRST or _is_of_others(node) or datelines.OTHER_DAY.search(text[:start])
            if first is None and not theirs:
                first = told, names
    if first is None or len(of_names[first[1]]) > 1:
        return None
    return dates.read(first[0].isoformat(), captured=captured)


def _heading(nodes: list[LexborNode], title: str | None) -> int:
    """The number of the node that is the story's heading; -1: there is none."""
    headings = [number for number, node in enumerate(nodes) if node.tag == "h1"][:_FIRST]
    told = words.letters(title or "")
    of_the_story = (number for number in headings if told and words.letters(shown(nodes[number])) == told)
    return next(of_the_story, headings[0] if headings else -1)


def _text(node: LexborNode) -> str:
    """What a small element says; "" where it is not small."""
    parts: list[str] = []
    for number, inner in enumerate(node.traverse(include_text=True)):
        if number >= _MOST_INSIDE:
            return ""
        if inner.tag == "-text":
            if inner.parent is None or inner.parent.tag not in SILENT:
                parts.append(inner.text_content or "")
        else:
            parts.append(" ")
    text = " ".join("".join(parts).split())
    return text if len(text) <= _LONGEST_SMALL else ""


def _is_of_others(node: LexborNode) -> bool:
    """Whether an element stands in what is no story."""
    above: LexborNode | None = node
    for _ in range(_LEVELS):
        if above is None:
            break
        names = f"{above.attributes.get('class') or ''} {above.attributes.get('id') or ''}"[:_LONGEST_NAMES]
        if datelines.OF_OTHERS.search(names) or (above.tag in _APART and not _OF_A_STORY.search(names)):
            return True
        above = above.parent
    return False
