"""Records → entries: whose they are, what identifies them, how much of a story they tell."""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest import addresses, dates, words
from ingest.models import Capture, Entry, Feed, TextFrom
from ingest.parse.child import LONGEST_FIELD
from ingest.parse.records import Found, Link, Record

LONGEST_TITLE = 2000
MOST_AUTHORS = 20

# A text counts as whole from 1,200 characters on (some 200 words: agencies' short items end there, and the teasers of
# feeds, one or two paragraphs, hardly ever reach it) ...
_WHOLE = 1200
# ... or, where it has paragraphs, from half of that.
_WHOLE_WITH_PARAGRAPHS, _PARAGRAPHS = 600, 3


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for all entries of a document."""

    capture: Capture
    feed: Feed | None
    base: str  # what relative links are relative to
    own: frozenset[str]  # the sites whose entries are the feed's own
    language: str | None

    @classmethod
    def of(cls, found: Found, capture: Capture, feed: Feed | None) -> Context:
        # RFC 4287: relative to the document; in RSS, which says nothing, to the site that the channel names.
        home = site_link(found.links, capture.url)
        base = capture.url if found.version.startswith("atom") or home is None else home
        own = (capture.url, feed.url if feed else None, feed.site if feed else None)
        sites = frozenset(site for url in own if (site := addresses.site(url)))
        return cls(capture, feed, base, sites, language_tag(found.language))


def site_link(links: Iterable[Link], base: str) -> str | None:
    """The address of the site that a feed names as its own."""
    fitting = [link for link in links if link.rel in ("", "alternate", "guid")]
    return next((url for link in fitting if (url := addresses.absolute(link.href, base))), None)


def judge(records: Sequence[Record], context: Context) -> list[Entry]:
    """One entry for each record, in their order."""
    read = [_entry(record, context) for record in records]
    shared_links = _shared((entry.url and addresses.key(entry.url), _says(entry)) for entry in read)
    shared_guids = _shared_guids(read)
    return [_identified(entry, shared_links, shared_guids) for entry in read]


def _entry(record: Record, context: Context) -> Entry:
    capture, feed = context.capture, context.feed
    url = _url(record, context.base)
    body, measured = _richest(record.bodies)
    source = addresses.site(url)
    return Entry(
        guid=words.one_line(record.guid, 2000) or None,
        url=url,
        title=title(record.title, markup=record.title_is_html),
        html=words.sane(body, LONGEST_FIELD) or None,
        text=None,
        page=None,
        published=(published := _published(record, context)),
        published_from="feed" if published else None,
        authors=authors(record.authors),
        language=_language(record, context),
        source=source or addresses.site(feed.url if feed else capture.url),
        feed=feed.url if feed else None,
        captured=capture.captured,
        text_from=TextFrom.MENTION if source and source not in context.own else _how_much(measured),
        where=capture.where,
    )


# --- links -----------------------------------------------------------------------------------------------------------


def _url(record: Record, base: str) -> str | None:
    for link in [Link(record.original), *sorted(record.links, key=_preference)]:
        if not link.href or link.rel in ("enclosure", "self", "edit", "replies", "via", "license", "hub"):
            continue
        if link.rel == "guid" and not link.href.startswith(("http://", "https://")):
            continue  # a guid that is called a permanent link and is a number
        url = addresses.absolute(link.href, base)
        if url is not None:
            return addresses.unwrap(url)
    return None


def _preference(link: Link) -> tuple[bool, bool, bool]:
    """Smaller is better: the entry's own page, as HTML; a related page or a guid only where there is none."""
    return (link.rel not in ("", "alternate"), link.rel == "related", link.type not in ("", "text/html"))


# --- identity --------------------------------------------------------------------------------------------------------


def _says(entry: Entry) -> str:
    return entry.title or (entry.html or "")[:200]


def _shared(pairs: Iterable[tuple[str | None, str]]) -> frozenset[str]:
    """The links that stand on entries which say different things: a home page, a live ticker."""
    said: dict[str, set[str]] = defaultdict(set)
    for link, says in pairs:
        if link:
            said[link].add(says)
    return frozenset(link for link, all_said in said.items() if len(all_said) > 1)


