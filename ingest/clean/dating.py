"""When a page says that its story was published.

Believed in this order: JSON-LD, meta elements, microdata, `<time>`, the day in the address, what the page shows to
readers (`traces`). Not believed is what every page of a site says at that moment: the server's clock, and the day of
the visit in a page's head.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlsplit

from selectolax.lexbor import LexborNode

from ingest import dates
from ingest.clean import traces
from ingest.clean.blocks import Outline
from ingest.clean.markup import shown
from ingest.clean.statements import Statements, folded, strings

# Names of meta elements, letters and digits alone: systems write article:published_time, article:published:time, …
_PUBLISHED = """
    articlepublishedtime ogarticlepublishedtime articlepublished ogpublishedtime datepublished parselypubdate
    sailthrudate cxenseparserecspublishtime dateissued dctermsissued dcdateissued dcdate dctermsdate dctermscreated
    dcdatecreated publishdate publicationdate pubdate articledateoriginal originalpublicationdate
    citationpublicationdate date
""".split()  # noqa: SIM905 - a table to be read


def published(
    found: Statements, outline: Outline, *, title: str | None, url: str | None, captured: datetime
) -> tuple[str | None, str | None]:
    """The date of publication and where it stands: "page" with the kind of statement, or "url"."""
    story, in_address = found.story, _in_address(url)
    times, doubtful = _times(found)
    stated = (
        ("page: json-ld", strings(story.get("datePublished")) or strings(story.get("dateCreated"))),
        ("page: meta", _meta(found)),
        ("page: microdata", found.itemprop("datePublished")),
        ("page: json-ld", [found.rescued["datePublished"]] if "datePublished" in found.rescued else []),
        ("page: time", times),
        ("page: json-ld", _of_the_page(found)),
        ("page: microdata", found.itemprop("dateCreated")),
        ("page: time", [value for value in doubtful if not _is_of_the_visit(value, captured)]),
        ("url", in_address),
    )
    for place, values in stated:
        for value in values[:10]:
            date = dates.read(value, captured=captured)
            if date and not _is_clock(date, captured):
                return _on_the_day(date, in_address), place
    for place, day in traces.days(found, outline, title=title, url=url, captured=captured):
        if day:
            return day, place
    return None, None


_CLOCK = timedelta(seconds=15)


def _is_clock(date: str, captured: datetime) -> bool:
    """Whether an instant is that of the capture: the server writes its clock, on this page as on every other."""
    return "T" in date and abs(dates.instant(date) - captured) <= _CLOCK


def _is_of_the_visit(value: str, captured: datetime) -> bool:
    """Whether it is the day of the capture, which many sites show in the head of every page."""
    date = dates.read(value, captured=captured)
    return date is not None and date[:10] == f"{captured.astimezone(UTC):%Y-%m-%d}"


def _meta(found: Statements) -> list[str]:
    by_name: dict[str, list[str]] = {}
    for name, values in found.meta.items():
        by_name.setdefault(folded(name), []).extend(values)
    return [value for name in _PUBLISHED for value in by_name.get(name, ())]


def _on_the_day(published: str, in_address: list[str]) -> str:
    """An instant in UTC, written so that its day is the one that the outlet writes into the address.

    Systems state UTC, outlets count days by their own clock: what came out at 20:00 in New York is of the day before.
    The instant stays the same; the offset is the smallest that leads to that day.
    """
    if not in_address or not published.endswith("Z"):
        return published
    told = dates.read(in_address[0], captured=None)
    moment = dates.instant(published)
    if told is None or not (away := (datetime.fromisoformat(told).date() - moment.date()).days) or abs(away) > 1:
        return published
    hours = 24 - moment.hour if away == 1 else -moment.hour - 1
    return moment.astimezone(timezone(timedelta(hours=hours))).isoformat() if -12 <= hours <= 14 else published


def _times(found: Statements) -> tuple[list[str], list[str]]:
    """The `<time>` elements that can be the story's: those marked so, or the first one in an article, a header or the
    main element, before other stories' times can come; the first one of the page is believed only where it is alone.
    And in place of them those that may as well be the site's own: in the page's header, or nowhere."""
    nodes = found.page.tree.css("time, abbr.published")[:200]  # the latter by the hAtom microformat
    marked = [node for node in nodes if "pubdate" in node.attributes or "publish" in _class(node)]
    if marked:
        return _values(marked), []
    inside = next((node for node in nodes if _is_inside(node, _AROUND)), None)
    if inside is not None and _is_inside(inside, _STORIES):
        return _values([inside]), []
    return [], _values([inside] if inside is not None else nodes if len(nodes) == 1 else [])


_STORIES = frozenset(("article", "main"))
_AROUND = _STORIES | {"header"}


def _values(nodes: list[LexborNode]) -> list[str]:
    return [value for node in nodes if (value := _value(node).strip())]


def _value(node: LexborNode) -> str:
    stated = node.attributes
    return stated.get("datetime") or (stated.get("title") if node.tag == "abbr" else "") or shown(node)


def _class(node: LexborNode) -> str:
    return (node.attributes.get("class") or "").lower()


def _is_inside(node: LexborNode, tags: frozenset[str]) -> bool:
    parent = node.parent
    for _ in range(50):
        if parent is None:
            return False
        if parent.tag in tags:
            return True
        parent = parent.parent
    return False


_DAY_IN_PATH = re.compile(r"/((?:19|20)\d\d)[/-](\d\d?|[a-z]{3,9})[/-](\d\d?)(?=[/_-]|$)", re.ASCII)


def _in_address(url: str | None) -> list[str]:
    """The day in an address like /2022/05/24/title, /2022-05-24-title or /2022/may/24/title."""
    try:
        path = urlsplit(url or "").path.lower()
    except ValueError:
        return []
    return [
        f"{year}-{month:0>2}-{day:0>2}" if month.isdecimal() else f"{day} {month} {year}"
        for year, month, day in _DAY_IN_PATH.findall(path)[:1]
    ]


def _of_the_page(found: Statements) -> list[str]:
    """When the page itself was published, by its JSON-LD: systems state that beside or in place of a story."""
    pages = (item for item in found.objects if any(kind.endswith("Page") for kind in strings(item.get("@type"))))
    stated = [value for item in pages for value in strings(item.get("datePublished"))]
    return stated if len({value[:10] for value in stated}) == 1 else []
