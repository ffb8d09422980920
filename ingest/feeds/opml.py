"""OPML ↔ Feed."""

from __future__ import annotations

import codecs
import html
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from lxml import etree

from ingest import addresses, words
from ingest.errors import UsageError
from ingest.models import Feed, FullText
from ingest.settings import PROJECT_URL

NAMESPACE = f"{PROJECT_URL}/opml"  # of the attributes that OPML does not know: fullText, delay, paused

SIZE_LIMIT = 16_000_000  # bytes; 40,000 feeds with titles and options take that much
NAME_LIMIT = 300  # characters of a title
DELAY_LIMIT = 3600.0  # seconds between two requests to one host; more is a slip of the pen

NO_PASSWORDS = (
    "Those are never sent, and never kept. Give the address without them; where the site asks for them, look there for"
    " an address with a token of your own: Sitrep leaves its value out of all that it shows and exports."
)

# Encodings that text comes in. Python has others, some of which take quadratic time (punycode) or read escapes.
_CHARSETS = re.compile(
    r"utf-?(8|16|32)|(us-)?ascii|iso[-_]?(8859|2022)|latin|windows-?\d|cp\d|koi8|(x-)?mac|gb|big5|euc|shift|sjis|tis",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class OpmlFile:
    """What an OPML file names: its feeds, each once, in their order, and one sentence for each thing that is no feed
    or was not understood."""

    feeds: tuple[Feed, ...]
    problems: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Feed]:
        return iter(self.feeds)

    def __len__(self) -> int:
        return len(self.feeds)


def read_opml(data: bytes) -> OpmlFile:
    """The feeds of anybody's OPML 1.0, 1.1 or 2.0, however carelessly written.

    Nested outlines become `Feed.group` ("World / Asia"). Options may stand in our namespace or without one:
    `fullText` (auto, always, never), `language`, `delay` (seconds), `paused`. Attributes count in any letter case.

    Raises UsageError for what is no OPML at all, and for documents that declare entities of their own.
    """
    body = _body(_parsed(data))
    found: dict[str, Feed] = {}
    problems: list[str] = []
    for outline, group in _outlines(body):
        feed = _feed(outline, group, problems)
        if feed:
            found.setdefault(same(feed.url), feed)
    return OpmlFile(tuple(found.values()), tuple(problems))


def write_opml(feeds: Iterable[Feed]) -> bytes:
    """The feeds as OPML 2.0 in UTF-8, by group; `read_opml` gives them back, options included."""
    root = etree.Element("opml", {"version": "2.0"}, nsmap={"sitrep": NAMESPACE})
    etree.SubElement(etree.SubElement(root, "head"), "title").text = "Sitrep feeds"
    body = etree.SubElement(root, "body")
    groups: dict[str, etree._Element] = {}
    for feed in feeds:
        group = words.one_line(feed.group or "", NAME_LIMIT)
        if group and group not in groups:
            groups[group] = etree.SubElement(body, "outline", {"text": group, "title": group})
        etree.SubElement(groups.get(group, body), "outline", _attributes(feed))
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n"


def _attributes(feed: Feed) -> dict[str, str]:
    title = words.one_line(feed.title or "", NAME_LIMIT)
    own = f"{{{NAMESPACE}}}"
    options = {
        "type": "rss",
        "text": title or feed.url,
        "title": title,
        "xmlUrl": feed.url,
        "htmlUrl": feed.site or "",
        "language": feed.language or "",
        f"{own}fullText": "" if feed.full_text is FullText.AUTO else str(feed.full_text),
        f"{own}delay": "" if feed.delay is None else repr(feed.delay).removesuffix(".0"),
        f"{own}paused": "true" if feed.paused else "",
    }
    return {name: value for name, value in options.items() if value}


def _parsed(data: bytes) -> etree._Element:
    """The root of an OPML document. Whatever libxml2 does with DTDs and encodings, it gets none to see."""
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"This OPML file has {len(data):,} bytes; more than {SIZE_LIMIT:,} are not read.")
    text = _decoded(data)
    if re.search(r"<!ENTITY", text, re.IGNORECASE):
        raise UsageError("This OPML file declares XML entities of its own, which no honest list of feeds does.")
    text = re.sub(r"^\s*<\?xml[^<>]*\?>|<!DOCTYPE[^<>\[]*(?:\[[^<>\]]*\][^<>]*)?>", "", text, flags=re.IGNORECASE)
    plain = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text).strip()
    try:
        return etree.fromstring(plain.encode(), _parser(recover=False))
    except etree.XMLSyntaxError:
        pass  # repaired and read again, forgivingly
    try:
        root = etree.fromstring(_repaired(plain).encode(), _parser(recover=True))
    except etree.XMLSyntaxError as error:
        raise UsageError(f"This is no OPML file: {error.msg}.") from error
    if root is None:
        raise UsageError("This is no OPML file: it holds no XML element.")
    return root


def _parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        recover=recover,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _decoded(data: bytes) -> str:
    """The text, in the first encoding that makes sense: byte order mark, declaration, UTF-8, Windows-1252."""
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    tries = [encoding for mark, encoding in marks.items() if data.startswith(mark)]
    tries += {b"<\x00": ["utf-16-le"], b"\x00<": ["utf-16-be"]}.get(data.lstrip()[:2], [])
    declared = re.match(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})", data)
    name = declared[1].decode("ascii", "replace") if declared else ""
    tries += [name] if _CHARSETS.match(name) else []
    for encoding in (*tries, "utf-8", "cp1252"):
        try:
            text = data.decode(encoding)
        except (LookupError, UnicodeError):  # an encoding that nobody knows, that is none of text, or a wrong one
            continue
        if "<" in text:  # UTF-16 makes Chinese of any ASCII that is declared so by mistake
            return text.removeprefix("\ufeff")
    return data.decode("utf-8", "replace")