def _shared_guids(read: Iterable[Entry]) -> frozenset[str]:
    """The guids that stand on entries which differ in link or title."""
    pairs = Counter(guid for guid, _, _ in {(e.guid, e.url, _says(e)) for e in read} if guid)
    return frozenset(guid for guid, count in pairs.items() if count > 1)


def _identified(entry: Entry, shared_links: frozenset[str], shared_guids: frozenset[str]) -> Entry:
    if entry.url and not (shared_links and addresses.key(entry.url) in shared_links):
        return entry
    unique = entry.guid is not None and entry.guid not in shared_guids
    fields = {name: getattr(entry, name) for name in Entry.__slots__}
    return Entry(**(fields | {"id_by": "guid" if unique else "content"}))


# --- fields ----------------------------------------------------------------------------------------------------------

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!\[CDATA\[|\]\]>")
_BLOCK = re.compile(r"</?(?:p|div|br|li|ul|ol|h[1-6]|tr|td|blockquote)\b[^<>]*>", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style)\b[^<>]*>[^<]*</\1\s*>", re.IGNORECASE)


def title(value: str, *, markup: bool) -> str | None:
    """A title on one line, without tags and with its entities resolved once."""
    value = value[: 8 * LONGEST_TITLE]
    if markup and "<" in value:
        value = _TAG.sub("", _BLOCK.sub(" ", _without_comments(value)))
    return words.one_line(html.unescape(value) if "&" in value else value, LONGEST_TITLE) or None


def _published(record: Record, context: Context) -> str | None:
    read = (dates.read(raw, captured=context.capture.captured) for raw in record.dates)
    return next((date for date in read if date), None)


def _language(record: Record, context: Context) -> str | None:
    """The entry's own word, else the reader's, else the document's: a document's `en` is often its software's."""
    own = language_tag(record.language)
    if own is not None and own != context.language:
        return own
    return (context.feed.language if context.feed else None) or context.language


_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{2,8})*", re.IGNORECASE)


def language_tag(value: str) -> str | None:
    """A language tag (BCP 47) as written, but with hyphens; None for what is none."""
    value = value.strip()
    return value.replace("_", "-") if len(value) <= 35 and _LANGUAGE.fullmatch(value) else None


_MAIL = re.compile(r"<?\(?\b[\w.+-]{1,64}@[\w.-]{1,255}\)?>?")
_BETWEEN_NAMES = re.compile(r"\s*[;|、]\s*|\s+(?:and|und|et|y|и|та)\s+|\s+&\s+", re.IGNORECASE)
_COMMA = re.compile(r"\s*,\s*")
_BY = re.compile(r"^(?:by|von|par|por|от)\s+", re.IGNORECASE)


def authors(values: Iterable[str]) -> tuple[str, ...]:
    """The names in a feed's author fields: without e-mail addresses and "By", each once."""
    names: dict[str, None] = {}
    for value in values:
        plain = title(value[:1000], markup=True) or ""
        for name in _names(_BY.sub("", _MAIL.sub("", plain).strip())):
            if len(names) < MOST_AUTHORS and "://" not in name:
                names.setdefault(name)
    return tuple(names)


def _names(value: str) -> list[str]:
    parts = [part for whole in _BETWEEN_NAMES.split(value) for part in _comma_parts(whole)]
    tidy = (words.one_line(part.strip(" \t,.-–()<>"), 200) for part in parts)
    return [part for part in tidy if any(map(str.isalpha, part))]


def _comma_parts(value: str) -> list[str]:
    """`Ann Lee, Bo Day` are two, `Lee, Ann` is one: names of one word are not taken apart."""
    parts = _COMMA.split(value)
    return parts if all(" " in part for part in parts) else [value]


# --- how much of the story -------------------------------------------------------------------------------------------


