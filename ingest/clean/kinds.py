"""What kind of page it is: an article, a live blog, a gallery, a list of other stories; and whether its text is whole.

A page says it of itself as data, or its build shows it. `INDEX` is a doubt, and the story is kept; only a page of which
every sign says that it lists others and tells nothing itself is none (`NO_STORY`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ingest.clean.container import ends, width
from ingest.clean.markup import shown
from ingest.clean.statements import Statements, strings

ARTICLE, LIVE_BLOG, GALLERY, INDEX = "article", "live_blog", "gallery", "index"
NO_STORY = "no-story"

_TYPES = {
    "LiveBlogPosting": LIVE_BLOG,
    "ImageGallery": GALLERY,
    "MediaGallery": GALLERY,
    "CollectionPage": INDEX,
    "SearchResultsPage": INDEX,
}


def stated(found: Statements) -> str | None:
    """The kind that the page's data states; None: it states none, or an article like any other."""
    kinds = [_TYPES[kind] for item in found.objects for kind in strings(item.get("@type")) if kind in _TYPES]
    if INDEX in kinds and (found.story or "article" in found.named("og:type")):
        kinds = [kind for kind in kinds if kind != INDEX]  # a section's list beside its story
    return next((kind for kind in (LIVE_BLOG, GALLERY, INDEX) if kind in kinds), None)


_LITTLE = 600  # letters of an alphabet in the sentences of a list, which may introduce it
_SECTION = re.compile(r"/(?:(?:tag|topic|category|section|author|search|archive)s?/.*|[\w-]{0,30}/?)", re.I)
_LISTS = frozenset((*(name for name, kind in _TYPES.items() if kind == INDEX), "ItemList"))


def no_story(found: Statements, url: str | None, *, kind: str, text: str) -> str | None:
    """`NO_STORY` where it is certain that the page only lists others: it is built so or says so, states and dates no
    story of its own, its address is a section's, and it has next to no text unless it says that it is a list."""
    if kind != INDEX or found.story or "article" in map(str.lower, found.named("og:type")):
        return None
    if any("published" in name or "pubdate" in name for name in found.meta) or found.itemprop("articleBody"):
        return None
    try:
        path = urlsplit(url or "x:x").path
    except ValueError:
        return None
    if path and not _SECTION.fullmatch(path):
        return None
    says_so = any(kind in _LISTS for item in found.objects for kind in strings(item.get("@type")))
    return NO_STORY if says_so or path in ("", "/") or width(text) < _LITTLE else None


_STUB = 1_500  # letters: what sites give of a story for nothing has up to three paragraphs
_TIERS = frozenset(("locked", "metered", "premium", "paid", "subscriber", "subscribers"))
_APPEAL = re.compile(
    r"""(?:subscribe|sign[ ]up|log[ ]?in|register|sign[ ]in)[ ](?:now[ ])?to[ ](?:continue|read|keep|unlock)
    | (?:to[ ](?:continue|keep)[ ]reading|already[ ]a[ ](?:subscriber|member)|this[ ](?:article|story|content)[ ]is[ ]
      (?:only[ ]available[ ])?(?:for|to)[ ](?:paid[ ])?(?:subscribers|members))
    | weiterlesen[ ]mit | jetzt[ ](?:weiterlesen|abonnieren) | nur[ ]für[ ]abonnent | bereits[ ]abonnent
    | réservé[ ]aux[ ]abonnés | déjà[ ]abonné | exclusivo[ ]para[ ]suscriptores | ya[ ]eres[ ]suscriptor
    | contenuto[ ]riservato | riservato[ ]agli[ ]abbonati | только[ ]для[ ]подписчиков | оформите[ ]подписку
    """,
    re.I | re.VERBOSE,
)


def is_partial(found: Statements, text: str, elsewhere: Iterable[str]) -> bool:
    """Whether the text is the beginning of a story that the rest of must be paid for: it is short, and the page says
    that it is not free, or asks readers to subscribe (`elsewhere`: what stands on it beside the text) where the text
    breaks off. What says that it is not free and is not that short must break off as well."""
    length = width(text)
    words = _number(found.story.get("wordCount"))
    count = len(text.split())
    if not text or length >= _STUB or count < words <= _MORE * count or _shows_the_rest(found):
        return False
    breaks_off = words > _MORE * count or not ends(text) or text.endswith(("…", "..."))
    locked = _is_false(found.story.get("isAccessibleForFree")) or any(
        tier.lower() in _TIERS for tier in found.named("article:content_tier", "content_tier")
    )
    if locked and (length < _SHORT or breaks_off):
        return True
    if not locked and not breaks_off:
        return False
    return any(_APPEAL.search(line) for line in elsewhere if len(line) < _LONGEST_APPEAL)


_SHORT = 800
_MORE = 1.3  # times the words of the text that the page may count, headings and captions among them
_LONGEST_APPEAL = 300


_SIMPLE = re.compile(r"[.#]?[a-zA-Z_][\w-]{0,60}", re.ASCII)  # others can cost any time: ":has(:has(:has(…)))"


def _shows_the_rest(found: Statements) -> bool:
    """Whether what must be paid for stands on the page, by the selector that its data names for it."""
    parts = found.story.get("hasPart")
    for part in parts[:5] if isinstance(parts, list) else [parts]:
        selector = part.get("cssSelector") if isinstance(part, dict) else None
        if not isinstance(selector, str) or not _SIMPLE.fullmatch(selector.strip()):
            continue
        if sum(len(shown(node)) for node in found.page.tree.css(selector.strip())[:20]) > _SHORT / 2:
            return True
    return False


def _is_false(value: object) -> bool:
    return value is False or (isinstance(value, str) and value.strip().rsplit("/", 1)[-1].lower() in ("false", "no"))


def _number(value: object) -> int:
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 7 else 0