def _repaired(text: str) -> str:
    """HTML's named entities as characters, every other lone ampersand as one: the recovering parser would swallow the
    parameter behind it, and so make another address of it."""

    def ampersand(match: re.Match[str]) -> str:
        known = html.unescape(match[0])
        if match[0].endswith(";") and known != match[0]:
            return html.escape(known)
        return "&amp;" + match[0][1:]

    return re.sub(r"&(?:[A-Za-z][A-Za-z0-9]{0,30};|#[0-9]{1,7};|#x[0-9A-Fa-f]{1,6};)?", ampersand, text)


def _body(root: etree._Element) -> etree._Element:
    if _local(root) == "opml":
        return next((child for child in root if _local(child) == "body"), root)
    if _local(root) in ("outline", "body", "oml", "outlinedocument"):
        return root
    raise UsageError(f"This is no OPML file: its root element is {words.one_line(_local(root), 40)!r}, not 'opml'.")


def _outlines(body: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    """All outlines in the order of the document, each with the names of those above it."""
    stack = [(body, "")] if _local(body) == "outline" else [(child, "") for child in reversed(body)]
    while stack:
        element, group = stack.pop()
        if _local(element) != "outline":
            continue
        yield element, group
        inner = " / ".join(part for part in (group, _name(element)) if part)
        stack += [(child, words.one_line(inner, NAME_LIMIT)) for child in reversed(element)]


def _local(element: etree._Element) -> str:
    tag = element.tag
    return tag.rsplit("}", 1)[-1].lower() if isinstance(tag, str) else ""


def _option(element: etree._Element, name: str) -> str:
    """An attribute of OPML's or ours, in any letter case; others' namespaces may mean something else by the word."""
    for key, value in element.attrib.items():
        space, _, local = str(key).rpartition("}")
        if local.lower() == name.lower() and space in ("", "{" + NAMESPACE):
            return str(value).strip()
    return ""


def _name(element: etree._Element) -> str:
    title = words.one_line(_option(element, "title"), NAME_LIMIT)
    return title or words.one_line(_option(element, "text"), NAME_LIMIT)


def _feed(outline: etree._Element, group: str, problems: list[str]) -> Feed | None:
    kind = _option(outline, "type").lower()
    written = _option(outline, "xmlUrl") or (_option(outline, "url") if kind in ("rss", "atom", "rdf", "feed") else "")
    name = _name(outline)
    called = repr(addresses.shown(name)) if name else "An outline without a name"
    if not written:
        if kind == "include":
            problems.append(f"{called} includes another list, which is not followed.")
        elif not len(outline):
            problems.append(f"{called} names no feed.")
        return None
    url = _address(written)
    if addresses.has_password(written):
        problems.append(f"{called} has a user or a password in its address, {_shown(written)}. {NO_PASSWORDS}")
        return None
    if not url:
        problems.append(f"{called} has an address that cannot be fetched: {_shown(written)}.")
        return None
    return Feed(
        url=url,
        title=addresses.shown(name) if name != url else None,
        site=_address(_option(outline, "htmlUrl")),
        full_text=_full_text(outline, called, problems),
        language=_language(_option(outline, "language")),
        delay=_delay(outline, called, problems),
        group=group or None,
        paused=_option(outline, "paused").lower() in ("true", "yes", "1", "paused", "on"),
    )


def _address(written: str) -> str | None:
    """The address as written where it can be fetched as it is, else its repaired form (feed:// and the like); None
    without one, and where it carries a password: that would stand in every report, and is never sent."""
    fit = addresses.absolute(written)
    if not fit or addresses.has_password(written):
        return None
    plain = re.fullmatch(r"https?://[!-~]+", written, re.IGNORECASE)
    return written if plain and len(written) <= addresses.LONGEST else fit


def _shown(written: str) -> str:
    return repr(addresses.redact(written) if "@" in written else words.one_line(addresses.shown(written), 120))


def _full_text(outline: etree._Element, called: str, problems: list[str]) -> FullText:
    value = _option(outline, "fullText").lower()
    if value in ("", *FullText):
        return FullText(value or "auto")
    problems.append(f"{called}: fullText is auto, always or never, not {words.one_line(value, 40)!r}; taken as auto.")
    return FullText.AUTO


def _delay(outline: etree._Element, called: str, problems: list[str]) -> float | None:
    value = _option(outline, "delay")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds <= DELAY_LIMIT:
        return seconds
    shown = words.one_line(value, 40)
    problems.append(f"{called}: delay is a number of seconds up to {DELAY_LIMIT:.0f}, not {shown!r}; left out.")
    return None


def _language(value: str) -> str | None:
    """The language of a tag like en-us; None for what is no tag, like "unknown"."""
    tag = re.fullmatch(r"([a-z]{2,3})([-_][a-z0-9-_]{1,20})?", value.lower())
    return tag[1] if tag else None


def same(url: str) -> str:
    """Equal for two spellings of one feed address. Coarser folding is for stories: a feed's path and parameters may
    be anything."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(":80").removesuffix(":443")
    return f"{host}{parts.path or '/'}?{parts.query}"