def _richest(bodies: Sequence[str]) -> tuple[str, str]:
    """The body with the most text, and that text."""
    texts = [(body, plain(body)) for body in bodies]
    return max(texts, key=lambda pair: len(pair[1]), default=("", ""))


def plain(body: str) -> str:
    """Roughly the text of HTML, for measuring: paragraphs apart by line feeds, blanks squeezed."""
    body = _BLOCK.sub("\n", _HIDDEN.sub("", _without_comments(body[:LONGEST_FIELD])))
    body = html.unescape(_TAG.sub("", body))
    return "\n".join(line for part in body.split("\n") if (line := " ".join(part.split())))


def _without_comments(body: str) -> str:
    """A regular expression would search for an end anew from every beginning."""
    kept, at = [], 0
    while (start := body.find("<!--", at)) >= 0 and (end := body.find("-->", start)) >= 0:
        kept.append(body[at:start])
        at = end + 3
    return "".join(kept) + body[at:]


_CUT = re.compile(
    r"(?:…|\.\.\.|\[\s*(?:…|\.{2,4})\s*\]|\(\s*(?:…|\.{2,4})\s*\)|[→»])\W*$"
    r"|(?:\b(?:read (?:more|on|the (?:full|whole|rest|entire)\b.{0,40})|continue reading\b.{0,60}"
    r"|full (?:story|article)"
    r"|more\s*(?:»|>|…)|click here.{0,40}|learn more|keep reading"
    r"|weiterlesen|mehr lesen|mehr dazu|lesen sie (?:hier )?(?:weiter|mehr)\b.{0,40}"
    r"|lire (?:la suite|plus|l['’]article)\b.{0,40}|en savoir plus|leer más|seguir leyendo|sigue leyendo|leia mais"
    r"|continue lendo|ler mais|leggi (?:tutto|di più|anche|l['’]articolo)\b.{0,40}|continua a leggere"
    r"|lees (?:meer|verder)"
    r"|läs mer|les mer|læs mere|lue lisää|czytaj (?:więcej|dalej|całość)|číst (?:dál|více)|devamını oku|devamı"
    r"|читать (?:далее|дальше|полностью)|подробнее|далее|читати (?:далі|більше)|детальніше|прочетете (?:повече|още))"
    r"|続きを読む|もっと読む|全文を読む|阅读(?:全文|更多)|閱讀(?:全文|更多)|查看全文|더 ?보기|계속 읽기"
    r"|اقرأ (?:المزيد|أيضا)|المزيد|ادامه (?:مطلب|خبر)|קרא עוד|और पढ़ें)\W*$",
    re.IGNORECASE,
)
# "The post X appeared first on Y.", which WordPress appends to teasers and whole texts alike.
_FIRST_ON = re.compile(r"(?:^|\n)[^\n]{0,300}\bappeared first on\b[^\n]{0,200}$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"""[.!?:।。！？؟۔;)\]"”»’'*—–-]\s*$""")


def _how_much(text: str) -> TextFrom:
    text = _FIRST_ON.sub("", text)
    if is_cut(text):
        return TextFrom.TEASER
    paragraphs = sum(len(line) > 40 for line in text.split("\n"))
    whole = len(text) >= _WHOLE or (len(text) >= _WHOLE_WITH_PARAGRAPHS and paragraphs >= _PARAGRAPHS)
    # Chinese and Japanese say in one sign what takes Latin script about three.
    dense = len(_DENSE.findall(text)) * 2 > len(text)
    return TextFrom.FULL_FEED if whole or (dense and len(text) * 3 >= _WHOLE) else TextFrom.TEASER


_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def is_cut(text: str) -> bool:
    """Whether a text says of itself that it goes on elsewhere, or breaks off inside a sentence."""
    tail = text[-200:].rstrip()
    if _CUT.search(tail):
        return True
    last = text.rpartition("\n")[2]
    # A long last line without an end is a sentence cut off; a short one is a caption, a name, a place.
    return len(last) > 120 and not _SENTENCE_END.search(tail[-3:]) and not _DENSE.search(tail[-1:])
