"""What elements are, by their tag, class and id: boilerplate, or the story's own text."""

from __future__ import annotations

import functools
import re
from itertools import pairwise
from string import ascii_lowercase, digits

# Words of classes and ids that name something else than the story, in any place of the name.
_ELSEWHERE = frozenset(
    """
    share sharing sharebar social socials addthis sharedaddy related relateds recirc recirculation newsletter
    newsletters promo promos promotion promobox comment comments commentlist disqus respond byline bylines
    authorbox bio biography tags taglist tagcloud subscribe subscription subscriptions readmore advert adverts
    advertisement advertising adslot adsense dfp sponsor sponsored signup breadcrumb breadcrumbs crumbs footer
    sidebar sidebars rail trending popular recommended recommendation recommendations recommend outbrain taboola
    copyright disclaimer toolbar popup modal overlay lightbox skip caption captions figcaption credit credits
    teaser teasers onward navigation nav navbar menu menus pagination pager paging login register masthead banner
    carousel slider slideshow rating ratings poll quiz donate donation donations membership timestamp dateline
    tooltip rollover dropdown noprint infobox navbox toc mostread jp crosspromo upsell cta feedback reactions reaction
    follow partner partners shop references footnotes reflist catlinks
    """.split()  # noqa: SIM905 - a table to be read
)
# Words of dialogs about data protection: never the story, however long they are.
_CONSENT = frozenset("cookie cookies consent gdpr ccpa privacy onetrust optanon didomi usercentrics cookiebot".split())  # noqa: SIM905
# Whole names of classes that do: as parts of others they mean nothing ("overflow-hidden", "elementor-widget").
_BEGINNINGS = ("ad-", "ads-", "ad_", "widget-")
_WHOLE = frozenset("ad ads hidden invisible widget widget-area d-none is-hidden".split())  # noqa: SIM905
# Pairs of words that do.
_PAIRS = frozenset(
    """
    author-box author-bio author-info author-card author-name author-profile author-block author-meta about-author
    about-the read-more read-next read-also also-read more-from more-on more-stories more-news more-articles
    most-read most-popular most-viewed see-also sign-up tag-list tag-cloud post-tags article-tags entry-tags
    entry-meta post-meta article-meta meta-data meta-info post-footer entry-footer article-footer article-info
    post-info post-nav posts-nav next-post prev-post next-article up-next latest-news latest-posts latest-stories
    top-stories visually-hidden screen-reader sr-only print-only image-credit photo-credit image-caption
    photo-caption wp-caption follow-us call-to inline-ad story-package site-header
    editors-picks editor-picks you-may might-like may-like key-terms external-links article-links story-links
    link-list links-list comment-list user-comments
    """.split()  # noqa: SIM905 - a table to be read
)
# Words that make the element the story's own whatever else its names say.
_STORY = re.compile(
    r"(?:article|story|entry|post|news|main|page|text|content|single|body|blog|detail)s?[-_]{0,2}"
    r"(?:body|content|text|copy|main|entry|bodycopy|article|story|inner|detail)s?(?![a-z])"
    r"|storytext|fulltext|bodytext"
)


# Names whose words hold whatever else the page shows, unless the page holds nothing else.
CONSENT, HIDDEN, CAPTION = "consent", "hidden", "caption"
_ROLES = frozenset("navigation complementary search contentinfo dialog alert banner menu".split())  # noqa: SIM905
_STORY_TAGS = frozenset(("article", "main", "h1"))


def judged(tag: str, names: str, role: str, itemprop: str) -> tuple[str, bool]:
    """Why what stands in an element so named is probably no story ("": nothing says so), and whether it is named as
    the story's text."""
    if itemprop and "articlebody" in itemprop.lower():
        return "", True
    if tag in ("figcaption", "aside"):
        return CAPTION if tag == "figcaption" else tag, False
    if role and role in _ROLES:
        return f"role {role}", False
    against, is_body = _read(names)
    if tag in _STORY_TAGS:
        return "", is_body
    if against == _TARGET and tag in _HEADINGS:
        return "", is_body
    return against, is_body and not against


_TARGET = "named toc"  # so headings are named to which a table of contents leads
_HEADINGS = frozenset(("h2", "h3", "h4", "h5", "h6"))


@functools.lru_cache(maxsize=20_000)
def _read(names: str) -> tuple[str, bool]:
    """What names say against an element, and whether they are those of a story's text."""
    words = _words(names)
    against = _against(names, words) if not _TELLING.isdisjoint(words) else ""
    return against, _STORY.search(names.lower()) is not None


def _words(names: str) -> list[str]:
    """The words of names in small letters; digits divide them, and stand for themselves as zeros."""
    if names.islower():  # as nearly all are: it takes a third of the time
        return names.encode().translate(_SIGNS).replace(b"0", b" 0 ").decode().split()
    return [word.lower() for word in _WORDS.findall(names)]


_SIGNS = bytes(
    code if chr(code) in ascii_lowercase else ord("0") if chr(code) in digits else ord(" ") for code in range(256)
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# One of these is among the words of all names that say something.
_AD_WORDS = frozenset(("ad", "ads", "widget", "hidden", "invisible", "none"))
_TELLING = _ELSEWHERE | _CONSENT | _AD_WORDS | {pair.partition("-")[0] for pair in _PAIRS}


def _against(names: str, words: list[str]) -> str:
    if not _CONSENT.isdisjoint(words):
        return f"{CONSENT}: {next(word for word in words if word in _CONSENT)}"
    if not _ELSEWHERE.isdisjoint(words):
        return f"named {next(word for word in words if word in _ELSEWHERE)}"
    for name in names.split():
        if name in _WHOLE or name.startswith(_BEGINNINGS):
            return f"named {name}"
    pair = next((pair for pair in map("-".join, pairwise(words)) if pair in _PAIRS), None)
    return f"named {pair}" if pair else ""
